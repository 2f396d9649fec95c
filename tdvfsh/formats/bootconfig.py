"""The boot configuration that can follow an initrd's last archive.

Source: Linux Documentation/admin-guide/bootconfig.rst; init/main.c get_boot_config_from_initrd();
include/linux/bootconfig.h.
"""

from __future__ import annotations

import struct

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

BOOTCONFIG_MAGIC: Final = b"#BOOTCONFIG\n"
BOOTCONFIG_TRAILER: Final = struct.Struct("<II12s")
"""Size, checksum (the sum of all bytes), magic."""

XBC_DATA_MAX: Final = 32 * 1024 - 1


@dataclass(frozen=True, slots=True)
class BootConfig:
    """Place of the configuration: ``size`` bytes of data at ``offset``, with trailer and padding up to ``end``."""

    offset: int
    size: int
    checksum: int
    end: int


def find_bootconfig(source: ByteSource) -> BootConfig | None:
    """The boot configuration at the end of a file, or None where there is none.

    A loader may have added up to three bytes of padding after it.

    Raises:
        FormatError: The magic is there, but size or checksum do not hold.
    """
    tail_size = min(source.size, len(BOOTCONFIG_MAGIC) + 3)
    tail = source.peek(source.size - tail_size, tail_size)
    at = tail.rfind(BOOTCONFIG_MAGIC)
    if at < 0:
        return None
    magic_end = source.size - tail_size + at + len(BOOTCONFIG_MAGIC)
    trailer_offset = magic_end - BOOTCONFIG_TRAILER.size
    if trailer_offset < 0:
        raise FormatError(source.path, "a boot configuration without size and checksum", 0)
    size, checksum, _ = BOOTCONFIG_TRAILER.unpack(source.read(trailer_offset, BOOTCONFIG_TRAILER.size))
    what = f"a boot configuration of {size} bytes"
    if size > XBC_DATA_MAX:
        raise FormatError(source.path, f"{what}, more than {XBC_DATA_MAX}", trailer_offset)
    if size > trailer_offset:
        raise FormatError(source.path, f"{what} begins before the file", trailer_offset)
    found = sum(source.read(trailer_offset - size, size)) & 0xFFFFFFFF
    if found != checksum:
        raise FormatError(source.path, f"{what} adds up to {found:#x}, not to {checksum:#x}", trailer_offset)
    return BootConfig(trailer_offset - size, size, checksum, source.size)
