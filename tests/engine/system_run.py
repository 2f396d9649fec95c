"""Running the tiny operating system of :mod:`tests.engine.operating_system`, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.console.serial_input import SerialInput
from tdvfsh.engine.errors import EngineError, GuestReset, GuestStopped
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.engine.runs.observer import CodeRange, RunObserver
from tdvfsh.engine.runs.os_run import ending_of
from tdvfsh.machine import Machine, TdOptions
from tests.engine.operating_system import BASE, SIZE, Kernel
from tests.engine.programs import load


@dataclass(frozen=True)
class SystemRan:
    """How a run ended: its cells, what the serial port sent, the exception that ended it, and the machine."""

    cells: dict[str, int]
    console: str
    error: EngineError
    firmware: GuestFirmware

    @property
    def ending(self) -> str:
        """In the words of a report."""
        return ending_of(self.error)[0]

    @property
    def counts(self) -> dict[str, int]:
        """How often the guest left."""
        return self.firmware.board.counts


class TinySystemRun(RunObserver):
    """Observer of a run that goes on through the tiny system, of whose code no names are known."""

    def left_boot_services(self) -> CodeRange:
        """Wait for the system's first instruction."""
        return CodeRange(BASE, BASE + SIZE)


def run_system(
    kernel: Kernel,
    options: TdOptions | None = None,
    prepare: Callable[[GuestFirmware], None] | None = None,
    typed: SerialInput | None = None,
    seconds: float = 20,
) -> SystemRan:
    """Boot the system in a fresh machine until its run ends; it has so many seconds.

    ``prepare`` changes the machine, ``typed`` arrives at the serial port.
    """
    sent = bytearray()
    with RunLimit(seconds) as limit:
        options = options or TdOptions(cost="kvm-2m")
        firmware = GuestFirmware(
            Machine(options), limit=limit, serial=sent.append, typed=typed, observer=TinySystemRun()
        )
        if prepare is not None:
            prepare(firmware)
        try:
            mailbox = firmware.board.mailbox
            image = kernel.image(not options.td, 0 if mailbox is None else mailbox.address)
            status = firmware.services.start_image(load(firmware, image, "loader.efi")).status
        except EngineError as error:
            return SystemRan(kernel.cells(firmware), sent.decode(), error, firmware)
        finally:
            firmware.close()
    raise AssertionError(f"the loader returned {status.name}")


def stopped(ran: SystemRan) -> GuestStopped:
    """The stop that a run must have ended with."""
    assert isinstance(ran.error, GuestStopped), ran.error
    return ran.error


def powered_off(kernel: Kernel, options: TdOptions | None = None, typed: SerialInput | None = None) -> SystemRan:
    """The run of a system that must come to its end."""
    ran = run_system(kernel, options, typed=typed)
    assert isinstance(ran.error, GuestReset), ran.error
    assert ran.ending == "power off"
    return ran
