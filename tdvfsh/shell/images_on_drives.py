"""Files of the shell's drives for the machine: mapped where the host has them, by a file system on a handle.

Images are loaded by device path, as the shell of the firmware does it: the file goes through a buffer of its size, and
where that does not fit LoadImage says EFI_NOT_FOUND.

Source: edk2 ShellPkg/Library/UefiShellLevel2CommandsLib/Load.c, ShellPkg/Application/Shell/ShellProtocol.c
(InternalShellExecuteDevicePath).
"""

from __future__ import annotations

import os

from tdvfsh.dxe.protocols import FileContents
from tdvfsh.errors import HostError, TdvfshError
from tdvfsh.formats.mapped import ByteSource, MappedFile, open_mapped
from tdvfsh.formats.pe.parse import IMAGE_FILE_MACHINE_X64
from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.drives.filesystem import FileSystemError
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.image_result import ImageResult
from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.uefi.device_path import DevicePath, FilePath, Pci, PciRoot, Sata
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus

if TYPE_CHECKING:
    from tdvfsh.dxe.images import ImageResult as LoadResult
    from tdvfsh.machine import Machine
    from tdvfsh.shell.drives.drives import Drive
    from tdvfsh.shell.drives.search import Found
    from tdvfsh.shell.interfaces import FileSystem
    from tdvfsh.shell.shell import Shell

NEEDS_ENGINE = "running real code needs the CPU engine: 'td -engine cpu', after pip install 'tdvfsh[cpu]'"
_AHCI = Pci(0x1F, 2)


class FileViews:
    """Bytes of files. A file of a host folder is mapped and stays so while the shell lives; others are read."""

    def __init__(self) -> None:
        self._mapped: dict[str, tuple[tuple[int, ...], MappedFile]] = {}

    def view(self, filesystem: FileSystem, parts: tuple[str, ...]) -> memoryview:
        """All bytes of a file.

        Raises:
            FileSystemError: It cannot be read.
        """
        if not isinstance(filesystem, HostFolder):
            return memoryview(filesystem.read(parts))
        path = filesystem.host_path(parts)
        if path is None:
            raise FileSystemError(EfiStatus.EFI_NOT_FOUND)
        try:
            facts = os.stat(path)
            stamp = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
            known = self._mapped.get(path)
            if known is None or known[0] != stamp:
                known = self._mapped[path] = (stamp, open_mapped(path))
        except (OSError, TdvfshError):
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED) from None
        return known[1].view


def file_views(shell: Shell) -> FileViews:
    """The shell's views of files."""
    views = shell.state.setdefault("file views", FileViews())
    assert isinstance(views, FileViews)
    return views


def file_source(shell: Shell, item: Found) -> ByteSource:
    """A file for the parsers, under the name that the shell shows.

    Raises:
        HostError: It cannot be read.
    """
    try:
        view = file_views(shell).view(item.filesystem, item.parts)
    except FileSystemError as error:
        raise HostError(f"{item.full_name}: {error.status.phrase}") from None
    return ByteSource(view, item.full_name)


class DriveFileSystem:
    """EFI_SIMPLE_FILE_SYSTEM_PROTOCOL over one of the shell's drives."""

    def __init__(self, drive: Drive, views: FileViews) -> None:
        self.drive = drive
        self._views = views

    @property
    def volume(self) -> FileSystem:
        """The drive's file system, for real code that opens it."""
        return self.drive.filesystem

    def read_file(self, path: str) -> FileContents:
        """The file at a backslash path; what the file system says where it cannot be read."""
        parts = tuple(part for part in path.split("\\") if part)
        try:
            return FileContents(SUCCESS, self._views.view(self.drive.filesystem, parts))
        except FileSystemError as error:
            return FileContents(error.status, None)


def drive_path(drive: Drive) -> DevicePath:
    """The device path of a drive."""
    disk = DevicePath((PciRoot(0), _AHCI, Sata(drive.port)))
    return disk if drive.partition is None else disk / drive.partition


def drive_handle(shell: Shell, machine: Machine, drive: Drive) -> int:
    """The handle of a drive's disk in the machine; made where there is none."""
    handles = machine.services.handles
    for handle in handles.locate_handles(EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID):
        interface = handles.protocols(handle)[EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID]
        if isinstance(interface, DriveFileSystem) and interface.drive is drive:
            return handle
    made = handles.install_protocol_interface(None, EFI_DEVICE_PATH_PROTOCOL_GUID, drive_path(drive)).handle
    assert made is not None
    handles.install_protocol_interface(
        made, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, DriveFileSystem(drive, file_views(shell))
    )
    return made


def load_image(shell: Shell, machine: Machine, item: Found) -> LoadResult:
    """LoadImage of a file, by its device path."""
    drive_handle(shell, machine, item.mapping.drive)
    path = drive_path(item.mapping.drive) / FilePath("\\" + "\\".join(item.parts))
    return machine.services.load_image(False, machine.firmware_image, path)


def load_driver(shell: Shell, item: Found) -> ImageResult:
    """Load a driver and start it; an image that is not a driver, or that does not start, is unloaded again."""
    machine = machine_of(shell)
    services = machine.services
    status, handle = load_image(shell, machine, item)
    image = services.images.loaded_image(handle)
    if status is not SUCCESS or image is None:
        return ImageResult(status)
    if image.image_code_type is EfiMemoryType.EfiLoaderCode:
        services.unload_image(handle)
        return ImageResult(SUCCESS, False)
    started = services.start_image(handle).status
    if started.is_error:
        if not image.started:
            _remark(shell, f"Image '{item.full_name}': {NEEDS_ENGINE}")
        services.unload_image(handle)
    return ImageResult(SUCCESS, True, image.image_base, started)


def run_program(shell: Shell, path: str, command_line: str) -> tuple[EfiStatus, int]:
    """Load and start a program.

    Returns:
        LoadImage's status, and the program's own.
    """
    machine = machine_of(shell)
    found = shell.find_files(path)
    if not found:
        return EfiStatus.EFI_NOT_FOUND, ShellStatus.NOT_FOUND
    services = machine.services
    status, handle = load_image(shell, machine, found[0])
    image = services.images.loaded_image(handle)
    if status is not SUCCESS or image is None:
        return status, status.code
    image.load_options = command_line
    started = services.start_image(handle).status
    if started is EfiStatus.EFI_UNSUPPORTED and not image.started:
        if image.pe is not None and image.pe.machine == IMAGE_FILE_MACHINE_X64:
            _remark(shell, f"{found[0].full_name}: Loaded at {image.image_base:#x}, not started: {NEEDS_ENGINE}")
        services.unload_image(handle)
    return SUCCESS, started.code


def _remark(shell: Shell, text: str) -> None:
    """A line that firmware would not print: on standard error, so that redirected output stays as firmware's."""
    shell.stderr.write(text + "\n")
