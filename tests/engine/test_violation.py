"""Reports of stops."""

from __future__ import annotations

from tdvfsh.engine.violation import call_stack_lines


def test_code_that_calls_itself_has_one_line_with_how_often() -> None:
    inner, outer = "loop.efi .text+0x11b4 (0x1cbb01b4)", "shell.efi .text+0x20 (0x1cc00020)"
    assert call_stack_lines([inner, inner, inner, outer]) == [f"called by {inner}, 3 times", f"          {outer}"]


def test_without_callers_there_is_no_line() -> None:
    assert call_stack_lines([]) == []
