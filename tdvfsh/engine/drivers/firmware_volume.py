"""EFI_FIRMWARE_VOLUME2_PROTOCOL over the firmware volume of the drivers: each file is the section with its name.

Source: PI 1.8 volume 3, 3.4; edk2 MdeModulePkg/Core/Dxe/FwVol, for checks and statuses.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from tdvfsh.engine.abi.buffers import pool_buffer
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_NAME: Final = "EFI_FIRMWARE_VOLUME2_PROTOCOL"
_READABLE: Final = 0x6  # EFI_FV2_READ_ENABLE_CAP, EFI_FV2_READ_STATUS
_ANY_FILE, _DRIVER, _USER_INTERFACE = 0x00, 0x07, 0x15
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_GUID_SIZE: Final = 16


class FirmwareVolume:
    """The protocol.

    Args:
        context: Guest memory.
        files: The files, names by their GUIDs.
    """

    def __init__(self, context: GuestContext, files: Mapping[Guid, str]) -> None:
        self._context = context
        self._ram = context.ram
        self._files = {file: (name + "\0").encode("utf-16-le") for file, name in files.items()}

    def structure(self) -> int:
        """Address of the structure."""
        interfaces = self._context.interfaces
        set_attributes, write, get_info, set_info = interfaces.missing(
            _NAME, "SetVolumeAttributes", "WriteFile", "GetInfo", "SetInfo"
        )
        return interfaces.structure(
            [
                self.get_volume_attributes, set_attributes, self.read_file, self.read_section, write,
                self.get_next_file, 8, 0, get_info, set_info,
            ]
        )  # fmt: skip

    @service("EFI_FIRMWARE_VOLUME2_PROTOCOL.GetVolumeAttributes", "qq")
    def get_volume_attributes(self, this: int, fv_attributes: int) -> EfiStatus:
        """It can be read."""
        self._ram.put_u64(fv_attributes, _READABLE)
        return SUCCESS

    @service("EFI_FIRMWARE_VOLUME2_PROTOCOL.ReadFile", "qgqqqqq")
    def read_file(
        self, this: int, name_guid: int, buffer: int, buffer_size: int, found_type: int, file_attributes: int,
        authentication_status: int,
    ) -> EfiStatus:  # fmt: skip
        """A file: its section, header included; with ``buffer`` NULL its size and type alone."""
        if not name_guid:
            return _INVALID
        name = self._files.get(self._ram.guid(name_guid))
        if name is None:
            return EfiStatus.EFI_NOT_FOUND
        section = _section(name)
        self._ram.write(found_type, bytes((_DRIVER,)))
        self._ram.put_u32(file_attributes, 0)
        self._ram.put_u32(authentication_status, 0)
        if not buffer:
            self._ram.put_u64(buffer_size, len(section))
            return SUCCESS
        return self._give(section, buffer, buffer_size)

    @service("EFI_FIRMWARE_VOLUME2_PROTOCOL.ReadSection", "qgbqqqq")
    def read_section(
        self, this: int, name_guid: int, section_type: int, section_instance: int, buffer: int, buffer_size: int,
        authentication_status: int,
    ) -> EfiStatus:  # fmt: skip
        """The section with a file's name, without its header."""
        if not name_guid or not buffer:
            return _INVALID
        name = self._files.get(self._ram.guid(name_guid))
        if name is None or section_type != _USER_INTERFACE or section_instance:
            return EfiStatus.EFI_NOT_FOUND
        self._ram.put_u32(authentication_status, 0)
        return self._give(name, buffer, buffer_size)

    @service("EFI_FIRMWARE_VOLUME2_PROTOCOL.GetNextFile", "qqqqqq")
    def get_next_file(
        self, this: int, key: int, file_type: int, name_guid: int, attributes: int, size: int
    ) -> EfiStatus:
        """The file after the one that ``key`` stands for, 0 for the first."""
        if self._ram.u8(file_type) not in (_ANY_FILE, _DRIVER):
            return EfiStatus.EFI_NOT_FOUND
        number = self._ram.u64(key)
        if number >= len(self._files):
            return EfiStatus.EFI_NOT_FOUND
        file, name = list(self._files.items())[number]
        self._ram.put_u64(key, number + 1)
        self._ram.write(file_type, bytes((_DRIVER,)))
        self._ram.write(name_guid, file.bytes_le)
        self._ram.put_u32(attributes, 0)
        self._ram.put_u64(size, len(_section(name)))
        return SUCCESS

    def _give(self, data: bytes, buffer: int, buffer_size: int) -> EfiStatus:
        """Into the caller's buffer, cut where that is too small; into a new one where the caller has none."""
        where, room = self._ram.u64(buffer), self._ram.u64(buffer_size)
        self._ram.put_u64(buffer_size, len(data))
        if not where:
            where, room = pool_buffer(self._context, data), len(data)
            self._ram.put_u64(buffer, where)
            return SUCCESS if where else EfiStatus.EFI_OUT_OF_RESOURCES
        self._ram.write(where, data[:room])
        return SUCCESS if room >= len(data) else EfiStatus.EFI_WARN_BUFFER_TOO_SMALL


def _section(name: bytes) -> bytes:
    """EFI_USER_INTERFACE_SECTION."""
    return struct.pack("<I", 4 + len(name) | _USER_INTERFACE << 24) + name
