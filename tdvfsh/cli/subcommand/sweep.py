"""``tdvfsh sweep`` and ``tdvfsh advise``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

from tdvfsh import host
from tdvfsh.boots.compare import COMPARED_LOADERS
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.files import fetch_with
from tdvfsh.cli.output import print_json, print_lines, print_notes
from tdvfsh.cli.progress import unpack_progress
from tdvfsh.errors import UsageError
from tdvfsh.images.named import files_named
from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import Final
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.schema import document
from tdvfsh.sweep.advise import Question, advise
from tdvfsh.sweep.axes import axis_index, options_at
from tdvfsh.sweep.check import Difference, compare_results, is_worse
from tdvfsh.sweep.executors import Workers, cluster_workers, local_workers
from tdvfsh.sweep.facts import ImageFacts
from tdvfsh.sweep.images import read_images
from tdvfsh.sweep.plots import check_formats, write_plots
from tdvfsh.sweep.row import Row
from tdvfsh.sweep.run import run_sweep
from tdvfsh.sweep.spec import MOST_SCENARIOS, ImageRequest, read_spec
from tdvfsh.sweep.store import ResultStore, read_results
from tdvfsh.sweep.text import map_lines, summary_lines, sweep_dict
from tdvfsh.ui.progress import ProgressLine, progress_bar
from tdvfsh.units import parse_decimal, parse_size

_SPEC_SUFFIX: Final = ".toml"
_MOST_DRAWN: Final = 100_000
_NOT_DRAWN: Final = f"more than {_MOST_DRAWN} scenarios are not drawn here: the tables have them all"


def run_sweep_command(arguments: Arguments) -> int:
    """Run a spec's scenarios, plot them, hold them against a baseline. Exit status 1 where something got worse."""
    spec, folder, baseline = (arguments.optional(name) for name in ("spec", "output", "baseline"))
    plots = [form for words in arguments.words("plot") for form in words.split(",")]
    check_formats(plots)
    if folder is None:
        raise UsageError("sweep: -o DIR is missing: where results go, and are")
    if spec is None and baseline is None and not plots:
        raise UsageError("sweep: give a SPEC to run, or --check or --plot for results that are there")
    before = read_results(baseline) if baseline is not None else None
    with (
        _sweep(arguments, spec, folder) if spec is not None else nullcontext(_Done(read_results(folder), [], 0)) as done
    ):
        if plots:
            done.files.extend(write_plots(Path(folder), done.rows, plots))
        differences = compare_results(before, done.rows) if before is not None else None
        if arguments.flag("json"):
            print_json(sweep_dict(done.rows, done.files, done.run, differences))
        else:
            _print_sweep(done, differences, told=spec is not None)
    return 1 if differences is not None and is_worse(differences) else 0


@dataclass(frozen=True)
class _Done:
    rows: Collection[Row]
    files: list[Path]
    run: int


def _read(folder: str) -> _Done:
    return _Done(read_results(folder), [], 0)


@contextmanager
def _sweep(arguments: Arguments, path: str, folder: str) -> Iterator[_Done]:
    """Run a spec; its rows can be read while the block runs."""
    with unpack_progress() as fetching:
        spec = read_spec(path, None if arguments.flag("yes") else MOST_SCENARIOS, fetch_with(fetching))
    with ExitStack() as opened:
        with progress_bar("") as bar:
            images = read_images(spec.images)
            store = opened.enter_context(ResultStore(folder))
            before, started = len(store), time.monotonic()
            with _workers(arguments) as workers:
                rows = run_sweep(
                    images,
                    spec.grids,
                    store,
                    workers,
                    tell=_rated("sweep", bar),
                    count=lambda done: bar.count("counting scenarios", done, 0),
                )
            seconds = time.monotonic() - started
            tables = store.write_tables(rows, lambda name, done: bar.count(f"writing {name}", done, len(rows)))
        new = len(rows) - before
        if new:
            count = workers.count
            each = new / seconds / count
            what = "1 worker" if count == 1 else f"{count} workers"
            print_notes([f"tdvfsh: {new} run in {seconds:.1f} s: {each:.0f} a second and worker, {what}"])
        yield _Done(rows, tables, new)


def _print_sweep(done: _Done, differences: Sequence[Difference] | None, *, told: bool) -> None:
    if told:
        drawn = map_lines(done.rows) if len(done.rows) <= _MOST_DRAWN else ["", _NOT_DRAWN]
        print_lines([*summary_lines(done.rows), *drawn, ""])
    if done.files:
        print_lines(str(file) for file in done.files)
    if differences is not None:
        print_lines([f"{one.kind}: {one.line}" for one in differences] or ["as in the baseline"])


def run_advise(arguments: Arguments) -> int:
    """How much to accept: one image in full, several as a table, or JSON."""
    from tdvfsh.sweep.advice_text import advice_dict, advice_lines, fleet_lines

    with _progress("advise") as tell:
        headroom = _headroom(arguments.text("headroom"))
        questions = [replace(question, headroom=headroom) for question in _questions(arguments)]
        with _workers(arguments) as workers:
            advices = advise(questions, parse_size(arguments.text("step")), workers, tell)
    if arguments.flag("json"):
        print_json(document("advise", {"images": [advice_dict(advice) for advice in advices]}))
    elif len(advices) == 1:
        print_lines(advice_lines(advices[0]))
    else:
        print_lines(fleet_lines(advices))
    return 0 if all(advice.recommended is not None for advice in advices) else 1


def _headroom(text: str) -> float:
    """The part that ``10%`` stands for."""
    number = text.removesuffix("%")
    if not number.replace(".", "", 1).isascii() or not number.replace(".", "", 1).isdigit() or float(number) > 1000:
        raise UsageError(f"advise: --headroom {text[:60]}: give a percentage from 0% to 1000% (example: 10%)")
    return float(number) / 100


def _questions(arguments: Arguments) -> list[Question]:
    """From a spec, each image in each machine of its grids; else the pairs of the command line in one machine."""
    kernel = arguments.optional("kernel")
    if kernel is not None and kernel.endswith(_SPEC_SUFFIX):
        if arguments.words("initrd") or arguments.words("pair") or arguments.text("cmdline"):
            raise UsageError("advise: a spec names its images and command lines itself")
        return _questions_of_spec(kernel, arguments.axis("loader"))
    requests = [_pair(words, arguments.text("cmdline")) for words in arguments.words("pair")]
    if kernel is not None:
        requests.insert(0, _request(kernel, arguments.words("initrd"), arguments.text("cmdline")))
    elif arguments.words("initrd"):
        raise UsageError("advise: --initrd is for KERNEL; a pair names its own: --pair KERNEL,INITRD")
    if not requests:
        raise UsageError("advise: give a KERNEL, a SPEC.toml, or --pair KERNEL,INITRD")
    loaders = tuple(arguments.axis("loader") or COMPARED_LOADERS)
    options, *_ = [arguments.td_options(loader=loader) for loader in loaders]  # each is checked
    return [Question(image, options, loaders) for image in read_images(_named_apart(requests))]


def _request(kernel: str, initrds: Sequence[str], cmdline: str) -> ImageRequest:
    with unpack_progress() as progress:
        kernel_file, initrd_files = files_named(kernel, initrds, fetch_with(progress))
    name = kernel_file.image or Path(kernel).name
    return ImageRequest(name, Path(kernel_file.path), tuple(Path(file.path) for file in initrd_files), cmdline)


def _pair(words: str, cmdline: str) -> ImageRequest:
    kernel, *initrds = words.split(",")
    name = " + ".join(Path(path).name for path in (kernel, *initrds))
    return replace(_request(kernel, initrds, cmdline), name=name)


def _named_apart(requests: list[ImageRequest]) -> list[ImageRequest]:
    """Images of one name get their kernel's folder before it, or all of its path where that is not enough."""
    for parts in (2, None):
        counts = Counter(request.name for request in requests)
        requests = [
            replace(request, name=_longer_name(request, parts)) if counts[request.name] > 1 else request
            for request in requests
        ]
    return requests


def _longer_name(request: ImageRequest, parts: int | None) -> str:
    assert isinstance(request.kernel, Path)
    kernel = request.kernel.absolute()
    shown = str(kernel) if parts is None else "/".join(kernel.parts[-parts:])
    return " + ".join([shown, *request.name.split(" + ")[1:]])


def _questions_of_spec(path: str, loaders: list[str] | None) -> list[Question]:
    with unpack_progress() as fetching:
        spec = read_spec(path, fetch=fetch_with(fetching))
    images: list[ImageFacts] = read_images(spec.images)
    asked: dict[tuple[int, TdOptions], dict[str, None]] = {}
    for grid in spec.grids:
        for image, point in grid:
            options = options_at(point)
            usual = TdOptions()
            machine = replace(options, accept=usual.accept, on_demand=usual.on_demand, loader=usual.loader)
            asked.setdefault((image, machine), {})[str(point[axis_index("loader")])] = None
    return [Question(images[image], machine, tuple(loaders or named)) for (image, machine), named in asked.items()]


def _workers(arguments: Arguments) -> AbstractContextManager[Workers]:
    cluster, jobs = arguments.optional("cluster"), arguments.optional("jobs")
    if cluster is not None:
        if jobs is not None:
            raise UsageError("--jobs and --cluster: choose one")
        return cluster_workers(cluster)
    if jobs is None:
        return local_workers(host.processors())
    count = parse_decimal(jobs)
    if count is None:
        raise UsageError(f"--jobs {jobs}: not a number")
    return local_workers(count)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the rate and the time left."""
    with progress_bar("") as bar:
        yield _rated(what, bar)


def _rated(what: str, bar: ProgressLine) -> Callable[[int, int], None]:
    labels = Labels(what, time.monotonic)
    return lambda done, total: bar.count(labels.at(done, total), done, total)


class Labels:
    """Labels of a progress bar. The rate counts from this run's first results on: starting up says nothing about it.

    Args:
        what: What the work is called.
        clock: Seconds.
    """

    def __init__(self, what: str, clock: Callable[[], float]) -> None:
        self._what = what
        self._clock = clock
        self._before: int | None = None
        self._first: tuple[int, float] | None = None

    def at(self, done: int, total: int) -> str:
        """The label when so much is done."""
        if self._before is None:
            self._before = done
        if self._first is None:
            if done > self._before:
                self._first = done, self._clock()
            return self._what
        count, since = self._first
        return pace(self._what, done - count, total - done, self._clock() - since)


def pace(what: str, done: int, left: int, seconds: float) -> str:
    """``sweep, 171/s, 0:42 left``: the label of a progress bar."""
    if not done or seconds <= 0:
        return what
    rate = done / seconds
    minutes, rest = divmod(round(left / rate), 60)
    return f"{what}, {rate:.0f}/s, {minutes}:{rest:02} left"
