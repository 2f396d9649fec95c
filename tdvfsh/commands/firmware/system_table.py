"""What ``dmem`` says of EFI_SYSTEM_TABLE.

Source: edk2 ShellPkg/Library/UefiShellDebug1CommandsLib/Dmem.c; UEFI 2.10 4.3 and 4.6.
"""

from __future__ import annotations

import struct

from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import (
    EFI_ACPI_20_TABLE_GUID,
    EFI_ACPI_TABLE_GUID,
    EFI_HII_DATABASE_PROTOCOL_GUID,
    EFI_MEMORY_ATTRIBUTES_TABLE_GUID,
    SMBIOS3_TABLE_GUID,
    Guid,
)

SIZE: Final = 120
"""Bytes of EFI_SYSTEM_TABLE."""

_TABLE: Final = struct.Struct("<8sIIIIQI4xQQQQQQQQQQ")
_TABLES: Final[tuple[tuple[str, tuple[Guid, ...]], ...]] = (
    ("SAL System Table", (Guid("eb9d2d32-2d88-11d3-9a16-0090273fc14d"),)),
    ("ACPI Table", (EFI_ACPI_TABLE_GUID,)),
    ("ACPI 2.0 Table", (EFI_ACPI_20_TABLE_GUID,)),
    ("MPS Table", (Guid("eb9d2d2f-2d88-11d3-9a16-0090273fc14d"),)),
    ("SMBIOS Table", (Guid("eb9d2d31-2d88-11d3-9a16-0090273fc14d"), SMBIOS3_TABLE_GUID)),
    ("DTB Table", (Guid("b1b621d5-f19c-41a5-830b-d9152c69aae0"),)),
    ("Memory Attribute Table", (EFI_MEMORY_ATTRIBUTES_TABLE_GUID,)),
    ("RT Properties Table", (Guid("eb66918a-7eef-402a-842e-931d21c38ae9"),)),
    ("System Resource Table", (Guid("b122a263-3661-4f68-9929-78f8b0d62180"),)),
    ("Debug Image Info Table", (Guid("49152e77-1ada-4764-b7a2-7afefed95e8b"),)),
    ("Image Execution Info Table", (Guid("d719b2cb-3d3a-4596-a3bc-dad00e67656f"),)),
    ("Json Config Data Table", (Guid("87367f87-1119-41ce-aaec-8be01101f558"),)),
    ("Json Capsule Data Table", (Guid("35e7a725-8dd2-4cac-8011-33cda8109056"),)),
    ("Json Capsule Results Table", (Guid("dbc461c3-b3de-422a-b9b4-9886fd49a1e5"),)),
    ("Memory Range Capsule", (Guid("0de9f0ec-88b6-428f-977a-258f1d0e5e72"),)),
    ("Hii Database Export Buffer", (EFI_HII_DATABASE_PROTOCOL_GUID,)),
    ("Conformance Profile Table", (Guid("36122546-f7e7-4c8f-bd9b-eb8525b50c0b"),)),
)


def system_table_text(address: int, data: bytes, tables: dict[Guid, int]) -> str:
    """The lines after the bytes.

    Args:
        address: Where the table lies.
        data: Its ``SIZE`` bytes.
        tables: Addresses of the configuration tables.
    """
    _, revision, size, _, _, _, _, *fields = _TABLE.unpack_from(data)
    _, con_in, _, con_out, _, std_err, runtime_services, boot_services, _, _ = fields
    rows = [("Runtime Services", runtime_services), ("Boot Services", boot_services)]
    rows += [(name, next((tables[guid] for guid in guids if guid in tables), 0)) for name, guids in _TABLES]
    return (
        f"\nValid EFI Header at Address {address:016X}\n{'-' * 45}\n"
        f"System: Table Structure size {size:08X} revision {revision:08X}\n"
        f"ConIn ({con_in:016X}) ConOut ({con_out:016X}) StdErr ({std_err:016X})\n"
        + "".join(f"{name:<30}{where:016X}\n" for name, where in rows)
    )
