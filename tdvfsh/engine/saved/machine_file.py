"""The file of a saved machine: a zip file of JSON and of raw pages, each packed with zstd.

============  =========================================================================================================
member        what
============  =========================================================================================================
machine.json  what the machine is: form, version, who wrote it, its options, its files with size and SHA-256, and the
              SHA-256 of the two other members
state         JSON, packed: everything but memory and disks, and where the pages and chunks belong
bytes         packed: the pages of memory that are not zero, then the chunks that the guest wrote to its disks
============  =========================================================================================================

It is written whole or not at all. What is read is never executed; sizes are bounded by what the machine can hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import zstandard

from tdvfsh.documents import MAXIMUM_VALUES, read_json
from tdvfsh.engine.errors import EngineError
from tdvfsh.errors import FormatError, host_error
from tdvfsh.formats.mapped import require_file
from tdvfsh.formats.shapes import Shape, fields, flag, items, mapping, one_of, text, whole
from tdvfsh.formats.typed_json import FieldError
from tdvfsh.lazy_typing import Any, BinaryIO, Final, NamedTuple, cast
from tdvfsh.options.td import OPTIONS
from tdvfsh.units import MIB
from tdvfsh.whole_file import whole_file

Json = dict[str, Any]

FORM: Final = "tdvfsh machine"
VERSION: Final = 2
_MACHINE: Final = "machine.json"
_STATE: Final = "state"
_BYTES: Final = "bytes"
_MEMBERS: Final = (_BYTES, _STATE, _MACHINE)
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_LEVEL: Final = 3
_LARGEST_HEADER: Final = MIB
_LARGEST_STATE: Final = 128 * MIB
_PIECE: Final = MIB

DEVICES: Final = ("rng", "virtio_console")
"""Virtio devices beside disks, by their options."""
# The roles of files; one that a TD option names has the option's name.
FIRMWARE, KERNEL, INITRD, SHIM, DISK = "firmware", "kernel", "initrd", "shim", "disk"
_FILE: Final = fields(
    {
        "role": one_of((KERNEL, INITRD, DISK, *OPTIONS)), "path": text, "size": whole(),
        "sha256": text, "writable": flag,
    }
)  # fmt: skip
_HEADER: Final = fields(
    {
        "form": text, "version": whole(), "tdvfsh": text, "unicorn": text,
        "options": mapping(lambda value, field: None),  # by the option table, as it reads them
        "cmdline": text, "run": text, "real_code_only": flag, "violation_ve": flag, "grub": flag,
        "devices": items(one_of(DEVICES)), "files": items(_FILE),
        "sha256": fields({_STATE: text, _BYTES: text}),
    },
    )  # fmt: skip


class MachineFile(NamedTuple):
    """A file that was written.

    Attributes:
        size: Its bytes.
        unpacked: Bytes of memory and disks in it, unpacked.
    """

    size: int
    unpacked: int


class SavedFile(NamedTuple):
    """A file of the host that a saved machine uses.

    Attributes:
        role: What for.
        path: Where it was.
        size: Its bytes.
        sha256: Of its bytes.
        writable: Whether it is a disk that the guest may write.
    """

    role: str
    path: str
    size: int
    sha256: str
    writable: bool = False

    @classmethod
    def of(cls, role: str, path: str, writable: bool = False) -> SavedFile:
        """The file as it is now; raises HostError."""
        digest, size = hashlib.sha256(), 0
        require_file(path)
        try:
            with open(path, "rb") as file:
                while data := file.read(_PIECE):
                    digest.update(data)
                    size += len(data)
        except OSError as error:
            raise host_error(path, error) from None
        return cls(role, os.path.abspath(path), size, digest.hexdigest(), writable)

    def check(self, path: str) -> None:
        """Raise FormatError where the file at ``path`` is not this one."""
        now = SavedFile.of(self.role, path)
        if (now.size, now.sha256) != (self.size, self.sha256):
            raise FormatError(path, f"not the {self.role} that the machine was saved with: it was changed since")


class _Counted:
    """A stream that counts and hashes what goes through it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Nothing is held back here."""


class ByteWriter:
    """Takes the pages and chunks."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self.size = 0

    def write(self, data: bytes) -> int:
        """Some bytes."""
        self.size += len(data)
        self._out.write(data)
        return len(data)


def write_machine_file(path: str, header: Json, state: Callable[[ByteWriter], Json]) -> MachineFile:
    """Write the file.

    Args:
        path: Where.
        header: ``machine.json`` without form, version and the hashes of the other members.
        state: Writes pages and chunks, and returns the rest of the state.

    Raises:
        HostError: The host refuses.
        EngineError: The state is too large to be read again.
    """
    with whole_file(path) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            with _member(archive, _BYTES) as counted, _packer().stream_writer(cast(Any, counted), closefd=False) as out:
                writer = ByteWriter(out)
                data = state(writer)
            hashes = {_BYTES: counted.digest.hexdigest()}
            with _member(archive, _STATE) as counted, _packer().stream_writer(cast(Any, counted), closefd=False) as out:
                out.write(_state_text(data))
            hashes[_STATE] = counted.digest.hexdigest()
            whole_header = {"form": FORM, "version": VERSION, **header, "sha256": hashes}
            with _member(archive, _MACHINE) as counted:
                counted.write(json.dumps(whole_header, indent=2).encode() + b"\n")
        return MachineFile(file.tell(), writer.size)


def _state_text(data: Json) -> bytes:
    text = json.dumps(data, separators=(",", ":")).encode()
    if text.count(b"[") + text.count(b"{") + text.count(b",") > MAXIMUM_VALUES or len(text) > _LARGEST_STATE:
        raise EngineError(f"the machine cannot be saved: its records are more than {MAXIMUM_VALUES:,} values")
    return text


def _packer() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=_LEVEL)


@contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Iterator[_Counted]:
    with archive.open(zipfile.ZipInfo(name, _DATE), "w", force_zip64=True) as file:
        yield _Counted(cast(BinaryIO, file))


class OpenedMachine:
    """A saved machine's file that is open.

    Attributes:
        path: The file.
        header: What the machine is.
        files: The files that it uses.
    """

    def __init__(self, path: str, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self.header = self._read_header()
        self.files = tuple(SavedFile(**file) for file in self.header["files"])

    def files_by_role(self) -> defaultdict[str, list[SavedFile]]:
        """Its files, in order, by what they are for."""
        found: defaultdict[str, list[SavedFile]] = defaultdict(list)
        for file in self.files:
            found[file.role].append(file)
        return found

    def damaged(self, why: object) -> FormatError:
        """The error for a file that is not what its header says."""
        return FormatError(self.path, f"this saved machine is damaged: {why}")

    def _read_header(self) -> Json:
        infos = self._archive.infolist()
        if sorted(info.filename for info in infos) != sorted(_MEMBERS):
            raise FormatError(self.path, "not a saved machine")
        for info in infos:
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                raise self.damaged("a member is packed or encrypted in another way")
        header = read_json(
            self._read(_MACHINE, _LARGEST_HEADER), self.path, f"this saved machine is damaged: {_MACHINE}"
        )
        if not isinstance(header, dict) or header.get("form") != FORM:
            raise FormatError(self.path, "not a saved machine")
        if header.get("version") != VERSION:
            raise FormatError(
                self.path, f"a saved machine of version {header.get('version')!a:.40}; this is for version {VERSION}"
            )
        try:
            _HEADER(header, "")
        except FieldError as error:
            raise self.damaged(error) from None
        return header

    def _read(self, name: str, most: int) -> bytes:
        if self._archive.getinfo(name).file_size > most:
            raise self.damaged(f"{name} is too large")
        with _readable(self.path):
            return self._archive.read(name)

    def state(self, shape: Shape) -> Json:
        """The state, of the right shape."""
        packed = self._read(_STATE, _LARGEST_STATE)
        self._check_hash(_STATE, hashlib.sha256(packed).hexdigest())
        try:
            data = zstandard.ZstdDecompressor().stream_reader(packed).read(_LARGEST_STATE + 1)
        except zstandard.ZstdError:
            raise self.damaged("its state cannot be unpacked") from None
        if len(data) > _LARGEST_STATE:
            raise self.damaged("its state is too large")
        state = read_json(data, self.path, "this saved machine is damaged: its state")
        try:
            shape(state, "")
        except FieldError as error:
            raise self.damaged(error) from None
        assert isinstance(state, dict)
        return state

    @contextmanager
    def bytes(self) -> Iterator[BinaryIO]:
        """The pages and chunks, one after the other; FormatError where they cannot be unpacked."""
        self._check_hash(_BYTES, self._hash(_BYTES))
        try:
            with (
                self._archive.open(_BYTES) as packed,
                zstandard.ZstdDecompressor().stream_reader(packed) as unpacked,
            ):
                yield cast(BinaryIO, _WholeReads(unpacked))
        except zstandard.ZstdError:
            raise self.damaged("its memory cannot be unpacked") from None

    def _hash(self, name: str) -> str:
        digest = hashlib.sha256()
        with _readable(self.path), self._archive.open(name) as member:
            while data := member.read(_PIECE):
                digest.update(data)
        return digest.hexdigest()

    def _check_hash(self, name: str, digest: str) -> None:
        if digest != self.header["sha256"][name]:
            raise self.damaged(f"{name} is not what was written")


class _WholeReads:
    """A stream whose reads return as much as there is."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        parts = []
        while size:
            data = self._stream.read(size)
            if not data:
                break
            parts.append(data)
            size -= len(data)
        return b"".join(parts)


@contextmanager
def open_machine_file(path: str) -> Iterator[OpenedMachine]:
    """Open a saved machine.

    Raises:
        HostError: It cannot be read.
        FormatError: It is cut or damaged, or is not a saved machine of this version.
    """
    require_file(path)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb"))
        except OSError as error:
            raise host_error(path, error) from None
        with _readable(path):
            archive = stack.enter_context(zipfile.ZipFile(file))
        yield OpenedMachine(path, archive)


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """One error for all that is wrong with a zip file."""
    try:
        yield
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, OverflowError, struct.error, OSError):
        raise FormatError(path, "not a saved machine, or one that is cut or damaged") from None
