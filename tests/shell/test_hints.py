"""What a user at a prompt sees beyond firmware's words; scripts and files see firmware's alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.script.streams import MemorySink
from tdvfsh.shell.command.suggest import close_names, did_you_mean
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.shell import Shell

UNKNOWN = "is not recognized as an internal or external command, operable program, or script file.\n"


@pytest.fixture
def at_prompt() -> tuple[Shell, MemorySink]:
    shell, screen = Shell(), MemorySink()
    shell.stdout = shell.stderr = shell.screen = screen
    return shell, screen


def test_a_mistyped_command_is_guessed(at_prompt: tuple[Shell, MemorySink]) -> None:
    shell, screen = at_prompt
    shell.run_line("memap")
    assert screen.text.startswith(f"'memap' {UNKNOWN}Did you mean 'memmap'")
    assert shell.last_error_code == 0xE


def test_a_mistyped_variable_is_guessed(at_prompt: tuple[Shell, MemorySink]) -> None:
    shell, screen = at_prompt
    shell.run_line("set lasteror")
    assert (
        screen.text
        == "set: Environment Variable 'lasteror' not defined.\nDid you mean 'lasterror'"
        + (screen.text.partition("'lasterror'")[2])
    )


def test_scripts_and_streams_get_firmware_s_words_alone(at_prompt: tuple[Shell, MemorySink]) -> None:
    shell, screen = at_prompt
    shell.run_text("x", "@echo -off\nmemap\n")
    assert screen.text == f"'memap' {UNKNOWN}"
    plain = Shell()
    plain.run_line("memap")
    assert isinstance(plain.stdout, MemorySink)
    assert plain.stdout.text == f"'memap' {UNKNOWN}"


def test_nothing_alike_is_no_guess() -> None:
    assert did_you_mean("zzz", ["memmap", "ls"]) == ""
    assert close_names("MEMMAP", ["memmap"]) == ["memmap"]
    assert did_you_mean("acept", ["accept", "except"]) == "did you mean 'accept' or 'except'?"


def test_a_link_that_leads_out_of_the_drive_is_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.txt").write_text("secret")
    (tmp_path / "in" / "link.txt").symlink_to(tmp_path / "out.txt")
    shell = Shell()
    shell.mount(HostFolder(str(tmp_path / "in")))
    shell.run_line("type link.txt")
    assert isinstance(shell.stdout, MemorySink)
    remark = "FS0:\\link.txt is a link that leads out of FS0:; not followed\n"
    assert shell.stdout.text == f"type: Cannot open file - 'link.txt'\n{remark}"
    shell.run_line("type none.txt")
    assert shell.stdout.text.count(remark) == 1
    shell.run_line("boot link.txt")
    assert shell.stdout.text.endswith(remark)
