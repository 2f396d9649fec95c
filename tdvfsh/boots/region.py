"""Where each option boots and where it does not, along one size: the initrd's, or what is accepted at boot."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tdvfsh.accept.boot_time import BootAccept
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles, InitrdFile
from tdvfsh.machine.options import TdOptions
from tdvfsh.units import PAGE_SIZE, format_size

OVER_INITRD: Final = "initrd"
OVER_ACCEPT: Final = "accept"
BOOTED: Final = "boots"
NOT_STARTED: Final = "not started"
_MAX_COLUMNS: Final = 4096


@dataclass(frozen=True, slots=True, repr=False)
class Region:
    """Outcomes by option.

    Attributes:
        over: ``initrd`` or ``accept``: which size varies.
        sizes: The sizes in bytes, ascending.
        rows: Name of an on-demand option, and for each size ``boots``, ``not started``, or the stage where it ended.
    """

    over: str
    sizes: tuple[int, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]

    def __repr__(self) -> str:
        boots = ", ".join(f"{name} {outcomes.count(BOOTED)}" for name, outcomes in self.rows)
        return f"<Region over {self.over}, {len(self.sizes)} sizes; boots by option: {boots}>"


def region(
    options: TdOptions,
    files: BootFiles,
    over: str,
    sizes: Sequence[int],
    on_demands: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
) -> Region:
    """Boot ``files`` for each size under each option.

    Args:
        options: The machine.
        files: What to boot; with ``initrd`` varied, one initrd of that many zero bytes replaces all.
        over: ``initrd`` or ``accept``.
        sizes: Bytes, ascending.
        on_demands: Names of options.
        progress: Progress callback: boots done, boots total.

    Returns:
        The outcomes by option and size.

    Raises:
        UsageError: Nothing to vary, or too much of it.
    """
    if over not in (OVER_INITRD, OVER_ACCEPT):
        raise UsageError(f"--over {over}: unknown; choose {OVER_INITRD} or {OVER_ACCEPT}")
    if not 0 < len(sizes) <= _MAX_COLUMNS:
        raise UsageError(f"{len(sizes)} sizes to try: give 1 to {_MAX_COLUMNS}")
    rows = []
    done, total = 0, len(on_demands) * len(sizes)
    with _zeros(max(sizes) if over == OVER_INITRD else 0) as zeros:
        for name in on_demands:
            chosen = replace(options, on_demand=name)
            outcomes = []
            for size in sizes:
                if progress is not None:
                    progress(done, total)
                done += 1
                outcomes.append(_outcome(*_with_size(chosen, files, over, size, zeros)))
            rows.append((name, tuple(outcomes)))
    return Region(over, tuple(sizes), tuple(rows))


def _with_size(
    options: TdOptions, files: BootFiles, over: str, size: int, zeros: memoryview
) -> tuple[TdOptions, BootFiles]:
    if over == OVER_ACCEPT:
        return replace(options, accept=BootAccept(format_size(size), size)), files
    initrds = (InitrdFile(format_size(size), zeros[:size]),) if size else ()
    return options, BootFiles(files.kernel, initrds, files.cmdline)


def _outcome(options: TdOptions, files: BootFiles) -> str:
    try:
        result = boot(options, files)
    except UsageError:
        return NOT_STARTED
    return BOOTED if result.booted else result.stage


@contextmanager
def _zeros(size: int) -> Iterator[memoryview]:
    """``size`` zero bytes that take no memory until they are read."""
    mapping = mmap.mmap(-1, max(size, PAGE_SIZE), access=mmap.ACCESS_READ)
    yield memoryview(mapping)
    # The views that boots took may outlive this block: the mapping goes with the last of them.
