"""The event log that a TD's firmware keeps in memory, found as an operating system finds it: by the CCEL ACPI table.

Everything on the way is the guest's: no address and no length in it is believed beyond RAM.

Source: ACPI 6.5 5.2.5 (RSDP), 5.2.8 (XSDT), 5.2.34 (CCEL); UEFI 2.10 4.3 and 4.6 (configuration table).
"""

from __future__ import annotations

import struct

from tdvfsh.engine.board.board import Board
from tdvfsh.formats.tcg.event_log import MOST
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import EFI_ACPI_20_TABLE_GUID

_ENTRY_COUNT: Final = 0x68
_MOST_ENTRIES: Final = 256
_MOST_TABLES: Final = 256
_HEADER_SIZE: Final = 36
_TDX: Final = 2
_CCEL: Final = struct.Struct("<36xBBHQQ")


def read_event_log(board: Board, system_table: int) -> bytes | None:
    """The log's area, None where firmware has none.

    Args:
        board: Where the firmware runs.
        system_table: Address of its system table.
    """
    for address in _tables(board, system_table):
        header = _read(board, address, _CCEL.size)
        if header is None or header[:4] != b"CCEL":
            continue
        kind, _, _, size, start = _CCEL.unpack(header)
        if kind == _TDX and 0 < size <= MOST:
            return _read(board, start, size)
    return None


def _tables(board: Board, system_table: int) -> list[int]:
    """Addresses of the ACPI tables that the XSDT lists."""
    entries = _read(board, system_table + _ENTRY_COUNT, 16)
    if entries is None:
        return []
    count, start = struct.unpack("<QQ", entries)
    table = _read(board, start, 24 * min(count, _MOST_ENTRIES)) or b""
    found = [
        struct.unpack_from("<Q", table, at + 16)[0]
        for at in range(0, len(table), 24)
        if table[at : at + 16] == EFI_ACPI_20_TABLE_GUID.bytes_le
    ]
    rsdp = _read(board, found[0], _HEADER_SIZE) if found else None
    if rsdp is None:
        return []
    xsdt = struct.unpack_from("<Q", rsdp, 24)[0]
    header = _read(board, xsdt, _HEADER_SIZE)
    if header is None or header[:4] != b"XSDT":
        return []
    size = min(struct.unpack_from("<I", header, 4)[0] - _HEADER_SIZE, 8 * _MOST_TABLES)
    body = _read(board, xsdt + _HEADER_SIZE, size & ~7) if size > 0 else None
    return [] if body is None else [each for (each,) in struct.iter_unpack("<Q", body)]


def _read(board: Board, address: int, size: int) -> bytes | None:
    """Bytes of RAM, None where they are not all accepted."""
    return board.ram.read_physical(address, size)
