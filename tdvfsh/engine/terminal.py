"""A real terminal as the keyboard: bytes as they are typed, Ctrl-\\ to end the run.

Ctrl-C is a key like others, since the Shell and GRUB use it.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections import deque
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from tdvfsh.engine.keys import Key, keys_of
from tdvfsh.errors import HostError

if TYPE_CHECKING:
    pass

_LOCAL_FLAGS: Final = 3
_CONTROL_CHARACTERS: Final = 6
_CHUNK: Final = 1024


class TerminalKeys:
    """Keys from a terminal, which is in character mode inside the context.

    Args:
        descriptor: The terminal's file descriptor.
    """

    live = True

    def __init__(self, descriptor: int) -> None:
        try:
            import termios
        except ImportError:
            raise HostError("running a program at a terminal needs a POSIX terminal") from None
        self._termios = termios
        self._descriptor = descriptor
        self._keys: deque[Key] = deque()
        self._ended = False
        self._saved: list[Any] = []
        self._handler: Any = signal.SIG_DFL

    def __enter__(self) -> TerminalKeys:
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

    @property
    def ended(self) -> bool:
        """Whether the terminal is gone."""
        return self._ended and not self._keys

    def ready(self) -> bool:
        """Whether a key waits."""
        self._fill(0)
        return bool(self._keys)

    def read(self) -> Key | None:
        """The next key, or None."""
        if not self._keys:
            self._fill(0)
        return self._keys.popleft() if self._keys else None

    def wait(self, seconds: float) -> None:
        """Wait for a key."""
        if not self._keys:
            self._fill(seconds)

    def sleep(self, seconds: float) -> None:
        """Let real time pass."""
        time.sleep(seconds)

    def _fill(self, seconds: float) -> None:
        if self._ended:
            return
        readable, _, _ = select.select([self._descriptor], [], [], seconds)
        if readable:
            data = os.read(self._descriptor, _CHUNK)
            self._ended = not data
            self._keys.extend(keys_of(data.decode("utf-8", "replace")))


def _quit(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
