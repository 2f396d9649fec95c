"""The variable services, over the DXE core's variables.

Source: UEFI 2.10 8.2.
"""

from __future__ import annotations

from tdvfsh.dxe.variables import MAXIMUM_DATA_BYTES
from tdvfsh.engine.abi.buffers import fill_buffer
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi import service_names
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class VariableServices:
    """GetVariable, GetNextVariableName, SetVariable, QueryVariableInfo.

    Args:
        context: Guest memory, and the way into guest code.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram

    @service(service_names.GET_VARIABLE, "sgqqq")
    def get_variable(
        self, variable_name: int, vendor_guid: int, attributes: int, data_size: int, data: int
    ) -> EfiStatus:
        """EFI_GET_VARIABLE."""
        if not variable_name or not vendor_guid or not data_size:
            return _INVALID
        core = self._context.core
        name, vendor = self._ram.utf16(variable_name), self._ram.guid(vendor_guid)
        status, variable = core.variables.get_variable(name, vendor, at_runtime=core.at_runtime)
        if variable is None:
            return status
        if attributes:
            self._ram.put_u32(attributes, variable.attributes)
        return fill_buffer(self._ram, data_size, data, variable.data)

    @service(service_names.GET_NEXT_VARIABLE_NAME, "qsg")
    def get_next_variable_name(self, variable_name_size: int, variable_name: int, vendor_guid: int) -> EfiStatus:
        """EFI_GET_NEXT_VARIABLE_NAME."""
        if not variable_name_size or not variable_name or not vendor_guid:
            return _INVALID
        core = self._context.core
        units = self._ram.u64(variable_name_size) // 2
        name = self._ram.utf16(variable_name, units)
        if len(name.encode("utf-16-le")) // 2 == units:
            return _INVALID
        vendor = self._ram.guid(vendor_guid)
        status, variable = core.variables.get_next_variable_name(name, vendor, at_runtime=core.at_runtime)
        if variable is None:
            return status
        encoded = (variable.name + "\0").encode("utf-16-le", "surrogatepass")
        status = fill_buffer(self._ram, variable_name_size, variable_name, encoded)
        if status is SUCCESS:
            self._ram.write(vendor_guid, variable.vendor.bytes_le)
        return status

    @service(service_names.SET_VARIABLE, "sgdqq")
    def set_variable(
        self, variable_name: int, vendor_guid: int, attributes: int, data_size: int, data: int
    ) -> EfiStatus:
        """EFI_SET_VARIABLE: a size or attributes of 0 delete."""
        if not variable_name or not vendor_guid or (data_size and not data):
            return _INVALID
        core = self._context.core
        name, vendor = self._ram.utf16(variable_name), self._ram.guid(vendor_guid)
        if data_size > MAXIMUM_DATA_BYTES:
            return _INVALID
        value = self._ram.read(data, data_size) if data_size else b""
        return core.set_variable(name, vendor, attributes, value)

    @service(service_names.QUERY_VARIABLE_INFO, "dqqq")
    def query_variable_info(
        self, attributes: int, maximum_storage_size: int, remaining_storage_size: int, maximum_variable_size: int
    ) -> EfiStatus:
        """EFI_QUERY_VARIABLE_INFO."""
        if not (maximum_storage_size and remaining_storage_size and maximum_variable_size):
            return _INVALID
        core = self._context.core
        info = core.variables.query_variable_info(attributes, at_runtime=core.at_runtime)
        if info.status is SUCCESS:
            self._ram.put_u64(maximum_storage_size, info.maximum_variable_storage_size)
            self._ram.put_u64(remaining_storage_size, info.remaining_variable_storage_size)
            self._ram.put_u64(maximum_variable_size, info.maximum_variable_size)
        return info.status
