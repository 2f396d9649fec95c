"""Running a command of a page, and comparing what it prints with what stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.documents.blocks import ELLIPSIS, PROMPT, Block, Command

ROOT = Path(__file__).parents[2]
COLUMNS = "120"
_LINKED = ("scripts", "tests", "images", "docs", "tdvfsh", "README.md", "pyproject.toml")
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+(?:[.,:]\d+)*|\.\d+")
_UNIT = re.compile(r"# (?:[KMGT]i?B|B|ms|us|s)\b")
_MINUTES = 20


def prepare(folder: Path) -> None:
    """Make a page's folder look like the clone, without its changing the clone."""
    for name in _LINKED:
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)


def environment() -> dict[str, str]:
    """The tools of this installation first, a width that pages have, and no colours."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "COLUMNS": COLUMNS, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}


def run(text: str, folder: Path, *, stderr: bool) -> tuple[int, list[str]]:
    """Exit status and output of a command; with standard error in its place where that is asked for."""
    done = subprocess.run(
        ["bash", "-c", text], cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if stderr else subprocess.PIPE, text=True, errors="replace",
        timeout=_MINUTES * 60, check=False,
    )  # fmt: skip
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    return done.returncode, lines + (done.stderr.splitlines() if done.returncode > 1 and not stderr else [])


def session_of(command: Command) -> str:
    """The command, with what stands at the shell's prompts given by ``-c``; the command itself where nothing does."""
    typed = [line for line in command.output if PROMPT.match(line)]
    return " ".join([command.text, *(f"-c {shlex.quote(PROMPT.sub('', line))}" for line in typed)])


def without_prompts(output: list[str]) -> list[str]:
    """What stands between prompts."""
    return [line for line in output if not PROMPT.match(line)]


def differs(expected: list[str], actual: list[str], block: Block) -> bool:
    """Whether an output is not what stands in the page."""
    expected = [line.rstrip() for line in expected]
    if block.masked:
        return not _in_order([_masked(part) for part in _parts(expected)], _masked(actual))
    return not _in_order(_parts(expected), actual)


def _parts(lines: list[str]) -> list[list[str]]:
    """Lines between the ellipses."""
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == ELLIPSIS:
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _masked(lines: list[str]) -> list[str]:
    """Words, with numbers and their units masked; where lines end does not matter."""
    text = _UNIT.sub("#", _NUMBER.sub("#", " ".join(" ".join(lines).split())))
    return re.sub(r"#(?:[-+~.#\w]*#)?", "#", text).split()


def _in_order(parts: list[list[str]], actual: list[str]) -> bool:
    """Whether the parts stand in ``actual`` one after another, the first at its start and the last at its end."""
    if len(parts) == 1:
        return parts[0] == actual
    first, *middle, last = parts
    if actual[: len(first)] != first or (last and actual[-len(last) :] != last):
        return False
    at, end = len(first), len(actual) - len(last)
    for part in middle:
        at = next((n for n in range(at, end - len(part) + 1) if actual[n : n + len(part)] == part), -1)
        if at < 0:
            return False
        at += len(part)
    return at <= end


def updated(expected: list[str], actual: list[str], command: Command) -> list[str]:
    """What is to stand in the page: the new output, cut where the old one was."""
    if any(PROMPT.match(line) for line in expected):
        return expected  # where one command's output ends is not known: by hand
    if ELLIPSIS not in (line.strip() for line in expected):
        return actual
    parts = _parts(expected)
    head, tail = len(parts[0]), len(parts[-1])
    if len(parts) > 2:
        return expected
    return [*actual[:head], ELLIPSIS, *(actual[-tail:] if tail else [])]
