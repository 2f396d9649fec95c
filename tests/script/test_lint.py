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


def severities(text: str, programs: frozenset[str] = frozenset()) -> list[tuple[int, str]]:
    return [(finding.line, str(finding.severity)) for finding in lint(text, "x.nsh", programs)]


def test_a_program_called_without_its_ending_is_a_note_or_nothing() -> None:
    assert severities("ifu payload.bin 128") == [(1, "note")]
    assert severities("ifu payload.bin 128", frozenset({"ifu"})) == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("if not %LastError% == 0 then\nendif", "names are case-sensitive, did you mean 'lasterror'?"),
        ("set Size 5\necho %size%", "did you mean 'Size'?"),
        ('for %i run (1 3)\n  set root "fs%i%:"\nendfor', "is written %i, not %i%"),
        ("goto: END\n:END", "'goto:' is taken for a mapping and ends the script"),
        ("goto:END\n:END", "is taken for a mapping"),
        ("echo: hello", "is taken for a mapping"),
    ],
)
def test_what_really_ends_or_breaks_a_script_is_an_error(text: str, part: str) -> None:
    errors = [finding.message for finding in lint(text, "x.nsh") if finding.severity == "error"]
    assert any(part in message for message in errors)


def test_what_may_be_right_elsewhere_is_a_warning() -> None:
    assert severities("echo %nope%") == [(1, "warning")]  # a variable may be set before the script runs
    assert severities(":a\n:A") == [(2, "warning")]


def test_a_mapping_is_no_mistake() -> None:
    assert severities("fs0:\nblk1:\nFS1:\\dir\\tool.efi") == []


def of_variables(text: str) -> list[tuple[int, str]]:
    return [(finding.line, str(finding.severity)) for finding in lint(text, "x.nsh") if "variable" in finding.message]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("echo %nope%", [(1, "warning")]),
        ("parser.efi -a\necho %nope%", [(2, "note")]),  # the program may set it
        ("sub\\setup.nsh\necho %nope%", [(2, "note")]),
        ('if "%nope%" == "" then\necho none\nelse\necho %nope%\nendif', []),  # the script knows that it may not be set
        ("if not '' eq %nope% then\nendif", [(1, "warning")]),  # that is a quote of another kind
        ("\\EFI\\%%NAME%%-recovery.efi %%CMDLINE%%", []),  # marks of a template
        ('set open x\ntype "%open%', [(2, "warning")]),  # its value may hold the other quote
        ("set greeting hello\nsetup.nsh\necho %greetin%", [(3, "warning")]),  # a slip of the pen all the same
    ],
)
def test_a_variable_that_something_else_may_set_is_no_fault(text: str, found: list[tuple[int, str]]) -> None:
    """The forms of scripts of SystemReady, arch-secure-boot and edk2 that alarmed in vain."""
    assert of_variables(text) == found
