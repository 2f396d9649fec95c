"""Findings of the linter."""

from __future__ import annotations

import pytest

from tdvfsh.commands.lint_facts import lint
from tdvfsh.script.lint import Finding, lint_script


def messages(text: str) -> list[tuple[int, int, str]]:
    return [(finding.line, finding.column, finding.message) for finding in lint(text, "x.nsh")]


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("nosuch a", 1, 1, "'nosuch' is not a command"),
        ("  ls -q", 1, 6, "'ls' has no option '-q'"),
        ("if 1 eq 1 then\necho x", 1, 1, "no matching 'endif'"),
        ("endfor", 1, 1, "no matching 'for'"),
        ("else", 1, 1, "no matching 'if'"),
        ("goto away", 1, 6, "no label ':away'"),
        (":a\n:A", 2, 1, "stands in line 1 already"),
        ("echo %nope%", 1, 6, "'nope' is never set"),
        ("if 1 eq 1\nendif", 1, 1, "needs 'then'"),
        ("if 1 eq 1 then echo\nendif", 1, 16, "nothing may follow 'then'"),
        ('echo "open', 1, 6, "never closed"),
        ("for a in 1 2\nendfor", 1, 5, "not a loop variable"),
        ("ls -sfo | prase T 1", 1, 11, "'prase' is not a command"),
        ("if 1 eq 1 then\nfor %a in 1\nendif\nendfor", 3, 1, "'endif' has no matching 'if'"),
    ],
)
def test_a_mistake_is_found_where_it_stands(text: str, line: int, column: int, part: str) -> None:
    assert any(found[:2] == (line, column) and part in found[2] for found in messages(text))


def test_a_script_that_is_right_has_no_findings() -> None:
    script = """@echo -off
# comment with %odd names
set -v size 5
for %i run (1 %size%)
  if %i == 3 then
    goto done
  else
    echo %i ^%kept^% ^# text
  endif
endfor
:done
ls -sfo | parse FileInfo 2
ver -s >v version
echo %version% -1
fs0:\\other.nsh %1
md new
"""
    assert messages(script) == []


def test_options_are_not_checked_where_nothing_is_known_of_them() -> None:
    assert lint_script("mine -x", {"mine": None}) == []
    assert lint_script("mine -x", {"mine": lambda word: False}, file="f") == [
        Finding("f", 1, 6, "'mine' has no option '-x'")
    ]
