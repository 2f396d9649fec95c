"""``load`` and ``unload``.

How an image is loaded is the machine's business: ``shell.image_loader`` and ``shell.image_unloader`` do it where they
are set. Without a machine the headers are checked and nothing is started.

Source: edk2 ShellPkg/Library/UefiShellLevel2CommandsLib/Load.c, UefiShellDriver1CommandsLib/Unload.c.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.numbers import parse_number
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Flag, Text
from tdvfsh.shell.image_result import ImageResult
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from tdvfsh.shell.drives.search import Found
    from tdvfsh.shell.shell import Shell

_DRIVER_SUBSYSTEMS = (11, 12)  # EFI_BOOT_SERVICE_DRIVER, EFI_RUNTIME_DRIVER


def check_image(shell: Shell, item: Found) -> ImageResult:
    """What LoadImage would return for a file's headers, where there is no machine to load it into."""
    from tdvfsh.formats.pe.parse import PeRejection, parse_pe
    from tdvfsh.shell.drives.filesystem import FileSystemError
    from tdvfsh.shell.images_on_drives import file_views

    try:
        data = file_views(shell).view(item.filesystem, item.parts)
    except FileSystemError:
        data = memoryview(b"")
    if not data:
        return ImageResult(EfiStatus.EFI_UNSUPPORTED)
    image = parse_pe(data)
    if isinstance(image, PeRejection):
        return ImageResult(image.status)
    return ImageResult(EfiStatus.EFI_SUCCESS, image.subsystem in _DRIVER_SUBSYSTEMS)


@command("load", level=2)
def load(shell: Shell, path: FilePath, *more: FilePath, nc: Flag = False) -> ShellStatus:
    """Load drivers into memory and start them.

    SYNOPSIS:
        load [-nc] file...

    OPTIONS:
        -nc: Do not connect the drivers to devices.
        file: Driver images or patterns.

    EXAMPLES:
        Load a driver:
        load isabus.efi
        Load several:
        load isabus.efi isaserial.efi
        Load all that fit a pattern:
        load isa*.efi
        Load without connecting:
        load -nc isabus.efi

    RETURNVALUES:
        SUCCESS: All were loaded.
        NOT_FOUND: There is no such file.
        DEVICE_ERROR: A file of the last argument is not an image or not a driver.
    """
    status = ShellStatus.SUCCESS
    last = EfiStatus.EFI_SUCCESS
    for pattern in (path, *more):
        found = shell.find_files(pattern)
        if not found:
            shell.print(f"load: File not found - '{pattern}'\n")
            status = ShellStatus.NOT_FOUND
            continue
        last = EfiStatus.EFI_SUCCESS
        for item in found:
            shell.checkpoint()
            result = _load_one(shell, item, connect=not nc)
            last = last if last.is_error else result
    return ShellStatus.DEVICE_ERROR if last.is_error and status is ShellStatus.SUCCESS else status


def _load_one(shell: Shell, item: Found, *, connect: bool) -> EfiStatus:
    loader = shell.image_loader
    result = loader(item, connect) if loader is not None else check_image(shell, item)
    name = item.full_name
    if result.status.is_error:
        shell.print(f"Image '{name}' is not an image.\n")
        return result.status
    if not result.is_driver:
        shell.print(f"Image '{name}' is not a driver.\n")
        return EfiStatus.EFI_INVALID_PARAMETER
    if result.started.is_error:
        shell.print(f"Image '{name}' error in StartImage: {result.started.phrase}\n")
        return result.started
    shell.print(f"Image '{name}' loaded at {result.base:X} - {result.started.phrase}\n")
    return EfiStatus.EFI_SUCCESS


@command("unload", profile="Driver1")
def unload(shell: Shell, handle: Text, *, n: Flag = False, v: Flag = False, verbose: Flag = False) -> ShellStatus:
    """Unload a driver image.

    SYNOPSIS:
        unload [-n] [-v|-verbose] handle

    OPTIONS:
        -n: Do not ask.
        -v, -verbose: Say what is unloaded.
        handle: Number of the image's handle, in hex, as dh shows it.

    EXAMPLES:
        Find the handle:
        dh -b
        Unload the image:
        unload 27

    RETURNVALUES:
        SUCCESS: Unloaded.
        INVALID_PARAMETER: There is no such handle.
    """
    index = parse_number(handle, force_hex=True)
    unloader = shell.image_unloader
    status = unloader(index) if unloader is not None and index is not None else None
    if status is None:
        shell.print(f"unload: Handle - '{handle}' not found\n")
        return ShellStatus.INVALID_PARAMETER
    if v or verbose:
        shell.print(f"Unload - Handle [{handle}].\n")
    shell.print(f"Unload - Handle [{handle}].  [Result is {status.phrase}.]\n")
    return ShellStatus.INVALID_PARAMETER if status.is_error else ShellStatus.SUCCESS
