"""The model compared with real code: the same boot twice, and what differs.

Compared are the stub's calls of the memory services with their sizes, types and results, what it placed where, the
final memory map, and the unaccepted-memory bitmap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.engine.runs.boot_run import STUB
from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.unaccepted import unaccepted_table
from tdvfsh.machine.options import TdOptions
from tdvfsh.trace import TraceRecord
from tdvfsh.uefi import service_names
from tdvfsh.uefi.memory import MemoryDescriptor, memory_type_name
from tdvfsh.units import human_size

_COMPARED: Final = (
    service_names.ALLOCATE_PAGES,
    service_names.FREE_PAGES,
    service_names.ALLOCATE_POOL,
    service_names.FREE_POOL,
    service_names.GET_MEMORY_MAP,
    service_names.INSTALL_CONFIGURATION_TABLE,
    service_names.EXIT_BOOT_SERVICES,
)
_ARGUMENTS: Final = (
    "allocate_type",
    "memory_type",
    "pool_type",
    "pages",
    "size",
    "memory_map_size",
    "guid",
    "memory",
    "buffer",
)
_RESULTS: Final = ("memory", "buffer", "memory_map_size", "map_key")


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the model and real code part: what each of the two has, or None where it has nothing."""

    what: str
    model: str | None
    real: str | None


@dataclass(frozen=True, repr=False)
class Verification:
    """Both boots and how they compare.

    Attributes:
        model: The modelled boot.
        real: The boot on the processor.
        agreed: How many calls, placements, descriptors and bitmap bytes are the same, by kind.
        differences: All that is not.
    """

    model: BootResult
    real: CpuBootResult
    agreed: dict[str, int]
    differences: tuple[Difference, ...]

    def __repr__(self) -> str:
        agreed = sum(self.agreed.values())
        first = f", first {self.differences[0].what}" if self.differences else ""
        return f"<Verification: {agreed} agree, {len(self.differences)} differ{first}>"

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def verify(
    options: TdOptions,
    files: BootFiles,
    violation_ve: bool = False,
    time_limit: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> Verification:
    """Boot ``files`` by the model and on the processor.

    Args:
        options: The TD; its loader is ``direct``.
        files: What is booted; with KASLR the real kernel goes elsewhere, so ``nokaslr`` belongs on the command line.
        violation_ve: As for :func:`boot_on_cpu`.
        time_limit: Real seconds for the real boot.
        progress: As for :func:`boot_on_cpu`.

    Returns:
        Both boots and their differences.

    Raises:
        UsageError: A loader other than ``direct``: a boot of both kinds reads its files in its own way.
    """
    if options.loader != "direct":
        raise UsageError(f"verify: --loader {options.loader}: the kernel's real stub runs after direct boot only")
    real = boot_on_cpu(options, files, violation_ve=violation_ve, time_limit=time_limit, progress=progress)
    model = boot(real.machine.options, files)
    agreed: dict[str, int] = {}
    differences: list[Difference] = []
    of_real = parts_of(real)
    for kind, of_model in _parts(model, _modelled_bitmap(model)).items():
        agreed[kind], found = compare(kind, of_model, of_real[kind])
        differences += found
    return Verification(model, real, agreed, tuple(differences))


def parts_of(real: CpuBootResult) -> dict[str, list[str]]:
    """What is compared of a boot on the processor, in lines, by kind."""
    return _parts(real, _bitmap(real.unaccepted_bitmap))


def _parts(result: BootResult, bitmap: list[str]) -> dict[str, list[str]]:
    return {
        "outcome": _outcome(result),
        "calls": stub_calls(result.machine.trace.records),
        "placements": _placements(result),
        "memory map": _memory_map(result.memory_map),
        "bitmap": bitmap,
    }


def verification_lines(result: Verification) -> list[str]:
    """The comparison in readable form."""
    seconds = f"the real stub took {result.real.seconds:.1f} s"
    counts = ", ".join(f"{count} {kind}" for kind, count in result.agreed.items() if kind != "outcome")
    lines = [f"outcome   {_outcome(result.model)[0]}", f"agree     {counts}; {seconds}"]
    for difference in result.differences:
        lines.append(f"differ    {difference.what}")
        lines.append(f"   model  {difference.model if difference.model is not None else '-'}")
        lines.append(f"   real   {difference.real if difference.real is not None else '-'}")
    lines.append("verdict   the model agrees with the real code" if result.agrees else
                 f"verdict   {len(result.differences)} differences")  # fmt: skip
    return lines


def verification_dict(result: Verification) -> dict[str, object]:
    """The comparison for machines."""
    return {
        "agrees": result.agrees,
        "agreed": result.agreed,
        "differences": [
            {"what": difference.what, "model": difference.model, "real": difference.real}
            for difference in result.differences
        ],
        "status": {"model": result.model.status.name, "real": result.real.status.name},
        "stage": {"model": result.model.stage, "real": result.real.stage},
        "seconds": result.real.seconds,
    }


def stub_calls(records: Sequence[TraceRecord]) -> list[str]:
    """The stub's own calls of the memory services, one line each."""
    return [_call(record) for record in records if record.caller == STUB and record.service in _COMPARED]


def _call(record: TraceRecord) -> str:
    arguments = [_value(name, record.arguments[name]) for name in _ARGUMENTS if name in record.arguments]
    results = [_value(name, record.results[name]) for name in _RESULTS if name in record.results]
    status = record.status.short_name if record.status is not None else "?"
    return f"{record.service}({', '.join(arguments)}) = {status} {' '.join(results)}".rstrip()


def _value(name: str, value: object) -> str:
    return f"{name}={value:#x}" if isinstance(value, int) else f"{value}"


def _outcome(result: BootResult) -> list[str]:
    return [f"{result.status.name} at {result.stage}"]


def _placements(result: BootResult) -> list[str]:
    return [
        f"{entry.what} {entry.start:#x}-{entry.end:#x} {entry.memory_type.name}{' freed' if entry.freed else ''}"
        for entry in result.placements
    ]


def _memory_map(descriptors: Sequence[MemoryDescriptor]) -> list[str]:
    return [
        f"{memory_type_name(entry.memory_type)} {entry.physical_start:#x} pages={entry.number_of_pages:#x} "
        f"attribute={entry.attribute:#x}"
        for entry in descriptors
    ]


def _modelled_bitmap(result: BootResult) -> list[str]:
    placed = any(entry.what == "unaccepted_table" for entry in result.placements)
    table = unaccepted_table(result.memory_map) if placed and result.booted else None
    return [] if table is None else _bitmap(table.bitmap())


def _bitmap(bitmap: bytes) -> list[str]:
    """One line per run of equal bytes, so that a difference shows where it is."""
    lines: list[str] = []
    start = 0
    for at in range(1, len(bitmap) + 1):
        if at == len(bitmap) or bitmap[at] != bitmap[start]:
            lines.append(f"bytes {start:#x}-{at:#x} {bitmap[start]:#04x} ({human_size((at - start) << 24)})")
            start = at
    return lines


def compare(kind: str, model: list[str], real: list[str]) -> tuple[int, list[Difference]]:
    """How many lines are the same in the same order, and the others in pairs."""
    differences: list[Difference] = []
    same = 0
    for tag, low, high, start, end in SequenceMatcher(None, model, real, autojunk=False).get_opcodes():
        if tag == "equal":
            same += high - low
            continue
        for step in range(max(high - low, end - start)):
            of_model = model[low + step] if low + step < high else None
            of_real = real[start + step] if start + step < end else None
            differences.append(Difference(kind, of_model, of_real))
    return same, differences
