"""Where edk2 looks for a path: in front of it the current directory, in it slashes."""

from __future__ import annotations

import pytest

from tests.shell.under_test import ShellUnderTest


@pytest.fixture
def tree(under_test: ShellUnderTest) -> ShellUnderTest:
    """Files in FS0:\\w, which is the current directory."""
    for name in ("w\\t\\a.txt", "w\\t\\b.txt", "w\\t\\sub\\one.dat", "w\\empty\\none.txt"):
        under_test.put(name, "x")
    under_test.run("cd w")
    return under_test


def directory(path: str, files: int, folders: int) -> tuple[str, str, str]:
    return (
        f"Directory of: {path}\n",
        f"{files:>11,} File(s) {files:>11,} bytes\n",
        f"{folders:>11,} Dir(s)\n",
    )


def test_ls_puts_the_current_directory_before_a_path_from_the_root(tree: ShellUnderTest) -> None:
    assert tree.run("ls \\w\\t\\sub") == "".join(directory("FS0:\\w\\w\\t\\sub", 0, 0))
    assert tree.run("ls \\w\\t\\*.txt", "echo %lasterror%") == "ls: File Not Found - 'FS0:\\w\\\\w\\t\\'\n0xE\n"
    assert tree.run("ls \\") == tree.run("ls")
    assert tree.run("ls fs0:\\w\\t").startswith("Directory of: fs0:\\w\\t\\\n")


def test_ls_takes_a_slash_for_a_pattern_of_one_name(tree: ShellUnderTest) -> None:
    first, *rest = directory("FS0:\\w\\t\\", 0, 1)
    shown = tree.run("ls t/sub")
    assert shown.startswith(first)
    assert shown.endswith("  sub\n" + "".join(rest))
    assert tree.run("ls t/").startswith("Directory of: FS0:\\w\\\n")
    assert tree.run("ls t/").count("\n") == 4


def test_a_program_or_script_with_a_slash_is_not_found(tree: ShellUnderTest) -> None:
    tree.put("w\\t\\x.nsh", "echo ran")
    assert tree.run("t\\x.nsh") == "ran\n"
    assert "'t/x.nsh' is not recognized" in tree.run("t/x.nsh")
    assert "'fs0:/w/t/x.nsh' is not recognized" in tree.run("fs0:/w/t/x.nsh")
    assert tree.shell.last_error_code == 0xE


def test_files_opened_by_name_have_no_slashes_and_patterns_do(tree: ShellUnderTest) -> None:
    missing = "comp: File not found - 't/a.txt'\ncomp: File not found - 't/b.txt'\n"
    assert tree.run("comp t/a.txt t/b.txt") == missing
    assert "Unable to redirect file.\n" in tree.run("echo a >a t/new.txt")
    assert tree.run("parse t/a.txt T 2") == "parse: Cannot open file - 't/a.txt'\n"
    assert tree.run("type t/a.txt") == "x\n"
    assert tree.run("attrib t/a.txt") == "Attrib:  A    a.txt\n"
    assert tree.run("cp t/a.txt t/sub") == "Copying FS0:\\w\\t\\a.txt -> FS0:\\w\\t\\sub\\a.txt\n- [ok]\n"


def test_a_folder_in_a_pattern_where_nothing_fits_ends_the_search(tree: ShellUnderTest) -> None:
    assert tree.run("ls -b *\\*.txt").startswith("Directory of: FS0:\\w\\*\\\n")
    assert tree.run("ls -b *\\a*.txt", "echo %lasterror%") == "ls: File Not Found - 'FS0:\\w\\*\\'\n0xE\n"
    assert tree.run("cp *\\a*.txt x") == "cp: File not found - '*\\a*.txt'\n"
    assert "FS0:\\w\\t\\a.txt" in tree.run("cp ?\\a*.txt x")


def test_an_unknown_drive_is_a_file_that_cannot_be_made(tree: ShellUnderTest) -> None:
    failed = "The destination file 'fs9:\\x' failed to open with create.\n"
    assert tree.script("@echo -off\ncp t\\a.txt fs9:\\x\necho %lasterror%") == f"cp: {failed}0xF\n"
    assert tree.run("mv t\\a.txt fs9:\\x") == f"Moving FS0:\\w\\t\\a.txt -> fs9:\\x\nmv: {failed}"
    assert tree.run("setsize 4 fs9:\\x") == "setsize: File not specified\n"


def test_cp_says_ok_once_for_all_files(tree: ShellUnderTest) -> None:
    assert tree.script("@echo -off\ncp -q t\\*.txt empty") == "- [ok]\n"


def test_mv_drops_the_drive_from_the_destination_after_the_first_file(tree: ShellUnderTest) -> None:
    assert tree.run("mv t\\*.txt empty") == (
        "Moving FS0:\\w\\t\\a.txt -> FS0:\\w\\empty\\a.txt\n- [ok]\n"
        "Moving FS0:\\w\\t\\b.txt -> \\w\\empty\\b.txt\n- [ok]\n"
    )


def test_cd_shows_the_directory_behind_an_unknown_flag(tree: ShellUnderTest) -> None:
    assert tree.run("cd /nope", "echo %lasterror%") == "cd: Unknown flag - '/nope'\nFS0:\\w\n0x2\n"
    assert tree.run("cd -x") == "cd: Unknown flag - '-x'\nFS0:\\w\n"
    assert tree.run("cd a b") == "cd: Too many arguments.\n"


def test_a_directory_onto_its_own_parent_and_into_itself(tree: ShellUnderTest) -> None:
    assert tree.run("cp -r t\\sub t") == "cp: The destination is a parent of the source.\n"
    tree.run("mkdir t\\sub\\deep")
    assert tree.run("cp -r t\\sub t\\sub\\deep") == "cp: The source and destination are the same.\n"
    assert tree.run("cp -r t\\sub t\\a.txt") == "cp: 'FS0:\\w\\t\\a.txt' is not a directory.\n"
