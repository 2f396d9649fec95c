"""A pseudo-terminal with a screen that answers as a real one does."""

from __future__ import annotations

import re
import time

import pexpect
import pyte

_PATIENCE = 20.0


class Terminal:
    """A program on a screen.

    Args:
        command: The program and its arguments.
        environment: All of its environment.
        columns: Width.
        lines: Height.
    """

    def __init__(self, command: list[str], environment: dict[str, str], columns: int, lines: int) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.process: pexpect.spawn[bytes] = pexpect.spawn(
            command[0], command[1:], env=environment, dimensions=(lines, columns), echo=True, timeout=_PATIENCE
        )
        setattr(self._screen, "write_process_input", self.process.send)  # noqa: B010 - pyte's own hook, typed as method

    @property
    def text(self) -> str:
        """What the screen shows."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    @property
    def last_line(self) -> str:
        """The lowest line."""
        return str(self._screen.display[-1]).rstrip()

    def colours(self) -> set[str]:
        """Foreground colours on the screen, apart from the default one."""
        cells = (cell for row in self._screen.buffer.values() for cell in row.values())
        return {str(cell.fg) for cell in cells} - {"default"}

    def send(self, keys: str) -> None:
        """Press keys."""
        self.process.send(keys)

    def paste(self, text: str) -> None:
        """Paste as a terminal with bracketed paste does."""
        self.process.send(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, lines: int) -> None:
        """Make the window another size."""
        self._screen.resize(lines, columns)
        self.process.setwinsize(lines, columns)

    def until(self, pattern: str) -> str:
        """Wait for the screen to show something; what it shows then."""
        wanted = re.compile(pattern, re.MULTILINE)
        end = time.monotonic() + _PATIENCE
        while wanted.search(self.text) is None:
            left = end - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"no {pattern!r} on the screen:\n{self.text}")
        return self.text

    def end(self) -> int:
        """Wait for the program to end; its exit status."""
        while self._read(_PATIENCE):
            pass
        self.process.wait()
        assert self.process.exitstatus is not None, f"killed by signal {self.process.signalstatus}"
        return int(self.process.exitstatus)

    def close(self) -> None:
        """End the program if it still runs."""
        self.process.close(force=True)

    def _read(self, seconds: float) -> bool:
        try:
            data = self.process.read_nonblocking(1 << 16, seconds)
        except pexpect.EOF:
            return False
        except pexpect.TIMEOUT as error:
            raise AssertionError(f"nothing happens; the screen shows:\n{self.text}") from error
        self.raw += data
        self._stream.feed(data)
        return True
