"""A footprint model of one firmware, recorded from the firmware itself while it runs as a TD.

It runs twice on each machine: with a kernel, whose blobs and image mark the steps of a direct boot, and without one, to
its own Shell or to where it finds nothing to boot. A made kernel will do; firmware's own pools then differ by single
pages from those of a boot of another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.console.serial_input import LinesAtPrompts
from tdvfsh.engine.devices.fw_cfg import FwCfgItem
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.firmware.boot_services import BootService
from tdvfsh.engine.firmware.core_map import CoreMap, change_sites, find_core_map, read_bins, read_core_map
from tdvfsh.engine.firmware.image import FirmwareImage
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.errors import UsageError
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.lazy_dataclass import replace
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.firmware_file import FirmwareFacts
from tdvfsh.machine.options import TdOptions
from tdvfsh.td.dma import DmaRules
from tdvfsh.td.firmware_calls import FirmwareCall
from tdvfsh.td.footprint import (
    BOOT_LOADER,
    DIRECT,
    SHELL,
    FirmwareModel,
    FirmwareStage,
    OutsideRange,
    Piece,
    firmware_model,
)
from tdvfsh.td.map_changes import MapChange, Typed, changed, firmware_calls, map_changes, split_layout, without_detours
from tdvfsh.uefi.memory import EFI_MEMORY_ACCESS_MASK, EfiMemoryType, memory_type_name
from tdvfsh.units import MIB, PAGE_SHIFT, PAGE_SIZE, pages_for

_KERNEL_SIZE: Final = 6 * MIB
_INIT_SIZE: Final = 32 * MIB
_INITRD_SIZE: Final = 3 * MIB
_CMDLINE: Final = "nokaslr"
_POOL_OVERHEAD: Final = 40
_LARGEST_IN_POOL: Final = 29824 - _POOL_OVERHEAD  # edk2 MdeModulePkg/Core/Dxe/Mem/Pool.c (mPoolSizeTable)
_CONVENTIONAL: Final = EfiMemoryType.EfiConventionalMemory
_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_LOAD: Final = tuple(FirmwareCall(do=mark) for mark in ("file-buffer", "image", "free-file-buffer"))


class _ImageStarts(EngineError):
    """The image of the made kernel is about to start: nothing more is to be recorded."""


class _Recording:
    """One run: the map when the kernel loader asks for its first blob, and at each change from there on."""

    def __init__(self, run: FirmwareRun, until_image: bool = False) -> None:
        self._run = run
        self._until_image = until_image
        self.core: CoreMap | None = None
        self.before: list[Piece] = []
        self.maps: list[list[Typed]] = []
        self.bins: list[tuple[EfiMemoryType, int, int]] = []
        self.accepts_of_sec = self.accepts_before = 0
        run.fw_cfg.selected = self._selected

    def run_to_end(self) -> None:
        """Run until firmware waits for input, switches off, or dies; what had been recorded by then counts."""
        self._run.run_sec()
        self.accepts_of_sec = len(self._run.accepts)
        if self._until_image:
            self._run.services.watch(BootService.START_IMAGE, self._starts)
        with suppress(EngineError):
            self._run.run()

    def _selected(self, key: int) -> None:
        if key not in (FwCfgItem.SETUP_SIZE, FwCfgItem.KERNEL_SIZE) or self.core is not None:
            return
        board = self._run.board
        core = find_core_map(board)
        if core is None:
            return
        self.core = core
        self.before = read_core_map(board, core)
        self.bins = read_bins(board, core)
        self.accepts_before = len(self._run.accepts)
        for site in change_sites(board, core):
            board.cpu.stop_at(site, self._changing)

    def _starts(self) -> None:
        if any(piece.memory_type == _LOADER_CODE for piece in self.last()):
            raise _ImageStarts("the image starts")

    def _changing(self) -> bool:
        """Note the map where a part of it is missing: it is about to change."""
        assert self.core is not None
        current = _typed(read_core_map(self._run.board, self.core))
        if sum(end - start for start, end, _ in current) != sum(piece.end - piece.start for piece in self.before):
            self.maps.append(current)
        return False

    def changes(self) -> list[MapChange]:
        """What changed since."""
        return map_changes(_typed(self.before), [*self.maps, _typed(self.last())])

    def last(self) -> list[Piece]:
        """The map now."""
        return [] if self.core is None else read_core_map(self._run.board, self.core)


def record_footprint(
    image: FirmwareImage,
    facts: FirmwareFacts,
    machines: Sequence[TdOptions],
    name: str,
    limit: RunLimit,
    files: BootFiles | None = None,
) -> FirmwareModel:
    """Run ``image`` and write down what it occupies.

    Args:
        image: The firmware.
        facts: What its file says.
        machines: One TD, or two of which the second has RAM above 4 GiB and the first has not.
        name: The model's name.
        limit: When to abort.
        files: The direct boot to record; a made kernel and initrd where None.

    Raises:
        UsageError: It is not built on edk2's DXE core, or does not reach the point where it loads a kernel.
        EngineError: It died before.
    """
    nearest = replace(firmware_model(facts.model), name=name, above_4g={})
    with ExitStack() as stack:
        if files is None:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            kernel, initrd = folder / "kernel", folder / "initrd"
            make_kernel(kernel, _KERNEL_SIZE, _INIT_SIZE)
            make_initrd(initrd, _INITRD_SIZE)
            files = stack.enter_context(open_boot_files(kernel, [initrd], cmdline=_CMDLINE)).boot
        model, *others = [
            _record_own(image, options, _record_direct(image, options, files, nearest, limit), limit)
            for options in machines
        ]
    return replace(model, above_4g=others[0].stages) if others else model


def _record_direct(
    image: FirmwareImage, options: TdOptions, files: BootFiles, nearest: FirmwareModel, limit: RunLimit
) -> FirmwareModel:
    with FirmwareRun(image, options, files, typed=LinesAtPrompts(""), limit=limit) as run:
        recording = _Recording(run, until_image=True)
        recording.run_to_end()
        top = run.td.ram.low.end
        _need(recording, image)
        changes = _marked(recording.changes(), files)
        known = replace(nearest.stages[DIRECT], vcpus=options.vcpus)
        stage = _stage(recording.before, top, without_detours(_typed(recording.before), changes), known)
        first = recording.bins[0] if recording.bins else None
        return replace(
            nearest,
            package=image.path,
            attribute=0,
            min_ram=0,
            bins_below=0 if first is None else top - first[1] - (first[2] << PAGE_SHIFT),
            bins=tuple((kind, pages) for kind, _, pages in recording.bins),
            stages={DIRECT: stage},
            dma=_dma(run, recording, files, top - stage.shift(top)),
        )


def _record_own(image: FirmwareImage, options: TdOptions, model: FirmwareModel, limit: RunLimit) -> FirmwareModel:
    with FirmwareRun(image, options, typed=LinesAtPrompts(""), limit=limit) as run:
        recording = _Recording(run)
        recording.run_to_end()
        top = run.td.ram.low.end
        _need(recording, image)
        changes, last = recording.changes(), recording.last()
        loaded = next((number for number, change in enumerate(changes) if change.after == _LOADER_CODE), None)
        stages = dict(model.stages)
        known = stages[DIRECT]
        if loaded is None:
            stages[BOOT_LOADER] = _stage(last, top, (), known)
        else:
            pages = changes[loaded].pages
            buffer = max((n for n in range(loaded) if _is(changes[n], _BS_DATA, pages)), default=loaded)
            state = _after(_typed(recording.before), changes[:buffer])
            stages[BOOT_LOADER] = _stage([Piece(*entry, 0) for entry in state], top, (), known)
            stages[SHELL] = replace(_stage(last, top, (), known), calls=())
        stages[BOOT_LOADER] = replace(stages[BOOT_LOADER], calls=_LOAD)
        outside = tuple(
            OutsideRange(
                entry.physical_start,
                entry.physical_end,
                EfiMemoryType[memory_type_name(entry.memory_type)],
                entry.attribute,
                True,
            )
            for entry in run.memory_map()
            if not run.td.ram.contains(entry.physical_start, entry.physical_end)
        )
        return replace(model, stages=stages, outside=outside)


def _need(recording: _Recording, image: FirmwareImage) -> None:
    if recording.core is None:
        raise UsageError(f"{image.path}: nothing to record: it asks for no kernel, or its DXE core is not edk2's")


def _marked(changes: Sequence[MapChange], files: BootFiles) -> list[MapChange]:
    """The changes that a direct boot makes itself become its steps; what follows the image's start is left out."""
    kernel, initrd = (pages_for(size + _POOL_OVERHEAD) for size in (files.kernel.size, files.initrd_size))
    wanted = [
        ("kernel-blob", _CONVENTIONAL, _BS_DATA, kernel),
        ("initrd-blob", _CONVENTIONAL, _BS_DATA, initrd),
        ("file-buffer", _CONVENTIONAL, _BS_DATA, kernel),
        ("image", _CONVENTIONAL, _LOADER_CODE, pages_for(files.kernel.image_pages_size)),
        ("free-file-buffer", _BS_DATA, _CONVENTIONAL, kernel),
    ]
    small = wanted[1] if files.initrd_size <= _LARGEST_IN_POOL else None  # it shares a page that is not seen to go
    marked: list[MapChange] = []
    for change in changes:
        if wanted and (change.before, change.after, change.pages) == wanted[0][1:]:
            marked.append(change._replace(mark=wanted.pop(0)[0]))
            if wanted[:1] == [small]:
                marked.append(MapChange(0, 0, _CONVENTIONAL, _CONVENTIONAL, wanted.pop(0)[0]))
        elif len(wanted) == 2 and _is_free(change, kernel):  # the image was refused, and its buffer goes
            image = MapChange(0, 0, _CONVENTIONAL, _CONVENTIONAL, "image")
            return [*marked, image, change._replace(mark="free-file-buffer")]
        elif (not wanted and _LOADER_CODE in (change.before, change.after)) or change.after == _LOADER_DATA:
            break
        else:
            marked.append(change)
    return marked


def _is(change: MapChange, kind: EfiMemoryType, pages: int) -> bool:
    return (change.before, change.after, change.pages) == (_CONVENTIONAL, kind, pages)


def _is_free(change: MapChange, pages: int) -> bool:
    return (change.before, change.after, change.pages) == (_BS_DATA, _CONVENTIONAL, pages)


def _dma(run: FirmwareRun, recording: _Recording, files: BootFiles, top: int) -> DmaRules:
    """A pool where the first transfers accept nothing; else what each accepts, less what depends on the blobs."""
    before = recording.accepts_before - recording.accepts_of_sec
    if before <= 0:
        pool = [call for call in run.conversions if call.shared and run.td.ram.contains(call.address, call.address + 1)]
        below = top - min(call.address for call in pool) + PAGE_SIZE if pool else 0
        rules = DmaRules(pool=sum(call.size >> PAGE_SHIFT for call in pool), pool_below=below)
        known = rules.under(top).pool_calls == len(pool)
        return rules if known else replace(rules, pool_below=0, pool_calls=len(pool))
    rules = DmaRules(each_transfer=True)
    linux = files.kernel.linux
    setup = 0 if linux is None else linux.setup_size
    sizes = (setup, files.kernel.size - setup, files.initrd_size, len(files.cmdline) + 1)
    blobs = sum(rules.pages_of(size) for size in sizes)
    return replace(rules, before_blobs=before, after_blobs=max(0, len(run.accepts) - recording.accepts_before - blobs))


def _stage(pieces: Sequence[Piece], top: int, changes: Sequence[MapChange], known: FirmwareStage) -> FirmwareStage:
    """What was recorded, with the rules by which ``known`` moves for other sizes and numbers of vCPUs."""
    capabilities = {piece.capabilities & EFI_MEMORY_ACCESS_MASK for piece in pieces}
    kept = EFI_MEMORY_ACCESS_MASK if len(capabilities) > 1 else 0
    fixed, moving = split_layout([piece._replace(capabilities=piece.capabilities & kept) for piece in pieces], top)
    return replace(known, fixed=fixed, top=moving, calls=firmware_calls(changes, top))


def _after(state: list[Typed], changes: Sequence[MapChange]) -> list[Typed]:
    for change in changes:
        state = changed(state, change)
    return state


def _typed(pieces: Sequence[Piece]) -> list[Typed]:
    return [(piece.start, piece.end, piece.memory_type) for piece in pieces]


def _kind(memory_type: int) -> EfiMemoryType:
    return EfiMemoryType[memory_type_name(memory_type)]
