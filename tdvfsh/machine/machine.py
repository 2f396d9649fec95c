"""A TD from its options: RAM, boot-time accept, the firmware's footprint, the DXE core, and the journal."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.accept.on_demand import OnDemandAccept, on_demand_named
from tdvfsh.dxe.accept_protocol import TdxMemoryAccept
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.loaded_image import own_image
from tdvfsh.dxe.memory.import_map import core_from_descriptors
from tdvfsh.dxe.memory_attribute_protocol import MemoryAttributeProtocol
from tdvfsh.dxe.profile import FirmwareProfile
from tdvfsh.errors import UsageError
from tdvfsh.machine.accept_at_exit import AcceptUnlessObjected
from tdvfsh.machine.dma_accepts import DmaAccepts
from tdvfsh.machine.faults import parse_fault, set_faults, set_sec_faults
from tdvfsh.machine.firmware_core import (
    CoreStart,
    adopt_pool_pages,
    firmware_core,
    firmware_ram,
    low_end,
    protect_core,
)
from tdvfsh.machine.options import UNLESS_OBJECTED, TdOptions
from tdvfsh.machine.snapshot import MachineSnapshot, restore_snapshot, take_snapshot
from tdvfsh.machine.start import start_of
from tdvfsh.notebook import table_html
from tdvfsh.td.clock import VirtualClock
from tdvfsh.td.dma import NO_DMA
from tdvfsh.td.firmware_calls import FirmwareCall
from tdvfsh.td.footprint import (
    BOOT_LOADER,
    DIRECT,
    SHELL,
    FirmwareModel,
    FirmwareStage,
    check_room,
    ram_end,
)
from tdvfsh.td.hob import TdHobEntry
from tdvfsh.td.sec import SecAccept, sec_accept
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace.journal import Trace
from tdvfsh.trace.records import BootAccept
from tdvfsh.uefi.guids import (
    EDKII_MEMORY_ACCEPT_PROTOCOL_GUID,
    EFI_LOADED_IMAGE_PROTOCOL_GUID,
    EFI_MEMORY_ATTRIBUTE_PROTOCOL_GUID,
)
from tdvfsh.uefi.memory import (
    MemoryDescriptor,
    MemoryMapListing,
)
from tdvfsh.units import human_size, ram_size


def stage_of(loader: str) -> str:
    """How far firmware has come when a flow begins: ``direct``, or ``boot_loader`` for flows that begin on a disk."""
    return DIRECT if loader.startswith("direct") else BOOT_LOADER


class Machine:
    """One TD, or plain VM, with firmware that has come as far as its boot manager.

    Args:
        options: What to make; a TD of the defaults where None.
        image_bytes: Sizes of the boot blobs in fw_cfg, in sum; ``presize`` counts them.
        at_shell: Firmware has come as far as its Shell's prompt, with the Shell's image and all drivers in memory, and
            not only to where the flow that the options name begins. Firmware of which no Shell was recorded is as it
            is where that flow begins.

    Attributes:
        options: What it was made from; a file that was imported or read has its say in them.
        start: What the options and the files they name came to.
        td: The hardware.
        services: The boot-services table.
        trace: The journal.
        hob_entries: The TD HOB list that the VMM handed over.
        boot_accept: What SEC accepted.
        boot_bytes: Bytes accepted before DXE, those that the VMM added included.
        broken: Why the firmware dies before it boots anything, or None.
        dma: The accepts of its IOMMU driver.
        firmware_image: Handle of the firmware's own image.

    Raises:
        UsageError: An invalid RAM size, or too little accepted for the firmware itself.
    """

    def __init__(self, options: TdOptions | None = None, image_bytes: int = 0, *, at_shell: bool = False) -> None:
        self.at_shell = at_shell
        options = options if options is not None else TdOptions()
        self.start = start_of(options)
        self._model = self.start.model
        self.options = options = self.start.settled(options)
        self.td = TrustDomain(
            self.start.ram,
            options.gpaw,
            options.vcpus,
            options.host_page_size,
            options.sept_ve_disable,
            self.start.cost,
            td=options.td,
            added=self.start.added,
        )
        self.trace = Trace(self.td.clock)
        self.hob_entries: tuple[TdHobEntry, ...] = self.start.hob_entries
        if self.imported_map is not None:
            self.td.added_bytes = 0  # a map does not say what was accepted when
        faults = [parse_fault(text) for text in options.fault]
        set_sec_faults(self, faults)
        self.boot_accept = self._accept_at_boot(image_bytes)
        self.boot_bytes = self.td.accepted_bytes
        self.broken = None if self.boot_accept is None else _why_broken(self.boot_accept, self.start.profile)
        self.services = BootServices(self._start_core(), self.td, self.trace)
        self.on_demand: OnDemandAccept = on_demand_named(options.on_demand)
        self.on_demand.attach(self.services)
        self.firmware_image = self._install_firmware_handles()
        if options.td and options.accept_at_exit == UNLESS_OBJECTED:
            AcceptUnlessObjected(self.services).install()
        self.dma = DmaAccepts(self.services, self.start.dma if options.td else NO_DMA)
        self.dma.install()
        set_faults(self, faults)
        self._offer_protection()
        if self.start.keys is not None:
            self._secure_boot(self.start.keys.values)

    def _offer_protection(self) -> None:
        core = self.services.core
        if core.protection.policy.memory_attribute_protocol:
            protocol = MemoryAttributeProtocol(self.services)
            core.handles.install_protocol_interface(None, EFI_MEMORY_ATTRIBUTE_PROTOCOL_GUID, protocol)

    def _secure_boot(self, keys: dict[str, bytes]) -> None:
        from tdvfsh.dxe.secure_boot.databases import enroll
        from tdvfsh.dxe.secure_boot.handler import ImageVerification

        core = self.services.core
        core.variables = enroll(core.variables, keys)
        rules = core.profile.verification.of_build(self._model.metadata)
        ImageVerification(self.services, rules).install()

    def __repr__(self) -> str:
        return f"<Machine: {self._summary()}>"

    def _repr_html_(self) -> str:
        listing = self.memory_map
        return table_html(self._summary(), (), ()) + listing._repr_html_()

    def _summary(self) -> str:
        options, td = self.options, self.td
        kind = "TD" if options.td else "plain VM"
        parts = [f"{ram_size(options.memory)} {kind}", f"firmware {self.start.firmware_name}"]
        parts.append("1 vCPU" if options.vcpus == 1 else f"{options.vcpus} vCPUs")
        if options.td:
            parts.append(f"{human_size(td.accepted_bytes)} accepted, {human_size(td.unaccepted_bytes)} not")
        if self.services.at_runtime:
            parts.append("boot services are gone")
        return ", ".join(parts)

    @property
    def memory_map(self) -> MemoryMapListing:
        """The memory map as GetMemoryMap would report it now; asking leaves no record in the journal."""
        return MemoryMapListing(self.services.memory_map_view().descriptors)

    @property
    def boot_services(self) -> BootServices:
        """The boot-services table, under its name in the specification."""
        return self.services

    @property
    def clock(self) -> VirtualClock:
        """The virtual clock."""
        return self.td.clock

    @property
    def stage(self) -> FirmwareStage:
        """The firmware's recorded layout and calls for the flow that the options name."""
        return self._model.stages[self.stage_name]

    @property
    def stage_name(self) -> str:
        """How far firmware had come when the machine began: its Shell, or :func:`stage_of` the options' flow."""
        return SHELL if self.at_shell and SHELL in self._model.stages else stage_of(self.options.loader)

    @property
    def imported_map(self) -> Sequence[MemoryDescriptor] | None:
        """The memory map that the machine was started from, or None."""
        return None if self.start.imported is None else self.start.imported.descriptors

    def firmware_calls(self, initrd_size: int = 0) -> Sequence[FirmwareCall]:
        """What firmware allocates on its own during a boot; none is known of firmware whose map was imported.

        Args:
            initrd_size: Bytes of the initrd that a direct boot gets by fw_cfg.
        """
        if self.imported_map is not None:
            return ()
        ram, end = self.td.ram, self.accepted_low_end
        return self._model.calls_below(self.stage_name, end, ram_end(ram.low.end, ram.high is not None), initrd_size)

    @property
    def model(self) -> FirmwareModel:
        """The recorded firmware."""
        return self._model

    @property
    def accepted_low_end(self) -> int:
        """Where the highest accepted RAM below 4 GiB ends: the firmware's own top of memory."""
        return low_end(firmware_ram(self.td.ram.spans, self._accept_end))

    def snapshot(self, before: MachineSnapshot | None = None) -> MachineSnapshot:
        """The state now, to go back to; parts that are as in ``before``, an earlier one, are shared with it."""
        return take_snapshot(self, before)

    def restore(self, snapshot: MachineSnapshot) -> None:
        """Go back to a snapshot of this machine: memory, handles, journal and virtual clock."""
        restore_snapshot(self, snapshot)

    def _accept_at_boot(self, image_bytes: int) -> SecAccept | None:
        options = self.options
        if not options.td or self.imported_map is not None:
            self._accept_end = 1 << 64
            return None
        self._accept_end = options.accept.end_address(self.hob_entries, image_bytes, self.start.profile.sec)
        check_room(self._model, self.stage_name, self.accepted_low_end)
        with self.trace.on_behalf_of("sec"):
            record = self.trace.begin(BootAccept(min(self._accept_end, self.td.ram.end)))
            accepted = sec_accept(self.td, self.hob_entries, self._accept_end, rules=self.start.profile.sec)
            outcome = accepted.outcome
            record.calls, record.duration_ns = outcome.calls, accepted.time.likely
            record.pages_4k, record.pages_2m = outcome.pages_4k, outcome.pages_2m
            self.trace.end(record, outcome.status)
        if outcome.status.is_error:
            raise UsageError(f"the TD does not start: accepting memory at boot failed ({outcome.completion_name})")
        return accepted

    def _start_core(self) -> DxeCore:
        profile = self.start.profile
        if self.imported_map is not None:
            core = core_from_descriptors(self.imported_map, profile)
            adopt_pool_pages(core, list(core.memory_map))
            protect_core(core, self.options.protect)
            return core
        options = self.options
        return firmware_core(
            CoreStart(
                model=self._model,
                stage_name=self.stage_name,
                profile=profile,
                spans=tuple(self.td.ram.spans),
                accept_end=self._accept_end,
                is_td=options.td,
                vcpus=options.vcpus,
                gpaw=options.gpaw,
                protect=options.protect,
            )
        )

    def _install_firmware_handles(self) -> int:
        handles = self.services.handles
        own = own_image(parent_handle=0)
        handle = handles.install_protocol_interface(None, EFI_LOADED_IMAGE_PROTOCOL_GUID, own).handle
        assert handle is not None
        if self.options.td:
            large_pages = self.start.profile.sec.large_pages
            handles.install_protocol_interface(
                None, EDKII_MEMORY_ACCEPT_PROTOCOL_GUID, TdxMemoryAccept(self.td, self.trace, large_pages)
            )
        return handle


def _why_broken(accepted: SecAccept, profile: FirmwareProfile) -> str | None:
    """Firmware takes its memory from the top of low RAM: where that was not accepted, its first write there ends it."""
    lost = next(iter(accepted.lost), None)
    if lost is None:
        return None
    return (
        f"firmware dies at its first write to [{lost[0]:#x}, {lost[1]:#x}), which it takes for accepted: with several "
        f"vCPUs, SEC of {profile.edk2} drops what follows the last whole 2 MiB page"
    )
