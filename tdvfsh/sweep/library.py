"""Sweeps and advice for callers of the library: files in, results out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tdvfsh.boots.compare import COMPARED_LOADERS
from tdvfsh.machine.options import TdOptions
from tdvfsh.sweep.advise import Advice, Question
from tdvfsh.sweep.advise import advise as answer
from tdvfsh.sweep.executors import local_workers
from tdvfsh.sweep.images import read_images
from tdvfsh.sweep.row import Row
from tdvfsh.sweep.run import run_sweep
from tdvfsh.sweep.spec import ImageRequest, read_spec
from tdvfsh.sweep.store import ResultStore
from tdvfsh.units import MIB

Progress = Callable[[int, int], None]
"""Progress callback: scenarios or searches done, and their total."""


def run_spec(spec: str | Path, folder: str | Path, *, jobs: int = 1, progress: Progress | None = None) -> list[Row]:
    """Run the scenarios of a sweep's spec, as ``tdvfsh sweep SPEC -o DIR`` does; those with results are not run again.

    Args:
        spec: The TOML file.
        folder: Where results go, and are.
        jobs: Worker processes; with 1 everything runs in this one.
        progress: Progress callback.

    Returns:
        One row for each scenario, in the spec's order.

    Raises:
        UsageError, FormatError, HostError: A spec or an image that is invalid, or results of another spec.
    """
    asked = read_spec(spec)
    images = read_images(asked.images)
    with ResultStore(folder) as store, local_workers(jobs) as workers:
        return list(run_sweep(images, asked.grids, store, workers, progress))


def advise(
    kernel: str | Path,
    initrds: Sequence[str | Path] = (),
    cmdline: str = "",
    options: TdOptions | None = None,
    loaders: Sequence[str] = COMPARED_LOADERS,
    *,
    step: int = MIB,
    jobs: int = 1,
    progress: Progress | None = None,
    headroom: float = 0.1,
) -> Advice:
    """How much to accept at boot for these files, as ``tdvfsh advise`` prints.

    Args:
        kernel: The kernel's path.
        initrds: Paths of the initrds, in the order in which they are joined.
        cmdline: The kernel's command line.
        options: The TD; its accept policy, on-demand option and loader do not count. The defaults where None.
        loaders: Loaders that must all boot.
        step: Granularity of the answer, in bytes.
        jobs: Worker processes; with 1 everything runs in this one.
        progress: Progress callback.
        headroom: The part by which to accept more than the least that boots.

    Returns:
        The answer: what each loader needs, and the recommended choice.

    Raises:
        UsageError, FormatError, HostError: A file or step that is invalid, or a TD that cannot be partly
            accepted.
    """
    paths = tuple(Path(initrd) for initrd in initrds)
    (image,) = read_images([ImageRequest(Path(kernel).name, Path(kernel), paths, cmdline)])
    question = Question(image, options if options is not None else TdOptions(), tuple(loaders), headroom)
    with local_workers(jobs) as workers:
        (advice,) = answer([question], step, workers, progress)
    return advice
