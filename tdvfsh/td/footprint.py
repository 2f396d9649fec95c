"""What firmware itself occupies in memory, as recorded layouts that move with the top of low RAM.

A model holds two stages: ``direct`` is the moment at which OVMF's QEMU kernel loader asks for the first blob,
``boot_loader`` the one at which the boot manager reads a boot loader's file from disk. Each has a map and the calls
that firmware makes from there on; where RAM goes on above 4 GiB, firmware has more to note down and its pages lie
otherwise, so that a model may hold each stage twice. ``firmware_models/NAME.toml`` was recorded from a plain guest,
``NAME-td.toml`` from a TD; how is said at the head of each file.
"""

from __future__ import annotations

import os
from functools import cache, lru_cache

from tdvfsh.errors import FormatError, UsageError, host_error
from tdvfsh.lazy_dataclass import dataclass, field, replace
from tdvfsh.lazy_typing import Any, Final, NamedTuple
from tdvfsh.shipped_toml import read_shipped_toml
from tdvfsh.td.dma import NO_DMA, DmaRules
from tdvfsh.td.firmware_calls import FirmwareCall, FirmwareCalls, parse_calls
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SHIFT, PAGE_SIZE, human_size

FIRMWARE_MODEL_NAMES: Final = ("inteltdx", "inteltdx-q35", "lazy-v2", "ovmf-2022.11", "ovmf-2025.02", "ovmf-2026.08")
DIRECT: Final = "direct"
BOOT_LOADER: Final = "boot_loader"
SHELL: Final = "shell"
ABOVE_4G: Final = "above_4g"
_LARGEST_FILE: Final = 4 << 20
_TWO_GIB: Final = 1 << 31
_FOUR_GIB: Final = 1 << 32
POOL_WORDS: Final = frozenset("abcdefgABCDEFGik0123456789 ")
"""Characters of requests to a pool."""

_CONVENTIONAL: Final = EfiMemoryType.EfiConventionalMemory
_MODELS: Final = os.path.join(os.path.dirname(__file__), "firmware_models")


class Piece(NamedTuple):
    """One descriptor of a layout: bytes ``[start, end)``, its type, and access capabilities that keep it apart."""

    start: int
    end: int
    memory_type: EfiMemoryType
    capabilities: int


class OutsideRange(NamedTuple):
    """Bytes ``[start, end)`` that are not RAM.

    ``in_td`` is False for what a TD does not have: flash (its firmware is loaded into RAM), and the HyperTransport
    range that QEMU reserves for AMD processors only.
    """

    start: int
    end: int
    memory_type: EfiMemoryType
    attribute: int
    in_td: bool


@dataclass(frozen=True, slots=True)
class FirmwareStage:
    """A map and what follows.

    Attributes:
        fixed: Pieces at addresses of their own.
        top: Pieces at a distance below the top of low RAM.
        calls: What firmware allocates and frees from there on.
        aligned_below: Bytes from the top of low RAM down to where a block of 2 MiB pages ends, or 0. The block stays
            aligned, so everything under it lies lower, and the free piece above it is larger, by what the top of low
            RAM has over a multiple of 2 MiB (recorded: tests/recordings/round2/maps, 2815M). PEI's stack stays.
        vcpus: vCPUs of the machine that was recorded.
        larger_initrds: ``(bytes, calls)``, ascending: the calls where the initrd has more bytes than that. A small one
            lies in a block of firmware's pools, which then run out of room sooner or later than with another one.
        stack_pages: Pages by which PEI's stack lies lower for each vCPU more: OVMF's PEI counts a stack for each into
            the memory that it leaves for S3, in firmware that has no S3, too.
    """

    fixed: tuple[Piece, ...]
    top: tuple[Piece, ...]
    calls: tuple[FirmwareCall, ...]
    aligned_below: int = 0
    vcpus: int = 1
    stack_pages: int = 0
    larger_initrds: tuple[tuple[int, tuple[FirmwareCall, ...]], ...] = ()

    def shift(self, top: int) -> int:
        """Bytes by which the pieces under the aligned block lie lower where low RAM ends at ``top``."""
        return (top - self.aligned_below) % LARGE_PAGE_SIZE if self.aligned_below else 0

    @property
    def least_top(self) -> int:
        """The lowest top of low RAM, in bytes, under which all pieces have their place."""
        movable = self.top[0].end - self.top[0].start if self._floats else 0
        anchored = self.top[2:] if self._floats else self.top
        return self._fixed_end + movable - min((piece.start for piece in anchored), default=0)

    def layout(self, top: int, vcpus: int | None = None) -> list[Piece]:
        """All pieces of low RAM that ends at ``top``; what lies between the two groups is Conventional.

        Args:
            top: In bytes.
            vcpus: vCPUs of the machine; None for as many as the recorded one had.

        PEI takes its memory from the top down to a limit, and puts its stack at the bottom of that. Where low RAM is so
        small that the fixed pieces end above that bottom, the stack stands on them and what lies above it shrinks.
        """
        lower = self.shift(top)
        stack_end = self.top[0].end if self._floats else -top  # PEI's own stack does not know of the block above
        block, under = -self.aligned_below, top - lower
        shifted = [
            Piece(
                (under if stack_end < start <= block else top) + start,
                (under if stack_end < end <= block else top) + end,
                memory_type,
                capabilities,
            )
            for start, end, memory_type, capabilities in self.top
        ]
        if vcpus is not None and self.stack_pages and self._floats:
            more = (vcpus - self.vcpus) * self.stack_pages << PAGE_SHIFT
            stack, gap = shifted[:2]
            stack = stack._replace(start=stack.start - more, end=stack.end - more)
            shifted[:2] = [stack, gap._replace(start=stack.end)]
        middle_start = self._fixed_end
        if self._floats and shifted[0].start < middle_start:
            stack, gap = shifted[:2]
            stack = stack._replace(start=middle_start, end=middle_start + stack.end - stack.start)
            shifted[:2] = [stack, gap._replace(start=stack.end)] if stack.end < gap.end else [stack]
        middle_end = shifted[0].start if shifted else top
        middle = [Piece(middle_start, middle_end, _CONVENTIONAL, 0)] if middle_start < middle_end else []
        return [*self.fixed, *middle, *shifted]

    def calls_below(self, top: int, end: str = "", initrd_size: int = 0) -> FirmwareCalls:
        """The calls as firmware makes them under a top of low RAM: every address absolute.

        Args:
            top: In bytes.
            end: Where RAM ends, as :func:`ram_end` says it.
            initrd_size: Bytes of the initrd that a direct boot gets by fw_cfg.
        """
        return _below(self.calls_where(end, initrd_size), top - self.shift(top))

    def calls_where(self, end: str, initrd_size: int) -> FirmwareCalls:
        """The calls that firmware makes where RAM ends so and the initrd is of that size, addresses as recorded."""
        recorded = next((calls for size, calls in reversed(self.larger_initrds) if initrd_size > size), self.calls)
        # numbers stay as they are
        return FirmwareCalls(call if call.ram in ("", end) else FirmwareCall() for call in recorded)

    @property
    def _fixed_end(self) -> int:
        return max((piece.end for piece in self.fixed), default=0)

    @property
    def _floats(self) -> bool:
        """Whether the lowest piece of the upper group is a stack with free memory above it."""
        return (
            len(self.top) > 1 and self.top[0].memory_type != _CONVENTIONAL and self.top[1].memory_type == _CONVENTIONAL
        )


@dataclass(frozen=True, slots=True, eq=False)
class FirmwareModel:
    """One recorded firmware; each is itself only, so that what is made from it can be kept by it.

    Attributes:
        name: As ``--firmware-model`` names it.
        package: The package and version that was recorded.
        edk2: The edk2 release that it is built from.
        profile: Name of the generation whose rules it follows.
        metadata: Name of the firmware whose TDX metadata it has.
        source: What ``--firmware-model`` named: ``name``, or the path of a file that was recorded.
        min_ram: Bytes of RAM below which it did not start.
        attribute: Attribute of every RAM descriptor in a plain guest.
        bins_below: Bytes from the top of low RAM down to the top of the first bin, where that is a multiple of 2 MiB.
        bins: ``(type, pages)`` in the order of its MemoryTypeInformation.
        outside: Ranges that are not RAM.
        stages: ``direct`` and ``boot_loader``; ``shell`` where the firmware's own Shell was recorded at its prompt.
        dma: What it makes shared for DMA in a TD.
        pool_room: Types, besides BootServicesData, whose pools have room for small requests in pages they hold.
        above_4g: The same stages in machines that have RAM above 4 GiB; empty where none were recorded.
        shell_of: Name of the firmware whose Shell ``shell`` has, where this one has none of its own; or empty.
    """

    name: str
    package: str
    edk2: str
    profile: str
    metadata: str
    source: str
    min_ram: int
    attribute: int
    bins_below: int
    bins: tuple[tuple[EfiMemoryType, int], ...]
    outside: tuple[OutsideRange, ...]
    stages: dict[str, FirmwareStage]
    dma: DmaRules = NO_DMA
    pool_room: tuple[EfiMemoryType, ...] = ()
    above_4g: dict[str, FirmwareStage] = field(default_factory=dict)
    shell_of: str = ""

    def in_machine(self, ram_above_4g: bool) -> FirmwareModel:
        """The model as it is in a machine with or without RAM above 4 GiB."""
        return _above_4g(self) if ram_above_4g and self.above_4g else self

    def bins_top(self, top: int) -> int:
        """Where the first bin ends under a top of low RAM at ``top``."""
        return top - self.bins_below - self.stages[DIRECT].shift(top)

    def dma_under(self, top: int) -> DmaRules:
        """What it makes shared for DMA under a top of low RAM at ``top``."""
        return self.dma.under(top - self.stages[DIRECT].shift(top))

    def least_low_memory(self, stage: str) -> int:
        """Bytes of usable low RAM that the firmware's own footprint takes at least."""
        return max(self.min_ram, self.stages[stage].least_top)

    def calls_below(self, stage_name: str, top: int, end: str, initrd_size: int) -> FirmwareCalls:
        """:meth:`FirmwareStage.calls_below` of a stage: the same object where it is asked the same once more."""
        calls = _calls_where(self, stage_name, end, initrd_size)
        return _below(calls, top - self.stages[stage_name].shift(top))


@lru_cache(maxsize=128)
def _calls_where(model: FirmwareModel, stage_name: str, end: str, initrd_size: int) -> FirmwareCalls:
    return model.stages[stage_name].calls_where(end, initrd_size)


def _below(calls: FirmwareCalls, top: int) -> FirmwareCalls:
    if not calls.has_addresses:
        return calls
    return FirmwareCalls(call if call.address is None else call._replace(address=top + call.address) for call in calls)


@lru_cache(maxsize=64)
def _above_4g(model: FirmwareModel) -> FirmwareModel:
    return replace(model, stages=model.above_4g)


def is_recorded_file(name: str) -> bool:
    """Whether ``--firmware-model`` names a file that ``tdvfsh firmware record`` wrote, and not a model of ours."""
    return name.endswith(".toml")


@cache
def firmware_model(name: str, td: bool = True) -> FirmwareModel:
    """The model called ``name``, or the recorded one in the file ``name``.

    Args:
        name: As ``--firmware-model`` names it.
        td: The footprint of a TD, not of a plain guest. A model that was recorded from only one of them has that for
            both.

    Raises:
        UsageError: Unknown name; the message lists the known ones.
        HostError, FormatError: The file cannot be read, or is not a model.
    """
    if is_recorded_file(name):
        return _recorded_model(name)
    if name not in FIRMWARE_MODEL_NAMES:
        raise UsageError(
            f"--firmware-model {name}: unknown; choose MODEL.toml or one of {', '.join(FIRMWARE_MODEL_NAMES)}"
        )
    files = [os.path.join(_MODELS, file) for file in (f"{name}-td.toml", f"{name}.toml")]
    with open(next(filter(os.path.exists, files if td else files[::-1])), encoding="utf-8") as stream:
        return _model(read_shipped_toml(stream.read()), name)


def _recorded_model(path: str) -> FirmwareModel:
    """A model of the user's own: validated, since users edit it."""
    import tomllib

    try:
        with open(path, "rb") as stream:
            text = stream.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise host_error(f"--firmware-model {path}", error) from None
    if len(text) > _LARGEST_FILE:
        raise FormatError(path, "too large for a footprint model")
    try:
        model = _model(tomllib.loads(text.decode("utf-8")), path)
        _check(model)
    except KeyError as error:
        raise FormatError(path, f"not a footprint model: it lacks {error} or has no such type") from None
    except (ValueError, TypeError, AttributeError, RecursionError, IndexError) as error:
        raise FormatError(path, f"not a footprint model: {error}") from None
    return model


def _check(model: FirmwareModel) -> None:
    """Raise ValueError for invalid pieces: a layout is made of whole pages, in order, up to the top of RAM."""
    for name in (DIRECT, BOOT_LOADER):
        if name not in model.stages:
            raise ValueError(f"it has no [{name}]")
    if model.above_4g and set(model.above_4g) != set(model.stages):
        raise ValueError(f"[{ABOVE_4G}] has not the stages that stand outside of it")
    for name, stage in (*model.stages.items(), *((f"{ABOVE_4G}.{name}", it) for name, it in model.above_4g.items())):
        for group, pieces in (("fixed", stage.fixed), ("top", stage.top)):
            at = None
            for piece in pieces:
                if (piece.start | piece.end) % PAGE_SIZE or piece.end <= piece.start or piece.start < -_FOUR_GIB:
                    raise ValueError(f"[{name}] {group}: {piece.start:#x} to {piece.end:#x} are not whole pages")
                if at is not None and piece.start < at:
                    raise ValueError(f"[{name}] {group}: what is at {piece.start:#x} overlaps what is before it")
                at = piece.end
        if (stage.fixed and stage.fixed[0].start < 0) or (stage.top and stage.top[-1].end > 0):
            raise ValueError(f"[{name}]: a piece lies outside of RAM")
        for calls in (stage.calls, *(calls for _, calls in stage.larger_initrds)):
            for number, call in enumerate(calls):
                if not set(call.pool) <= POOL_WORDS:
                    raise ValueError(f"[{name}] calls: {number} has requests to a pool that are none")
                if call.frees is not None and not 0 <= call.frees < number:
                    raise ValueError(f"[{name}] calls: {number} frees {call.frees}, which is not a call before it")


def _model(data: dict[str, Any], name: str) -> FirmwareModel:
    return FirmwareModel(
        name=data["name"],
        package=data["package"],
        edk2=data["edk2"],
        profile=data["profile"],
        metadata=data.get("metadata", data["name"]),
        source=name,
        min_ram=data["min_ram"],
        attribute=data["attribute"],
        bins_below=data["bins_top"],
        bins=tuple((EfiMemoryType[entry["type"]], entry["pages"]) for entry in data["bins"]),
        outside=tuple(
            OutsideRange(
                entry["start"],
                entry["start"] + (entry["pages"] << PAGE_SHIFT),
                EfiMemoryType[entry["type"]],
                entry["attribute"],
                not (entry.get("pflash", False) or entry.get("amd", False)),
            )
            for entry in data["outside"]
        ),
        stages=_stages(data, data),
        dma=DmaRules(**data["dma"]) if "dma" in data else NO_DMA,
        pool_room=tuple(EfiMemoryType[name] for name in data.get("pool_room", ())),
        above_4g=_stages(data.get(ABOVE_4G, {}), data),
        shell_of=data.get("shell_of", ""),
    )


def _stages(data: dict[str, Any], model: dict[str, Any]) -> dict[str, FirmwareStage]:
    """The stages in ``data``, of a machine that may be another than the rest of ``model`` was recorded on."""
    recorded = _Recorded(model.get("aligned_below", 0), data.get("vcpus", 1), model.get("stack_pages", 0))
    return {name: _stage(data[name], recorded) for name in (DIRECT, BOOT_LOADER, SHELL) if name in data}


def ram_end(low_end: int, high_ram: bool) -> str:
    """Where RAM ends, as far as firmware's own records of address space depend on it.

    Args:
        low_end: End of low RAM in bytes.
        high_ram: Whether there is RAM above 4 GiB.

    Returns:
        ``high`` with RAM above 4 GiB, else ``below``, ``at`` or ``above`` 2 GiB, where q35's PCI space may begin.
    """
    if high_ram:
        return "high"
    return "at" if low_end == _TWO_GIB else "below" if low_end < _TWO_GIB else "above"


def check_room(model: FirmwareModel, stage: str, accepted_low: int) -> None:
    """Refuse a TD whose accepted low memory cannot hold the firmware itself.

    Raises:
        UsageError: ``accepted_low`` bytes are too few; the message says how many it takes.
    """
    least = model.least_low_memory(stage)
    if accepted_low - model.stages[stage].shift(accepted_low) < least:
        raise UsageError(
            f"the TD does not start: firmware {model.name} needs {human_size(least)} of accepted memory below 4 GiB "
            f"for itself, and only {human_size(accepted_low)} is accepted"
        )


class _Recorded(NamedTuple):
    """What the stages of a recorded machine share."""

    aligned_below: int
    vcpus: int
    stack_pages: int


def _stage(data: dict[str, Any], recorded: _Recorded) -> FirmwareStage:
    return FirmwareStage(
        fixed=tuple(_piece(entry, entry["start"]) for entry in data["fixed"]),
        top=tuple(_piece(entry, -entry["below"]) for entry in data["top"]),
        calls=tuple(_call(entry) for entry in data["calls"]),
        larger_initrds=tuple((entry["over"], parse_calls(entry["calls"])) for entry in data.get("larger_initrds", ())),
        **recorded._asdict(),
    )


def _piece(entry: dict[str, Any], start: int) -> Piece:
    return Piece(start, start + (entry["pages"] << PAGE_SHIFT), EfiMemoryType[entry["type"]], entry.get("caps", 0))


def _call(entry: dict[str, Any]) -> FirmwareCall:
    return FirmwareCall(
        do=entry.get("do"),
        memory_type=EfiMemoryType[entry["alloc"]] if "alloc" in entry else None,
        pages=entry.get("pages", 0),
        maximum=entry.get("max"),
        frees=entry.get("free"),
        offset=entry.get("offset", 0),
        address=-entry["free_top"] if "free_top" in entry else None,
        pool=entry.get("pool", ""),
        initrd=entry.get("initrd", False),
        ram=entry.get("ram", ""),
    )
