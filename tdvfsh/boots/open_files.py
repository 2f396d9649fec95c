"""Opening what is to be booted: each file is mapped and its headers are read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tdvfsh.errors import FormatError, UsageError
from tdvfsh.formats.compression import UnpackLimits
from tdvfsh.formats.initrd import Initrd, parse_initrd
from tdvfsh.formats.linux import LinuxKernel, is_bzimage, parse_bzimage
from tdvfsh.formats.mapped import ByteSource, open_mapped
from tdvfsh.formats.pe.parse import PeRejection, parse_pe
from tdvfsh.formats.pe.uki import parse_uki
from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.loaders.files import BootFiles, InitrdFile, KernelFile

if TYPE_CHECKING:
    from pathlib import Path

_KERNEL_SECTION: Final = ".linux"
_HEAD_SIZE: Final = 1 << 15
"""Bytes in which a kernel's headers and its setup code with the version's text lie: read at once."""

Progress = Callable[[str, int, int], None]
"""Progress callback: file name, bytes done, bytes total, while an initrd is unpacked to measure it."""


@dataclass(frozen=True, repr=False)
class OpenedFiles:
    """The files of a boot, and what is inside the initrds."""

    boot: BootFiles
    initrds: tuple[Initrd, ...]

    def __repr__(self) -> str:
        return f"<OpenedFiles: {self.boot.summary}>"


@contextmanager
def open_boot_files(
    kernel: str | Path,
    initrds: Sequence[str | Path] = (),
    cmdline: str = "",
    progress: Progress | None = None,
    names: Sequence[str] | None = None,
    limits: UnpackLimits | None = None,
) -> Iterator[OpenedFiles]:
    """Map kernel and initrds, and read their headers.

    Args:
        kernel: The kernel's path.
        initrds: Paths of the initrds, in the order in which they are joined.
        cmdline: The kernel's command line.
        progress: Progress callback while an initrd is unpacked.
        names: What to call the files, kernel first, where not by their paths.
        limits: What to refuse as a decompression bomb; None for the default.

    Raises:
        HostError, FormatError: A file that cannot be read, or is invalid.
        UsageError: A command line that the kernel does not take.
    """
    with ExitStack() as stack:
        called = [str(path) for path in (kernel, *initrds)] if names is None else list(names)
        kernel_file = open_kernel(stack, kernel, called[0])
        check_cmdline(kernel_file.linux, kernel_file.path, cmdline)
        files: list[InitrdFile] = []
        facts: list[Initrd] = []
        for path, name in zip(initrds, called[1:], strict=True):
            mapped = stack.enter_context(open_mapped(path))

            def tell(done: int, total: int, name: str = name) -> None:
                if progress is not None:
                    progress(name, done, total)

            # Loaders take an empty file for an initrd, and each makes something else of it.
            facts.append(parse_initrd(mapped.view, name, tell, limits) if mapped.size else Initrd(name, 0, ()))
            files.append(InitrdFile(name, mapped.view, facts[-1].unpacked_size))
        yield OpenedFiles(BootFiles(kernel_file, tuple(files), cmdline), tuple(facts))


def open_kernel(stack: ExitStack, path: str | Path, name: str) -> KernelFile:
    """Map a kernel and read its headers; it stays open as long as ``stack`` and is called ``name``.

    Raises:
        HostError, FormatError: It cannot be read, or is neither a Linux kernel nor an EFI image.
    """
    mapped = stack.enter_context(open_mapped(path))
    if not mapped.size:
        raise FormatError(name, "the file is empty")
    return read_kernel(mapped.view, name)


def read_kernel(view: memoryview, name: str) -> KernelFile:
    """The headers of a kernel, of an EFI program, or of a unified kernel image and the kernel in it.

    Raises:
        FormatError: It is none of these, nor is the kernel inside a unified kernel image.
    """
    outer = _read_headers(view, name)
    if outer.pe is None or outer.pe.section(_KERNEL_SECTION) is None:
        return outer
    uki = parse_uki(view, name)
    section = uki.section(_KERNEL_SECTION)
    assert section is not None  # parse_uki returns no image without one
    inner = _read_headers(view[section.offset : section.offset + section.size], f"{name} ({_KERNEL_SECTION})")
    return replace(outer, uki=uki, inner=inner)


def _read_headers(view: memoryview, name: str) -> KernelFile:
    source = ByteSource(view, name)
    source.keep_head(_HEAD_SIZE)
    pe = parse_pe(source)
    linux = parse_bzimage(source, name, pe) if is_bzimage(source) else None
    if isinstance(pe, PeRejection):
        if linux is None:
            raise FormatError(name, f"neither a Linux kernel nor an EFI image ({pe.why})")
        return KernelFile(name, view, None, linux)
    return KernelFile(name, view, pe, linux)


def check_cmdline(linux: LinuxKernel | None, path: str, cmdline: str) -> None:
    """Refuse a command line that the kernel called ``path`` does not take.

    Raises:
        UsageError: It is not one line, or longer than the kernel's header allows.
    """
    if "\0" in cmdline or "\n" in cmdline:
        raise UsageError("--cmdline: a command line is one line of text")
    if linux is not None and len(cmdline) > linux.cmdline_size:
        raise UsageError(f"--cmdline: {len(cmdline)} characters, but {path} takes {linux.cmdline_size}")
