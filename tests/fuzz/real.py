"""Seeds cut from real images: the headers as their tools wrote them, in files short enough to be changed fast."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from tdvfsh.formats.linux import is_bzimage
from tdvfsh.formats.linux_layout import SECTOR_SIZE

_KEPT: Final = 0x6000
_FIRMWARE_KEPT: Final = 1 << 15
_PE_OFFSET_AT: Final = 60
_OPTIONAL_AT: Final = 24
_SECTION_SIZE: Final = 40
_SETUP_SECTS_AT: Final = 0x1F1
_PAYLOAD_AT: Final = 0x248
_CERTIFICATES, _DEBUG = 4, 6


def real_seeds(folder: Path) -> dict[str, list[bytes]]:
    """For some targets, seeds from every kernel, EFI application, initrd and firmware below a folder."""
    found: dict[str, list[bytes]] = {}

    def add(seed: bytes, *targets: str) -> None:
        for target in targets:
            found.setdefault(target, []).append(seed)

    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json"):
        with path.open("rb") as file:
            head = file.read(_KEPT)
            file.seek(max(path.stat().st_size - _FIRMWARE_KEPT, 0))
            end = file.read()
        if head[:2] == b"MZ":
            add(cut_pe(head), "pe", "inspect")
            if is_bzimage(head):
                add(cut_kernel(head), "bzimage")
        elif path.suffix == ".fd":
            add(end, "tdvf")
        else:
            add(head, "initrd", "compression", "cpio")
    return found


def cut_pe(head: bytes) -> bytes:
    """An image's head with all that would lie past it made empty, so that firmware would still accept the headers."""
    image = bytearray(head)
    pe = int.from_bytes(image[_PE_OFFSET_AT : _PE_OFFSET_AT + 4], "little")
    optional = pe + _OPTIONAL_AT
    if optional + 2 > len(image):
        return head
    sections, optional_size = struct.unpack_from("<H12xH", image, pe + 6)
    directories = optional + (96 if image[optional : optional + 2] == b"\x0b\x01" else 112)
    for index in (_CERTIFICATES, _DEBUG):
        at = directories + 8 * index
        address, size = struct.unpack_from("<II", image, at)
        if address + size > len(image):
            image[at : at + 8] = bytes(8)
    for index in range(sections):
        at = optional + optional_size + _SECTION_SIZE * index
        raw_size, pointer = struct.unpack_from("<II", image, at + 16)
        if pointer + raw_size > len(image):
            image[at + 16 : at + 20] = max(len(image) - pointer, 0).to_bytes(4, "little")
    return bytes(image)


def cut_kernel(head: bytes) -> bytes:
    """A kernel's head whose payload ends with it; what is missing of the payload a stub would find out later."""
    kernel = bytearray(cut_pe(head))
    setup_size = (kernel[_SETUP_SECTS_AT] + 1) * SECTOR_SIZE
    offset, length = struct.unpack_from("<II", kernel, _PAYLOAD_AT)
    offset = min(offset, 0x100)
    length = min(length, max(len(kernel) - setup_size - 0x200, 0))
    struct.pack_into("<II", kernel, _PAYLOAD_AT, offset, length)
    return bytes(kernel)
