"""Whatever is typed or scripted, the shell answers and goes on."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tdvfsh.commands.lint_facts import lint
from tests.shell.under_test import ShellUnderTest

WORDS = (
    "alias attrib bcfg cd cls comp cp date dmpstore echo exit for if else endif endfor goto help load ls map mkdir",
    "mode mv parse pause reset rm set setvar shift stall time timezone touch type unload ver vol nosuch x.nsh t.txt",
    "fs0: fs0:\\ \\ .. . * ? [ % %a %a% %lasterror% -r -q -sfo -d -v -s -l -n -i -t -a -ad /i /s in run (1 3) then",
    "== eq and or not exist isint(1) efierror(1) 0 1 0x10 -1 # @ @echo -off :l l /b -? -b = =00 +r 99/99 1:2",
    'é " "a ^ | || > >a >v >> < <v 2>',
)
LINES = st.lists(st.sampled_from(" ".join(WORDS).split()), min_size=1, max_size=6).map(" ".join)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINES, min_size=1, max_size=6))
def test_any_lines_are_answered(lines: list[str]) -> None:
    under_test = ShellUnderTest()
    under_test.put("t.txt", "a\nb\n")
    count = 0

    def interrupted() -> bool:
        nonlocal count
        count += 1
        return count > 500

    under_test.shell.interrupted = interrupted
    for line in lines:
        under_test.run(line)
        under_test.shell.complete(line, len(line) // 2)
    text = "\n".join(lines)
    count = 0
    under_test.script(text)
    lint(text, "x.nsh")
    under_test.shell.interrupted = None
    assert under_test.run("echo still on").endswith("still on\n") or under_test.shell.alias_of("echo")
