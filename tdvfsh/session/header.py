"""A transcript's header: what a session began with, and a shell that begins so."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from pathlib import Path

from tdvfsh import __version__
from tdvfsh.commands.session.snapfile import moment_from_dict, moment_to_dict
from tdvfsh.documents import read_json
from tdvfsh.errors import FormatError, MissingError, UsageError
from tdvfsh.images.folders import cache_path
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.machine.options_file import options_from_dict, options_to_dict
from tdvfsh.session.transcript import Transcript
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.drives.overlay import OverlayFolder
from tdvfsh.shell.machine_binding import options_of
from tdvfsh.shell.shell import Shell
from tdvfsh.units import human_size

_IMAGES: Final = "images"
_WRITABLE: Final = "rw "
_CHUNK: Final = 1 << 20
_DRIVE: Final = "fs"
_STATE_BYTES: Final = 1 << 26

Pairs = list[tuple[str, str]]


def describe(shell: Shell, folder: Path) -> Pairs:
    """The header of a session that begins now, but for the images it will read.

    Args:
        shell: Where it begins.
        folder: Where the transcript will stand.

    Raises:
        UsageError: It does not begin anew, and the machine holds what no file can hold, or too much.
    """
    pairs = [("version", __version__), ("options", json.dumps(options_to_dict(options_of(shell), whole=True)))]
    for drive in shell.drives.drives:
        filesystem = drive.filesystem
        if isinstance(filesystem, HostFolder):
            pairs.append((f"{_DRIVE}{drive.index}", _WRITABLE * filesystem.writable + _shown(filesystem.root, folder)))
    if shell.history.before_now():
        data = json.dumps(moment_to_dict(shell), separators=(",", ":")).encode("ascii")
        if len(data) > _STATE_BYTES:
            size = human_size(_STATE_BYTES)
            raise UsageError(f"the machine's state takes more than {size} of a transcript: record from the start")
        pairs.append(("state", base64.b64encode(zlib.compress(data, 9)).decode("ascii")))
    return pairs


def image_pair(name: str, path: str) -> tuple[str, str]:
    """The header's line for an image that was read."""
    digest, size = hashlib.sha256(), 0
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        return "image", f"{name} gone ({error.strerror})"
    return "image", f"{name} {size} sha256={digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class ReplayLimits:
    """What a transcript, which may come from an untrusted source, may reach on this host.

    Attributes:
        scratch: An empty folder that takes what its commands write.
        outside: Whether it may read folders outside its own.
        write: Whether its commands write to the folders that its header calls ``rw``, and not to ``scratch``.
    """

    scratch: str
    outside: bool = False
    write: bool = False


def shell_of(transcript: Transcript, path: Path, limits: ReplayLimits) -> Shell:
    """A shell in which the session can begin again.

    Raises:
        FormatError: An invalid header.
        HostError: A folder that is not there.
        UsageError: A folder outside the transcript's own that may not be read.
    """
    shell = Shell()
    name = str(path)
    options = read_json(transcript.value("options") or "{}", name, "its options")
    shell.td_options = options_from_dict(options, name)
    number = 0
    while (value := transcript.value(f"{_DRIVE}{number}")) is not None:
        shell.mount(_drive(value, number, path, limits))
        number += 1
    made = os.path.join(limits.scratch, _IMAGES)
    os.makedirs(made, exist_ok=True)
    shell.images_folder = made
    state = transcript.value("state")
    if state is not None:
        moment_from_dict(shell, _unpacked(state, name), name).restore(shell)
        shell.history.done.clear()
    return shell


def _drive(value: str, number: int, path: Path, limits: ReplayLimits) -> HostFolder:
    folder, writable = value.removeprefix(_WRITABLE), value.startswith(_WRITABLE)
    if folder == _IMAGES:
        return OverlayFolder(cache_path(), os.path.join(limits.scratch, _IMAGES), writable=writable)
    root = os.path.realpath(path.parent / folder)
    if not os.path.isdir(root):
        raise MissingError(f"{path}: {_DRIVE}{number}: {root}: no such folder")
    own = os.path.realpath(path.parent)
    if not limits.outside and root != own and not root.startswith(own.rstrip(os.sep) + os.sep):
        raise UsageError(
            f"{path}: {_DRIVE}{number}: {root} is outside the transcript's folder; --outside lets it be read"
        )
    if limits.write:
        return HostFolder(root, writable=writable)
    scratch = os.path.join(limits.scratch, f"{_DRIVE}{number}")
    return OverlayFolder(root, scratch, writable=writable)


def _unpacked(text: str, name: str) -> object:
    try:
        inflated = zlib.decompressobj()
        data = inflated.decompress(base64.b64decode(text, validate=True), _STATE_BYTES)
    except (ValueError, zlib.error):
        raise FormatError(name, "its state is damaged") from None
    if inflated.unconsumed_tail:
        raise FormatError(name, f"its state unpacks to more than {human_size(_STATE_BYTES)}")
    return read_json(data, name, "its state")


def _shown(root: str, folder: Path) -> str:
    if os.path.realpath(cache_path()) == root:
        return _IMAGES
    relative = os.path.relpath(root, os.path.realpath(folder))
    return root if relative.startswith("../../..") else relative
