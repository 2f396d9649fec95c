"""Every image that was put before real firmware gets the verdict that real firmware gave."""

from __future__ import annotations

import pytest

from tdvfsh.formats.mapped import open_mapped
from tdvfsh.formats.pe.load import load_pe
from tdvfsh.formats.pe.parse import PeImage, PeRejection, parse_pe
from tdvfsh.formats.pe.relocate import relocate_pe
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.formats.dxe_log import IMAGES, RecordedLoad, recorded_loads

LOGS = ("trixie-512M.log", "bookworm-512M.log")
X64_CORE_LOADS = {0x14C, 0x8664, 0xEBC}
SUBSYSTEMS_UNTIL_2025 = {10, 11, 12, 13}
FREE_ADDRESS = 0x8000000
FREE_BYTES = 448 << 20  # the largest hole of a 512 MiB machine
LOADS = [pytest.param(load, id=f"{log.split('-')[0]}-{load.name}") for log in LOGS for load in recorded_loads(log)]


def load_as_firmware(load: RecordedLoad) -> tuple[EfiStatus, PeImage | PeRejection]:
    """CoreLoadPeImage in a few lines: what the DXE core adds to the PE loader's own checks."""
    with open_mapped(IMAGES / load.name) as file:
        pe = parse_pe(file.view)
        if isinstance(pe, PeRejection):
            return pe.status, pe
        if pe.machine not in X64_CORE_LOADS or pe.subsystem not in SUBSYSTEMS_UNTIL_2025:
            return EfiStatus.EFI_UNSUPPORTED, pe
        address = load.image_base or FREE_ADDRESS
        if pe.relocations_stripped and address != pe.image_base:
            return EfiStatus.EFI_NOT_FOUND, pe
        if pe.image_size > FREE_BYTES:
            return EfiStatus.EFI_OUT_OF_RESOURCES, pe
        if pe.section_alignment == 0:
            address = 0  # the core's align-up mask is 0 then
        placed = load_pe(pe, file.view, address, pe.image_size)
        if isinstance(placed, PeRejection):
            return placed.status, placed
        fixups = relocate_pe(pe, file.view, address - pe.image_base)
        if isinstance(fixups, PeRejection):
            return fixups.status, fixups
        return SUCCESS, pe


@pytest.mark.parametrize("load", LOADS)
def test_image_gets_the_recorded_status_and_size(load: RecordedLoad) -> None:
    status, verdict = load_as_firmware(load)
    assert status is EfiStatus.from_name(load.status), verdict
    if load.status == "SUCCESS":
        assert isinstance(verdict, PeImage)
        assert verdict.image_size == load.image_size


def test_all_recorded_images_are_here() -> None:
    recorded = {load.name for log in LOGS for load in recorded_loads(log)}
    assert recorded == {path.name for path in IMAGES.iterdir()}
    assert len(recorded) > 130
