"""A run of real firmware in QEMU: which of some programs it starts, with databases of the tests' own.

The UEFI Shell, whose hash is put into db, loads one after the other from a FAT volume, as drivers that return at once;
of one that LoadImage refuses its ``load`` says that it is not an image. The image execution information table is read
from the guest's memory when the machine is off.
"""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from tdvfsh.dxe.secure_boot.databases import EFI_IMAGE_SECURITY_DATABASE_GUID, vendor_of
from tdvfsh.dxe.secure_boot.verification import IMAGE_HASH_TYPES
from tdvfsh.formats.signature_lists import Signature, build_signature_lists, parse_signature_lists
from tdvfsh.formats.variable_store import EFI_AUTHENTICATED_VARIABLE_GUID, StoredVariable
from tests.conformance.signatures.cases import Cases, entry, hash_entry
from tests.formats.signing import identity
from tests.formats.store_builder import pack_variable

QEMU: Final = "qemu-system-x86_64"
_KEY_ATTRIBUTES: Final = 0x27
_ADDED: Final = 0x3F
_STORE_HEADER: Final = 28
_ANSWER: Final = re.compile(rb"c(\d+)\.efi' (loaded at [0-9A-F]+ - Success|is not an image)")
_PROGRAM: Final = re.compile(r"c(\d+)\.efi$")
_REFUSED: Final = b"is not an image"
_DONE: Final = b"<all"
_LIMIT: Final = 240
_MEMORY: Final = "512M"
_SYSTEM_TABLE: Final = b"IBI SYST"
_CONFIGURATION_OFFSET: Final = 104  # NumberOfTableEntries and ConfigurationTable in EFI_SYSTEM_TABLE
_END_OF_PATH: Final = b"\x7f\xff\x04\x00"


class Answer(NamedTuple):
    """What firmware made of one program.

    Attributes:
        runs: Whether LoadImage took it.
        action: EFI_IMAGE_EXECUTION_ACTION of its entry in the table; None where it has none.
        hashes: The kinds of the hashes in that entry, as ``hashlib`` names them.
    """

    runs: bool
    action: int | None = None
    hashes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.runs:
            return "runs"
        return " ".join(("refused", "-" if self.action is None else str(self.action), *self.hashes))


def enrolled(template: bytes, cases: Cases, starter: bytes) -> bytes:
    """A variable store as ``template`` is, with the databases of some cases, and the hash of what starts them in db."""
    owner = identity("Platform")
    lists = {
        "PK": [entry(owner)],
        "KEK": [entry(owner)],
        "db": [*cases.db, hash_entry(starter, "sha256")],
        "dbx": list(cases.dbx),
        "dbt": list(cases.dbt),
    }
    at = template.index(EFI_AUTHENTICATED_VARIABLE_GUID.bytes_le) + _STORE_HEADER
    packed = b"".join(pack_variable(_variable(name, entries), _ADDED) for name, entries in lists.items() if entries)
    return template[:at] + packed + template[at + len(packed) :]


def _variable(name: str, entries: Iterable[Signature]) -> StoredVariable:
    return StoredVariable(name, vendor_of(name), _KEY_ATTRIBUTES, build_signature_lists(entries))


def answers(code: Path, variables: Path, shell: Path, cases: Cases) -> dict[str, Answer]:
    """What firmware says of each program.

    Args:
        code: Firmware with SMM, as ``OVMF_CODE_4M.secboot.fd``.
        variables: Its variable store, without variables.
        shell: The UEFI Shell.
        cases: Programs and databases.
    """
    lines = [f"load c{number}.efi" for number in range(len(cases.images))]
    script = "\r\n".join(["@echo -off", "fs0:", *lines, 'echo "<all"', "reset -s", ""]).encode()
    said, memory = run(code, variables, {"startup.nsh": script}, shell.read_bytes(), cases)
    table = _execution_table(memory)
    runs = {int(number): text != _REFUSED for number, text in _ANSWER.findall(said)}
    found = {number: Answer(loaded) if loaded else table.get(number, Answer(False)) for number, loaded in runs.items()}
    return {name: found[number] for number, name in enumerate(cases.images)}


def run(code: Path, variables: Path, files: dict[str, bytes], starter: bytes, cases: Cases) -> tuple[bytes, bytes]:
    """A run of firmware until it switches off.

    Args:
        code: Firmware with SMM.
        variables: Its variable store, without variables.
        files: More files of the volume, by path.
        starter: The program that firmware starts, whose hash is put into db.
        cases: Programs, which become ``c0.efi`` and so on, and databases.

    Returns:
        What came out of the serial port, and the guest's memory.
    """
    named = {f"c{number}.efi": image for number, image in enumerate(cases.images.values())}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, data in {**named, **files, "EFI/BOOT/BOOTX64.EFI": starter}.items():
            path = place / "volume" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (place / "variables.fd").write_bytes(enrolled(variables.read_bytes(), cases, starter))
        subprocess.run(_command(code, place), check=True, timeout=_LIMIT)
        said = (place / "serial").read_bytes()
        memory = (place / "memory").read_bytes()
    assert _DONE in said, said[-2000:]
    return said, memory


def _command(code: Path, place: Path) -> list[str]:
    return [
        QEMU, "-M", "q35,smm=on,memory-backend=ram", "-global", "driver=cfi.pflash01,property=secure,value=on",
        "-object", f"memory-backend-file,id=ram,size={_MEMORY},mem-path={place / 'memory'},share=on", "-m", _MEMORY,
        "-display", "none", "-net", "none", "-no-reboot", "-serial", f"file:{place / 'serial'}",
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}",
        "-drive", f"if=pflash,format=raw,unit=1,file={place / 'variables.fd'}",
        "-drive", f"file=fat:rw:{place / 'volume'},format=raw,if=none,id=d", "-device", "ide-hd,drive=d",
    ]  # fmt: skip


def _execution_table(memory: bytes) -> dict[int, Answer]:
    """The refused programs in EFI_IMAGE_EXECUTION_INFO_TABLE, by number."""
    at = 0
    while (at := memory.find(_SYSTEM_TABLE, at)) >= 0:
        count, tables = struct.unpack_from("<QQ", memory, at + _CONFIGURATION_OFFSET)
        for place in range(tables, tables + 24 * min(count, 64), 24):
            if memory[place : place + 16] == EFI_IMAGE_SECURITY_DATABASE_GUID.bytes_le:
                return _entries(memory, *struct.unpack_from("<Q", memory, place + 16))
        at += len(_SYSTEM_TABLE)
    return {}


def _entries(memory: bytes, at: int) -> dict[int, Answer]:
    found: dict[int, Answer] = {}
    (count,) = struct.unpack_from("<Q", memory, at)
    at += 8
    for _ in range(count):
        action, size = struct.unpack_from("<II", memory, at)
        body = memory[at + 8 : at + size]
        end = next(index for index in range(0, len(body), 2) if not any(body[index : index + 2]))
        name = body[:end].decode("utf-16-le")
        lists = body[body.index(_END_OF_PATH, end) + len(_END_OF_PATH) :]
        kinds = {kind: algorithm for algorithm, kind in IMAGE_HASH_TYPES.items()}
        hashes = tuple(kinds[one.signature_type] for one in parse_signature_lists(lists))
        number = _PROGRAM.search(name)
        if number is not None:
            found[int(number[1])] = Answer(False, action, hashes)
        at += size
    return found
