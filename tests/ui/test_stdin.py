"""Standard input as a script."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from io import BytesIO, StringIO

import pytest

from tdvfsh.errors import HostError
from tdvfsh.shell.shell import Shell
from tdvfsh.ui import stdin as stdin_module
from tdvfsh.ui.stdin import BROKEN_PIPE, run_stdin

_PROGRAM = "import sys; from tdvfsh.shell.shell import Shell; from tdvfsh.ui.stdin import run_stdin; "
_RUN = _PROGRAM + "sys.exit(run_stdin(Shell()))"


def _run(script: bytes) -> tuple[str, int]:
    printed = StringIO()
    status = run_stdin(Shell(), stdin=BytesIO(script), stdout=printed)
    return printed.getvalue(), status


def test_lines_run_without_being_echoed() -> None:
    assert _run(b"echo one\necho two\n") == ("one\ntwo\n", 0)


def test_the_words_of_the_language_work() -> None:
    script = b"for %i run (1 3)\nif %i eq 2 then\ngoto out\nendif\necho %i\nendfor\n:out\necho done\n"
    assert _run(script) == ("1\ndone\n", 0)


def test_the_exit_status_is_lasterror() -> None:
    assert _run(b"nosuch\n")[1] == 0xE


def test_exit_gives_its_code() -> None:
    assert _run(b"exit 5\necho never\n") == ("", 5)
    assert _run(b"exit /b 7\necho never\n") == ("", 7)


def test_a_code_that_a_process_cannot_return_is_still_an_error() -> None:
    assert _run(b"exit 0x100\n")[1] == 1


def test_a_script_may_be_utf16_or_have_no_last_end_of_line() -> None:
    assert _run("\ufeffecho é".encode("utf-16-le")) == ("é\n", 0)


def test_no_input_is_a_script_without_lines() -> None:
    assert _run(b"") == ("", 0)


def test_a_binary_is_refused() -> None:
    with pytest.raises(HostError, match="standard input: not a script: looks like a binary file"):
        _run(b"MZ\0\0")


def test_input_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdin_module, "MOST_BYTES", 1 << 20)
    with pytest.raises(HostError, match="more than 1 MiB: too long for a script"):
        _run(b"#" * ((1 << 20) + 1))


class _Unreadable(BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))


def test_input_that_cannot_be_read_is_one_line() -> None:
    with pytest.raises(HostError, match="standard input: Is a directory"):
        run_stdin(Shell(), stdin=_Unreadable(), stdout=StringIO())


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.write(b"for %i run (1 3000)\necho " + b"many words " * 20 + b"\nendfor\n")
    process.stdin.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == BROKEN_PIPE


def test_a_full_disk_is_one_error() -> None:
    with pytest.raises(HostError, match="standard output: No space left on device"):
        run_stdin(Shell(), stdin=BytesIO(b"echo x\n"), stdout=_Full())


class _Full(StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("module", ["stdin", "repl", "progress", "output"])
def test_prompt_toolkit_is_imported_only_for_a_prompt(module: str) -> None:
    check = f"import sys, tdvfsh.ui.{module}; sys.exit('prompt_toolkit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_output_is_the_same_bytes_in_any_locale() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _RUN],
            input=b"help\nver\n",
            env={**os.environ, "LC_ALL": locale},
            capture_output=True,
            check=True,
        ).stdout
        for locale in ("C", "C.UTF-8")
    }
    assert len(outputs) == 1
