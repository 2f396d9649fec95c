"""Why a boot ended as it did: what it asked for, what accepting more would change, what other options make of it."""

from __future__ import annotations

from tdvfsh.accept.needs import unaccepted_ranges
from tdvfsh.boots.asked_steps import AskedStep, asked_steps
from tdvfsh.boots.compare import helping_options
from tdvfsh.boots.ladder import least_accept
from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.boots.why_option import why_option
from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.status import EfiStatus

_ORDER: Final = ("none", "allocator", "loader-literal", "loader", "service")
_NOT_TRUSTED: Final = (EfiStatus.EFI_ACCESS_DENIED, EfiStatus.EFI_SECURITY_VIOLATION)


@dataclass(frozen=True, slots=True)
class OptionOutcome:
    """The same boot under one on-demand option, and the part that the option had in it."""

    name: str
    result: BootResult
    why: str


@dataclass(frozen=True, repr=False)
class Explanation:
    """A boot, explained.

    Attributes:
        result: The boot.
        steps: Its placements with the calls that made them.
        largest_unaccepted: ``(start, end)`` of the largest piece that is unaccepted in the end, or None.
        least_accept: The smallest size in bytes that, accepted at boot, makes it boot without any option; None where
            no size does, or where firmware did not accept.
        options: The same boot under each option; nothing for a plain VM.
    """

    result: BootResult
    steps: tuple[AskedStep, ...]
    largest_unaccepted: tuple[int, int] | None = None
    least_accept: int | None = None
    options: tuple[OptionOutcome, ...] = ()

    def __repr__(self) -> str:
        boots = ", ".join(one.name for one in self.options if one.result.booted)
        return f"<Explanation of {self.result.summary}; boots with: {boots or 'no option'}>"


@dataclass(frozen=True, slots=True)
class Cures:
    """What makes a boot that failed succeed.

    Attributes:
        result: The boot.
        least_accept: The smallest size in bytes that, accepted at boot, makes it boot without any option, or None.
        options: The other options with which it boots, with its initrd: name and boot.
    """

    result: BootResult
    least_accept: int | None
    options: tuple[tuple[str, BootResult], ...]


def cures_of(result: BootResult) -> Cures | None:
    """What would cure a boot; None where it booted, and where there is nothing to accept or firmware did not accept.

    The boot is made again for each size and option that is tried, so this takes as long as a dozen boots.
    """
    options = result.machine.options
    if result.booted or not options.td or result.machine.imported_map is not None:
        return None
    if result.status in _NOT_TRUSTED:  # no memory makes a signature
        return Cures(result, None, ())
    least = least_accept(replace(options, on_demand="none"), result.files)
    helping = [(name, other) for name, other in helping_options(result) if other.booted and not other.lacks_initrd]
    return Cures(result, least, tuple(helping))


def explain(result: BootResult) -> Explanation:
    """Explain a boot; the files are booted again under the other options, and searched for the least accept."""
    options, steps = result.machine.options, tuple(asked_steps(result))
    if not options.td:
        return Explanation(result, steps)
    ranges = unaccepted_ranges(result.machine.services)
    least = None
    if result.machine.imported_map is None:
        least = least_accept(replace(options, on_demand="none"), result.files)
    outcomes = {options.on_demand: result, **dict(helping_options(result))}
    return Explanation(
        result=result,
        steps=steps,
        largest_unaccepted=max(ranges, key=lambda piece: piece[1] - piece[0]) if ranges else None,
        least_accept=least,
        options=tuple(OptionOutcome(name, outcomes[name], why_option(name, outcomes[name])) for name in _ORDER),
    )
