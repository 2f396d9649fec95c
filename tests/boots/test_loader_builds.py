"""The user's own boot loader file: sizes, version and verifier of the flow come from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.boots.loader_builds import flow_names, flow_of
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.errors import UsageError
from tdvfsh.formats.boot_loader import read_boot_loader
from tdvfsh.machine import TdOptions
from tdvfsh.units import GIB, MIB
from tests.boots.made_files import Opener
from tests.formats.loader_builder import grub_file, sd_boot_file


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "loader.efi"


def test_the_image_has_the_size_of_the_users_grub(opened: Opener, write: Path) -> None:
    data = grub_file("2.12", modules=[f"module{number}" for number in range(400)])
    write.write_bytes(data)
    files = opened(MIB).boot
    own = boot(TdOptions(memory=GIB, loader="grub2.12", loader_file=str(write)), files)
    grub = next(entry for entry in own.placements if entry.what == "grub")
    assert grub.size == read_boot_loader(data, "").image_size
    assert own.booted
    assert own.machine.start.notes[0].startswith(f"{write}: GRUB 2.12 (debian), ")


@pytest.mark.parametrize(
    ("data", "loader", "measures"),
    [
        (grub_file("2.12"), "grub2.14", False),  # the file's version counts, not the flow's
        (grub_file("2.14"), "grub2.12", True),
        (grub_file("2.14", modules=["linux"]), "grub2.14", False),  # no TPM module in it
        (grub_file("2.12", "fedora"), "grub-rh", False),
    ],
)
def test_whether_it_measures_is_in_the_file(
    opened: Opener, write: Path, data: bytes, loader: str, measures: bool
) -> None:
    write.write_bytes(data)
    result = boot(
        TdOptions(memory=2 * GIB, accept="below-4g", loader=loader, loader_file=str(write)), opened(64 * MIB).boot
    )
    assert result.booted
    assert (
        sum(entry.size for entry in result.placements if entry.what in ("heap", "measured_file")) > 96 * MIB
    ) is measures


@pytest.mark.parametrize(
    ("data", "loader", "instead"),
    [
        (grub_file("2.06"), "grub2.12", "grub2.06"),
        (grub_file("2.12"), "grub2.06", "grub2.12"),
        (grub_file("2.12", modules=["peimage"]), "direct", "grub2.12-debian"),
        (grub_file("2.12", "rh"), "sd-boot", "grub-rh"),
        (sd_boot_file("262.1"), "grub2.12", "sd-boot262"),
        (sd_boot_file("257.4"), "direct", "sd-boot256.7"),
        (sd_boot_file("252.39"), "direct", "sd-boot256"),
        (sd_boot_file("259"), "direct", "sd-boot"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_the_flow_that_fits(
    write: Path, data: bytes, loader: str, instead: str
) -> None:
    with pytest.raises(UsageError, match=f"use --loader {instead}$"):
        flow_of(loader, read_boot_loader(data, str(write)))
    flow_of(instead, read_boot_loader(data, str(write)))


def test_every_flow_has_a_name() -> None:
    assert len(set(flow_names())) == len(flow_names())
    for name in flow_names():
        assert callable(flow_of(name, None))
