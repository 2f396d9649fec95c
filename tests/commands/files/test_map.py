"""``map``: a partition's device path is shown as the firmware's generation shows it.

Real Shells over a disk with partitions: OVMF 2022.11 prints start and size, 2025.02 does not; what programs get is held
to the same in tests/engine/protocols/test_texts.py.
"""

from __future__ import annotations

import pytest

from tdvfsh.machine import TdOptions
from tdvfsh.shell.drives.memoryfiles import MemoryFileSystem
from tdvfsh.uefi.device_path import HardDrive
from tdvfsh.uefi.guid import Guid
from tests.shell.under_test import ShellUnderTest

ESP = Guid("74647666-7368-4469-8b00-657370000001")
DISK = "PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x1,0xFFFF,0x0)"
SHORT = "HD(1,GPT,74647666-7368-4469-8B00-657370000001)"
LONG = "HD(1,GPT,74647666-7368-4469-8B00-657370000001,0x800,0x8000)"


@pytest.mark.parametrize(("profile", "text"), [("sid", SHORT), ("trixie", SHORT), ("bookworm", LONG)])
def test_a_partition_has_its_start_and_size_where_that_firmware_prints_them(
    under_test: ShellUnderTest, profile: str, text: str
) -> None:
    under_test.shell.td_options = TdOptions(profile=profile)
    partition = HardDrive(number=1, start=0x800, size=0x8000, signature=ESP.bytes_le, form=2, signature_type=2)
    under_test.shell.mount(MemoryFileSystem("ESP"), partition=partition)
    assert f"          {DISK}/{text}\n" in under_test.run("map")
    assert f'Mappings,"FS1:","{DISK}/{text}",""\n' in under_test.run("map -sfo")
    assert under_test.shell.machine is None  # a TD that does not start has drives all the same
