"""REP MOVS and REP STOS done by the host: the emulator carries them out one element at a time.

Only where the whole of it is plain: 64-bit code, ascending, all pages mapped, writable where they are written, accepted
or shared RAM that is contiguous, and no translated code in the way. Anything else is the emulator's, exceptions too.
The instruction stays where it is and finds nothing left to do.

Source: Intel SDM volume 2, REP, MOVS and STOS.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.x86.page_walk import walk
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.engine.x86.register_batch import RegisterBatch
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE

_INSTRUCTION: Final = re.compile(rb"\xf3\x48?[\xa4\xa5\xaa\xab]")
_FORM: Final = re.compile(rb"\xf3(\x48?)([\xa4\xa5\xaa\xab])\Z")
_MOVS: Final = (0xA4, 0xA5)
_BYTES: Final = (0xA4, 0xAA)
_NAMES: Final = frozenset(f"rep {name}{width}" for name in ("movs", "stos") for width in "bdq")
_DESCENDING: Final = 1 << 10
_TRAP: Final = 1 << 8
_PAGING: Final = 1 << 31
_PRIVILEGE: Final = 3
_HIGHEST_CODE: Final = 1 << 32  # firmware's and boot loaders': a kernel's own code is elsewhere
_LONGEST: Final = 1 << 30
_OUTSIDE: Final = 1 << 47


class StringInstructions:
    """The host's part of string instructions.

    Args:
        uc: The emulator.
        ram: Guest memory.
        td: Whose memory it is.
        read: Returns a register by name.

    Attributes:
        count: How many the host did.
        bytes: How much they moved.
        left_alone: Asked with physical address and size of what one accesses, whether the processor is to do it; None
            where it never is.
    """

    def __init__(self, uc: Any, ram: GuestRam, td: TrustDomain, read: Callable[[str], int]) -> None:
        unicorn: Any = cpu_extra("unicorn")
        capstone: Any = cpu_extra("capstone")
        self._uc = uc
        self._ram = ram
        self._td = td
        self._read = read
        self._translate: Any = cpu_extra("unicorn.unicorn_py3.unicorn").uclib.uc_vmem_translate
        self._handle: Any = uc._uch
        self._protections = (unicorn.UC_PROT_READ, unicorn.UC_PROT_WRITE)
        self._before = RegisterBatch(uc, "EFLAGS", "RCX", "RDI", "RSI", "CR0", "CS")
        self._after_moving, self._after_storing = (
            RegisterBatch(uc, "RCX", "RDI", "RSI"),
            RegisterBatch(uc, "RCX", "RDI"),
        )
        self._disassembler: Any = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._disassembler.skipdata = True
        self._physical = ctypes.c_uint64()
        self._code_pages: set[int] = set()
        self._left: tuple[int, int] | None = None
        self.left_alone: Callable[[int, int], bool] | None = None
        self.count = 0
        self.bytes = 0

    def translated(self, address: int, size: int) -> None:
        """A block of code was translated: the emulator must be notified of host writes to it."""
        pages = self._code_pages
        pages.add(address >> PAGE_SHIFT)
        pages.add(address + size - 1 >> PAGE_SHIFT)

    def concern(self, address: int) -> bool:
        """Whether a block of code is firmware's or a boot loader's."""
        return address < _HIGHEST_CODE

    def places(self, code: bytes, address: int) -> list[int]:
        """Addresses of the string instructions in a block of code."""
        if _INSTRUCTION.search(code) is None:
            return []
        return [at for at, _, name, _ in self._disassembler.disasm_lite(code, address) if name in _NAMES]

    def reached(self, at: int, code: bytes) -> None:
        """The processor stands before an instruction, or before its next element: do it if it is plain.

        One that is single-stepped is left alone: it does an element, as it would if it had not been stopped before.
        """
        flags, count, target, source, mode, selector = self._before.read()
        if flags & _TRAP:
            return
        if self._left == (at, count):
            self._left = at, count - 1  # the emulator does the one that was not plain element by element
            return
        form = _FORM.match(code)
        plain = not flags & _DESCENDING and mode & _PAGING and not selector & _PRIVILEGE
        if form is None or not count or not plain or not self._do(at, form, count, target, source):
            self._left = at, count - 1

    def _do(self, at: int, form: re.Match[bytes], count: int, target: int, source: int) -> bool:
        opcode = form[2][0]
        width = 1 if opcode in _BYTES else 8 if form[1] else 4
        size = count * width
        if size > _LONGEST or target >= _OUTSIDE:
            return False
        to = self._contiguous(target, size, self._protections[1])
        if to is None or self._is_left_alone(to, size) or not self._drop_code(at, target, size):
            return False
        if opcode in _MOVS:
            begin = self._contiguous(source, size, self._protections[0]) if source < _OUTSIDE else None
            if begin is None or self._is_left_alone(begin, size) or not self._move(begin, to, size, width):
                return False
            self._after_moving.write((0, target + size, source + size))
        else:
            self._store(to, size, width)
            self._after_storing.write((0, target + size))
        self.count += 1
        self.bytes += size
        return True

    def _is_left_alone(self, physical: int, size: int) -> bool:
        return self.left_alone is not None and self.left_alone(physical, size)

    def _contiguous(self, address: int, size: int, protection: int) -> int | None:
        """Physical address of linear memory that is mapped to one piece of RAM; None where it is not.

        The RAM is accepted, or shared: the emulator does not know the shared bit, so the tables are read here then.
        """
        offset = address % PAGE_SIZE
        page = address - offset
        first = self._page(page, protection)
        if (
            first is None or first >= self._ram.end
        ):  # what the emulator remembers of shared memory is its alias or nothing
            return self._shared(address, size, protection)
        if not self._ram.accepted(first + offset, size):
            return None
        for at in range(PAGE_SIZE, offset + size, PAGE_SIZE):
            if self._page(page + at, protection) != first + at:
                return None
        return first + offset

    def _page(self, page: int, protection: int) -> int | None:
        status = self._translate(self._handle, ctypes.c_uint64(page), protection, ctypes.byref(self._physical))
        return None if status else self._physical.value

    def _shared(self, address: int, size: int, protection: int) -> int | None:
        td, view = self._td, self._ram.view
        if not td.shared_bytes:
            return None
        table, mode = self._read("CR3"), self._read("CR4")
        first: int | None = None
        at = address
        while at < address + size:
            found = walk(view, table, at, td.shared_mask, mode)
            if found is None or not found.physical & td.shared_mask:
                return None
            physical = found.physical & ~td.shared_mask
            first = physical if first is None else first
            if physical - first != at - address or (protection == self._protections[1] and not found.writable):
                return None
            at += found.size - physical % found.size
        if first is None or sum(end - start for start, end, _ in td.shared.spans(first, first + size)) != size:
            return None
        return first

    def _drop_code(self, at: int, target: int, size: int) -> bool:
        """Let the emulator forget code that is about to be overwritten; False where it is being executed."""
        first, last = target >> PAGE_SHIFT, target + size - 1 >> PAGE_SHIFT
        pages = self._code_pages
        if last - first < len(pages):
            hot = [page for page in range(first, last + 1) if page in pages]
        else:
            hot = [page for page in pages if first <= page <= last]
        here = at >> PAGE_SHIFT
        if any(abs(page - here) <= 1 for page in hot):
            return False
        for page in hot:
            self._uc.ctl_remove_cache(page << PAGE_SHIFT, page + 1 << PAGE_SHIFT)
            pages.discard(page)
        return True

    def _move(self, begin: int, to: int, size: int, width: int) -> bool:
        distance = to - begin
        host = self._ram.host_address
        if not 0 < distance < size:
            ctypes.memmove(host + to, host + begin, size)
            return True
        if distance < width:
            return False
        view = self._ram.view
        pattern = bytes(view[begin:to])
        view[to : to + size] = (pattern * (size // distance + 1))[:size]
        return True

    def _store(self, to: int, size: int, width: int) -> None:
        value = self._read("RAX") & (1 << 8 * width) - 1
        element = value.to_bytes(width, "little")
        if element.count(element[0]) == width:
            ctypes.memset(self._ram.host_address + to, element[0], size)
        else:
            self._ram.view[to : to + size] = element * (size // width)
