"""What a user types, key by key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.machine import TdOptions
from tdvfsh.shell.drives.hostfolder import HostFolder
from tests.ui.conftest import User, When

_UP, _F1, _F7, _INSERT, _HOME, _RIGHT = "\x1b[A", "\x1bOP", "\x1b[18~", "\x1b[2~", "\x1b[H", "\x1b[C"


def _pasted(text: str) -> str:
    return f"\x1b[200~{text}\x1b[201~"


def test_a_line_runs_when_enter_is_pressed(user: User) -> None:
    assert user.type("echo hello\r") == "hello\n"
    assert user.status == 0


def test_exit_leaves_with_its_code(user: User) -> None:
    user.type("exit 7\r")
    assert user.status == 7


def test_ctrl_c_drops_the_typed_line_and_keeps_the_shell(user: User) -> None:
    assert user.type("echo no\x03echo yes\r") == "yes\n"


def test_tab_completes_a_command_that_is_alone(user: User) -> None:
    assert user.type("ech\t yes\r") == "yes\n"


def test_tab_completes_a_path_of_another_case(user: User) -> None:
    user.put("Kernel.txt", "content\n")
    assert "content" in user.type("type FS0:\\ker\t\r")


def test_enter_in_the_menu_takes_the_choice_and_a_second_one_runs_it(user: User) -> None:
    user.put("one-a.txt", "first\n")
    user.put("one-b.txt", "second\n")
    menu = When(line="type one-", menu=True)
    assert "second" in user.type("type one\t", menu, "\t\t\r\r")


def test_a_variable_completes_between_percent_signs(user: User) -> None:
    assert user.type("echo %lasterr\t\r") == "0x0\n"


def test_an_address_that_was_printed_completes(user: User) -> None:
    assert user.type("echo 000000007FFE0000\recho 0x7F\t\r").splitlines()[1] == "0x7FFE0000"


def test_up_brings_the_last_line_back(user: User) -> None:
    assert user.type("echo one\r", When("one\n"), f"{_UP}\r") == "one\none\n"


def test_up_behind_a_few_letters_finds_the_last_line_that_begins_so(user: User) -> None:
    user.type("echo one\rset -v x 1\r")
    assert user.type(When(), f"ec{_UP}\r") == "one\n"


def test_ctrl_r_searches_the_history(user: User) -> None:
    user.type("echo one\recho two\r")
    assert user.type(When(), "\x12one\r\r") == "one\n"


def test_the_suggestion_from_history_is_taken_with_the_right_arrow(user: User) -> None:
    user.type("echo one two\r")
    assert user.type("echo o", When(line="echo o", suggests="ne two"), f"{_RIGHT}\r") == "one two\n"


def test_history_is_there_in_the_next_run(user: User) -> None:
    user.type("echo kept\r")
    assert user.type(When(), f"{_UP}\r") == "kept\n"


def test_f1_helps_with_the_word_under_the_cursor_and_keeps_the_line(user: User) -> None:
    printed = user.type(f"type{_F1}\r")
    assert "TYPE [-a|-u] file..." in printed
    assert printed.endswith("type: Too few arguments\n")


def test_f7_prints_the_history_and_starts_a_new_line(user: User) -> None:
    listed = When("one\n    1. echo one\n")
    assert user.type(f"echo one\rhalf{_F7}", listed, "echo two\r") == "one\n    1. echo one\ntwo\n"


def test_escape_clears_the_line(user: User) -> None:
    assert user.type("echo no\x1b" + _HOME + "echo yes\r") == "yes\n"


def test_insert_switches_to_overwriting_and_back(user: User) -> None:
    assert user.type(f"echo abcd{_HOME}{_RIGHT * 5}{_INSERT}XY{_INSERT}z\r") == "XYzcd\n"


def test_a_paste_of_lines_runs_line_by_line_and_leaves_the_unfinished_one(user: User) -> None:
    printed = user.type(_pasted("echo one\r\necho two\r\necho th") + "ree\r")
    assert printed == "one\nFS0:\\> echo two\ntwo\nthree\n"


def test_a_paste_goes_in_at_the_cursor(user: User) -> None:
    printed = user.type(f"echo ad{_HOME}{_RIGHT * 6}" + _pasted("b\necho c") + "\r")
    assert printed == "ab\ncd\n"


def test_a_paste_without_an_end_of_line_waits(user: User) -> None:
    assert user.type(_pasted("echo pasted") + " and typed\r") == "pasted and typed\n"


def test_pasted_lines_are_in_the_history(user: User) -> None:
    user.type(_pasted("echo one\necho two\n"))
    assert user.history.read_text().splitlines() == ["echo one", "echo two"]


@pytest.mark.parametrize("key", ["q", "Q"])
def test_q_at_the_page_break_drops_the_rest(user: User, key: str) -> None:
    user.put("long.txt", "".join(f"line {number}\r\n" for number in range(100)))
    printed = user.type(f"type -b long.txt\r{key}echo on\r")
    assert printed.count("Press ENTER to continue or 'Q' break:") == 1
    assert "line 22\n" in printed
    assert "line 23\n" not in printed
    assert printed.endswith("on\n")


def test_enter_at_the_page_break_shows_the_next_screen(user: User) -> None:
    user.put("long.txt", "".join(f"line {number}\r\n" for number in range(60)))
    printed = user.type("type -b long.txt\r\r\recho on\r")
    assert printed.count("Press ENTER to continue or 'Q' break:") == 2
    assert "line 59\n" in printed


def test_ctrl_c_at_the_page_break_stops_the_command(user: User) -> None:
    user.put("long.txt", "".join(f"line {number}\r\n" for number in range(60)))
    printed = user.type("type -b long.txt\r\x03echo on %lasterror%\r")
    assert printed.endswith("Command Error Status: Aborted\non 0x15\n")


def test_pause_waits_for_one_key(user: User) -> None:
    user.put("wait.nsh", "@echo -off\npause\necho went on\n")
    assert "went on" in user.type("wait\rx")
    assert "went on" not in user.type("wait\rq")


def test_a_file_without_an_end_of_line_does_not_push_the_prompt(user: User) -> None:
    user.put("open.txt", "no end")
    assert user.type("type open.txt\recho next\r").endswith("no end\nnext\n")


def test_control_characters_of_a_file_reach_no_terminal(user: User) -> None:
    user.shell.environment.set_internal("evil", "a\x1b[2Jb")
    assert user.type("echo %evil%\r") == "a\\x1b[2Jb\n"


def test_a_fault_of_a_command_keeps_the_shell(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> bool:
        raise ValueError("broken on purpose")

    monkeypatch.setattr(user.shell, "change_drive", broken)
    printed = user.type("fs0:\recho on\r")
    assert printed == "tdvfsh: internal error: ValueError: broken on purpose\non\n"


def test_a_td_that_does_not_start_leaves_a_prompt_that_works(user: User) -> None:
    user.shell.td_options = TdOptions(accept=parse_boot_accept("4K"))
    assert user.type("echo on\r") == "on\n"
    assert user.shell.machine is None


def test_completion_in_a_folder_that_vanished_finds_nothing(user: User, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    user.shell.mount(HostFolder(str(folder)))
    folder.rmdir()
    assert user.type("echo FS1:\\x\t\r") == "FS1:\\x\n"


def test_completion_that_fails_keeps_the_line(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str, cursor: int) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(user.shell, "complete", broken)
    assert user.type("echo x\ty\r") == "xy\n"


@pytest.mark.parametrize(
    ("typed", "prints"),
    [("help mem\t", "MEMMAP [-b]"), ("memmap -s\t", "ShellCommand"), ("bs AllocatePo\t", "AllocatePool")],
)
def test_words_complete_by_what_the_command_takes(user: User, typed: str, prints: str) -> None:
    assert prints in user.type(f"{typed}\r")
