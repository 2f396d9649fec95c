"""Outcome of ``--fast-decompress``, in readable form and as JSON; where it was not taken, why."""

from __future__ import annotations

from dataclasses import asdict

from tdvfsh.engine.introspect.fast_decompress import Shortcut
from tdvfsh.engine.runs.verify_shortcut import ShortcutVerification
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.report.boots.boot_text import labelled
from tdvfsh.units import human_size

_SINGLE: Final = ("outcome", "clock")


def shortcut_sentence(shortcut: Shortcut) -> str:
    """The shortcut in a sentence."""
    done = (
        f"{shortcut.format}, {human_size(shortcut.packed_bytes)} to {human_size(shortcut.unpacked_bytes)}, in place of "
        f"{shortcut.function}() at {shortcut.at:#x} of the image"
    )
    if shortcut.calls > 1:
        done += f", called {shortcut.calls} times"
    if shortcut.taken:
        return f"the host unpacked the kernel: {done}"
    if shortcut.calls:
        return f"not taken to the end: {shortcut.why}; the host unpacked a part: {done}"
    return f"not taken: {shortcut.why}"


def shortcut_lines(shortcut: Shortcut) -> list[str]:
    """The shortcut as a part of a boot's story."""
    return labelled("shortcut", shortcut_sentence(shortcut))


def shortcut_dict(shortcut: Shortcut) -> dict[str, Any]:
    """The ``shortcut`` object of ``boot --json``: bytes, and the function's offset in the image."""
    return asdict(shortcut)


def shortcut_verification_lines(result: ShortcutVerification) -> list[str]:
    """How the shortcut compares with the slow path."""
    assert result.fast.shortcut is not None
    lines = shortcut_lines(result.fast.shortcut)
    if result.taken:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in result.agreed.items() if kind not in _SINGLE)
        lines += labelled(
            "agree", f"with the slow path: {counts}, the clock; {result.fast.seconds:.1f} s with the shortcut"
        )
    for difference in result.differences:
        lines.append(f"differ    {difference.what}")
        lines.append(f"   slow   {difference.slow if difference.slow is not None else '-'}")
        lines.append(f"   fast   {difference.fast if difference.fast is not None else '-'}")
    verdict = "the shortcut leaves what the slow path leaves"
    if result.differences:
        verdict = f"{len(result.differences)} differences between the shortcut and the slow path"
    elif not result.taken:
        verdict = "the shortcut was not taken, so that there was nothing to compare"
    return [*lines, *labelled("verdict", verdict)]


def shortcut_verification_dict(result: ShortcutVerification) -> dict[str, Any]:
    """The ``shortcut`` object of ``verify --json``."""
    assert result.fast.shortcut is not None
    return shortcut_dict(result.fast.shortcut) | {
        "agrees": result.agrees,
        "agreed": result.agreed,
        "differences": [asdict(difference) for difference in result.differences],
        "seconds": result.fast.seconds,
    }
