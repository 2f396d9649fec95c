"""From arguments to a subcommand, and from whatever happens there to one line and an exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from tdvfsh.cli.arguments import Arguments, parse_arguments
from tdvfsh.errors import TdvfshError

_HANDLERS: Final[dict[str, tuple[str, str]]] = {
    "shell": ("shell", "run_shell"),
    "run": ("shell", "run_script_file"),
    "demo": ("demo", "run_demo"),
    "boot": ("boot", "run_boot"),
    "compare": ("compare", "run_compare"),
    "ladder": ("ladder", "run_ladder"),
    "plot": ("plot", "run_plot"),
    "sweep": ("sweep", "run_sweep_command"),
    "advise": ("sweep", "run_advise"),
    "exec": ("exec", "run_exec"),
    "verify": ("verify", "run_verify"),
    "inspect": ("inspect", "run_inspect"),
    "lint": ("lint", "run_lint"),
    "report": ("report", "run_report"),
    "images": ("images", "run_images"),
    "replay": ("replay", "run_replay"),
}
_INTERRUPTED: Final = 130
_BROKEN_PIPE: Final = 141
_INTERNAL_ERROR: Final = 70
_TRACEBACK: Final = "TDVFSH_TRACEBACK"

Handler = Callable[[Arguments], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``tdvfsh`` with ``argv`` (the process's own where None).

    Returns:
        0 for success, 1 for failure, 2 for misuse; a script's ``%lasterror%``; 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _terminate)
    try:
        arguments = parse_arguments(words)
        status = _handler(arguments.subcommand)(arguments)
        sys.stdout.flush()
    except TdvfshError as error:
        _complain(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        _complain("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except MemoryError:
        _complain("this host has not enough memory for that")
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        return 1
    except Exception as error:  # a defect of ours: one line, and how to see where
        if os.environ.get(_TRACEBACK):
            raise
        what = f"{type(error).__name__}: {error}"
        _complain(f"internal error: {what} (set {_TRACEBACK}=1 to see where, and please report it)")
        return _INTERNAL_ERROR
    return status


def _handler(subcommand: str) -> Handler:
    module, name = _HANDLERS[subcommand]
    handler: Handler = getattr(import_module(f"tdvfsh.cli.{module}"), name)
    return handler


def _complain(text: str) -> None:
    from tdvfsh.report.table import printable

    print(f"tdvfsh: {printable(text)}", file=sys.stderr)


def _terminate(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
