"""One boot of real files in a fresh TD, from the firmware's start to the operating system or to its failure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from tdvfsh.boots.loader_builds import flow_of
from tdvfsh.boots.qemu import check_initrd
from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.linux.os_side import OsSide, os_side
from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.flow import EXIT_BOOT_SERVICES, FIRMWARE_START, BootFailure, BootFlow, Placement
from tdvfsh.loaders.programs import program_finder
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.notebook import table_html
from tdvfsh.td.cost import NO_TIME, Modelled
from tdvfsh.td.footprint import DIRECT
from tdvfsh.trace.records import AllocatePagesCall, AllocatePoolCall, DmaAccept, PageAccept
from tdvfsh.uefi.memory import MemoryMapListing
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import human_seconds, human_size


@dataclass(frozen=True, repr=False)
class BootResult:
    """Outcome of a boot, with the machine as it was then.

    ``messages`` are the console's; ``lost_bytes`` of RAM never reach the operating system, because it is not informed
    what unaccepted memory is.
    """

    machine: Machine
    files: BootFiles
    status: EfiStatus
    stage: str
    placements: tuple[Placement, ...]
    failure: BootFailure | None
    messages: tuple[str, ...]
    memory_map: MemoryMapListing
    lost_bytes: int = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary}>"

    def _repr_html_(self) -> str:
        return table_html(
            self.summary,
            ("placed", "start", "end", "size", "type", "freed"),
            (
                (
                    entry.what,
                    f"{entry.start:#x}",
                    f"{entry.end:#x}",
                    human_size(entry.size),
                    entry.memory_type.label,
                    "freed" if entry.freed else "",
                )
                for entry in self.placements
            ),
        )

    @property
    def summary(self) -> str:
        """One line: the loader, the outcome, and where it failed, why."""
        loader = self.machine.options.loader
        if not self.booted:
            why = "" if self.failure is None else f": {self.failure.why}"
            return " ".join(f"{loader}: {self.status.name} at {self.stage}{why}".split())
        parts = [f"{loader}: booted" + (" without its initrd" if self.lacks_initrd else "")]
        if self.machine.options.td:
            parts.append(f"{human_size(self.boot_bytes)} accepted at boot in {human_seconds(self.boot_accept_seconds)}")
            parts.append(
                f"{human_size(self.on_demand_bytes)} on demand in {human_seconds(self.on_demand_seconds)} (modelled)"
            )
            parts.append(f"{human_size(self.left_to_os_bytes)} left to the OS")
        return ", ".join(parts)

    @property
    def booted(self) -> bool:
        """Whether the operating system was reached."""
        return self.status is SUCCESS and self.stage == EXIT_BOOT_SERVICES

    @property
    def os_ran(self) -> bool:
        """Whether the operating system has run, so that nothing about it needs to be modelled."""
        return False

    @property
    def same_with_any_option(self) -> bool:
        """Whether the boot is the same, call by call, whatever accepts memory on demand.

        That is so where no step failed and no allocation ran out of memory, and nothing was accepted nor was to be.
        """
        machine = self.machine
        return (
            not machine.on_demand.mattered
            and not self.on_demand_bytes
            and not any(
                record.status is EfiStatus.EFI_OUT_OF_RESOURCES
                for record in machine.trace.records
                if isinstance(record, AllocatePagesCall | AllocatePoolCall)
            )
        )

    @property
    def lacks_initrd(self) -> bool:
        """Whether the operating system was reached without the initrd that it should have had."""
        placed = any(entry.what == "initrd" and not entry.freed for entry in self.placements)
        return self.booted and bool(self.files.initrd_size) and not placed

    @cached_property
    def os_side(self) -> OsSide | None:
        """What the operating system accepts from here on, modelled; None where it was not reached or has really run."""
        return os_side(self)

    @property
    def boot_bytes(self) -> int:
        """Bytes accepted before DXE, those that the VMM added included."""
        return self.machine.boot_bytes

    @property
    def on_demand_bytes(self) -> int:
        """Bytes accepted while booting."""
        return self.machine.td.accepted_bytes - self.machine.boot_bytes

    def on_demand_pages(self, size: str) -> int:
        """Pages accepted while booting: ``pages_4k`` or ``pages_2m``."""
        return sum(int(getattr(record, size)) for record in self.machine.trace if isinstance(record, PageAccept))

    @property
    def dma_pages(self) -> int:
        """Pages of 4 KiB that were shared for DMA and accepted again."""
        return sum(record.pages for record in self.machine.trace if isinstance(record, DmaAccept))

    @property
    def dma_time(self) -> Modelled:
        """Modelled time of those accepts."""
        return self.machine.td.spent_on_dma

    @property
    def dma_seconds(self) -> float:
        """Likely seconds of those accepts."""
        return self.dma_time.seconds

    @property
    def accept_time(self) -> Modelled:
        """Modelled time of all accepts before the operating system."""
        return self.boot_accept_time + self.on_demand_time + self.dma_time

    @property
    def accept_seconds(self) -> float:
        """Likely seconds of all accepts before the operating system."""
        return self.accept_time.seconds

    @property
    def accept_calls(self) -> int:
        """TDCALLs that accept, made so far."""
        return self.machine.td.tdcall.calls

    @property
    def left_to_os_bytes(self) -> int:
        """Bytes that were never accepted before the operating system."""
        return self.machine.td.unaccepted_bytes

    @property
    def boot_accept_time(self) -> Modelled:
        """Modelled time of the accept at boot."""
        accepted = self.machine.boot_accept
        return accepted.time if accepted is not None else NO_TIME

    @property
    def boot_accept_seconds(self) -> float:
        """Likely seconds of the accept at boot."""
        return self.boot_accept_time.seconds

    @property
    def on_demand_time(self) -> Modelled:
        """Modelled time of all later accepts but those after DMA."""
        return self.machine.td.spent - self.boot_accept_time - self.dma_time

    @property
    def on_demand_seconds(self) -> float:
        """Likely seconds of all later accepts but those after DMA."""
        return self.on_demand_time.seconds


def boot(options: TdOptions, files: BootFiles) -> BootResult:
    """Boot ``files`` in a fresh TD.

    Returns:
        The outcome, with the machine; a boot that fails is a result, not an error.

    Raises:
        UsageError: Invalid TD options, a TD that does not start, or an initrd that QEMU does not take.
    """
    return boot_on(Machine(options, image_bytes=fw_cfg_bytes(files)), files)


def boot_on(machine: Machine, files: BootFiles, loader: Callable[[BootFlow], EfiStatus] | None = None) -> BootResult:
    """Boot ``files`` in a machine whose firmware has come as far as its boot manager.

    Args:
        machine: The machine.
        files: What is booted.
        loader: The flow; that of the machine's options where None.

    Returns:
        The outcome; a boot that fails is a result, not an error.

    Raises:
        UsageError: An initrd that QEMU does not take, or a boot loader's file that is not of the flow.
    """
    options = machine.options
    if machine.broken is not None:
        return _never_started(machine, files, machine.broken)
    if machine.stage_name == DIRECT and machine.imported_map is None:
        check_initrd(machine.td.ram, files)
    run = loader or flow_of(options.loader, machine.start.loader)
    flow = BootFlow(
        services=machine.services,
        on_demand=machine.on_demand,
        files=files,
        firmware_image=machine.firmware_image,
        firmware_calls=machine.firmware_calls(files.initrd_size),
        kaslr_seed=options.kaslr_seed,
        dma=machine.dma,
        measurement=options.measures_with,
        shim=machine.start.shim,
    )

    machine.services.images.program_for = program_finder(flow)
    machine.services.images.prepared = lambda source: files.kernel.prepared if source is files.kernel.view else None
    with machine.trace.on_behalf_of(options.loader):
        status = run(flow)
    if status is SUCCESS and not machine.services.at_runtime:
        status = EfiStatus.EFI_LOAD_ERROR
    stage = EXIT_BOOT_SERVICES if machine.services.at_runtime else flow.stage
    return BootResult(
        machine=machine,
        files=files,
        status=status,
        stage=stage,
        placements=tuple(flow.placements),
        failure=None if status is SUCCESS else _with_faults(machine, flow.failure),
        messages=tuple(flow.messages),
        memory_map=machine.memory_map,
        lost_bytes=flow.lost_bytes,
    )


def _never_started(machine: Machine, files: BootFiles, why: str) -> BootResult:
    """The firmware dies before it boots anything."""
    unaccepted = machine.td.unaccepted_bytes
    failure = BootFailure(
        service="firmware",
        status=EfiStatus.EFI_ABORTED,
        asked_bytes=0,
        largest_free_bytes=0,
        unaccepted_bytes=unaccepted,
        why=why,
    )
    view = machine.memory_map
    return BootResult(
        machine=machine,
        files=files,
        status=failure.status,
        stage=FIRMWARE_START,
        placements=(),
        failure=failure,
        messages=(),
        memory_map=view,
    )


def _with_faults(machine: Machine, failure: BootFailure | None) -> BootFailure | None:
    """A loader tells why it believes that it failed; where a service was made to fail, that is said first."""
    plan = machine.services.fault_plan
    if failure is None or plan is None or not plan.met:
        return failure
    return replace(failure, why=f"on purpose ({', '.join(plan.met)}); as the loader sees it: {failure.why}")


def fw_cfg_bytes(files: BootFiles) -> int:
    """What ``presize`` reads from fw_cfg: kernel with setup, command line, initrd."""
    return files.kernel.size + (len(files.cmdline) + 1 if files.cmdline else 0) + files.initrd_size
