"""Boot services on memory, events and tables, with arguments of every kind."""

from __future__ import annotations

import struct
from collections.abc import Callable
from zlib import crc32

import pytest

from tdvfsh.dxe.events import EVT_NOTIFY_SIGNAL, EVT_TIMER, TPL_CALLBACK
from tdvfsh.engine.errors import EngineError, GuestIdle, GuestStopped
from tdvfsh.uefi.guids import (
    EFI_RNG_PROTOCOL_GUID,
    EFI_UNICODE_COLLATION_PROTOCOL2_GUID,
)
from tdvfsh.uefi.service_names import BOOT_SERVICES
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.client import OWN, Client

NOT_FOUND = EfiStatus.EFI_NOT_FOUND
INVALID = EfiStatus.EFI_INVALID_PARAMETER
HUGE = 1 << 62


def test_memory_is_copied_over_itself_filled_and_summed(client: Client) -> None:
    client.ram.write(client.room, b"0123456789")
    client.boot("CopyMem", client.room + 2, client.room, 8)
    assert client.ram.read(client.room, 10) == b"0101234567"
    client.boot("SetMem", client.room, 4, 0x1_58)  # only the low byte counts
    assert client.ram.read(client.room, 6) == b"XXXX23"
    assert client.boot("CalculateCrc32", client.room, 10, client.size) == SUCCESS
    assert client.ram.u32(client.size) == crc32(b"XXXX234567")


def test_an_event_of_a_priority_that_cannot_be_is_refused(client: Client) -> None:
    code = client.put(b"\xc3")
    for tpl, status in ((TPL_CALLBACK, SUCCESS), (4, INVALID), (31, INVALID)):
        assert client.boot("CreateEvent", EVT_NOTIFY_SIGNAL, tpl, code, 0, client.room) == status
    assert client.boot("CreateEvent", EVT_NOTIFY_SIGNAL, TPL_CALLBACK, 0, 0, client.room) == INVALID
    assert client.boot("CreateEvent", 0x300, TPL_CALLBACK, code, 0, client.room) == INVALID


def test_configuration_tables_appear_in_the_system_table_and_go(client: Client) -> None:
    system_table = client.firmware.tables.system_table
    client.firmware.tables.update_configuration_tables()  # as an image that starts finds them
    before = client.ram.u64(system_table + 104)
    assert client.boot("InstallConfigurationTable", client.guid(OWN), 0) == NOT_FOUND
    assert client.boot("InstallConfigurationTable", client.guid(OWN), 0x1234) == SUCCESS
    count, tables = client.ram.u64(system_table + 104), client.ram.u64(system_table + 112)
    assert count == before + 1
    assert client.ram.read(tables + 24 * before, 24) == OWN.bytes_le + struct.pack("<Q", 0x1234)
    header = bytearray(client.ram.read(system_table, client.ram.u32(system_table + 12)))
    checksum = struct.unpack_from("<I", header, 16)[0]
    header[16:20] = bytes(4)
    assert crc32(header) == checksum
    assert client.boot("InstallConfigurationTable", client.guid(OWN), 0) == SUCCESS
    assert client.ram.u64(system_table + 104) == before


def test_sizes_that_cannot_be_end_the_run_with_a_report_before_the_host_has_to_find_memory(client: Client) -> None:
    rng, collation = client.protocol(EFI_RNG_PROTOCOL_GUID), client.protocol(EFI_UNICODE_COLLATION_PROTOCOL2_GUID)
    calls: list[Callable[[], int]] = [
        lambda: client.boot("SetMem", client.room, HUGE, 0),
        lambda: client.boot("CopyMem", client.room, client.room, HUGE),
        lambda: client.boot("CalculateCrc32", client.room, HUGE, client.size),
        lambda: client.boot("WaitForEvent", HUGE, client.room, client.size),
        lambda: client.member(rng, 1, rng, 0, HUGE, client.room),
        lambda: client.member(collation, 5, collation, client.text("a"), HUGE, client.room),
    ]
    for call in calls:
        with pytest.raises(GuestStopped, match="by the firmware for its caller"):
            call()


def test_waiting_for_centuries_ends_the_run(client: Client) -> None:
    with pytest.raises(GuestIdle, match="waits for centuries"):
        client.boot("Stall", HUGE)


def test_a_period_shorter_than_the_timer_s_tick_is_a_tick(client: Client) -> None:
    heard = client.put(bytes(8))
    code = b"\x48\xb8" + struct.pack("<Q", heard) + bytes.fromhex("ff00 c3")  # inc [heard]
    kind = EVT_TIMER | EVT_NOTIFY_SIGNAL
    assert client.boot("CreateEvent", kind, TPL_CALLBACK, client.put(code), 0, client.room) == SUCCESS
    assert client.boot("SetTimer", client.ram.u64(client.room), 1, 1) == SUCCESS
    assert client.boot("Stall", 100_000) == SUCCESS
    assert 10 <= client.ram.u32(heard) <= 11


def test_a_program_that_overwrites_the_firmware_s_own_memory_is_told_so(client: Client) -> None:
    stall = client.ram.u64(client.firmware.tables.boot_services + 24 + 8 * BOOT_SERVICES.index("Stall"))
    code = bytearray(client.ram.read(stall, 48))
    at = code.index(b"\xc7\x05")  # mov dword [number], n
    code[at + 6 : at + 10] = struct.pack("<I", 0x7FFFFFFF)
    client.ram.write(stall, code)
    with pytest.raises(EngineError, match="overwritten the firmware's own memory"):
        client.boot("Stall", 1)
