"""The keys of a folder: what is not what its name says is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.errors import FormatError
from tdvfsh.formats.signature_lists import EFI_CERT_X509_GUID, Signature, build_signature_lists
from tdvfsh.machine.secure_boot import keys_of
from tdvfsh.uefi.guids import Guid

LIST = build_signature_lists([Signature(EFI_CERT_X509_GUID, Guid("00000000000000000000000000000000"), b"\x30\x82rest")])


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("db.esl", b"not a list", "whole signature lists"),
        ("db.esl", LIST[:-1], "whole signature lists"),
        ("db.esl", LIST + b"more", "whole signature lists"),
        ("dbx.auth", bytes(16) + (24).to_bytes(4, "little") + bytes(20) + b"junk", "whole signature lists"),
        ("dbx.auth", b"short", "too short"),
        ("KEK.crt", b"junk", "not a certificate"),
        ("KEK.crt", b"", "not a certificate"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    (tmp_path / "PK.esl").write_bytes(LIST)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FormatError, match=why) as refused:
        keys_of(f"{tmp_path}/", None)
    assert name in str(refused.value)


def test_whole_lists_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "PK.esl").write_bytes(LIST)
    (tmp_path / "db.esl").write_bytes(LIST + LIST)
    keys = keys_of(f"{tmp_path}/", None)
    assert keys is not None
    assert keys.values["db"] == LIST + LIST
