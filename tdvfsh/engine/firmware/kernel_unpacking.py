"""The kernel unpacked by the host, where its EFI stub calls a decompressor in a run of real firmware.

Where the stub lies is found when firmware starts an image: the file's first bytes stand on a page boundary, and the
entry point that is reached tells a loaded image from a mere copy of the file.
"""

from __future__ import annotations

from functools import partial

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.firmware.boot_services import BootService, ServiceWatch
from tdvfsh.engine.introspect.fast_decompress import FastDecompression, Shortcut
from tdvfsh.engine.x86.stand_ins import StandIn
from tdvfsh.formats.mapped import copy_of
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import KernelFile
from tdvfsh.units import PAGE_SIZE

_HEAD: Final = 64
"""Bytes before the PE headers, in which a loader writes the image's address."""


class KernelUnpacking:
    """The host in place of the decompressor of a kernel that firmware boots.

    Args:
        board: Where the firmware runs.
        services: Its boot services.
        kernel: The kernel's file.
    """

    def __init__(self, board: Board, services: ServiceWatch, kernel: KernelFile) -> None:
        self._board = board
        self._services = services
        self._kernel = kernel
        self._head = copy_of(kernel.view[:_HEAD])
        self._fast = FastDecompression(board.stand_ins, board.ram, kernel)
        self._entries: dict[int, StandIn] = {}
        if kernel.pe is not None:
            services.watch(BootService.START_IMAGE, self._image_starts)

    @property
    def outcome(self) -> Shortcut:
        """What became of it."""
        return self._fast.outcome()

    def _image_starts(self) -> None:
        """Some image is about to start: watch the entry points of all that may be the kernel."""
        assert self._kernel.pe is not None
        for base in self._copies():
            entry = base + self._kernel.pe.address_of_entry_point
            if entry not in self._entries:
                self._entries[entry] = self._board.stand_ins.add(
                    entry, lambda: True, partial(self._started, base, entry)
                )

    def _copies(self) -> list[int]:
        """Page addresses at which the kernel's first bytes stand."""
        ram, head = self._board.ram, self._head
        view = ram.view
        return [
            page
            for low, high in ram.runs
            for start, end in ram.touched(low, high)
            for page in range(start, end, PAGE_SIZE)
            if view[page] == head[0] and view[page : page + _HEAD] == head
        ]

    def _started(self, base: int, entry: int) -> int:
        """The image at ``base`` runs: it is the kernel."""
        for stop in self._entries.values():
            self._board.stand_ins.remove(stop)
        self._entries.clear()
        self._services.unwatch(BootService.START_IMAGE)
        self._fast.watch(None, base)
        return entry
