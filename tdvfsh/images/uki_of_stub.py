"""Unified kernel images that run: a real EFI stub with command line, kernel and initrd as further sections.

systemd-boot lists an image in ``EFI/Linux`` only if ``.osrel`` has a name and a version in it (systemd issue 20820).

Source: UAPI group specification "Unified Kernel Image"; the layout is the one of systemd's ukify 257.
"""

from __future__ import annotations

from pathlib import Path

from tdvfsh.errors import FormatError
from tdvfsh.formats.linux import is_bzimage, parse_bzimage
from tdvfsh.formats.mapped import ByteSource, open_mapped
from tdvfsh.formats.pe import layout as pe
from tdvfsh.images.sparse_file import write_sparse
from tdvfsh.lazy_typing import Final
from tdvfsh.units import align_up

_DATA: Final = 0x40000040
"""IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ."""
_E_LFANEW: Final = 0x3C
_SIZE_OF_IMAGE: Final = 56
"""Offset in the optional header."""
_OS_RELEASE: Final = """\
ID=tdvfsh
NAME="tdvfsh"
PRETTY_NAME="Linux in a unified kernel image"
VERSION_ID="{release}"
"""


def make_uki_of_stub(path: Path, stub: Path, kernel: Path, initrd: Path, cmdline: str) -> None:
    """Write the stub with its sections after those that it has; the same files always produce the same bytes.

    Raises:
        HostError: A file cannot be read or written.
        FormatError: The stub is not a PE image, or its headers have no room for more sections.
    """
    with open_mapped(stub) as stub_file, open_mapped(kernel) as kernel_file, open_mapped(initrd) as initrd_file:
        image = bytearray(stub_file.read_at(0, stub_file.size))
        release = _release(kernel_file.source)
        contents = (
            (b".osrel", _OS_RELEASE.format(release=release or "0").encode()),
            (b".cmdline", cmdline.encode()),
            *([(b".uname", release.encode())] if release else []),
            (b".initrd", initrd_file.read_at(0, initrd_file.size)),
            (b".linux", kernel_file.read_at(0, kernel_file.size)),
        )
    if len(image) < pe.DOS_HEADER.size or image[:2] != b"MZ":
        raise FormatError(str(stub), "not a PE image")
    start = int.from_bytes(image[_E_LFANEW : _E_LFANEW + 4], "little")
    header = pe.FILE_HEADER.read(image, start)
    optional_at = start + pe.FILE_HEADER.size
    optional = pe.OPTIONAL_HEADER64.read(image, optional_at)
    table = optional_at + header.size_of_optional_header
    first_new = table + header.number_of_sections * pe.SECTION_HEADER.size
    if first_new + len(contents) * pe.SECTION_HEADER.size > optional.size_of_headers:
        raise FormatError(str(stub), "no room for more sections in its headers")
    address, pointer = optional.size_of_image, align_up(len(image), optional.file_alignment)
    pieces: list[tuple[int, bytes]] = []
    for number, (name, data) in enumerate(contents):
        address = align_up(address, optional.section_alignment)
        raw_size = align_up(len(data), optional.file_alignment)
        at = first_new + number * pe.SECTION_HEADER.size
        image[at : at + pe.SECTION_HEADER.size] = pe.SECTION_HEADER.pack(
            name, len(data), address, raw_size, pointer, 0, 0, 0, 0, _DATA
        )
        pieces.append((pointer, data))
        address, pointer = address + len(data), pointer + raw_size
    image[start + 6 : start + 8] = (header.number_of_sections + len(contents)).to_bytes(2, "little")
    size_of_image = align_up(address, optional.section_alignment).to_bytes(4, "little")
    image[optional_at + _SIZE_OF_IMAGE : optional_at + _SIZE_OF_IMAGE + 4] = size_of_image
    write_sparse(path, pointer, [(0, bytes(image)), *pieces])


def _release(kernel: ByteSource) -> str:
    """What ``uname -r`` will say; empty where the kernel's file does not tell."""
    if not is_bzimage(kernel):
        return ""
    return parse_bzimage(kernel, kernel.path).kernel_version.partition(" ")[0]
