"""One EFI program under Qiling; run by the interpreter of an environment that has it. Prints one JSON object.

Timed as the engine is: from an empty emulator to the program's end, without the imports.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
from importlib import import_module
from typing import Any

SECONDS = 120


class Calls(logging.Handler):
    """The services that Qiling's own log names."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Remember the name of a call."""
        name, bracket, _ = record.getMessage().strip().partition("(")
        if bracket and name.isidentifier():
            self.calls.append(name)


def run(path: str, root: str, handler: Calls | None) -> tuple[str, float]:
    """How the program ended, and processor seconds."""
    const: Any = import_module("qiling.const")
    qiling: Any = vars(import_module("qiling"))["Qiling"]
    verbose = const.QL_VERBOSE.OFF if handler is None else const.QL_VERBOSE.DEFAULT
    started = time.process_time()
    try:
        machine = qiling([path], root, env={}, ostype=const.QL_OS.UEFI, archtype=const.QL_ARCH.X8664, verbose=verbose)
        if handler is not None:
            machine.log.handlers[:] = [handler]
        machine.run(timeout=SECONDS * 1_000_000)
        how = "returned"
    except Exception as error:
        how = f"{type(error).__name__}: {error}"
    return how, time.process_time() - started


def main() -> int:
    """``python under_qiling.py PROGRAM FOLDER``."""
    logging.disable(logging.CRITICAL)
    path, root = sys.argv[1:]
    how, seconds = run(path, root, None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    logging.disable(logging.NOTSET)
    handler = Calls()
    run(path, root, handler)
    calls = handler.calls
    print(json.dumps({"how": how, "seconds": seconds, "calls": len(calls), "last": calls[-1:], "peak_kib": peak}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
