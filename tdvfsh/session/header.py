"""A transcript's header: what a session began with, and a shell that begins so."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Final

from tdvfsh import __version__
from tdvfsh.commands.session.snapfile import moment_from_dict, moment_to_dict
from tdvfsh.errors import FormatError, HostError
from tdvfsh.images.folders import cache_path
from tdvfsh.machine.options_file import options_from_dict, options_to_dict
from tdvfsh.session.transcript import Transcript
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.machine_binding import options_of
from tdvfsh.shell.shell import Shell

_IMAGES: Final = "images"
_WRITABLE: Final = "rw "
_CHUNK: Final = 1 << 20
_DRIVE: Final = "fs"

Pairs = list[tuple[str, str]]


def describe(shell: Shell, folder: Path) -> Pairs:
    """The header of a session that begins now, but for the images it will read.

    Args:
        shell: Where it begins.
        folder: Where the transcript will stand.

    Raises:
        UsageError: It does not begin anew, and the machine holds what no file can hold.
    """
    pairs = [("version", __version__), ("options", json.dumps(options_to_dict(options_of(shell), whole=True)))]
    for drive in shell.drives.drives:
        filesystem = drive.filesystem
        if isinstance(filesystem, HostFolder):
            pairs.append((f"{_DRIVE}{drive.index}", _WRITABLE * filesystem.writable + _shown(filesystem.root, folder)))
    if shell.history.before_now():
        data = json.dumps(moment_to_dict(shell), separators=(",", ":")).encode("ascii")
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


def shell_of(transcript: Transcript, path: Path) -> Shell:
    """A shell in which the session can begin again.

    Raises:
        FormatError: A header that cannot be.
        HostError: A folder that is not there.
    """
    shell = Shell()
    name = str(path)
    try:
        options = json.loads(transcript.value("options") or "{}")
    except ValueError:
        raise FormatError(name, "its options are no JSON") from None
    shell.td_options = options_from_dict(options, name)
    number = 0
    while (value := transcript.value(f"{_DRIVE}{number}")) is not None:
        folder = value.removeprefix(_WRITABLE)
        root = cache_path() if folder == _IMAGES else os.path.normpath(path.parent / folder)
        if folder != _IMAGES and not os.path.isdir(root):
            raise HostError(f"{name}: {_DRIVE}{number}: {root}: no such folder")
        shell.mount(HostFolder(str(root), writable=value.startswith(_WRITABLE)))
        number += 1
    state = transcript.value("state")
    if state is not None:
        moment_from_dict(shell, _unpacked(state, name), name).restore(shell)
        shell.history.done.clear()
    return shell


def _unpacked(text: str, name: str) -> object:
    try:
        inflated = zlib.decompressobj()
        return json.loads(inflated.decompress(base64.b64decode(text, validate=True), 1 << 28))
    except (ValueError, zlib.error):
        raise FormatError(name, "its state is damaged") from None


def _shown(root: str, folder: Path) -> str:
    if os.path.realpath(cache_path()) == root:
        return _IMAGES
    relative = os.path.relpath(root, os.path.realpath(folder))
    return root if relative.startswith("../../..") else relative
