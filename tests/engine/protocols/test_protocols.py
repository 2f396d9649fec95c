"""Protocols that firmware offers to programs, each called through its own structure."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from io import StringIO
from zlib import crc32

import pytest

from tdvfsh.dxe.events import EVT_NOTIFY_SIGNAL, EVT_TIMER, TPL_CALLBACK
from tdvfsh.engine.errors import EngineError, GuestIdle, GuestStopped
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.uefi.efi_time import EfiTime
from tdvfsh.uefi.guids import (
    EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL_GUID,
    EFI_DEVICE_PATH_TO_TEXT_PROTOCOL_GUID,
    EFI_DEVICE_PATH_UTILITIES_PROTOCOL_GUID,
    EFI_GLOBAL_VARIABLE_GUID,
    EFI_HII_DATABASE_PROTOCOL_GUID,
    EFI_HII_STRING_PROTOCOL_GUID,
    EFI_PCI_IO_PROTOCOL_GUID,
    EFI_RNG_ALGORITHM_RAW,
    EFI_RNG_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID,
    EFI_UNICODE_COLLATION_PROTOCOL2_GUID,
    Guid,
)
from tdvfsh.uefi.service_names import BOOT_SERVICES
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.programs import Caller, guest
from tests.engine.protocols.test_texts import string_package

OWN = Guid("11111111-2222-3333-4444-555555555555")
BS, RT, NV, APPEND = 2, 4, 1, 0x40
TOO_SMALL, NOT_FOUND = EfiStatus.EFI_BUFFER_TOO_SMALL, EfiStatus.EFI_NOT_FOUND
INVALID, UNSUPPORTED = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_UNSUPPORTED
NOT_READY = EfiStatus.EFI_NOT_READY
END = bytes.fromhex("7fff0400")
INSTANCE_END = bytes.fromhex("7f010400")
PCI_ROOT = bytes.fromhex("02010c00d041030a00000000")
PCI = bytes.fromhex("010106000201")


class Client(Caller):
    """A program that asks for protocols."""

    def __init__(self, firmware: GuestFirmware, output: StringIO) -> None:
        super().__init__(firmware)
        self.output = output
        self.size = firmware.context.heap.allocate(16)

    def path(self, *nodes: bytes) -> int:
        return self.put(b"".join(nodes) + END)

    def result(self, address: int) -> bytes:
        """A device path that came back, which the caller frees."""
        end = self.ram.read(address, 256).index(END) + len(END)
        data = self.ram.read(address, end)
        assert self.boot("FreePool", address) == SUCCESS
        return data

    def get(self, name: str, room: int = 256) -> tuple[int, bytes, int]:
        """GetVariable: status, value, attributes."""
        self.ram.put_u64(self.size, room)
        attributes = self.size + 8
        guid = self.guid(OWN)
        status = self.runtime("GetVariable", self.text(name), guid, attributes, self.size, self.room)
        value = self.ram.read(self.room, self.ram.u64(self.size)) if status == SUCCESS else b""
        return status, value, self.ram.u32(attributes)

    def set(self, name: str, data: bytes, attributes: int = BS | RT | NV, vendor: Guid = OWN) -> int:
        where = self.put(data) if data else 0
        return self.runtime("SetVariable", self.text(name), self.guid(vendor), attributes, len(data), where)


@pytest.fixture
def client() -> Iterator[Client]:
    with guest(keys="ab\x1b[A\x03") as (firmware, output):
        yield Client(firmware, output)


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


def test_memory_is_copied_over_itself_filled_and_summed(client: Client) -> None:
    client.ram.write(client.room, b"0123456789")
    client.boot("CopyMem", client.room + 2, client.room, 8)
    assert client.ram.read(client.room, 10) == b"0101234567"
    client.boot("SetMem", client.room, 4, 0x1_58)  # only the low byte counts
    assert client.ram.read(client.room, 6) == b"XXXX23"
    assert client.boot("CalculateCrc32", client.room, 10, client.size) == SUCCESS
    assert client.ram.u32(client.size) == crc32(b"XXXX234567")


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


def test_device_paths_are_measured_joined_and_taken_apart(client: Client) -> None:
    utilities = client.protocol(EFI_DEVICE_PATH_UTILITIES_PROTOCOL_GUID)
    root, pci = client.path(PCI_ROOT), client.path(PCI)
    node = client.put(PCI)
    assert client.member(utilities, 0, root) == len(PCI_ROOT) + 4
    assert client.member(utilities, 0, 0) == 0
    assert client.result(client.member(utilities, 1, root)) == PCI_ROOT + END
    assert client.result(client.member(utilities, 2, root, pci)) == PCI_ROOT + PCI + END
    assert client.result(client.member(utilities, 3, root, node)) == PCI_ROOT + PCI + END
    both = client.member(utilities, 4, root, pci)
    assert [client.member(utilities, 6, path) for path in (root, both, 0)] == [0, 1, 0]
    client.ram.put_u64(client.room, both)
    assert client.result(client.member(utilities, 5, client.room, client.size)) == PCI_ROOT + END
    assert client.ram.u64(client.size) == len(PCI_ROOT) + 4
    assert client.result(client.member(utilities, 5, client.room, 0)) == PCI + END
    assert client.ram.u64(client.room) == 0
    assert client.member(utilities, 5, client.room, 0) == 0
    made = client.member(utilities, 7, 4, 3, 20)
    assert client.ram.read(made, 20) == bytes((4, 3, 20, 0)) + bytes(16)
    assert client.member(utilities, 7, 4, 3, 2) == 0


def test_device_paths_become_text_and_back_also_in_instances(client: Client) -> None:
    to_text = client.protocol(EFI_DEVICE_PATH_TO_TEXT_PROTOCOL_GUID)
    from_text = client.protocol(EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL_GUID)
    data = PCI_ROOT + PCI + INSTANCE_END + PCI_ROOT
    text = client.member(to_text, 1, client.path(data), 0, 0)
    assert client.ram.utf16(text) == "PciRoot(0x0)/Pci(0x1,0x2),PciRoot(0x0)"
    assert client.result(client.member(from_text, 1, text)) == data + END
    assert client.ram.utf16(client.member(to_text, 0, client.put(PCI), 0, 0)) == "Pci(0x1,0x2)"
    assert client.ram.read(client.member(from_text, 0, client.text("Pci(0x1,0x2)")), 6) == PCI
    assert [client.member(to_text, 0, 0), client.member(from_text, 1, 0)] == [0, 0]


def test_strings_are_compared_matched_and_changed_in_case(client: Client) -> None:
    collation = client.protocol(EFI_UNICODE_COLLATION_PROTOCOL2_GUID)

    def compare(first: str, second: str) -> int:
        value = client.member(collation, 0, collation, client.text(first), client.text(second))
        return value - (1 << 64) if value >> 63 else value

    assert compare("abc", "ABC") == 0
    assert compare("abd", "ABC") > 0 > compare("ab", "ABC")
    assert client.member(collation, 1, collation, client.text("file.EFI"), client.text("*.[a-e]fi")) == 1
    text = client.text("Größe.TXT")
    client.member(collation, 2, collation, text)
    assert client.ram.utf16(text) == "größe.txt"
    client.member(collation, 3, collation, text)
    assert client.ram.utf16(text) == "GRÖßE.TXT"


def test_names_become_fat_names_and_back(client: Client) -> None:
    collation = client.protocol(EFI_UNICODE_COLLATION_PROTOCOL2_GUID)
    assert client.member(collation, 5, collation, client.text("a b.c+"), 8, client.room) == 1
    assert client.ram.read(client.room, 8) == b"ABC_    "
    assert client.member(collation, 5, collation, client.text("plain"), 8, client.room) == 0
    client.member(collation, 4, collation, 8, client.put(b"NAME\0\0\0\0"), client.room)
    assert client.ram.utf16(client.room) == "NAME"


def package_list(*packages: bytes) -> bytes:
    body = b"".join(packages) + struct.pack("<I", 4 | 0xDF << 24)
    return OWN.bytes_le + struct.pack("<I", 20 + len(body)) + body


def test_texts_that_a_program_brings_are_found_by_language_and_number(client: Client) -> None:
    database = client.protocol(EFI_HII_DATABASE_PROTOCOL_GUID)
    strings = client.protocol(EFI_HII_STRING_PROTOCOL_GUID)
    data = package_list(string_package(b"\x10one\0\x10two\0\x00"), string_package(b"\x10eins\0\x00", b"de\0"))
    driver = client.firmware.machine.firmware_image
    assert client.member(database, 0, database, client.put(data), driver, client.size) == SUCCESS
    handle = client.ram.u64(client.size)

    def get(number: int, language: bytes = b"en-US\0", room: int = 64) -> tuple[int, str]:
        client.ram.put_u64(client.size, room)
        where = client.put(language)
        status = client.member(strings, 1, strings, where, handle, number, client.room, client.size, 0)
        return status, client.ram.utf16(client.room) if status == SUCCESS else ""

    assert get(2) == (SUCCESS, "two")
    assert get(1, b"de\0") == (SUCCESS, "eins")
    assert get(2, b"de\0")[0] == EfiStatus.EFI_INVALID_LANGUAGE
    assert get(9)[0] == NOT_FOUND
    assert get(1, room=2)[0] == TOO_SMALL
    assert client.ram.u64(client.size) == 8
    client.ram.put_u64(client.size, 64)
    assert client.member(strings, 3, strings, handle, client.room, client.size) == SUCCESS
    assert client.ram.ascii(client.room) == "en-US;de"
    assert client.member(database, 10, database, handle, client.size) == SUCCESS
    assert client.ram.u64(client.size) == driver
    assert client.member(database, 3, database, 0, 0, 0, 0, 0) == UNSUPPORTED  # ListPackageLists: named, not played
    assert client.member(database, 1, database, handle) == SUCCESS
    assert client.member(database, 1, database, handle) == NOT_FOUND


def test_random_numbers_differ_within_a_run_and_not_between_runs(client: Client) -> None:
    def draw(one: Client) -> list[bytes]:
        rng = one.protocol(EFI_RNG_PROTOCOL_GUID)
        drawn = []
        for _ in range(2):
            assert one.member(rng, 1, rng, 0, 32, one.room) == SUCCESS
            drawn.append(one.ram.read(one.room, 32))
        one.ram.put_u64(one.size, 8)
        assert one.member(rng, 0, rng, one.size, one.room) == TOO_SMALL
        assert one.member(rng, 0, rng, one.size, one.room) == SUCCESS
        assert one.ram.guid(one.room) == EFI_RNG_ALGORITHM_RAW
        assert one.member(rng, 1, rng, one.guid(OWN), 32, one.room) == UNSUPPORTED
        return drawn

    first = draw(client)
    assert first[0] != first[1]
    with guest() as (firmware, output):
        assert draw(Client(firmware, output)) == first


def test_pci_functions_say_what_and_where_they_are_and_nothing_more(client: Client) -> None:
    pci = client.protocol(EFI_PCI_IO_PROTOCOL_GUID)
    read, location, write = 6, 14, 7
    assert client.member(pci, read, pci, 1, 0, 2, client.room) == SUCCESS  # two words
    assert client.ram.read(client.room, 4) == struct.pack("<HH", 0x8086, 0x29C0)
    assert client.member(pci, read, pci, 2, 0xFE, 1, client.room) == UNSUPPORTED
    places = [client.room + 8 * number for number in range(4)]
    assert client.member(pci, location, pci, *places) == SUCCESS
    assert [client.ram.u64(place) for place in places] == [0, 0, 0, 0]
    assert client.member(pci, write, pci, 1, 4, 1, client.room) == UNSUPPORTED
    record = client.firmware.machine.trace.records[-1]
    assert (record.service, record.status) == ("EFI_PCI_IO_PROTOCOL.Pci.Write", UNSUPPORTED)


def test_keys_come_one_by_one_with_their_scan_codes_and_shift_states(client: Client) -> None:
    plain = client.protocol(EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID)
    extended = client.protocol(EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL_GUID)

    def key() -> tuple[int, int]:
        assert client.member(plain, 1, plain, client.room) == SUCCESS
        scan_code, character = struct.unpack("<HH", client.ram.read(client.room, 4))
        return scan_code, character

    assert [key(), key(), key()] == [(0, ord("a")), (0, ord("b")), (1, 0)]
    assert client.member(extended, 1, extended, client.room) == SUCCESS
    assert struct.unpack("<HHI", client.ram.read(client.room, 8)) == (0, ord("c"), 0x80000008)  # left Ctrl
    assert client.member(plain, 1, plain, client.room) == NOT_READY
    assert client.member(extended, 1, extended, client.room) == NOT_READY
    assert client.member(extended, 3, extended, client.room) == UNSUPPORTED  # SetState: there are no lamps


def test_a_function_that_registered_for_a_key_hears_of_it_before_it_is_read(client: Client) -> None:
    extended = client.protocol(EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL_GUID)
    heard = client.put(bytes(8))
    code = b"\x48\xb8" + struct.pack("<Q", heard) + bytes.fromhex("ff00 31c0 c3")  # inc [heard]; return 0
    wanted = client.put(struct.pack("<HHIB3x", 0, ord("b"), 0, 0))
    assert client.member(extended, 4, extended, wanted, client.put(code), client.size) == SUCCESS
    for expected in (0, 1):
        assert client.member(extended, 1, extended, client.room) == SUCCESS
        assert client.ram.u32(heard) == expected
    handle = client.ram.u64(client.size)
    assert [client.member(extended, 5, extended, handle) for _ in range(2)] == [SUCCESS, INVALID]


def test_the_screen_has_one_mode_and_says_where_its_cursor_is(client: Client) -> None:
    screen = client.protocol(EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID)
    output, test, query, mode, attribute, clear, move, cursor, where = 1, 2, 3, 4, 5, 6, 7, 8, 9
    assert client.member(screen, query, screen, 0, client.room, client.room + 8) == SUCCESS
    assert (client.ram.u64(client.room), client.ram.u64(client.room + 8)) == (80, 25)
    assert client.member(screen, query, screen, 1, client.room, client.room + 8) == UNSUPPORTED
    assert [client.member(screen, mode, screen, number) for number in (0, 1)] == [SUCCESS, UNSUPPORTED]
    assert [client.member(screen, attribute, screen, number) for number in (0x1F, 0x80)] == [SUCCESS, UNSUPPORTED]
    assert client.member(screen, move, screen, 78, 24) == SUCCESS
    assert client.member(screen, move, screen, 80, 0) == UNSUPPORTED
    assert client.member(screen, cursor, screen, 0) == SUCCESS
    assert client.member(screen, output, screen, client.text("abc")) == SUCCESS  # wraps, and the screen moves up
    state = client.ram.u64(screen + 8 * where)
    assert struct.unpack("<6i", client.ram.read(state, 24)) == (1, 0, 0x1F, 1, 24, 0)
    assert client.firmware.screen.lines()[23:] == [" " * 78 + "ab", "c"]
    assert client.member(screen, clear, screen) == SUCCESS
    assert struct.unpack("<6i", client.ram.read(state, 24))[3:5] == (0, 0)
    assert client.member(screen, test, screen, client.text("plain")) == SUCCESS


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


HUGE = 1 << 62


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
