"""The registry: its table, its argument reading, its help."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Annotated

import pytest

import tdvfsh.commands as package
from tdvfsh.script.words import WORDS
from tdvfsh.shell.command import registry
from tdvfsh.shell.command.helptext import parse, sections
from tdvfsh.shell.command.signature import ArgumentError, Signature
from tdvfsh.shell.command.types import Address, Count, FilePath, Flag, GuidArgument, MemoryTypeName, Option, Text
from tests.shell.under_test import ShellUnderTest


def of_the_shell() -> list[str]:
    """The commands that firmware's Shell has too: those of any profile but the TD's own."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    return sorted(name for name, command in registry.loaded().items() if command.profile != "td")


OF_THE_SHELL = of_the_shell()


def example(
    shell: object,
    start: Address,
    name: Text | None = None,
    *more: FilePath,
    sfo: Flag = False,
    n: Annotated[Count | None, Option("-n")] = None,
    attributes: Annotated[Text | None, Option("-a", prefix=True)] = None,
) -> int:
    return 0


def bind(*words: str) -> tuple[list[object], dict[str, object]]:
    return Signature(example).bind("example", list(words), stop=".", numbers=False)


def test_the_table_names_the_module_of_every_command() -> None:
    assert set(registry.loaded()) == set(registry.MODULES)
    for name, command in registry.loaded().items():
        if not command.raw:
            assert command.function.__module__ == f"tdvfsh.commands.{registry.MODULES[name]}"


@pytest.mark.parametrize("name", [*OF_THE_SHELL, *WORDS])
def test_every_command_has_help_in_the_shell_s_sections(name: str) -> None:
    found = sections(name)
    assert found is not None
    assert found["NAME"][0].startswith(f"{name} - ")
    assert "SYNOPSIS" in found


@pytest.mark.parametrize("name", OF_THE_SHELL)
def test_every_command_rejects_an_unknown_flag(under_test: ShellUnderTest, name: str) -> None:
    own = {
        "cd": "cd: Unknown flag - '-nosuchflag'\nFS0:\n",
        "ifconfig": "ifconfig: Invalid argument - '-nosuchflag'\n",
        "ifconfig6": "Invalid command. Bad command ifconfig6 is skipped.\n"
        "Hint: Incorrect option or arguments. Please type 'IfConfig6 -?' for help info.\n",
        "ping": "ping: Invalid argument - '-nosuchflag'\n",
        "ping6": "Ping6: Invalid input, please type 'Ping6 -?'for help\n",
    }
    assert under_test.run(f"{name} -nosuchflag") == own.get(name, f"{name}: Unknown flag - '-nosuchflag'\n")


def test_annotations_read_the_words() -> None:
    assert bind("0x10", "n", "a", "b", "-sfo", "-N", "12", "-ad") == (
        [0x10, "n", "a", "b"],
        {"sfo": True, "n": 12, "attributes": "d"},
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "example: Too few arguments."),
        (("-z",), "example: Unknown flag - '-z'"),
        (("zz",), "example: Invalid argument - 'zz'"),
        (("1", "-n", "x"), "example: Bad value - 'x' for flag - '-n'"),
        (("1", "-n"), "example: Missing argument for flag - '-n'"),
    ],
)
def test_words_that_do_not_fit_give_the_shell_s_messages(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        bind(*words)
    assert str(caught.value) == message


def test_sizes_types_and_guids_have_people_s_spellings() -> None:
    def typed(shell: object, address: Address, kind: MemoryTypeName, guid: GuidArgument) -> int:
        return 0

    signature = Signature(typed)
    guid = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
    assert signature.bind("t", ["16M", "bs_data", guid], stop="", numbers=False)[0] == [16 << 20, 4, guid.upper()]
    for words in (["4X", "7", guid], ["0", "nosuch", guid], ["0", "7", "no-guid"], ["16384T" + "0", "7", guid]):
        with pytest.raises(ArgumentError):
            signature.bind("t", words, stop="", numbers=False)


def test_a_docstring_is_cut_into_sections() -> None:
    found = parse("x", "Do it.\n\n    SYNOPSIS:\n        x [-a]\n\n    OPTIONS:\n        -a: All.\n    ")
    assert found == {"NAME": ["x - Do it."], "SYNOPSIS": ["x [-a]"], "OPTIONS": ["-a: All."]}


def test_help_with_a_wildcard_shows_that_of_each_command_that_fits(under_test: ShellUnderTest) -> None:
    assert under_test.run("help c?") == under_test.run("help cd", "help cp")


def test_help_of_one_command_has_its_default_sections(under_test: ShellUnderTest) -> None:
    text = under_test.run("ls -?")
    assert text.startswith("List the contents of a directory, or files that fit a pattern.\n \nLS [-r] ")
    assert "\n \n  -r   - Go into all directories below.\n" in text
    assert "\n \nEXAMPLES:\n  * " in text
    assert "\n    fs0:\\> ls -ar\n" in text
    assert "RETURN VALUES" not in text
    assert "\n \nRETURN VALUES:\n  SHELL_SUCCESS             Listed.\n" in under_test.run("help ls -verbose")
    assert under_test.run("help ls -usage") == "".join(text.splitlines(keepends=True)[:3])
    assert under_test.run("help ls -section examples").startswith(" \nEXAMPLES:\n")


def test_a_section_that_is_not_there_is_missed_twice(under_test: ShellUnderTest) -> None:
    missing = "No help could be found for command 'cd'.\n"
    assert under_test.run("help cd -section NOTES", "echo %lasterror%") == missing * 2 + "0xE\n"
    assert under_test.run("help nosuch") == "No help could be found for command 'nosuch'.\n"


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
@pytest.mark.parametrize("name", [*OF_THE_SHELL, *WORDS])
def test_help_fits_the_screen(under_test: ShellUnderTest, name: str, columns: int) -> None:
    under_test.shell.screen_columns = lambda: columns
    lines = under_test.run(f"help {name} -verbose").splitlines()
    # an example is a line to type, which stays whole
    assert [line for line in lines if len(line) >= columns and not line.startswith("    ")] == []


def test_help_for_a_word_of_the_language_stands_beside_the_commands(under_test: ShellUnderTest) -> None:
    assert "endfor" in under_test.run("help for")


def test_importing_the_shell_imports_no_command_family() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from tdvfsh.shell.shell import Shell; Shell().run_line('ver');"
        "print([n for n in ('listing','copying','clock','images','helptext') if 'tdvfsh.commands.'+n in sys.modules],"
        " 'dataclasses' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] False\n"
