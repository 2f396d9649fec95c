"""How much to accept at boot for given images, and what the on-demand options cost instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, as_completed
from math import ceil

from tdvfsh.accept.availability import Change, change_needed
from tdvfsh.accept.boot_time import BELOW_4G, BootAccept
from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.boots.started import StartedMachines
from tdvfsh.errors import HostError
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.machine.options import TdOptions
from tdvfsh.machine.start import host_of
from tdvfsh.report.modelled_text import range_text
from tdvfsh.sweep.executors import Workers
from tdvfsh.sweep.facts import ImageFacts, boot_files
from tdvfsh.sweep.search import AcceptSearch, Found, Trial, run_policy, run_trial
from tdvfsh.td.cost import NO_TIME, Modelled
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE, align_up, format_size, human_size

NONE: Final = "none"
ALIKE: Final = 0.05
"""Times that differ by less than this share count as equal: then the simpler way is recommended."""
KASLR_SEEDS: Final = 32
"""Real kernels take another place at each boot; a recommendation is tried with that many of them."""
_SEED_DISTANCE: Final = 0x9E3779B9
_NO_KASLR: Final = "nokaslr"
_SIMPLEST_FIRST: Final = (NONE, "service", "loader", "loader-literal", "allocator")
_WORDS: Final = {
    "allocator": "option 1, accepting in the DXE allocator,",
    "loader": "option 2, the loader accepting after a failure,",
    "loader-literal": "option 2 to the letter",
    "service": "option 3, AcceptMemory() called by the loader,",
}


@dataclass(frozen=True, slots=True)
class LoaderAdvice:
    """One loader: what was found for each on-demand option; None where nothing boots with it."""

    loader: str
    found: dict[str, Found | None]


@dataclass(frozen=True, slots=True)
class Choice:
    """One way that boots with every loader and KASLR seed: bytes to accept at boot, and modelled time at worst.

    ``dma_time`` of it goes to ``dma_pages`` that firmware accepts again after DMA, whatever the option. ``least`` is
    what boots without head-room, ``other_time`` the time on a host that maps pages of the other size, ``change`` what
    has to change before it can be had.
    """

    accept: int
    on_demand: str
    time: Modelled
    on_demand_bytes: int
    dma_pages: int = 0
    dma_time: Modelled = NO_TIME
    least: int = 0
    other_time: Modelled = NO_TIME
    change: Change = Change.FIRMWARE


@dataclass(frozen=True, slots=True)
class Today:
    """What firmware of today does: everything below 4 GiB is accepted at boot, and nothing on demand.

    Attributes:
        time: The modelled time at worst.
        other_time: The same on a host that maps pages of the other size.
        failing: How it ends for a loader and a seed where it does not boot; None where it always does.
    """

    time: Modelled
    other_time: Modelled
    failing: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Advice:
    """The answer for one image in one machine.

    Attributes:
        image: What it is called.
        options: The machine; accept, option and loader of it do not count.
        loaders: What was found for each loader.
        choices: The ways that boot with every loader, the quickest first.
        recommended: One of them, or None where there is none.
        reason: Why, in a sentence or two.
        headroom: The part by which sizes are larger than the least that boots.
        today: What firmware of today does with it.
        other_page: Bytes of the pages that the other kind of host maps.
        elsewhere: What would be recommended on such a host.
    """

    image: ImageFacts
    options: TdOptions
    loaders: tuple[LoaderAdvice, ...]
    choices: tuple[Choice, ...]
    recommended: Choice | None
    reason: str
    headroom: float
    today: Today
    other_page: int
    elsewhere: Choice | None

    def __repr__(self) -> str:
        best = self.recommended
        what = "nothing boots" if best is None else f"accept {human_size(best.accept)}, on demand {best.on_demand}"
        return f"<Advice for {self.image.name}: {what}: {' '.join(self.reason.split())}>"


@dataclass(frozen=True, slots=True)
class Question:
    """An image, a machine, the loaders that must all work, and the part by which to accept more than the least."""

    image: ImageFacts
    options: TdOptions
    loaders: tuple[str, ...]
    headroom: float = 0.0


def advise(
    questions: Sequence[Question], step: int, workers: Workers, tell: Callable[[int, int], None] | None = None
) -> list[Advice]:
    """Answer each question; the searches run side by side.

    Args:
        questions: What to answer.
        step: Granularity of the answer in bytes.
        workers: Number of worker processes, or an executor.
        tell: Progress callback (searches done, searches total).

    Raises:
        UsageError: An invalid step, or a machine that cannot accept a part of its memory.
        HostError: A worker died.
    """
    tasks: dict[Future[Found | None], tuple[int, str, str]] = {}
    total = sum(len(question.loaders) for question in questions) * len(ON_DEMAND_NAMES)
    try:
        for number, question in enumerate(questions):
            for loader in question.loaders:
                for option in ON_DEMAND_NAMES:
                    chosen = question.options.changed(loader=loader, on_demand=option)
                    future = workers.executor.submit(search, question.image, chosen, step)
                    tasks[future] = (number, loader, option)
                    if tell is not None:
                        tell(sum(future.done() for future in tasks), total)
        found: dict[tuple[int, str, str], Found | None] = {}
        for future in as_completed(tasks):
            found[tasks[future]] = future.result()
            if tell is not None:
                tell(len(found), total)
    except BrokenExecutor:
        raise HostError("a worker process died: too little memory for that many workers?") from None
    finally:
        for future in tasks:
            future.cancel()
    loaders = [
        tuple(
            LoaderAdvice(loader, {option: found[number, loader, option] for option in ON_DEMAND_NAMES})
            for loader in question.loaders
        )
        for number, question in enumerate(questions)
    ]
    choices = [
        [workers.executor.submit(choose, question, entries, option, step) for option in ON_DEMAND_NAMES]
        for question, entries in zip(questions, loaders, strict=True)
    ]
    todays = [workers.executor.submit(today, question) for question in questions]
    return [
        _answer(question, entries, [choice for future in futures if (choice := future.result())], of_today.result())
        for question, entries, futures, of_today in zip(questions, loaders, choices, todays, strict=True)
    ]


def search(image: ImageFacts, options: TdOptions, step: int) -> Found | None:
    """What a worker does: one image, one loader, one option."""
    return AcceptSearch(options, boot_files(image), step).find()


def today(question: Question) -> Today:
    """Boot with what firmware of today does, with every loader and KASLR seed."""
    files, started = boot_files(question.image), StartedMachines()
    worst, failing = Trial(0, False, False, ""), None
    machine = question.options
    for machine in _machines(question, NONE):
        trial = run_policy(machine, files, BootAccept(BELOW_4G), started.boot)
        if not trial.booted and failing is None:
            failing = f"with {machine.loader}: {trial.ending}"
        if trial.time.likely >= worst.time.likely:
            worst = trial
    other = run_policy(_on_the_other_host(machine), files, BootAccept(BELOW_4G))
    return Today(worst.time, other.time, failing)


def _machines(question: Question, option: str) -> list[TdOptions]:
    return [
        question.options.changed(loader=loader, on_demand=option, kaslr_seed=seed)
        for seed in kaslr_seeds(question)
        for loader in question.loaders
    ]


def other_page(options: TdOptions) -> int:
    """Bytes of the pages that the other kind of host maps."""
    return PAGE_SIZE if host_of(options)[1] == LARGE_PAGE_SIZE else LARGE_PAGE_SIZE


def _on_the_other_host(options: TdOptions) -> TdOptions:
    return options.changed(host_page_size=other_page(options))


def _recommended(choices: Sequence[Choice], time: Callable[[Choice], Modelled]) -> Choice | None:
    """The simplest of those that are about as quick as the quickest."""
    if not choices:
        return None
    quickest = min(time(choice).likely for choice in choices)
    alike = [choice for choice in choices if time(choice).likely <= quickest * (1 + ALIKE)]
    return min(alike, key=lambda choice: _SIMPLEST_FIRST.index(choice.on_demand))


def _answer(question: Question, loaders: tuple[LoaderAdvice, ...], choices: list[Choice], of_today: Today) -> Advice:
    choices.sort(key=lambda choice: (choice.time.likely, _SIMPLEST_FIRST.index(choice.on_demand)))
    recommended = _recommended(choices, lambda choice: choice.time)
    reason = _reason(question, loaders, choices, recommended)
    return Advice(
        image=question.image,
        options=question.options,
        loaders=loaders,
        choices=tuple(choices),
        recommended=recommended,
        reason=reason,
        headroom=question.headroom,
        today=of_today,
        other_page=other_page(question.options),
        elsewhere=_recommended(choices, lambda choice: choice.other_time),
    )


def choose(question: Question, loaders: Sequence[LoaderAdvice], option: str, step: int) -> Choice | None:
    """The least accept, from the searches' answers on, with which the option boots with every loader and KASLR seed.

    With head-room it is the least from so much above that on with which it does, too: more can fail where less boots.
    """
    found = [entry.found[option] for entry in loaders]
    sizes = [one.steady for one in found if one is not None]
    if len(sizes) < len(found):
        return None
    files = boot_files(question.image)
    machines = _machines(question, option)
    accept, trials, started = max(sizes), list[Trial](), StartedMachines()
    least = 0
    while accept < question.options.memory + step:
        while len(trials) < len(machines):
            trials.append(run_trial(machines[len(trials)], files, accept, started.boot))
            if not trials[-1].booted:
                break
        else:
            if not least:
                least = accept
                wanted = min(question.options.memory, align_up(ceil(least * (1 + question.headroom)), step))
                if wanted > least:
                    accept, trials = wanted, []
                    continue
            at, worst = max(enumerate(trials), key=lambda entry: entry[1].time.likely)
            elsewhere = run_trial(_on_the_other_host(machines[at]), files, accept)
            changes = [change_needed(format_size(accept), option, loader) for loader in question.loaders]
            return Choice(
                accept=accept,
                on_demand=option,
                time=worst.time,
                on_demand_bytes=worst.on_demand_bytes,
                dma_pages=worst.dma_pages,
                dma_time=worst.dma_time,
                least=least,
                other_time=elsewhere.time,
                change=max(changes, key=list(Change).index),
            )
        machines.insert(0, machines.pop(len(trials) - 1))  # what failed last is the first to fail again
        accept, trials = accept + step, []
    return None


def kaslr_seeds(question: Question) -> list[int]:
    """The seeds that a recommendation has to hold for: the machine's own alone where the kernel does not use any."""
    own = question.options.kaslr_seed
    if _NO_KASLR in question.image.cmdline.split():
        return [own]
    return [(own + number * _SEED_DISTANCE) & 0xFFFFFFFF for number in range(KASLR_SEEDS)]


def _reason(
    question: Question, loaders: Sequence[LoaderAdvice], choices: Sequence[Choice], recommended: Choice | None
) -> str:
    every = "every loader boots" if len(loaders) > 1 else f"{loaders[0].loader} boots"
    seeds = len(kaslr_seeds(question))
    every += f", with each of {seeds} KASLR seeds," if seeds > 1 else ""
    if recommended is None:
        never = [entry.loader for entry in loaders if entry.found[NONE] is None]
        who = f"with {', '.join(never)} " if never else ""
        return f"{who}nothing boots in {human_size(question.options.memory)}, whatever is accepted"
    return _cheapest(every, choices, recommended) + _dma(recommended)


def _cheapest(every: str, choices: Sequence[Choice], recommended: Choice) -> str:
    plain = next((choice for choice in choices if choice.on_demand == NONE), None)
    quickest = choices[0]
    if recommended.on_demand == NONE:
        text = f"{every} with nothing accepted on demand, in modelled {range_text(recommended.time)}"
        if quickest is not recommended:
            text += (
                f"; {_WORDS[quickest.on_demand]} would start from {human_size(quickest.accept)} and take "
                f"{range_text(quickest.time)}, too little less to be worth it"
            )
        return text
    text = (
        f"{every} with {_WORDS[recommended.on_demand]} in modelled {range_text(recommended.time)}, "
        f"{human_size(recommended.on_demand_bytes)} of it accepted on demand"
    )
    if plain is not None:
        alone = f"{human_size(plain.accept)} at boot and {range_text(plain.time)}"
        return f"{text}; without accepting on demand it takes {alone}"
    return f"{text}; without accepting on demand not every loader boots"


def _dma(choice: Choice) -> str:
    """What accepting less at boot does not save, where it is more than all that it could save."""
    if choice.dma_time.likely <= choice.time.likely - choice.dma_time.likely:
        return ""
    return (
        f"; {range_text(choice.dma_time)} of it go to {choice.dma_pages:,} pages that firmware shares for DMA and "
        "accepts again, however little is accepted at boot"
    )
