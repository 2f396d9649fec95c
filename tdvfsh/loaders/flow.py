"""One boot under way: its files, its placements, the stage it has reached, and why it failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tdvfsh.accept.needs import NO_LIMIT, Need
from tdvfsh.accept.on_demand import OnDemandAccept
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, Protocol
from tdvfsh.loaders.files import BootFiles
from tdvfsh.td.firmware_calls import FirmwareCall
from tdvfsh.trace.records import PlacementMade
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE, align_up, human_size, pages_for

if TYPE_CHECKING:
    from tdvfsh.dxe.secure_boot.shim import Shim

FIRMWARE_START: Final = "firmware_start"
FETCH_BLOBS: Final = "fetch_blobs"
LOAD_IMAGE: Final = "load_image"
START_IMAGE: Final = "start_image"
LOAD_KERNEL: Final = "load_kernel"
LOAD_INITRD: Final = "load_initrd"
EXIT_BOOT_SERVICES: Final = "exit_boot_services"

DEFAULT_KASLR_SEED: Final = 0x6A09E667
"""Any fixed number would do: results repeat, and ``--kaslr-seed`` changes it."""

_MAXIMUM_ATTEMPTS: Final = 64
_HARDLY_LESS: Final = 16 * PAGE_SIZE
_MEMORY_TYPES: Final = {int(kind): kind for kind in EfiMemoryType}


@dataclass(slots=True)
class Placement:
    """Contents that a flow put into memory: bytes ``[start, end)``, and the journal's record of it."""

    what: str
    start: int
    end: int
    memory_type: EfiMemoryType
    freed: bool = False
    record: PlacementMade | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class BootFailure:
    """Reason for which a flow ended early.

    Attributes:
        service: The call that failed, or that showed what was missing.
        status: What the flow ended with.
        asked_bytes: Contiguous bytes that were wanted.
        largest_free_bytes: The largest free piece that was in reach of the request.
        unaccepted_bytes: What was still unaccepted then.
        why: One sentence.
    """

    service: str
    status: EfiStatus
    asked_bytes: int
    largest_free_bytes: int
    unaccepted_bytes: int
    why: str


class BlobTransfers(Protocol):
    """What a TD's IOMMU driver has to do with blobs of fw_cfg."""

    def transferred(self, what: str, size: int) -> None:
        """``size`` bytes of ``what`` have been read."""

    def blobs_are_there(self) -> None:
        """All have."""


@dataclass
class BootFlow:
    """State of one boot.

    Args:
        services: The firmware.
        on_demand: The accept option in force.
        files: What is booted.
        firmware_image: Handle of the firmware's own image, the parent of what it loads.
        firmware_calls: What firmware allocates on its own between the steps.
        kaslr_seed: 32-bit seed of the EFI stub's choice.
        dma: Hears of what is read from fw_cfg.
        measurement: What firmware offers for measuring: ``none``, ``cc`` (CC measurement) or ``tpm``.
        shim: The shim of Secure Boot, or None.

    Attributes:
        stage: Where the boot stands.
        placements: What was put into memory, in that order.
        failure: Why the last step failed.
        messages: What the user at the console would read.
        hung: The guest stands still: no code is left that could repeat a step.
        lost_bytes: RAM that the operating system will never see, because it is not informed what type 15 means.
    """

    services: BootServices
    on_demand: OnDemandAccept
    files: BootFiles
    firmware_image: int
    firmware_calls: Sequence[FirmwareCall] = ()
    kaslr_seed: int = DEFAULT_KASLR_SEED
    dma: BlobTransfers | None = None
    measurement: str = "none"
    shim: Shim | None = None
    stage: str = FETCH_BLOBS
    status: EfiStatus = SUCCESS
    placements: list[Placement] = field(default_factory=list)
    failure: BootFailure | None = None
    messages: list[str] = field(default_factory=list)
    lost_bytes: int = 0
    hung: bool = False

    def place(self, what: str, start: int, size: int, memory_type: EfiMemoryType) -> None:
        """Remember a placement of ``size`` bytes, as it is made; the journal has it, too."""
        record = self.services.trace.place(what, start, start + size, memory_type)
        self.placements.append(Placement(what, start, start + size, memory_type, record=record))

    def adopt(self, record: PlacementMade) -> None:
        """Remember a placement that firmware has made for this flow, and has freed since."""
        kind = _MEMORY_TYPES[record.memory_type]
        self.placements.append(Placement(record.what, record.start, record.end, kind, freed=True, record=record))

    def fit(self, placement: Placement, size: int) -> None:
        """Only the first ``size`` bytes of a placement are used."""
        placement.end = placement.start + size
        if placement.record is not None:
            placement.record.end = placement.end

    def free(self, placement: Placement) -> None:
        """A placement is gone: its memory was freed just now."""
        if not placement.freed and placement.record is not None:
            self.services.trace.unplace(placement.record)
        placement.freed = True

    def mark_freed(self, what: str) -> None:
        """The last placement called ``what`` is gone."""
        placement = self.placed(what)
        if placement is not None:
            self.free(placement)

    def placed(self, what: str) -> Placement | None:
        """The last placement called ``what`` that still stands."""
        return next((entry for entry in reversed(self.placements) if entry.what == what and not entry.freed), None)

    def fail(
        self, service: str, status: EfiStatus, asked: int, why: str, maximum: int = NO_LIMIT, minimum: int = 0
    ) -> EfiStatus:
        """Record why the flow cannot continue; returns ``status``."""
        self.failure = BootFailure(
            service=service,
            status=status,
            asked_bytes=asked,
            largest_free_bytes=largest_free(self.services, maximum, minimum),
            unaccepted_bytes=self.services.td.unaccepted_bytes,
            why=why,
        )
        return status

    def lose(self, lost_bytes: int, why: str) -> None:
        """Boot services are over, and ``lost_bytes`` of unaccepted memory do not reach the operating system."""
        if lost_bytes:
            self.lost_bytes = lost_bytes
            self.messages.append(f"{human_size(lost_bytes)} of RAM are lost to the operating system: {why}")

    def go_on_without_initrd(self, message: str) -> None:
        """The loader's command for the initrd failed with ``message``; its script continues with the kernel alone."""
        self.messages.append(message)
        if self.failure is not None:
            self.messages.append(f"the kernel starts without its initrd: {self.failure.why}")

    def hang(self, why: str) -> None:
        """The guest stands still here."""
        self.hung = True
        self.messages.append(why)

    def run_step(
        self,
        stage: str,
        needs: Sequence[Need],
        action: Callable[[], EfiStatus],
        repeat_needs: Sequence[Need] | None = None,
    ) -> EfiStatus:
        """Do one step under the accept option in force, as often as the option wants it repeated.

        Args:
            stage: Where the boot stands if the step fails.
            needs: What the step will ask for, in its order.
            action: The step.
            repeat_needs: What a repetition will ask for, where that differs.
        """
        self.stage = stage
        if needs:
            self.on_demand.before(self.services, stage, needs)
        for attempt in range(1, _MAXIMUM_ATTEMPTS + 1):
            self.failure = None
            status = action()
            if not status.is_error:
                return status
            self.on_demand.mattered = True
            if self.hung:
                break
            again = needs if repeat_needs is None else repeat_needs
            if not self.on_demand.repeat_after(self.services, stage, status, again, attempt):
                break
        return status

    def allocate(
        self,
        what: str,
        allocate_type: EfiAllocateType,
        memory_type: EfiMemoryType,
        size: int,
        memory: int = NO_LIMIT,
    ) -> tuple[EfiStatus, int]:
        """AllocatePages for ``size`` bytes, remembered as a placement (and as the failure where it fails)."""
        status, start = self.services.allocate_pages(allocate_type, memory_type, pages_for(size), memory)
        if status is SUCCESS:
            self.place(what, start, align_up(size, PAGE_SIZE), memory_type)
        return status, start


def largest_free(services: BootServices, maximum: int = NO_LIMIT, minimum: int = 0) -> int:
    """Bytes of the largest Conventional piece between the limits."""
    pieces = (min(end, maximum + 1) - max(start, minimum) for start, end in services.core.memory_map.free_ranges())
    return max(0, *pieces, 0)


def why_not_loaded(services: BootServices, path: str) -> str:
    """Why LoadImage refused an image for which there was room."""
    verdict = services.images.verdict
    if verdict is not None and verdict.status.is_error:
        return f"Secure Boot refuses {path}: {verdict.why}"
    refusal = services.images.refusal
    if refusal is not None:
        policy = services.core.protection.policy.name
        return f"memory protection ({policy}) refuses {path}: {refusal.why}"
    return f"the firmware does not take {path} for an image it can load"


def shortage(
    services: BootServices, asked: int, maximum: int = NO_LIMIT, minimum: int = 0, *, overhead: int = 0
) -> str:
    """``needs X contiguous, largest free Y, Z still unaccepted``: the numbers of a failure in words.

    ``overhead`` bytes come on top of what was asked for; they are named where they are what is too much.
    """
    found = largest_free(services, maximum, minimum)
    left = services.td.unaccepted_bytes
    tail = f"{human_size(left)} of RAM is still unaccepted" if left else "no RAM is left to accept"
    needed, there = human_size(asked), human_size(found)
    if 0 < asked + overhead - found < _HARDLY_LESS:  # rounded sizes would not show what is lacking
        rest = (asked + overhead) % PAGE_SIZE
        more = pages_for(asked + overhead) - (found >> PAGE_SHIFT)
        needed = f"{human_size(asked + overhead - rest)} and {rest} bytes" if rest else needed
        there += f", {more} page{'s' if more > 1 else ''} less"
    return f"it needs {needed} in one piece, the largest free piece in its reach is {there}, {tail}"
