"""The machine as a debugger sees it while it is stopped: registers of each vCPU, and memory by either address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.debug.gdb.registers import Register, all_registers
from tdvfsh.engine.x86.page_walk import walk
from tdvfsh.lazy_typing import Final
from tdvfsh.units import PAGE_SIZE

_PAGING: Final = 1 << 31


class Target:
    """A stopped machine. Only between two runs of the processor.

    Args:
        board: The machine.

    Attributes:
        board: The machine.
        registers: All registers, in gdb's order.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.registers = all_registers()
        self._by_name = {register.name: register for register in self.registers}

    @property
    def names(self) -> Iterable[str]:
        """gdb's names of all registers."""
        return self._by_name

    # ---- vCPUs --------------------------------------------------------------------------------------------------

    @property
    def current(self) -> int:
        """Number of the vCPU that runs."""
        return self.board.vcpus.current.number

    @property
    def started(self) -> tuple[int, ...]:
        """Numbers of the vCPUs that have been started."""
        waiting = self.board.vcpus.waiting
        return tuple(vcpu.number for vcpu in self.board.vcpus.all if vcpu not in waiting)

    def state_of(self, vcpu: int) -> str:
        """What a vCPU does, in a word or two."""
        each = self.board.vcpus.all[vcpu]
        if vcpu == self.current:
            return "running"
        if each.interrupts.halted:
            return "halted"
        return "waiting in a loop" if each.spinning else "ready"

    # ---- registers ----------------------------------------------------------------------------------------------

    @contextmanager
    def _lent(self, vcpu: int, write: bool = False) -> Iterator[object]:
        """The processor with the registers of a vCPU."""
        cpu, each = self.board.cpu, self.board.vcpus.all[vcpu]
        if vcpu == self.current or each.image is None:
            yield cpu.uc
            return
        state = cpu.state
        state.load()
        mine = state.image()
        state.set_image(each.image)
        state.store()
        try:
            yield cpu.uc
            if write:
                state.load()
                each.image = state.image()
        finally:
            state.set_image(mine)
            state.store()

    def read_all(self, vcpu: int) -> list[int]:
        """Every register of a vCPU."""
        with self._lent(vcpu) as uc:
            return [register.read(uc) for register in self.registers]

    def read_register(self, vcpu: int, register: Register) -> int:
        """One register of a vCPU."""
        with self._lent(vcpu) as uc:
            return register.read(uc)

    def register(self, vcpu: int, name: str) -> int:
        """One register of a vCPU by gdb's name."""
        return self.read_register(vcpu, self._by_name[name])

    def write_register(self, vcpu: int, register: Register, value: int) -> bool:
        """Set a register; returns whether it can be set."""
        if register.write is None:
            return False
        with self._lent(vcpu, write=True) as uc:
            register.write(uc, value)
        return True

    # ---- memory -------------------------------------------------------------------------------------------------

    def translate(self, vcpu: int, linear: int) -> int | None:
        """Physical address of a linear one by a vCPU's page tables, without the shared bit; None where unmapped."""
        with self._lent(vcpu) as uc:
            paging, table, mode = (self._by_name[name].read(uc) for name in ("cr0", "cr3", "cr4"))
        if not paging & _PAGING:
            return linear
        found = walk(self.board.ram.view, table, linear, self.board.td.shared_mask, mode)
        return None if found is None else found.physical & ~self.board.td.shared_mask

    def _readable(self, physical: int, size: int) -> bool:
        """Whether there are bytes: accepted memory, or shared."""
        ram, td = self.board.ram, self.board.td
        if physical < 0 or physical + size > ram.end:
            return False
        if ram.accepted(physical, size):
            return True
        run = td.shared.find(physical)
        return run is not None and physical + size <= run[1] and td.ram.contains(physical, physical + size)

    def read_physical(self, physical: int, size: int) -> bytes | None:
        """Bytes at a physical address; None where they are not all accepted or shared."""
        if not self._readable(physical, size):
            return None
        return bytes(self.board.ram.view[physical : physical + size])

    def write_physical(self, physical: int, data: bytes) -> bool:
        """Store bytes; returns whether it could be done."""
        if not self._readable(physical, len(data)):
            return False
        self.board.ram.view[physical : physical + len(data)] = data
        self.board.cpu.mapped.forget_code(physical, physical + len(data))
        self.board.cpu.forget_translations()  # a page table may have been written
        return True

    def _pieces(self, vcpu: int, address: int, size: int) -> Iterator[tuple[int | None, int, int]]:
        """Physical address, offset and size of each page's part."""
        done = 0
        while done < size:
            at = address + done
            length = min(size - done, PAGE_SIZE - at % PAGE_SIZE)
            yield self.translate(vcpu, at), done, length
            done += length

    def read(self, vcpu: int, address: int, size: int) -> bytes:
        """Bytes at a linear address; as many as can be read from its start."""
        parts: list[bytes] = []
        for physical, _, length in self._pieces(vcpu, address, size):
            data = None if physical is None else self.read_physical(physical, length)
            if data is None:
                break
            parts.append(data)
        return b"".join(parts)

    def write(self, vcpu: int, address: int, data: bytes) -> bool:
        """Store bytes at a linear address; all of them or, with the result False, none."""
        pieces = list(self._pieces(vcpu, address, len(data)))
        if any(physical is None or not self._readable(physical, length) for physical, _, length in pieces):
            return False
        return all(
            physical is not None and self.write_physical(physical, data[offset : offset + length])
            for physical, offset, length in pieces
        )
