"""Parts of a typed line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.shell.shell import Shell
from tdvfsh.ui.highlight import highlight

_SHELL = Shell()


@given(st.text(st.characters(exclude_characters="\n")))
def test_the_parts_joined_are_the_line(line: str) -> None:
    assert "".join(text for _, text in highlight(_SHELL, line)) == line


@pytest.mark.parametrize(
    ("line", "part", "style"),
    [
        ("memmap -b", "memmap", "class:command"),
        ("MEMMAP", "MEMMAP", "class:command"),
        ("@echo on", "@echo", "class:command"),
        ("copy a b", "copy", "class:command"),
        ("nosuch a", "nosuch", ""),
        ("echo memmap", "memmap", ""),
        ("ls | parse a", "parse", "class:command"),
        ("ls -sfo |a parse x", "|a", "class:operator"),
        ("ls -r", "-r", "class:option"),
        ('echo "a # b" c', '"a # b"', "class:string"),
        ("echo a # c d", "# c d", "class:comment"),
        ("echo ^# no", "^#", "class:escape"),
        ("echo %lasterror%", "%lasterror%", "class:variable"),
        ("dmem 0x1000 20", "0x1000", "class:number"),
        ("ls >> out.txt", ">>", "class:operator"),
        ("ls 2>>a err", "2>>a", "class:operator"),
    ],
)
def test_each_kind_of_word_has_its_style(line: str, part: str, style: str) -> None:
    assert (style, part) in highlight(_SHELL, line)
