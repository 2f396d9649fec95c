"""One trust domain: RAM, secure EPT, TDCALL, clock, cost and what memory holds."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final
from tdvfsh.td.clock import VirtualClock
from tdvfsh.td.contents import Contents
from tdvfsh.td.cost import NO_TIME, CostModel, Modelled, cost_model
from tdvfsh.td.faults import TdFaults
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.ranges import RangeMap
from tdvfsh.td.sept import SecureEpt
from tdvfsh.td.tdcall import PageAccept
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.uefi.tdx import SEPT_VE_DISABLE, SeptState
from tdvfsh.units import LARGE_PAGE_SIZE, human_size

GPA_WIDTHS: Final = (48, 52)


class TrustDomain:
    """The hardware side of a TD, or of a plain VM.

    Args:
        ram: Where RAM lies.
        gpaw: Guest physical address width: 48 or 52; the top bit of it is the shared bit.
        vcpus: Number of vCPUs, at least 1.
        host_page_size: Largest page that the host maps: 4096 or 2 MiB.
        sept_ve_disable: TD attribute bit 28: touching a PENDING page leaves the TD instead of raising #VE.
        cost: The cost model; that of the default preset where None.
        td: False makes a plain VM: all RAM is there from the start, accepting is EFI_UNSUPPORTED.
        added: Ranges that the VMM adds before the TD runs, already accepted.
        max_map_gpa: Bytes the VMM converts in one MapGPA call before it answers RETRY; None for no limit.
        firmware: Private pages outside of RAM that hold firmware, there from the start; they count as no RAM.

    Attributes:
        spent: Modelled time that accepts, TD exits and conversions have taken so far.
        spent_on_dma: The part of it that pages shared for DMA have taken.

    Raises:
        UsageError: An invalid width, count or size.
    """

    __slots__ = (
        "accepts", "added_bytes", "clock", "contents", "cost", "firmware_bytes", "firmware_end", "gpaw", "is_td",
        "map_gpa_calls", "max_map_gpa", "ram", "sept", "sept_ve_disable", "shared", "spent", "spent_on_dma",
        "tdcall", "vcpus",
    )  # fmt: skip

    def __init__(
        self,
        ram: RamLayout,
        gpaw: int = 48,
        vcpus: int = 1,
        host_page_size: int = LARGE_PAGE_SIZE,
        sept_ve_disable: bool = True,
        cost: CostModel | None = None,
        td: bool = True,
        added: Sequence[AddressSpan] = (),
        max_map_gpa: int | None = None,
        firmware: Sequence[AddressSpan] = (),
    ) -> None:
        if gpaw not in GPA_WIDTHS:
            raise UsageError(f"GPAW {gpaw} is invalid: a TD has 48 or 52")
        if ram.end > 1 << (gpaw - 1):
            raise UsageError(
                f"memory of {human_size(ram.memory)} reaches the shared bit of GPAW {gpaw} at {1 << (gpaw - 1):#x}"
            )
        if vcpus < 1:
            raise UsageError(f"{vcpus} vCPUs: a TD has at least 1")
        self.ram = ram
        self.gpaw = gpaw
        self.vcpus = vcpus
        self.sept_ve_disable = sept_ve_disable
        self.cost = cost if cost is not None else cost_model()
        self.is_td = td
        self.max_map_gpa = max_map_gpa
        self.clock = VirtualClock()
        self.spent: Modelled = NO_TIME
        self.spent_on_dma: Modelled = NO_TIME
        self.contents = Contents()
        self.shared: RangeMap[bool] = RangeMap()
        self.sept = SecureEpt(host_page_size)
        self.tdcall = PageAccept(self.sept, ram, gpaw, self.shared)
        self.accepts = 0
        self.map_gpa_calls = 0
        for span in added if td else ram.spans:
            self.sept.add(span.start, span.end)
        self.added_bytes = self.sept.bytes_in(SeptState.MAPPED) if td else 0
        for span in firmware:
            self.sept.add(span.start, span.end)
        self.firmware_bytes = sum(span.size for span in firmware)
        self.firmware_end = max((span.end for span in firmware), default=0)

    @property
    def memory_end(self) -> int:
        """First byte after the highest RAM and firmware."""
        return max(self.ram.end, self.firmware_end)

    @property
    def shared_mask(self) -> int:
        """The bit of a GPA that makes it shared."""
        return 1 << (self.gpaw - 1)

    @property
    def attributes(self) -> int:
        """TD attributes as far as the model has them."""
        return SEPT_VE_DISABLE if self.is_td and self.sept_ve_disable else 0

    @property
    def accepted_bytes(self) -> int:
        """Private RAM that the guest may use: added or accepted. A running count."""
        pages = self.sept.bytes_in(SeptState.MAPPED) + self.sept.bytes_in(SeptState.BLOCKED)
        return pages - self.firmware_bytes

    @property
    def shared_bytes(self) -> int:
        """RAM that was converted to shared. A running count."""
        return self.shared.total(True)

    @property
    def unaccepted_bytes(self) -> int:
        """RAM that is neither accepted nor shared, whether the VMM backs it yet or not. A running count."""
        return self.ram.memory - self.accepted_bytes - self.shared_bytes

    @property
    def pending_bytes(self) -> int:
        """The part of :attr:`unaccepted_bytes` that the VMM backs already: PENDING entries. A running count."""
        return self.sept.bytes_in(SeptState.PENDING) + self.sept.bytes_in(SeptState.PENDING_BLOCKED)

    @property
    def faults(self) -> TdFaults | None:
        """Failures on purpose, or None."""
        return self.tdcall.faults

    @faults.setter
    def faults(self, faults: TdFaults | None) -> None:
        self.tdcall.faults = faults

    def spend(self, time: Modelled) -> None:
        """Let the clock advance by the likely time of accepting, TD exits and conversions, and add it to ``spent``."""
        self.spent += time
        self.clock.advance(time.likely)

    def copy(self) -> TrustDomain:
        """A snapshot that goes its own way; costs as much as there are ranges."""
        twin = TrustDomain.__new__(TrustDomain)
        for name in (
            "accepts", "added_bytes", "cost", "firmware_bytes", "firmware_end", "gpaw", "is_td", "map_gpa_calls",
            "max_map_gpa", "ram", "spent", "spent_on_dma", "vcpus",
        ):  # fmt: skip
            setattr(twin, name, getattr(self, name))
        twin.sept_ve_disable = self.sept_ve_disable
        twin.clock = self.clock.copy()
        twin.contents = self.contents.copy()
        twin.shared = self.shared.copy()
        twin.sept = self.sept.copy()
        twin.tdcall = PageAccept(twin.sept, self.ram, self.gpaw, twin.shared)
        twin.tdcall.calls, twin.tdcall.exits = self.tdcall.calls, self.tdcall.exits
        twin.tdcall.groups = self.tdcall.groups
        twin.faults = None if self.faults is None else self.faults.copy()
        return twin
