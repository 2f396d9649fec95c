"""Snapshots as files: ``snap save -file`` and ``snap load -file``.

One JSON object: ``format`` (``tdvfsh-snapshot``), ``version``, ``tdvfsh`` (the version that wrote it), ``machine``
(null, or as :mod:`tdvfsh.machine.snapshot_file` says) and ``shell``::

    {"variables": [[name, value, volatile]...], "aliases": [[name, command, volatile]...], "current": "FS0:",
     "directories": [[mapping, directory]...], "start_time": null or seconds since 1970, "options": TD options, or null,
     "clock_ns": where there is no machine}

Interfaces of handles are objects with ``kind``: ``path`` (the nodes of a device path: name, then fields; the
``address`` of one that a program keeps), ``drive`` (its port), ``initrd`` (``address``, ``size``, ``pages``), ``image``
(the loaded image's fields, its ``file`` and ``sha256``), ``guest`` (``address`` of a program's own structure) and
``processor`` for what comes with the processor, which makes it anew.

A file of an older version is read, a newer one is refused. In version 1 the variables stood under ``shell``, as
``"nvram": [[vendor, name, attributes, hex]...]``, and ``start_time`` was where the date had been set to.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields

from tdvfsh import __version__
from tdvfsh.commands.firmware.protocol_names import protocol_name
from tdvfsh.commands.firmware.setvar import set_variable
from tdvfsh.commands.td.initrd import BufferedInitrd
from tdvfsh.documents import read_json
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.engine.abi.interfaces import GuestDevicePath, GuestInterface
from tdvfsh.errors import FormatError, HostError, TdvfshError, UsageError
from tdvfsh.formats.pe.parse import PeRejection, parse_pe
from tdvfsh.formats.shapes import anything, flag, items, mapping, maybe, row, text, whole
from tdvfsh.formats.shapes import fields as fields_shape
from tdvfsh.formats.typed_json import FieldError
from tdvfsh.lazy_typing import TYPE_CHECKING, Any, Final
from tdvfsh.machine import Machine
from tdvfsh.machine.options_file import options_from_dict, options_to_dict
from tdvfsh.machine.snapshot_file import machine_from_dict, machine_to_dict
from tdvfsh.machine.snapshot_shape import MACHINE
from tdvfsh.shell.drives.filesystem import FileSystemError
from tdvfsh.shell.history import Moment, full_moment
from tdvfsh.shell.images_on_drives import DriveFileSystem, file_views
from tdvfsh.shell.processor import connect_processor, is_processor_s, wants_processor
from tdvfsh.uefi.device_path import DevicePath, FilePath
from tdvfsh.uefi.guids import EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, Guid
from tdvfsh.uefi.memory import EfiMemoryType

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

FORMAT: Final = "tdvfsh-snapshot"
VERSION: Final = 2
_IMAGE_NUMBERS: Final = (
    "parent_handle", "device_handle", "image_base", "image_size", "page_base", "number_of_pages", "entry_point",
    "private_data", "runtime_data", "load_options", "started",
)  # fmt: skip
_TYPES: Final = {int(member): member for member in EfiMemoryType}
_CHUNK: Final = 1 << 20


def save_moment(shell: Shell, moment: Moment, path: str) -> None:
    """Write a moment, which is the present one, to a file of a drive.

    Raises:
        HostError: The file cannot be written.
        UsageError: Something in the machine that no file can hold.
    """
    data = moment_to_dict(shell, moment)
    located = shell.locate(path)
    try:
        if located is None or not located[1]:
            raise HostError(f"{path}: there is no such drive")
        content = (json.dumps(data, indent=None, separators=(",", ":")) + "\n").encode("ascii")
        located[0].drive.filesystem.save(located[1], (content,))
    except FileSystemError as error:
        raise HostError(f"{path}: {error.status.phrase}") from None


def moment_to_dict(shell: Shell, moment: Moment | None = None) -> dict[str, Any]:
    """The present moment as JSON values; see the module's text."""
    snapshot = (full_moment(shell, "") if moment is None else moment).snapshot
    machine = None if snapshot is None else machine_to_dict(snapshot, _Encoder(shell))
    return {"format": FORMAT, "version": VERSION, "tdvfsh": __version__, "shell": _shell(shell), "machine": machine}


def load_moment(shell: Shell, path: str) -> Moment:
    """Read a moment from a file; the shell stays as it is.

    Raises:
        HostError: The file, or one whose image is loaded in it, cannot be read.
        FormatError: Not a snapshot, a newer version, or it names files that have changed.
    """
    content = shell.read_file(path)
    if content is None:
        raise HostError(f"{path}: there is no such file, or it cannot be read")
    return moment_from_dict(shell, read_json(content, path, "this snapshot"), path)


def moment_from_dict(shell: Shell, values: object, path: str) -> Moment:
    """The moment that :func:`moment_to_dict` described; raises as :func:`load_moment` does."""
    data = _checked(values, path)
    before = full_moment(shell, "")
    try:
        _become(shell, data, path)
        return full_moment(shell, "")
    except TdvfshError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError, AssertionError) as error:
        why = next(iter(str(error).splitlines()), "")
        raise FormatError(path, f"this snapshot is damaged ({type(error).__name__}: {why})") from None
    finally:
        before.restore(shell)


def _checked(data: object, path: str) -> dict[str, Any]:
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise FormatError(path, f"not a snapshot: it has no format '{FORMAT}'")
    version = data.get("version")
    if not isinstance(version, int) or version < 1:
        raise FormatError(path, "this snapshot has no version")
    if version > VERSION:
        who = f", written by tdvfsh {data.get('tdvfsh')}"
        raise FormatError(path, f"a snapshot of version {version}{who}; this tdvfsh reads up to {VERSION}")
    try:
        _FILE(data, "")
    except FieldError as error:
        raise FormatError(path, f"this snapshot is damaged: {error}") from None
    return data


_SHELL: Final = fields_shape(
    {
        "variables": items(row(text, text, flag)),
        "aliases": items(row(text, text, flag)),
        "current": maybe(text),
        "directories": items(row(text, text)),
        "start_time": maybe(whole(1 << 40)),
        "options": maybe(mapping(anything)),
        "clock_ns": whole(1 << 80),
    },
    {"nvram": items(row(text, text, whole(0xFFFFFFFF), text))},
)
_FILE: Final = fields_shape(
    {"format": text, "version": whole(VERSION, least=1), "tdvfsh": text, "shell": _SHELL, "machine": maybe(MACHINE)}
)


def _shell(shell: Shell) -> dict[str, Any]:
    variables, volatile = shell.environment.state()
    aliases, volatile_aliases = shell.aliases.state()
    return {
        "variables": [[name, value, name in volatile] for name, value in variables.items()],
        "aliases": [[name, command, name in volatile_aliases] for name, command in aliases.items()],
        "current": shell.current.name if shell.current is not None else None,
        "directories": [[mapping.name, directory] for _, mapping, directory in shell.drives.state()[1] if directory],
        "start_time": shell.start_time,
        "options": None if shell.td_options is None else options_to_dict(shell.td_options),
        "clock_ns": shell.clock.now_ns,
    }


def _become(shell: Shell, data: dict[str, Any], path: str) -> None:
    """Make the shell what the file says; the caller brings it back."""
    from tdvfsh.shell.identity import StillClock

    own = data["shell"]
    environment: dict[str, str] = {name: value for name, value, _ in own["variables"]}
    shell.environment.restore((environment, {name for name, _, volatile in own["variables"] if volatile}))
    aliases: dict[str, str] = {name: command for name, command, _ in own["aliases"]}
    shell.aliases.restore((aliases, {name for name, _, volatile in own["aliases"] if volatile}))
    shell.start_time = own["start_time"] and int(own["start_time"])
    shell.td_options = None if own["options"] is None else options_from_dict(own["options"], path)
    for name, directory in own["directories"]:
        mapping = shell.drives.find(name)
        if mapping is not None:
            mapping.directory = directory
    shell.current = shell.drives.find(own["current"]) if own["current"] else None
    if data["machine"] is None:
        shell.machine, shell.clock = None, StillClock(int(own["clock_ns"]))
    else:
        machine, _ = machine_from_dict(data["machine"], _Decoder(shell, path), path)
        shell.machine, shell.clock = machine, machine.clock
        _give_processor(shell, machine)
    if data["version"] == 1 and isinstance(shell.machine, Machine):
        shell.machine.services.core.real_time_clock.start_ns = int(own["start_time"]) * 1_000_000_000
    for vendor, name, attributes, data_text in own.get("nvram", ()):
        set_variable(shell, name, Guid(vendor), attributes, bytes.fromhex(data_text))


class _OfTheProcessor:
    """A place holder for an interface of the processor."""


def _give_processor(shell: Shell, machine: Machine) -> None:
    """A new processor instead of the one that the machine had; none where this shell runs no code."""
    handles = machine.services.handles
    places = [
        (handle, guid, interface)
        for handle in handles
        for guid, interface in handles.protocols(handle).items()
        if isinstance(interface, _OfTheProcessor)
    ]
    if wants_processor(shell):
        connect_processor(shell, machine, places)
    else:
        for handle, guid, _ in places:
            handles.uninstall_protocol_interface(handle, guid)
        with machine.services.core.events.replacing_ready_events():
            pass


class _Encoder:
    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def __call__(self, handle: int, guid: Guid, interface: object) -> object:
        if is_processor_s(self._shell, handle, guid, interface):
            return {"kind": "processor"}
        if isinstance(interface, GuestInterface):
            return {"kind": "guest", "address": interface.address}
        if isinstance(interface, GuestDevicePath):
            return {
                "kind": "path", "nodes": [_node(node) for node in interface.nodes], "address": interface.address,
            }  # fmt: skip
        if isinstance(interface, DevicePath):
            return {"kind": "path", "nodes": [_node(node) for node in interface.nodes]}
        if isinstance(interface, DriveFileSystem):
            return {"kind": "drive", "port": interface.drive.port}
        if isinstance(interface, BufferedInitrd):
            return {
                "kind": "initrd", "address": interface.address, "size": interface.size, "pages": interface.pages,
            }  # fmt: skip
        if isinstance(interface, LoadedImage) and interface.unload is None:
            return self._image(handle, interface)
        raise UsageError(f"handle {handle:X}: no file can hold its {protocol_name(guid)}")

    def _image(self, handle: int, image: LoadedImage) -> dict[str, object]:
        file = _file_of(self._shell, image)
        if file is None:
            raise UsageError(f"handle {handle:X}: its image came from no file of a drive")
        return {
            "kind": "image",
            "file": file,
            "sha256": _checksum(image.source),
            "code_type": int(image.image_code_type),
            "data_type": int(image.image_data_type),
            **{name: getattr(image, name) for name in _IMAGE_NUMBERS},
        }


class _Decoder:
    def __init__(self, shell: Shell, path: str) -> None:
        self._shell = shell
        self._path = path

    def __call__(self, machine: Machine, value: object) -> object:
        assert isinstance(value, dict)
        kind = value["kind"]
        if kind == "processor":
            return _OfTheProcessor()
        if kind == "guest":
            return GuestInterface(value["address"])
        if kind == "path":
            nodes = tuple(_read_node(node) for node in value["nodes"])
            return GuestDevicePath(nodes, value["address"]) if "address" in value else DevicePath(nodes)
        if kind == "drive":
            return self._drive(value["port"])
        if kind == "initrd":
            content = machine.td.contents.read(value["address"], value["size"])
            return BufferedInitrd(memoryview(content), value["address"], value["pages"])
        if kind == "image":
            return self._image(value)
        raise FormatError(self._path, f"it has an interface of kind '{kind}' that this version does not know")

    def _drive(self, port: int) -> DriveFileSystem:
        for drive in self._shell.drives.drives:
            if drive.port == port:
                return DriveFileSystem(drive, file_views(self._shell))
        raise FormatError(self._path, f"it has a drive at port {port} that is not mounted here")

    def _image(self, value: dict[str, Any]) -> LoadedImage:
        name = value["file"]
        located = self._shell.locate(name)
        try:
            if located is None:
                raise HostError(f"{name}: there is no such drive")
            view = file_views(self._shell).view(located[0].drive.filesystem, located[1])
        except FileSystemError as error:
            raise HostError(f"{name}: {error.status.phrase}") from None
        if _checksum(view) != value["sha256"]:
            raise FormatError(self._path, f"it has loaded {name}, which is another file now")
        pe = parse_pe(view)
        assert not isinstance(pe, PeRejection)
        rest = DevicePath((FilePath(name.partition(":")[2]),))
        return LoadedImage(
            file_path=rest, pe=pe, source=view, image_code_type=_TYPES[value["code_type"]],
            image_data_type=_TYPES[value["data_type"]], **{key: value[key] for key in _IMAGE_NUMBERS},
        )  # fmt: skip


def _file_of(shell: Shell, image: LoadedImage) -> str | None:
    """The shell's name of the file that an image was loaded from."""
    machine = shell.machine
    if not isinstance(machine, Machine) or image.device_handle is None or image.file_path is None:
        return None
    interface = machine.services.handles.protocols(image.device_handle).get(EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID)
    if not isinstance(interface, DriveFileSystem):
        return None
    return interface.drive.name + "".join(str(node) for node in image.file_path.nodes)


def _checksum(view: memoryview) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(view), _CHUNK):
        digest.update(view[start : start + _CHUNK])
    return digest.hexdigest()


def _node(node: object) -> list[object]:
    values = [getattr(node, field.name) for field in fields(node)]  # type: ignore[arg-type]
    plain = [value.hex() if isinstance(value, bytes) else str(value) if isinstance(value, Guid) else value
             for value in values]  # fmt: skip
    return [type(node).__name__, *plain]


def _read_node(data: list[Any]) -> Any:
    from tdvfsh.uefi import device_path

    kind = getattr(device_path, str(data[0]))
    values = [_as_declared(value, field.type) for value, field in zip(data[1:], fields(kind), strict=True)]
    return kind(*values)


def _as_declared(value: Any, declared: object) -> Any:
    if declared == "Guid":
        return Guid(value)
    if declared == "bytes":
        return bytes.fromhex(value)
    wanted = {"int": int, "str": str}.get(str(declared))
    if wanted is not None and type(value) is not wanted:
        raise ValueError(f"{value!r} in a device path")
    if wanted is int and not 0 <= value < 1 << 64:
        raise ValueError(f"{value} in a device path")
    return value
