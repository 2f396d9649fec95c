"""A trust domain's own state as JSON values: counters, modelled times, the secure EPT, what is shared."""

from __future__ import annotations

from dataclasses import astuple

from tdvfsh.formats.shapes import NUMBER, fields, flag, one_of, ranges, row, whole
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.td.cost import Modelled
from tdvfsh.td.sept import SeptEntry
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.tdx import SeptLevel, SeptState
from tdvfsh.units import PAGE_SIZE

Json = dict[str, Any]

_TIMES: Final = ("spent", "spent_on_dma")
_COUNT: Final = whole(1 << 48)
_COUNTERS: Final = {"accepts": _COUNT, "added_bytes": NUMBER, "map_gpa_calls": _COUNT}
_TDCALL_COUNTERS: Final = dict.fromkeys(("calls", "exits", "groups"), _COUNT)
_TIME: Final = whole(1 << 80)
_MODELLED: Final = row(_TIME, _TIME, _TIME, _TIME, flag)
_SEPT: Final = row(NUMBER, NUMBER, one_of([state.name for state in SeptState]), one_of([int(one) for one in SeptLevel]))

REQUIRED: Final = {
    **_COUNTERS,
    **_TDCALL_COUNTERS,
    "sept": ranges(_SEPT, PAGE_SIZE),
    "shared": ranges(row(NUMBER, NUMBER), PAGE_SIZE),
}
"""The shapes of all fields but the times, which files of earlier versions lack."""
TIMES: Final = dict.fromkeys(_TIMES, _MODELLED)
"""The shapes of the times."""
TD: Final = fields(REQUIRED | TIMES)
"""The shape of what :func:`td_to_dict` returns."""


def td_to_dict(td: TrustDomain) -> Json:
    """The state, but for the clock and what stands in memory."""
    return {
        **{name: getattr(td, name) for name in _COUNTERS},
        **{name: getattr(td.tdcall, name) for name in _TDCALL_COUNTERS},
        "sept": [[low, high, one.state.name, int(one.level)] for low, high, one in td.sept._entries.spans()],
        "shared": [[low, high] for low, high, _ in td.shared.spans()],
        **{name: list(astuple(getattr(td, name))) for name in _TIMES},
    }


def read_td(td: TrustDomain, data: Json) -> None:
    """Set a trust domain to such a state, whose shape was checked."""
    for name in _COUNTERS:
        setattr(td, name, int(data[name]))
    for name in _TDCALL_COUNTERS:
        setattr(td.tdcall, name, int(data[name]))
    entries = td.sept._entries
    entries.clear(0, 1 << 64)
    for start, end, state, level in data["sept"]:
        entries.set(start, end, SeptEntry(SeptState[state], SeptLevel(level)))
    td.shared.clear(0, 1 << 64)
    for start, end in data["shared"]:
        td.shared.set(start, end, True)
    for name in _TIMES:
        if name in data:
            setattr(td, name, Modelled(*data[name]))
