"""Advice in readable form, as a table for one image or for a fleet, and for programs."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.accept.availability import accept_sentence, option_sentence
from tdvfsh.accept.boot_time import BELOW_4G
from tdvfsh.lazy_typing import Any
from tdvfsh.report.boots.boot_text import labelled
from tdvfsh.report.modelled_text import cell_text, range_text
from tdvfsh.report.table import table_lines
from tdvfsh.sweep.advise import ALIKE, NONE, Advice, Choice, Question, kaslr_seeds
from tdvfsh.sweep.search import Found
from tdvfsh.td.cost import Modelled
from tdvfsh.units import MIB, format_size, human_seconds, human_size


def advice_lines(advice: Advice) -> list[str]:
    """One image in full: every loader with every option, and the recommendation."""
    rows = [("loader", "on demand", "accept", "at boot", "on demand", "modelled", "one step less")]
    for entry in advice.loaders:
        for number, (option, found) in enumerate(entry.found.items()):
            loader = entry.loader if not number else ""
            if found is None:
                rows.append((loader, option, "-", "", "", "", "boots with no size"))
                continue
            trial = found.smallest
            rows.append(
                (
                    loader,
                    option,
                    format_size(trial.accept),
                    human_size(trial.boot_bytes),
                    human_size(trial.on_demand_bytes) if trial.on_demand_bytes else "-",
                    cell_text(trial.time),
                    _below(found),
                )
            )
    lines = [*_heading(advice), "", *table_lines(rows, "  >>>>"), ""]
    if len(kaslr_seeds(Question(advice.image, advice.options, ()))) > 1:
        lines += labelled("note", "the table is for one KASLR seed; the advice holds for each that was tried")
    for entry in advice.loaders:
        lines += _unsteady(entry.loader, entry.found[NONE])
    return [*lines, *_recommendation(advice)]


def fleet_lines(advices: Sequence[Advice]) -> list[str]:
    """Several images: the smallest accept of each loader without accepting on demand, and what is recommended."""
    loaders = list(dict.fromkeys(entry.loader for advice in advices for entry in advice.loaders))
    rows = [("image", "RAM", *loaders, "for all", "recommended", "modelled", "today, below-4g")]
    for advice in advices:
        found = {entry.loader: entry.found[NONE] for entry in advice.loaders}
        plain = next((choice for choice in advice.choices if choice.on_demand == NONE), None)
        best = advice.recommended
        rows.append(
            (
                advice.image.name,
                format_size(advice.options.memory),
                *(_smallest(found.get(loader)) for loader in loaders),
                format_size(plain.accept) if plain else "-",
                f"{format_size(best.accept)}, on demand: {best.on_demand}" if best else "nothing boots",
                cell_text(best.time) if best else "-",
                cell_text(advice.today.time) if advice.today.failing is None else "does not boot",
            )
        )
    lines = table_lines(rows, " >" + ">" * len(loaders) + "> >>")
    plains = [choice for advice in advices for choice in advice.choices if choice.on_demand == NONE]
    if len(plains) == len(advices):
        most = max(plains, key=lambda choice: choice.accept)
        lines += [
            "",
            *labelled("for all", f"--accept {format_size(most.accept)} boots every image here with every loader"),
        ]
    return lines


def advice_dict(advice: Advice) -> dict[str, Any]:
    """The same as plain values; sizes in bytes, times in modelled seconds."""
    return {
        "image": advice.image.name,
        "td": {"memory": advice.options.memory, "vcpus": advice.options.vcpus, "profile": advice.options.profile,
               "firmware_model": advice.options.firmware_model, "host_page_size": advice.options.host_page_size},
        "loaders": [
            {
                "loader": entry.loader,
                "options": {option: _found_dict(found) for option, found in entry.found.items()},
            }
            for entry in advice.loaders
        ],
        "choices": [
            {"accept": choice.accept, "on_demand": choice.on_demand, "modelled_seconds": choice.time.seconds,
             "range": list(choice.time.range_seconds), "least_accept": choice.least,
             "other_host_modelled_seconds": choice.other_time.seconds, "needs": choice.change.value,
             "dma_pages": choice.dma_pages, "dma_seconds": choice.dma_time.seconds}
            for choice in advice.choices
        ],
        "recommended": None
        if advice.recommended is None
        else {"accept": advice.recommended.accept, "on_demand": advice.recommended.on_demand},
        "headroom": advice.headroom,
        "today": {
            "accept": BELOW_4G,
            "boots": advice.today.failing is None,
            "failing": advice.today.failing,
            "modelled_seconds": advice.today.time.seconds,
            "range": list(advice.today.time.range_seconds),
            "other_host_modelled_seconds": advice.today.other_time.seconds,
        },
        "other_host": None
        if advice.elsewhere is None
        else {"host_page_size": advice.other_page, "accept": advice.elsewhere.accept,
              "on_demand": advice.elsewhere.on_demand},
        "reason": advice.reason,
    }  # fmt: skip


def _found_dict(found: Found | None) -> dict[str, Any] | None:
    if found is None:
        return None
    trial = found.smallest
    return {
        "smallest_accept": trial.accept,
        "steady_from": found.steady,
        "fails_between": list(found.fails_between),
        "boot_bytes": trial.boot_bytes,
        "on_demand_bytes": trial.on_demand_bytes,
        "modelled_seconds": trial.time.seconds,
        "range": list(trial.time.range_seconds),
        "below": found.below.ending if found.below else None,
        "boots_run": found.boots,
    }


def _heading(advice: Advice) -> list[str]:
    facts, options = advice.image, advice.options
    initrd = sum(size for _, size in facts.initrds)
    files = f"kernel {human_size(facts.kernel.size)}" + (f", initrd {human_size(initrd)}" if initrd else "")
    vcpus = "1 vCPU" if options.vcpus == 1 else f"{options.vcpus} vCPUs"
    return [
        *labelled("image", f"{facts.name}: {files}" + (f", {facts.cmdline}" if facts.cmdline else "")),
        *labelled(
            "TD", f"{human_size(options.memory)} RAM, {vcpus}, firmware {options.firmware_model}, {options.profile}"
        ),
    ]


def _recommendation(advice: Advice) -> list[str]:
    """What can be had today, what could be had with a change, and what another kind of host makes of both."""
    best, now = advice.recommended, advice.today
    lines = labelled("today", _today_sentence(advice))
    if best is None:
        return lines + labelled("advice", advice.reason)
    lines += labelled("advice", f"{_words(best)}: {advice.reason}")
    if advice.headroom:
        room = f"{format_size(best.least)} is the least that boots; {100 * advice.headroom:g} % of head-room on top"
        lines += labelled("", f"{room} for a kernel or an initrd that grows")
    lines += labelled("", f"needs {best.change.value}: {_needs(best)}")
    if now.failing is None:
        lines += labelled("", _against_today(best.time, now.time))
    elsewhere = advice.elsewhere
    if elsewhere is not None and (elsewhere is not best or now.failing is None):
        host = f"on a host that maps {human_size(advice.other_page)} pages"
        same = "the same" if elsewhere is best else _words(elsewhere)
        text = f"{host}: {same}, in modelled {range_text(elsewhere.other_time)}"
        if now.failing is None:
            text += f"; {_against_today(elsewhere.other_time, now.other_time)}"
        lines += labelled("", text)
    return lines


def _words(choice: Choice) -> str:
    return f"--accept {format_size(choice.accept)} --on-demand {choice.on_demand}"


def _today_sentence(advice: Advice) -> str:
    text = f"{accept_sentence(BELOW_4G)}, and nothing accepts on demand: "
    if advice.today.failing is not None:
        return f"{text}does not boot {advice.today.failing}"
    seeds = len(kaslr_seeds(Question(advice.image, advice.options, ())))
    every = "every loader boots" if len(advice.loaders) > 1 else f"{advice.loaders[0].loader} boots"
    every += f", with each of {seeds} KASLR seeds," if seeds > 1 else ""
    return f"{text}{every} in modelled {range_text(advice.today.time)}"


def _needs(choice: Choice) -> str:
    return "; ".join(filter(None, (accept_sentence(format_size(choice.accept)), option_sentence(choice.on_demand))))


def _against_today(time: Modelled, now: Modelled) -> str:
    saved = now.likely - time.likely
    if saved <= now.likely * ALIKE:
        return "that is no quicker than what there is today: nothing needs to change"
    return f"that likely saves {human_seconds(saved / 1e9)} of {human_seconds(now.seconds)} that it takes today"


def _below(found: Found) -> str:
    if found.below is None:
        return "-"
    return found.below.ending if found.below.started else "the TD does not start"


def _unsteady(loader: str, found: Found | None) -> list[str]:
    if found is None or not found.fails_between:
        return []
    sizes = ", ".join(format_size(size) for size in found.fails_between[:8])
    more = " and more" if len(found.fails_between) > 8 else ""
    smallest = format_size(found.smallest.accept)
    return labelled("note", f"{loader} boots with {smallest}, fails again with {sizes}{more}, and boots from "
                    f"{format_size(found.steady)} on")  # fmt: skip


def _smallest(found: Found | None) -> str:
    if found is None:
        return "-"
    mark = "*" if found.fails_between else ""
    return (
        f"{found.smallest.accept // MIB}M{mark}"
        if found.smallest.accept % MIB == 0
        else format_size(found.smallest.accept)
    )
