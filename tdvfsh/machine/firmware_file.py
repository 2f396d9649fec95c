"""Which recorded firmware a real OVMF or TDVF file is, and what its TDX metadata has the VMM add.

Source: edk2 OvmfPkg/OvmfPkgX64.fdf and OvmfPkg/IntelTdx/IntelTdxX64.fdf (where SEC's temporary RAM lies); Debian's
ovmf 2022.11, 2025.02 and 2026.08 and ovmf-inteltdx 2026.08.
"""

from __future__ import annotations

from tdvfsh.formats.firmware_volume import INTEL_TDX_SEC_GUID, security_core
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.formats.tdvf import TdvfMetadata, TdvfSectionType, parse_tdvf
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.memory import AddressSpan

_IN_RAM: Final = (TdvfSectionType.TD_HOB, TdvfSectionType.TempMem)
_TEMPORARY_RAM: Final = {0x810000: "ovmf-2022.11", 0x811000: "ovmf-2025.02", 0x814000: "ovmf-2026.08"}
"""Base of SEC's and PEI's temporary RAM in OvmfPkgX64, by the release that moved it there."""
_OTHER: Final = "ovmf-2026.08"
_ON_THE_BOARD: Final = {"inteltdx": "inteltdx-q35"}
"""Footprints of TDs on the board of ``tdvfsh firmware run``, where the name has those of another board."""


@dataclass(frozen=True, slots=True)
class FirmwareFacts:
    """What a firmware file says about the TD it makes.

    Attributes:
        path: The file.
        model: Name of the recorded firmware that it is.
        why: The evidence in the file.
        added: Sections in RAM that the VMM adds, ascending.
        td_hob: The TD_HOB section; None where the metadata has none.
    """

    path: str
    model: str
    why: str
    added: tuple[AddressSpan, ...]
    td_hob: AddressSpan | None

    def footprint(self, td: bool) -> str:
        """Name of the recorded footprint that goes with the file: in a TD that of the board on which the file runs."""
        return _ON_THE_BOARD.get(self.model, self.model) if td else self.model


def read_firmware(path: str) -> FirmwareFacts:
    """Read a firmware file.

    Raises:
        HostError: It cannot be read.
        FormatError: It has no TDX metadata, or metadata that QEMU refuses.
    """
    with open_mapped(path) as mapped:
        metadata = parse_tdvf(mapped.view, path)
        core = security_core(mapped.view, path)
    model, why = _model_of(metadata, None if core is None else core.name == INTEL_TDX_SEC_GUID)
    in_ram = sorted(
        AddressSpan(section.memory_address, section.memory_end)
        for section in metadata.sections
        if section.type in _IN_RAM and section.memory_data_size
    )
    td_hobs = metadata.of_type(TdvfSectionType.TD_HOB)
    td_hob = AddressSpan(td_hobs[0].memory_address, td_hobs[0].memory_end) if td_hobs else None
    return FirmwareFacts(path, model, why, tuple(in_ram), td_hob)


def _model_of(metadata: TdvfMetadata, without_pei: bool | None) -> tuple[str, str]:
    if without_pei:
        return "inteltdx", "its SEC core is IntelTdx's, which starts DXE without PEI"
    temporary = [
        section.memory_address
        for section in metadata.of_type(TdvfSectionType.TempMem)
        if section.memory_address in _TEMPORARY_RAM
    ]
    if without_pei is None and not temporary:
        return "inteltdx", "nothing in it tells its kind: neither a known SEC core nor OVMF's temporary RAM"
    core = "no known SEC core, but" if without_pei is None else "its SEC core is OvmfPkg's, with PEI, and"
    if not temporary:
        return _OTHER, f"{core} its temporary RAM lies at an unknown place: taken for the newest"
    return _TEMPORARY_RAM[temporary[0]], f"{core} its temporary RAM lies at {temporary[0]:#x}"
