"""Guest RAM as one sparse mapping of the host, of which the guest sees the accepted runs only."""

from __future__ import annotations

import ctypes
import mmap
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from tdvfsh.engine.errors import InaccessibleMemory
from tdvfsh.errors import HostError
from tdvfsh.lazy_typing import BinaryIO, Final
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.tdx import SeptState
from tdvfsh.units import PAGE_SIZE, human_size

_MAP_NORESERVE: Final = getattr(mmap, "MAP_NORESERVE", 0x4000)  # Linux's number; Python names it only lately
_PAGE_MAP: Final = "/proc/self/pagemap"
_PIECE: Final = 1 << 20
_STRING_LIMIT: Final = 1 << 20
_CHUNK: Final = 512
_U8: Final = struct.Struct("<B")
_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")


class GuestRam:
    """Bytes of guest RAM by guest physical address.

    Boot services run identity mapped, so a guest's pointer is such an address. Typed accessors raise
    :class:`InaccessibleMemory` where the bytes are not all accepted.

    Args:
        td: Whose RAM it is.

    Attributes:
        view: All of RAM, holes included; accesses through it are not checked.
        host_address: Address of guest address 0 in this process.
        lowest: First byte that the guest may touch. Page 0 stays out before an operating system runs: an
            access to it is an error.
        paging: Translates a linear page address to a physical one, or to None; None while memory is identity mapped.
    """

    def __init__(self, td: TrustDomain) -> None:
        self._td = td
        try:
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
            self._map = mmap.mmap(-1, td.memory_end, flags=flags)
        except (OSError, OverflowError, ValueError) as error:
            raise HostError(f"this host cannot map {human_size(td.memory_end)} of guest memory: {error}") from None
        self.view = memoryview(self._map)
        self._anchor = ctypes.c_char.from_buffer(self._map)
        self.host_address = ctypes.addressof(self._anchor)
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._grown = False
        self._reader = object()  # by which the secure EPT knows this one
        self._unshown: list[tuple[int, int]] | None = None
        self.lowest = PAGE_SIZE
        self.paging: Callable[[int], int | None] | None = None

    @property
    def end(self) -> int:
        """First byte after RAM and firmware."""
        return len(self.view)

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Accepted RAM, coalesced, as of the last :meth:`refresh`."""
        return list(zip(self._starts, self._ends, strict=True))

    def refresh(self) -> None:
        """Read from the secure EPT again which RAM is accepted."""
        starts: list[int] = []
        ends: list[int] = []
        lowest, limit = self.lowest, self.end
        self._td.sept.newly_mapped(self._reader)
        for start, end, entry in self._td.sept.spans():
            if entry.state is not SeptState.MAPPED or end <= lowest or start >= limit:
                continue
            start, end = max(start, lowest), min(end, limit)
            if ends and ends[-1] == start:
                ends[-1] = end
            else:
                starts.append(start)
                ends.append(end)
        self._starts, self._ends = starts, ends
        self._grown, self._unshown = False, None

    def grown(self) -> None:
        """More was accepted: it is looked up when it is asked for."""
        self._grown = True

    def _catch_up(self) -> None:
        """What :meth:`refresh` does, where only more was accepted by what that is."""
        fresh = self._td.sept.newly_mapped(self._reader)
        if fresh is None or not all(self._add(start, end) for start, end in fresh):
            self.refresh()
        self._grown = False

    def _add(self, start: int, end: int) -> bool:
        """``[start, end)`` is accepted; False where that cannot simply be added."""
        starts, ends = self._starts, self._ends
        index = bisect_right(starts, start)
        if not self.lowest <= start < end <= self.end or (index and ends[index - 1] > start):
            return False
        if index < len(starts) and starts[index] < end:
            return False
        if self._unshown is not None:
            self._unshown.append((start, end))
        low, high = index, index
        if index and ends[index - 1] == start:
            low, start = index - 1, starts[index - 1]
        if index < len(starts) and starts[index] == end:
            high, end = index + 1, ends[index]
        starts[low:high], ends[low:high] = (start,), (end,)
        return True

    def shown(self) -> None:
        """The processor sees all that is accepted, as of the last :meth:`refresh`."""
        self._unshown = []

    def take_unshown(self) -> list[tuple[int, int]] | None:
        """What was accepted since the processor was shown all that was, to be shown; None where that is not known."""
        self._catch_up()
        taken, self._unshown = self._unshown, None if self._unshown is None else []
        return taken

    def accepted(self, address: int, size: int = 1) -> bool:
        """Whether ``size`` bytes at a physical address are accepted RAM."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address + size <= self._ends[index]:
            return True
        if not self._grown:
            return False
        self._catch_up()
        return self.accepted(address, size)

    def accessible(self, address: int, size: int = 1) -> bool:
        """Whether ``size`` bytes at ``address`` are accepted RAM."""
        if self.paging is not None:
            return all(place is not None for place, _ in self._pieces(address, size))
        return self.accepted(address, size)

    def check(self, address: int, size: int, write: bool = False) -> None:
        """Raise :class:`InaccessibleMemory` unless :meth:`accessible`."""
        if not self.accessible(address, size):
            raise InaccessibleMemory(address, size, write)

    def _pieces(self, address: int, size: int) -> Iterator[tuple[int | None, int]]:
        """Physical address, None where there is none, and size of each page's part of a linear range."""
        assert self.paging is not None
        at = address
        while at < address + size:
            length = min(address + size - at, PAGE_SIZE - at % PAGE_SIZE)
            yield self._place(at, length), length
            at += length

    def _place(self, address: int, size: int) -> int | None:
        """Physical address of a linear range in one page; None where it is not accepted or not mapped."""
        assert self.paging is not None
        offset = address % PAGE_SIZE
        page = self.paging(address - offset)
        if page is None:
            return None
        place = page + offset
        return place if self.accepted(place, size) else None

    def read(self, address: int, size: int) -> bytes:
        """A copy of ``size`` bytes."""
        if not size:
            return b""
        if self.paging is not None:
            if address % PAGE_SIZE + size <= PAGE_SIZE:
                only = self._place(address, size)
                if only is None:
                    raise InaccessibleMemory(address, size, False)
                return bytes(self.view[only : only + size])
            parts: list[bytes] = []
            for place, length in self._pieces(address, size):
                if place is None:
                    raise InaccessibleMemory(address, size, False)
                parts.append(bytes(self.view[place : place + length]))
            return b"".join(parts)
        self.check(address, size)
        return bytes(self.view[address : address + size])

    def read_physical(self, address: int, size: int) -> bytes | None:
        """A copy by physical address, whatever the paging; None where it is not all accepted."""
        if not self.accepted(address, size):
            return None
        return bytes(self.view[address : address + size])

    def write_physical(self, address: int, data: bytes) -> bool:
        """Store by physical address, whatever the paging; False where it is not all accepted."""
        if not self.accepted(address, len(data)):
            return False
        self.view[address : address + len(data)] = data
        return True

    def window(self, address: int, size: int) -> memoryview:
        """The bytes themselves, to read or to fill."""
        self.check(address, size, write=True)
        return self.view[address : address + size]

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store ``data``."""
        if not len(data):
            return
        self.check(address, len(data), write=True)
        if self.paging is None:
            self.view[address : address + len(data)] = data
            return
        done = 0
        for place, length in self._pieces(address, len(data)):
            if place is not None:
                self.view[place : place + length] = data[done : done + length]
            done += length

    def zero(self, start: int, end: int) -> None:
        """Fill ``[start, end)`` with zeros; whole pages of the host are given back. Not checked."""
        low, high = -(-start // PAGE_SIZE) * PAGE_SIZE, end // PAGE_SIZE * PAGE_SIZE
        if high - low >= 16 * PAGE_SIZE and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, low, high - low)
            self.zero(start, low)
            self.zero(high, end)
        elif start < end:
            self.view[start:end] = bytes(end - start)

    def touched(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The pieces of accepted ``[start, end)`` that anything was ever written to; more where the host cannot say.

        Reading untouched memory would make the host back it, so its page map is asked first.
        """
        with ExitStack() as stack:
            try:
                pages: BinaryIO | None = stack.enter_context(open(_PAGE_MAP, "rb", buffering=0))
            except OSError:
                pages = None
            for at in range(start, end, _PIECE):
                stop = min(at + _PIECE, end)
                if pages is not None:
                    pages.seek((self.host_address + at) // mmap.PAGESIZE * 8)
                    entries = pages.read(-(-(stop - at) // mmap.PAGESIZE) * 8)
                    if not any(entries[7::8]):  # bits 63 and 62: present, swapped
                        continue
                yield at, stop

    def u8(self, address: int) -> int:
        """One byte."""
        return self._number(address, _U8)

    def u16(self, address: int) -> int:
        """A little-endian UINT16."""
        return self._number(address, _U16)

    def u32(self, address: int) -> int:
        """A little-endian UINT32."""
        return self._number(address, _U32)

    def u64(self, address: int) -> int:
        """A little-endian UINT64, UINTN or pointer."""
        return self._number(address, _U64)

    def put_u8(self, address: int, value: int) -> None:
        """Store one byte (BOOLEAN)."""
        self.write(address, _U8.pack(value & 0xFF))

    def put_u32(self, address: int, value: int) -> None:
        """Store a UINT32."""
        self.write(address, _U32.pack(value & 0xFFFFFFFF))

    def put_u64(self, address: int, value: int) -> None:
        """Store a UINT64, UINTN or pointer."""
        self.write(address, _U64.pack(value))

    def _number(self, address: int, form: struct.Struct) -> int:
        if self.paging is not None:
            return int(form.unpack(self.read(address, form.size))[0])
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address + form.size > self._ends[index]:
            self.check(address, form.size)
        return int(form.unpack_from(self.view, address)[0])

    def guid(self, address: int) -> Guid:
        """An EFI_GUID."""
        return Guid(bytes_le=self.read(address, 16))

    def utf16(self, address: int, limit: int = _STRING_LIMIT) -> str:
        """A CHAR16 string up to its NUL, at most ``limit`` characters; unpaired surrogates become U+FFFD."""
        return self._until_nul(address, 2, limit).decode("utf-16-le", "replace")

    def ascii(self, address: int, limit: int = _STRING_LIMIT) -> str:
        """A CHAR8 string up to its NUL, at most ``limit`` characters, as Latin-1."""
        return self._until_nul(address, 1, limit).decode("latin-1")

    def _until_nul(self, address: int, width: int, limit: int) -> bytes:
        parts: list[bytes] = []
        at, left = address, limit * width
        while left > 0:
            if not self.accessible(at, width):
                raise InaccessibleMemory(at, width, False)
            chunk = self.read(at, min(left, _CHUNK, PAGE_SIZE - at % PAGE_SIZE) // width * width or width)
            found = next((i for i in range(0, len(chunk) - width + 1, width) if not any(chunk[i : i + width])), None)
            if found is not None:
                parts.append(chunk[:found])
                break
            chunk = chunk[: len(chunk) // width * width]
            parts.append(chunk)
            at += len(chunk)
            left -= len(chunk)
        return b"".join(parts)
