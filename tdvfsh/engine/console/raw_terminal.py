"""A terminal that hands over each key as it is typed; Ctrl-\\ ends the run, Ctrl-C is a key like others."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType, TracebackType

from tdvfsh.errors import HostError
from tdvfsh.lazy_typing import Any, Final

_LOCAL_FLAGS: Final = 3
_CONTROL_CHARACTERS: Final = 6
_CHUNK: Final = 1024


class RawTerminal:
    """A terminal, in character mode inside the context.

    Args:
        descriptor: The terminal's file descriptor.

    Attributes:
        ended: Whether the terminal is gone.
    """

    def __init__(self, descriptor: int) -> None:
        try:
            import termios
        except ImportError:
            raise HostError("running a program at a terminal needs a POSIX terminal") from None
        self._termios = termios
        self._descriptor = descriptor
        self.ended = False
        self._saved: list[Any] = []
        self._handler: Any = signal.SIG_DFL

    def __enter__(self) -> RawTerminal:
        module = self._termios
        self._saved = module.tcgetattr(self._descriptor)
        changed = module.tcgetattr(self._descriptor)
        changed[0] &= ~(module.ICRNL | module.IXON)
        changed[_LOCAL_FLAGS] &= ~(module.ICANON | module.ECHO)
        characters = changed[_CONTROL_CHARACTERS]
        for name in ("VINTR", "VSUSP"):
            characters[getattr(module, name)] = os.fpathconf(self._descriptor, "PC_VDISABLE").to_bytes(1, "little")
        module.tcsetattr(self._descriptor, module.TCSADRAIN, changed)
        self._handler = signal.signal(signal.SIGQUIT, _quit)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGQUIT, self._handler)
        self._termios.tcsetattr(self._descriptor, self._termios.TCSADRAIN, self._saved)

    def read(self, seconds: float) -> bytes:
        """What was typed, waiting for it at most so long."""
        if self.ended or not select.select([self._descriptor], [], [], seconds)[0]:
            return b""
        data = os.read(self._descriptor, _CHUNK)
        self.ended = not data
        return data


def _quit(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
