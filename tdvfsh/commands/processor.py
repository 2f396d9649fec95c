"""Programs of the shell's drives on a real processor, where the person asked for one.

What a program prints goes where the shell's output goes; it finds no keys, since the shell's input is its script or its
prompt. ``tdvfsh exec`` gives a program the terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tdvfsh.commands.shell import Shell
    from tdvfsh.dxe.images import Program
    from tdvfsh.dxe.loaded_image import LoadedImage
    from tdvfsh.engine.firmware import GuestFirmware
    from tdvfsh.engine.limit import RunLimit
    from tdvfsh.machine import Machine
    from tdvfsh.uefi.status import EfiStatus

ENGINES: Final = ("model", "cpu")
_STATE: Final = "engine"


def wants_processor(shell: Shell) -> bool:
    """Whether machines of this shell get a processor."""
    return shell.state.get(_STATE) == "cpu"


def choose_engine(shell: Shell, engine: str) -> None:
    """``cpu`` or ``model``: for the machine that is there, and for those that will be made.

    Raises:
        HostError: The extra is not installed.
        UsageError: There is no such engine.
    """
    from tdvfsh.errors import UsageError
    from tdvfsh.machine import Machine

    if engine not in ENGINES:
        raise UsageError(f"-engine {engine}: choose one of {', '.join(ENGINES)}")
    if engine == "cpu":
        from tdvfsh.engine.extra import cpu_extra

        cpu_extra("unicorn")
    before = wants_processor(shell)
    shell.state[_STATE] = engine
    if isinstance(shell.machine, Machine) and wants_processor(shell) is not before:
        if engine == "cpu":
            connect_processor(shell, shell.machine)
        else:
            shell.machine.services.images.program_for = lambda image: None


def connect_processor(shell: Shell, machine: Machine) -> None:
    """Let StartImage run real code in this machine."""
    from tdvfsh.engine.firmware import GuestFirmware
    from tdvfsh.engine.limit import RunLimit
    from tdvfsh.engine.screen import Screen, TranscriptDisplay

    limit = RunLimit()
    firmware = GuestFirmware(machine, Screen(TranscriptDisplay(_Printer(shell))), limit=limit)

    def program_for(image: LoadedImage) -> Program | None:
        program = firmware.image_services.program_for(image)
        if program is None or firmware.image_services.running:
            return program
        return lambda handle: _run(shell, firmware, limit, program, handle)

    machine.services.images.program_for = program_for


def _run(shell: Shell, firmware: GuestFirmware, limit: RunLimit, program: Program, handle: int) -> EfiStatus:
    """A program that the shell itself started; one that is stopped ends with EFI_ABORTED and a report."""
    from tdvfsh.engine.errors import EngineError, GuestStopped
    from tdvfsh.uefi.status import EfiStatus

    try:
        with limit:
            return program(handle)
    except GuestStopped as stopped:
        shell.print("\n".join(stopped.violation.lines()) + "\n")
    except EngineError as error:
        shell.print(f"{error}\n")
    return EfiStatus.EFI_ABORTED


class _Printer:
    """The shell's output as the program's screen."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def write(self, text: str) -> None:
        self._shell.print(text)
