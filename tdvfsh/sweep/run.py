"""A sweep: every scenario of a spec that has no result yet, in batches, until all have one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from itertools import islice

from tdvfsh.errors import HostError, UsageError
from tdvfsh.lazy_typing import Final
from tdvfsh.sweep.counted import counted
from tdvfsh.sweep.executors import Workers
from tdvfsh.sweep.facts import ImageFacts
from tdvfsh.sweep.row import run_batch
from tdvfsh.sweep.scenario import Scenario, scenario_key
from tdvfsh.sweep.spec import Grid
from tdvfsh.sweep.store import ResultStore, StoredRows

BATCH: Final = 64
"""Scenarios that travel together: less than a tenth of a second of work."""
_AHEAD: Final = 2
"""Batches in hand for each worker, so that none waits for the next."""

Tell = Callable[[int, int], None]
"""Progress callback (scenarios done, scenarios total)."""


def scenarios(images: Sequence[ImageFacts], grids: Iterable[Grid], *, by_start: bool = False) -> Iterator[Scenario]:
    """Every scenario, in the order of the grids; one that several grids ask for comes as often.

    Args:
        images: The images.
        grids: The grids.
        by_start: Those of a grid in the order in which they are quickest to run.
    """
    for grid in grids:
        for image, point in grid.by_start() if by_start else grid:
            yield Scenario(scenario_key(images[image].digest, images[image].name, point), image, point)


def run_sweep(
    images: Sequence[ImageFacts],
    grids: Sequence[Grid],
    store: ResultStore,
    workers: Workers,
    tell: Tell | None = None,
    count: Callable[[int], None] | None = None,
) -> StoredRows:
    """Run what has no result yet; returns the rows of all scenarios in their order.

    Args:
        images: The facts of the images, as the grids number them.
        grids: What to run.
        store: Where results are, and go.
        workers: What runs it.
        tell: Progress callback, called after each batch.
        count: Progress callback of what comes before: called with how many scenarios have been counted.

    Raises:
        UsageError: The store holds results of something else.
        HostError: A worker died, or the disk is full. What was done is kept.
    """
    rows = store.asked_for(scenario.key for scenario in counted(scenarios(images, grids), count))
    strangers = store.strangers()
    if strangers:
        raise UsageError(
            f"{store.folder} holds {strangers} results that this spec does not ask for (another spec, or an image "
            "that has changed since): choose another folder, or remove them"
        )
    running: dict[Future[list[str]], list[str]] = {}
    taken: set[str] = set()
    missing = _without_result(images, grids, store, taken)
    batches = iter(lambda: list(islice(missing, BATCH)), [])
    if tell is not None:
        tell(len(store), len(rows))
    try:
        while True:
            for batch in islice(batches, max(0, _AHEAD * workers.count - len(running))):
                facts = {scenario.image: images[scenario.image] for scenario in batch}
                running[workers.executor.submit(run_batch, facts, batch)] = [scenario.key for scenario in batch]
            if not running:
                return rows
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                keys = running.pop(future)
                store.append(keys, _lines(future))
                taken.difference_update(keys)
            if tell is not None:
                tell(len(store), len(rows))
    except BrokenExecutor:
        raise HostError("a worker process died; finished results are kept: the same command continues") from None
    finally:
        for future in running:
            future.cancel()


def _without_result(
    images: Sequence[ImageFacts], grids: Iterable[Grid], store: ResultStore, taken: set[str]
) -> Iterator[Scenario]:
    """What is neither done nor ``taken`` by a worker; each scenario is added to that."""
    for scenario in scenarios(images, grids, by_start=True):
        if scenario.key not in taken and scenario.key not in store:
            taken.add(scenario.key)
            yield scenario


def _lines(future: Future[list[str]]) -> list[str]:
    """Result of a batch. A batch itself never fails: an exception comes from the executor."""
    try:
        return future.result()
    except BrokenExecutor:
        raise
    except Exception as error:
        what = next(iter(str(error).splitlines()), "")
        raise HostError(f"the workers failed ({type(error).__name__}: {what}); what was done is kept") from None
