"""The whole shell in a pseudo-terminal, as a user sees it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.ui.conftest import Start

pytestmark = pytest.mark.terminal

_PROMPT = r"FS0:\\> *$"
_UP, _RIGHT, _F1, _F7 = "\x1bOA", "\x1bOC", "\x1bOP", "\x1b[18~"


def test_the_banner_names_versions_and_drives(start: Start) -> None:
    shown = start().until(_PROMPT)
    assert "UEFI Interactive Shell v2.2" in shown
    assert "FS0: Alias(s):" in shown


def test_the_toolbar_shows_memory_clock_and_lasterror(start: Start) -> None:
    terminal = start(columns=120)
    terminal.until(r"█+▓+░+ \S+ MiB used, \S+ MiB free, 3.50 GiB unaccepted of 4 GiB \| 1\.\d{3} s \| lasterror 0x0")
    terminal.send("nosuch\r")
    terminal.until("lasterror 0xE")


def test_a_locale_without_utf8_gets_an_ascii_bar(start: Start) -> None:
    terminal = start(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    terminal.until(r" #+=+\.+ .*\| lasterror 0x0")
    terminal.send("echo f\r")
    terminal.until(r"^f$")
    terminal.send("\x04")
    assert terminal.end() == 0


def test_the_completion_menu_opens_with_tab(start: Start) -> None:
    terminal = start()
    terminal.until(_PROMPT)
    terminal.send("help m\t")
    shown = terminal.until(r"\bmv\b")
    assert "command" in shown
    assert "mkdir" in shown


def test_ctrl_c_stops_a_goto_loop_and_keeps_the_shell(start: Start, tmp_path: Path) -> None:
    (tmp_path / "disk" / "loop.nsh").write_text("@echo -off\necho begun\n:again\ngoto again\n")
    terminal = start()
    terminal.until(_PROMPT)
    terminal.send("loop\r")
    terminal.until("^begun$")
    terminal.send("\x03")
    terminal.until("Command Error Status: Aborted")
    terminal.send("echo still %lasterror%\r")
    terminal.until("^still 0x15$")


def test_ctrl_c_stops_output_without_end(start: Start, tmp_path: Path) -> None:
    (tmp_path / "disk" / "loop.nsh").write_text("@echo -off\n:again\necho more and more\ngoto again\n")
    terminal = start()
    terminal.until(_PROMPT)
    terminal.send("loop\r")
    terminal.until("^more and more$")
    terminal.send("\x03")
    terminal.until("Command Error Status: Aborted")
    terminal.send("\x04")
    assert terminal.end() == 0


def test_ctrl_c_at_the_prompt_drops_the_line(start: Start) -> None:
    terminal = start()
    terminal.until(_PROMPT)
    terminal.send("half a line")
    terminal.until("half a line$")
    terminal.send("\x03")
    terminal.until(r"half a line\n" + _PROMPT)


def test_ctrl_d_leaves_with_0(start: Start) -> None:
    terminal = start()
    terminal.until(_PROMPT)
    terminal.send("\x04")
    assert terminal.end() == 0


def test_a_long_script_can_be_pasted(start: Start) -> None:
    terminal = start()
    terminal.until(_PROMPT)
    terminal.paste("".join(f"echo line {number}\n" for number in range(300)) + "echo last")
    terminal.until(r"^line 299\nFS0:\\> echo last$")
    terminal.send(" one\r")
    terminal.until("^last one$")
    assert len(re.findall(rb"(?<!echo )line \d+\r\n", terminal.raw)) == 300


def test_ctrl_c_drops_the_rest_of_a_paste(start: Start, tmp_path: Path) -> None:
    (tmp_path / "disk" / "loop.nsh").write_text("@echo -off\necho begun\n:again\ngoto again\n")
    terminal = start()
    terminal.until(_PROMPT)
    terminal.paste("loop\necho a\necho b\n")
    terminal.until("^begun$")
    terminal.send("\x03")
    assert "\na\n" not in terminal.until("The rest of the paste, 2 lines, is dropped.")


def test_a_file_of_ten_thousand_lines_is_typed_out(start: Start, tmp_path: Path) -> None:
    (tmp_path / "disk" / "long.txt").write_text("".join(f"line {number}\n" for number in range(10_000)))
    terminal = start()
    terminal.until(_PROMPT)
    terminal.send("type long.txt\r")
    terminal.until(r"^line 9999$")
    terminal.until(_PROMPT)
    assert len(re.findall(rb"line \d+\r\n", terminal.raw)) == 10_000


def test_history_is_kept_across_runs(start: Start) -> None:
    first = start()
    first.until(_PROMPT)
    first.send("echo remember me\r")
    first.until("^remember me$")
    first.send("\x04")
    first.end()
    second = start()
    second.until(_PROMPT)
    second.send(_UP)
    second.until(r"> echo remember me$")
    second.send("\r")
    second.until(r"^remember me$")


def test_two_shells_share_their_history_as_they_go(start: Start) -> None:
    one, two = start(), start()
    one.until(_PROMPT)
    two.until(_PROMPT)
    one.send("echo from one\r")
    one.until("^from one$")
    two.send("echo from two\r")
    two.until("^from two$")
    two.send("echo from o")
    two.until("echo from one$")
    two.send(_RIGHT + "\r")
    two.until("^from one$")


def test_history_that_cannot_be_kept_is_one_line_and_no_more(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    terminal = start(XDG_STATE_HOME=str(tmp_path / "file"), columns=200)
    shown = terminal.until(_PROMPT)
    assert shown.count("tdvfsh: history is not kept:") == 1
    terminal.send("echo goes on\r")
    terminal.until("^goes on$")


def test_a_window_made_narrow_keeps_line_and_toolbar_whole(start: Start) -> None:
    terminal = start(columns=100)
    terminal.until(_PROMPT)
    terminal.send("echo something")
    terminal.until("echo something$")
    terminal.resize(40, 20)
    terminal.until(r"\A(?s:.*)\S MiB.{0,40}\| lasterror 0x0\Z|^ █+▓+░+ .{0,30}lasterror 0x0$")
    terminal.send(" else\r")
    terminal.until("^something else$")


@pytest.mark.parametrize("columns", [12, 20, 30])
def test_a_very_narrow_window_works(start: Start, columns: int) -> None:
    terminal = start(columns=columns)
    terminal.until(_PROMPT)
    terminal.send("echo a\r")
    terminal.until("^a$")


def test_colours_show_and_no_color_takes_them_away(start: Start) -> None:
    colourful = start()
    colourful.until(_PROMPT)
    colourful.send('echo "text" # comment')
    colourful.until("comment$")
    assert {"green", "cyan"} & colourful.colours()
    plain = start(NO_COLOR="1")
    plain.until(_PROMPT)
    plain.send('echo "text" # comment\rmemmap\r')
    plain.until("Total Memory")
    assert not plain.colours()
    assert re.search(rb"\x1b\[[0-9;]*(3|4|9)[0-9][m;]", plain.raw) is None


def test_memmap_has_its_unaccepted_rows_in_red(start: Start) -> None:
    terminal = start(lines=60)
    terminal.until(_PROMPT)
    terminal.send("memmap\r")
    terminal.until("Total Memory")
    assert b"\x1b[31mUnaccepted" in terminal.raw


def test_a_dumb_terminal_gets_plain_lines(start: Start) -> None:
    terminal = start(TERM="dumb")
    terminal.until(r"FS0:\\>")
    terminal.send("echo plain\r")
    terminal.until("^plain$")
    terminal.send("\x04")
    assert terminal.end() == 0
    assert b"\x1b" not in terminal.raw


def test_ctrl_c_works_on_a_dumb_terminal(start: Start, tmp_path: Path) -> None:
    (tmp_path / "disk" / "loop.nsh").write_text("@echo -off\necho begun\n:again\ngoto again\n")
    terminal = start(TERM="dumb")
    terminal.until(r"FS0:\\>")
    terminal.send("half")
    terminal.until("half$")
    terminal.send("\x03")
    terminal.until(r"half(\^C)?\n" + _PROMPT)
    terminal.send("loop\r")
    terminal.until("^begun$")
    terminal.send("\x03")
    terminal.until("Aborted")
    terminal.send("exit 3\r")
    assert terminal.end() == 3


def test_page_break_stops_a_screenful_at_a_time(start: Start, tmp_path: Path) -> None:
    (tmp_path / "disk" / "long.txt").write_text("".join(f"line {number}\n" for number in range(50)))
    terminal = start()
    terminal.until(_PROMPT)
    terminal.send("type -b long.txt\r")
    terminal.until(r"^line 22\nPress ENTER to continue or 'Q' break:$")
    terminal.send("x\r")
    terminal.until(r"^line 45\nPress ENTER to continue or 'Q' break:$")
    terminal.send("q")
    terminal.until(_PROMPT)
    assert b"line 46" not in terminal.raw


def test_f1_and_f7_print_above_the_line(start: Start) -> None:
    terminal = start(lines=50)
    terminal.until(_PROMPT)
    terminal.send("echo one\r")
    terminal.until("^one$")
    terminal.send(f"cls{_F1}")
    terminal.until(r"Clear the screen and(?s:.*)FS0:\\> cls$")
    terminal.send(_F7)
    terminal.until(r"1\. echo one\n" + _PROMPT)


def test_cls_clears_the_screen(start: Start) -> None:
    terminal = start()
    terminal.until(_PROMPT)
    terminal.send("cls\r")
    terminal.until(r"\AFS0:\\> *$")


def test_a_file_name_cannot_turn_the_direction_of_text(start: Start, tmp_path: Path) -> None:
    (tmp_path / "disk" / "evil\u202etxt.exe").touch()
    terminal = start()
    terminal.until(_PROMPT)
    terminal.send("ls\r")
    terminal.until(r"evil\\u202etxt\.exe")
