"""Unified kernel images whose sections overwrite each other, and what QEMU does not start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.errors import UsageError
from tdvfsh.formats.pe.layout import SECTION_HEADER
from tdvfsh.units import MIB
from tests.loaders.made import MadeImages

Run = Callable[..., BootResult]


def _move(image: Path, name: bytes, by: int, copy: Path) -> Path:
    """A copy in which a section lies ``by`` bytes from where it was."""
    data = bytearray(image.read_bytes())
    at = data.index(name.ljust(8, b"\0"))
    fields = list(SECTION_HEADER.unpack_from(data, at))
    fields[2] += by
    SECTION_HEADER.pack_into(data, at, *fields)
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize("loader", ["direct", "grub2.12", "sd-boot"])
def test_a_kernel_that_another_section_overwrites_does_not_boot(
    run: Run, made: MadeImages, tmp_path: Path, loader: str
) -> None:
    good = made.uki("6.12-cloud", 2 * MIB, "nokaslr")
    assert run(loader, kernel=good, cmdline="").booted
    bad = run(loader, kernel=_move(good, b".initrd", -3 * MIB, tmp_path / "bad.efi"), cmdline="")
    assert not bad.booted
    assert bad.stage == "load_kernel"
    assert bad.failure is not None
    assert ".initrd overwrites 0x200000 bytes of .linux in memory" in bad.failure.why


def test_a_damaged_initrd_is_told_and_the_kernel_starts(run: Run, made: MadeImages, tmp_path: Path) -> None:
    uki = made.uki("6.12-cloud", 2 * MIB, "nokaslr")
    data = bytearray(uki.read_bytes())
    at = data.index(b".cmdline")
    moved = SECTION_HEADER.unpack_from(data, data.index(b".initrd\0"))[2]
    fields = list(SECTION_HEADER.unpack_from(data, at))
    fields[2] = moved
    SECTION_HEADER.pack_into(data, at, *fields)
    copy = tmp_path / "damaged.efi"
    copy.write_bytes(data)
    result = run("direct", kernel=copy, cmdline="")
    assert result.booted
    assert any("a damaged .cmdline" in message for message in result.messages)


def test_qemu_takes_no_initrd_with_a_unified_kernel_image(run: Run, made: MadeImages) -> None:
    uki = made.uki("6.12-cloud", 2 * MIB, "nokaslr")
    with pytest.raises(UsageError, match="too old to load a ram disk"):
        run("direct", 1 * MIB, kernel=uki, cmdline="")
    assert run("direct", kernel=uki, cmdline="").booted
    assert run("grub2.12", 1 * MIB, kernel=uki, cmdline="").booted
