"""How much to accept at boot for given images, and what the on-demand options cost instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from typing import Final

from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.machine.options import TdOptions
from tdvfsh.sweep.executors import Workers
from tdvfsh.sweep.facts import ImageFacts, boot_files
from tdvfsh.sweep.search import AcceptSearch, Found, Trial, run_trial
from tdvfsh.units import human_size

NONE: Final = "none"
ALIKE: Final = 0.05
"""Times that differ by less than this share count as equal: then the simpler way is recommended."""
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
    """One way that boots with every loader: bytes to accept at boot, the option, and modelled seconds at worst."""

    accept: int
    on_demand: str
    seconds: float
    on_demand_bytes: int


@dataclass(frozen=True, slots=True)
class Advice:
    """The answer for one image in one machine.

    Attributes:
        image: What it is called.
        options: The machine; accept, option and loader of it do not count.
        loaders: What was found for each loader.
        choices: The ways that boot with every loader, the quickest first.
        recommended: One of them, or None where there is none.
        reason: Why, in a sentence or two.
    """

    image: ImageFacts
    options: TdOptions
    loaders: tuple[LoaderAdvice, ...]
    choices: tuple[Choice, ...]
    recommended: Choice | None
    reason: str


@dataclass(frozen=True, slots=True)
class Question:
    """An image, a machine, and the loaders that must all work."""

    image: ImageFacts
    options: TdOptions
    loaders: tuple[str, ...]


def advise(
    questions: Sequence[Question], step: int, workers: Workers, tell: Callable[[int, int], None] | None = None
) -> list[Advice]:
    """Answer each question; the searches run side by side.

    Args:
        questions: What to answer.
        step: Granularity of the answer in bytes.
        workers: Who searches.
        tell: Told (searches done, searches in all).

    Raises:
        UsageError: A step that cannot be, or a machine of which not part can be accepted.
    """
    tasks: dict[Future[Found | None], tuple[int, str, str]] = {}
    total = sum(len(question.loaders) for question in questions) * len(ON_DEMAND_NAMES)
    try:
        for number, question in enumerate(questions):
            for loader in question.loaders:
                for option in ON_DEMAND_NAMES:
                    chosen = replace(question.options, loader=loader, on_demand=option)
                    future = workers.executor.submit(search, question.image, chosen, step)
                    tasks[future] = (number, loader, option)
                    if tell is not None:
                        tell(sum(future.done() for future in tasks), total)
        found: dict[tuple[int, str, str], Found | None] = {}
        for future in as_completed(tasks):
            found[tasks[future]] = future.result()
            if tell is not None:
                tell(len(found), total)
    finally:
        for future in tasks:
            future.cancel()
    return [
        _answer(
            question,
            tuple(
                LoaderAdvice(loader, {option: found[number, loader, option] for option in ON_DEMAND_NAMES})
                for loader in question.loaders
            ),
            step,
        )
        for number, question in enumerate(questions)
    ]


def search(image: ImageFacts, options: TdOptions, step: int) -> Found | None:
    """What a worker does: one image, one loader, one option."""
    return AcceptSearch(options, boot_files(image), step).find()


def _answer(question: Question, loaders: tuple[LoaderAdvice, ...], step: int) -> Advice:
    choices = [choice for option in ON_DEMAND_NAMES if (choice := _choice(question, loaders, option, step))]
    choices.sort(key=lambda choice: (choice.seconds, _SIMPLEST_FIRST.index(choice.on_demand)))
    recommended = None
    if choices:
        alike = [choice for choice in choices if choice.seconds <= choices[0].seconds * (1 + ALIKE)]
        recommended = min(alike, key=lambda choice: _SIMPLEST_FIRST.index(choice.on_demand))
    reason = _reason(question, loaders, choices, recommended)
    return Advice(question.image, question.options, loaders, tuple(choices), recommended, reason)


def _choice(question: Question, loaders: Sequence[LoaderAdvice], option: str, step: int) -> Choice | None:
    """The accept from which on the option boots with every loader, run once more with each."""
    found = [entry.found[option] for entry in loaders]
    sizes = [one.steady for one in found if one is not None]
    if len(sizes) < len(found):
        return None
    accept = max(sizes)
    while accept <= question.options.memory + step:
        trials = _with_every_loader(question, option, accept)
        if all(trial.booted for trial in trials):
            worst = max(trials, key=lambda trial: trial.seconds)
            return Choice(accept, option, worst.seconds, worst.on_demand_bytes)
        accept += step
    return None


def _with_every_loader(question: Question, option: str, accept: int) -> list[Trial]:
    files = boot_files(question.image)
    return [
        run_trial(replace(question.options, loader=loader, on_demand=option), files, accept)
        for loader in question.loaders
    ]


def _reason(
    question: Question, loaders: Sequence[LoaderAdvice], choices: Sequence[Choice], recommended: Choice | None
) -> str:
    every = "every loader boots" if len(loaders) > 1 else f"{loaders[0].loader} boots"
    if recommended is None:
        never = [entry.loader for entry in loaders if entry.found[NONE] is None]
        who = f"with {', '.join(never)} " if never else ""
        return f"{who}nothing boots in {human_size(question.options.memory)}, whatever is accepted"
    plain = next((choice for choice in choices if choice.on_demand == NONE), None)
    quickest = choices[0]
    if recommended.on_demand == NONE:
        text = f"{every} from there on with nothing accepted on demand, in modelled {recommended.seconds:.3f} s"
        if quickest is not recommended:
            text += (
                f"; {_WORDS[quickest.on_demand]} would start from {human_size(quickest.accept)} and take "
                f"{quickest.seconds:.3f} s, too little less to be worth it"
            )
        return text
    text = (
        f"{every} with {_WORDS[recommended.on_demand]} in modelled {recommended.seconds:.3f} s, "
        f"{human_size(recommended.on_demand_bytes)} of it accepted on demand"
    )
    if plain is not None:
        return (
            f"{text}; without accepting on demand it takes {human_size(plain.accept)} at boot and {plain.seconds:.3f} s"
        )
    return f"{text}; without accepting on demand not every loader boots"
