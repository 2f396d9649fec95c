"""The one shape of the JSON values that :mod:`tdvfsh.machine.snapshot_file` writes and reads."""

from __future__ import annotations

from tdvfsh.formats.shapes import (
    NUMBER,
    Shape,
    anything,
    fields,
    flag,
    items,
    mapping,
    maybe,
    one_of,
    ranges,
    row,
    text,
    whole,
)
from tdvfsh.lazy_typing import Final
from tdvfsh.machine.td_state_file import REQUIRED, TIMES
from tdvfsh.uefi.memory import EfiGcdMemoryType
from tdvfsh.units import PAGE_SIZE

_MEMORY_TYPE: Final = whole(0xFFFFFFFF)
_GCD_TYPE: Final = one_of([int(kind) for kind in EfiGcdMemoryType])
_COUNT: Final = whole(1 << 48)
_PLAN: Final = items(row(NUMBER, NUMBER))

_TIME: Final = whole(1 << 80)
_TD: Final = fields(
    {
        **REQUIRED,
        "contents": items(row(NUMBER, text)),
        "faults": maybe(fields({"tdcalls": _PLAN, "accepts": _PLAN, "map_gpas": _PLAN})),
    },
    TIMES,
)
_POOL: Final = fields(
    {
        "pools": items(row(_MEMORY_TYPE, NUMBER, NUMBER, items(items(NUMBER)))),
        "blocks": items(row(NUMBER, _MEMORY_TYPE, NUMBER)),
        "free": items(row(NUMBER, whole(64))),
        "pages": items(row(NUMBER, _MEMORY_TYPE)),
    }
)
_EVENTS: Final = fields(
    {
        "next": _COUNT, "tpl": whole(31), "watchdog": maybe(row(_TIME, NUMBER)), "queue": items(_COUNT),
        "ready": items(_COUNT),
        "events": items(
            row(
                _COUNT, whole(0xFFFFFFFF), whole(31), maybe(row(NUMBER, NUMBER)), maybe(text), flag, maybe(_TIME),
                _TIME,
            )
        ),
    }
)  # fmt: skip


def _events(value: object, field: str) -> None:
    """Events; of version 1 the number of the next one."""
    (_COUNT if type(value) is int else _EVENTS)(value, field)


CORE: Final = fields(
    {
        "map_key": _COUNT,
        "memory_map": ranges(row(NUMBER, NUMBER, _MEMORY_TYPE, NUMBER), PAGE_SIZE),
        "spare_descriptors": maybe(_COUNT),
        "gcd_version": _COUNT,
        "gcd": ranges(row(NUMBER, NUMBER, _GCD_TYPE, NUMBER, NUMBER, flag)),
        "pool": _POOL,
        "configuration_tables": items(row(text, NUMBER)),
        "at_runtime": flag,
        "exit_boot_services_called": flag,
        "memory_attributes_table": maybe(row(_COUNT, _COUNT, maybe(NUMBER))),
        "fault_plan": maybe(
            fields({"faults": items(row(text, NUMBER, text)), "calls": mapping(NUMBER), "met": items(text)})
        ),
        "events": _events,
    },
    {
        "variables": items(row(text, text, whole(0xFFFFFFFF), text)),
        "real_time_clock": fields(
            {
                "start_ns": whole(1 << 80, least=-(1 << 80)),
                "time_zone": whole(0x7FF, least=-1440), "daylight": whole(0xFF),
                "wakeup": maybe(text), "wakeup_enabled": flag, "wakeup_pending": flag,
            }
        ),
        "monotonic_count": NUMBER,
        "system_table": maybe(NUMBER),
        "variable_times": items(row(text, text, text)),
        "protection": ranges(row(NUMBER, NUMBER, NUMBER), PAGE_SIZE),
        "opens": items(row(NUMBER, text, items(row(NUMBER, NUMBER, whole(0xFF), _COUNT)))),
        "notifies": items(row(_COUNT, text, _COUNT, items(NUMBER))),
    },
)  # fmt: skip
"""Of the DXE core without its handles."""

MACHINE: Final[Shape] = fields(
    {
        "options": mapping(anything),  # by the option table, as it reads them
        "now_ns": whole(1 << 80),
        "caller": text,
        "td": _TD,
        "core": CORE,
        "next_handle": _COUNT,
        "handles": items(row(whole(), items(row(text, anything)))),  # an interface by who decodes it
        "trace": items(anything),  # by the journal's own reader
    }
)
