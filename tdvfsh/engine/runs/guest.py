"""Firmware for guest code: a machine's boot services behind trap stubs, on an emulated processor."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import Interfaces
from tdvfsh.engine.abi.journal import CallJournal
from tdvfsh.engine.abi.memory import FirmwareHeap, find_area
from tdvfsh.engine.abi.protocol_uses import ProtocolUses
from tdvfsh.engine.abi.service_table import Answer, Service, services_of
from tdvfsh.engine.abi.stubs import RETURN, Stubs
from tdvfsh.engine.abi.system_table import SystemTables
from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.board.wakeup import WakeupMailbox
from tdvfsh.engine.console.keys import KeySource, ScriptedKeys
from tdvfsh.engine.console.screen import NoDisplay, Screen
from tdvfsh.engine.console.serial_input import SerialInput
from tdvfsh.engine.errors import EngineError, GuestStopped, InaccessibleMemory, ReachedOperatingSystem
from tdvfsh.engine.introspect.loaded_code import LoadedCode
from tdvfsh.engine.protocols.install import install_firmware_protocols, prepare_loaded_image, unload_function
from tdvfsh.engine.protocols.text_console import Console
from tdvfsh.engine.services.driver_services import DriverServices
from tdvfsh.engine.services.event_services import EventServices
from tdvfsh.engine.services.guest_events import GuestEvents
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
from tdvfsh.engine.x86.cpu import Stop, StopKind
from tdvfsh.engine.x86.paging import IDT_SIZE, page_tables, page_tables_size
from tdvfsh.machine.machine import Machine
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import KIB, MIB, PAGE_SIZE, align_up

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_STACK_SIZE: Final = 256 * KIB
_HEAP_SIZE: Final = 4 * MIB
_STUBS_SIZE: Final = 64 * KIB


class GuestFirmware:
    """A machine's firmware as guest code sees it.

    Args:
        machine: The machine; its contents become live memory.
        screen: Behind ConOut; an unseen one where None.
        keys: Behind ConIn; none will come where None.
        violation_ve: Deliver #VE to the guest for a page that is not accepted, instead of stopping.
        limit: When to give up.
        serial: Takes what an operating system sends to its serial port; none is run on where None.
        typed: What is typed at that port.

    Attributes:
        caller_address: Return address of the service call being served.
        board: The hardware under it.
        code: Names for what runs.
        name_of: Gives an image its name in the journal, or None for its file's.
        on_leaving: Called when ExitBootServices has succeeded.
        on_entering: Called when an operating system that is run on is about to execute its first instruction.
        on_served: Called with a service's name when it has been served.
        on_call: Answers a call in the guest that the processor was told to stop at; gives the address to go on at.
    """

    def __init__(
        self,
        machine: Machine,
        screen: Screen | None = None,
        keys: KeySource | None = None,
        violation_ve: bool = False,
        limit: RunLimit | None = None,
        serial: Callable[[int], None] | None = None,
        typed: SerialInput | None = None,
    ) -> None:
        self.machine = machine
        self.screen = screen or Screen(NoDisplay())
        self.keys: KeySource = keys or ScriptedKeys()
        self._run_on = serial is not None
        self.code = LoadedCode()
        self.board = board = Board(
            machine.td, machine.trace, self, console=serial, typed=typed, violation_ve=violation_ve, limit=limit
        )
        self.clock, self.ram, self.cpu = board.clock, board.ram, board.cpu
        self.heap = self._lay_out()
        self.interfaces = Interfaces(self.ram, self.heap, self.stubs)
        self._names: dict[int, str] = {}
        self.name_of: Callable[[LoadedImage], str | None] = lambda image: None
        self.on_leaving: Callable[[], None] | None = None
        self.on_entering: Callable[[], None] | None = None
        self.on_served: Callable[[str], None] | None = None
        self.on_call: Callable[[], int] | None = None
        self._journal = CallJournal(machine, self.ram)
        self.caller_address = 0
        self.context = context = GuestContext(
            machine=machine,
            cpu=self.cpu,
            ram=self.ram,
            clock=self.clock,
            heap=self.heap,
            stubs=self.stubs,
            interfaces=self.interfaces,
            call=self.call,
            wrote=board.wrote,
            check_limit=board.check_limit,
        )
        several = machine.td.is_td and machine.td.vcpus > 1
        runtime_size = SystemTables.SIZE + (WakeupMailbox.size(self.ram) if several else 0)
        area = find_area(machine, EfiMemoryType.EfiRuntimeServicesData, runtime_size)
        self.tables = SystemTables(context, area)
        self._events = events = GuestEvents(context)
        self._waiting = waiting = Waiting(self.clock, events, self.keys)
        uses = ProtocolUses(self.services)
        drivers = DriverServices(context, uses)
        protocols = ProtocolServices(context, drivers)
        self.image_services = ImageServices(context, self, self.tables, events, protocols)
        self._runtime_services = RuntimeServices(context)
        self.tables.write_services(
            services_of(
                MemoryServices(context), PlainServices(context, events, waiting), protocols,
                OpenServices(context, uses, drivers), drivers, EventServices(context, events, waiting, protocols),
                self.image_services, VariableServices(context), self._runtime_services,
                VirtualAddressServices(context, self.tables, events),
            )
        )  # fmt: skip
        console = Console(
            screen=self.screen,
            keys=self.keys,
            create_ready_event=events.create_ready_event,
            polled=waiting.polled,
        )
        install_firmware_protocols(context, self.tables, console)
        machine.services.images.program_for = self.image_services.program_for
        mailbox = board.wait_at_mailbox(area + SystemTables.SIZE) if several else None
        install_machine_tables(machine, self.ram, area, machine.td.vcpus, mailbox.address if mailbox is not None else 0)
        self.tables.update_configuration_tables()

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

    def date(self) -> datetime:
        """The virtual date and time."""
        return self._runtime_services.now

    def halted(self) -> None:
        """HLT of a program: the next timer tick wakes it, if anything does."""
        self._waiting.halted()

    # ---- memory -------------------------------------------------------------------------------------------------

    def _lay_out(self) -> FirmwareHeap:
        """Page tables, descriptor tables, stack and heap in the firmware's own memory; stubs in its runtime code."""
        machine = self.machine
        end = max(self.ram.end, 1 << 32)
        tables = page_tables_size(end)
        size = tables + 3 * PAGE_SIZE + _STACK_SIZE + _HEAP_SIZE
        start = find_area(machine, EfiMemoryType.EfiBootServicesData, size)
        self.ram.write(start, page_tables(start, end))
        gdt = start + tables
        idt = self._interrupt_table = gdt + PAGE_SIZE
        stack = align_up(idt + IDT_SIZE + 16, PAGE_SIZE)
        self.cpu.enter_long_mode(start, gdt, idt, stack + _STACK_SIZE - PAGE_SIZE)
        stubs = find_area(machine, EfiMemoryType.EfiRuntimeServicesCode, _STUBS_SIZE)
        self.stubs = Stubs(self.ram, stubs, _STUBS_SIZE)
        return FirmwareHeap(stack + _STACK_SIZE, start + size)

    # ---- images -------------------------------------------------------------------------------------------------

    def name_image(self, handle: int, name: str) -> None:
        """What to call an image in the journal and in reports."""
        self._names[handle] = name

    def _name(self, handle: int, image: LoadedImage) -> str:
        name = self._names.get(handle) or self.name_of(image)
        if name is None:
            path = str(image.file_path) if image.file_path is not None else ""
            name = self._names[handle] = path.replace("/", "\\").rpartition("\\")[2] or f"image {handle:#x}"
        return name

    def prepare_image(self, handle: int, image: LoadedImage) -> None:
        """What firmware puts on an image's handle before it starts."""
        self.code.started(self._name(handle, image), image)
        prepare_loaded_image(self.context, handle, image)
        self.tables.update_configuration_tables()
        self.cpu.mapped.forget_code(image.page_base, image.page_base + image.number_of_pages * PAGE_SIZE)

    def unload_function(self, handle: int, image: LoadedImage) -> int:
        """Address of an image's Unload function, 0 where it has none."""
        return unload_function(self.context, handle, image)

    def left_boot_services(self) -> None:
        """ExitBootServices has succeeded: no watchdog any more; tell whoever wants to know."""
        self._events.set_watchdog(0)
        if self.on_leaving is not None:
            self.on_leaving()

    # ---- running ------------------------------------------------------------------------------------------------

    def call(self, function: int, *arguments: int) -> int:
        """Call guest code with up to any number of 64-bit arguments; gives RAX.

        Raises:
            GuestStopped: It touched what it must not.
        """
        self.board.map_accepted()  # the shell, too, accepts
        cpu = self.cpu
        outer = cpu.read("RSP")
        rest = arguments[4:]
        stack = (outer - 8 * (4 + len(rest))) & ~0xF
        if rest:
            self.ram.write(stack + 32, struct.pack(f"<{len(rest)}Q", *rest))
        for register, value in zip(("RCX", "RDX", "R8", "R9"), arguments, strict=False):
            cpu.write(register, value)
        self.ram.put_u64(stack - 8, self.stubs.return_address)
        cpu.write("RSP", stack - 8)
        caller = self.machine.trace.caller
        answer = self._run(function)
        self.machine.trace.caller = caller
        cpu.write("RSP", outer)
        return answer

    def _run(self, address: int) -> int:
        """Run until the callback's return stub is reached, serving what is asked."""
        cpu, stubs = self.cpu, self.stubs
        while True:
            stop = cpu.run(address)
            number = stubs.take_number()
            if number == RETURN:
                return stubs.answer
            address = self._after(stop) if not number else stubs.answer_with(number, self._serve(number, stubs.stack))

    def _after(self, stop: Stop) -> int:
        """Where to go on after a stop that is no service."""
        if stop.kind is StopKind.WATCHED:
            return self._entered_system(stop)
        if stop.kind is StopKind.CALL and self.on_call is not None:
            self.board.check_limit()
            return self.on_call()
        return self.board.after(stop)

    def _entered_system(self, stop: Stop) -> int:
        """The operating system's first instruction."""
        if not self._run_on:
            raise ReachedOperatingSystem
        if self.on_entering is not None:
            self.on_entering()
        self.code.other = "kernel"
        self.board.entered_system(is_linux=self.code.kernel is not None)
        return stop.address

    # ---- serving ------------------------------------------------------------------------------------------------

    def _serve(self, number: int, stack: int) -> int:
        """Serve the call of stub ``number``; gives RAX."""
        services = self.stubs.services
        service = services[number] if number < len(services) else None
        if service is None:
            raise EngineError(f"the program has overwritten the firmware's own memory: there is no service {number:#x}")
        self.caller_address = self.ram.u64(stack) if self.ram.accessible(stack, 8) else 0
        self._waiting.served(service.name)
        self.board.check_limit()
        self.machine.trace.caller = self.code.name(self.caller_address)
        try:
            answer = self._answer(service, stack)
        except InaccessibleMemory as bad:
            kind = "write" if bad.write else "read"
            what = f"{kind} of memory that is not accepted, {bad.address:#x}, by the firmware for its caller"
            raise GuestStopped(
                self.board.describe(what, bad.address, kind, service=service.name, pointer=self.caller_address)
            ) from None
        self.board.map_accepted()
        if self.on_served is not None:
            self.on_served(service.name)
        return int(answer) if answer is not None else 0

    def _answer(self, service: Service, stack: int) -> Answer:
        arguments = stack + 8
        if service.variadic:
            return self._journal.serve_variadic(service, arguments)
        values = struct.unpack(f"<{len(service.masks)}Q", self.ram.read(arguments, 8 * len(service.masks)))
        return self._journal.serve(
            service, tuple(value & mask for value, mask in zip(values, service.masks, strict=True))
        )
