"""What events say: each type's form read, and anything else shown as bytes, on one line without control characters."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.formats.tcg.event_log import TcgEvent
from tdvfsh.formats.tcg.event_types import TcgEventType as Type
from tdvfsh.formats.tcg.event_words import event_words
from tdvfsh.uefi.device_path import DevicePath, VenMedia
from tdvfsh.uefi.guids import EFI_ACPI_20_TABLE_GUID, EFI_GLOBAL_VARIABLE_GUID, QEMU_KERNEL_LOADER_FS_MEDIA_GUID
from tests.formats.tcg.made_log import variable

GLOBAL = EFI_GLOBAL_VARIABLE_GUID.bytes_le
PATH = DevicePath((VenMedia(QEMU_KERNEL_LOADER_FS_MEDIA_GUID),)).pack()
IMAGE = struct.pack("<QQQQ", 0x7C8AF018, 11737024, 0, len(PATH)) + PATH
BLOB = struct.pack("<QQ", 0xFFC00000, 0x84000)
TABLES = struct.pack("<Q16sQ", 1, EFI_ACPI_20_TABLE_GUID.bytes_le, 0x1000)


def words(kind: int, data: bytes) -> str:
    return event_words(TcgEvent(1, 0, 1, kind, (), data))


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (Type.EV_SEPARATOR, bytes(4), "separator 00000000"),
        (Type.EV_SEPARATOR, b"\1\0\0\0", "an error happened"),
        (Type.EV_EFI_ACTION, b"Exit Boot Services Invocation", "'Exit Boot Services Invocation'"),
        (Type.EV_EFI_VARIABLE_DRIVER_CONFIG, variable("PK", b"ab", GLOBAL), "PK of EFI_GLOBAL_VARIABLE_GUID, 2 bytes"),
        (Type.EV_EFI_VARIABLE_BOOT, variable("a\x1b[2J", b"", GLOBAL), r"a\x1b[2J of EFI_GLOBAL_VARIABLE_GUID"),
        (Type.EV_EFI_BOOT_SERVICES_APPLICATION, IMAGE, "VenMedia(1428F772-B64A-441E-B8C3-9EBDD7F893C7), 11,737,024"),
        (Type.EV_EFI_PLATFORM_FIRMWARE_BLOB, BLOB, "540,672 bytes at 0xffc00000"),
        (Type.EV_EFI_PLATFORM_FIRMWARE_BLOB2, b"\2Fv" + BLOB, "'Fv', 540,672 bytes at 0xffc00000"),
        (Type.EV_EFI_HANDOFF_TABLES, TABLES, "EFI_ACPI_20_TABLE_GUID"),
        (Type.EV_EFI_HANDOFF_TABLES2, b"\x09TdxTable\0" + TABLES, "'TdxTable': EFI_ACPI_20_TABLE_GUID"),
        (Type.EV_EVENT_TAG, struct.pack("<II", 0x8F3B22EC, 13) + b"Linux initrd\0", "initrd: 'Linux initrd'"),
        (Type.EV_EVENT_TAG, struct.pack("<II", 0x12345678, 1) + b"\x80", "tag 0x12345678: 80"),
        (Type.EV_IPL, b"grub_cmd: boot\0", "'grub_cmd: boot'"),
        (0x7777, b"text", "'text'"),
        (0x7777, b"", "no data"),
        (0x7777, b"\x80" * 20, "80" * 16 + "… 20 bytes"),
    ],
)  # fmt: skip
def test_each_type_is_told_by_its_form(kind: int, data: bytes, said: str) -> None:
    assert words(kind, data).startswith(said)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Type.EV_EFI_VARIABLE_BOOT, GLOBAL + struct.pack("<QQ", 1 << 63, 0)),
        (Type.EV_EFI_VARIABLE_BOOT, GLOBAL + struct.pack("<QQ", 0, 1 << 60)),
        (Type.EV_EFI_BOOT_SERVICES_DRIVER, struct.pack("<QQQQ", 0, 0, 0, 1 << 62)),
        (Type.EV_EFI_HANDOFF_TABLES, struct.pack("<Q", 1 << 60)),
        (Type.EV_EFI_HANDOFF_TABLES2, b"\xff\x80"),
        (Type.EV_EVENT_TAG, struct.pack("<II", 0x8F3B22EC, 0xFFFFFFFF)),
        (Type.EV_EFI_GPT_EVENT, b"EFI PART\x80"),
    ],
)
def test_lengths_that_lead_out_of_the_event_leave_its_bytes(kind: int, data: bytes) -> None:
    assert words(kind, data).startswith(data[:16].hex())


@given(st.sampled_from([*Type, 0, 0xFFFFFFFF]), st.binary(max_size=200))
def test_any_data_is_one_printable_line(kind: int, data: bytes) -> None:
    said = words(kind, data)
    assert 0 < len(said) <= 160
    assert said.isprintable()
