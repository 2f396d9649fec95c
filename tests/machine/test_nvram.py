"""The file that keeps variables, clock and count between runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.dxe.variables import EFI_VARIABLE_BOOTSERVICE_ACCESS as BS
from tdvfsh.dxe.variables import EFI_VARIABLE_NON_VOLATILE as NV
from tdvfsh.errors import FormatError, HostError
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.machine.nvram import NvramFile
from tdvfsh.uefi.efi_time import EfiTime
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.status import SUCCESS

OWN = Guid("11111111-2222-3333-4444-555555555555")
SECOND_NS = 1_000_000_000


def test_the_next_machine_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    file = NvramFile(str(tmp_path / "nvram.json"))
    first = Machine(TdOptions())
    with file.keeping(first):
        core = first.services.core
        assert core.variables.set_variable("Kept", OWN, NV | BS, b"\1\2") is SUCCESS
        assert core.variables.set_variable("Lost", OWN, BS, b"\3") is SUCCESS
        date = EfiTime(2030, 5, 6, 7, 8, 9, time_zone=60, daylight=3)
        assert core.real_time_clock.set_time(date, first.clock.now_ns) is SUCCESS
        count = core.monotonic_counter.get_next_monotonic_count()
        first.clock.advance(100 * SECOND_NS)
    second = Machine(TdOptions())
    file.load_into(second)
    core = second.services.core
    kept = core.variables.get_variable("Kept", OWN).variable
    assert kept is not None
    assert (kept.data, kept.attributes) == (b"\1\2", NV | BS)
    assert core.variables.get_variable("Lost", OWN).variable is None
    time = core.real_time_clock.get_time(0).time
    assert time is not None
    assert (time.year, time.minute, time.second, time.time_zone, time.daylight) == (2030, 9, 49, 60, 3)
    assert core.monotonic_counter.get_next_monotonic_count() >> 32 == (count >> 32) + 1


def test_a_file_that_is_missing_is_the_first_start_and_is_made(tmp_path: Path) -> None:
    path = tmp_path / "nvram.json"
    machine = Machine(TdOptions())
    before = machine.services.core.variables.copy()
    with NvramFile(str(path)).keeping(machine):
        assert machine.services.core.variables == before
    assert json.loads(path.read_bytes())["schema"] == "tdvfsh/nvram"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": "tdvfsh/boot"}',
        '{"schema": "tdvfsh/nvram", "schema_version": 2}',
        "\xff",
        "[" * 5000,
    ],
)
def test_what_is_not_such_a_file_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nvram.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError, match="not an nvram file"):
        NvramFile(str(path)).load_into(Machine(TdOptions()))
    assert path.read_bytes() == text.encode("latin-1")


def test_members_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nvram.json"
    with NvramFile(str(path)).keeping(Machine(TdOptions())):
        pass
    good = json.loads(path.read_bytes())
    changes: tuple[dict[str, object], ...] = (
        {"variables": 3}, {"variables": [{"name": "a"}]}, {"clock": {}}, {"monotonic_count": -1},
        {"monotonic_count": "1"}, {"variables": [{"name": "a", "vendor": str(OWN), "attributes": 2, "data": ""}]},
        {"variables": [{"name": "a", "vendor": str(OWN), "attributes": 1, "data": "0"}]},
        {"clock": good["clock"] | {"wakeup": 1 << 80}},
    )  # fmt: skip
    for change in changes:
        path.write_text(json.dumps(good | change))
        with pytest.raises(FormatError):
            NvramFile(str(path)).load_into(Machine(TdOptions()))


def test_a_folder_is_one_line_of_error(tmp_path: Path) -> None:
    with pytest.raises(HostError):
        NvramFile(str(tmp_path)).load_into(Machine(TdOptions()))
