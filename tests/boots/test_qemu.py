"""What QEMU refuses before any firmware runs."""

from __future__ import annotations

import pytest

from tdvfsh.boots.compare import compare
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.boots.qemu import check_initrd
from tdvfsh.errors import UsageError
from tdvfsh.machine import TdOptions
from tdvfsh.td.ram import RamLayout
from tdvfsh.units import GIB, MIB
from tests.boots.made_files import Opener

OBSERVED = [(128 * MIB, 134_053_887), (512 * MIB, 512 * MIB - 163_841), (4 * GIB, 2 * GIB - 163_841)]


@pytest.mark.parametrize(("memory", "limit"), OBSERVED)
def test_an_initrd_must_be_smaller_than_low_ram_less_the_acpi_tables(opened: Opener, memory: int, limit: int) -> None:
    ram = RamLayout.q35(memory)
    check_initrd(ram, opened(limit - 1).boot)
    with pytest.raises(UsageError, match=f"must be smaller than {limit:,} bytes"):
        check_initrd(ram, opened(limit).boot)


def test_only_direct_boot_hands_the_initrd_to_qemu(opened: Opener) -> None:
    files = opened(600 * MIB).boot
    for loader in ("direct", "direct-legacy"):
        with pytest.raises(UsageError, match="QEMU does not start"):
            boot(TdOptions(memory=512 * MIB, loader=loader), files)
    assert not boot(TdOptions(memory=512 * MIB, loader="grub2.12"), files).booted


def test_a_comparison_goes_on_past_it(opened: Opener) -> None:
    rows = list(
        compare(TdOptions(memory=512 * MIB), opened(600 * MIB).boot, ["eager"], ["none"], ["direct", "grub2.12"])
    )
    assert rows[0].result is None
    assert "QEMU does not start" in (rows[0].refusal or "")
    assert rows[1].result is not None
