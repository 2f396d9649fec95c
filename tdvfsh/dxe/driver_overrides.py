"""Protocols by which a platform, a bus or a family of drivers changes the order in which drivers are asked.

Source: UEFI 2.10 11.3 to 11.5; edk2 MdeModulePkg/Core/Dxe/Hand/DriverSupport.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tdvfsh.lazy_typing import Protocol


class DriverOverrides(Protocol):
    """The three override protocols, as they are in the handle database."""

    def platform(self, controller: int) -> Iterable[int]:
        """Image handles that EFI_PLATFORM_DRIVER_OVERRIDE_PROTOCOL names for a controller, in order."""
        ...

    def family_version(self, driver: int) -> int | None:
        """Version of EFI_DRIVER_FAMILY_OVERRIDE_PROTOCOL on a driver's handle; None where it has none."""
        ...

    def bus_specific(self, controller: int) -> Iterable[int]:
        """Image handles that EFI_BUS_SPECIFIC_DRIVER_OVERRIDE_PROTOCOL on a controller names, in order."""
        ...


class NoDriverOverrides:
    """Overrides of firmware without programs: none."""

    def platform(self, controller: int) -> Sequence[int]:
        """None."""
        return ()

    def family_version(self, driver: int) -> int | None:
        """None."""
        return None

    def bus_specific(self, controller: int) -> Sequence[int]:
        """None."""
        return ()
