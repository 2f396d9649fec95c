"""The variable store at the beginning of a firmware file, and a file of the host that takes its place.

Source: PI 1.8 volume 3, EFI_FIRMWARE_VOLUME_HEADER; edk2 MdeModulePkg/Include/Guid/SystemNvDataGuid.h;
OvmfPkg/Include/Fdf/VarStore.fdf.inc, for the volume with variables, working and spare blocks.
"""

from __future__ import annotations

from pathlib import Path

from tdvfsh.engine.devices.flash import SECTOR, Flash
from tdvfsh.engine.firmware.image import FirmwareImage
from tdvfsh.errors import FormatError, host_error
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import Guid
from tdvfsh.whole_file import write_whole

_NV_DATA_GUID: Final = Guid("fff12b8d-7696-4c8b-a985-2747075b4f50")
_GUID, _LENGTH, _SIGNATURE, _HEADER_SIZE = 16, 32, 40, 56


def store_size(image: FirmwareImage) -> int:
    """Bytes of the variable store that a firmware file begins with; 0 where it has none."""
    return _size(image.data)


def _size(data: bytes) -> int:
    header = data[:_HEADER_SIZE]
    size = int.from_bytes(header[_LENGTH : _LENGTH + 8], "little")
    found = header[_SIGNATURE : _SIGNATURE + 4] == b"_FVH" and header[_GUID : _GUID + 16] == _NV_DATA_GUID.bytes_le
    return size if found and 0 < size <= len(data) and not size % SECTOR else 0


class VariableStoreFile:
    """A variable store in a file, as QEMU takes it for its second flash chip.

    Args:
        path: The file. Where there is none it begins as the store of the firmware.
        image: The firmware.

    Attributes:
        flash: The chip that holds it.

    Raises:
        FormatError: Not a variable store, one of another size, or the firmware has none.
        HostError: The host refuses to read it.
    """

    def __init__(self, path: str, image: FirmwareImage) -> None:
        self._path = path
        size = store_size(image)
        if not size:
            raise FormatError(image.path, "begins with no variable store, which --nvram would keep")
        try:
            data = Path(path).read_bytes() if Path(path).stat().st_size == size else b""
        except FileNotFoundError:
            data = image.data[:size]
        except OSError as error:
            raise host_error(path, error) from None
        if _size(data) != size:
            raise FormatError(path, f"not a variable store of this firmware, which has {size:,} bytes")
        self.flash = Flash(data)

    def save(self) -> None:
        """Write what the chip holds; raises HostError."""
        write_whole(self._path, bytes(self.flash.data))
