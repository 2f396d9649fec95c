"""The image execution information table that a program finds after an image was refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tdvfsh.dxe.secure_boot.databases import EFI_IMAGE_SECURITY_DATABASE_GUID
from tdvfsh.formats.pe.authenticode import authenticode_hash
from tdvfsh.formats.pe.image import PeImage
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.formats.signature_lists import EFI_CERT_SHA384_GUID, parse_signature_lists
from tdvfsh.machine import TdOptions
from tdvfsh.uefi.device_path import DevicePath, FilePath
from tdvfsh.uefi.status import EfiStatus
from tests.engine.assembler import Program
from tests.engine.programs import Caller, guest
from tests.formats.signing import Scheme, identity, signed_pe


@pytest.mark.parametrize(("forbidden", "action"), [(True, 1), (False, 3)])
def test_a_refused_image_is_in_the_table_with_its_path_and_its_hash_where_dbx_forbids_it(
    tmp_path: Path, forbidden: bool, action: int
) -> None:
    owner, stranger = identity("Owner"), identity("Stranger")
    for name in ("PK", "db"):
        (tmp_path / f"{name}.crt").write_bytes(owner.certificate)
    if forbidden:
        (tmp_path / "dbx.crt").write_bytes(stranger.certificate)
    image = signed_pe(Program().ret(0).image(), stranger, scheme=Scheme(image="sha384", digest="sha384"))
    path = DevicePath((FilePath("\\refused.efi"),))
    with guest(TdOptions(secure_boot=f"{tmp_path}/")) as (firmware, _):
        call = Caller(firmware)
        parent = firmware.machine.firmware_image
        source, packed = call.put(image), call.put(path.pack())
        status = call.boot("LoadImage", 0, parent, packed, source, len(image), call.room)
        assert status == EfiStatus.EFI_ACCESS_DENIED
        table = firmware.core.configuration_tables[EFI_IMAGE_SECURITY_DATABASE_GUID]
        assert struct.unpack("<QI", firmware.ram.read(table, 12)) == (1, action)
        (size,) = struct.unpack("<I", firmware.ram.read(table + 12, 4))
        entry = firmware.ram.read(table + 8, size)
    assert "refused.efi".encode("utf-16-le") in entry
    lists = entry[entry.index(path.pack()) + len(path.pack()) :]
    digest = authenticode_hash(parsed(image), memoryview(image), "sha384")
    assert digest is not None
    wanted = [(EFI_CERT_SHA384_GUID, digest)] if forbidden else []
    assert [(one.signature_type, one.data) for one in parse_signature_lists(lists)] == wanted


def parsed(image: bytes) -> PeImage:
    pe = parse_pe(memoryview(image))
    assert isinstance(pe, PeImage)
    return pe
