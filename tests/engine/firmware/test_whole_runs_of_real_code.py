"""The host's shortcuts over whole runs: consoles, accepts and conversions are those of real code throughout.

Takes more than a minute, so that it runs by hand only: ``python -m pytest -m long tests/engine/firmware``.
"""

from __future__ import annotations

import re

import pytest

from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.console.serial_input import LinesAtPrompts
from tdvfsh.engine.firmware.image import open_firmware
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.machine import TdOptions
from tdvfsh.units import GIB
from tests.engine.runs.test_real_programs import image

pytestmark = [pytest.mark.images, pytest.mark.long, pytest.mark.xdist_group("real firmware")]


def whole_run(firmware: str, typed: str, until: str | None, *, real_code_only: bool) -> tuple[object, ...]:
    """How it ended, the console, every accept and every conversion."""
    console = bytearray()
    with (
        open_firmware(image(firmware, "firmware")) as file,
        RunLimit(600) as limit,
        FirmwareRun(
            file,
            TdOptions(memory=2 * GIB),
            output=console.extend,
            typed=LinesAtPrompts(typed),
            until=None if until is None else re.compile(until),
            limit=limit,
            real_code_only=real_code_only,
        ) as run,
    ):
        ending = run.run_to_end().ending
        assert (run.strings is None) == real_code_only
        return ending, bytes(console), run.accepts, [call[:4] for call in run.conversions]


@pytest.mark.parametrize(
    ("firmware", "typed", "until"),
    [
        ("ovmf-2025.02", "memmap\nreset -s\n", None),
        ("ovmf-2022.11", "memmap\nreset -s\n", None),
        ("ovmf-inteltdx", "", "Press any key"),
    ],
)
def test_nothing_that_a_guest_shows_or_asks_for_is_another_with_shortcuts(
    firmware: str, typed: str, until: str | None
) -> None:
    fast, slow = (whole_run(firmware, typed, until, real_code_only=only) for only in (False, True))
    assert fast == slow
    assert len(str(fast[1])) > 70
