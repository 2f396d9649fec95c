"""Protocols that firmware offers to programs, each called through its own structure."""

from __future__ import annotations

import struct

from tdvfsh.engine.devices.pci_functions import AHCI
from tdvfsh.uefi.guids import (
    EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL_GUID,
    EFI_DEVICE_PATH_TO_TEXT_PROTOCOL_GUID,
    EFI_DEVICE_PATH_UTILITIES_PROTOCOL_GUID,
    EFI_HII_DATABASE_PROTOCOL_GUID,
    EFI_HII_STRING_PROTOCOL_GUID,
    EFI_PCI_IO_PROTOCOL_GUID,
    EFI_RNG_ALGORITHM_RAW,
    EFI_RNG_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID,
    EFI_UNICODE_COLLATION_PROTOCOL2_GUID,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.client import END, OWN, Client
from tests.engine.programs import guest
from tests.engine.protocols.test_texts import string_package

TOO_SMALL, NOT_FOUND = EfiStatus.EFI_BUFFER_TOO_SMALL, EfiStatus.EFI_NOT_FOUND
INVALID, UNSUPPORTED = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_UNSUPPORTED
NOT_READY = EfiStatus.EFI_NOT_READY
INSTANCE_END = bytes.fromhex("7f010400")
PCI_ROOT = bytes.fromhex("02010c00d041030a00000000")
PCI = bytes.fromhex("010106000201")


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


def test_pci_functions_say_what_and_where_they_are(client: Client) -> None:
    pci = client.protocol(EFI_PCI_IO_PROTOCOL_GUID)
    read, location, copy = 6, 14, 8
    assert client.member(pci, read, pci, 1, 0, 2, client.room) == SUCCESS  # two words
    assert client.ram.read(client.room, 4) == struct.pack("<HH", 0x8086, 0x29C0)
    assert client.member(pci, read, pci, 2, 0xFE, 1, client.room) == UNSUPPORTED
    places = [client.room + 8 * number for number in range(4)]
    assert client.member(pci, location, pci, *places) == SUCCESS
    assert [client.ram.u64(place) for place in places] == [0, 0, 0, 0]
    assert client.member(pci, copy, pci, 1, 0, 4, 0, 4, 1) == UNSUPPORTED
    record = client.firmware.machine.trace.records[-1]
    assert (record.service, record.status) == ("EFI_PCI_IO_PROTOCOL.CopyMem", UNSUPPORTED)


def test_attributes_of_a_pci_function_are_those_of_its_command_register(client: Client) -> None:
    handles = client.firmware.services.handles
    handle = next(
        one
        for one in handles.locate_handles(EFI_PCI_IO_PROTOCOL_GUID)
        if handles.protocols(one)[EFI_PCI_IO_PROTOCOL_GUID] is AHCI
    )
    assert client.boot("HandleProtocol", handle, client.guid(EFI_PCI_IO_PROTOCOL_GUID), client.room) == SUCCESS
    pci, value = client.ram.u64(client.room), client.put(bytes(8))
    attributes, read, write, bars = 15, 6, 7, 16
    get, put, enable, disable, supported = range(5)

    def call(operation: int, wanted: int = 0) -> tuple[int, int]:
        """Status, and what is set afterwards."""
        status = client.member(pci, attributes, pci, operation, wanted, 0)
        assert client.member(pci, attributes, pci, get, 0, value) == SUCCESS
        return status, client.ram.u64(value)

    assert client.member(pci, attributes, pci, supported, 0, value) == SUCCESS
    assert client.ram.u64(value) == 0xFF80
    assert call(put, 0) == (SUCCESS, 0)
    assert call(enable, 0x8400) == (SUCCESS, 0x8400)
    assert client.member(pci, read, pci, 1, 4, 1, value) == SUCCESS
    assert client.ram.u16(value) & 7 == 4
    client.ram.put_u64(value, 6)
    assert client.member(pci, write, pci, 1, 4, 1, value) == SUCCESS
    assert call(disable, 0x400) == (SUCCESS, 0x8200)
    assert call(put, 0x700) == (SUCCESS, 0x700)
    assert call(enable, 0x20000) == (UNSUPPORTED, 0x700)
    assert call(get) == call(supported) == call(5) == (INVALID, 0x700)
    assert client.member(pci, write, pci, 12, 4, 1, value) == client.member(pci, write, pci, 1, 4, 1, 0) == INVALID
    assert client.member(pci, bars, pci, 0, 0, 0) == INVALID


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
