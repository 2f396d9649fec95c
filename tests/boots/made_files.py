"""Made kernels and initrds with the sizes of real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tdvfsh.boots.open_files import OpenedFiles, open_boot_files
from tdvfsh.images.make import make_initrd, make_kernel

Opener = Callable[..., OpenedFiles]

CLOUD_6_12 = {"size": 11_708_352, "init_size": 0x37DD000, "size_of_image": 0xB90000, "output_len": 0x36E802C}
INSTALLER_INITRD = 40_723_557


@pytest.fixture(scope="session")
def cloud_kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel with the sizes of Debian's 6.12.107-cloud."""
    path = tmp_path_factory.mktemp("kernel") / "vmlinuz"
    make_kernel(
        path,
        CLOUD_6_12["size"],
        CLOUD_6_12["init_size"],
        size_of_image=CLOUD_6_12["size_of_image"],
        output_len=CLOUD_6_12["output_len"],
    )
    return path


@pytest.fixture
def opened(cloud_kernel: Path, tmp_path: Path) -> Iterator[Opener]:
    """Open the cloud kernel with an initrd of so many bytes, plain cpio, and a command line."""
    with ExitStack() as stack:

        def open_files(initrd_size: int = 0, cmdline: str = "nokaslr") -> OpenedFiles:
            initrds = []
            if initrd_size:
                initrd = tmp_path / f"{initrd_size}.cpio"
                make_initrd(initrd, initrd_size, None)
                initrds.append(initrd)
            return stack.enter_context(open_boot_files(cloud_kernel, initrds, cmdline))

        yield open_files
