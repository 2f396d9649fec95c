"""A boot under way whose code really runs: what is observed of it, and its outcome."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.engine.board.virtio import virtio_refusals
from tdvfsh.engine.errors import EngineError, GuestIdle, GuestStopped, ReachedOperatingSystem
from tdvfsh.engine.introspect.fast_decompress import FastDecompression
from tdvfsh.engine.introspect.kernel_symbols import KernelSymbols
from tdvfsh.engine.introspect.placement_watch import GrubReader, PlacementWatch, StubReader
from tdvfsh.engine.runs.consoles import Consoles
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult, ExitAccount
from tdvfsh.engine.runs.grub import GRUB, grub_prefix, why_grub_waits
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.engine.runs.observer import CodeRange, RunObserver
from tdvfsh.engine.runs.os_run import OsRun, ending_of, rest_time
from tdvfsh.engine.runs.status_text import status_text
from tdvfsh.lazy_dataclass import replace
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.flow import (
    EXIT_BOOT_SERVICES,
    LOAD_IMAGE,
    LOAD_INITRD,
    LOAD_KERNEL,
    START_IMAGE,
    BootFailure,
    BootFlow,
    Placement,
    largest_free,
)
from tdvfsh.loaders.unaccepted import TABLE_HEADER_SIZE
from tdvfsh.machine.machine import Machine
from tdvfsh.td.cost import NO_TIME
from tdvfsh.trace.records import AllocatePagesCall, AllocatePoolCall, FreePagesCall
from tdvfsh.uefi.disk import Disk
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.service_names import ALLOCATE_PAGES, GET_MEMORY_MAP
from tdvfsh.uefi.service_names import START_IMAGE as START_SERVICE
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SHIFT, align_up

STUB: Final = "stub"
_REFUSALS: Final = (EfiStatus.EFI_OUT_OF_RESOURCES, EfiStatus.EFI_NOT_FOUND)
_LOAD_PHYSICAL_ADDRESS: Final = 16 << 20
_CODE: Final = EfiMemoryType.EfiLoaderCode
_ANYWHERE: Final = CodeRange(0, 1 << 52)


class CpuBoot(RunObserver):
    """A boot under way.

    Args:
        machine: The machine.
        flow: State that the modelled firmware's part of the flow writes.
        grub: Whether a real GRUB does the loading.
        from_disk: Whether a disk's own boot loader does, whose kernel is not known before it runs.

    Attributes:
        machine: As above.
        flow: As above.
        grub: As above.
        from_disk: As above.
        fast: What unpacks the kernel in the stub's place; None where nothing does.
        entered: The outcome up to the operating system's first instruction; None before that.
        firmware: The firmware for guest code.
        consoles: What the serial port shows; None where no operating system is run on.
        disks: The disks that an operating system finds.
    """

    firmware: GuestFirmware

    other_code = STUB

    def __init__(self, machine: Machine, flow: BootFlow, grub: bool, from_disk: bool = False) -> None:
        self.machine = machine
        self.flow = flow
        self.grub = grub
        self.from_disk = from_disk
        self.fast: FastDecompression | None = None
        self.started = time.monotonic()
        self.entered: CpuBootResult | None = None
        self.consoles: Consoles | None = None
        self.disks: Sequence[Disk] = ()
        self._unpacked_to: Placement | None = None
        stub = StubReader(flow, STUB)
        readers = (GrubReader(flow, GRUB), stub) if grub else (stub,)
        self._watch = PlacementWatch(flow, () if from_disk else readers)

    def begin(self, firmware: GuestFirmware, fast_decompress: bool) -> None:
        """The firmware for guest code has been made, with this boot for its observer.

        Args:
            firmware: The firmware.
            fast_decompress: Whether the host is to take the place of the stub's decompressor.
        """
        self.firmware = firmware
        if fast_decompress:
            self.fast = FastDecompression(firmware.board.stand_ins, firmware.board.ram, self.flow.files.kernel)

    def status(self) -> str:
        """How far it has come, in words."""
        return status_text(self.machine.td, "" if self.consoles is None else self.consoles.last_line)

    def placements(self) -> list[Placement]:
        """Of the firmware's part, GRUB and the stub, as far as they go, in the order in which they were made."""
        self._watch.catch_up()
        return list(self.flow.placements)

    # ---- observed -----------------------------------------------------------------------------------------------

    def image_name(self, image: LoadedImage) -> str | None:
        """The kernel is the one image that is as long as its file, wherever it was loaded from."""
        return STUB if not self.from_disk and len(image.source) == self.flow.files.kernel.size else None

    def served(self, service: str, caller: int) -> None:
        """The stub's buffer for the kernel is where a decompressor writes to."""
        self._watch.catch_up()
        if self.fast is None or service != ALLOCATE_PAGES:
            return
        buffer = self.flow.placed("kernel")
        if buffer is not None and buffer is not self._unpacked_to:
            self._unpacked_to = buffer
            self.fast.watch(buffer, self._image_base(caller))

    def _image_base(self, caller: int) -> int | None:
        """Where the stub that calls lies: in an image of LoadImage's, or where GRUB has put it without that."""
        found = self.firmware.code.image_at(caller)
        if found is not None:
            return found[1].image_base
        images = [entry for entry in self.placements() if entry.what == "image"]
        pe = self.flow.files.kernel.pe
        return align_up(images[-1].start, pe.section_alignment) if images and pe is not None else None

    def left_boot_services(self) -> CodeRange | None:
        """Boot services are over: stop where the kernel itself begins; the stub still writes its tables.

        Where the kernel of a disk begins is not known: it has the machine from here on.
        """
        if self.from_disk:
            return _ANYWHERE
        kernel = next((entry for entry in reversed(self.placements()) if entry.what == "kernel"), None)
        if kernel is None:
            raise ReachedOperatingSystem
        return CodeRange(kernel.start, kernel.end)

    def entering_system(self) -> KernelSymbols | None:
        """The kernel's first instruction: from here on everything is its own doing."""
        result, td, firmware = self.result(SUCCESS), self.machine.td, self.firmware
        if self.fast is not None:
            self.fast.end()
        account = ExitAccount(
            accepted_bytes=td.accepted_bytes,
            unaccepted_bytes=td.unaccepted_bytes,
            calls=result.accept_calls,
            clock_ns=self.machine.clock.now_ns,
            waited_ns=firmware.clock.waited_ns,
            spent=td.spent,
            spent_on_dma=td.spent_on_dma,
            records=len(self.machine.trace),
            pages_4k=result.on_demand_pages("pages_4k"),
            pages_2m=result.on_demand_pages("pages_2m"),
        )
        self.entered = replace(result, at_exit=account)
        return self.kernel_symbols()

    def resume(self, entered: CpuBootResult) -> None:
        """The operating system runs already: it was restored, with the journal up to there."""
        self.entered = entered
        self.flow.placements[:] = entered.placements
        self._watch.skip()

    def kernel_symbols(self) -> KernelSymbols | None:
        """Names of the kernel that lies where it was placed."""
        if self.from_disk:
            return self._symbols_of_loader_code()
        kernel = next((entry for entry in reversed(self.flow.placements) if entry.what == "kernel"), None)
        if kernel is None:
            return None
        firmware = self.firmware
        return KernelSymbols(firmware.ram.view, kernel.start, kernel.end, firmware.board.translate)

    def _symbols_of_loader_code(self) -> KernelSymbols | None:
        """Names of a kernel that was not known before: it lies in the last of the loader code that has such a table."""
        firmware, freed = self.firmware, set[int]()
        for record in reversed(self.machine.trace.records):
            if isinstance(record, FreePagesCall) and record.succeeded:
                freed.add(record.memory)
            elif isinstance(record, AllocatePagesCall) and record.succeeded and record.memory_type == _CODE:
                start, end = record.range
                symbols = KernelSymbols(firmware.ram.view, start, end, firmware.board.translate)
                if start not in freed and symbols.found:
                    return symbols
                freed.discard(start)
        return None

    # ---- outcome ------------------------------------------------------------------------------------------------

    def ended(self, error: EngineError) -> CpuBootResult:
        """The outcome of a run of the operating system."""
        result, td, firmware = self.entered, self.machine.td, self.firmware
        assert result is not None
        assert result.at_exit is not None
        before = result.at_exit
        tallies = firmware.board.page_accepts.tallies
        ending, why = ending_of(error)
        accepted = sum(tally.accepted_bytes for tally in tallies.values())
        run = OsRun(
            ending=ending,
            why=why,
            tallies=tallies,
            unaccepted_before=before.unaccepted_bytes,
            unaccepted_after=td.unaccepted_bytes,
            shared_bytes=td.shared_bytes,
            lost_bytes=before.accepted_bytes + accepted - td.accepted_bytes,
            bitmap_before=result.unaccepted_bitmap,
            bitmap_after=self._bitmap(list(result.placements)),
            virtual_seconds=(self.machine.clock.now_ns - before.clock_ns) / 1e9,
            accept_time=sum((td.cost.time(tally) for tally in tallies.values()), NO_TIME),
            rest_time=rest_time(td),
            counts=firmware.board.counts,
            violation=error.violation if isinstance(error, GuestStopped) else None,
            vcpus=firmware.board.vcpus.running,
            refused=virtio_refusals(firmware.board),
            moments=tuple(
                moment._replace(milliseconds=moment.milliseconds - before.clock_ns // 1_000_000)
                for moment in firmware.board.page_accepts.moments
            ),
        )
        return replace(result, os_run=run, violation=run.violation, seconds=time.monotonic() - self.started)

    def result(self, status: EfiStatus, error: EngineError | None = None) -> CpuBootResult:
        """The outcome."""
        machine, flow = self.machine, self.flow
        reached = machine.services.at_runtime
        placements = self.placements()
        violation = error.violation if isinstance(error, GuestStopped) else None
        lines = tuple(line for line in self.firmware.screen.lines() if line)
        failure = None if status is SUCCESS and reached else flow.failure
        stage = EXIT_BOOT_SERVICES if reached else self._stage(placements)
        if status is SUCCESS and not reached:
            status = EfiStatus.EFI_LOAD_ERROR
        if self.grub and not reached and error is None:
            status = next((record.status for record in reversed(self._failed_calls()) if record.status), status)
        if status is not SUCCESS and failure is None:
            failure = self._failure(status, stage, error)
        return CpuBootResult(
            machine=machine,
            files=flow.files,
            status=status,
            stage=stage,
            placements=tuple(placements),
            failure=failure,
            messages=tuple(line for line in lines if line.startswith(("EFI stub:", "error:"))),
            memory_map=machine.memory_map,
            waited_ns=self.firmware.clock.waited_ns,
            seconds=time.monotonic() - self.started,
            violation=violation,
            unaccepted_bitmap=self._bitmap(placements),
            screen_lines=lines,
            shortcut=self.fast.outcome() if self.fast is not None else None,
        )

    def _stage(self, placements: list[Placement]) -> str:
        placed = {placement.what for placement in placements}
        if self.from_disk:
            return self.flow.stage
        if self.grub:
            if "kernel_file" not in placed:
                return LOAD_KERNEL
            if "image" not in placed:
                return LOAD_IMAGE
        elif self.flow.stage != START_IMAGE:
            return self.flow.stage
        if "boot_params" not in placed:
            return START_IMAGE
        if "kernel" not in placed:
            return LOAD_KERNEL
        return LOAD_INITRD if self.flow.files.initrd_size and "initrd" not in placed else EXIT_BOOT_SERVICES

    def _failure(self, status: EfiStatus, stage: str, error: EngineError | None) -> BootFailure:
        services = self.machine.services
        unaccepted = self.machine.td.unaccepted_bytes
        if error is not None:
            what = "access" if isinstance(error, GuestStopped) else "run"
            return BootFailure(
                service=what,
                status=status,
                asked_bytes=0,
                largest_free_bytes=0,
                unaccepted_bytes=unaccepted,
                why=self._why(error),
            )
        if stage == LOAD_KERNEL and not self.from_disk:
            size = self.flow.files.kernel.kernel_buffer_size
            free = largest_free(services, minimum=_LOAD_PHYSICAL_ADDRESS)
            why = "the EFI stub returned after it had read the memory map and asked for no place for the kernel"
            return BootFailure(
                service=GET_MEMORY_MAP,
                status=status,
                asked_bytes=size,
                largest_free_bytes=free,
                unaccepted_bytes=unaccepted,
                why=why,
            )
        failed = self._failed_calls()
        if not failed:
            why = f"the image returned {status.name}"
            return BootFailure(
                service=START_SERVICE,
                status=status,
                asked_bytes=0,
                largest_free_bytes=largest_free(services),
                unaccepted_bytes=unaccepted,
                why=why,
            )
        last = failed[-1]
        asked = last.pages << PAGE_SHIFT if isinstance(last, AllocatePagesCall) else last.size
        why = f"the image's last call that failed was {last.service}"
        return BootFailure(
            service=last.service,
            status=status,
            asked_bytes=asked,
            largest_free_bytes=largest_free(services),
            unaccepted_bytes=unaccepted,
            why=why,
        )

    def _why(self, error: EngineError) -> str:
        """A disk's GRUB without a configuration waits for commands; nothing else tells why it waits."""
        if not (self.from_disk and isinstance(error, GuestIdle)):
            return str(error)
        loader = self.flow.files.kernel
        waits = why_grub_waits(self.firmware.screen.lines(), grub_prefix(loader.view, loader.path))
        return str(error) if waits is None else waits

    def _failed_calls(self) -> list[AllocatePagesCall | AllocatePoolCall]:
        """The program's memory requests that were refused; a map that needs a larger buffer is not a failure."""
        callers = (STUB, GRUB) if self.grub else (STUB,)
        return [
            record
            for record in self.machine.trace
            if isinstance(record, AllocatePagesCall | AllocatePoolCall)
            and record.caller in callers
            and record.status in _REFUSALS
        ]

    def _bitmap(self, placements: list[Placement]) -> bytes:
        table = next((entry for entry in placements if entry.what == "unaccepted_table"), None)
        if table is None:
            return b""
        return bytes(self.firmware.ram.view[table.start + TABLE_HEADER_SIZE : table.end])
