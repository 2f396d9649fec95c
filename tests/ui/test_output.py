"""Text on its way to a terminal, a pipe, a file."""

from __future__ import annotations

from io import BytesIO, StringIO, TextIOWrapper

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.ui.output import PlainSink, TerminalSink, colour_rows, escape_controls

_ROW = "Unaccepted 0000000020000000-000000007FFFFFFF 0000000000060000 0000000000000000\n"


@given(st.text())
def test_nothing_that_moves_the_cursor_gets_through(text: str) -> None:
    shown = escape_controls(text)
    assert all(character in "\n\t" or ord(character) >= 0x20 for character in shown)
    assert not any(0x7F <= ord(character) < 0xA0 for character in shown)
    shown.encode()


def test_ordinary_text_stays_as_it_is() -> None:
    assert escape_controls("Größe\t4 KiB █ 日本\n") == "Größe\t4 KiB █ 日本\n"


@pytest.mark.parametrize(
    ("raw", "shown"), [("\x1b[2J", "\\x1b[2J"), ("\x9b", "\\x9b"), ("\udce9", "\\udce9"), ("\r", "\\x0d")]
)
def test_control_characters_and_lone_surrogates_are_spelled(raw: str, shown: str) -> None:
    assert escape_controls(raw) == shown


def test_a_row_of_memmap_is_coloured_by_its_type() -> None:
    assert colour_rows(_ROW) == f"\x1b[31m{_ROW[:-1]}\x1b[0m\n"
    assert colour_rows("Unaccepted:        1 Pages (4,096 Bytes)\n") == "Unaccepted:        1 Pages (4,096 Bytes)\n"


def test_a_row_that_does_not_begin_a_line_is_not_coloured() -> None:
    stream = StringIO()
    sink = TerminalSink(stream, colours=True)
    sink.write("echoed: ")
    sink.write(_ROW)
    assert "\x1b" not in stream.getvalue()
    sink.write(_ROW)
    assert stream.getvalue().endswith("\x1b[0m\n")


def test_the_column_counts_from_the_last_end_of_line() -> None:
    sink = TerminalSink(StringIO())
    sink.write("one\ntwo")
    sink.write(" three")
    assert sink.column == 9
    sink.write("\n")
    assert sink.column == 0


def test_what_an_encoding_lacks_is_spelled_and_never_an_error() -> None:
    raw = BytesIO()
    stream = TextIOWrapper(raw, encoding="ascii", write_through=True)
    PlainSink(stream).write("Größe \udce9 █\n")
    TerminalSink(stream).write("█\n")
    assert raw.getvalue() == b"Gr\\xf6\\xdfe \\udce9 \\u2588\n\\u2588\n"


def test_a_pipe_gets_control_characters_as_they_are() -> None:
    stream = StringIO()
    PlainSink(stream).write("a\x1b[2Jb\r\n")
    assert stream.getvalue() == "a\x1b[2Jb\r\n"


def test_cls_sets_colours_only_where_there_are_any() -> None:
    coloured, plain = StringIO(), StringIO()
    sink = TerminalSink(coloured, colours=True)
    sink.clear(1, 14)
    sink.write("x")
    assert coloured.getvalue() == "\x1b[44m\x1b[93m\x1b[H\x1b[2J\x1b[0m\x1b[44m\x1b[93mx\x1b[0m"
    TerminalSink(plain).clear(1, 14)
    assert plain.getvalue() == "\x1b[H\x1b[2J"


def test_a_person_who_wants_to_stop_is_heard_before_a_write() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    stream = StringIO()
    sink = TerminalSink(stream)
    sink.before_write = stop
    with pytest.raises(KeyboardInterrupt):
        sink.write("x")
    assert stream.getvalue() == ""


def test_what_a_backspace_takes_back_is_not_shown() -> None:
    stream = StringIO()
    TerminalSink(stream).write("a^\b%N\n\b")
    assert stream.getvalue() == "a%N\n\\x08"
