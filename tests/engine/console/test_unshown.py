"""What a guest prints never moves the cursor of the terminal but by EFI's own services."""

from __future__ import annotations

from io import StringIO

import pytest

from tdvfsh.engine.console.screen import AnsiDisplay, Screen, TranscriptDisplay

HARMFUL = ["\x7f", "\x80", "\x9b31m", "\x9d", "\u061c", "\u200e", "\u202e", "\u2066", "\u2069", "\u200b", "\ud800"]


@pytest.mark.parametrize("text", HARMFUL)
@pytest.mark.parametrize("display", [TranscriptDisplay, AnsiDisplay])
def test_controls_and_marks_of_direction_show_as_an_unknown_glyph(
    text: str, display: type[TranscriptDisplay | AnsiDisplay]
) -> None:
    output = StringIO()
    screen = Screen(display(output))
    screen.write(f"a{text}b")
    assert output.getvalue().endswith(f"a?{text[1:]}b")
    assert screen.lines()[0] == f"a?{text[1:]}b"
    assert screen.column == len(text) + 2


def test_text_of_all_languages_stays() -> None:
    output = StringIO()
    Screen(TranscriptDisplay(output)).write("é中ё—½\u00a0x")
    assert output.getvalue() == "é中ё—½\u00a0x"
