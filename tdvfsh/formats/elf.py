"""As much of ELF as tells how much memory a decompressed kernel spans.

Source: System V ABI, "Program Header"; Linux arch/x86/boot/compressed/misc.c parse_elf() and vmlinux.lds.S.
"""

from __future__ import annotations

import struct

from tdvfsh.lazy_typing import Final

ELF_MAGIC: Final = b"\x7fELF"
ELF64_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
ELF64_PROGRAM_HEADER: Final = struct.Struct("<IIQQQQQQ")
PT_LOAD: Final = 1
_ELFCLASS64_LE: Final = b"\x02\x01"


def load_span(head: bytes) -> int | None:
    """Bytes from the lowest physical address of a PT_LOAD segment to the end of the highest.

    Args:
        head: The file's beginning, with all program headers.

    Returns:
        The span, or None where this is not a little-endian ELF64 file or its program headers are not within ``head``.
    """
    if len(head) < ELF64_HEADER.size or head[:4] != ELF_MAGIC or head[4:6] != _ELFCLASS64_LE:
        return None
    fields = ELF64_HEADER.unpack_from(head)
    phoff, phentsize, phnum = fields[5], fields[9], fields[10]
    if phentsize < ELF64_PROGRAM_HEADER.size or phoff + phentsize * phnum > len(head):
        return None
    low, high = 1 << 64, 0
    for index in range(phnum):
        kind, _, _, _, paddr, _, memsz, _ = ELF64_PROGRAM_HEADER.unpack_from(head, phoff + phentsize * index)
        if kind == PT_LOAD:
            low, high = min(low, paddr), max(high, paddr + memsz)
    return high - low if high > low else None
