"""Packed sections of firmware unpacked by the host, where the firmware calls its LZMA decoder for one of them.

The call is known by its whole contract: ``LzmaUefiDecompress (Source, SourceSize, Destination, Scratch)`` with a
section of the firmware file as source, to accepted memory that is not the caller's stack. Anything else runs as it is.

Source: edk2 MdeModulePkg/Library/LzmaCustomDecompressLib; UEFI 2.10 2.3.4.2 (which registers hold arguments).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.firmware.image import FirmwareImage
from tdvfsh.engine.x86.stop import StopKind
from tdvfsh.formats.firmware_modules import FirmwareContents, PackedSection
from tdvfsh.lazy_typing import Final
from tdvfsh.units import KIB

_TOP: Final = 1 << 32
_CALLERS: Final = 64 * KIB  # of a stack that belongs to the callers
_POINTER: Final = 8
_CALL: Final = 0xE8
_JUMP: Final = 0xE9
_DISPLACEMENT: Final = 4
_OFTEN: Final = 32


class HostUnpacking:
    """The host in place of SEC's LZMA decoder.

    Args:
        board: Where the firmware runs.
        image: The firmware.
        contents: What is in it.

    Attributes:
        sections: Sections that are still packed, by address.
        stops: What ends the watch over a function, by its address.
        arrivals: How often each function was called.
        unpacked: Sections that the host has unpacked, in order.
    """

    def __init__(self, board: Board, image: FirmwareImage, contents: FirmwareContents) -> None:
        self._board = board
        self._contents = contents
        self.sections = {image.base + section.offset: section for section in contents.packed}
        self._lowest = image.base
        self.arrivals: Counter[int] = Counter()
        self.unpacked: list[PackedSection] = []
        functions = [
            function
            for module in contents.modules_in_place
            for function in jump_targets(bytes(module.image), image.base + module.offset)
        ]
        self.stops = {
            function: board.cpu.stop_at(function, partial(self._arrived, function), StopKind.UNPACK)
            for function in functions
        }

    def _arrived(self, function: int) -> bool:
        """A function is called, or jumped to: whether it is the decoder, or is called too often to be."""
        self.arrivals[function] += 1
        return self.arrivals[function] > _OFTEN or self._is_decoder()

    def _is_decoder(self) -> bool:
        """Whether registers and memory hold the decoder's whole contract."""
        cpu, ram = self._board.cpu, self._board.ram
        section = self.sections.get(cpu.read("RCX"))
        if section is None or cpu.read("RDX") != section.size:
            return False
        target, scratch, stack = cpu.read("R8"), cpu.read("R9"), cpu.read("RSP")
        size = len(self._contents.contents(section))
        if not size or not ram.accepted(target, size) or not ram.accepted(scratch, 1) or not ram.accepted(stack, 8):
            return False
        if target < stack + _CALLERS and stack < target + size:
            return False  # the decoder's other function, whose results are on the stack
        return self._lowest <= int.from_bytes(ram.view[stack : stack + _POINTER], "little") < _TOP

    def serve(self, function: int) -> int:
        """Answer the call that the processor was stopped at, or ignore it from then on; returns where to continue."""
        cpu, ram = self._board.cpu, self._board.ram
        if not self._is_decoder():
            cpu.no_stop_at(self.stops.pop(function))
            return function
        section = self.sections.pop(cpu.read("RCX"))
        data = self._contents.contents(section)
        target, stack = cpu.read("R8"), cpu.read("RSP")
        ram.view[target : target + len(data)] = data
        self._board.wrote(target, len(data))
        self.unpacked.append(section)
        if not self.sections:
            self.end()
        cpu.write("RAX", 0)
        cpu.write("RSP", stack + _POINTER)
        return int.from_bytes(ram.view[stack : stack + _POINTER], "little")

    @property
    def all_sections(self) -> Sequence[PackedSection]:
        """Every packed section of the file."""
        return self._contents.packed

    def resume(
        self,
        sections: Sequence[int],
        unpacked: Sequence[PackedSection],
        functions: Sequence[int],
        arrivals: Counter[int],
    ) -> None:
        """Continue from a state that was saved: watch only these functions, for only these sections."""
        self.sections = {at: section for at, section in self.sections.items() if at in sections}
        self.unpacked[:] = unpacked
        self.arrivals = arrivals
        for function in self.stops.keys() - set(functions):
            self._board.cpu.no_stop_at(self.stops.pop(function))

    def end(self) -> None:
        """Watch no longer. Only while no guest code runs."""
        for stop in self.stops.values():
            self._board.cpu.no_stop_at(stop)
        self.stops = {}


def jump_targets(code: bytes, start: int) -> list[int]:
    """Addresses in a piece of code at ``start`` that a near call or jump leads to, found without decoding it."""
    targets = set()
    for at, opcode in enumerate(code[:-_DISPLACEMENT]):
        if opcode in (_CALL, _JUMP):
            end = at + 1 + _DISPLACEMENT
            target = end + int.from_bytes(code[at + 1 : end], "little", signed=True)
            if 0 <= target < len(code):
                targets.add(start + target)
    return sorted(targets)
