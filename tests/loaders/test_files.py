"""What loaders read from the files: sizes, joined initrds, the kernel in a unified image."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.loaders.files import BootFiles, InitrdFile, KernelFile, join, joined_size
from tests.loaders.made import KERNELS, MadeImages


def initrd_files(*sizes: int) -> BootFiles:
    """A boot with initrds of so many bytes."""
    kernel = KernelFile("kernel", memoryview(b""), None, None)
    return BootFiles(kernel, [InitrdFile(str(number), memoryview(bytes(size))) for number, size in enumerate(sizes)])


@given(st.lists(st.integers(1, 100), max_size=8), st.sampled_from([1, 4, 512]))
def test_joined_parts_keep_their_order_and_leave_less_than_the_padding_between_them(
    sizes: list[int], padding: int
) -> None:
    pieces = join([memoryview(bytes(size)) for size in sizes], padding)
    end = 0
    for (offset, view), size in zip(pieces, sizes, strict=True):
        assert offset % padding == 0
        assert 0 <= offset - end < padding
        assert len(view) == size
        end = offset + size
    assert joined_size(pieces) == end


def test_the_last_initrd_is_not_padded() -> None:
    assert initrd_files(5, 6).initrd_size == 14
    assert initrd_files().initrd_size == 0


def test_a_kernel_without_efi_side_has_no_image_and_no_buffer(made_without_pe: Path) -> None:
    with open_boot_files(made_without_pe) as opened:
        kernel = opened.boot.kernel
        assert kernel.pe is None
        assert kernel.linux is not None
        assert (kernel.image_pages_size, kernel.kernel_buffer_size) == (0, 0)


@pytest.mark.parametrize("name", ["6.12-cloud", "6.1", "5.10", "4.19"])
def test_the_buffer_follows_the_stubs_generation(made: MadeImages, name: str) -> None:
    with open_boot_files(made.kernel(name)) as opened:
        sizes = KERNELS[name]
        rounded = -(-sizes.output_len // 0x200000) * 0x200000
        expected = rounded if name.startswith("6") else sizes.init_size
        assert opened.boot.kernel.kernel_buffer_size == expected


def test_a_unified_kernel_image_carries_the_kernel_in_it(made: MadeImages, made_uki: Path) -> None:
    with open_boot_files(made_uki) as opened:
        kernel = opened.boot.kernel
        assert kernel.linux is None
        assert kernel.inner is not None
        assert kernel.inner.size == KERNELS["6.12-cloud"].size
        assert bytes(kernel.section(".cmdline") or b"") == b"nokaslr quiet"
        assert kernel.section(".dtb") is None
