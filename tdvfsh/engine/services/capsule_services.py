"""UpdateCapsule and QueryCapsuleCapabilities of a firmware that takes no capsule: what they check before they refuse.

Source: UEFI 2.10 8.5.3; edk2 MdeModulePkg/Universal/CapsuleRuntimeDxe/CapsuleService.c with OVMF's DxeCapsuleLibNull.
"""

from __future__ import annotations

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi import service_names
from tdvfsh.uefi.guids import EFI_FIRMWARE_MANAGEMENT_CAPSULE_ID_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_PERSIST_ACROSS_RESET: Final = 0x00010000
_POPULATE_SYSTEM_TABLE: Final = 0x00020000
_INITIATE_RESET: Final = 0x00040000
_FLAGS_OFFSET: Final = 20
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class CapsuleServices:
    """The two services.

    Args:
        context: Guest memory.
    """

    def __init__(self, context: GuestContext) -> None:
        self._ram = context.ram

    @service(service_names.UPDATE_CAPSULE, "qqq")
    def update_capsule(self, capsule_header_array: int, capsule_count: int, scatter_gather_list: int) -> EfiStatus:
        """EFI_UPDATE_CAPSULE."""
        if not capsule_count:
            return _INVALID
        status = self._check(capsule_header_array, capsule_count)
        if status is SUCCESS and not scatter_gather_list:
            return _INVALID
        return EfiStatus.EFI_UNSUPPORTED if status is SUCCESS else status

    @service(service_names.QUERY_CAPSULE_CAPABILITIES, "qqqq")
    def query_capsule_capabilities(
        self, capsule_header_array: int, capsule_count: int, maximum_capsule_size: int, reset_type: int
    ) -> EfiStatus:
        """EFI_QUERY_CAPSULE_CAPABILITIES."""
        if not capsule_count or not maximum_capsule_size or not reset_type:
            return _INVALID
        status = self._check(capsule_header_array, capsule_count)
        return EfiStatus.EFI_UNSUPPORTED if status is SUCCESS else status

    def _check(self, array: int, count: int) -> EfiStatus:
        """EFI_SUCCESS where all capsules ask to be found in the system table after a reset."""
        for number in range(count):
            header = self._ram.u64(array + 8 * number)
            flags = self._ram.u32(header + _FLAGS_OFFSET)
            populates = bool(flags & _POPULATE_SYSTEM_TABLE)
            if flags & (_POPULATE_SYSTEM_TABLE | _INITIATE_RESET) and not flags & _PERSIST_ACROSS_RESET:
                return _INVALID
            if populates and self._ram.guid(header) == EFI_FIRMWARE_MANAGEMENT_CAPSULE_ID_GUID:
                return _INVALID
            if not populates:
                return EfiStatus.EFI_UNSUPPORTED
        return SUCCESS
