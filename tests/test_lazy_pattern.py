"""Patterns that are compiled when they are first used."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tdvfsh.lazy_pattern import pattern


def test_a_pattern_does_what_a_compiled_one_does() -> None:
    lazy, compiled = pattern(r"(?im)^(?P<word>[a-z]+) (\d+)"), re.compile(r"(?im)^(?P<word>[a-z]+) (\d+)")
    for text in ("", "a 1", "x\nAb 12 c 3", "1 a"):
        assert [match.span() for match in lazy.finditer(text)] == [match.span() for match in compiled.finditer(text)]
        assert lazy.findall(text) == compiled.findall(text)
        assert lazy.sub("-", text) == compiled.sub("-", text)
        assert bool(lazy.fullmatch(text)) == bool(compiled.fullmatch(text))
    assert (lazy.pattern, lazy.flags, lazy.groups) == (compiled.pattern, compiled.flags, compiled.groups)
    assert pattern(rb"a+").findall(b"aab") == [b"aa"]


def test_an_invalid_pattern_is_refused_when_it_is_used() -> None:
    with pytest.raises(re.error):
        pattern("(").match("")


def test_nothing_is_compiled_before() -> None:
    code = (
        "import sys\n"
        "from tdvfsh.lazy_pattern import pattern\n"
        "word = pattern('a+')\n"
        "before = 're' in sys.modules\n"
        "print(before, word.match('aa').end(), word.match is word.match)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False 2 True\n"
