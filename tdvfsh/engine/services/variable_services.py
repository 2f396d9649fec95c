"""The variable services, over variables that live as long as the run.

Source: UEFI 2.10 8.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tdvfsh.engine.abi.buffers import fill_buffer
from tdvfsh.engine.abi.service_table import service
from tdvfsh.uefi.guids import EFI_GLOBAL_VARIABLE_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

if TYPE_CHECKING:
    from tdvfsh.engine.runs.guest import GuestFirmware

NON_VOLATILE: Final = 0x1
BOOTSERVICE_ACCESS: Final = 0x2
RUNTIME_ACCESS: Final = 0x4
APPEND_WRITE: Final = 0x40
_KNOWN: Final = NON_VOLATILE | BOOTSERVICE_ACCESS | RUNTIME_ACCESS | APPEND_WRITE
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_STORE_BYTES: Final = 256 << 10
_MAXIMUM_BYTES: Final = 32 << 10

_FIRMWARE_VARIABLES: Final = {
    "PlatformLangCodes": b"en\0",
    "PlatformLang": b"en\0",
    "SecureBoot": b"\0",
    "SetupMode": b"\1",
    "Timeout": b"\0\0",
}


@dataclass(slots=True)
class Variable:
    """A variable's attributes and value."""

    attributes: int
    data: bytes


class VariableServices:
    """GetVariable, GetNextVariableName, SetVariable, QueryVariableInfo.

    Attributes:
        variables: By name and vendor GUID, in the order in which they were made.
    """

    def __init__(self, firmware: GuestFirmware) -> None:
        self._firmware = firmware
        self._ram = firmware.ram
        plain = BOOTSERVICE_ACCESS | RUNTIME_ACCESS
        self.variables: dict[tuple[str, Guid], Variable] = {
            (name, EFI_GLOBAL_VARIABLE_GUID): Variable(plain, data) for name, data in _FIRMWARE_VARIABLES.items()
        }

    def _visible(self, variable: Variable) -> bool:
        return not self._firmware.services.at_runtime or bool(variable.attributes & RUNTIME_ACCESS)

    @service("GetVariable", "sgqqq")
    def get_variable(
        self, variable_name: int, vendor_guid: int, attributes: int, data_size: int, data: int
    ) -> EfiStatus:
        """EFI_GET_VARIABLE."""
        if not variable_name or not vendor_guid or not data_size:
            return _INVALID
        variable = self.variables.get((self._ram.utf16(variable_name), self._ram.guid(vendor_guid)))
        if variable is None or not self._visible(variable):
            return EfiStatus.EFI_NOT_FOUND
        if attributes:
            self._ram.put_u32(attributes, variable.attributes)
        return fill_buffer(self._ram, data_size, data, variable.data)

    @service("GetNextVariableName", "qsg")
    def get_next_variable_name(self, variable_name_size: int, variable_name: int, vendor_guid: int) -> EfiStatus:
        """EFI_GET_NEXT_VARIABLE_NAME."""
        if not variable_name_size or not variable_name or not vendor_guid:
            return _INVALID
        names = [key for key, variable in self.variables.items() if self._visible(variable)]
        name = self._ram.utf16(variable_name)
        position = 0
        if name:
            try:
                position = names.index((name, self._ram.guid(vendor_guid))) + 1
            except ValueError:
                return _INVALID
        if position == len(names):
            return EfiStatus.EFI_NOT_FOUND
        name, vendor = names[position]
        status = fill_buffer(self._ram, variable_name_size, variable_name, (name + "\0").encode("utf-16-le"))
        if status is SUCCESS:
            self._ram.write(vendor_guid, vendor.bytes_le)
        return status

    @service("SetVariable", "sgdqq")
    def set_variable(
        self, variable_name: int, vendor_guid: int, attributes: int, data_size: int, data: int
    ) -> EfiStatus:
        """EFI_SET_VARIABLE: a size or attributes of 0 delete."""
        if not variable_name or not vendor_guid or (data_size and not data):
            return _INVALID
        name = self._ram.utf16(variable_name)
        if not name or attributes & (RUNTIME_ACCESS | BOOTSERVICE_ACCESS) == RUNTIME_ACCESS:
            return _INVALID
        if attributes & ~_KNOWN:
            return EfiStatus.EFI_UNSUPPORTED
        if data_size > _MAXIMUM_BYTES:
            return EfiStatus.EFI_OUT_OF_RESOURCES
        key = (name, self._ram.guid(vendor_guid))
        known = self.variables.get(key)
        if key[1] == EFI_GLOBAL_VARIABLE_GUID and name in ("SecureBoot", "SetupMode", "PlatformLangCodes"):
            return EfiStatus.EFI_WRITE_PROTECTED
        append = bool(attributes & APPEND_WRITE)
        attributes &= ~APPEND_WRITE
        if not append and (not data_size or not attributes & BOOTSERVICE_ACCESS):
            return SUCCESS if self.variables.pop(key, None) is not None else EfiStatus.EFI_NOT_FOUND
        if known is not None and known.attributes != attributes:
            return _INVALID
        value = self._ram.read(data, data_size)
        if append and known is not None:
            value = known.data + value
        self.variables[key] = Variable(attributes, value)
        return SUCCESS

    @service("QueryVariableInfo", "dqqq")
    def query_variable_info(
        self, attributes: int, maximum_storage_size: int, remaining_storage_size: int, maximum_variable_size: int
    ) -> EfiStatus:
        """EFI_QUERY_VARIABLE_INFO."""
        if not attributes & _KNOWN or not (maximum_storage_size and remaining_storage_size and maximum_variable_size):
            return _INVALID
        used = sum(len(name) * 2 + len(variable.data) for (name, _), variable in self.variables.items())
        self._ram.put_u64(maximum_storage_size, _STORE_BYTES)
        self._ram.put_u64(remaining_storage_size, max(0, _STORE_BYTES - used))
        self._ram.put_u64(maximum_variable_size, _MAXIMUM_BYTES)
        return SUCCESS
