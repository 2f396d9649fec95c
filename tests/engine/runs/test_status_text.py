"""What a run says of itself while it goes on."""

from __future__ import annotations

from tdvfsh.engine.runs.status_text import status_text
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.units import GIB


def test_it_names_virtual_time_what_is_accepted_and_the_last_line_cut() -> None:
    td = Machine(TdOptions(memory=2 * GIB, td=True)).td
    text = status_text(td, "x" * 70)
    time, accepted, line = text.split(", ")
    assert time == f"virtual {td.clock.now_ns / 1e9:.1f} s"
    assert accepted == "512 MiB accepted"
    assert line == "x" * 60
    assert status_text(td, "") == f"{time}, 512 MiB accepted"


def test_a_plain_vm_accepts_nothing() -> None:
    td = Machine(TdOptions(memory=2 * GIB, td=False)).td
    assert status_text(td, "login:") == "virtual 0.0 s, login:"
