"""Names for code that extends tdvfsh: a loader, an accept option, a format, a command, a device.

A command is a function with ``@command("name", profile="td")``, annotated with argument types:

>>> from tdvfsh import Shell
>>> from tdvfsh.extend import ShellStatus, Size, command, machine_of
>>> @command("spare", profile="td")
... def spare(shell: Shell, reserve: Size = 0) -> ShellStatus:
...     '''Show the unaccepted bytes beyond a reserve.'''
...     shell.print(f"{machine_of(shell).td.unaccepted_bytes - reserve:,}\\n")
...     return ShellStatus.SUCCESS
>>> shell = Shell()
>>> status = shell.run_line("td new -memory 1G -accept 512M")
>>> status = shell.run_line("spare 256M")
>>> shell.stdout.text.splitlines()[-1]
'268,435,456'

A loader is a function from a ``BootFlow`` to an ``EfiStatus`` that calls boot services alone and tells ``run_step``
what each step needs, so that every accept option acts on it; ``boot_on(machine, files, loader)`` boots with it. An
accept option is an ``OnDemandAccept``. A format's parser reads a ``ByteSource``, which ``open_mapped`` returns, and
raises ``FormatError``. A device is a ``Device`` on a ``DeviceBus`` of a ``GuestFirmware``'s board; a firmware
service is a method with ``@service``; a kind of run is a ``RunObserver``.
"""

from __future__ import annotations

from tdvfsh import _found

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from tdvfsh.accept.needs import Need
    from tdvfsh.accept.on_demand import OnDemandAccept
    from tdvfsh.boots.modelled_boot import boot_on
    from tdvfsh.engine.abi.service_table import service
    from tdvfsh.engine.devices.bus import Device, DeviceBus, Overlap
    from tdvfsh.engine.runs.guest import GuestFirmware
    from tdvfsh.engine.runs.observer import RunObserver
    from tdvfsh.formats.compression import UnpackLimits
    from tdvfsh.formats.mapped import ByteSource, MappedFile, open_mapped
    from tdvfsh.loaders.firmware_player import FirmwarePlayer
    from tdvfsh.loaders.flow import BootFailure, BootFlow, Placement
    from tdvfsh.script.status import ShellStatus
    from tdvfsh.shell.command.registry import command
    from tdvfsh.shell.command.types import (
        Address,
        BadArgument,
        Count,
        FilePath,
        Flag,
        Hex,
        Kind,
        Option,
        Rest,
        Size,
        Text,
    )
    from tdvfsh.shell.machine_binding import machine_of

__all__ = [
    "Address",
    "BadArgument",
    "BootFailure",
    "BootFlow",
    "ByteSource",
    "Count",
    "Device",
    "DeviceBus",
    "FilePath",
    "FirmwarePlayer",
    "Flag",
    "GuestFirmware",
    "Hex",
    "Kind",
    "MappedFile",
    "Need",
    "OnDemandAccept",
    "Option",
    "Overlap",
    "Placement",
    "Rest",
    "RunObserver",
    "ShellStatus",
    "Size",
    "Text",
    "UnpackLimits",
    "boot_on",
    "command",
    "machine_of",
    "open_mapped",
    "service",
]

_HOMES = {
    "accept.needs": ("Need",),
    "accept.on_demand": ("OnDemandAccept",),
    "boots.modelled_boot": ("boot_on",),
    "engine.abi.service_table": ("service",),
    "engine.devices.bus": (
        "Device",
        "DeviceBus",
        "Overlap",
    ),
    "engine.runs.guest": ("GuestFirmware",),
    "engine.runs.observer": ("RunObserver",),
    "formats.compression": ("UnpackLimits",),
    "formats.mapped": (
        "ByteSource",
        "MappedFile",
        "open_mapped",
    ),
    "loaders.firmware_player": ("FirmwarePlayer",),
    "loaders.flow": (
        "BootFailure",
        "BootFlow",
        "Placement",
    ),
    "script.status": ("ShellStatus",),
    "shell.command.registry": ("command",),
    "shell.command.types": (
        "BadArgument",
        "Kind",
        "Option",
        "Address",
        "Count",
        "FilePath",
        "Flag",
        "Hex",
        "Rest",
        "Size",
        "Text",
    ),
    "shell.machine_binding": ("machine_of",),
}
"""Module of each name; a test keeps it true."""


def __getattr__(name: str) -> object:
    return _found(name, "tdvfsh.extend", _HOMES, globals())


def __dir__() -> list[str]:
    return __all__
