"""SMBIOS of a TD: the 64-bit entry point and the structures that every machine has, said as plainly as may be.

Kernels print vendor, product and firmware version from here ("DMI: ...") and read the firmware's year; nothing else
decides anything. Texts and the date are fixed, so that the same TD always has the same bytes.

Source: SMBIOS 3.0 (DSP0134): 5.2.2 (entry point), 6.1 (structures), chapter 7 (each type); the set of types is that of
QEMU's hw/smbios/smbios.c.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.units import KIB, MIB

VENDOR: Final = "tdvfsh"
PRODUCT: Final = "Virtual trust domain"
FIRMWARE_VERSION: Final = "modelled"
FIRMWARE_DATE: Final = "02/02/2022"  # the date that edk2 uses where its build sets none; kernels parse the year

_ENTRY_POINT_SIZE: Final = 24
_ALIGNMENT: Final = 16
_STRUCTURES_OFFSET: Final = 32
_CHECKSUM_OFFSET: Final = 5
_VERSION: Final = (3, 0, 0)
_NOT_SUPPORTED: Final = 1 << 3  # BIOS characteristics: this field says nothing
_UEFI_AND_VIRTUAL_MACHINE: Final = 1 << 3 | 1 << 4
_UNKNOWN, _OTHER = 2, 1
_SAFE: Final = 3
_POWER_SWITCH: Final = 6
_CENTRAL_PROCESSOR: Final = 3
_POPULATED_AND_ENABLED: Final = 0x41
_CAPABLE_OF_64_BITS: Final = 1 << 2
_SYSTEM_MEMORY: Final = 3
_NO_ERROR_CORRECTION: Final = 3
_NO_ERROR_HANDLE: Final = 0xFFFE
_NO_HANDLE: Final = 0xFFFF
_UNKNOWN_WIDTH: Final = 0xFFFF
_DIMM: Final = 9
_RAM: Final = 7
_MANY_COUNT: Final = 0xFF
_LARGEST_COUNT: Final = 0xFFFE
_MANY_MIB: Final = 0x7FFF
_MANY_KIB: Final = 0x80000000
_MANY_ADDRESS: Final = 0xFFFFFFFF
_PROCESSOR_HANDLE, _ARRAY_HANDLE, _DEVICE_HANDLE, _RANGE_HANDLE = 0x400, 0x1000, 0x1100, 0x1300


class Maker(NamedTuple):
    """Texts that name a machine's maker; the version is a tuple of one text, or empty."""

    vendor: str
    product: str
    version: tuple[str, ...] = ()


_OURS: Final = Maker(VENDOR, PRODUCT)
_QEMU: Final = Maker("QEMU", "Standard PC (Q35 + ICH9, 2009)", ("pc-q35-7.2",))  # whose maps are recorded


class SmbiosTables(NamedTuple):
    """The tables as one piece of memory.

    Attributes:
        data: Whole pages, to stand at the ``base`` of :func:`smbios_tables`.
        entry_point: Address of the entry point, for the SMBIOS 3 configuration table.
    """

    data: bytes
    entry_point: int


def smbios_tables(
    base: int, memory: int, vcpus: int, ram: Sequence[AddressSpan] = (), *, as_qemu: bool = False
) -> SmbiosTables:
    """The tables of a TD, for a place in memory.

    Args:
        base: Physical address of the first byte: a multiple of 16.
        memory: Bytes of RAM.
        vcpus: Number of vCPUs, all in one socket.
        ram: Where the RAM lies; in one span from 0 where nothing is given.
        as_qemu: As QEMU passes them to firmware: it says who made the machine, and leaves it to the firmware to say
            who made that.

    Raises:
        ValueError: ``base`` is not a multiple of 16, or there is no memory or no vCPU.
    """
    if base % _ALIGNMENT or memory < 1 or vcpus < 1:
        raise ValueError(f"no tables for {vcpus} vCPUs and {memory} bytes at {base:#x}")
    spans = ram or (AddressSpan(0, memory),)
    maker = _QEMU if as_qemu else _OURS
    structures = b"".join(
        (
            b"" if as_qemu else _firmware(),
            _system(maker),
            _chassis(maker),
            _processor(vcpus, maker),
            _memory_array(memory),
            _memory_device(memory, maker),
            *(_mapped_range(_RANGE_HANDLE + number, span) for number, span in enumerate(spans)),
            _structure(32, 0x2000, bytes(7)),
            _structure(127, 0x7F00, b""),
        )
    )
    data = _entry_point(base + _STRUCTURES_OFFSET, len(structures)).ljust(_STRUCTURES_OFFSET, b"\0") + structures
    return SmbiosTables(data, base)


def _entry_point(structures: int, size: int) -> bytes:
    entry = struct.pack("<5sBBBBBBBIQ", b"_SM3_", 0, _ENTRY_POINT_SIZE, *_VERSION, 1, 0, size, structures)
    return entry[:_CHECKSUM_OFFSET] + bytes([-sum(entry) & 0xFF]) + entry[_CHECKSUM_OFFSET + 1 :]


def _structure(kind: int, handle: int, fields: bytes, *texts: str) -> bytes:
    """A structure: header, fields, and the texts that fields name by 1, 2, 3 and so on; 0 names none."""
    strings = b"".join(text.encode("ascii") + b"\0" for text in texts) or b"\0"
    return struct.pack("<BBH", kind, 4 + len(fields), handle) + fields + strings + b"\0"


def _firmware() -> bytes:
    fields = struct.pack("<BBHBBQBBBBBB", 1, 2, 0, 3, 0, _NOT_SUPPORTED, 0, _UEFI_AND_VIRTUAL_MACHINE, 0, 0, 0xFF, 0xFF)
    return _structure(0, 0x000, fields, VENDOR, FIRMWARE_VERSION, FIRMWARE_DATE)


def _system(maker: Maker) -> bytes:
    version = 3 if maker.version else 0
    fields = struct.pack("<BBBB16sBBB", 1, 2, version, 0, bytes(16), _POWER_SWITCH, 0, 0)
    return _structure(1, 0x100, fields, maker.vendor, maker.product, *maker.version)


def _chassis(maker: Maker) -> bytes:
    states = (_SAFE, _SAFE, _SAFE, _UNKNOWN)  # boot-up, power supply, thermal, security
    version = 2 if maker.version else 0
    fields = struct.pack("<BBBBBBBBBIBBBBB", 1, _OTHER, version, 0, 0, *states, 0, 0, 0, 0, 0, 0)
    return _structure(3, 0x300, fields, maker.vendor, *maker.version)


def _processor(vcpus: int, maker: Maker) -> bytes:
    few, count = min(vcpus, _MANY_COUNT), min(vcpus, _LARGEST_COUNT)
    version = 3 if maker.version else 0
    fields = struct.pack(
        "<BBBBQBBHHHBBHHHBBBBBBHHHHH",
        1, _CENTRAL_PROCESSOR, _OTHER, 2, 0, version, 0, 0, 0, 0, _POPULATED_AND_ENABLED, _OTHER,
        _NO_HANDLE, _NO_HANDLE, _NO_HANDLE, 0, 0, 0, few, few, few, _CAPABLE_OF_64_BITS, _OTHER,
        count, count, count,
    )  # fmt: skip
    return _structure(4, _PROCESSOR_HANDLE, fields, "CPU 0", maker.vendor, *maker.version)


def _memory_array(memory: int) -> bytes:
    kib = memory // KIB
    capacity, extended = (kib, 0) if kib < _MANY_KIB else (_MANY_KIB, memory)
    fields = struct.pack(
        "<BBBIHHQ", _OTHER, _SYSTEM_MEMORY, _NO_ERROR_CORRECTION, capacity, _NO_ERROR_HANDLE, 1, extended
    )
    return _structure(16, _ARRAY_HANDLE, fields)


def _memory_device(memory: int, maker: Maker) -> bytes:
    mib = memory // MIB
    size, extended = (mib, 0) if mib < _MANY_MIB else (_MANY_MIB, mib)
    fields = struct.pack(
        "<HHHHHBBBBBHHBBBBBIHHHH",
        _ARRAY_HANDLE, _NO_ERROR_HANDLE, _UNKNOWN_WIDTH, _UNKNOWN_WIDTH, size, _DIMM, 0, 1, 0, _RAM, 1 << 1, 0,
        2, 0, 0, 0, 0, extended, 0, 0, 0, 0,
    )  # fmt: skip
    return _structure(17, _DEVICE_HANDLE, fields, "DIMM 0", maker.vendor)


def _mapped_range(handle: int, span: AddressSpan) -> bytes:
    first, last = span.start // KIB, (span.end - 1) // KIB
    if last < _MANY_ADDRESS:
        fields = struct.pack("<IIHBQQ", first, last, _ARRAY_HANDLE, 1, 0, 0)
    else:
        fields = struct.pack("<IIHBQQ", _MANY_ADDRESS, _MANY_ADDRESS, _ARRAY_HANDLE, 1, span.start, span.end - 1)
    return _structure(19, handle, fields)
