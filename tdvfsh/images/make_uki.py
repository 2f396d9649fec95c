"""Synthetic unified kernel images: a made or real kernel, an initrd and a command line in one PE file.

A made image does not run: its entry point holds a return. The sections stand as systemd's ukify puts them, the large
ones last, and the image base is that of systemd's stub.

Source: UAPI group specification "Unified Kernel Image"; images that ukify 257 builds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tdvfsh.errors import FormatError, UsageError
from tdvfsh.formats.mapped import ByteSource, open_mapped
from tdvfsh.formats.pe import layout as pe
from tdvfsh.images.pe_headers import FILE_ALIGNMENT, PE_OFFSET, MadeSection, pe_headers
from tdvfsh.images.sparse_file import write_sparse
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.units import PAGE_SIZE, align_up

IMAGE_BASE: Final = 0x14DF90000
_HEADERS_SIZE: Final = 0x400
_CODE: Final = 0x60000020
_DATA: Final = 0x40000040
_RETURN: Final = b"\xc3" * 16
_CHUNK: Final = 1 << 20
_MAX_IMAGE: Final = 0xFFFFF000


class _Section(NamedTuple):
    name: bytes
    size: int
    data: bytes | None
    source: ByteSource | None
    address: int = 0
    pointer: int = 0


def make_uki(path: str | Path, kernel: str | Path, initrd: str | Path | None = None, cmdline: str = "") -> None:
    """Write a unified kernel image; the same files always produce the same bytes.

    Args:
        path: The file to write; runs of zeros in what goes into it stay holes.
        kernel: The kernel's file.
        initrd: The initrd's file, or None.
        cmdline: The command line; without one the section is left out.

    Raises:
        UsageError: More than a PE image can hold.
        HostError, FormatError: A file cannot be read or written, or is empty.
    """
    target = Path(path).resolve()
    for source in (kernel, initrd):
        if source is not None and Path(source).resolve() == target:
            raise UsageError(f"{path}: an image cannot be made of itself")
    with open_mapped(kernel) as kernel_file:
        if not kernel_file.size:
            raise FormatError(str(kernel), "the file is empty")
        sections = [_Section(b".text", len(_RETURN), _RETURN, None)]
        if cmdline:
            sections.append(_Section(b".cmdline", len(cmdline.encode()), cmdline.encode(), None))
        sections.append(_Section(b".linux", kernel_file.size, None, kernel_file.source))
        if initrd is None:
            _write(path, sections)
            return
        with open_mapped(initrd) as initrd_file:
            sections.append(_Section(b".initrd", initrd_file.size, None, initrd_file.source))
            _write(path, sections)


def _write(path: str | Path, sections: list[_Section]) -> None:
    address, pointer = PAGE_SIZE, _HEADERS_SIZE
    placed = []
    for section in sections:
        placed.append(section._replace(address=address, pointer=pointer))
        address += align_up(max(section.size, 1), PAGE_SIZE)
        pointer += align_up(section.size, FILE_ALIGNMENT)
    if address > _MAX_IMAGE:
        raise UsageError(f"{path}: kernel and initrd of {address:,} bytes are more than a PE image can hold")
    write_sparse(path, pointer, _pieces(placed, address))


def _pieces(sections: list[_Section], size_of_image: int) -> Iterator[tuple[int, bytes]]:
    yield 0, pe.DOS_HEADER.build(e_magic=pe.IMAGE_DOS_SIGNATURE, e_lfanew=PE_OFFSET)
    yield PE_OFFSET, _headers(sections, size_of_image)
    for section in sections:
        if section.data is not None:
            yield section.pointer, section.data
        if section.source is not None:
            at = section.pointer
            for chunk in section.source.chunks(chunk_size=_CHUNK):
                if chunk.count(0) != len(chunk):
                    yield at, chunk
                at += len(chunk)


def _headers(sections: list[_Section], size_of_image: int) -> bytes:
    rows = [
        MadeSection(
            section.name,
            section.address,
            section.size,
            align_up(section.size, FILE_ALIGNMENT),
            section.pointer,
            characteristics=_CODE if section.name == b".text" else _DATA,
        )
        for section in sections
    ]
    return pe_headers(
        rows,
        0x22,
        address_of_entry_point=sections[0].address,
        base_of_code=sections[0].address,
        image_base=IMAGE_BASE,
        size_of_image=size_of_image,
        size_of_headers=_HEADERS_SIZE,
        dll_characteristics=0x160,
    )
