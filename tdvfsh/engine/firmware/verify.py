"""The model of a firmware against the firmware itself, which runs from its reset vector as a TD."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.console.serial_input import LinesAtPrompts
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.firmware.boot_services import BootService
from tdvfsh.engine.firmware.image import FirmwareImage
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.lazy_dataclass import dataclass, field, replace
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.td.accept import AcceptCall
from tdvfsh.td.footprint import SHELL
from tdvfsh.uefi.memory import MemoryDescriptor, memory_type_name
from tdvfsh.units import PAGE_SHIFT

_SHOWN: Final = 8
_FROM_DISK: Final = "chainloader"  # any flow that begins in BDS
_PLACED: Final = ("image", "kernel", "initrd")


@dataclass(slots=True)
class Comparison:
    """One thing that model and firmware both have, such as a memory map.

    Attributes:
        name: What is compared.
        agree: Parts that are the same.
        differences: What differs, each in words.
        why: Why it could not be compared, or empty.
    """

    name: str
    agree: int = 0
    differences: list[str] = field(default_factory=list)
    why: str = ""

    @property
    def agrees(self) -> bool:
        """Whether all parts were compared and are the same."""
        return not self.differences and not self.why


def verify_firmware(
    image: FirmwareImage, options: TdOptions, files: BootFiles | None, limit: RunLimit
) -> list[Comparison]:
    """Hold the model against a run of ``image``.

    Without a kernel: accepts at boot, and the memory map where the firmware waits for input. With one: accepts at boot,
    the map at ExitBootServices and where image, kernel and initrd lie.

    Args:
        image: The firmware.
        options: The TD; its ``firmware`` is the file of ``image``.
        files: What is booted, or None.
        limit: When to give up.

    Raises:
        UsageError: Invalid TD options.
    """
    with FirmwareRun(image, options, files, typed=LinesAtPrompts(""), limit=limit) as run:
        try:
            run.run_sec()
        except EngineError as error:
            return [Comparison("accepts at boot", why=f"SEC did not reach its end: {error}")]
        machine = Machine(options)
        found = [_accepts(machine, run.accepts)]
        if machine.broken is not None:
            found.append(_dies(machine.broken, run))
        elif files is None:
            found.append(_waiting_map(machine, run))
        else:
            found += _direct_boot(boot(options, files), run)
        if machine.broken is None and machine.start.dma.pool:
            found.append(_conversions(machine, run))
        return found


def _accepts(machine: Machine, real: Sequence[AcceptCall]) -> Comparison:
    """Each vCPU's calls in its order; how vCPUs take turns is not compared."""
    boot_accept = machine.boot_accept
    ours = [] if boot_accept is None else list(boot_accept.accept_calls())
    comparison = Comparison("accepts at boot")
    for vcpu in sorted({call.vcpu for call in (*ours, *real)}):
        one, other = ([call for call in calls if call.vcpu == vcpu] for calls in (ours, real))
        same = sum(tuple(left) == tuple(right) for left, right in zip(one, other, strict=False))
        comparison.agree += same
        if same != max(len(one), len(other)):
            comparison.differences.append(
                f"vCPU {vcpu}: the model makes {len(one)} calls, the firmware {len(other)}; {same} are the same"
            )
    return comparison


def _dies(why: str, run: FirmwareRun) -> Comparison:
    comparison = Comparison(f"end of the firmware ({why})")
    outcome = run.run_to_end(False)
    if outcome.died:
        comparison.agree = 1
    else:
        comparison.differences.append(f"the firmware continues: {outcome.why}")
    return comparison


def _conversions(machine: Machine, run: FirmwareRun) -> Comparison:
    """RAM that the IOMMU driver made shared for its pool, by now."""
    comparison, rules, ram = Comparison("pages converted to shared"), machine.start.dma, run.td.ram
    calls = [call for call in run.conversions if call.shared and ram.contains(call.address, call.address + call.size)]
    for what, ours, real in (
        ("pages", rules.pool, sum(call.size for call in calls) >> PAGE_SHIFT),
        ("calls", rules.pool_calls, len(calls)),
    ):
        if ours == real:
            comparison.agree += 1
        else:
            comparison.differences.append(f"{what}: {ours:,} in the model, {real:,} by the firmware")
    return comparison


def _waiting_map(machine: Machine, run: FirmwareRun) -> Comparison:
    """The map in the firmware's own Shell, or in BDS where it has none."""
    has_shell = SHELL in machine.model.stages and not machine.model.shell_of
    options = machine.options if has_shell else replace(machine.options, loader=_FROM_DISK)
    machine = Machine(options, at_shell=has_shell)
    comparison = Comparison("memory map where firmware waits for input")
    outcome = run.run_to_end(False)
    try:
        real = run.memory_map()
    except EngineError as error:
        comparison.why = f"{outcome.why}; {error}"
        return comparison
    return _maps(comparison, machine.services.memory_map_view().descriptors, real)


def _direct_boot(result: BootResult, run: FirmwareRun) -> list[Comparison]:
    at_exit, placements = Comparison("memory map at ExitBootServices"), Comparison("placements")
    try:
        run.run_to_service(BootService.EXIT_BOOT_SERVICES)
        real = run.memory_map()
    except EngineError as error:
        if not result.booted:
            return [Comparison("a boot that fails", agree=1)]
        at_exit.why = placements.why = f"the firmware never calls it: {error}"
        return [at_exit, placements]
    if not result.booted:
        why = result.failure.why if result.failure is not None else result.status.name
        return [Comparison("a boot that fails", differences=[f"in the model only: {why}"])]
    for placement in result.placements:
        if placement.what not in _PLACED or placement.freed:
            continue
        lies = any(
            entry.physical_start <= placement.start < entry.physical_end and entry.memory_type == placement.memory_type
            for entry in real
        )
        if lies:
            placements.agree += 1
        else:
            placements.differences.append(f"{placement.what} at {placement.start:#x}: not there on the firmware")
    return [_maps(at_exit, result.memory_map, real), placements]


def _maps(comparison: Comparison, ours: Iterable[MemoryDescriptor], real: Iterable[MemoryDescriptor]) -> Comparison:
    one, other = (Counter(map(_text, entries)) for entries in (ours, real))
    comparison.agree = (one & other).total()
    for who, left in (("model only", one - other), ("firmware only", other - one)):
        comparison.differences += (f"{who}: {text}" for text in sorted(left.elements()))
    return comparison


def _text(entry: MemoryDescriptor) -> str:
    kind = memory_type_name(entry.memory_type).removeprefix("Efi")
    return f"{entry.physical_start:#x}-{entry.physical_end - 1:#x} {kind} {entry.attribute:#x}"


def comparison_lines(comparisons: Sequence[Comparison]) -> list[str]:
    """A line for each, with the first differences."""
    lines: list[str] = []
    for each in comparisons:
        if each.why:
            lines.append(f"{each.name}: not compared: {each.why}")
            continue
        lines.append(f"{each.name}: {each.agree} agree, {len(each.differences)} differ")
        lines += (f"  {text}" for text in each.differences[:_SHOWN])
        if len(each.differences) > _SHOWN:
            lines.append(f"  and {len(each.differences) - _SHOWN} more")
    return lines


def comparison_dicts(comparisons: Sequence[Comparison]) -> list[dict[str, object]]:
    """Plain values, for JSON."""
    return [
        {"what": each.name, "agree": each.agree, "differences": each.differences, "not_compared": each.why or None}
        for each in comparisons
    ]
