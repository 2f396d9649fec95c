"""File commands on folders of the host and in memory."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from tdvfsh.script.streams import MemorySink
from tdvfsh.shell.drives.filesystem import FileSystemError
from tdvfsh.shell.drives.hostfolder import HostFolder, HostWriter
from tdvfsh.shell.drives.memoryfiles import MemoryFileSystem
from tdvfsh.shell.drives.paths import clean, parent
from tdvfsh.shell.shell import Shell
from tdvfsh.uefi.patterns import matches
from tdvfsh.uefi.status import EfiStatus
from tests.shell.under_test import ShellUnderTest


def host_shell(folder: Path, *, writable: bool = False) -> Shell:
    shell = Shell(MemorySink())
    shell.mount(HostFolder(str(folder), writable=writable))
    return shell


def run(shell: Shell, line: str) -> str:
    shell.stdout = sink = MemorySink()
    shell.run_line(line)
    return sink.text


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        ("FS0:\\a\\..\\b", "FS0:\\b"),
        ("FS0:\\..\\..\\b", "FS0:\\b"),
        ("FS0:\\a\\.\\b\\.", "FS0:\\a\\b\\"),
        ("FS0:/a//b", "FS0:\\a\\b"),
        ("FS0:\\a\\..b", "FS0:\\a\\..b"),
    ],
)
def test_paths_are_cleaned_and_never_leave_the_root(path: str, cleaned: str) -> None:
    assert clean(path) == cleaned


def test_the_parent_keeps_its_separator() -> None:
    assert parent("FS0:\\a\\b\\") == "FS0:\\a\\"
    assert parent("FS0:x") == "FS0:"


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("a.TXT", "*.txt", True),
        ("f10.dat", "f?.dat", False),
        ("b.txt", "[a-c].txt", True),
        ("b.txt", "[xy].txt", False),
        ("", "*", True),
        ("a", "a*b", False),
    ],
)
def test_patterns_match_without_regard_to_case(name: str, pattern: str, fits: bool) -> None:
    assert matches(name, pattern) is fits


def test_a_host_folder_is_read_only_unless_asked(tmp_path: Path) -> None:
    shell = host_shell(tmp_path)
    assert "unable to create" in run(shell, "mkdir x")
    assert run(shell, "echo hi > x.txt") == "Unable to redirect file.\nCommand Error Status: Invalid Parameter\n"
    assert list(tmp_path.iterdir()) == []


def test_writing_works_where_it_is_allowed(tmp_path: Path) -> None:
    shell = host_shell(tmp_path, writable=True)
    run(shell, "echo hi >a new\\deep\\x.txt")
    assert (tmp_path / "new/deep/x.txt").read_bytes() == b"hi\r\n"
    run(shell, "echo two >>a new\\deep\\x.txt")
    run(shell, "echo uni > u.txt")
    assert (tmp_path / "new/deep/x.txt").read_bytes() == b"hi\r\ntwo\r\n"
    assert (tmp_path / "u.txt").read_bytes() == b"\xff\xfeu\0n\0i\0\r\0\n\0"
    assert "Unable to redirect" in run(shell, "echo ascii >>a u.txt")


def test_names_are_found_without_regard_to_case(tmp_path: Path) -> None:
    (tmp_path / "Boot").mkdir()
    (tmp_path / "Boot" / "vmLinuz").write_text("x")
    assert run(host_shell(tmp_path), "type BOOT\\VMLINUZ") == "x\n"


def test_nothing_outside_the_folder_can_be_reached(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    os.symlink(tmp_path / "secret.txt", inside / "link.txt")
    os.symlink(tmp_path, inside / "out")
    os.symlink(inside, inside / "self")
    shell = host_shell(inside, writable=True)
    for path in ("..\\secret.txt", "\\..\\secret.txt", "link.txt", "out\\secret.txt", "fs0:\\..\\..\\secret.txt"):
        assert "secret\n" not in run(shell, f"type {path}")
    listed = run(shell, "ls")
    assert "link.txt" not in listed
    assert "out" not in listed.split()
    assert "Unable to redirect" in run(shell, "echo over >a link.txt")
    assert "Unable to redirect" in run(shell, "echo over >a out\\new.txt") or not (tmp_path / "new.txt").exists()
    assert (tmp_path / "secret.txt").read_text() == "secret"
    assert run(shell, "type self\\nothing") == "type: Cannot open file - 'self\\nothing'\n"


def test_a_folder_that_vanishes_gives_messages_and_the_shell_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    (folder / "a.txt").write_text("x")
    shell = host_shell(folder, writable=True)
    (folder / "a.txt").unlink()
    folder.rmdir()
    assert run(shell, "ls") == "Directory of: FS0:\\\n          0 File(s)           0 bytes\n          0 Dir(s)\n"
    assert "Cannot open file" in run(shell, "type a.txt")
    assert "Unable to redirect" in run(shell, "echo x >a b.txt")
    assert "bytes total" in run(shell, "vol")
    assert run(shell, "echo still here") == "still here\n"


def test_a_disk_that_fills_during_a_redirection_ends_the_command_only() -> None:
    class FullWriter:
        def write(self, data: bytes) -> None:
            if len(data) > 8:
                raise FileSystemError(EfiStatus.EFI_VOLUME_FULL)

        def close(self) -> None:
            pass

    class FullDisk(MemoryFileSystem):
        def open_writer(self, parts: object, *, append: bool) -> FullWriter:
            return FullWriter()

    shell = Shell(MemorySink())
    shell.mount(FullDisk())
    assert run(shell, "echo a long line >a x.txt") == "Unable to redirect file.\nCommand Error Status: Volume Full\n"
    assert shell.last_error_code == 0xB
    assert run(shell, "echo on") == "on\n"


def test_copy_move_and_remove(under_test: ShellUnderTest) -> None:
    under_test.put("a.txt", "alpha\n")
    assert under_test.run("cp a.txt b.txt") == "Copying FS0:\\a.txt -> FS0:\\b.txt\n- [ok]\n"
    assert under_test.run("mkdir d", "mv b.txt d") == "Moving FS0:\\b.txt -> FS0:\\d\\b.txt\n- [ok]\n"
    assert under_test.run("cp -r d e") == "cp: 'e' is not a directory.\n"
    assert under_test.run("mkdir e", "cp -r d e", "type e\\d\\b.txt").endswith("- [ok]\nalpha\n\n")
    assert under_test.run("comp a.txt d\\b.txt") == "[no differences encountered]\n"
    assert under_test.run("rm -q d") == ""
    assert under_test.run("ls d") == "ls: File Not Found - 'FS0:\\'\n"
    assert under_test.run("cp a.txt a.txt") == "cp: The source and destination are the same.\n"


def test_copying_asks_before_it_overwrites_and_takes_no_for_an_answer(under_test: ShellUnderTest) -> None:
    under_test.put("a.txt", "alpha")
    under_test.put("b.txt", "beta")
    under_test.shell.ask = lambda prompt: "n"
    assert "Overwrite?" in under_test.run("cp a.txt b.txt")
    assert under_test.run("type b.txt") == "beta\n"
    under_test.run("cp -q a.txt b.txt")
    assert under_test.run("type b.txt") == "alpha\n"


def test_a_directory_cannot_move_into_itself_nor_away_under_the_person(under_test: ShellUnderTest) -> None:
    under_test.run("mkdir d\\e")
    assert "into itself" in under_test.run("mv d d\\e")
    assert "Cannot move current" in under_test.run("cd d\\e", "mv \\d \\x")
    assert "Invalid target" in under_test.run("rm -q \\d")


def test_read_only_files_are_neither_deleted_nor_overwritten(under_test: ShellUnderTest) -> None:
    under_test.put("a.txt", "x")
    assert under_test.run("attrib +r a.txt", "attrib a.txt") == "Attrib:  A  R a.txt\n"
    assert "Access Denied" in under_test.run("rm -q a.txt")
    assert under_test.shell.last_error_code == 0xF


def test_ls_shows_hidden_files_only_when_asked(under_test: ShellUnderTest) -> None:
    under_test.put("a.txt", "x")
    under_test.run("attrib +h a.txt")
    assert "a.txt" not in under_test.run("ls")
    assert "a.txt" in under_test.run("ls -a")
    assert "a.txt" in under_test.run("ls -ah")
    assert under_test.run("ls -as *") == "ls: File Not Found - 'FS0:\\'\n"


def test_setsize_cuts_and_grows(under_test: ShellUnderTest) -> None:
    under_test.put("a", "abcdef")
    assert under_test.run("setsize 2 a") == "Size changed on 'a'.\n"
    assert under_test.files.read(["a"]) == b"ab"
    under_test.run("setsize 0x4 a")
    assert under_test.files.read(["a"]) == b"ab\0\0"


def test_touch_takes_the_virtual_clock(under_test: ShellUnderTest) -> None:
    under_test.put("a.txt", "x")
    under_test.run("date 02/29/2024", "time 01:02:03", "stall 2000000", "touch a.txt")
    assert "02/29/2024  01:02" in under_test.run("ls a.txt")
    assert under_test.run("time") == "01:02:05 (LOCAL)\n"


@pytest.mark.parametrize("value", ["13/01/2024", "02/30/2024", "02/29/2023", "1/1", "x/1/2024", "01/01/2100"])
def test_days_that_do_not_exist_are_refused(under_test: ShellUnderTest, value: str) -> None:
    assert under_test.run(f"date {value}") == f"date: Invalid argument - '{value}'\n"


def test_a_second_file_system_is_another_drive(under_test: ShellUnderTest) -> None:
    other = MemoryFileSystem("OTHER")
    other.write_file("x.txt", b"other")
    under_test.shell.mount(other)
    assert under_test.run("fs1:", "type x.txt") == "other\n"
    assert under_test.run("fs0:", "cp fs1:\\x.txt .", "type x.txt").endswith("other\n")
    assert "FS1: Alias(s):F0b65535a:;BLK1:" in under_test.run("map")
    assert under_test.run("map my fs1:", "type my:\\x.txt").endswith("other\n")
    assert under_test.run("mv x.txt fs1:\\y.txt", "type fs1:\\y.txt").endswith("- [ok]\nother\n")


def test_a_large_file_is_typed_whole_with_line_ends_across_pieces(under_test: ShellUnderTest) -> None:
    line = "0123456789" * 4 + "\r\n"  # 42 bytes, which do not divide a piece
    text = line * 5000 + "x\ry\r"
    under_test.files.write_file("big.txt", text.encode())
    under_test.files.write_file("wide.txt", b"\xff\xfe" + text.encode("utf-16-le"))
    expected = text.replace("\r\n", "\n") + "\n"
    assert under_test.run("type big.txt") == expected
    assert under_test.run("type wide.txt") == expected
    assert under_test.run("cp big.txt copy.txt", "comp big.txt copy.txt").endswith("[no differences encountered]\n")


def test_the_root_itself_cannot_be_moved(under_test: ShellUnderTest, tmp_path: Path) -> None:
    assert "Access Denied" in under_test.run("mv \\ x") or "Cannot move" in under_test.run("mv \\ x")
    for filesystem in (under_test.files, HostFolder(str(tmp_path), writable=True)):
        with pytest.raises(FileSystemError):
            filesystem.rename((), ("x",))


def test_special_files_of_the_host_do_not_exist_for_the_shell(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nsh")
    os.symlink("/dev/zero", tmp_path / "zero")
    shell = host_shell(tmp_path)
    assert run(shell, "ls").endswith("0 File(s)           0 bytes\n          0 Dir(s)\n")
    assert run(shell, "type pipe.nsh") == "type: Cannot open file - 'pipe.nsh'\n"
    assert "not recognized" in run(shell, "pipe.nsh")


def test_a_write_that_the_host_cuts_short_is_completed() -> None:
    class Short(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data)[:3])

    short = Short()
    HostWriter(short).write(b"abcdefgh")
    assert short.getvalue() == b"abcdefgh"


def test_a_host_that_takes_nothing_more_is_full() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            return 0

    with pytest.raises(FileSystemError) as caught:
        HostWriter(Full()).write(b"x")
    assert caught.value.status is EfiStatus.EFI_VOLUME_FULL
