"""The ``--on-demand`` axis: the 2021 RFC's three options, and doing nothing, as implementations of one protocol.

A loader tells the option what a step will need before it starts the step, and when a step has failed asks whether to
repeat it. Option 1 does not listen to loaders at all: it sits in the allocator.

Source: "TDVF Lazy Page Accept" RFC, edk2-devel 2021-08-30; option 1 as edk2-staging built it (pull 255,
MdeModulePkg/Core/Dxe/Mem/Page.c AcceptMemoryResource).
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.accept.needs import ACCEPT_CHUNK, Need, plan_accepts, unaccepted_ranges
from tdvfsh.dxe.accept_memory import accept_protocol, take_into_map
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.memory_services import MemoryServices
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final, Protocol
from tdvfsh.uefi.memory import EfiAllocateType, EfiGcdMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SIZE, align_up

_ADDRESS_MASK: Final = (1 << 64) - 1
_PAGE_MASK: Final = PAGE_SIZE - 1

LOAD_IMAGE_STEP: Final = "load_image"
START_IMAGE_STEP: Final = "start_image"
LOAD_INITRD_STEP: Final = "load_initrd"


class OnDemandAccept(Protocol):
    """One way to accept memory on demand.

    Attributes:
        name: As ``--on-demand`` names it.
        teaches_loaders: Loaders know of it: one that finds its place in the map by itself looks again afterwards.
        mattered: Whether the boot has come to where options differ: a step failed, or an accept was planned before one.
    """

    name: str
    teaches_loaders: bool
    mattered: bool

    def attach(self, services: BootServices) -> None:
        """Take whatever place in the firmware the option needs."""

    def before(self, services: BootServices, step: str, needs: Sequence[Need]) -> None:
        """A loader is about to do ``step``, which will ask for ``needs`` in this order."""

    def repeat_after(
        self, services: BootServices, step: str, status: EfiStatus, needs: Sequence[Need], attempt: int
    ) -> bool:
        """``step`` ended with ``status`` in its ``attempt``-th try (from 1): is it worth repeating now?"""
        ...


class NoAccept:
    """``none``: what was accepted at boot is all there is."""

    name = "none"
    teaches_loaders = False
    mattered = False

    def attach(self, services: BootServices) -> None:
        """Nothing."""

    def before(self, services: BootServices, step: str, needs: Sequence[Need]) -> None:
        """Nothing."""

    def repeat_after(
        self, services: BootServices, step: str, status: EfiStatus, needs: Sequence[Need], attempt: int
    ) -> bool:
        """Never."""
        return False


class AllocatorAccept(NoAccept):
    """``allocator``, option 1: the DXE allocator accepts when it would return EFI_OUT_OF_RESOURCES."""

    name = "allocator"

    def attach(self, services: BootServices) -> None:
        """Install the hook of AllocatePages and AllocatePool."""
        services.on_out_of_resources = accept_memory_resource


class LiteralLoaderAccept(NoAccept):
    """``loader-literal``, option 2 to the letter: LoadImage ran out of memory, so accept for the image, and once more.

    LoadImage hides an exhausted file buffer as EFI_NOT_FOUND; that, and all other steps, this option does not see.
    """

    name = "loader-literal"

    def repeat_after(
        self, services: BootServices, step: str, status: EfiStatus, needs: Sequence[Need], attempt: int
    ) -> bool:
        """After the first EFI_OUT_OF_RESOURCES of LoadImage, if the image's memory could be accepted."""
        if step != LOAD_IMAGE_STEP or status is not EfiStatus.EFI_OUT_OF_RESOURCES or attempt > 1:
            return False
        plan = plan_accepts(services, needs)
        return accept_ranges(services, plan or ())


class LoaderAccept(NoAccept):
    """``loader``, option 2 repaired: whatever step ran out of memory, accept what it lacked and repeat it.

    A kernel that returned because it ran out of memory is started again; what its stub will request in the middle of
    its work, the loader accepts when the stub asks for the initrd's size.
    """

    name = "loader"
    teaches_loaders = True

    def __init__(self) -> None:
        self._failed_once: set[str] = set()

    def before(self, services: BootServices, step: str, needs: Sequence[Need]) -> None:
        """Accept for the initrd in the middle of a kernel's second start; nothing else before it has failed."""
        if step == LOAD_INITRD_STEP and START_IMAGE_STEP in self._failed_once:
            accept_ranges(services, plan_accepts(services, needs) or ())

    def repeat_after(
        self, services: BootServices, step: str, status: EfiStatus, needs: Sequence[Need], attempt: int
    ) -> bool:
        """As long as something could be accepted below the step's limit, or the repetition will accept by itself."""
        if status not in (EfiStatus.EFI_OUT_OF_RESOURCES, EfiStatus.EFI_NOT_FOUND):
            return False
        first_time = step not in self._failed_once
        self._failed_once.add(step)
        plan = plan_accepts(services, needs)
        if plan:
            return accept_ranges(services, plan)
        if plan is not None and step == START_IMAGE_STEP and first_time:
            return True
        # It cannot fit, or should have fitted and did not: accept what is left, and try.
        limit = max((need.maximum for need in needs), default=0)
        return accept_ranges(services, unaccepted_ranges(services, limit))


class ServiceAccept(NoAccept):
    """``service``, option 3: before a step the loader accepts, by AcceptMemory(), just what the step will lack."""

    name = "service"
    teaches_loaders = True

    def before(self, services: BootServices, step: str, needs: Sequence[Need]) -> None:
        """Accept what is missing; nothing where the needs can be met, or cannot be even so."""
        for start, end in plan_accepts(services, needs) or ():
            self.mattered = True
            services.accept_memory(start, end - start)


_OPTIONS: Final = {
    option.name: option for option in (NoAccept, AllocatorAccept, LoaderAccept, LiteralLoaderAccept, ServiceAccept)
}
ON_DEMAND_NAMES: Final = tuple(_OPTIONS)


def on_demand_named(name: str) -> OnDemandAccept:
    """The option that ``--on-demand`` names.

    Raises:
        UsageError: Unknown name; the message lists the known ones.
    """
    try:
        return _OPTIONS[name]()
    except KeyError:
        raise UsageError(f"--on-demand {name}: unknown; choose one of {', '.join(ON_DEMAND_NAMES)}") from None


def accept_ranges(services: BootServices, ranges: Sequence[tuple[int, int]]) -> bool:
    """Option 2's accept: through the protocol, then into the GCD. False where that got nothing accepted."""
    protocol = accept_protocol(services)
    if protocol is None or not ranges:
        return False
    for start, end in ranges:
        if protocol.accept_memory(start, end - start).is_error:
            return False
        take_into_map(services, start, end)
    return True


def accept_memory_resource(services: MemoryServices, allocate_type: int, size: int, memory: int) -> tuple[bool, int]:
    """Option 1's helper: accept ``size`` rounded up to 32 MiB from the low end of the first range that holds it.

    A limit that is not the last byte of a page is rewritten in the caller's own variable, even where nothing comes of
    it (edk2-staging; held by tests/accept/test_on_demand.py).

    Returns:
        Whether the allocation is worth one more try, and the caller's address variable.
    """
    accept_size = align_up(size & _ADDRESS_MASK, ACCEPT_CHUNK) & _ADDRESS_MASK
    protocol = accept_protocol(services)
    if accept_size == 0 or protocol is None:
        return False, memory
    limit = _ADDRESS_MASK
    if allocate_type == EfiAllocateType.AllocateMaxAddress:
        if memory < _PAGE_MASK:
            return False, memory
        if memory & _PAGE_MASK != _PAGE_MASK:
            memory = ((memory - PAGE_SIZE) & ~_PAGE_MASK) | _PAGE_MASK
        limit = memory
    for entry in services.gcd.of_type(EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted):
        if entry.size >= accept_size and entry.start + accept_size - 1 <= limit:
            if protocol.accept_memory(entry.start, accept_size) is not SUCCESS:
                return False, memory
            take_into_map(services, entry.start, entry.start + accept_size)
            return True, memory
    return False, memory
