"""The boot services of firmware that runs: where its table is, and calls into it from outside.

Source: UEFI 2.10 4.3 and 4.4 (signatures, order of the services), 7.2.3 (GetMemoryMap).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from enum import IntEnum

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.x86.stand_ins import StandIn
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.memory import MemoryDescriptor
from tdvfsh.units import MIB, PAGE_SIZE

_SYSTEM_TABLE: Final = b"IBI SYST"
_BOOT_SERVICES_FIELD: Final = 0x60
_ENTRIES_FIELD: Final = 0x68
_SIGNATURE: Final = b"BOOTSERV"
_PIECE: Final = 4 * MIB
_OVERLAP: Final = PAGE_SIZE
_BUFFER_SIZE: Final = 16 * PAGE_SIZE
_ARGUMENTS_SIZE: Final = 0x40
_STACK_SIZE: Final = 4 * PAGE_SIZE
_CALL_SPACE: Final = 0x40
_RSP: Final = 4
_INTERRUPTS: Final = 1 << 9
_SELDOM: Final = 4096
_DESCRIPTOR: Final = struct.Struct("<I4xQQQQ")


class BootService(IntEnum):
    """Offsets in the boot services table of those that are watched or called."""

    ALLOCATE_PAGES = 0x28
    FREE_PAGES = 0x30
    GET_MEMORY_MAP = 0x38
    ALLOCATE_POOL = 0x40
    LOAD_IMAGE = 0xC8
    START_IMAGE = 0xD0
    EXIT_BOOT_SERVICES = 0xE8


class ServiceWatch:
    """Boot services whose calls are noticed, before they do anything.

    Firmware has them once its DXE core runs: :meth:`look` is called now and then until they are found.

    Args:
        board: Where the firmware runs.

    Attributes:
        looks: How often the services were looked for, or might have been.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._wanted: dict[BootService, Callable[[], None]] = {}
        self._stops: dict[BootService, StandIn] = {}
        self.looks = 0

    @property
    def watched(self) -> bool:
        """Whether any service is watched."""
        return bool(self._wanted)

    def watch(self, service: BootService, called: Callable[[], None]) -> None:
        """Have ``called`` called at each call of a service. Only while no guest code runs."""
        self._wanted[service] = called

    def unwatch(self, service: BootService) -> None:
        """No longer. Only while no guest code runs."""
        del self._wanted[service]
        stop = self._stops.pop(service, None)
        if stop is not None:
            self._board.stand_ins.remove(stop)

    def look(self) -> None:
        """Look for the services, which takes long: at the first calls, and then seldom."""
        self.looks += 1
        if self.looks & self.looks - 1 and self.looks % _SELDOM:
            return
        missing = [service for service in self._wanted if service not in self._stops]
        table = find_boot_services(self._board) if missing else None
        if table is not None:
            for service in missing:
                self._stops[service] = self._stand_in(service_address(self._board, table, service), service)

    def _stand_in(self, address: int, service: BootService) -> StandIn:
        passing = False

        def reached() -> bool:
            nonlocal passing
            passing, before = False, passing
            return not before

        def serve() -> int:
            nonlocal passing
            passing = True
            self._wanted[service]()
            return address

        return self._board.stand_ins.add(address, reached, serve)


def find_boot_services(board: Board) -> int | None:
    """Address of the boot services table, None before the DXE core has made it; the highest one below 4 GiB."""
    return next((boot_services for _, boot_services in _find_tables(board)), None)


def find_system_table(board: Board) -> int | None:
    """Address of the system table, None before anything is installed in it and after ExitBootServices.

    The DXE core's data has another one like it, the template, which stays without a configuration table.
    """
    view = board.ram.view
    for system_table, _ in _find_tables(board):
        if struct.unpack_from("<Q", view, system_table + _ENTRIES_FIELD)[0]:
            return system_table
    return None


def _find_tables(board: Board) -> Iterator[tuple[int, int]]:
    """Addresses of what looks like a system table, and of its boot services; those at the top of RAM first."""
    view, ram = board.ram.view, board.ram
    for span in reversed(board.td.ram.spans):
        pieces = [piece for start, end in ram.runs for piece in ram.touched(max(start, span.start), min(end, span.end))]
        for start, end in reversed(pieces):
            data = bytes(view[start : min(end + _OVERLAP, span.end)])
            at = data.rfind(_SYSTEM_TABLE)
            while at >= 0:
                table = _table(view, start + at)
                if table is not None:
                    yield start + at, table
                at = data.rfind(_SYSTEM_TABLE, 0, at)


def _table(view: memoryview, system_table: int) -> int | None:
    at = system_table + _BOOT_SERVICES_FIELD
    if system_table % 8 or at + 16 > len(view):
        return None
    table: int = struct.unpack_from("<Q", view, at)[0]
    known = 0 < table <= len(view) - PAGE_SIZE and bytes(view[table : table + 8]) == _SIGNATURE
    return table if known else None


def service_address(board: Board, table: int, service: BootService) -> int:
    """Where a service's code begins."""
    address: int = struct.unpack_from("<Q", board.ram.view, table + service)[0]
    return address


def call_get_memory_map(board: Board, table: int) -> tuple[MemoryDescriptor, ...]:
    """The map by the firmware's own GetMemoryMap; processor and stack are left as they were.

    Only between two runs of the processor, while its boot services run.

    Raises:
        EngineError: The call fails, or there is no stack to call with.
    """
    cpu, state, view = board.cpu, board.cpu.state, board.ram.view
    state.load()
    before = state.image()
    stack = (state.register(_RSP) & ~0xF) - PAGE_SIZE
    lowest = stack - _ARGUMENTS_SIZE - _CALL_SPACE - _STACK_SIZE - _BUFFER_SIZE
    if not board.ram.accepted(lowest, stack - lowest) or not board.ram.accepted(table, PAGE_SIZE):
        raise EngineError("the firmware's memory map cannot be read here: its stack is not plain memory")
    kept = bytes(view[lowest:stack])
    try:
        return _call(board, table, lowest, stack)
    finally:
        view[lowest:stack] = kept
        state.set_image(before)
        state.store()
        cpu.forget_translations()


def _call(board: Board, table: int, buffer: int, stack: int) -> tuple[MemoryDescriptor, ...]:
    """GetMemoryMap (&size, buffer, &key, &descriptor size, &version): arguments, frame, its stack, the buffer below."""
    cpu, state, view = board.cpu, board.cpu.state, board.ram.view
    arguments = stack - _ARGUMENTS_SIZE
    frame = arguments - _CALL_SPACE + 8
    address = back = service_address(board, table, BootService.GET_MEMORY_MAP)  # code that is there, to come back to
    struct.pack_into("<4Q", view, arguments, _BUFFER_SIZE, 0, 0, 0)
    struct.pack_into("<6Q", view, frame, back, 0, 0, 0, 0, arguments + 24)
    for register, value in ((1, arguments), (2, buffer), (8, arguments + 8), (9, arguments + 16), (_RSP, frame)):
        state.set_register(register, value)
    state.system_flags &= ~_INTERRUPTS
    state.instruction_pointer = address
    state.store()
    returned = False

    def done() -> int:
        nonlocal returned
        returned = True
        return back

    stop = board.stand_ins.add(back, lambda: cpu.read("RSP") == frame + 8, done)
    try:
        with board.terminals.nobody_types():  # RestoreTPL lets timers run, and with them whoever polls the keyboard
            while not returned:
                address = board.after(cpu.run(address))
    finally:
        board.stand_ins.remove(stop)
    if cpu.read("RAX"):
        raise EngineError(f"the firmware's GetMemoryMap returned {cpu.read('RAX'):#x}")
    size, _, each, _ = struct.unpack_from("<4Q", view, arguments)
    entries = (_DESCRIPTOR.unpack_from(view, at) for at in range(buffer, buffer + size, each))
    return tuple(
        MemoryDescriptor(kind, start, pages, attribute, virtual) for kind, start, virtual, pages, attribute in entries
    )
