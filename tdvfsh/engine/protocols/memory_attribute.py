"""EFI_MEMORY_ATTRIBUTE_PROTOCOL for guest code.

Source: UEFI 2.10 section 37.7.
"""

from __future__ import annotations

from tdvfsh.dxe.memory_attribute_protocol import MemoryAttributeProtocol
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.uefi.status import EfiStatus


class GuestMemoryAttributes:
    """The three functions, between guest pointers and the protocol."""

    def __init__(self, context: GuestContext, protocol: MemoryAttributeProtocol) -> None:
        self._ram = context.ram
        self._protocol = protocol
        self.structure = context.interfaces.structure(
            [self.get_memory_attributes, self.set_memory_attributes, self.clear_memory_attributes]
        )

    @service("EFI_MEMORY_ATTRIBUTE_PROTOCOL.GetMemoryAttributes", "qqqq")
    def get_memory_attributes(self, this: int, base_address: int, length: int, attributes: int) -> EfiStatus:
        """EFI_GET_MEMORY_ATTRIBUTES."""
        result = self._protocol.get_memory_attributes(base_address, length)
        if result.attributes is None:
            return result.status
        if not attributes:
            return EfiStatus.EFI_INVALID_PARAMETER
        self._ram.put_u64(attributes, result.attributes)
        return result.status

    @service("EFI_MEMORY_ATTRIBUTE_PROTOCOL.SetMemoryAttributes", "qqqq")
    def set_memory_attributes(self, this: int, base_address: int, length: int, attributes: int) -> EfiStatus:
        """EFI_SET_MEMORY_ATTRIBUTES."""
        return self._protocol.set_memory_attributes(base_address, length, attributes)

    @service("EFI_MEMORY_ATTRIBUTE_PROTOCOL.ClearMemoryAttributes", "qqqq")
    def clear_memory_attributes(self, this: int, base_address: int, length: int, attributes: int) -> EfiStatus:
        """EFI_CLEAR_MEMORY_ATTRIBUTES."""
        return self._protocol.clear_memory_attributes(base_address, length, attributes)
