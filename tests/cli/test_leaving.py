"""How the process of the ``tdvfsh`` command ends: at once, and with all that was written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import IO

import pytest

_START = "import sys; from tdvfsh.cli.main import program; sys.argv = ['tdvfsh', *{words!r}]; {before}; program()"
_LATE = "import builtins; builtins.late = type('Late', (), {'__del__': lambda self: print('taken apart')})()"


def leave(words: list[str], before: str = "pass", out: int | IO[str] = PIPE) -> subprocess.CompletedProcess[str]:
    """The command, in a process that did something else before."""
    code = _START.format(words=words, before=before)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", code], text=True, timeout=60, env=environment, stdout=out, stderr=PIPE, check=False
    )


def test_all_output_is_there_and_modules_are_not_taken_apart() -> None:
    done = leave(["-c", "echo one", "-c", "ls nowhere"], before=_LATE)
    assert done.stdout == "one\nls: File Not Found - 'FS0:\\'\n"
    assert (done.stderr, done.returncode) == ("", 14)


def test_functions_registered_for_the_end_are_called() -> None:
    done = leave(["-c", "echo one"], before="import atexit; atexit.register(print, 'bye')")
    assert (done.stdout, done.stderr, done.returncode) == ("one\nbye\n", "", 0)


@pytest.mark.parametrize(
    "before",
    [
        "import threading; threading.Thread(target=lambda: (__import__('time').sleep(0.2), print('joined'))).start()",
        "sys.setprofile(lambda *seen: None); " + _LATE.replace("taken apart", "joined"),
        "sys.settrace(lambda *seen: None); " + _LATE.replace("taken apart", "joined"),
    ],
)
def test_threads_and_tools_that_wait_for_the_end_get_pythons_own(before: str) -> None:
    done = leave(["-c", "echo one"], before=before)
    assert (done.stdout, done.returncode) == ("one\njoined\n", 0), done.stderr


def test_output_that_cannot_be_written_is_reported() -> None:
    with Path("/dev/full").open("w") as full:
        done = leave(["-c", "echo one"], out=full)
    assert (done.stderr, done.returncode) == ("tdvfsh: No space left on device\n", 1)
    later = "import atexit; atexit.register(lambda: (os.dup2(os.open('/dev/full', os.O_WRONLY), 1), print('bye')))"
    done = leave(["-c", "echo one"], before=f"import os; {later}")
    assert done.returncode == 120  # Python's own
