"""EFI_SIMPLE_POINTER_PROTOCOL and EFI_ABSOLUTE_POINTER_PROTOCOL of the virtual console, which has no pointing device.

Source: UEFI 2.10 12.5 and 12.7; edk2 MdeModulePkg/Universal/Console/ConSplitterDxe, whose virtual pointers answer so
while no device is behind them.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_RESOLUTION: Final = 0x10000
_SIMPLE_STATE, _ABSOLUTE_STATE = 14, 28
"""Bytes of a state that are cleared, without the padding at its end."""


class VirtualPointers:
    """Both protocols.

    Args:
        context: Guest memory, and the events to wait for.
    """

    def __init__(self, context: GuestContext) -> None:
        self._ram = context.ram
        structure, create_event = context.interfaces.structure, context.core.events.create_event
        simple_mode = structure([*(_RESOLUTION,) * 3, struct.pack("<BB6x", 1, 1)])
        absolute_mode = structure([0, 0, 0, *(_RESOLUTION,) * 3, 0])
        self.simple = structure([self.reset_simple, self.get_simple_state, create_event(), simple_mode])
        self.absolute = structure([self.reset_absolute, self.get_absolute_state, create_event(), absolute_mode])

    @service("EFI_SIMPLE_POINTER_PROTOCOL.Reset", "qb")
    def reset_simple(self, this: int, extended_verification: int) -> EfiStatus:
        """Nothing."""
        return SUCCESS

    @service("EFI_SIMPLE_POINTER_PROTOCOL.GetState", "qq")
    def get_simple_state(self, this: int, state: int) -> EfiStatus:
        """No movement."""
        self._ram.write(state, bytes(_SIMPLE_STATE))
        return EfiStatus.EFI_NOT_READY

    @service("EFI_ABSOLUTE_POINTER_PROTOCOL.Reset", "qb")
    def reset_absolute(self, this: int, extended_verification: int) -> EfiStatus:
        """Nothing."""
        return SUCCESS

    @service("EFI_ABSOLUTE_POINTER_PROTOCOL.GetState", "qq")
    def get_absolute_state(self, this: int, state: int) -> EfiStatus:
        """No place."""
        self._ram.write(state, bytes(_ABSOLUTE_STATE))
        return EfiStatus.EFI_NOT_READY
