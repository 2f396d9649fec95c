"""Opening what is to be booted: each file is mapped and its headers are read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tdvfsh.errors import FormatError, UsageError
from tdvfsh.formats.initrd import Initrd, parse_initrd
from tdvfsh.formats.linux import is_bzimage, parse_bzimage
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.formats.pe import PeRejection, parse_pe
from tdvfsh.loaders.files import BootFiles, InitrdFile, KernelFile

Progress = Callable[[str, int, int], None]
"""Told the file, bytes done and bytes in all while an initrd is unpacked to measure it."""

_DEFAULT_CMDLINE_SIZE: Final = 255


@dataclass(frozen=True)
class OpenedFiles:
    """The files of a boot, and what is inside the initrds."""

    boot: BootFiles
    initrds: tuple[Initrd, ...]


@contextmanager
def open_boot_files(
    kernel: str | Path,
    initrds: Sequence[str | Path] = (),
    cmdline: str = "",
    progress: Progress | None = None,
    names: Sequence[str] | None = None,
) -> Iterator[OpenedFiles]:
    """Map kernel and initrds, and read their headers.

    Args:
        kernel: The kernel's path.
        initrds: Paths of the initrds, in the order in which they are joined.
        cmdline: The kernel's command line.
        progress: Told how far an initrd has been unpacked.
        names: What to call the files, kernel first, where not by their paths.

    Raises:
        HostError, FormatError: A file that cannot be read, or is not what it should be.
        UsageError: A command line that the kernel does not take.
    """
    with ExitStack() as stack:
        called = [str(path) for path in (kernel, *initrds)] if names is None else list(names)
        kernel_file = open_kernel(stack, kernel, called[0])
        _check_cmdline(kernel_file, cmdline)
        files: list[InitrdFile] = []
        facts: list[Initrd] = []
        for path, name in zip(initrds, called[1:], strict=True):
            mapped = stack.enter_context(open_mapped(path))

            def tell(done: int, total: int, name: str = name) -> None:
                if progress is not None:
                    progress(name, done, total)

            facts.append(parse_initrd(mapped.view, name, tell))
            files.append(InitrdFile(name, mapped.view))
        yield OpenedFiles(BootFiles(kernel_file, tuple(files), cmdline), tuple(facts))


def open_kernel(stack: ExitStack, path: str | Path, name: str) -> KernelFile:
    """Map a kernel and read its headers; it stays open as long as ``stack`` and is called ``name``.

    Raises:
        HostError, FormatError: It cannot be read, or is neither a Linux kernel nor an EFI image.
    """
    mapped = stack.enter_context(open_mapped(path))
    if not mapped.size:
        raise FormatError(name, "the file is empty")
    linux = parse_bzimage(mapped.view, name) if is_bzimage(mapped.view) else None
    pe = parse_pe(mapped.view)
    if isinstance(pe, PeRejection):
        if linux is None:
            raise FormatError(name, f"neither a Linux kernel nor an EFI image ({pe.why})")
        return KernelFile(name, mapped.view, None, linux)
    return KernelFile(name, mapped.view, pe, linux)


def _check_cmdline(kernel: KernelFile, cmdline: str) -> None:
    if "\0" in cmdline or "\n" in cmdline:
        raise UsageError("--cmdline: a command line is one line of text")
    limit = kernel.linux.cmdline_size if kernel.linux is not None else _DEFAULT_CMDLINE_SIZE
    if kernel.linux is not None and len(cmdline) > limit:
        raise UsageError(f"--cmdline: {len(cmdline)} characters, but {kernel.path} takes {limit}")
