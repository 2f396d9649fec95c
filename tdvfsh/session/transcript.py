r"""Transcripts (``*.tdt``): what was typed and what came back, as text.

::

    # tdvfsh transcript 1
    # version: 0.1.0
    # options: {"memory": 2147483648, ...}
    # fs0: .
    # fs1: images
    # image: FS1:\installer-13\linux 12141504 sha256=9b1c...
    FS0:\> memmap
    Type       Start            End              # Pages          Attributes
    ...
    = run ["scripts/tour.nsh"]
    < @echo -off
    < td
    RAM         4 GiB ...

A header of ``# key: value`` lines comes first: the program that wrote it, the TD options, the drives (``rw`` before the
folder where commands may write; folders relative to the transcript; ``images`` for the cache of fetched images), every
image file that was read, with size and checksum, and ``state`` (a snapshot file, packed) where the session began from
a snapshot.

Then steps. A prompt with a line is a typed command; ``= run [name, argument...]`` with its text after ``<`` is a
script, ``= input [name]`` one from standard input, whose lines are not echoed. The lines below it, up to the next step,
are the exact output. ``? "key"`` is an answer that a command waited for. A line of output that would read as one of
these, or begins with a backslash, has a backslash before it; ``\ no newline`` ends output that does not end a line.
A line that begins with a NUL is where the writer was killed; what follows is not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from tdvfsh.documents import read_json
from tdvfsh.errors import FormatError
from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.lazy_typing import Final
from tdvfsh.units import parse_decimal

MAGIC: Final = "# tdvfsh transcript "
VERSION: Final = 1
RUN: Final = "run"
INPUT: Final = "input"
_NO_NEWLINE: Final = "\\ no newline"
_PROMPT: Final = re.compile(r"(?P<prompt>(?:Shell|\w+:[^>\n]*\\)> ?)(?P<line>.*)", re.DOTALL)
_SCRIPT: Final = re.compile(rf"= (?P<kind>{RUN}|{INPUT}) (?P<words>\[.*\])")
_TEXT: Final = "< "
_ANSWER: Final = "? "
_HEADER: Final = re.compile(r"# (?P<key>[a-z0-9]+): (?P<value>.*)")


@dataclass(slots=True)
class Step:
    """One command or script, with what it printed.

    Attributes:
        prompt: The prompt before it; empty for a script.
        line: What was typed; a script's text.
        kind: Empty for a typed line, ``run`` or ``input`` for a script.
        words: The script's name and arguments.
        output: What was printed.
        answers: What commands were answered that waited for a key.
    """

    prompt: str
    line: str
    kind: str = ""
    words: tuple[str, ...] = ()
    output: str = ""
    answers: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Transcript:
    """A session: ``(key, value)`` pairs of its header, and its steps."""

    header: list[tuple[str, str]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def value(self, key: str) -> str | None:
        """The first value of a key of the header, or None."""
        return next((value for known, value in self.header if known == key), None)

    def text(self) -> str:
        """The file."""
        lines = [f"{MAGIC}{VERSION}", *(f"# {key}: {value}" for key, value in self.header)]
        return "\n".join(lines) + "\n" + "".join(step_text(step) for step in self.steps)


def step_text(step: Step) -> str:
    """One step as it stands in the file."""
    lines: list[str]
    if step.kind:
        words = json.dumps(list(step.words), ensure_ascii=False)
        lines = [f"= {step.kind} {words}", *(_TEXT + line for line in step.line.split("\n"))]
    else:
        lines = [step.prompt + step.line]
    if step.output:
        *whole, rest = step.output.split("\n")
        lines += [_escaped(line) for line in whole]
        if rest:
            lines += [_escaped(rest), _NO_NEWLINE]
    lines += [_ANSWER + json.dumps(answer) for answer in step.answers]
    return "\n".join(lines) + "\n"


def parse_transcript(text: str, path: str) -> Transcript:
    """Read a transcript.

    Raises:
        FormatError: Not a transcript, a newer version, or damaged; the message names the line.
    """
    first, _, rest = text.partition("\n")
    if not first.startswith(MAGIC):
        raise FormatError(path, f"not a transcript: it does not begin with '{MAGIC}{VERSION}'")
    number = first.removeprefix(MAGIC).strip()
    version = parse_decimal(number)
    if version is None or version > VERSION:
        raise FormatError(path, f"a transcript of version {number}; this tdvfsh reads up to {VERSION}")
    rest = rest.partition("\n\0")[0] if not rest.startswith("\0") else ""
    if rest and not rest.endswith("\n"):
        rest += "\n"
    lines = list(enumerate(rest.split("\n")[:-1], start=2))
    found = Transcript()
    while lines and lines[0][1].startswith("#"):
        line = lines.pop(0)[1]
        match = _HEADER.fullmatch(line)
        if match is not None:
            found.header.append((match["key"], match["value"]))
    found.steps.extend(_steps(lines, path))
    return found


def _steps(lines: Iterable[tuple[int, str]], path: str) -> Iterator[Step]:
    step: Step | None = None
    for number, line in lines:
        begun = _begin(line, number, path)
        if begun is not None:
            if step is not None:
                yield _finished(step)
            step = begun
        elif step is None:
            raise FormatError(path, f"line {number} is output of no command")
        elif step.kind and line.startswith(_TEXT) and not step.output and not step.answers:
            step.line += line.removeprefix(_TEXT) + "\n"
        elif line.startswith(_ANSWER):
            step.answers.append(str(read_json(line.removeprefix(_ANSWER), path, f"the answer in line {number}")))
        elif line == _NO_NEWLINE:
            step.output = step.output.removesuffix("\n")
        else:
            step.output += line.removeprefix("\\") + "\n"
    if step is not None:
        yield _finished(step)


def _begin(line: str, number: int, path: str) -> Step | None:
    match = _SCRIPT.fullmatch(line)
    if match is not None:
        words = read_json(match["words"], path, f"the script's name in line {number}")
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise FormatError(path, f"line {number} names no script")
        return Step("", "", match["kind"], tuple(words))
    match = None if line.startswith("\\") else _PROMPT.fullmatch(line)
    return None if match is None else Step(match["prompt"], match["line"])


def _finished(step: Step) -> Step:
    if step.kind:
        step.line = step.line.removesuffix("\n")
    return step


def _escaped(line: str) -> str:
    special = line.startswith(("\\", "\0", _TEXT, _ANSWER)) or _PROMPT.fullmatch(line) or _SCRIPT.fullmatch(line)
    return f"\\{line}" if special else line
