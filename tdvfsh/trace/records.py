"""The kinds of journal records.

A kind has named fields for what others read of it; :class:`ServiceCall` holds any other call by names and values.
Memory types and allocate types are numbers, addresses and sizes bytes, and None stands for a NULL pointer.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import ClassVar, Final
from tdvfsh.trace.fields import ALLOCATE_TYPE, Field, Value, memory_type, number, text
from tdvfsh.uefi.service_names import (
    ACCEPT_AT_BOOT,
    ACCEPT_MEMORY,
    ACCEPT_PROTOCOL,
    ALLOCATE_PAGES,
    ALLOCATE_POOL,
    DMA_ACCEPT,
    FREE_PAGES,
    FREE_POOL,
    GET_MEMORY_MAP,
    LOAD_IMAGE,
    PAGE_ACCEPT,
)
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SHIFT, PAGE_SIZE

NO_PARENT: Final = -1


class TraceRecord:
    """One entry of the journal.

    Attributes:
        number: Position in the journal, from 0.
        parent: Number of the record that caused this one, or -1.
        time_ns: Virtual time at entry, in modelled nanoseconds.
        caller: The caller: ``shell``, ``direct``, ``grub``, ``stub``, ``dxe``, ``sec`` and so on.
        service: What was called, by the specification's name.
        status: What it returned; None while it runs.
    """

    __slots__ = ("caller", "number", "parent", "status", "time_ns")

    KIND: ClassVar[str]
    ARGUMENTS: ClassVar[tuple[Field, ...]] = ()
    RESULTS: ClassVar[tuple[Field, ...]] = ()

    service: str
    number: int
    parent: int
    time_ns: int
    caller: str
    status: EfiStatus | None

    @property
    def arguments(self) -> dict[str, Value]:
        """What it was called with, by the specification's names, as plain values."""
        return self._plain(self.ARGUMENTS)

    @property
    def results(self) -> dict[str, Value]:
        """What it returned, likewise; what it did not return is left out."""
        return self._plain(self.RESULTS)

    @property
    def failed(self) -> bool:
        """Whether it returned an error."""
        return self.status is not None and self.status.is_error

    @property
    def succeeded(self) -> bool:
        """Whether it returned, and not with an error."""
        return self.status is not None and not self.status.is_error

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, for JSON."""
        return {
            "kind": self.KIND,
            "number": self.number,
            "parent": self.parent,
            "time_ns": self.time_ns,
            "caller": self.caller,
            "service": self.service,
            "arguments": self.arguments,
            "status": None if self.status is None else self.status.name,
            "results": self.results,
        }

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        status = "running" if self.status is None else self.status.name
        return f"<{self.service}({given}): {status}>"

    def _plain(self, fields: tuple[Field, ...]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for name, attribute, form, optional, _ in fields:
            value = getattr(self, attribute)
            if value is not None:
                values[name] = form.plain(value)
            elif not optional:
                values[name] = None
        return values


class ServiceCall(TraceRecord):
    """A call of a service that has no kind of its own.

    Attributes:
        arguments: Names and values as the specification names them.
        results: What it returned.
    """

    __slots__ = ("arguments", "results", "service")
    KIND = "call"

    arguments: dict[str, Value]
    results: dict[str, Value]

    def __init__(self, service: str, arguments: dict[str, Value]) -> None:
        self.service = service
        self.arguments = arguments
        self.results = {}


class AllocatePagesCall(TraceRecord):
    """AllocatePages.

    Attributes:
        allocate_type: EFI_ALLOCATE_TYPE, or what the caller passed as one.
        memory_type: EFI_MEMORY_TYPE.
        pages: Pages of 4 KiB.
        asked: The caller's address variable before the call: a limit, an address, or nothing that counts.
        memory: The same after the call: where the pages are, if it succeeded.
    """

    __slots__ = ("allocate_type", "asked", "memory", "memory_type", "pages")
    KIND = "allocate_pages"
    ARGUMENTS = (
        Field("allocate_type", "allocate_type", ALLOCATE_TYPE),
        memory_type("memory_type"),
        number("pages"),
        number("memory", "asked", nullable=True),
    )
    RESULTS = (number("memory", optional=True),)
    service = ALLOCATE_PAGES

    def __init__(self, allocate_type: int, memory_type: int, pages: int, asked: int | None) -> None:
        self.allocate_type = allocate_type
        self.memory_type = memory_type
        self.pages = pages
        self.asked = asked
        self.memory: int | None = None

    @property
    def range(self) -> tuple[int, int]:
        """The bytes ``[start, end)`` that it allocated; empty where it did not."""
        start = self.memory or 0
        return (start, start + (self.pages << PAGE_SHIFT)) if self.succeeded else (0, 0)


class FreePagesCall(TraceRecord):
    """FreePages: ``pages`` of 4 KiB from the address ``memory``."""

    __slots__ = ("memory", "pages")
    KIND = "free_pages"
    ARGUMENTS = (number("memory"), number("pages"))
    service = FREE_PAGES

    def __init__(self, memory: int, pages: int) -> None:
        self.memory = memory
        self.pages = pages

    @property
    def range(self) -> tuple[int, int]:
        """The bytes ``[start, end)`` that it freed; empty where it did not."""
        return (self.memory, self.memory + (self.pages << PAGE_SHIFT)) if self.succeeded else (0, 0)


class AllocatePoolCall(TraceRecord):
    """AllocatePool: ``size`` bytes of ``pool_type``; ``buffer`` is where they are."""

    __slots__ = ("buffer", "pool_type", "size")
    KIND = "allocate_pool"
    ARGUMENTS = (memory_type("pool_type"), number("size"))
    RESULTS = (number("buffer", optional=True),)
    service = ALLOCATE_POOL

    def __init__(self, pool_type: int, size: int) -> None:
        self.pool_type = pool_type
        self.size = size
        self.buffer: int | None = None

    @property
    def range(self) -> tuple[int, int]:
        """The bytes ``[start, end)`` of the buffer; empty where there is none."""
        start = self.buffer or 0
        return (start, start + self.size) if self.succeeded else (0, 0)


class FreePoolCall(TraceRecord):
    """FreePool of the buffer at ``buffer``."""

    __slots__ = ("buffer",)
    KIND = "free_pool"
    ARGUMENTS = (number("buffer"),)
    service = FREE_POOL

    def __init__(self, buffer: int) -> None:
        self.buffer = buffer

    @property
    def range(self) -> tuple[int, int]:
        """The byte at which the buffer began: its size is the allocator's knowledge. Empty where it was not freed."""
        return (self.buffer, self.buffer + 1) if self.succeeded else (0, 0)


class GetMemoryMapCall(TraceRecord):
    """GetMemoryMap.

    Attributes:
        buffer_size: Bytes of the caller's buffer; None for a NULL pointer.
        memory_map_size: Bytes that the map takes, or needs.
        map_key: The map's key.
    """

    __slots__ = ("buffer_size", "map_key", "memory_map_size")
    KIND = "get_memory_map"
    ARGUMENTS = (number("memory_map_size", "buffer_size", nullable=True),)
    RESULTS = (number("memory_map_size", optional=True), number("map_key", optional=True))
    service = GET_MEMORY_MAP

    def __init__(self, buffer_size: int | None) -> None:
        self.buffer_size = buffer_size
        self.memory_map_size: int | None = None
        self.map_key: int | None = None


class AcceptMemoryCall(TraceRecord):
    """AcceptMemory, the RFC's option 3: ``size`` bytes from ``start_address``."""

    __slots__ = ("size", "start_address")
    KIND = "accept_memory"
    ARGUMENTS = (number("start_address"), number("size"))
    service = ACCEPT_MEMORY

    def __init__(self, start_address: int, size: int) -> None:
        self.start_address = start_address
        self.size = size


class LoadImageCall(TraceRecord):
    """LoadImage.

    Attributes:
        device_path: Where the image comes from, in words.
        source_size: Bytes of the caller's own copy.
        handle: The image's handle; this and what follows is None where nothing was loaded.
        image_base: Its first byte.
        image_size: Its bytes.
        image_code_type: EFI_MEMORY_TYPE of its pages.
    """

    __slots__ = ("device_path", "handle", "image_base", "image_code_type", "image_size", "source_size")
    KIND = "load_image"
    ARGUMENTS = (text("device_path", nullable=True), number("source_size", nullable=True))
    RESULTS = (
        number("handle", optional=True),
        number("image_base", optional=True),
        number("image_size", optional=True),
        memory_type("image_code_type", optional=True),
    )
    service = LOAD_IMAGE

    def __init__(self, device_path: str | None, source_size: int | None) -> None:
        self.device_path = device_path
        self.source_size = source_size
        self.handle: int | None = None
        self.image_base: int | None = None
        self.image_size: int | None = None
        self.image_code_type: int | None = None


class ProtocolAccept(TraceRecord):
    """The accept protocol's AcceptMemory(): ``size`` bytes from ``start_address``, of which some may be new."""

    __slots__ = ("accepted_bytes", "size", "start_address")
    KIND = "protocol_accept"
    ARGUMENTS = (number("start_address"), number("size"))
    RESULTS = (number("accepted_bytes", optional=True),)
    service = ACCEPT_PROTOCOL

    def __init__(self, start_address: int, size: int) -> None:
        self.start_address = start_address
        self.size = size
        self.accepted_bytes: int | None = None


class BootAccept(TraceRecord):
    """SEC's accept of all RAM below ``end_address``, in several ranges.

    Attributes:
        end_address: First byte that it leaves.
        calls: TDCALLs.
        pages_4k: Pages of 4 KiB accepted.
        pages_2m: Pages of 2 MiB accepted.
        duration_ns: Modelled nanoseconds that it took.
    """

    __slots__ = ("calls", "duration_ns", "end_address", "pages_2m", "pages_4k")
    KIND = "accept_at_boot"
    ARGUMENTS = (number("end_address"),)
    RESULTS = (
        number("accepted_bytes"),
        number("calls"),
        number("pages_4k"),
        number("pages_2m"),
        number("duration_ns"),
    )
    service = ACCEPT_AT_BOOT

    def __init__(self, end_address: int) -> None:
        self.end_address = end_address
        self.calls = self.pages_4k = self.pages_2m = self.duration_ns = 0

    @property
    def accepted_bytes(self) -> int:
        """Bytes that were accepted."""
        return self.pages_4k * PAGE_SIZE + self.pages_2m * LARGE_PAGE_SIZE


class PageAccept(TraceRecord):
    """TDG.MEM.PAGE.ACCEPT of a range: one TDCALL, or a row of them by one caller.

    Attributes:
        start: First byte of the range.
        size: Its bytes; they count as accepted where the calls succeeded.
        vcpu: The vCPU that made the calls.
        calls: TDCALLs.
        pages_4k: Pages of 4 KiB that they accepted.
        pages_2m: Pages of 2 MiB that they accepted.
        completion: Name of the completion with which they ended.
        duration_ns: Modelled nanoseconds that they took.
    """

    __slots__ = ("calls", "completion", "duration_ns", "pages_2m", "pages_4k", "size", "start", "vcpu")
    KIND = "accept"
    ARGUMENTS = (number("start"), number("size"), number("vcpu"))
    RESULTS = (
        number("calls"),
        number("pages_4k"),
        number("pages_2m"),
        text("completion"),
        number("duration_ns"),
    )
    service = PAGE_ACCEPT

    def __init__(self, start: int, size: int, vcpu: int = 0) -> None:
        self.start = start
        self.size = size
        self.vcpu = vcpu
        self.calls = self.pages_4k = self.pages_2m = self.duration_ns = 0
        self.completion = ""

    @property
    def new_bytes(self) -> int:
        """Bytes that were not accepted before and are now."""
        return self.pages_4k * PAGE_SIZE + self.pages_2m * LARGE_PAGE_SIZE

    @property
    def accepted(self) -> tuple[int, int] | None:
        """The range ``[start, end)`` that is accepted after it, whenever that happened; None where nothing is."""
        size = self.size // PAGE_SIZE * PAGE_SIZE if self.succeeded else min(self.size, self.new_bytes)
        return (self.start, self.start + size) if size else None


class DmaAccept(TraceRecord):
    """Pages that were shared for DMA are made private and accepted again, each by a TDCALL of its own.

    Attributes:
        pages: Pages of 4 KiB.
        why: What they were shared for.
        duration_ns: Modelled nanoseconds that it took.
    """

    __slots__ = ("duration_ns", "pages", "why")
    KIND = "dma_accept"
    ARGUMENTS = (number("pages"), text("why"))
    RESULTS = (number("duration_ns"),)
    service = DMA_ACCEPT

    def __init__(self, pages: int, why: str) -> None:
        self.pages = pages
        self.why = why
        self.duration_ns = 0


class PlacementMade(TraceRecord):
    """Contents that a boot has put into memory: bytes ``[start, end)``.

    Attributes:
        what: ``kernel``, ``initrd``, ``image`` and so on.
        start: First byte.
        end: First byte after it.
        memory_type: EFI_MEMORY_TYPE of its memory.
        made_by: Number of the call that allocated the memory; None where it lies inside an earlier block.
    """

    __slots__ = ("end", "made_by", "memory_type", "start", "what")
    KIND = "placement"
    ARGUMENTS = (text("what"), number("start"), number("end"), memory_type("memory_type"))
    RESULTS = (number("made_by", optional=True),)
    service = "Placement"

    def __init__(self, what: str, start: int, end: int, memory_type: int, made_by: int | None = None) -> None:
        self.what = what
        self.start = start
        self.end = end
        self.memory_type = memory_type
        self.made_by = made_by


class PlacementGone(TraceRecord):
    """The placement of record ``placement`` is no longer there; ``freed_by`` is the call that freed it, if any did."""

    __slots__ = ("freed_by", "placement", "what")
    KIND = "placement_gone"
    ARGUMENTS = (text("what"), number("placement"))
    RESULTS = (number("freed_by", optional=True),)
    service = "PlacementGone"

    def __init__(self, what: str, placement: int, freed_by: int | None = None) -> None:
        self.what = what
        self.placement = placement
        self.freed_by = freed_by


KINDS: Final[dict[str, type[TraceRecord]]] = {
    kind.KIND: kind
    for kind in (
        ServiceCall, AllocatePagesCall, FreePagesCall, AllocatePoolCall, FreePoolCall, GetMemoryMapCall,
        AcceptMemoryCall, LoadImageCall, ProtocolAccept, BootAccept, PageAccept, DmaAccept, PlacementMade,
        PlacementGone,
    )
}  # fmt: skip
"""Record kinds by their name in files."""
