"""A folder with a made kernel and initrd, and a shell over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.shell import Shell


@pytest.fixture(scope="session")
def made_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``linux`` and ``initrd.gz`` of the sizes of real ones."""
    folder = tmp_path_factory.mktemp("pair")
    make_kernel(folder / "linux", 12_000_000, 0x37DD000, size_of_image=0xB90000, output_len=0x36E802C)
    make_initrd(folder / "initrd.gz", 40_723_557, None)
    return folder


@pytest.fixture
def shell(made_pair: Path) -> Shell:
    """A shell with that folder as FS0:."""
    made = Shell()
    made.mount(HostFolder(str(made_pair)))
    return made
