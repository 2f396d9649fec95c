"""EFI_DRIVER_BINDING_PROTOCOL and EFI_COMPONENT_NAME(2)_PROTOCOL of the firmware's drivers, for guest code.

Source: UEFI 2.10 11.1 and 11.6; edk2 MdePkg/Library/UefiLib (LookupUnicodeString2), for languages and statuses.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.drivers.binding import FirmwareBinding
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import (
    EFI_COMPONENT_NAME2_PROTOCOL_GUID,
    EFI_COMPONENT_NAME_PROTOCOL_GUID,
    EFI_DRIVER_BINDING_PROTOCOL_GUID,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_ISO_639, _RFC_4646 = b"eng\0", b"en\0"
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_LONGEST_LANGUAGE: Final = 16


class ComponentName(NamedTuple):
    """EFI_COMPONENT_NAME_PROTOCOL or EFI_COMPONENT_NAME2_PROTOCOL of a driver.

    Attributes:
        binding: The driver.
        language: Its SupportedLanguages: "eng" of the older protocol, "en" of the other.
    """

    binding: FirmwareBinding
    language: bytes


def older_name(binding: FirmwareBinding) -> ComponentName:
    """EFI_COMPONENT_NAME_PROTOCOL."""
    return ComponentName(binding, _ISO_639)


def newer_name(binding: FirmwareBinding) -> ComponentName:
    """EFI_COMPONENT_NAME2_PROTOCOL."""
    return ComponentName(binding, _RFC_4646)


class DriverProtocols:
    """The functions of all drivers, which find theirs by ``This``; structures are made when guest code first asks.

    Args:
        context: Guest memory.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram
        self._bindings: dict[int, FirmwareBinding] = {}
        self._names: dict[int, ComponentName] = {}
        self._texts: dict[bytes, int] = {}

    def install(self) -> None:
        """Register how the structures are made."""
        register = self._context.interfaces.register
        register(
            EFI_DRIVER_BINDING_PROTOCOL_GUID,
            lambda handle, thing: self._binding(thing) if isinstance(thing, FirmwareBinding) else None,
        )
        for guid in (EFI_COMPONENT_NAME_PROTOCOL_GUID, EFI_COMPONENT_NAME2_PROTOCOL_GUID):
            register(guid, lambda handle, thing: self._name(thing) if isinstance(thing, ComponentName) else None)

    def _binding(self, binding: FirmwareBinding) -> int:
        address = self._context.interfaces.structure(
            [
                self.supported, self.start, self.stop, struct.pack("<I4x", binding.version),
                binding.image_handle, binding.handle,
            ]
        )  # fmt: skip
        self._bindings[address] = binding
        return address

    def _name(self, name: ComponentName) -> int:
        address = self._context.interfaces.structure(
            [self.get_driver_name, self.get_controller_name, self._text(name.language)]
        )
        self._names[address] = name
        return address

    def _text(self, data: bytes) -> int:
        """Address of a text that stays where it is."""
        address = self._texts.get(data)
        if address is None:
            address = self._texts[data] = self._context.interfaces.structure([data])
        return address

    @service("EFI_DRIVER_BINDING_PROTOCOL.Supported", "qqq")
    def supported(self, this: int, controller_handle: int, remaining_device_path: int) -> EfiStatus:
        """Whether the driver can manage a controller."""
        if controller_handle not in self._context.services.handles:
            return _INVALID
        return self._bindings[this].supported(controller_handle, remaining_device_path)

    @service("EFI_DRIVER_BINDING_PROTOCOL.Start", "qqq")
    def start(self, this: int, controller_handle: int, remaining_device_path: int) -> EfiStatus:
        """Manage it."""
        if controller_handle not in self._context.services.handles:
            return _INVALID
        return self._bindings[this].start(controller_handle, remaining_device_path)

    @service("EFI_DRIVER_BINDING_PROTOCOL.Stop", "qqqq")
    def stop(self, this: int, controller_handle: int, number_of_children: int, child_handle_buffer: int) -> EfiStatus:
        """Manage it no longer, or its children."""
        handles = self._context.services.handles
        if controller_handle not in handles or number_of_children > len(handles):
            return _INVALID
        children = [self._ram.u64(child_handle_buffer + 8 * number) for number in range(number_of_children)]
        return self._bindings[this].stop(controller_handle, children)

    @service("EFI_COMPONENT_NAME2_PROTOCOL.GetDriverName", "qqq")
    def get_driver_name(self, this: int, language: int, driver_name: int) -> EfiStatus:
        """The driver's name in a language."""
        if not language or not driver_name:
            return _INVALID
        name = self._names[this]
        return self._answer(name, language, driver_name, name.binding.module.driver_name)

    @service("EFI_COMPONENT_NAME2_PROTOCOL.GetControllerName", "qqqqq")
    def get_controller_name(
        self, this: int, controller_handle: int, child_handle: int, language: int, controller_name: int
    ) -> EfiStatus:
        """The name of a controller that the driver manages, or of a child of it."""
        if not language or not controller_name:
            return _INVALID
        handles = self._context.services.handles
        if controller_handle not in handles or (child_handle and child_handle not in handles):
            return _INVALID
        name = self._names[this]
        return self._answer(name, language, controller_name, name.binding.name_of(controller_handle, child_handle))

    def _answer(self, name: ComponentName, language: int, where: int, text: str | None) -> EfiStatus:
        """A name's address, where the language is the one that the protocol has."""
        if text is None or not self._speaks(name.language, language):
            return EfiStatus.EFI_UNSUPPORTED
        self._ram.put_u64(where, self._text((text + "\0").encode("utf-16-le")))
        return SUCCESS

    def _speaks(self, supported: bytes, language: int) -> bool:
        """Whether a code is the language's: of ISO 639-2 three letters of any case count, of RFC 4646 all."""
        if supported == _ISO_639:
            return self._ram.read(language, 3).lower() == supported[:3]
        return self._ram.read(language, len(supported)) == supported
