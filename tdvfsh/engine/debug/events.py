"""Halts for what happens rather than for where code is: accepts, conversions, services, images, the console."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tdvfsh.engine.debug.debugger import Debugger
from tdvfsh.engine.debug.halt import Access, Watch
from tdvfsh.engine.debug.names import find, is_service
from tdvfsh.engine.debug.scene import Scene
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.tdx import ACCEPT_GPA_MASK, ACCEPT_LEVEL_MASK, SeptLevel, completion_name

_OWNER: Final = "event"
_KINDS: Final = "accept [ADDR], write ADDR, convert, violation, service NAME, image [NAME], console REGEX or none"
_LONGEST_LINE: Final = 4096
_WORD: Final = 8


class EventBreaks:
    """The events that a debugger halts for.

    Args:
        debugger: The debugger.
        scene: What is debugged.

    Attributes:
        violation: Whether it halts where the guest was stopped, before the run ends.
        asked: What is waited for, in the words that were used.
    """

    def __init__(self, debugger: Debugger, scene: Scene) -> None:
        self._debugger = debugger
        self._scene = scene
        self.violation = True
        self.asked: dict[tuple[str, ...], None] = {("violation",): None}
        self._all_accepts = False
        self._accepts: set[int] = set()
        self._writes: list[Watch] = []
        self._converts = False
        self._services: dict[str, int] = {}
        self._images: str | None = None
        self._known: set[tuple[str, int]] = set()
        self._seen: object = None
        self._console: re.Pattern[str] | None = None
        self._line = bytearray()
        board = scene.board
        board.page_accepts.called = _both(board.page_accepts.called, self._accepted)
        board.vmm.mapped = _both3(board.vmm.mapped, self._converted)
        self._before, board.console = board.console, self._sent
        debugger.before_run.append(self._look_for_images)

    # ---- what is waited for -------------------------------------------------------------------------------------

    def wait_for(self, words: Sequence[str]) -> None:
        """Wait for one more event, or with ``none`` for no event.

        Raises:
            UsageError: It is not an event.
        """
        kind, rest = words[0], list(words[1:])
        if kind == "accept" and len(rest) < 2:
            if not rest:
                self._all_accepts = True
            else:
                self.wait_for_accept(rest[0])
        elif kind == "write" and len(rest) == 1:
            self._wait_for_write(rest[0])
        elif kind == "convert" and not rest:
            self._converts = True
        elif kind == "violation" and not rest:
            self.violation = True
        elif kind == "service" and len(rest) == 1:
            self._wait_for_service(rest[0])
        elif kind == "image" and len(rest) < 2:
            self._images = rest[0] if rest else ""
            self._known = self._all_images()
        elif kind == "console" and rest:
            self._wait_for_console(" ".join(rest))
        elif kind == "none" and not rest:
            self._clear()
        else:
            raise UsageError(f"{' '.join(words)}: not an event; there are {_KINDS}")
        if kind != "none":
            self.asked[tuple(words)] = None

    def wait_for_accept(self, text: str) -> None:
        """Halt where the page of a physical address is accepted.

        Raises:
            UsageError: It is not an address.
        """
        address = find(self._scene, text)
        if address is None:
            raise UsageError(f"{text}: not an address")
        self._accepts.add(address)

    def _wait_for_write(self, text: str) -> None:
        address = find(self._scene, text)
        watch = Watch(address or 0, _WORD, Access.WRITE, physical=True)
        if address is None or not self._debugger.watchpoints.add(0, watch):
            raise UsageError(f"{text}: not a physical address")
        self._writes.append(watch)

    def _wait_for_service(self, name: str) -> None:
        if not is_service(name):
            raise UsageError(f"{name}: not a boot or runtime service, such as AllocatePages")
        address = self._scene.service(name)
        if address is None:
            raise UsageError(f"{name}: the firmware has no services yet")
        self._services[name] = address
        self._debugger.breakpoints.add(address, _OWNER, f"{name} is called")

    def _wait_for_console(self, pattern: str) -> None:
        try:
            self._console = re.compile(pattern)
        except re.error as error:
            raise UsageError(f"{pattern}: not a regular expression: {error}") from None

    def _clear(self) -> None:
        self.violation = self._all_accepts = self._converts = False
        self.asked.clear()
        self._accepts.clear()
        self._writes.clear()
        self._debugger.watchpoints.remove_all(physical=True)
        self._console = self._images = None
        self._services.clear()
        self._debugger.breakpoints.remove_all(_OWNER)

    def lines(self) -> list[str]:
        """What is waited for, a line each."""
        lines = ["accept"] if self._all_accepts else []
        lines += [f"accept {address:#x}" for address in sorted(self._accepts)]
        lines += [f"write {watch.address:#x}" for watch in self._writes]
        lines += ["convert"] if self._converts else []
        lines += ["violation"] if self.violation else []
        lines += [f"service {name} at {address:#x}" for name, address in self._services.items()]
        if self._images is not None:
            lines.append(f"image {self._images}".rstrip())
        if self._console is not None:
            lines.append(f"console {self._console.pattern}")
        return lines or ["none"]

    # ---- what happens -------------------------------------------------------------------------------------------

    def _accepted(self, rcx: int, status: int) -> None:
        if not self._all_accepts and not self._accepts:
            return
        start, level = rcx & ACCEPT_GPA_MASK, rcx & ACCEPT_LEVEL_MASK
        sizes = {int(each): each.page_size for each in SeptLevel}
        end = start + sizes.get(level, 0)
        if self._all_accepts or any(start <= address < end for address in self._accepts):
            self._debugger.halt_for(
                f"accept of {start:#x}-{end:#x}: {completion_name(status)}, vCPU {self._debugger.target.current}"
            )

    def _converted(self, gpa: int, size: int, status: int) -> None:
        if self._converts:
            mask = self._scene.board.td.shared_mask
            start, kind = gpa & ~mask, "shared" if gpa & mask else "private"
            self._debugger.halt_for(f"MapGPA of {start:#x}-{start + size:#x} to {kind}: status {status:#x}")

    def _all_images(self) -> set[tuple[str, int]]:
        return {(image.name, image.start) for image in self._scene.images()}

    def _look_for_images(self) -> None:
        if self._images is None:
            return
        changes = self._scene.changes()
        if changes == self._seen:
            return
        self._seen = changes
        images = self._all_images()
        new, self._known = images - self._known, images
        for name, start in sorted(new):
            if self._images in ("", name):
                self._debugger.halt_for(f"{name} at {start:#x} is about to run")

    def _sent(self, byte: int) -> None:
        if self._console is not None:
            self._line.append(byte)
            if byte == ord("\n") or len(self._line) > _LONGEST_LINE:
                line = self._line.decode("utf-8", "replace").rstrip("\r\n")
                self._line.clear()
                if self._console.search(line):
                    self._debugger.halt_for(f"the console showed {line!r}")
        if self._before is not None:
            self._before(byte)


def _both(first: Callable[[int, int], None] | None, second: Callable[[int, int], None]) -> Callable[[int, int], None]:
    def called(rcx: int, status: int) -> None:
        if first is not None:
            first(rcx, status)
        second(rcx, status)

    return called


def _both3(
    first: Callable[[int, int, int], None] | None, second: Callable[[int, int, int], None]
) -> Callable[[int, int, int], None]:
    def mapped(gpa: int, size: int, status: int) -> None:
        if first is not None:
            first(gpa, size, status)
        second(gpa, size, status)

    return mapped
