"""What a boot needs to know of its files, as a small value that travels to another process or host.

A boot reads headers and sizes; of an image's bytes only those matter that firmware looks at while loading it: the PE
headers, the base relocations, the debug and resource directories. :class:`ImageFacts` holds these, some kilobytes for
any pair of files. :func:`boot_files` makes files of them again whose other bytes are zero and occupy no memory.
Whether that makes any difference to the loader is checked when facts are taken.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator, Sequence

from tdvfsh.formats.linux import LinuxKernel
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.formats.pe.load import load_pe
from tdvfsh.formats.pe.parse import (
    DIRECTORY_ENTRY_BASERELOC,
    DIRECTORY_ENTRY_DEBUG,
    DIRECTORY_ENTRY_RESOURCE,
    PeImage,
    PeRejection,
    parse_pe,
)
from tdvfsh.formats.pe.relocate import relocate_pe
from tdvfsh.formats.pe.uki import TEXT_LIMIT, Uki
from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles, InitrdFile, KernelFile

_DIRECTORIES: Final = (DIRECTORY_ENTRY_RESOURCE, DIRECTORY_ENTRY_BASERELOC, DIRECTORY_ENTRY_DEBUG)
_DEBUG_ENTRY_SIZE: Final = 28
_CODE_VIEW_HEAD: Final = 64
_PLAIN_HEAD: Final = 4096
_PROBED_ADDRESS: Final = 1 << 40
"""Where both images are loaded for comparison: aligned for all, and not where anything is linked."""

KeptBytes = tuple[tuple[int, bytes], ...]
"""``(offset, bytes)`` of a file; everything else of it counts as zero."""


@dataclass(frozen=True)
class KernelFacts:
    """A kernel file without its bulk; fields as in :class:`~tdvfsh.loaders.files.KernelFile`."""

    path: str
    size: int
    pe: PeImage | None
    linux: LinuxKernel | None
    uki: Uki | None
    inner: KernelFacts | None
    kept: KeptBytes


@dataclass(frozen=True)
class ImageFacts:
    """One kernel with its initrds and command line.

    Attributes:
        name: What results call it.
        kernel: The kernel's facts.
        initrds: ``(path, bytes)`` of each initrd.
        cmdline: The kernel's command line.
        digest: Differs where anything differs that a boot could notice; names and paths do not count.
    """

    name: str
    kernel: KernelFacts
    initrds: tuple[tuple[str, int], ...]
    cmdline: str
    digest: str


def image_facts(name: str, files: BootFiles) -> ImageFacts:
    """The facts of files that are open.

    Args:
        name: What results call them.
        files: Kernel, initrds and command line.

    Raises:
        FormatError: A file became shorter while it was being read.
    """
    initrds = tuple((initrd.path, initrd.size) for initrd in files.initrds)
    return facts_of(name, kernel_facts(files.kernel), initrds, files.cmdline)


def facts_of(name: str, kernel: KernelFacts, initrds: Sequence[tuple[str, int]], cmdline: str) -> ImageFacts:
    """The facts of a kernel whose own are known already, with other initrds or another command line."""
    told = repr((_nameless(kernel), [size for _, size in initrds], cmdline))
    return ImageFacts(name, kernel, tuple(initrds), cmdline, hashlib.sha256(told.encode()).hexdigest()[:32])


def kernel_facts(kernel: KernelFile) -> KernelFacts:
    """The facts of one kernel; the whole file where it loads otherwise without the bytes that were left out."""
    inner = kernel_facts(kernel.inner) if kernel.inner is not None else None
    source = ByteSource(kernel.view, kernel.path)
    kept = tuple(_kept(kernel, source))
    facts = KernelFacts(
        path=kernel.path, size=kernel.size, pe=kernel.pe, linux=kernel.linux, uki=kernel.uki, inner=inner, kept=kept
    )
    if _loaded(source) != _loaded(ByteSource(_kernel_file(facts).view)):
        return replace(facts, kept=((0, source.read(0, source.size)),))
    return facts


def boot_files(facts: ImageFacts) -> BootFiles:
    """Files that boot exactly as those whose facts these are; only headers have content."""
    initrds = tuple(InitrdFile(path, _zeros(size)) for path, size in facts.initrds)
    return BootFiles(_kernel_file(facts.kernel), initrds, facts.cmdline)


def _kernel_file(facts: KernelFacts) -> KernelFile:
    inner = _kernel_file(facts.inner) if facts.inner is not None else None
    return KernelFile(
        path=facts.path,
        view=_with_bytes(facts.size, facts.kept),
        pe=facts.pe,
        linux=facts.linux,
        uki=facts.uki,
        inner=inner,
    )


def _zeros(size: int) -> memoryview:
    """``size`` zeros that cost address space only: they are never written, so no page of them ever exists."""
    if not size:
        return memoryview(b"")
    return memoryview(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ))


def _with_bytes(size: int, kept: KeptBytes) -> memoryview:
    if not size:
        return memoryview(b"")
    mapping = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for offset, data in kept:
        mapping[offset : offset + len(data)] = data
    return memoryview(mapping).toreadonly()


def _kept(kernel: KernelFile, source: ByteSource) -> Iterator[tuple[int, bytes]]:
    """What is looked at: headers, the directories that the loader follows, and a unified kernel image's texts."""
    pe = kernel.pe
    yield 0, source.peek(0, pe.size_of_headers if pe is not None else _PLAIN_HEAD)
    if pe is None:
        return
    for index in _DIRECTORIES:
        if index >= len(pe.data_directories):
            continue
        directory = pe.data_directories[index]
        offset = _file_offset(pe, directory.virtual_address)
        if offset is None or not directory.size:
            continue
        data = source.peek(offset, directory.size)
        yield offset, data
        if index == DIRECTORY_ENTRY_DEBUG:
            for at in range(0, len(data) - _DEBUG_ENTRY_SIZE + 1, _DEBUG_ENTRY_SIZE):
                pointer = int.from_bytes(data[at + 24 : at + 28], "little")
                yield pointer, source.peek(pointer, _CODE_VIEW_HEAD)
    for section in kernel.uki.sections if kernel.uki is not None else ():
        if section.size <= TEXT_LIMIT:
            yield section.offset, source.peek(section.offset, section.size)


def _file_offset(pe: PeImage, rva: int) -> int | None:
    for section in pe.sections:
        if section.virtual_address <= rva < section.virtual_address + section.size_of_raw_data:
            return section.pointer_to_raw_data + rva - section.virtual_address
    return rva if rva < pe.size_of_headers else None


def _loaded(source: ByteSource) -> object:
    """All that LoadImage finds out about a file."""
    pe = parse_pe(source)
    if isinstance(pe, PeRejection):
        return pe
    return pe, load_pe(pe, source, _PROBED_ADDRESS), relocate_pe(pe, source, _PROBED_ADDRESS - pe.image_base)


def _nameless(kernel: KernelFacts) -> KernelFacts:
    return replace(
        kernel,
        path="",
        linux=replace(kernel.linux, path="") if kernel.linux is not None else None,
        uki=replace(kernel.uki, path="") if kernel.uki is not None else None,
        inner=_nameless(kernel.inner) if kernel.inner is not None else None,
    )
