"""What the EFI file of a boot loader says of itself."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.errors import FormatError
from tdvfsh.formats.boot_loader import GRUB, SYSTEMD_BOOT, read_boot_loader
from tests.formats.loader_builder import grub_file, sd_boot_file
from tests.formats.pe_builder import build_pe


def test_a_grub_tells_version_vendor_and_modules() -> None:
    data = grub_file("2.06", "ubuntu", ("linux", "peimage", "tpm"))
    file = read_boot_loader(data, "grubx64.efi")
    assert (file.kind, file.version, file.vendor, file.name) == (GRUB, (2, 6), "ubuntu", "GRUB 2.06 (ubuntu)")
    assert file.modules == {"linux", "peimage", "tpm"}
    assert file.prefix == "/EFI/grub"
    assert (file.file_size, file.image_size) == (len(data), 0x3000)


def test_a_systemd_boot_tells_its_version() -> None:
    file = read_boot_loader(sd_boot_file("256.7"), "BOOTX64.EFI")
    assert (file.kind, file.version, file.name) == (SYSTEMD_BOOT, (256, 7), "systemd-boot 256.7")


@pytest.mark.parametrize(
    ("data", "why"), [(build_pe(), "neither GRUB's 'mods' nor"), (b"text", "not the EFI file of a boot loader")]
)
def test_anything_else_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        read_boot_loader(data, "file")


@given(st.data())
def test_damage_is_an_error_or_a_loader_but_never_more(data: st.DataObject) -> None:
    whole = bytearray(grub_file())
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0x400, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(FormatError):
        read_boot_loader(bytes(whole[: data.draw(st.integers(0, len(whole)))]), "file")
