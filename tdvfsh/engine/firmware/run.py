"""One run of real firmware: a board that starts at the reset vector, and all that it did to memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import NamedTuple

from tdvfsh.dxe.time import START_OF_TIME
from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.console.serial_input import SerialInput
from tdvfsh.engine.devices.cmos import memory_registers
from tdvfsh.engine.devices.fw_cfg import PORT as FW_CFG_PORT
from tdvfsh.engine.devices.fw_cfg import PORTS as FW_CFG_PORTS
from tdvfsh.engine.devices.fw_cfg import FwCfg
from tdvfsh.engine.devices.keyboard_controller import COMMAND, DATA, KeyboardController
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.firmware.code import FirmwareCode
from tdvfsh.engine.firmware.configuration import boot_files, boot_items, machine_files, machine_items
from tdvfsh.engine.firmware.image import FirmwareImage, layout_of_plain_vm, layout_of_td
from tdvfsh.engine.firmware.memory import DmaView
from tdvfsh.engine.introspect.known_code import KnownCode
from tdvfsh.engine.runs.os_run import SystemConsole
from tdvfsh.engine.x86.cpu import StopKind
from tdvfsh.engine.x86.reset_state import begin_after_reset, begin_in_td
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.options import TdOptions
from tdvfsh.td.accept import AcceptCall
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace import Trace


class MapGpaCall(NamedTuple):
    """One MapGPA: address and size, whether it makes the range shared, the VMM's status, the code that called."""

    address: int
    size: int
    shared: bool
    status: int
    caller: str


class EndOfSec(EngineError):
    """The boot processor leaves the flash: SEC is over."""


@dataclass(frozen=True, slots=True)
class _Host:
    """The firmware brings everything itself: the board is asked for names and the date only."""

    code: KnownCode
    now: Callable[[], datetime]
    interrupt_table: int | None = None

    def date(self) -> datetime:
        """The CMOS clock's date."""
        return self.now()

    def halted(self) -> None:
        """Never called."""
        raise AssertionError("firmware that runs from its reset vector has its own interrupt table")


class FirmwareRun:
    """Real firmware on a board: a context, in which it runs.

    Args:
        image: The firmware.
        options: The TD or plain VM. What says how much is accepted is the firmware's own affair.
        files: Kernel, initrds and command line for fw_cfg; None for no direct boot.
        output: Takes the serial console's bytes as they come; they are dropped where None.
        typed: What is typed at that console; None for nothing.
        until: A regular expression; the run ends with the first console line that it is found in.
        limit: When to give up.

    Attributes:
        td: The trust domain or plain VM.
        board: Its board.
        accepts: Every accept so far, in order.
        conversions: Every MapGPA so far, in order.

    Raises:
        FormatError: The firmware does not start as a TD.
        UsageError: A machine that cannot be, or a kernel that QEMU does not take.
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
    ) -> None:
        self.image = image
        ram = RamLayout.q35(options.memory, options.max_ram_below_4g)
        layout = layout_of_td(image, ram) if options.td else layout_of_plain_vm(image)
        self.layout = layout
        self.td = td = TrustDomain(
            ram,
            options.gpaw,
            options.vcpus,
            options.host_page_size,
            options.sept_ve_disable,
            td=options.td,
            added=layout.added,
            firmware=layout.pages,
        )
        self.trace = Trace(lambda: td.clock.now_ns)
        self.accepts: list[AcceptCall] = []
        self.conversions: list[MapGpaCall] = []
        self._limit = limit
        self.code = FirmwareCode(image)
        console = SystemConsole(output or (lambda data: None), until)
        self.board = Board(
            td,
            self.trace,
            _Host(self.code, self._date),
            console=console.put,
            typed=typed,
            limit=limit,
            cmos=memory_registers(ram, options.vcpus),
        )
        self._place(layout.contents)
        self._attach_devices(files)
        self.board.page_accepts.called = self._accepted
        self._address = self.board.power_on(self._begin)

    def __enter__(self) -> FirmwareRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.board.close()

    def _place(self, contents: tuple[tuple[int, memoryview], ...]) -> None:
        for address, data in contents:
            self.board.ram.view[address : address + len(data)] = data

    def _attach_devices(self, files: BootFiles | None) -> None:
        board, td = self.board, self.td
        devices = board.devices
        memory = DmaView(td, board.ram, board.wrote, devices.missing)
        items, names = machine_items(td), machine_files(td)
        if files is not None:
            items |= boot_items(files)
            names |= boot_files()
        devices.ports.attach(FW_CFG_PORT, FW_CFG_PORTS, "fw_cfg", FwCfg(items, names, memory, devices.missing))
        keyboard = KeyboardController(devices.missing)
        devices.ports.attach(DATA, 1, "keyboard controller", keyboard)
        devices.ports.attach(COMMAND, 1, "keyboard controller", _Second(keyboard, COMMAND - DATA))

    def _begin(self, number: int) -> bytes:
        cpu, td = self.board.cpu, self.td
        return begin_in_td(cpu, td.gpaw, self.layout.td_hob, number) if td.is_td else begin_after_reset(cpu)

    def _date(self) -> datetime:
        return START_OF_TIME + timedelta(microseconds=self.td.clock.now_ns // 1000)

    def _accepted(self, rcx: int, status: int) -> None:
        self.accepts.append(AcceptCall(self.board.vcpus.current.number, rcx & ~0xFFF, rcx & 7, status))

    def machine_dict(self) -> dict[str, object]:
        """The TD or plain VM for JSON."""
        td = self.td
        return {
            "memory": td.ram.memory,
            "vcpus": td.vcpus,
            "gpaw": td.gpaw,
            "td": td.is_td,
            "host_page_size": td.sept.host_page_size,
            "sept_ve_disable": td.is_td and td.sept_ve_disable,
        }

    # ---- running ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until something ends it.

        Raises:
            EngineError: How it ended; every run ends so.
            KeyboardInterrupt: The user has given it up.
        """
        board, cpu, limit = self.board, self.board.cpu, self._limit
        while True:
            stop = cpu.run(self._address)
            if stop.kind is StopKind.LIMIT and limit is not None:
                limit.give_up()
            if stop.kind is StopKind.WATCHED:
                self._address = stop.address
                raise EndOfSec("SEC is over")
            self._address = board.after(stop)
            board.check_limit()

    def run_sec(self) -> None:
        """Run SEC only: until the boot processor executes code outside of the firmware's own pages.

        Raises:
            EngineError: It ended before.
        """
        lowest = min(span.start for span in self.layout.pages)
        self.board.cpu.watch(0, lowest)
        try:
            self.run()
        except EndOfSec:
            self.board.cpu.unwatch()


class _Second:
    """A register of a device that has another one at another port."""

    def __init__(self, device: KeyboardController, offset: int) -> None:
        self._device = device
        self._offset = offset

    def read(self, offset: int, size: int) -> int:
        return self._device.read(self._offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        self._device.write(self._offset, size, value)
