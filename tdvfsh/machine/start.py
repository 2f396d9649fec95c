"""What a machine starts from: RAM, firmware and what is accepted, out of its options and the files they name."""

from __future__ import annotations

from tdvfsh.dxe.profile import UPSTREAM, FirmwareProfile, profile_named
from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.machine.options import TdOptions
from tdvfsh.options.td import AUTOMATIC, NO_KEYS
from tdvfsh.td.added import added_spans, td_hob_section
from tdvfsh.td.cost import CostModel, cost_model
from tdvfsh.td.dma import NO_DMA, DmaRules
from tdvfsh.td.footprint import FirmwareModel, firmware_model, is_recorded_file
from tdvfsh.td.hob import TdHobEntry, build_td_hob_list, td_hob_entries
from tdvfsh.td.ram import RamLayout
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.units import human_size

if TYPE_CHECKING:
    from tdvfsh.dxe.secure_boot.shim import Shim
    from tdvfsh.formats.boot_loader import BootLoaderFile
    from tdvfsh.machine.firmware_file import FirmwareFacts
    from tdvfsh.machine.imported import ImportedMap
    from tdvfsh.machine.secure_boot import Keys


@dataclass(frozen=True, slots=True)
class MachineStart:
    """Inputs that are settled before the TD exists.

    Attributes:
        ram: Its RAM.
        model: The recorded firmware whose footprint it has, or whose layout an imported map need not follow.
        profile: The rules of its generation.
        added: What is accepted before the TD runs: added by the VMM, or accepted as an imported map says.
        hob_entries: The TD HOB list; empty where a memory map was imported.
        cost: What accepting costs.
        host_page_size: Bytes of the largest page that the host maps.
        firmware: The firmware file, or None.
        imported: The imported map, or None.
        loader: The boot loader's file, or None.
        keys: The keys of Secure Boot; None where it is off.
        shim: The shim, or None.
    """

    ram: RamLayout
    model: FirmwareModel
    profile: FirmwareProfile
    added: tuple[AddressSpan, ...]
    hob_entries: tuple[TdHobEntry, ...]
    cost: CostModel
    host_page_size: int
    firmware: FirmwareFacts | None = None
    imported: ImportedMap | None = None
    loader: BootLoaderFile | None = None
    keys: Keys | None = None
    shim: Shim | None = None

    @property
    def dma(self) -> DmaRules:
        """What the firmware makes shared for DMA; nothing is known of firmware whose map was imported."""
        unknown = self.imported is not None and self.imported.descriptors is not None and not self.imported.firmware
        return NO_DMA if unknown else self.model.dma_under(self.ram.low.end)

    def settled(self, options: TdOptions) -> TdOptions:
        """``options`` with what the files and the names that go together say in place of ``auto``."""
        return options.changed(
            memory=self.ram.memory,
            profile=self.profile.name,
            firmware_model=self.model.source,
            host_page_size=self.host_page_size,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken from files, and why, in words."""
        notes = []
        if self.firmware is not None:
            notes.append(f"{self.firmware.path}: footprint {self.model.name}, for {self.firmware.why}")
        if self.imported is not None:
            is_hob_list = self.imported.descriptors is None
            kind = "TD HOB list" if is_hob_list else f"memory map of {self.firmware_name} firmware"
            read = "" if is_hob_list else f", read from {self.imported.form}"
            notes.append(f"{self.imported.path}: {kind}{read}; the machine starts from it")
            notes += [f"{self.imported.path}: {note}" for note in self.imported.notes]
        if self.loader is not None:
            sizes = f"{human_size(self.loader.file_size)} as a file, {human_size(self.loader.image_size)} as an image"
            notes.append(f"{self.loader.path}: {self.loader.name}, {sizes}")
        if self.shim is not None:
            notes.append(f"{self.shim.path}: shim, with {self.shim.trusts}")
        if self.keys is not None:
            notes.append(f"Secure Boot is on, with the keys of {self.keys.source}")
        return tuple(notes)

    @property
    def firmware_name(self) -> str:
        """The footprint's name; ``unknown`` where a map was imported that no recorded firmware has."""
        if self.imported is None or self.imported.descriptors is None:
            return self.model.name
        return "unknown" if self.imported.firmware is None else self.imported.firmware


def start_of(options: TdOptions) -> MachineStart:
    """Settle what the machine of ``options`` starts from.

    Raises:
        HostError, FormatError: A file that the options name cannot be read, or is not what it should be.
        UsageError: An invalid RAM size, or RAM in which the firmware's sections have no place.
    """
    start = _start_of(options)
    if options.secure_boot != NO_KEYS and (options.secure_boot != AUTOMATIC or options.firmware is not None):
        from tdvfsh.machine.secure_boot import keys_of

        start = replace(start, keys=keys_of(options.secure_boot, options.firmware))
    if options.shim is not None:
        from tdvfsh.dxe.secure_boot.shim import read_shim
        from tdvfsh.formats.mapped import open_mapped

        with open_mapped(options.shim) as mapped:
            start = replace(start, shim=read_shim(mapped.view, options.shim))
    if options.loader_file is None:
        return start
    from tdvfsh.formats.boot_loader import read_boot_loader
    from tdvfsh.formats.mapped import open_mapped

    with open_mapped(options.loader_file) as mapped:
        return replace(start, loader=read_boot_loader(mapped.source, options.loader_file))


def _start_of(options: TdOptions) -> MachineStart:
    firmware, imported = _read_files(options)
    cost, host_page_size = host_of(options)
    model, profile = _model_and_profile(options, firmware, imported)
    if imported is not None and (imported.descriptors is not None or not options.td):
        return MachineStart(
            ram=imported.ram,
            model=model,
            profile=profile,
            added=imported.accepted,
            hob_entries=(),
            cost=cost,
            host_page_size=host_page_size,
            firmware=firmware,
            imported=imported,
        )
    if imported is not None:
        if firmware is not None:
            raise UsageError("--firmware and a TD HOB list in --map: both say what the VMM adds; give one")
        return MachineStart(
            ram=imported.ram,
            model=model.in_machine(imported.ram.high is not None),
            profile=profile,
            added=imported.accepted,
            hob_entries=imported.hob_entries,
            cost=cost,
            host_page_size=host_page_size,
            firmware=None,
            imported=imported,
        )
    ram = RamLayout.q35(options.memory, options.max_ram_below_4g)
    added: tuple[AddressSpan, ...] = ()
    if options.td:
        added = firmware.added if firmware is not None else added_spans(model.metadata)
    entries = td_hob_entries(ram, added)
    if options.td:
        section = firmware.td_hob if firmware is not None else td_hob_section(model.metadata)
        if section is not None:
            build_td_hob_list(entries, section.start, section.size)
    return MachineStart(
        ram=ram,
        model=model.in_machine(ram.high is not None),
        profile=profile,
        added=added,
        hob_entries=entries,
        cost=cost,
        host_page_size=host_page_size,
        firmware=firmware,
    )


def host_of(options: TdOptions) -> tuple[CostModel, int]:
    """The host: what accepting costs, and bytes of the largest page that it maps.

    Raises:
        HostError, FormatError: A cost file that cannot be read, or is not one.
    """
    cost = cost_model(options.cost)
    return cost, options.host_page_size or cost.host_page_size


def _model_and_profile(
    options: TdOptions, firmware: FirmwareFacts | None, imported: ImportedMap | None
) -> tuple[FirmwareModel, FirmwareProfile]:
    """What is asked for by name goes before what the files say, and that before what goes with the other option."""
    profile = None if options.profile == AUTOMATIC else profile_named(options.profile)
    name = options.firmware_model
    if imported is not None and imported.firmware is not None:
        name = imported.firmware
    if name == AUTOMATIC:
        name = firmware.footprint(options.td) if firmware is not None else (profile or UPSTREAM).footprint
    model = firmware_model(name, options.td)
    if profile is None:
        said = firmware.model if firmware is not None else name if is_recorded_file(name) else None
        profile = UPSTREAM if said is None else profile_named(firmware_model(said).profile)
    return model, profile


def _read_files(options: TdOptions) -> tuple[FirmwareFacts | None, ImportedMap | None]:
    """The files that the options name; the modules that read them are only loaded where there are any."""
    firmware, imported = None, None
    if options.firmware is not None:
        from tdvfsh.machine.firmware_file import read_firmware

        firmware = read_firmware(options.firmware)
    if options.map is not None:
        from tdvfsh.machine.imported import import_machine

        imported = import_machine(options.map, options.td)
    return firmware, imported
