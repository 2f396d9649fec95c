"""The image execution information table that a program finds after an image was refused."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from tdvfsh.dxe.secure_boot.databases import EFI_IMAGE_SECURITY_DATABASE_GUID
from tdvfsh.formats.pe.authenticode import authenticode_hash
from tdvfsh.formats.pe.image import PeImage
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.machine import TdOptions
from tdvfsh.uefi.device_path import DevicePath, FilePath
from tdvfsh.uefi.status import EfiStatus
from tests.engine.assembler import Program
from tests.engine.programs import Caller, guest
from tests.formats.signing import identity, signed_pe


def test_a_refused_image_is_in_the_table_with_its_path_and_hash(tmp_path: Path) -> None:
    owner, stranger = identity("Owner"), identity("Stranger")
    for name in ("PK", "db"):
        (tmp_path / f"{name}.crt").write_bytes(owner.certificate)
    image = signed_pe(Program().ret(0).image(), stranger)
    path = DevicePath((FilePath("\\refused.efi"),))
    with guest(TdOptions(secure_boot=f"{tmp_path}/")) as (firmware, _):
        call = Caller(firmware)
        parent = firmware.machine.firmware_image
        source, packed = call.put(image), call.put(path.pack())
        status = call.boot("LoadImage", 0, parent, packed, source, len(image), call.room)
        assert status == EfiStatus.EFI_ACCESS_DENIED
        table = firmware.core.configuration_tables[EFI_IMAGE_SECURITY_DATABASE_GUID]
        count, action, size = struct.unpack("<QII", firmware.ram.read(table, 16))
        assert (count, action) == (1, 1)  # EFI_IMAGE_EXECUTION_AUTH_SIG_FAILED
        entry = firmware.ram.read(table + 8, size)
    pe = parse_pe(memoryview(image))
    assert isinstance(pe, PeImage)
    digest = authenticode_hash(pe, memoryview(image))
    assert digest is not None
    assert len(digest) == hashlib.sha256().digest_size
    assert path.pack() in entry
    assert entry.endswith(digest)
    assert "refused.efi".encode("utf-16-le") in entry
