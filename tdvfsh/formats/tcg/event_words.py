"""What an event of a measurement log says, in words.

A log is written by whoever ran before: no length in it is believed beyond its event, and no text is shown unescaped.

Source: TCG PC Client Platform Firmware Profile 1.06, 10.4 and 10.5; Linux drivers/firmware/efi/libstub/efistub.h
(tagged events of the EFI stub); edk2 MdePkg/Include/IndustryStandard/UefiTcgPlatform.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from tdvfsh.formats.tcg.event_log import TcgEvent
from tdvfsh.formats.tcg.event_types import TcgEventType as Type
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path_bytes import device_path_from_bytes
from tdvfsh.uefi.device_path_text import node_text
from tdvfsh.uefi.guids import Guid, guid_name

_LONGEST: Final = 160
_SHOWN_BYTES: Final = 16
_MOST_TABLES: Final = 8
_TAGS: Final = {0x8F3B22EC: "initrd", 0x8F3B22ED: "load options"}
"""The EFI stub's tags: INITRD_EVENT_TAG_ID and LOAD_OPTIONS_EVENT_TAG_ID."""


class _NotSo(Exception):
    """The data does not have the form that goes with the event's type."""


def event_words(event: TcgEvent) -> str:
    """One line about an event's data; as bytes where it does not have the form of its type."""
    words = _WORDS.get(event.event_type, _any)
    try:
        text = words(event.data)
    except (_NotSo, struct.error, ValueError):
        text = _any(event.data)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _any(data: bytes) -> str:
    """Text where it is some, else bytes."""
    try:
        return _text(data)
    except _NotSo:
        return _bytes(data)


def _bytes(data: bytes) -> str:
    if not data:
        return "no data"
    more = f"… {len(data):,} bytes" if len(data) > _SHOWN_BYTES else ""
    return f"{data[:_SHOWN_BYTES].hex()}{more}"


def _text(data: bytes) -> str:
    """ASCII in quotes, bytes where it is not."""
    text = data.rstrip(b"\0")
    if not text or any(byte < 0x20 or byte > 0x7E for byte in text):
        raise _NotSo
    return f"'{text.decode('ascii')}'"


def _unicode(data: bytes) -> str:
    """UCS-2 up to the first NUL, with what is not printable spelled out."""
    text = data[: len(data) & ~1].decode("utf-16-le", "replace").split("\0")[0]
    if not text:
        raise _NotSo
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "replace").decode("ascii") for each in text
    )


def _separator(data: bytes) -> str:
    """All zeros or ones: no error before the operating system; 1: an error."""
    if len(data) != 4:
        raise _NotSo
    return "an error happened" if data == b"\1\0\0\0" else f"separator {data.hex()}"


def _variable(data: bytes) -> str:
    """UEFI_VARIABLE_DATA."""
    guid, name_length, size = struct.unpack_from("<16sQQ", data)
    end = 32 + 2 * name_length
    if end + size > len(data):
        raise _NotSo
    return f"{_unicode(data[32:end])} of {guid_name(Guid(bytes_le=guid))}, {size:,} bytes"


def _image(data: bytes) -> str:
    """UEFI_IMAGE_LOAD_EVENT."""
    location, length, _, path_length = struct.unpack_from("<QQQQ", data)
    if path_length > len(data) - 32:
        raise _NotSo
    path = device_path_from_bytes(data[32 : 32 + path_length])
    where = "" if path is None else "/".join(node_text(node) for node in path.nodes)
    where = "".join(each if each.isprintable() else "?" for each in where)
    return f"{where or 'an image without a device path'}, {length:,} bytes at {location:#x}"


def _blob(data: bytes) -> str:
    """UEFI_PLATFORM_FIRMWARE_BLOB."""
    if len(data) != 16:
        raise _NotSo
    base, length = struct.unpack("<QQ", data)
    return f"{length:,} bytes at {base:#x}"


def _described(data: bytes) -> tuple[str, bytes]:
    size = data[0] if data else 0
    if not size or size > len(data) - 1:
        raise _NotSo
    return _text(data[1 : 1 + size]), data[1 + size :]


def _blob2(data: bytes) -> str:
    """UEFI_PLATFORM_FIRMWARE_BLOB2."""
    description, rest = _described(data)
    return f"{description}, {_blob(rest)}"


def _tables(data: bytes) -> str:
    """UEFI_HANDOFF_TABLE_POINTERS."""
    (count,) = struct.unpack_from("<Q", data)
    if count * 24 != len(data) - 8:
        raise _NotSo
    names = [
        guid_name(Guid(bytes_le=struct.unpack_from("<16s", data, 8 + 24 * number)[0]))
        for number in range(min(count, _MOST_TABLES))
    ]
    more = f" and {count - _MOST_TABLES} more" if count > _MOST_TABLES else ""
    return ", ".join(names) + more


def _tables2(data: bytes) -> str:
    """UEFI_HANDOFF_TABLE_POINTERS2."""
    description, rest = _described(data)
    return f"{description}: {_tables(rest)}"


def _tag(data: bytes) -> str:
    """TCG_PCClientTaggedEvent."""
    identifier, size = struct.unpack_from("<II", data)
    if size > len(data) - 8:
        raise _NotSo
    what = _TAGS.get(identifier, f"tag {identifier:#x}")
    return f"{what}: {_any(data[8 : 8 + size])}"


def _partitions(data: bytes) -> str:
    """UEFI_GPT_DATA: the table's header, and how many partitions follow."""
    if len(data) < 100 or data[:8] != b"EFI PART":
        raise _NotSo
    (count,) = struct.unpack_from("<Q", data, 92)
    return f"GPT of disk {str(Guid(bytes_le=data[56:72])).upper()}, partitions: {count}"


_WORDS: Final[dict[int, Callable[[bytes], str]]] = {
    Type.EV_SEPARATOR: _separator,
    Type.EV_ACTION: _text,
    Type.EV_EFI_ACTION: _text,
    Type.EV_POST_CODE: _text,
    Type.EV_S_CRTM_VERSION: _unicode,
    Type.EV_IPL: _text,
    Type.EV_EVENT_TAG: _tag,
    Type.EV_PLATFORM_CONFIG_FLAGS: _text,
    Type.EV_EFI_VARIABLE_DRIVER_CONFIG: _variable,
    Type.EV_EFI_VARIABLE_BOOT: _variable,
    Type.EV_EFI_VARIABLE_BOOT2: _variable,
    Type.EV_EFI_VARIABLE_AUTHORITY: _variable,
    Type.EV_EFI_BOOT_SERVICES_APPLICATION: _image,
    Type.EV_EFI_BOOT_SERVICES_DRIVER: _image,
    Type.EV_EFI_RUNTIME_SERVICES_DRIVER: _image,
    Type.EV_EFI_GPT_EVENT: _partitions,
    Type.EV_EFI_GPT_EVENT2: _partitions,
    Type.EV_EFI_PLATFORM_FIRMWARE_BLOB: _blob,
    Type.EV_EFI_PLATFORM_FIRMWARE_BLOB2: _blob2,
    Type.EV_EFI_HANDOFF_TABLES: _tables,
    Type.EV_EFI_HANDOFF_TABLES2: _tables2,
}
