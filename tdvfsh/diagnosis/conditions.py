"""The conditions of known faults, by the names that the data file uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from tdvfsh.diagnosis.facts import Facts
from tdvfsh.lazy_typing import Final
from tdvfsh.units import GIB, MIB, PAGE_SIZE, align_up

Condition = Callable[[Facts], "bool | None"]
"""Whether a condition holds; None where the facts do not tell."""
_SPLIT: Final = 2816 * MIB
_MANY_VCPUS: Final = 64


def table_crosses_page(facts: Facts) -> bool | None:
    """The unaccepted memory table ends in a page that its rounded size does not reach."""
    if facts.table is None:
        return None if facts.unaccepted is None else False
    offset, size = facts.table
    return offset + size > align_up(size, PAGE_SIZE)


def odd_low_mib(facts: Facts) -> bool | None:
    """RAM below 4 GiB ends at an odd MiB."""
    if facts.low_end is None:
        return None if facts.memory is None else facts.memory < _SPLIT and facts.memory % (2 * MIB) != 0
    return facts.low_end < _SPLIT and facts.low_end % (2 * MIB) != 0


def _at_least(value: int | None, least: int) -> bool | None:
    return None if value is None else value >= least


CONDITIONS: Final[Mapping[str, Condition]] = MappingProxyType(
    {
        "td": lambda facts: facts.td,
        "table_crosses_page": table_crosses_page,
        "odd_low_mib": odd_low_mib,
        "several_vcpus": lambda facts: _at_least(facts.vcpus, 2),
        "at_least_64_vcpus": lambda facts: _at_least(facts.vcpus, _MANY_VCPUS),
        "at_least_64_gib": lambda facts: _at_least(facts.memory, 64 * GIB),
        "nothing_unaccepted": lambda facts: None if facts.unaccepted is None else not facts.unaccepted,
        "something_unaccepted": lambda facts: None if facts.unaccepted is None else facts.unaccepted > 0,
    }
)
