"""What is run for the table: real programs, and small ones that other emulators can run too.

A case sets up what it needs, then builds a fresh TD, runs its program to the end, and says how far that was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from shutil import copyfile
from typing import Final

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.engine.console.keys import ScriptedKeys
from tdvfsh.engine.console.screen import Screen, TranscriptDisplay
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.engine.runs.os_run import POWER_OFF, SystemOptions
from tdvfsh.engine.runs.program import ProgramRun, attach_disks, run_program
from tdvfsh.images.fetch import fetch
from tdvfsh.images.make import make_initrd
from tdvfsh.images.make_init import make_init
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.trace import TraceRecord
from tdvfsh.units import GIB, MIB
from tests.engine.assembler import Program
from tests.engine.runs.test_program import hello

Outcome = tuple[str, Sequence[TraceRecord]]
"""How far it came, and the journal."""

LEFT: Final = "left boot services"
_INITRD_BYTES: Final = 8 * MIB
_TURNS: Final = 20_000_000
_CALLS: Final = 500
_SHELL_LINES: Final = ("ver", "memmap", "map", "fs0:", "ls", "hello.efi", "exit")
_MENU: Final = "set timeout=5\nmenuentry 'one' { lsefimmap\nexit 0\n}\nmenuentry 'two' { true\n}\n"
_BOOT: Final = "linux /vmlinuz nokaslr\ninitrd /initrd.img\nboot\nexit 1\n"


@dataclass(frozen=True, slots=True)
class Case:
    """One row.

    Attributes:
        name: What the table calls it.
        prepare: Puts files into an empty folder and returns what runs the program there; only that is timed.
        trial: Seconds and service calls of the trial that came before the engine, where it ran the program.
        program: The file in the folder that another emulator can be given.
        ends: How it ends when all is well.
    """

    name: str
    prepare: Callable[[Path], Callable[[], Outcome]]
    trial: str = ""
    program: str = ""
    ends: str = "returned"


def small_program(image: bytes) -> Callable[[Path], Callable[[], Outcome]]:
    """An assembled program."""

    def prepare(folder: Path) -> Callable[[], Outcome]:
        (folder / "program.efi").write_bytes(image)
        return lambda: _execute(folder, "program.efi")

    return prepare


def fetched_program(
    image: str, path: str, files: dict[str, str | bytes], keys: Sequence[str] = (), arguments: Sequence[str] = (),
    loader: str = "grub2.12", kernel: bool = False,
) -> Callable[[Path], Callable[[], Outcome]]:  # fmt: skip
    """A program of an image package at ``path`` of a disk that holds other files too."""

    def prepare(folder: Path) -> Callable[[], Outcome]:
        program = folder / path
        program.parent.mkdir(parents=True, exist_ok=True)
        copyfile(fetch(image).files["efi"], program)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        if kernel:
            copyfile(fetch("kernel-6.12-cloud").files["kernel"], folder / "vmlinuz")
            make_initrd(folder / "initrd.img", _INITRD_BYTES)
        text = "".join(f"{line}\r" for line in keys)
        return lambda: _execute(folder, path, text, arguments, loader)

    return prepare


def stub(image: str, fast: bool = False) -> Callable[[Path], Callable[[], Outcome]]:
    """A kernel's EFI stub with an initrd from LoadFile2, to the kernel's first instruction."""

    def prepare(folder: Path) -> Callable[[], Outcome]:
        copyfile(fetch(image).files["kernel"], folder / "vmlinuz")
        make_initrd(folder / "initrd.img", _INITRD_BYTES)

        def run() -> Outcome:
            with open_boot_files(folder / "vmlinuz", [folder / "initrd.img"], "nokaslr") as opened:
                result = boot_on_cpu(TdOptions(memory=2 * GIB), opened.boot, fast_decompress=fast)
            how = LEFT if result.booted else f"{result.status.name} at {result.stage}"
            return how + _not_taken(result), result.machine.trace.records

        return run

    return prepare


def _not_taken(result: CpuBootResult) -> str:
    return "" if result.shortcut is None or result.shortcut.taken else ", shortcut not taken"


def system(image: str, fast: bool = False) -> Callable[[Path], Callable[[], Outcome]]:
    """A kernel as a TDX guest, through ``/init`` in user space to power off."""

    def prepare(folder: Path) -> Callable[[], Outcome]:
        copyfile(fetch(image).files["kernel"], folder / "vmlinuz")
        make_init(folder / "init.cpio")

        def run() -> Outcome:
            with open_boot_files(folder / "vmlinuz", [folder / "init.cpio"], "console=ttyS0 quiet") as opened:
                through = SystemOptions(lambda data: None)
                options = TdOptions(memory=2 * GIB)
                result = boot_on_cpu(options, opened.boot, through_os=through, fast_decompress=fast)
            ended = "" if result.os_run is None else result.os_run.ending
            ended = ended or f"{result.status.name} at {result.stage}"
            return ended + _not_taken(result), result.machine.trace.records

        return run

    return prepare


def _execute(
    folder: Path, path: str, keys: str = "", arguments: Sequence[str] = (), loader: str = "grub2.12"
) -> Outcome:
    machine = Machine(TdOptions(memory=2 * GIB, loader=loader))
    screen = Screen(TranscriptDisplay(StringIO()))
    with closing(GuestFirmware(machine, screen, ScriptedKeys(keys), observer=ProgramRun())) as firmware:
        attach_disks(firmware, [HostFolder(str(folder))])
        try:
            end = run_program(firmware, str(folder / path), arguments, (0, "\\" + path.replace("/", "\\")))
        except EngineError as error:
            return str(error), machine.trace.records
    if end.load_status.is_error:
        return f"LoadImage says {end.load_status.name}", machine.trace.records
    code = f" {end.exit_code:#x}" if end.exit_code else ""
    return LEFT if end.reached_system else f"returned{code}", machine.trace.records


def _calling() -> bytes:
    """AllocatePool and FreePool in turn."""
    program = Program()
    for _ in range(_CALLS):
        program.mov("rcx", 2).mov("rdx", 64).address("r8", "rsp", 0x40).boot("AllocatePool")
        program.load("rcx", "rsp", 0x40).boot("FreePool")
    return program.ret(0).image()


def _counting() -> bytes:
    loop = f"48C7C1{_TURNS.to_bytes(4, 'little').hex()}48FFC975FB"  # mov rcx, turns; dec rcx; jnz back
    return Program().raw(loop).ret(0).image()


CASES: Final = {
    "count": Case("40 M instructions, no console", small_program(_counting()), "0.7 s (58-62 M/s)", "program.efi"),
    "calls": Case(f"{2 * _CALLS} pool calls, no console", small_program(_calling()), "30-60 us a call", "program.efi"),
    "hello": Case("a line on the console", small_program(hello()), "1-4 ms", "program.efi"),
    "shell": Case(
        "UEFI Shell 2025.02: ver memmap map ls, a nested program, exit",
        fetched_program("shell", "shellx64.efi", {"hello.efi": hello()}, _SHELL_LINES, ["-nostartup"]),
        "0.7-0.85 s, 8-17 k calls",
        "shellx64.efi",
    ),
    "stub": Case("Linux 6.12 EFI stub to the kernel", stub("kernel-6.12-cloud"), "9.4-13 s, 49 calls", "vmlinuz", LEFT),
    "stub-fast": Case("Linux 6.12 EFI stub with --fast-decompress", stub("kernel-6.12-cloud", fast=True), "", "", LEFT),
    "stub-7": Case("Linux 7.2 EFI stub to the kernel", stub("kernel-7-cloud"), "", "vmlinuz", LEFT),
    "stub-7-fast": Case("Linux 7.2 EFI stub with --fast-decompress", stub("kernel-7-cloud", fast=True), "", "", LEFT),
    "stub-xz": Case("Linux 6.1 (xz) EFI stub to the kernel", stub("kernel-6.1"), "", "vmlinuz", LEFT),
    "stub-xz-fast": Case("Linux 6.1 (xz) EFI stub with --fast-decompress", stub("kernel-6.1", fast=True), "", "", LEFT),
    "system": Case(
        "Linux 6.12 to user space and power off", system("kernel-6.12-cloud"), "26 s, to root", "", POWER_OFF
    ),
    "system-fast": Case(
        "Linux 6.12 to user space with --fast-decompress", system("kernel-6.12-cloud", fast=True), "", "", POWER_OFF
    ),
    "system-7": Case("Linux 7.2 to user space and power off", system("kernel-7-cloud"), "", "", POWER_OFF),
    "grub-menu": Case(
        "GRUB 2.12: menu, lsefimmap, exit",
        fetched_program("grub-2.12", "EFI/debian/grubx64.efi", {"EFI/debian/grub.cfg": _MENU}),
        "0.7 s (menu)",
        "EFI/debian/grubx64.efi",
    ),
    "grub": Case(
        "GRUB 2.12: linux, initrd, boot",
        fetched_program("grub-2.12", "EFI/debian/grubx64.efi", {"EFI/debian/grub.cfg": _BOOT}, kernel=True),
        "19 s",
        "EFI/debian/grubx64.efi",
        LEFT,
    ),
    "sd-boot": Case(
        "systemd-boot 257: menu, entry, boot",
        fetched_program(
            "systemd-boot",
            "EFI/BOOT/BOOTX64.EFI",
            {
                "loader/loader.conf": "timeout 2\n",
                "loader/entries/one.conf": "title One\nlinux /vmlinuz\ninitrd /initrd.img\noptions nokaslr\n",
            },
            loader="sd-boot",
            kernel=True,
        ),
        "10 s",
        "EFI/BOOT/BOOTX64.EFI",
        LEFT,
    ),
    "ipxe": Case(
        "iPXE 1.21: a script, its shell, exit",
        fetched_program("ipxe", "ipxe.efi", {"autoexec.ipxe": "#!ipxe\necho ${platform}\nshell\n"}, ["help", "exit"]),
        "< 1 s",
        "ipxe.efi",
    ),
}
