"""IoMmuDxe's accepts in the journal of a machine: after each transfer of fw_cfg, and at ExitBootServices."""

from __future__ import annotations

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.lazy_typing import Final
from tdvfsh.td.dma import POOL_BUFFERS, DmaRules, accept_again
from tdvfsh.trace.records import DmaAccept
from tdvfsh.uefi.guids import EFI_EVENT_GROUP_EXIT_BOOT_SERVICES
from tdvfsh.uefi.status import SUCCESS

_DRIVER: Final = "IoMmuDxe"


class DmaAccepts:
    """What the firmware's IOMMU driver does.

    Args:
        services: The firmware.
        rules: What it makes shared.
    """

    def __init__(self, services: BootServices, rules: DmaRules) -> None:
        self._services = services
        self._rules = rules

    def install(self) -> None:
        """What happens before a flow begins, and what will at ExitBootServices."""
        rules, services = self._rules, self._services
        if rules.each_transfer:
            self._transfer(rules.before_blobs, "firmware's own transfers")
        if rules.pool:
            services.create_event(self._give_pool_back, EFI_EVENT_GROUP_EXIT_BOOT_SERVICES)

    def transferred(self, what: str, size: int) -> None:
        """fw_cfg has given ``size`` bytes of ``what``."""
        pages = self._rules.pages_of(size)
        if pages:
            self._transfer(pages, f"transfer of the {what}")

    def blobs_are_there(self) -> None:
        """All blobs have been read: what is still to come does not depend on them."""
        if self._rules.each_transfer:
            self._transfer(self._rules.after_blobs, "firmware's own transfers")

    @property
    def pool_buffers(self) -> tuple[int, ...]:
        """Pages of each buffer of the pool; none where there is no such pool."""
        return POOL_BUFFERS if self._rules.pool == sum(POOL_BUFFERS) else ()

    def mapping_ended(self, pages: int) -> None:
        """A bus master's mapping outside the pool is private again."""
        self._transfer(pages, "mapping for a bus master")

    def _transfer(self, pages: int, why: str) -> None:
        """Each page is converted by a MapGPA of its own, and back by another."""
        self._write(pages, 2 * pages, why)

    def _give_pool_back(self) -> None:
        """What it took to make the pool shared is counted here, too: one number for all of it."""
        self._write(self._rules.pool, 2 * self._rules.pool_calls, "the pool, at ExitBootServices")

    def _write(self, pages: int, calls: int, why: str) -> None:
        services = self._services
        with services.trace.on_behalf_of(_DRIVER):
            record = services.trace.begin(DmaAccept(pages, why))
            record.duration_ns = accept_again(services.td, pages, calls).likely
            services.trace.end(record, SUCCESS)
