"""What DMA costs a TD: pages that a device may see are shared ones, and have to be accepted again afterwards.

IoMmuDxe copies what a device reads or writes through pages that it has made shared by MapGPA. Until edk2 2022.11 it
takes them anew for each transfer and makes them private again after it, in 4 KiB pages. Later releases convert a pool
at their start and give it back at ExitBootServices. A buffer of that pool that fills a 2 MiB page of firmware's page
tables is converted by one MapGPA call, all others by a call for each page: how many calls it takes depends on where the
pool lies.

Source: edk2 OvmfPkg/IoMmuDxe/CcIoMmu.c and IoMmuBuffer.c (mReservedMemRanges), BaseMemEncryptTdxLib/MemoryEncryption.c
(SetMemorySharedOrPrivate); QemuFwCfgDxe.c (a transfer of fw_cfg has one page of its own for the access structure).
Recorded of 2022.11, 2025.02, 2026.08 and pull request 3245 running as TDs.
"""

from __future__ import annotations

from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.td.accept import AcceptOutcome
from tdvfsh.units import LARGE_PAGE_SIZE, MIB, PAGE_SHIFT, pages_for

if TYPE_CHECKING:
    from tdvfsh.td.cost import Modelled
    from tdvfsh.td.trust_domain import TrustDomain

FW_CFG_CHUNK: Final = MIB
"""QemuKernelLoaderFsDxe reads a blob in pieces of this many bytes."""
POOL_BUFFERS: Final = (1,) * 4 + (8,) * 8 + (32,) * 2 + (256,) + (512,) * 2
"""Pages of the pool's buffers, in their order; a page for a header, which stays private, lies before each."""
_PAGES_OF_LARGE_PAGE: Final = LARGE_PAGE_SIZE >> PAGE_SHIFT


@dataclass(frozen=True, slots=True)
class DmaRules:
    """What a firmware makes shared, and when it accepts it again. All numbers are pages of 4 KiB.

    Attributes:
        pool: A pool converted at the start and accepted again at ExitBootServices.
        pool_below: Bytes from the top of low RAM down to the pool's first header; 0 where that is not known.
        pool_calls: MapGPA calls that convert the pool once, where ``pool_below`` does not say it.
        each_transfer: There is no pool: each transfer converts its own pages and accepts them again.
        before_blobs: Accepted again before the kernel loader asks for the first blob.
        after_blobs: Accepted again from the last blob to the operating system.
    """

    pool: int = 0
    pool_below: int = 0
    pool_calls: int = 0
    each_transfer: bool = False
    before_blobs: int = 0
    after_blobs: int = 0

    def under(self, top: int) -> DmaRules:
        """The rules in a machine: with the calls that the pool takes where it lies there.

        Args:
            top: Address from which ``pool_below`` counts.
        """
        if self.pool != sum(POOL_BUFFERS) or not self.pool_below:
            return self
        return replace(self, pool_calls=pool_calls(top - self.pool_below))

    def pages_of(self, size: int) -> int:
        """Pages accepted again after fw_cfg has given ``size`` bytes of an item."""
        if not self.each_transfer or size <= 0:
            return 0
        whole, rest = divmod(size, FW_CFG_CHUNK)
        return whole * (pages_for(FW_CFG_CHUNK) + 1) + (pages_for(rest) + 1 if rest else 0)


NO_DMA: Final = DmaRules()


def pool_calls(start: int) -> int:
    """MapGPA calls that make shared, or private again, a pool that begins at the address ``start``."""
    calls, page = 0, start >> PAGE_SHIFT
    for pages in POOL_BUFFERS:
        buffer = page + 1
        large = pages == _PAGES_OF_LARGE_PAGE and buffer % _PAGES_OF_LARGE_PAGE == 0
        calls += 1 if large else pages
        page = buffer + pages
    return calls


def accept_again(td: TrustDomain, pages: int, calls: int) -> Modelled:
    """Convert ``pages`` with ``calls`` MapGPA calls in total, and accept them; the TD's clock advances.

    They were accepted before and are afterwards, so that of RAM no byte counts twice.

    Returns:
        The modelled time that it took.
    """
    work = AcceptOutcome(pages_4k=pages, calls=pages, td_exits=pages)
    took = td.cost.time(work) + td.cost.calls("map_gpa", calls)
    td.tdcall.calls += pages
    td.tdcall.exits += pages
    td.map_gpa_calls += calls
    td.spend(took)
    td.spent_on_dma += took
    return took
