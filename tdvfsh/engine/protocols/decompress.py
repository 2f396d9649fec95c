"""EFI_DECOMPRESS_PROTOCOL.

Source: UEFI 2.10 19.5.
"""

from __future__ import annotations

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.formats.efi_compression import BadCompression, compressed_sizes, decompress
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import EFI_DECOMPRESS_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_SCRATCH_BYTES: Final = 0x34C0  # what edk2's asks for; nothing is kept there
_HEADER_BYTES: Final = 8
_LARGEST: Final = 64 << 20  # of data that the host holds as a whole
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class DecompressProtocol:
    """Decompression of the format that UEFI defines.

    Args:
        context: Guest memory.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram

    def install(self) -> None:
        """Make the handle."""
        structure = self._context.interfaces.structure([self.get_info, self.decompress])
        self._context.offer({EFI_DECOMPRESS_PROTOCOL_GUID: structure})

    @service("EFI_DECOMPRESS_PROTOCOL.GetInfo", "qqdqq")
    def get_info(self, this: int, source: int, source_size: int, destination_size: int, scratch_size: int) -> EfiStatus:
        """Bytes that the result and the work need."""
        if source_size < _HEADER_BYTES or source_size < _HEADER_BYTES + self._ram.u32(source):
            return _INVALID
        self._ram.put_u32(destination_size, self._ram.u32(source + 4))
        self._ram.put_u32(scratch_size, _SCRATCH_BYTES)
        return SUCCESS

    @service("EFI_DECOMPRESS_PROTOCOL.Decompress", "qqdqdqd")
    def decompress(
        self, this: int, source: int, source_size: int, destination: int, destination_size: int, scratch: int,
        scratch_size: int,
    ) -> EfiStatus:  # fmt: skip
        """The result, which fills the destination."""
        if scratch_size < _SCRATCH_BYTES or source_size < _HEADER_BYTES:
            return _INVALID
        if max(source_size, destination_size) > _LARGEST:
            return _INVALID
        try:
            size = min(source_size, _HEADER_BYTES + self._ram.u32(source))
            data = self._ram.read(source, size)
            if compressed_sizes(data).original != destination_size:
                return _INVALID
            result = decompress(data, self._context.check_limit)
        except BadCompression:
            return _INVALID
        self._ram.write(destination, result)
        self._context.wrote(destination, len(result))
        return SUCCESS
