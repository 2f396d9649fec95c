"""``tdvfsh exec``: a real EFI program, its console on the terminal or on standard input and output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.debug import Debugging, debugging
from tdvfsh.cli.files import named_file
from tdvfsh.cli.output import TextSink, print_json, print_notes
from tdvfsh.cli.run_limits import time_limit
from tdvfsh.errors import HostError, UsageError, host_error
from tdvfsh.images.named import FIRMWARE, PROGRAM
from tdvfsh.lazy_typing import TYPE_CHECKING, TextIO
from tdvfsh.report.schema import document

if TYPE_CHECKING:
    from tdvfsh.engine.console.keys import KeySource
    from tdvfsh.engine.console.screen import Screen
    from tdvfsh.engine.errors import EngineError
    from tdvfsh.engine.runs.guest import GuestFirmware
    from tdvfsh.formats.firmware_modules import FirmwareModule
    from tdvfsh.machine import Machine
    from tdvfsh.machine.nvram import NvramFile
    from tdvfsh.uefi.disk import Disk
    from tdvfsh.uefi.status import EfiStatus
    from tdvfsh.uefi.volume import Volume


def run_exec(arguments: Arguments) -> int:
    """Run it; the exit status is the low byte of what it returned, and never 0 for an error."""
    from tdvfsh.engine.extra import cpu_extra

    for name in ("record", "cast"):
        if arguments.optional(name) is not None:
            raise UsageError(f"--{name}: exec records no session; --trace FILE writes the program's calls")
    if arguments.optional("engine") == "model":
        raise UsageError("--engine model: exec runs real code, which needs the cpu")
    cpu_extra("unicorn")
    path = named_file(arguments.text("image"), PROGRAM).path
    if not Path(path).is_file():
        raise HostError(f"{path}: {'a folder' if Path(path).is_dir() else 'not a file'}")
    if arguments.text("reset") == "restart" and arguments.optional("gdb") is not None:
        raise UsageError("--reset restart: not with --gdb, which debugs one start")
    refused = "the program writes to a file of this host" if arguments.flag("fs0_write") else ""
    with debugging(arguments) as debug:
        status = debug.repeated(lambda: _run_and_trace(arguments, path, debug), refused)
        debug.exited(status)
    return status


def _run_and_trace(arguments: Arguments, path: str, debug: Debugging) -> int:
    from tdvfsh.machine.nvram import NvramFile

    nvram = arguments.optional("nvram")
    platform = _Platform(arguments, None if nvram is None else NvramFile(nvram))
    try:
        status = _run(arguments, platform, path, debug)
    finally:
        if not debug.repeats:
            platform.end()
            _write_trace(arguments, platform.machine)
    if arguments.flag("json") and not debug.repeats:
        members = {"image": path, "exit_status": status, **platform.told, "calls": len(platform.machine.trace)}
        print_json(document("exec", members))
    return status


class _Platform:
    """The machine that runs, and the ones after it: each start has what the one before left.

    Args:
        arguments: The command line.
        nvram: Where the state is kept beyond the run.

    Attributes:
        machine: The present machine.
        told: How the last start ended, for machines: the status that the program returned, why it failed, and whether
            an operating system took over.
    """

    def __init__(self, arguments: Arguments, nvram: NvramFile | None) -> None:
        from tdvfsh.machine import Machine

        self._options = arguments.td_options()
        self._restarts = arguments.text("reset") == "restart"
        self._nvram = nvram
        self.machine = Machine(self._options)
        self.told: dict[str, object] = {"status": None, "why": "", "reached_system": False}
        if nvram is not None:
            nvram.load_into(self.machine)

    def restart(self, kind: str) -> bool:
        """The machine was reset: whether it starts again, as another one."""
        from tdvfsh.dxe.nonvolatile_state import next_start
        from tdvfsh.machine import Machine

        if not self._restarts or kind == "shutdown":
            return False
        before = self.machine
        self.machine = Machine(self._options)
        next_start(before.services.core, before.clock.now_ns).put_into(self.machine.services.core)
        return True

    def failed(self, *lines: str, code: int = 1) -> int:
        """Say why it failed; the exit status."""
        first, *rest = lines
        print_notes([f"tdvfsh: {first}", *rest])
        self.told["why"] = first
        return code

    def end(self) -> None:
        """The last machine has ended."""
        if self._nvram is not None:
            self._nvram.save(self.machine)


def _run(arguments: Arguments, platform: _Platform, path: str, debug: Debugging) -> int:
    """Run the program, again after each reset that starts the machine again; returns the exit status."""
    from tdvfsh.engine.board.limit import RunLimit
    from tdvfsh.engine.errors import GuestReset, WatchdogExpired
    from tdvfsh.engine.runs.guest import GuestFirmware
    from tdvfsh.engine.runs.program import ProgramRun, attach_disks

    disks, place = _disks(arguments, path)
    drivers = _drivers(arguments.optional("drivers"))
    bare = bool(drivers) or not _sees_partitions(disks)
    with (
        console(debug, sys.stderr if arguments.flag("json") else sys.stdout) as (screen, keys),
        RunLimit(time_limit(arguments)) as limit,
    ):
        while True:
            firmware = GuestFirmware(
                platform.machine, screen, keys, violation_ve=arguments.text("violation") == "ve", limit=limit,
                observer=ProgramRun(),
            )  # fmt: skip
            with closing(firmware):
                attach_disks(firmware, disks, bare)
                debug.attach_to(firmware)
                try:
                    return _run_once(arguments, platform, firmware, path, place, debug, drivers)
                except GuestReset as reset:
                    if not platform.restart(reset.kind):
                        return 0 if not reset.status else 1
                except WatchdogExpired as expired:
                    if not platform.restart("watchdog"):
                        return platform.failed(str(expired))


def _run_once(
    arguments: Arguments,
    platform: _Platform,
    firmware: GuestFirmware,
    path: str,
    place: tuple[int, str] | None,
    debug: Debugging,
    drivers: Sequence[FirmwareModule] = (),
) -> int:
    """One start; raises GuestReset or WatchdogExpired where the machine is reset."""
    from tdvfsh.engine.errors import EngineError, GuestReset, GuestStopped, WatchdogExpired
    from tdvfsh.engine.runs.firmware_drivers import start_drivers
    from tdvfsh.engine.runs.program import run_program

    screen, machine = firmware.screen, firmware.machine
    try:
        with debug.running():
            start_drivers(firmware, drivers)
            end = run_program(firmware, path, arguments.words("arguments"), place)
    except (GuestReset, WatchdogExpired):
        raise
    except GuestStopped as stopped:
        screen.close()
        return platform.failed(*stopped.violation.lines())
    except EngineError as error:
        lines = screen.lines()
        screen.close()
        return platform.failed(str(error), *_why_it_waits(path, error, lines))
    if end.load_status.is_error:
        verdict, refusal = machine.services.images.verdict, machine.services.images.refusal
        why = "" if verdict is None or not verdict.status.is_error else f": Secure Boot: {verdict.why}"
        if refusal is not None:
            why = f": memory protection ({machine.options.protect}): {refusal.why}"
        return platform.failed(f"{path}: LoadImage says {end.load_status.name}{why}")
    if end.reached_system:
        print_notes(["tdvfsh: the program has left boot services: an operating system takes over"])
        platform.told["reached_system"] = True
        return 0
    platform.told["status"] = status = _status_text(end.exit_code)
    if end.exit_code:
        return platform.failed(f"{path}: the program returned {status}", code=end.exit_code & 0xFF or 1)
    return 0


def _why_it_waits(path: str, error: EngineError, lines: Sequence[str]) -> list[str]:
    """A GRUB without a configuration waits for commands; nothing else tells why it waits."""
    from tdvfsh.engine.errors import GuestIdle

    if not isinstance(error, GuestIdle):
        return []
    from tdvfsh.engine.runs.grub import grub_prefix, why_grub_waits
    from tdvfsh.formats.mapped import open_mapped

    with open_mapped(path) as file:
        why = why_grub_waits(lines, grub_prefix(file.view, path))
    return [] if why is None else [why]


def _write_trace(arguments: Arguments, machine: Machine) -> None:
    """The journal, however the program ended."""
    path = arguments.optional("trace")
    if path is not None:
        from tdvfsh.lazy_dataclass import replace
        from tdvfsh.report.trace_file import trace_of_machine
        from tdvfsh.trace.file import write_trace_file

        write_trace_file(path, replace(trace_of_machine(machine), command=arguments.command))


def _status_text(code: int) -> str:
    from tdvfsh.engine.abi.service_table import status_of

    status: EfiStatus = status_of(code)
    return status.name if int(status) == code else f"{code:#x}"


@contextmanager
def console(debug: Debugging, out: TextIO) -> Iterator[tuple[Screen, KeySource]]:
    """Screen and keyboard: the terminal where there is one at both ends, else standard input and output as text.

    Args:
        debug: Whose prompt may read standard input: then no key comes.
        out: Where the screen is: standard output, or standard error where that is for machines.
    """
    from tdvfsh.engine.console.keys import ScriptedKeys
    from tdvfsh.engine.console.screen import AnsiDisplay, Screen, TranscriptDisplay

    with ExitStack() as stack:
        output = debug.shown(out)
        if debug.prompts:
            keys: KeySource = ScriptedKeys()
            screen = Screen(TranscriptDisplay(output))
        elif sys.stdin is not None and sys.stdin.isatty() and out.isatty():
            from tdvfsh.engine.console.raw_terminal import RawTerminal
            from tdvfsh.engine.console.terminal import TerminalKeys

            keys = TerminalKeys(stack.enter_context(RawTerminal(sys.stdin.fileno())))
            debug.repeats_not("a user types at the program")
            screen = Screen(AnsiDisplay(_Flushing(output)))
        else:
            keys = ScriptedKeys(debug.typed())
            screen = Screen(TranscriptDisplay(output))
        try:
            yield screen, keys
        finally:
            screen.close()
            out.flush()


class _Flushing:
    """A stream, shown at once."""

    def __init__(self, output: TextSink) -> None:
        self._output = output

    def write(self, text: str) -> None:
        self._output.write(text)
        self._output.flush()


def _drivers(firmware: str | None) -> list[FirmwareModule]:
    """Those of the firmware that was named; none where none was."""
    from tdvfsh.engine.runs.firmware_drivers import disk_drivers

    return [] if firmware is None else disk_drivers(named_file(firmware, FIRMWARE).path)


def _sees_partitions(disks: Sequence[Volume | Disk]) -> bool:
    """Whether the partitions of disk images can be read; a line says why not."""
    from tdvfsh.engine.storage.partitions import why_unreadable
    from tdvfsh.uefi.disk import Disk

    why = why_unreadable() if any(isinstance(disk, Disk) for disk in disks) else None
    if why is not None:
        print_notes([f"tdvfsh: the program gets bare disks: {why}"])
    return why is None


def _disks(arguments: Arguments, path: str) -> tuple[list[Volume | Disk], tuple[int, str]]:
    """The disks of ``--fsN``, and the program's place: on one of them, or on a disk of its own after them."""
    from tdvfsh.shell.drives.hostfolder import HostFolder

    folders = arguments.file_systems() or _current_folder()
    disks: list[Volume | Disk] = []
    place: tuple[int, str] | None = None
    real = Path(path).resolve()
    for number in range(max(folders, default=-1) + 1):
        folder = folders.get(number)
        if folder is None:
            raise UsageError(f"--fs{number} is missing: file systems are numbered without gaps")
        writable = number == 0 and arguments.flag("fs0_write")
        if Path(folder).is_file():
            disks.append(_image_disk(folder, writable))
            continue
        if not Path(folder).is_dir():
            raise UsageError(f"--fs{number} {folder}: not a folder and not a disk image")
        disks.append(HostFolder(folder, writable=writable))
        root = Path(folder).resolve()
        if place is None and real.is_relative_to(root):
            place = (number, "\\" + "\\".join(real.relative_to(root).parts))
    return disks, place or (len(disks), f"\\{real.name}")


def _current_folder() -> dict[int, str]:
    """FS0: where none was asked for: the current folder, unless it holds more than a disk can."""
    from tdvfsh.engine.storage.fat import MAXIMUM_ENTRIES

    entries = 1
    for _, below, files in os.walk(".", followlinks=True):  # as the disk does; lib64 of an environment is its lib again
        entries += len(below) + len(files)
        if entries > MAXIMUM_ENTRIES:
            print_notes([f"tdvfsh: no FS0: the current folder has more than {MAXIMUM_ENTRIES} files; see --fs0 DIR"])
            return {}
    return {0: "."}


def _image_disk(path: str, writable: bool) -> Disk:
    from tdvfsh.engine.storage.disk import ImageDisk
    from tdvfsh.formats.mapped import open_mapped

    view = open_mapped(path).view
    try:
        return ImageDisk(view, open(path, "r+b", buffering=0) if writable else None)
    except OSError as error:
        raise host_error(path, error) from None
