"""What programs bring or ask in text: string packages, collation, device paths, keys and the screen."""

from __future__ import annotations

import struct
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.abi.device_paths import parse_device_path, parse_instances
from tdvfsh.engine.console.keys import Key, keys_of
from tdvfsh.engine.console.screen import AnsiDisplay, Screen, TranscriptDisplay
from tdvfsh.engine.protocols.hii_strings import packages_of, parse_string_package
from tdvfsh.machine import TdOptions
from tdvfsh.uefi.device_path import (
    DevicePathNode,
    FilePath,
    HardDrive,
    MemoryMapped,
    OtherNode,
    Pci,
    PciRoot,
    Sata,
    VenHw,
    VenMedia,
)
from tdvfsh.uefi.device_path_bytes import parse_node
from tdvfsh.uefi.device_path_text import device_path_text, device_paths_from_text
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_TO_TEXT_PROTOCOL_GUID, Guid
from tests.engine.programs import Caller, guest

GUID = Guid("12345678-9abc-def0-1234-56789abcdef0")
NODES: list[DevicePathNode] = [
    PciRoot(0), Pci(0x1F, 2), Sata(3), VenHw(GUID), VenMedia(GUID), MemoryMapped(2, 0x1000, 0x1FFF),
    FilePath("\\EFI\\BOOT\\BOOTX64.EFI"), HardDrive(1, 2048, 4096, GUID.bytes_le, 2, 2), OtherNode(3, 11, bytes(33)),
]  # fmt: skip


@pytest.mark.parametrize("node", NODES, ids=str)
def test_a_node_comes_back_from_its_bytes(node: DevicePathNode) -> None:
    data = node.pack()
    assert parse_node(data[0], data[1], data[4:]) == node


@given(st.integers(0, 5), st.integers(0, 255), st.binary(max_size=60))
def test_no_node_s_bytes_are_ever_lost(node_type: int, subtype: int, body: bytes) -> None:
    assert parse_node(node_type, subtype, body).pack()[4:] == body


@pytest.mark.parametrize(
    "text",
    [
        "PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0)/\\a.efi",
        "PciRoot(0x0)/Pci(0x2,0x0)/NVMe(0x1,00-11-22-33-44-55-66-77)/HD(1,GPT,12345678-9ABC-DEF0-1234-56789ABCDEF0,0x800,0x1000)",
        "HD(2,MBR,0xDEADBEEF,0x3F,0x1000)/\\EFI\\BOOT\\BOOTX64.EFI",
        "Serial(0x0)/VenMsg(12345678-9ABC-DEF0-1234-56789ABCDEF0)",
        "VenHw(12345678-9ABC-DEF0-1234-56789ABCDEF0,00FF)/Ctrl(0x1)/Scsi(0x2,0x3)/USB(0x1,0x0)",
        "MAC(525400123456,0x1)/Uri(http://example.org/a/b.efi?c=d)",
        "Fv(12345678-9ABC-DEF0-1234-56789ABCDEF0)/FvFile(12345678-9ABC-DEF0-1234-56789ABCDEF0)",
        "CDROM(0x1,0x10,0x2000)/Msg(99,00FF)",
        "PciRoot(0x0)/Acpi(PNP0502,0x0),VenHw(12345678-9ABC-DEF0-1234-56789ABCDEF0)",
    ],
)
def test_a_device_path_comes_back_from_its_text(text: str) -> None:
    paths = device_paths_from_text(text)
    assert device_path_text(paths) == text
    with guest() as (firmware, _):
        data = b"\x7f\x01\x04\x00".join(path.pack()[:-4] for path in paths) + b"\x7f\xff\x04\x00"
        address = firmware.context.heap.allocate(len(data))
        firmware.ram.write(address, data)
        assert parse_instances(firmware.ram, address) == paths
        assert parse_device_path(firmware.ram, address) == paths[0]


SHORT = "HD(1,GPT,11111111-2222-3333-4444-555555555555)"
LONG = "HD(1,GPT,11111111-2222-3333-4444-555555555555,0x800,0x9)"


@pytest.mark.parametrize(
    ("profile", "displayed"), [("upstream", SHORT), ("sid", SHORT), ("trixie", SHORT), ("bookworm", LONG)]
)
def test_a_partition_is_displayed_as_the_shell_of_that_firmware_s_time_shows_it(profile: str, displayed: str) -> None:
    """As ``map`` of Debian's OVMF 2022.11 and 2025.02 showed the same disk when they were run."""
    with guest(TdOptions(profile=profile)) as (firmware, _):
        client = Caller(firmware)
        to_text = client.protocol(EFI_DEVICE_PATH_TO_TEXT_PROTOCOL_GUID)
        (path,) = device_paths_from_text(LONG)
        address = client.put(path.pack())
        for function in (0, 1):  # of a node, of a path
            texts = [client.member(to_text, function, address, display, 0) for display in (1, 0)]
            assert [firmware.ram.utf16(text) for text in texts] == [displayed, LONG]


def string_package(blocks: bytes, language: bytes = b"en-US\0") -> bytes:
    offset = 46 + len(language)
    body = struct.pack("<II32xH", offset, offset, 1) + language + blocks
    return struct.pack("<I", 4 + len(body) | 0x04 << 24) + body


def test_a_string_package_s_texts_have_the_numbers_that_its_blocks_give_them() -> None:
    wide = "Größe\0".encode("utf-16-le")
    blocks = b"\x14" + wide + b"\x22\x02" + b"\x10abc\0" + b"\x21\x10\x00" + b"\x20\x01\x00" + b"\x00"
    package = parse_string_package(string_package(blocks))
    assert package is not None
    assert package.language == "en-US"
    assert package.texts == {1: "Größe", 4: "abc", 21: "Größe"}


@pytest.mark.parametrize("block", [b"\x30\x40\0", b"\x30\x40\2", b"\x31\x40\0\0", b"\x31\x40\3\0", b"\x32\x40\5\0\0\0"])
def test_an_extension_block_that_is_shorter_than_its_header_is_refused(block: bytes) -> None:
    assert parse_string_package(string_package(block + b"\0")) is None


@given(st.binary(max_size=80))
def test_a_damaged_string_package_is_no_package(blocks: bytes) -> None:
    parse_string_package(string_package(blocks)[:-1])


def test_packages_of_a_list_end_at_the_end_package() -> None:
    package = string_package(b"\x00")
    data = GUID.bytes_le + bytes(4) + package + struct.pack("<I", 4 | 0xDF << 24) + package
    assert packages_of(data) == [(4, package)]


def test_lines_and_escape_sequences_become_keys() -> None:
    assert list(keys_of("a\r\n\n\x1b[A\x1bb\x7f")) == [
        Key(0, 0x61), Key(0, 13), Key(0, 13), Key(1, 0), Key(0x17, 0), Key(0, 0x62), Key(0, 8),
    ]  # fmt: skip


def test_the_screen_wraps_scrolls_and_keeps_its_cells() -> None:
    output = StringIO()
    screen = Screen(TranscriptDisplay(output))
    screen.write("x" * 81 + "\r\n" + "\r\n".join(str(number) for number in range(24)))
    assert output.getvalue().startswith("x" * 81 + "\n")
    assert screen.lines()[-1] == "23"
    assert screen.lines()[0] == "x" or screen.lines()[0] == "0"
    assert (screen.column, screen.row) == (2, 24)


def test_a_transcript_has_no_escape_codes_and_a_new_line_where_the_cursor_jumps() -> None:
    output = StringIO()
    screen = Screen(TranscriptDisplay(output))
    screen.set_attribute(0x4F)
    screen.write("title")
    screen.move(4, 10)
    screen.write("menu")
    screen.close()
    assert output.getvalue() == "title\n    menu\n"


def test_a_terminal_gets_positions_and_colours() -> None:
    output = StringIO()
    screen = Screen(AnsiDisplay(output))
    screen.move(4, 10)
    screen.set_attribute(0x1F)
    screen.write("menu")
    assert output.getvalue().endswith("\x1b[11;5H\x1b[0;1;37;44mmenu")
