"""One EFI program of the host's, run from start to end in a machine of its own: for callers of the library."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tdvfsh.engine.abi.service_table import status_of
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.console.keys import ScriptedKeys
from tdvfsh.engine.console.screen import NoDisplay, Screen
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.engine.runs.program import ProgramRun, run_program
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.uefi.status import SUCCESS, EfiStatus


@dataclass(frozen=True, repr=False)
class ProgramResult:
    """Outcome of a program.

    Attributes:
        machine: The machine as it was then; its journal has every call.
        path: The program.
        status: LoadImage's status where that is an error, else what the program returned; EFI_ABORTED where it was
            stopped.
        exit_code: What it returned, in full.
        screen: The screen's lines in the end.
        why: Why it was stopped, or None where it came to its own end.
        reached_system: Whether it has left boot services: an operating system takes over.
    """

    machine: Machine
    path: str
    status: EfiStatus
    exit_code: int
    screen: tuple[str, ...]
    why: str | None = None
    reached_system: bool = False

    def __repr__(self) -> str:
        why = "" if self.why is None else f": {' '.join(self.why.split())}"
        return f"<ProgramResult {Path(self.path).name}: {self.status.name}{why}>"


def run_efi_program(
    path: str | Path,
    arguments: Sequence[str] = (),
    options: TdOptions | None = None,
    *,
    typed: str = "",
    time_limit: float | None = None,
) -> ProgramResult:
    """Run an EFI program, as ``tdvfsh exec`` does, with a screen in memory.

    Args:
        path: The program's file.
        arguments: Words of its load options, after its name.
        options: The TD; the defaults where None.
        typed: What is typed at the console; ``\\n`` is Enter.
        time_limit: Real seconds after which the run is aborted.

    Returns:
        The program's status and screen, or why it was stopped.

    Raises:
        UsageError: Invalid TD options, or a TD that does not start.
        HostError, FormatError: The file cannot be read, or the ``cpu`` extra is not installed.
    """
    machine, screen, name = Machine(options), Screen(NoDisplay()), str(path)
    status, code, why, left = EfiStatus.EFI_ABORTED, 0, None, False
    with (
        RunLimit(time_limit) as limit,
        closing(GuestFirmware(machine, screen, ScriptedKeys(typed), limit=limit, observer=ProgramRun())) as firmware,
    ):
        try:
            end = run_program(firmware, name, arguments)
        except EngineError as error:
            why = str(error)
        else:
            code, left = end.exit_code, end.reached_system
            status = status_of(code) if end.load_status is SUCCESS else end.load_status
    return ProgramResult(
        machine=machine,
        path=name,
        status=status,
        exit_code=code,
        screen=tuple(line for line in screen.lines() if line),
        why=why,
        reached_system=left,
    )
