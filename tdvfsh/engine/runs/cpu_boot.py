"""One boot of real files whose code really runs, with the same result as the modelled boot."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial

from tdvfsh.boots.modelled_boot import fw_cfg_bytes
from tdvfsh.boots.qemu import check_initrd
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.console.keys import KeySource
from tdvfsh.engine.console.screen import NoDisplay, Screen
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.runs.boot_run import CpuBoot
from tdvfsh.engine.runs.consoles import Consoles
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
from tdvfsh.engine.runs.disk_loader import run_disk_loader
from tdvfsh.engine.runs.grub import run_grub
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.engine.runs.os_run import SystemConsole, SystemOptions
from tdvfsh.engine.runs.rest import RestingPlace
from tdvfsh.engine.virtio.parts import NO_PARTS
from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import replace
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, Protocol
from tdvfsh.loaders.direct import run_direct
from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.flow import BootFlow
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.nvram import NvramFile
from tdvfsh.machine.options import TdOptions
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from tdvfsh.engine.saved.machine_file import OpenedMachine

GRUB_LOADER: Final = "grub2.12-debian"


class BootDebugger(Protocol):
    """A debugger of a boot."""

    def attach_to(self, firmware: GuestFirmware) -> None:
        """The firmware for guest code has been made and has not run yet."""
        ...

    def running(self) -> AbstractContextManager[None]:
        """A context in which it runs."""
        ...


def boot_on_cpu(
    options: TdOptions,
    files: BootFiles,
    grub: memoryview | None = None,
    screen: Screen | None = None,
    keys: KeySource | None = None,
    violation_ve: bool = False,
    time_limit: float | None = None,
    through_os: SystemOptions | None = None,
    fast_decompress: bool = False,
    debugger: BootDebugger | None = None,
    nvram: NvramFile | None = None,
    keep: Callable[[CpuBoot, EngineError], None] | None = None,
    resume: OpenedMachine | None = None,
    progress: Callable[[str], None] | None = None,
    from_disk: bool = False,
) -> CpuBootResult:
    """Boot ``files`` in a fresh TD.

    Args:
        options: The TD. Its loader is ``direct``, where firmware's part is the model's and the kernel's stub is real,
            unless a real GRUB is given.
        files: What is booted.
        grub: A real GRUB's file, which reads everything from a disk.
        screen: The screen of ConOut; an unseen one where None.
        keys: The keys of ConIn.
        violation_ve: Deliver #VE for pages that are not accepted.
        time_limit: Real seconds after which the run is aborted.
        through_os: Run the operating system on; None to end with ExitBootServices.
        fast_decompress: Let the host unpack the kernel, where the stub calls its decompressor for that.
        debugger: Watches the boot; None for no debugger.
        nvram: Keeps the machine's non-volatile state; None where it begins and ends with the boot.
        keep: Called with this boot and how it ends, where its operating system runs and the machine can go on: it may
            be saved then.
        resume: A machine of the same options and files that was saved, to run on; None to boot.
        progress: Called now and then, on another thread, with how far the boot has come.
        from_disk: Start the boot loader on the first disk of ``through_os`` that has one; ``files`` has it in the
            place of a kernel.

    Returns:
        The outcome; a boot that fails is a result, not an error.

    Raises:
        UsageError: Invalid TD options, or a TD that does not start.
        HostError: The extra is not installed, or the host refuses to read or write ``nvram``.
        FormatError: ``nvram`` is not such a file, or ``resume`` is damaged or of another machine.
    """
    given = options
    by_grub = grub is not None if resume is None else bool(resume.header["grub"])
    if by_grub or from_disk:
        options = replace(options, loader=GRUB_LOADER)
    elif options.loader != "direct":
        raise UsageError(f"--loader {options.loader}: with --engine cpu give the loader itself, by --grub grubx64.efi")
    machine = Machine(options, image_bytes=0 if from_disk else fw_cfg_bytes(files))
    if machine.imported_map is None and not by_grub and not from_disk:
        check_initrd(machine.td.ram, files)
    screen = screen or Screen(NoDisplay())
    consoles = None
    if through_os is not None:
        console = SystemConsole(through_os.output, through_os.until)
        consoles = Consoles(machine.clock, console, through_os.typed)
    virtio = through_os.virtio if through_os is not None else NO_PARTS
    flow = _flow(machine, files)
    boot = CpuBoot(machine, flow, by_grub, from_disk)
    boot.consoles, boot.disks = consoles, virtio.disks
    if consoles is not None and virtio.console is not None:
        virtio = replace(virtio, console=consoles.beside(virtio.console))
    with (
        RunLimit(time_limit) as limit,
        nvram.keeping(machine) if nvram is not None else nullcontext(),
        closing(
            GuestFirmware(
                machine,
                screen,
                keys,
                violation_ve=violation_ve,
                limit=limit,
                serial=consoles.sent if consoles is not None else None,
                typed=through_os.typed if through_os is not None else None,
                observer=boot,
                virtio=virtio,
            )
        ) as firmware,
    ):
        limit.progress, limit.status = progress, boot.status
        boot.begin(firmware, fast_decompress)
        if through_os is not None:
            firmware.board.page_accepts.drop = through_os.drop_accept
        if keep is not None and consoles is not None:
            firmware.calls.rest = RestingPlace(firmware.board, consoles, limit, partial(keep, boot))
        waits = _restored(boot, resume, given) if resume is not None else False
        if debugger is not None:
            debugger.attach_to(firmware)
        with machine.trace.on_behalf_of(options.loader if resume is None else machine.trace.caller):
            try:
                with debugger.running() if debugger is not None else nullcontext():
                    if resume is not None:
                        firmware.calls.continue_system(waits)
                    if from_disk:
                        status = run_disk_loader(firmware, flow, virtio.disks)
                    elif grub is not None:
                        status = run_grub(firmware, grub, files, virtio.disks)
                    else:
                        status = run_direct(flow)
            except EngineError as error:
                if boot.entered is not None:
                    return boot.ended(error)
                return boot.result(EfiStatus.EFI_ABORTED, error)
        return boot.result(status)


def _restored(boot: CpuBoot, saved: OpenedMachine, options: TdOptions) -> bool:
    from tdvfsh.engine.runs.saved_boot import restore_boot

    return restore_boot(boot, saved, options)


def _flow(machine: Machine, files: BootFiles) -> BootFlow:
    return BootFlow(
        services=machine.services,
        on_demand=machine.on_demand,
        files=files,
        firmware_image=machine.firmware_image,
        firmware_calls=machine.firmware_calls(files.initrd_size),
        kaslr_seed=machine.options.kaslr_seed,
        dma=machine.dma,
    )
