"""Debian's own kernels, unpacked by the host in place of their stubs: the buffer is the same to the last byte."""

from __future__ import annotations

import pytest

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
from tdvfsh.engine.runs.verify_shortcut import BUFFER, verify_shortcut
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.machine import TdOptions
from tdvfsh.units import GIB
from tests.engine.runs.test_real_programs import image

pytestmark = [pytest.mark.images, pytest.mark.xdist_group("real kernels")]
SECONDS = 400  # of a machine that does much else
OPTIONS = TdOptions(cost="kvm-2m", memory=2 * GIB)


@pytest.mark.parametrize(
    ("kernel", "function", "calls"),
    [
        ("kernel-7-cloud", "zstd_decompress_dctx", 1),
        ("kernel-6.1", "xz_dec_run", 1),
        ("kernel-6.1-cloud", "LZ4_decompress_fast", 7),
    ],
)
def test_at_the_kernel_s_first_instruction_nothing_tells_who_unpacked_it(
    kernel: str, function: str, calls: int
) -> None:
    options = OPTIONS
    with open_boot_files(image(kernel, "kernel"), [], "nokaslr") as opened:
        slow = boot_on_cpu(options, opened.boot, time_limit=SECONDS)
        result = verify_shortcut(slow, options, opened.boot, time_limit=SECONDS)
        size = opened.boot.kernel.kernel_buffer_size
        unpacked = opened.boot.kernel.linux.output_len if opened.boot.kernel.linux is not None else None
    assert result.differences == ()
    assert result.agrees
    assert result.agreed[BUFFER] == size > 0
    shortcut = result.fast.shortcut
    assert shortcut is not None
    assert (shortcut.function, shortcut.calls, shortcut.unpacked_bytes) == (function, calls, unpacked)


@pytest.mark.parametrize("kernel", ["kernel-6.12", "kernel-6.18-cloud"])
def test_other_kernels_are_unpacked_by_the_host_too(kernel: str) -> None:
    with open_boot_files(image(kernel, "kernel"), [], "console=ttyS0") as opened:
        result = boot_on_cpu(OPTIONS, opened.boot, time_limit=SECONDS, fast_decompress=True)
    assert result.booted
    assert result.shortcut is not None
    assert result.shortcut.taken


def test_behind_grub_which_loads_the_kernel_without_the_firmware_it_is_the_same() -> None:
    grub = open_mapped(image("grub-2.12", "efi")).view
    with open_boot_files(image("kernel-6.12-cloud", "kernel"), [], "nokaslr") as opened:
        result = boot_on_cpu(OPTIONS, opened.boot, grub=grub, time_limit=SECONDS, fast_decompress=True)
    assert result.booted
    assert result.shortcut is not None
    assert result.shortcut.taken
