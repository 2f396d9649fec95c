"""Writes of the host to watched memory: a device's DMA, a service's buffer, the frame of an exception.

The processor's hooks do not see them. While the guest does not run, nobody but the host writes; so what is watched is
kept where the guest is left, and compared where it runs on. A write of what stood there already is not noticed.
"""

from __future__ import annotations

from tdvfsh.engine.debug.debugger import Debugger
from tdvfsh.engine.debug.halt import Access, Watch
from tdvfsh.engine.debug.scene import Scene
from tdvfsh.engine.x86.stop import Stop, StopKind
from tdvfsh.lazy_typing import Final

_WRITERS: Final = {
    StopKind.EXCEPTION: "the frame of an exception",
    StopKind.PORT: "a device, for IN or OUT",
    StopKind.UNMAPPED: "a device, for an access to its registers",
    StopKind.INTERCEPT: "the TDX module or the VMM, for an instruction that exits",
    StopKind.UNPACK: "the host, which unpacks firmware",
    StopKind.CALL: "the host, which takes the place of a function",
}


class HostWrites:
    """Watch over what the host writes while the guest does not run.

    Args:
        debugger: The debugger.
        scene: What is debugged.
    """

    def __init__(self, debugger: Debugger, scene: Scene) -> None:
        self._debugger = debugger
        self._scene = scene
        self._before: list[tuple[Watch, Watch, bytes]] = []
        self._stop: Stop | None = None
        self._records = 0
        self._pointer = 0
        debugger.after_run.append(self._left)
        debugger.before_run.insert(0, self._look)
        if scene.board.cpu.strings is not None:
            scene.board.cpu.strings.left_alone = self._is_watched

    def _is_watched(self, physical: int, size: int) -> bool:
        """Whether the processor itself is to do a string instruction, for its accesses to be seen."""
        return any(piece.overlaps(physical, size) for _, piece in self._debugger.watchpoints.pieces)

    def _left(self, stop: Stop) -> None:
        watchpoints, view = self._debugger.watchpoints, self._scene.board.ram.view
        self._before = [
            (watch, piece, bytes(view[piece.address : piece.address + piece.size]))
            for watch, piece in watchpoints.pieces
            if watch.access is not Access.READ
        ]
        if self._before:
            self._stop, self._records = stop, len(self._scene.trace)
            self._pointer = self._scene.board.cpu.read("RIP")

    def _look(self) -> None:
        if not self._before:
            return
        before, self._before = self._before, []
        view = self._scene.board.ram.view
        for watch, piece, data in before:
            now = bytes(view[piece.address : piece.address + piece.size])
            if now != data:
                first = next(offset for offset in range(len(data)) if now[offset] != data[offset])
                text = f"physical {piece.address + first:#x} was written by {self._writer()}"
                self._debugger.halt_for_write(watch, (piece.linear or piece.address) + first, text)
                return

    def _writer(self) -> str:
        """Who has run meanwhile: a service is in the journal, with who called it."""
        records = self._scene.trace.records[self._records :]
        place = self._scene.code.place(self._pointer)
        if records:
            return f"{records[0].service}, called by {records[0].caller}"
        return f"{_WRITERS.get(self._stop.kind, 'the host') if self._stop is not None else 'the host'}, at {place}"
