"""A TD as JSON: what it is made of, and what its firmware accepted at boot."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Any
from tdvfsh.report.boots.boot_json import sec_object
from tdvfsh.report.firmware_accepts_text import accept_runs_list
from tdvfsh.report.schema import document

if TYPE_CHECKING:
    from tdvfsh.machine import Machine


def td_object(machine: Machine) -> dict[str, Any]:
    """The object; ``accepts`` holds the TDCALLs of the accept at boot, like ones of neighbouring pages as one entry."""
    boot, td = machine.boot_accept, machine.td
    members = {
        "td": machine.options.as_dict(),
        "notes": list(machine.start.notes),
        "accept": {
            "added_bytes": td.added_bytes,
            "boot_bytes": machine.boot_bytes,
            "calls": td.tdcall.calls,
            "unaccepted_bytes": td.unaccepted_bytes,
        },
        "sec": None if boot is None else sec_object(boot),
        "accepts": [] if boot is None else accept_runs_list(boot.accept_runs()),
        "broken": machine.broken,
    }
    return document("td", members)
