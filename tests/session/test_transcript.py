"""Transcripts as text: what is written is what is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.errors import FormatError
from tdvfsh.session.transcript import Step, Transcript, parse_transcript

AWKWARD = st.lists(
    st.sampled_from(
        ["\\ no newline", "\\", "FS0:\\> x", "Shell> y", "< z", "? \"k\"", "= run [\"a\"]", "# version: 9", "plain", "",
         "\r", "FS0:\\w\\>", "> a"]
    ),
    max_size=5,
).flatmap(lambda lines: st.sampled_from(["\n".join(lines), "\n".join([*lines, ""])]))  # fmt: skip
LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20)
TYPED = st.builds(
    Step, st.sampled_from(["FS0:\\> ", "FS1:\\a b\\> ", "Shell> "]), LINES, output=AWKWARD,
    answers=st.lists(LINES, max_size=2),
)  # fmt: skip
SCRIPTS = st.builds(
    Step, st.just(""), AWKWARD.map(lambda text: text.removesuffix("\n")), st.sampled_from(["run", "input"]),
    st.lists(LINES, min_size=1, max_size=3).map(tuple), AWKWARD,
)  # fmt: skip


@given(st.lists(st.one_of(TYPED, SCRIPTS), max_size=5))
def test_whatever_a_session_prints_comes_back(steps: list[Step]) -> None:
    written = Transcript([("version", "0.1.0"), ("options", "{}")], steps)
    found = parse_transcript(written.text(), "t.tdt")
    assert found == written
    assert found.text() == written.text()


def test_a_person_can_read_it() -> None:
    step = Step("FS0:\\> ", "echo hi", output="hi\n")
    assert Transcript([("version", "1")], [step]).text() == "# tdvfsh transcript 1\n# version: 1\nFS0:\\> echo hi\nhi\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a transcript"),
        ("hello\n", "not a transcript"),
        ("# tdvfsh transcript 2\n", "a transcript of version 2; this tdvfsh reads up to 1"),
        ("# tdvfsh transcript one\n", "a transcript of version one"),
        ("# tdvfsh transcript 1\n# version: 1\noutput\n", "line 3 is output of no command"),
        ("# tdvfsh transcript 1\nFS0:\\> a\n? x\n", "the answer in line 3: not JSON"),
        ("# tdvfsh transcript 1\n= run []\n", "line 2 names no script"),
    ],
)
def test_what_is_none_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        parse_transcript(text, "t.tdt")


def test_an_editor_that_cuts_blanks_and_the_last_end_of_line_does_no_harm() -> None:
    found = parse_transcript("# tdvfsh transcript 1\nFS0:\\>\nFS0:\\> td\nRAM", "t.tdt")
    assert [(step.line, step.output) for step in found.steps] == [("", ""), ("td", "RAM\n")]
