"""Runtime services: variables, counts and time."""

from __future__ import annotations

from tdvfsh.uefi.efi_time import EfiTime
from tdvfsh.uefi.guids import (
    EFI_GLOBAL_VARIABLE_GUID,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.client import BS, NV, OWN, RT, Client

APPEND = 0x40
TOO_SMALL, NOT_FOUND = EfiStatus.EFI_BUFFER_TOO_SMALL, EfiStatus.EFI_NOT_FOUND
INVALID = EfiStatus.EFI_INVALID_PARAMETER


def test_a_variable_is_kept_replaced_appended_to_and_deleted(client: Client) -> None:
    assert client.get("v")[0] == NOT_FOUND
    assert client.set("v", b"one") == SUCCESS
    assert client.get("v") == (SUCCESS, b"one", BS | RT | NV)
    assert client.get("v", room=2)[0] == TOO_SMALL
    assert client.ram.u64(client.size) == 3
    assert client.set("v", b"two", BS | RT | NV | APPEND) == SUCCESS
    assert client.get("v")[1] == b"onetwo"
    assert client.set("v", b"other", BS) == INVALID  # attributes do not change
    assert client.set("v", b"") == SUCCESS
    assert client.get("v")[0] == NOT_FOUND


def test_variables_that_cannot_be_are_refused(client: Client) -> None:
    assert client.set("", b"x") == INVALID
    assert client.set("v", b"x", RT) == INVALID
    assert client.set("v", b"x", BS | RT | 0x20) == EfiStatus.EFI_SECURITY_VIOLATION  # no signature is accepted
    assert client.set("SecureBoot", b"\1", BS | RT, EFI_GLOBAL_VARIABLE_GUID) == EfiStatus.EFI_WRITE_PROTECTED
    assert client.set("v", bytes(1 << 16)) == INVALID


def names(client: Client) -> list[str]:
    """All names, as GetNextVariableName returns them."""
    found: list[str] = []
    client.ram.write(client.room, bytes(18))
    guid = client.put(bytes(16))
    while True:
        client.ram.put_u64(client.size, 512)
        status = client.runtime("GetNextVariableName", client.size, client.room, guid)
        if status != SUCCESS:
            assert status == NOT_FOUND
            return found
        found.append(client.ram.utf16(client.room))


def test_variables_are_listed_and_those_of_boot_services_vanish_at_runtime(client: Client) -> None:
    assert client.set("boot", b"x", BS) == SUCCESS
    assert client.set("both", b"x", BS | RT) == SUCCESS
    assert {"boot", "both", "PlatformLang"} <= set(names(client))
    client.firmware.core.at_runtime = True
    assert "boot" not in names(client)
    assert client.get("boot")[0] == NOT_FOUND
    assert client.get("both")[0] == SUCCESS


def test_a_name_that_is_none_ends_the_listing_with_an_error(client: Client) -> None:
    client.ram.write(client.room, "nosuch\0".encode("utf-16-le"))
    client.ram.put_u64(client.size, 512)
    assert client.runtime("GetNextVariableName", client.size, client.room, client.guid(OWN)) == INVALID


def test_the_variable_store_counts_what_is_used(client: Client) -> None:
    def remaining() -> int:
        where = (client.room, client.room + 8, client.room + 16)
        assert client.runtime("QueryVariableInfo", BS | RT | NV, *where) == SUCCESS
        assert client.ram.u64(where[0]) >= client.ram.u64(where[1]) >= client.ram.u64(where[2]) > 0
        return client.ram.u64(where[1])

    before = remaining()
    client.set("used", bytes(100))
    assert before - remaining() == 60 + 2 * len("used") + 4 + 100  # header, name with its padding, data


def test_monotonic_counts_rise_and_the_high_half_starts_anew(client: Client) -> None:
    counts = []
    for _ in range(2):
        assert client.boot("GetNextMonotonicCount", client.size) == SUCCESS
        counts.append(client.ram.u64(client.size))
    assert counts[1] == counts[0] + 1
    assert client.runtime("GetNextHighMonotonicCount", client.size) == SUCCESS
    assert client.ram.u32(client.size) == (counts[1] >> 32) + 1
    client.boot("GetNextMonotonicCount", client.size)
    assert client.ram.u64(client.size) == (counts[1] >> 32) + 1 << 32


def test_a_name_that_is_not_terminated_within_its_size_is_invalid(client: Client) -> None:
    guid = client.guid(EFI_GLOBAL_VARIABLE_GUID)
    client.ram.write(client.room, "PlatformLang\0".encode("utf-16-le"))
    for size, status in ((0, INVALID), (4, INVALID), (24, INVALID), (26, SUCCESS)):
        client.ram.put_u64(client.size, size)
        assert client.runtime("GetNextVariableName", client.size, client.room, guid) == status


def test_zone_and_daylight_are_kept_and_the_wakeup_time_is_served(client: Client) -> None:
    assert client.runtime("GetTime", client.room, 0) == SUCCESS
    time = EfiTime.unpack(client.ram.read(client.room, 16))
    assert (time.year, time.time_zone, time.daylight) == (2024, 0x7FF, 0)
    for wrong in (time._replace(time_zone=1441), time._replace(year=1899), time._replace(daylight=4)):
        assert client.runtime("SetTime", client.put(wrong.pack())) == INVALID
    assert client.runtime("SetTime", client.put(time._replace(time_zone=60, daylight=3).pack())) == SUCCESS
    assert client.runtime("GetTime", client.room, 0) == SUCCESS
    now = EfiTime.unpack(client.ram.read(client.room, 16))
    assert (now.year, now.time_zone, now.daylight) == (2024, 60, 3)
    alarm = now._replace(hour=now.hour + 1)
    assert client.runtime("SetWakeupTime", 1, 0) == INVALID
    assert client.runtime("SetWakeupTime", 1, client.put(alarm.pack())) == SUCCESS
    assert client.runtime("GetWakeupTime", client.room, client.room + 1, 0) == INVALID
    assert client.runtime("GetWakeupTime", client.room, client.room + 1, client.room + 2) == SUCCESS
    assert client.ram.read(client.room, 18) == b"\1\0" + alarm.pack()
    assert client.runtime("SetWakeupTime", 0x1_00, 0) == SUCCESS  # only the low byte counts
    assert client.runtime("GetWakeupTime", client.room, client.room + 1, client.room + 2) == SUCCESS
    assert client.ram.read(client.room, 2) == b"\0\0"


def test_the_date_and_the_count_are_those_of_the_core(client: Client) -> None:
    core = client.firmware.core
    assert client.boot("GetNextMonotonicCount", client.size) == SUCCESS
    assert core.monotonic_counter.get_next_monotonic_count() == client.ram.u64(client.size) + 1
    core.real_time_clock.set_time(EfiTime(2030, 5, 6, 7, 8, 9), client.firmware.clock.now_ns)
    assert client.runtime("GetTime", client.room, 0) == SUCCESS
    assert EfiTime.unpack(client.ram.read(client.room, 16))[:5] == (2030, 5, 6, 7, 8)
