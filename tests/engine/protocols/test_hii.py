"""Package lists, their texts and keyboard layouts, and who hears of them."""

from __future__ import annotations

import struct

import pytest

from tdvfsh.engine.protocols.hii_strings import StringPackage, parse_string_package
from tdvfsh.uefi.device_path import DevicePath, PciRoot
from tdvfsh.uefi.guids import (
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_HII_DATABASE_PROTOCOL_GUID,
    EFI_HII_SET_KEYBOARD_LAYOUT_EVENT_GUID,
    EFI_HII_STRING_PROTOCOL_GUID,
    Guid,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.assembler import Program
from tests.engine.client import OWN, Client

(NEW, REMOVE, UPDATE, LIST, EXPORT, REGISTER, UNREGISTER, FIND_LAYOUTS, GET_LAYOUT, SET_LAYOUT, OWNER) = range(11)
NEW_STRING, GET_STRING, SET_STRING, LANGUAGES, SECONDARY = range(5)
INVALID, NOT_FOUND = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_NOT_FOUND
LAYOUT = Guid("33333333-4444-5555-6666-777777777777")
STRINGS, GUIDS, KEYBOARDS = 4, 1, 9


def package(kind: int, body: bytes) -> bytes:
    return struct.pack("<I", 4 + len(body) | kind << 24) + body


def package_list(*packages: bytes, guid: Guid = OWN) -> bytes:
    body = b"".join(packages) + package(0xDF, b"")
    return guid.bytes_le + struct.pack("<I", 20 + len(body)) + body


TEXTS = StringPackage("en-US;en-GB", {1: "English", 2: "two"}).pack()
FRENCH = StringPackage("fr-FR", {1: "Français", 2: "deux"}).pack()
KEYS = package(KEYBOARDS, struct.pack("<HH", 1, 22) + LAYOUT.bytes_le + bytes(4))
OTHER = package(GUIDS, OWN.bytes_le + b"data")


class Hii:
    """The two protocols, called as a program would."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ram = client.ram
        self._database = client.protocol(EFI_HII_DATABASE_PROTOCOL_GUID)
        self._strings = client.protocol(EFI_HII_STRING_PROTOCOL_GUID)
        self.out, self.size, self.room = (client.put(bytes(size)) for size in (16, 16, 1024))

    def database(self, function: int, *arguments: int) -> int:
        return self.client.member(self._database + 8 * function, 0, self._database, *arguments)

    def string(self, function: int, *arguments: int) -> int:
        return self.client.member(self._strings + 8 * function, 0, self._strings, *arguments)

    def new(self, data: bytes, driver: int = 0) -> int:
        assert self.database(NEW, self.client.put(data), driver, self.out) == SUCCESS
        return self.ram.u64(self.out)

    def filled(self, status: int) -> bytes:
        assert status == SUCCESS
        return self.ram.read(self.room, self.ram.u64(self.size))

    def export(self, handle: int) -> bytes:
        self.ram.put_u64(self.size, 1024)
        return self.filled(self.database(EXPORT, handle, self.size, self.room))

    def handles(self, kind: int, guid: Guid | None = None) -> list[int]:
        self.ram.put_u64(self.size, 1024)
        data = self.filled(self.database(LIST, kind, self.client.guid(guid) if guid else 0, self.size, self.room))
        return [handle for (handle,) in struct.iter_unpack("<Q", data)]

    def text(self, handle: int, number: int, language: str) -> str:
        self.ram.put_u64(self.size, 1024)
        word = self.client.put(language.encode() + b"\0")
        return (
            self.filled(self.string(GET_STRING, word, handle, number, self.room, self.size, 0))
            .decode("utf-16-le")
            .rstrip("\0")
        )


@pytest.fixture
def hii(client: Client) -> Hii:
    return Hii(client)


def test_a_list_is_exported_as_it_came_and_gone_once_it_is_removed(hii: Hii) -> None:
    data = package_list(TEXTS, KEYS, OTHER)
    handle = hii.new(data)
    assert hii.export(handle) == data
    assert hii.database(REMOVE, handle) == SUCCESS
    assert hii.database(REMOVE, handle) == NOT_FOUND
    assert hii.database(REMOVE, 0) == NOT_FOUND
    hii.ram.put_u64(hii.size, 0)
    assert hii.database(EXPORT, handle, hii.size, 0) == NOT_FOUND


def test_a_driver_has_a_list_once_and_the_list_says_where_the_driver_is(hii: Hii) -> None:
    path = DevicePath((PciRoot(9),))
    hii.ram.put_u64(hii.out, 0)
    guid = hii.client.guid(EFI_DEVICE_PATH_PROTOCOL_GUID)
    assert hii.client.boot("InstallProtocolInterface", hii.out, guid, 0, hii.client.put(path.pack())) == SUCCESS
    driver = hii.ram.u64(hii.out)
    handle = hii.new(package_list(TEXTS), driver)
    assert package(8, path.pack()) in hii.export(handle)
    data = hii.client.put(package_list(FRENCH))
    assert hii.database(NEW, data, driver, hii.out) == INVALID
    assert hii.database(NEW, data, 0, hii.out) == SUCCESS
    assert hii.database(OWNER, handle, hii.out) == SUCCESS
    assert hii.ram.u64(hii.out) == driver


def test_an_update_replaces_the_types_that_it_brings(hii: Hii) -> None:
    handle = hii.new(package_list(TEXTS, KEYS))
    assert hii.database(UPDATE, handle, hii.client.put(package_list(FRENCH))) == SUCCESS
    assert hii.export(handle) == package_list(KEYS, FRENCH)
    assert hii.database(UPDATE, 0, hii.client.put(package_list(FRENCH))) == NOT_FOUND
    assert hii.database(UPDATE, handle, 0) == INVALID


def test_lists_are_found_by_the_types_of_their_packages(hii: Hii) -> None:
    texts, other = hii.new(package_list(TEXTS)), hii.new(package_list(OTHER, guid=LAYOUT))
    assert hii.handles(0) == [texts, other]
    assert hii.handles(STRINGS) == [texts]
    assert hii.handles(GUIDS, OWN) == [other]
    hii.ram.put_u64(hii.size, 8)
    assert hii.database(LIST, 0, 0, hii.size, hii.room) == EfiStatus.EFI_BUFFER_TOO_SMALL
    assert hii.ram.u64(hii.size) == 16
    assert hii.database(LIST, GUIDS, 0, hii.size, hii.room) == INVALID
    assert hii.database(LIST, STRINGS, hii.client.guid(OWN), hii.size, hii.room) == INVALID
    assert hii.database(LIST, KEYBOARDS, 0, hii.size, hii.room) == NOT_FOUND


def test_who_asked_hears_of_packages_that_come_change_and_go(hii: Hii) -> None:
    count = hii.client.put(bytes(8))
    code = hii.client.put(Program(prologue=False).mov("rax", count).raw("FF00 31C0 C3").code())  # inc dword [rax]
    seen = {}
    for event in (1, 2, 4, 8):
        assert hii.database(REGISTER, STRINGS, 0, code, event, hii.out) == SUCCESS
        notify = hii.ram.u64(hii.out)
        hii.ram.put_u64(count, 0)
        handle = hii.new(package_list(TEXTS, FRENCH, KEYS))
        hii.export(handle)
        assert hii.database(UPDATE, handle, hii.client.put(package_list(TEXTS))) == SUCCESS
        assert hii.database(REMOVE, handle) == SUCCESS
        seen[event] = hii.ram.u64(count)
        assert hii.database(UNREGISTER, notify) == SUCCESS
        assert hii.database(UNREGISTER, notify) == NOT_FOUND
    assert seen == {1: 2, 2: 3, 4: 2, 8: 1}
    assert hii.database(REGISTER, STRINGS, 0, code, 3, hii.out) == INVALID
    assert hii.database(REGISTER, STRINGS, 0, 0, 1, hii.out) == INVALID


def test_keyboard_layouts_are_listed_returned_and_chosen(hii: Hii) -> None:
    hii.new(package_list(KEYS))
    hii.ram.write(hii.size, struct.pack("<H", 64))
    assert hii.database(FIND_LAYOUTS, hii.size, hii.room) == SUCCESS
    assert hii.ram.read(hii.room, hii.ram.u16(hii.size)) == LAYOUT.bytes_le
    hii.ram.write(hii.size, struct.pack("<H", 64))
    assert hii.database(GET_LAYOUT, 0, hii.size, hii.room) == NOT_FOUND
    event = hii.client.firmware.core.events.create_event(group=EFI_HII_SET_KEYBOARD_LAYOUT_EVENT_GUID)
    assert hii.database(SET_LAYOUT, hii.client.guid(OWN)) == NOT_FOUND
    assert hii.database(SET_LAYOUT, hii.client.guid(LAYOUT)) == SUCCESS
    assert hii.client.firmware.core.events.check_event(event) is SUCCESS
    assert hii.database(GET_LAYOUT, 0, hii.size, hii.room) == SUCCESS
    assert hii.ram.read(hii.room, hii.ram.u16(hii.size)) == KEYS[6:]
    hii.ram.write(hii.size, struct.pack("<H", 4))
    assert hii.database(GET_LAYOUT, hii.client.guid(LAYOUT), hii.size, hii.room) == EfiStatus.EFI_BUFFER_TOO_SMALL
    assert hii.ram.u16(hii.size) == 22


def test_texts_are_added_replaced_and_survive_the_export(hii: Hii) -> None:
    handle = hii.new(package_list(TEXTS, FRENCH))
    word, new = hii.client.put(b"fr-FR\0"), hii.client.text("nouveau")
    assert hii.string(NEW_STRING, handle, hii.out, word, 0, new, 0) == SUCCESS
    number = hii.ram.u16(hii.out)
    assert number == 3
    assert hii.text(handle, number, "fr-fr") == "nouveau"
    hii.ram.put_u64(hii.size, 1024)
    english = hii.client.put(b"en-US\0")
    status = hii.string(GET_STRING, english, handle, number, hii.room, hii.size, 0)
    assert status == EfiStatus.EFI_INVALID_LANGUAGE
    assert hii.string(SET_STRING, handle, 2, english, hii.client.text("zwei"), 0) == SUCCESS
    assert hii.string(SET_STRING, handle, 9, english, hii.client.text("zwei"), 0) == NOT_FOUND
    again = hii.new(hii.export(handle)[:16].replace(OWN.bytes_le, LAYOUT.bytes_le) + hii.export(handle)[16:])
    assert (hii.text(again, 2, "en-US"), hii.text(again, 3, "fr-FR")) == ("zwei", "nouveau")


def test_a_language_that_is_new_has_its_name_for_first_text(hii: Hii) -> None:
    handle = hii.new(package_list(TEXTS))
    german = hii.client.put(b"de-DE\0")
    arguments = (german, hii.client.text("Deutsch"), hii.client.text("neu"), 0)
    assert hii.string(NEW_STRING, handle, hii.out, *arguments) == SUCCESS
    assert (hii.text(handle, 1, "de-DE"), hii.text(handle, hii.ram.u16(hii.out), "de-DE")) == ("Deutsch", "neu")


def test_languages_and_secondary_languages(hii: Hii) -> None:
    handle = hii.new(package_list(TEXTS, FRENCH))
    hii.ram.put_u64(hii.size, 2)
    assert hii.string(LANGUAGES, handle, hii.room, hii.size) == EfiStatus.EFI_BUFFER_TOO_SMALL
    assert hii.filled(hii.string(LANGUAGES, handle, hii.room, hii.size)) == b"en-US;en-GB;fr-FR\0"
    hii.ram.put_u64(hii.size, 64)
    word = hii.client.put(b"en-US\0")
    assert hii.filled(hii.string(SECONDARY, handle, word, hii.room, hii.size)) == b"en-GB\0"
    unknown = hii.client.put(b"zz\0")
    assert hii.string(SECONDARY, handle, unknown, hii.room, hii.size) == EfiStatus.EFI_INVALID_LANGUAGE
    assert hii.string(LANGUAGES, 0, hii.room, hii.size) == INVALID
    assert hii.string(LANGUAGES, 4, hii.room, hii.size) == NOT_FOUND


def test_a_package_of_changed_texts_reads_back(hii: Hii) -> None:
    strings = StringPackage("en", {1: "a", 5: "b\N{GREEK SMALL LETTER ALPHA}", 6: ""})
    again = parse_string_package(strings.pack())
    assert again is not None
    assert (again.languages, again.texts) == (strings.languages, strings.texts)


def test_a_list_that_says_it_has_gigabytes_is_refused_without_reading_it(hii: Hii) -> None:
    data = bytearray(package_list(KEYS))
    struct.pack_into("<I", data, 16, 0x10000000)
    where = hii.client.put(bytes(data))
    assert hii.database(NEW, where, 0, hii.out) == EfiStatus.EFI_OUT_OF_RESOURCES
