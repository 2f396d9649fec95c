"""``--fast-decompress`` compared with the slow path: the same boot again with it, and whatever differs.

Compared are the bytes of the kernel's buffer at the kernel's first instruction, the virtual clock, and all that the
model is compared in: calls, placements, memory map, bitmap.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
from tdvfsh.engine.runs.verify import compare, parts_of
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.flow import Placement
from tdvfsh.machine.options import TdOptions
from tdvfsh.units import MIB

BUFFER: Final = "bytes of the kernel's buffer"
_PIECE: Final = MIB


@dataclass(frozen=True, slots=True)
class ShortcutDifference:
    """One place where the two runs part: what each has, or None where it has nothing."""

    what: str
    slow: str | None
    fast: str | None


@dataclass(frozen=True)
class ShortcutVerification:
    """A boot without the shortcut and one with it.

    Attributes:
        slow: The one without.
        fast: The one with it.
        agreed: How many bytes, calls, placements and so on are the same, by kind.
        differences: All that is not.
    """

    slow: CpuBootResult
    fast: CpuBootResult
    agreed: dict[str, int]
    differences: tuple[ShortcutDifference, ...]

    @property
    def taken(self) -> bool:
        """Whether the second run took the shortcut at all."""
        return self.fast.shortcut is not None and self.fast.shortcut.taken

    @property
    def agrees(self) -> bool:
        """Whether it was taken and nothing differs."""
        return self.taken and not self.differences


def verify_shortcut(
    slow: CpuBootResult, options: TdOptions, files: BootFiles, violation_ve: bool = False,
    time_limit: float | None = None, progress: Callable[[str], None] | None = None,
) -> ShortcutVerification:  # fmt: skip
    """Boot ``files`` with the shortcut and compare.

    Args:
        slow: The boot without it, of the same TD and files.
        options: As for it.
        files: As for it.
        violation_ve: As for it.
        time_limit: Real seconds for this boot.
        progress: As for :func:`boot_on_cpu`.
    """
    fast = boot_on_cpu(
        options, files, violation_ve=violation_ve, time_limit=time_limit, fast_decompress=True, progress=progress
    )
    same, differences = _compare_buffers(slow, fast)
    agreed = {BUFFER: same}
    of_slow, of_fast = parts_of(slow), parts_of(fast)
    of_slow["clock"], of_fast["clock"] = ([f"{run.machine.clock.now_ns} ns"] for run in (slow, fast))
    for kind, lines in of_slow.items():
        agreed[kind], found = compare(kind, lines, of_fast[kind])
        differences += [ShortcutDifference(kind, entry.model, entry.real) for entry in found]
    return ShortcutVerification(slow, fast, agreed, tuple(differences))


def _compare_buffers(slow: CpuBootResult, fast: CpuBootResult) -> tuple[int, list[ShortcutDifference]]:
    """How many bytes at the start of the kernel's buffers are the same, and where they first differ."""
    buffers = _buffer(slow), _buffer(fast)
    if None in buffers and buffers != (None, None):
        return 0, [ShortcutDifference(BUFFER, *("there" if each else None for each in buffers))]
    if buffers[0] is None or buffers[1] is None:
        return 0, []
    of_slow, of_fast = slow.machine.td.contents, fast.machine.td.contents
    size = min(each.end - each.start for each in buffers if each is not None)
    for offset in range(0, size, _PIECE):
        length = min(_PIECE, size - offset)
        left = of_slow.read(buffers[0].start + offset, length)
        right = of_fast.read(buffers[1].start + offset, length)
        if left != right:
            at = next(index for index in range(length) if left[index] != right[index])
            differs = (f"from offset {offset + at:#x} on: {data[at : at + 16].hex(' ')}" for data in (left, right))
            return offset + at, [ShortcutDifference(BUFFER, *differs)]
    return size, []


def _buffer(result: CpuBootResult) -> Placement | None:
    return next((entry for entry in reversed(result.placements) if entry.what == "kernel"), None)
