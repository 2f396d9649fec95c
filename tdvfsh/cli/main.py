"""From arguments to a subcommand, and from whatever happens there to one line and an exit status."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from tdvfsh.cli.arguments import Arguments, config_path, parse_arguments
from tdvfsh.errors import TdvfshError
from tdvfsh.lazy_typing import Final, NoReturn, TextIO
from tdvfsh.report.width import for_screen
from tdvfsh.ui.terminal import columns_of

_HANDLERS: Final[dict[str, tuple[str, str]]] = {
    "shell": ("shell", "run_shell"),
    "run": ("shell", "run_script_file"),
    "demo": ("demo", "run_demo"),
    "boot": ("boot", "run_boot"),
    "compare": ("compare", "run_compare"),
    "lazy": ("lazy", "run_lazy"),
    "explain": ("explain", "run_explain"),
    "diagnose": ("diagnose", "run_diagnose"),
    "ladder": ("ladder", "run_ladder"),
    "plot": ("plot", "run_plot"),
    "sweep": ("sweep", "run_sweep_command"),
    "advise": ("sweep", "run_advise"),
    "exec": ("exec", "run_exec"),
    "verify": ("verify", "run_verify"),
    "firmware": ("firmware", "run_firmware"),
    "measure": ("measure", "run_measure"),
    "cost": ("cost", "run_cost"),
    "inspect": ("inspect", "run_inspect"),
    "lint": ("lint", "run_lint"),
    "report": ("report", "run_report"),
    "completion": ("completion", "run_completion"),
    "man": ("man", "run_man"),
    "images": ("images", "run_images"),
    "replay": ("replay", "run_replay"),
}
_INTERRUPTED: Final = 130
_BROKEN_PIPE: Final = 141
_ENDING_SIGNALS: Final = ("SIGTERM", "SIGHUP")
_INTERNAL_ERROR: Final = 70
_JSON: Final = "--json"
_GARBAGE_THRESHOLD: Final = 50_000
"""Objects that a process makes before garbage is looked for; Python's 700 has it look a hundred times on its start."""
_TRACEBACK: Final = "TDVFSH_TRACEBACK"

Handler = Callable[[Arguments], int]


def program() -> NoReturn:
    """The ``tdvfsh`` command: :func:`main`, and the end of the process."""
    _leave(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``tdvfsh`` with ``argv`` (the process's own where None).

    Returns:
        0 for success, 1 for failure, 2 for misuse; a script's ``%lasterror%``; 130 after Ctrl-C.
    """
    if argv is None:
        gc.set_threshold(_GARBAGE_THRESHOLD)  # what is imported and parsed stays
    words = list(sys.argv[1:] if argv is None else argv)
    _stand_in_for_closed_streams()
    for name in _ENDING_SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP: so do we
            signal.signal(number, _terminate)
    try:
        status = _run(words)
        sys.stdout.flush()
    except TdvfshError as error:
        return _refuse(words, str(error), error.exit_status)
    except KeyboardInterrupt:
        return _refuse(words, "interrupted", _INTERRUPTED)
    except BrokenPipeError:
        _drop(sys.stdout)
        return _BROKEN_PIPE
    except MemoryError:
        return _refuse(words, "out of memory on the host", 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        _drop(sys.stdout)
        return TdvfshError.exit_status
    except Exception as error:  # a defect of ours: one line, and how to see where
        if os.environ.get(_TRACEBACK):
            raise
        what = f"{type(error).__name__}: {error}"
        _complain(f"internal error: {what} (set {_TRACEBACK}=1 to see where, and please report it)")
        return _INTERNAL_ERROR
    return status


def _leave(status: int) -> NoReturn:
    """End the process without taking all modules and objects apart, which takes a tenth of a short run.

    Functions registered with ``atexit`` are called. Threads, and a debugger or profiler that waits for the end, get the
    interpreter's own way out, and so does output that cannot be written, of which the interpreter says so.
    """
    if "threading" not in sys.modules and not sys.flags.inspect and sys.gettrace() is sys.getprofile() is None:
        atexit._run_exitfuncs()
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    sys.exit(status)


def _run(words: list[str]) -> int:
    try:
        arguments = parse_arguments(words)
    except SystemExit as left:  # help and version have been printed, perhaps in vain
        sys.stdout.flush()
        return left.code if isinstance(left.code, int) else 0
    colour = arguments.optional("color")
    if config_path() is not None and not arguments.flag("no_config"):
        from tdvfsh.cli.config import read_config

        config = read_config()
        arguments.take_defaults(config)
        colour = colour or config.color
    if colour is not None:
        from tdvfsh.ui.colour import choose_colour

        choose_colour(colour)
    with for_screen(columns_of(sys.stdout)):
        return _handler(arguments.subcommand)(arguments)


def _stand_in_for_closed_streams() -> None:
    """A standard stream that the parent closed is None: let input end at once, output fail, and errors go nowhere."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _drop(stream: TextIO) -> None:
    """Let what could not be written go, so that Python does not try once more on its way out."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _handler(subcommand: str) -> Handler:
    module, name = _HANDLERS[subcommand]
    handler: Handler = getattr(__import__(f"tdvfsh.cli.subcommand.{module}", fromlist=[name]), name)
    return handler


def _refuse(words: Sequence[str], why: str, status: int) -> int:
    """Say why in a line on standard error, and where ``--json`` was asked for in an object on standard output, too."""
    _complain(why)
    if _JSON in words:
        from tdvfsh.cli.output import print_json
        from tdvfsh.report.schema import document

        try:
            print_json(document("error", {"error": why, "exit_status": status}))
            sys.stdout.flush()
        except OSError:
            _drop(sys.stdout)
    return status


def _complain(text: str) -> None:
    from tdvfsh.cli.output import print_notes
    from tdvfsh.report.table import printable

    try:
        print_notes([f"tdvfsh: {printable(text)}"])  # one line, whatever it quotes
    except OSError:  # full or gone, too: only the status is left
        _drop(sys.stderr)


def _terminate(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
