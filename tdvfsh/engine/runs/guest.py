"""Firmware for guest code: a machine's boot services by trap stubs, on an emulated processor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.dxe.memory.runtime_attributes import pack_table, runtime_attributes
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import Interfaces
from tdvfsh.engine.abi.memory import find_area
from tdvfsh.engine.abi.service_table import services_of
from tdvfsh.engine.abi.system_table import SystemTables
from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.board.wakeup import WakeupMailbox
from tdvfsh.engine.console.keys import KeySource, ScriptedKeys
from tdvfsh.engine.console.screen import NoDisplay, Screen
from tdvfsh.engine.console.serial_input import SerialInput
from tdvfsh.engine.drivers.install import FirmwareDrivers
from tdvfsh.engine.introspect.loaded_code import LoadedCode
from tdvfsh.engine.protocols.acpi_table import AcpiTableProtocol
from tdvfsh.engine.protocols.install import install_firmware_protocols, offer_image_texts, unload_function
from tdvfsh.engine.protocols.io_mmu import IoMmuProtocol
from tdvfsh.engine.protocols.pci_io import register_pci_functions
from tdvfsh.engine.protocols.pci_root_bridge_io import PciRootBridgeIoProtocol
from tdvfsh.engine.protocols.serial_io import SerialIoProtocol
from tdvfsh.engine.protocols.text_console import Console, TextInput
from tdvfsh.engine.runs.guest_calls import GuestCalls
from tdvfsh.engine.runs.layout import lay_out
from tdvfsh.engine.runs.memory_protection import protect_memory
from tdvfsh.engine.runs.observer import RunObserver
from tdvfsh.engine.runs.plugged import plug_in
from tdvfsh.engine.services.capsule_services import CapsuleServices
from tdvfsh.engine.services.driver_overrides import GuestDriverOverrides
from tdvfsh.engine.services.driver_services import DriverServices
from tdvfsh.engine.services.event_services import EventServices
from tdvfsh.engine.services.file_loaders import file_loader
from tdvfsh.engine.services.guest_time import GuestTime
from tdvfsh.engine.services.image_services import ImageServices
from tdvfsh.engine.services.memory_services import MemoryServices
from tdvfsh.engine.services.misc_services import PlainServices
from tdvfsh.engine.services.open_services import OpenServices
from tdvfsh.engine.services.protocol_services import ProtocolServices
from tdvfsh.engine.services.runtime_services import RuntimeServices
from tdvfsh.engine.services.variable_services import VariableServices
from tdvfsh.engine.services.virtual_addresses import VirtualAddressServices
from tdvfsh.engine.services.waiting import Waiting
from tdvfsh.engine.tables.install import install_machine_tables
from tdvfsh.engine.virtio.parts import NO_PARTS, VirtioParts
from tdvfsh.lazy_dataclass import replace
from tdvfsh.machine.machine import Machine
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.guids import EFI_MEMORY_ATTRIBUTES_TABLE_GUID
from tdvfsh.uefi.memory import EfiMemoryType, memory_type_name
from tdvfsh.units import PAGE_SIZE


class GuestFirmware:
    """A machine's firmware as guest code sees it.

    Args:
        machine: The machine; its contents become live memory.
        screen: The screen of ConOut; an unseen one where None.
        keys: The keys of ConIn; none will come where None.
        violation_ve: Deliver #VE to the guest for a page that is not accepted, instead of stopping.
        limit: When to abort.
        serial: Takes what an operating system sends to its serial port; none is run on where None.
        typed: What is typed at that port.
        observer: What the run is for; one that changes nothing where None.
        virtio: Virtio devices, which an operating system finds; programs do not.

    Attributes:
        machine: The machine.
        board: The hardware under it.
        code: Names for what runs.
        context: What services and protocols work with.
        tables: The system table and the tables of services.
        image_services: What starts programs.
        calls: What runs guest code and serves its calls.
        virtual_addresses: SetVirtualAddressMap and ConvertPointer.
    """

    def __init__(
        self,
        machine: Machine,
        screen: Screen | None = None,
        keys: KeySource | None = None,
        *,
        violation_ve: bool = False,
        limit: RunLimit | None = None,
        serial: Callable[[int], None] | None = None,
        typed: SerialInput | None = None,
        observer: RunObserver | None = None,
        virtio: VirtioParts = NO_PARTS,
    ) -> None:
        self.machine = machine
        self.screen = screen = screen or Screen(NoDisplay())
        keys = keys or ScriptedKeys()
        self._observer = observer = observer or RunObserver()
        self._names: dict[int, str] = {}
        self.code = LoadedCode(observer.other_code)
        self.board = board = Board(
            machine.td, machine.trace, self, console=serial, typed=typed, violation_ve=violation_ve, limit=limit
        )
        self.clock, self.ram, self.cpu = board.clock, board.ram, board.cpu
        self.code.memory = board.ram.view
        layout = lay_out(machine, board)
        self._interrupt_table = layout.interrupt_table
        self._protects = layout.paging is not None
        self.calls = calls = GuestCalls(
            machine=machine,
            board=board,
            stubs=layout.stubs,
            code=self.code,
            observer=observer,
            runs_systems=serial is not None,
            protect=protect_memory(machine, layout.paging),
        )
        self.context = context = GuestContext(
            machine=machine,
            cpu=board.cpu,
            ram=board.ram,
            clock=board.clock,
            heap=layout.heap,
            stubs=layout.stubs,
            interfaces=Interfaces(board.ram, layout.heap, layout.stubs),
            call=calls.call,
            wrote=board.wrote,
            check_limit=board.check_limit,
        )
        several = machine.td.is_td and machine.td.vcpus > 1
        runtime_size = SystemTables.SIZE + (WakeupMailbox.size(self.ram) if several else 0)
        area = find_area(machine, EfiMemoryType.EfiRuntimeServicesData, runtime_size)
        self.tables = tables = SystemTables(context, area)
        self._time = time = GuestTime(context)
        self._waiting = waiting = Waiting(board.clock, time, keys, calls.idleness)
        self.driver_services = DriverServices(context)
        self.virtual_addresses = VirtualAddressServices(context, tables)
        protocols = ProtocolServices(context)
        self.image_services = ImageServices(context, self, tables, protocols)
        tables.write_services(
            services_of(
                MemoryServices(context), PlainServices(context, time, waiting), protocols,
                OpenServices(context), self.driver_services, EventServices(context, waiting),
                self.image_services, VariableServices(context), RuntimeServices(context),
                self.virtual_addresses, CapsuleServices(context),
            )
        )  # fmt: skip
        events = machine.services.core.events
        events.call = context.call
        console = Console(screen=screen, keys=keys, create_ready_event=events.create_ready_event, polled=waiting.polled)
        handles = install_firmware_protocols(context, tables, console)
        machine.services.images.program_for = self.image_services.program_for
        services = machine.services
        services.drivers.binding_of = self.driver_services.binding_of
        services.drivers.overrides = GuestDriverOverrides(context, context.call)
        services.images.files.loader_of = partial(file_loader, context, context.call)
        services.images.loaded = partial(offer_image_texts, context)
        services.configuration_tables_changed = tables.update_configuration_tables
        mailbox = board.wait_at_mailbox(area + SystemTables.SIZE) if several else None
        bridge = plug_in(board, virtio)
        place = mailbox.address if mailbox is not None else 0
        install_machine_tables(machine, self.ram, area, machine.td.vcpus, place, bridge)
        AcpiTableProtocol(context).install()
        reinstall = protocols.reinstall_protocol_interface
        serial_io = SerialIoProtocol(context, board.devices.serial, waiting.stall, reinstall)
        io_mmu = IoMmuProtocol(context) if machine.td.is_td else None
        if io_mmu is not None:
            io_mmu.install()
        bridge_io = PciRootBridgeIoProtocol(
            context, board.devices, waiting.stall, machine.td.ram.low.end, io_mmu=io_mmu
        )
        register_pci_functions(context, bridge_io)
        root_bridge = bridge_io.install()
        keyboard = TextInput(context, replace(console, keys=ScriptedKeys()))
        self._drivers = FirmwareDrivers(context, protocols.installed)
        self._drivers.install(root_bridge, serial_io, handles, keyboard)
        tables.update_configuration_tables()

    def close(self) -> None:
        """End the processor's timer; memory and machine stay as they are."""
        self.board.close()

    @property
    def services(self) -> BootServices:
        """The boot services."""
        return self.machine.services

    @property
    def core(self) -> DxeCore:
        """The DXE core."""
        return self.machine.services.core

    @property
    def td(self) -> TrustDomain:
        """The trust domain."""
        return self.machine.td

    # ---- for the board ------------------------------------------------------------------------------------------

    @property
    def interrupt_table(self) -> int:
        """Address of the interrupt table that programs run with."""
        return self._interrupt_table

    def memory_name(self, address: int) -> str:
        """The memory type at an address."""
        kind = self.core.memory_map.type_at(address)
        return "" if kind is None else memory_type_name(kind)

    def date(self) -> datetime:
        """The virtual date and time."""
        return self.core.real_time_clock.now(self.clock.now_ns)

    def halted(self) -> None:
        """HLT of a program: the next timer tick wakes it, if anything does."""
        self._waiting.halted()

    # ---- images -------------------------------------------------------------------------------------------------

    def name_image(self, handle: int, name: str) -> None:
        """What to call an image in the journal and in reports."""
        self._names[handle] = name

    def _name(self, handle: int, image: LoadedImage) -> str:
        name = self._names.get(handle) or self._observer.image_name(image)
        if name is None:
            path = str(image.file_path) if image.file_path is not None else ""
            name = self._names[handle] = path.replace("/", "\\").rpartition("\\")[2] or f"image {handle:#x}"
        return name

    def prepare_image(self, handle: int, image: LoadedImage) -> None:
        """What firmware puts on an image's handle before it starts."""
        self._drivers.take_over_disks()
        self.code.started(self._name(handle, image), image)
        offer_image_texts(self.context, handle, image)
        self.tables.update_configuration_tables()
        self.cpu.mapped.forget_code(image.page_base, image.page_base + image.number_of_pages * PAGE_SIZE)

    def unload_function(self, handle: int, image: LoadedImage) -> int:
        """Address of an image's Unload function, 0 where it has none."""
        return unload_function(self.context, handle, image)

    def leaving_boot_services(self) -> None:
        """ExitBootServices is called: firmware that protects memory describes that of the runtime drivers."""
        services, tables = self.services, self.core.configuration_tables
        if self._protects and not services.at_runtime and EFI_MEMORY_ATTRIBUTES_TABLE_GUID not in tables:
            entries = runtime_attributes(services.memory_map_view().descriptors, services.images.loaded_images())
            table = self.context.interfaces.structure([pack_table(entries)])
            tables[EFI_MEMORY_ATTRIBUTES_TABLE_GUID] = table
            self.tables.update_configuration_tables()

    def left_boot_services(self) -> None:
        """ExitBootServices has succeeded: no watchdog any more, and the observer may wait for an operating system."""
        self._time.set_watchdog(0)
        system = self._observer.left_boot_services()
        if system is not None:
            self.cpu.watch(system.start, system.end)
