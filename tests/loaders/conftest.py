"""Made kernels, initrds and unified kernel images with the sizes of real ones, and boots of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.options import TdOptions
from tdvfsh.units import parse_size
from tests.loaders.made import MadeImages


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeImages:
    """Images of any size, each made once."""
    return MadeImages(tmp_path_factory.mktemp("images"))


@pytest.fixture
def opened(made: MadeImages) -> Iterator[Callable[..., BootFiles]]:
    """Files to boot: a kernel by name or path, and initrds of so many bytes."""
    with ExitStack() as stack:

        def open_files(kernel: str | Path = "6.12-cloud", *initrds: int | Path, cmdline: str = "nokaslr") -> BootFiles:
            path = made.kernel(kernel) if isinstance(kernel, str) else kernel
            paths = [made.initrd(entry) if isinstance(entry, int) else entry for entry in initrds]
            return stack.enter_context(open_boot_files(path, paths, cmdline)).boot

        yield open_files


@pytest.fixture
def run(opened: Callable[..., BootFiles]) -> Callable[..., BootResult]:
    """Boot: ``run(loader, initrd bytes, memory=…, accept=…, …)``; the rest are fields of TdOptions."""

    def boot_it(
        loader: str,
        *initrds: int | Path,
        kernel: str | Path = "6.12-cloud",
        memory: str = "2G",
        accept: str = "512M",
        cmdline: str = "nokaslr",
        **options: object,
    ) -> BootResult:
        files = opened(kernel, *initrds, cmdline=cmdline)
        fields = {"memory": parse_size(memory), "accept": parse_boot_accept(accept), "loader": loader, **options}
        return boot(TdOptions(**fields), files)  # type: ignore[arg-type]

    return boot_it


@pytest.fixture
def made_without_pe(made: MadeImages, tmp_path: Path) -> Path:
    """The 6.12 cloud kernel without its EFI side: what was built with CONFIG_EFI_STUB off."""
    path = tmp_path / "vmlinuz-no-efi"
    data = bytearray(made.kernel("6.12-cloud").read_bytes())
    data[:2] = b"\xea\x05"
    data[0x264:0x268] = bytes(4)  # handover_offset
    path.write_bytes(data)
    return path


@pytest.fixture
def made_uki(made: MadeImages) -> Path:
    """A unified kernel image of the 6.12 cloud kernel, an initrd of 8 MiB and a command line."""
    return made.uki("6.12-cloud", 8 << 20, "nokaslr quiet")


@pytest.fixture
def made_uki_of_40_mib(made: MadeImages) -> Path:
    """The same with an initrd of 40 MiB: more than GRUB's heap holds."""
    return made.uki("6.12-cloud", 40 << 20, "nokaslr quiet")
