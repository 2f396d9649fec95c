"""TD options at the prompt: one dash or two, given once or repeatedly, and completed by position."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.options.td import OPTIONS
from tdvfsh.options.uses import use_of
from tdvfsh.shell.command import registry
from tdvfsh.shell.command.helptext import option_lines
from tdvfsh.shell.command.signature import ArgumentError
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.machine_binding import options_of
from tests.shell.under_test import ShellUnderTest

COMMANDS = ("boot", "compare", "ladder", "td")


def bound(command: str, line: str) -> dict[str, object]:
    found = registry.find(command)
    assert found is not None
    return found.signature.bind(command, line.split(), stop=".", numbers=False)[1]


def proposals(shell: ShellUnderTest, line: str) -> dict[str, str]:
    return {found.text: found.meta for found in shell.shell.complete(line, len(line))}


@pytest.fixture
def with_files(under_test: ShellUnderTest, tmp_path: Path) -> ShellUnderTest:
    """A shell whose FS1: has a kernel and an initrd."""
    make_kernel(tmp_path / "linux", 11_708_352, 0x37DD000)
    make_initrd(tmp_path / "small.cpio", 1 << 20, None)
    under_test.shell.mount(HostFolder(str(tmp_path)))
    return under_test


def test_a_line_of_the_command_line_can_be_pasted(with_files: ShellUnderTest) -> None:
    ours = with_files.run(
        "boot -cmdline nokaslr -memory 2G -accept 256M -on-demand service fs1:\\linux fs1:\\small.cpio"
    )
    line = "boot fs1:\\linux --initrd fs1:\\small.cpio --memory=2G --accept 256M --on-demand service --cmdline nokaslr"
    assert with_files.run(line) == ours
    assert "2 GiB RAM" in ours
    assert "EFI_SUCCESS" in ours


@pytest.mark.parametrize("dashes", ["-", "--"])
def test_what_is_given_reaches_the_command_by_name(dashes: str) -> None:
    line = f"k {dashes}memory 2G {dashes}no-td {dashes}fault a:1=B {dashes}fault c:2=D,e:3=F {dashes}memory 1G"
    assert bound("boot", line) == {"options": {"memory": "1G", "td": False, "fault": ("a:1=B", "c:2=D,e:3=F")}}
    assert bound("td", f"new {dashes}td") == {"options": {"td": True}}
    assert bound("boot", f"k {dashes}initrd a {dashes}initrd b") == {"initrd": ("a", "b")}


def test_firmwares_own_commands_know_one_dash_only(under_test: ShellUnderTest) -> None:
    assert under_test.run("ls --sfo") == "ls: Unknown flag - '--sfo'\n"
    assert under_test.run("help --usage ls") == "help: Unknown flag - '--usage'\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("k -memory", "boot: Missing argument for flag - '-memory'"),
        ("k --memory --vcpus=2", "boot: Missing argument for flag - '-memory'"),
        ("k --nosuch=3", "boot: Unknown flag - '--nosuch=3'"),
        ("k --no-td=1", "boot: Unknown flag - '--no-td=1'"),
        ("k -import m", "boot: Unknown flag - '-import' (now '-map')"),
        ("k --import m", "boot: Unknown flag - '--import' (now '-map')"),
    ],
)
def test_options_that_do_not_fit_are_named(line: str, message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        bound("boot", line)
    assert str(raised.value) == message


def test_a_new_td_keeps_what_was_not_given_and_files_are_of_the_shells_drives(
    with_files: ShellUnderTest, tmp_path: Path
) -> None:
    with_files.run("td new -memory 2G -host-page-size 4K", "td new --accept-at-exit unless-objected -kaslr-seed 7")
    options = options_of(with_files.shell)
    assert (options.memory, options.host_page_size, options.kaslr_seed) == (2 << 30, 4096, 7)
    assert options.accept_at_exit == "unless-objected"
    assert with_files.run("td new -map fs1:\\nothing") == "td: fs1:\\nothing: no such file\n"
    (tmp_path / "ours.txt").write_bytes(b"no map")
    assert "not a memory map" in with_files.run("td new -map fs1:\\ours.txt")
    assert options_of(with_files.shell) is options


def test_a_value_behind_an_equals_sign_completes_and_ends_its_option(under_test: ShellUnderTest) -> None:
    line = "boot x --on-demand=lo"
    assert proposals(under_test, line) == {
        "loader": "option 2 repaired: the loader, after any step that failed",
        "loader-literal": "option 2 to the letter: after LoadImage's OUT_OF_RESOURCES, once",
    }
    assert {found.start for found in under_test.shell.complete(line, len(line))} == {line.index("=") + 1}
    assert "fs0:" not in proposals(under_test, "boot x --no-td=")
    assert proposals(under_test, "boot x --nosuch=") == {}
    assert "--memory" in proposals(under_test, "boot x --on-demand=none --mem")
    found = registry.find("boot")
    assert found is not None
    assert found.signature.find_switch("--memory=2G") is found.signature.find_switch("-memory")


@pytest.mark.parametrize("command", ["boot", "compare", "ladder"])
def test_json_is_what_the_command_line_prints(
    with_files: ShellUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    more = "--memory 512M --loader direct,grub2.12" if command != "boot" else "--memory 512M --accept 256M"
    more += " --on-demand none --accept 256M" if command == "compare" else " --step 64M" if command == "ladder" else ""
    typed = with_files.run(f"{command} fs1:\\linux --initrd fs1:\\small.cpio {more} --json")
    main([command, str(tmp_path / "linux"), "--initrd", str(tmp_path / "small.cpio"), *more.split(), "--json"])
    printed = capsys.readouterr().out.replace(f"{tmp_path}/", "fs1:\\\\")
    assert json.loads(typed) == json.loads(printed)


def test_what_a_command_finds_out_cannot_be_given_to_it(with_files: ShellUnderTest) -> None:
    refused = "ladder: --accept is what it finds out; 'compare' takes values\n"
    assert with_files.run("ladder -accept 1G fs1:\\linux") == refused
    assert with_files.shell.last_error_code == 2


def test_a_ladder_of_several_loaders_is_one_after_the_other(with_files: ShellUnderTest) -> None:
    text = with_files.run("ladder -memory 512M -step 64M -loader direct,grub2.12 fs1:\\linux")
    assert "direct, firmware inteltdx, on demand: none, command line 'nokaslr'\nstage" in text
    assert "\n\ngrub2.12, firmware inteltdx, on demand: none, command line 'nokaslr'\nstage" in text


def test_every_option_of_every_command_completes_with_its_line_of_help(under_test: ShellUnderTest) -> None:
    for name in registry.names(with_words=False):
        command = registry.find(name)
        assert command is not None
        lines = option_lines(name)
        without = use_of(name).without
        for switch in command.signature.switches:
            if switch.table_option is not None and switch.table_option.name in without:
                continue
            assert lines[switch.spelling.lower()], f"{name} {switch.spelling}"
            found = proposals(under_test, f"{name} {switch.spelling}")
            assert found[switch.spelling] == lines[switch.spelling.lower()]


@pytest.mark.parametrize("command", COMMANDS)
def test_options_complete_in_as_many_dashes_as_were_typed(under_test: ShellUnderTest, command: str) -> None:
    without = use_of(command).without
    for dash in ("-", "--"):
        found = proposals(under_test, f"{command} x {dash}")
        for name, option in OPTIONS.items():
            assert (f"{dash}{option.spelling}" in found) == (name not in without)
    assert all(text.startswith("--") for text in proposals(under_test, f"{command} --"))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if option.takes_value])
def test_values_complete_where_an_option_waits_for_one(with_files: ShellUnderTest, command: str, name: str) -> None:
    option = OPTIONS[name]
    found = proposals(with_files, f"{command} x --{option.spelling} " + ("fs1:\\" if option.is_file else ""))
    assert all(found.values())
    assert list(found) == (["fs1:\\linux", "fs1:\\small.cpio"] if option.is_file else list(option.proposals()))
    if option.proposals() and (name in use_of(command).several or option.repeats):
        line = f"{command} -{option.spelling} x,{option.proposals()[-1][:2]}"
        last = [each for each in with_files.shell.complete(line, len(line)) if each.text == option.proposals()[-1]]
        assert [each.start for each in last] == [line.index(",") + 1]
