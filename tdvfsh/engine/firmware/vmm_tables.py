"""The ACPI tables of a real VMM, as fw_cfg files for a run: firmware measures these bytes into RTMR0.

A guest of that VMM has them in ``/sys/firmware/qemu_fw_cfg/by_name/etc``: ``acpi/tables/raw``, ``acpi/rsdp/raw`` and
``table-loader/raw``. All three may be given, in a folder laid out like that one or with the plain names; from the
tables alone the other two are made as QEMU makes them.

Source: QEMU hw/acpi/aml-build.c (build_fadt, build_rsdt, build_rsdp), hw/acpi/bios-linker-loader.c.
"""

from __future__ import annotations

from pathlib import Path

from tdvfsh.engine.firmware.table_loader import LOADER, RSDP, TABLES, linked_by_qemu
from tdvfsh.errors import FormatError, UsageError, host_error
from tdvfsh.lazy_typing import Final
from tdvfsh.units import MIB

_LARGEST: Final = 4 * MIB
_COMMAND_SIZE: Final = 128
_LAST_COMMAND: Final = 4
_PLACES: Final = {
    TABLES: ("acpi/tables/raw", "acpi/tables", "tables"),
    RSDP: ("acpi/rsdp/raw", "acpi/rsdp", "rsdp"),
    LOADER: ("table-loader/raw", "table-loader"),
}


def read_vmm_tables(path: str) -> dict[str, bytes]:
    """The fw_cfg files of a VMM's ACPI tables.

    Args:
        path: The file ``etc/acpi/tables``, or a folder with the three.

    Raises:
        HostError: It cannot be read.
        UsageError: A folder that has no tables, or only one of the other two.
        FormatError: It does not hold ACPI tables, or no commands of a table loader.
    """
    if not Path(path).is_dir():
        return linked_by_qemu(_read(Path(path)), path)
    base = Path(path)
    base = base / "etc" if (base / "etc").is_dir() else base
    found = {}
    for name, places in _PLACES.items():
        place = next((base / each for each in places if (base / each).is_file()), None)
        if place is not None:
            found[name] = _read(place)
    if TABLES not in found:
        raise UsageError(f"--acpi {path}: no acpi/tables in this folder")
    if len(found) == 1:
        return linked_by_qemu(found[TABLES], path)
    for name in _PLACES:
        if name not in found:
            raise UsageError(f"--acpi {path}: {name} is missing, though the other two are there")
    _check_loader(found[LOADER], path)
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise host_error(path, error) from None
    if not data or len(data) > _LARGEST:
        raise FormatError(str(path), f"ACPI tables of {'no' if not data else f'more than {_LARGEST:,}'} bytes")
    return data


def _check_loader(data: bytes, path: str) -> None:
    """Commands of 128 bytes with a known number, and zeros after the last."""
    commands = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), _COMMAND_SIZE)]
    if len(data) % _COMMAND_SIZE or not commands[0] or max(commands) > _LAST_COMMAND:
        raise FormatError(path, "table-loader does not hold the commands of QEMU's table loader")
