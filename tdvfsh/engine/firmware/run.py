"""One run of real firmware: a board that starts at the reset vector, and all that it did to memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType, TracebackType

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.dma import DmaView
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.board.virtio import plug_virtio
from tdvfsh.engine.console.serial_input import InputEnded, SerialInput
from tdvfsh.engine.devices.cmos import memory_registers
from tdvfsh.engine.devices.flash import Flash
from tdvfsh.engine.errors import EngineError, GuestStopped
from tdvfsh.engine.firmware.boot_services import (
    BootService,
    ServiceWatch,
    call_get_memory_map,
    find_boot_services,
)
from tdvfsh.engine.firmware.code import FirmwareCode
from tdvfsh.engine.firmware.devices import attach_devices, configuration
from tdvfsh.engine.firmware.firmware_host import FirmwareHost
from tdvfsh.engine.firmware.image import FirmwareImage, layout_of_plain_vm, layout_of_td
from tdvfsh.engine.firmware.kernel_unpacking import KernelUnpacking
from tdvfsh.engine.firmware.memory_calls import MapGpaCall, MemoryCalls
from tdvfsh.engine.firmware.outcome import WAITS, FirmwareOutcome
from tdvfsh.engine.firmware.rtmr_extends import RtmrExtends
from tdvfsh.engine.firmware.unpacking import HostUnpacking
from tdvfsh.engine.runs.consoles import Consoles
from tdvfsh.engine.runs.os_run import SystemConsole, ending_of
from tdvfsh.engine.runs.rest import RestingPlace
from tdvfsh.engine.runs.status_text import status_text
from tdvfsh.engine.tdx.quoting import QuotingService
from tdvfsh.engine.virtio.parts import NO_PARTS, VirtioParts
from tdvfsh.engine.x86.reset_state import begin_after_reset, begin_in_td
from tdvfsh.engine.x86.stop import StopKind
from tdvfsh.lazy_dataclass import replace
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.options import TdOptions
from tdvfsh.machine.start import host_of
from tdvfsh.measure.mrtd import AddOrder, BuildMeasurement, measure_build
from tdvfsh.measure.quote import QuoteSigner
from tdvfsh.td.accept import AcceptCall
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace import Trace
from tdvfsh.uefi.memory import MemoryDescriptor

_UPPER_HALF: Final = 1 << 63


class Paused(EngineError):
    """A run has reached the point where it was to stop; it can continue."""


class FirmwareRun:
    """Real firmware on a board: a context, in which it runs.

    Args:
        image: The firmware.
        options: The TD or plain VM. What says how much is accepted is the firmware's own affair.
        files: Kernel, initrds and command line for fw_cfg; None for no direct boot.
        output: Takes the serial console's bytes as they come; they are dropped where None.
        typed: What is typed at that console; None for nothing.
        until: A regular expression; the run ends with the first console line that it is found in.
        limit: When to abort.
        real_code_only: Let the host do nothing in place of the firmware, which takes much longer.
        add_order: When the VMM extends the pages that it adds, which decides MRTD.
        vmm_files: fw_cfg files that take the place of the machine's own, by name.
        quote_signer: Keys of a quoting service for GetQuote; None for no such service.
        patch_header: Whether the VMM writes into the kernel's setup header, as QEMU did before 10.2.
        virtio: Virtio devices.
        keep: Whether the machine is to be saved where the run ends: it runs on to the end of a stop then.
        flash: Holds the firmware's variable store, in a plain VM; None for one that is read-only, as QEMU's -bios.

    Attributes:
        td: The trust domain or plain VM.
        board: Its board.
        services: The firmware's boot services, as far as they are watched.
        strings: The string instructions that the host did; None where it does none.
        unpacking: The packed sections that the host unpacked; None where it unpacks none.
        calls: What was accepted and converted so far.
        extends: Every TDG.MR.RTMR.EXTEND so far.
        fw_cfg: Its configuration device.
        on_end: Called with the exception that ends :meth:`run_to_end`, while all is as it was then.
        consoles: What it showed.
        disks: Its disks.
        rest: Where the run ends if its machine is to be saved; None where it is not.

    Raises:
        FormatError: The firmware does not start as a TD.
        UsageError: An invalid machine, or a kernel that QEMU does not take.
    """

    def __init__(
        self,
        image: FirmwareImage,
        options: TdOptions,
        files: BootFiles | None = None,
        *,
        output: Callable[[bytes], None] | None = None,
        typed: SerialInput | None = None,
        until: re.Pattern[str] | None = None,
        limit: RunLimit | None = None,
        real_code_only: bool = False,
        add_order: AddOrder = AddOrder.PAGE,
        vmm_files: Mapping[str, bytes] = MappingProxyType({}),
        patch_header: bool = False,
        quote_signer: QuoteSigner | None = None,
        virtio: VirtioParts = NO_PARTS,
        keep: bool = False,
        flash: Flash | None = None,
    ) -> None:
        self.image = image
        self.disks = virtio.disks
        self._add_order = add_order
        ram = RamLayout.q35(options.memory, options.max_ram_below_4g)
        in_flash = 0 if flash is None else len(flash.data)
        layout = layout_of_td(image, ram) if options.td else layout_of_plain_vm(image, in_flash)
        self.layout = layout
        cost, host_page_size = host_of(options)
        self.td = td = TrustDomain(
            ram,
            options.gpaw,
            options.vcpus,
            host_page_size,
            options.sept_ve_disable,
            cost,
            td=options.td,
            added=layout.added,
            firmware=layout.pages,
        )
        self.trace = Trace(td.clock)
        self.code = FirmwareCode(image)
        serial = SystemConsole(output or (lambda data: None), until)
        self.consoles = Consoles(td.clock, serial, typed)
        self._boots_kernel = files is not None
        self._paused = False
        self.on_end: Callable[[EngineError], None] | None = None
        self.board = Board(
            td,
            self.trace,
            FirmwareHost(self.code, td.clock),
            console=self._sent,
            typed=typed,
            limit=limit,
            cmos=memory_registers(ram, options.vcpus),
        )
        if limit is not None:
            limit.status = lambda: status_text(td, self.consoles.last_line)
        self.rest = RestingPlace(self.board, self.consoles, limit) if keep else None
        if self.rest is not None:
            self.rest.begin()
        self.services = ServiceWatch(self.board)
        self.code.attach(self.board.ram, self.board.translate)
        self._place(layout.contents)
        if flash is not None:
            self.board.devices.memory.attach(image.base, in_flash, "flash", flash)
        if virtio.console is not None:
            virtio = replace(virtio, console=self.consoles.beside(virtio.console))
        numbers = plug_virtio(self.board, virtio)[: len(virtio.disks)]
        content = configuration(self.board, td, files, options.shim, patch_header=patch_header, disks=numbers)
        self.fw_cfg = attach_devices(self.board, td, content._replace(files={**content.files, **vmm_files}))
        self.calls = MemoryCalls(self.board, self.code)
        if quote_signer is not None:
            memory = DmaView(td, self.board.ram, self.board.dma_wrote, self.board.devices.missing)
            self.board.vmm.get_quote = QuotingService(memory, td.shared_mask, quote_signer).get_quote
        self.extends = RtmrExtends(self.board, self.code)
        if td.is_td:
            self.board.module.measurements.build = lambda: self.build.mrtd
        self._address = self.board.power_on(self._begin)
        self.strings = None if real_code_only else self.board.cpu.help_string_instructions(td)
        self.kernel: KernelUnpacking | None = None
        if files is not None and not real_code_only:
            self.kernel = KernelUnpacking(self.board, self.services, files.kernel)
        self.unpacking = None if real_code_only else HostUnpacking(self.board, image, self.code.contents)

    def __enter__(self) -> FirmwareRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.board.close()

    def _place(self, contents: tuple[tuple[int, memoryview], ...]) -> None:
        for address, data in contents:
            self.board.ram.view[address : address + len(data)] = data

    def _begin(self, number: int) -> bytes:
        cpu, td = self.board.cpu, self.td
        return begin_in_td(cpu, td.gpaw, self.layout.td_hob, number) if td.is_td else begin_after_reset(cpu)

    @property
    def accepts(self) -> list[AcceptCall]:
        """Every accept so far, in order."""
        return self.calls.accepts

    @property
    def conversions(self) -> list[MapGpaCall]:
        """Every MapGPA so far, in order."""
        return self.calls.conversions

    @cached_property
    def build(self) -> BuildMeasurement:
        """What the VMM measured when it built the TD."""
        assert self.image.metadata is not None
        return measure_build(self.image.data, self.image.metadata, self._add_order)

    def machine_dict(self) -> dict[str, object]:
        """The TD or plain VM for JSON."""
        td = self.td
        return {
            "memory": td.ram.memory,
            "vcpus": td.vcpus,
            "gpaw": td.gpaw,
            "td": td.is_td,
            "cost": td.cost.name,
            "host_page_size": td.sept.host_page_size,
            "sept_ve_disable": td.is_td and td.sept_ve_disable,
        }

    # ---- running ------------------------------------------------------------------------------------------------

    def continue_at(self, address: int) -> None:
        """Run on from an address of the running vCPU, not from reset: the state was restored from a file."""
        self._address = address

    def run(self) -> None:
        """Run until something ends it.

        Raises:
            EngineError: How it ended; every run ends so.
            KeyboardInterrupt: The user has given it up.
        """
        board, cpu = self.board, self.board.cpu
        while True:
            stop = cpu.run(self._address)
            if stop.kind is StopKind.WATCHED:
                self._address = stop.address
                raise Paused
            if stop.kind is StopKind.UNPACK and self.unpacking is not None:
                self._address = self.unpacking.serve(stop.address)
                continue
            self._address = board.after(stop) if self.rest is None else self.rest.after(stop)
            if self._paused:
                self._paused = False
                raise Paused

    def run_sec(self) -> None:
        """Run SEC only: until the boot processor executes code outside of the firmware's own pages.

        Raises:
            EngineError: It ended before.
        """
        self.board.cpu.watch(0, min(span.start for span in self.layout.pages))
        try:
            self.run()
        except Paused:
            self.board.cpu.unwatch()

    def run_to_service(self, service: BootService) -> None:
        """Run until the firmware's boot service is called, before it does anything.

        It is waited for from the console's first byte on, when firmware has all its services.

        Raises:
            EngineError: The run ended before.
        """
        self.services.watch(service, self._pause)
        try:
            self.run()
        except Paused:
            self.services.unwatch(service)

    def run_through_service(self) -> int:
        """Run from the first instruction of a boot service, where the run stands, to its return.

        Returns:
            The service's status.

        Raises:
            EngineError: The run ended before.
        """
        board, cpu = self.board, self.board.cpu
        frame = cpu.read("RSP")
        back = board.ram.u64(frame)

        def returned() -> int:
            self._pause()
            return back

        stop = board.stand_ins.add(back, lambda: cpu.read("RSP") == frame + 8, returned)
        try:
            self.run()
        except Paused:
            return cpu.read("RAX")
        finally:
            board.stand_ins.remove(stop)
        raise AssertionError("a run ends by an exception")

    def _pause(self) -> None:
        self._paused = True

    def run_to_end(self, console: bool = True) -> FirmwareOutcome:
        """Run until it ends, and tell how.

        Args:
            console: Whether a user types at the console; waiting for input is an end like others then.

        Raises:
            KeyboardInterrupt: The user has given it up.
        """
        try:
            self.run()
        except EngineError as error:
            if self.on_end is not None:
                self.on_end(error)
            return self.ended(error) if console else self.ended_unattended(error)
        raise AssertionError("a run ends by an exception")

    def ended_unattended(self, error: EngineError) -> FirmwareOutcome:
        """How a run ended at whose console nobody types."""
        if not isinstance(error, InputEnded):
            return self.ended(error)
        who = "the operating system" if self._system_runs else "the firmware"
        why = f"{who} waits for input; --console types at it"
        refused = self._boots_kernel and not self._system_runs
        if refused:
            why = "the firmware has not started the kernel, its console says why, and waits for input"
        return FirmwareOutcome(WAITS, why, self._system_runs, refused=refused)

    def ended(self, error: EngineError) -> FirmwareOutcome:
        """How a run ended, from the exception that ended it."""
        ending, why = ending_of(error)
        violation = error.violation if isinstance(error, GuestStopped) else None
        refused = self._boots_kernel and not self._system_runs
        return FirmwareOutcome(ending, why, self._system_runs, violation, refused)

    @property
    def _system_runs(self) -> bool:
        """Whether the interrupt table is an operating system's, in the upper half of the address space."""
        return bool(self.board.cpu.state.interrupt_table.base & _UPPER_HALF)

    # ---- console ------------------------------------------------------------------------------------------------

    def _sent(self, byte: int) -> None:
        self.services.look()
        self.consoles.sent(byte)

    # ---- reports ------------------------------------------------------------------------------------------------

    def memory_map(self) -> tuple[MemoryDescriptor, ...]:
        """The map by the firmware's own GetMemoryMap, called where the run stands.

        Raises:
            EngineError: Boot services do not exist yet, or have ended.
        """
        table = find_boot_services(self.board)
        if table is None or self._system_runs:
            raise EngineError("the firmware has no boot services here")
        return call_get_memory_map(self.board, table)
