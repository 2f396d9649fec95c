"""EFI_SIGNATURE_LIST: the contents of the variables db, dbx, dbt, KEK and PK.

Source: UEFI 2.10 section 32.4.1 (EFI_SIGNATURE_LIST, EFI_SIGNATURE_DATA, EFI_CERT_X509_SHA256).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import Guid

EFI_CERT_SHA1_GUID: Final = Guid("826ca512-cf10-4ac9-b187-be01496631bd")
EFI_CERT_SHA256_GUID: Final = Guid("c1c41626-504c-4092-aca9-41f936934328")
EFI_CERT_SHA384_GUID: Final = Guid("ff3e5307-9fd0-48c9-85f1-8ad56c701e01")
EFI_CERT_SHA512_GUID: Final = Guid("093e0fae-a6c4-4f50-9f1b-d41e2b89c19a")
EFI_CERT_X509_GUID: Final = Guid("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
EFI_CERT_X509_SHA256_GUID: Final = Guid("3bd2a492-96c0-4079-b420-fcf98ef103ed")
EFI_CERT_X509_SHA384_GUID: Final = Guid("7076876e-80c2-4ee6-aad2-28b349a6865b")
EFI_CERT_X509_SHA512_GUID: Final = Guid("446dbf63-2502-4cda-bcfa-2465d2b0fe9d")
EFI_CERT_TYPE_PKCS7_GUID: Final = Guid("4aafd29d-68df-49ee-8aa9-347d375665a7")

_LIST_HEADER: Final = struct.Struct("<16sIII")  # type, list size, header size, signature size
_OWNER_SIZE: Final = 16


class Signature(NamedTuple):
    """One entry: its EFI_CERT_* type, who put it there, and a hash or a certificate in DER."""

    signature_type: Guid
    owner: Guid
    data: bytes


def parse_signature_lists(data: bytes) -> list[Signature]:
    """All entries of a variable, in order. What follows a list that does not fit is left, as firmware leaves it."""
    return list(_signatures(data))


def _signatures(data: bytes) -> Iterator[Signature]:
    at = 0
    while len(data) - at >= _LIST_HEADER.size:
        kind, list_size, header_size, signature_size = _LIST_HEADER.unpack_from(data, at)
        end = at + list_size
        if list_size < _LIST_HEADER.size or end > len(data) or signature_size <= _OWNER_SIZE:
            return
        place = at + _LIST_HEADER.size + header_size
        while place + signature_size <= end:
            owner = Guid(bytes_le=data[place : place + _OWNER_SIZE])
            yield Signature(Guid(bytes_le=kind), owner, data[place + _OWNER_SIZE : place + signature_size])
            place += signature_size
        at = end


def fills_its_lists(data: bytes) -> bool:
    """Whether a variable is made of whole lists, each of whole entries, to its end."""
    at = 0
    while len(data) - at >= _LIST_HEADER.size:
        _, list_size, header_size, signature_size = _LIST_HEADER.unpack_from(data, at)
        room = list_size - _LIST_HEADER.size - header_size
        if list_size > len(data) - at or signature_size <= _OWNER_SIZE or room <= 0 or room % signature_size:
            return False
        at += list_size
    return at == len(data)


def build_signature_lists(signatures: Iterable[Signature]) -> bytes:
    """A variable of lists with one entry each, in order."""
    parts = []
    for signature_type, owner, data in signatures:
        size = _OWNER_SIZE + len(data)
        parts.append(_LIST_HEADER.pack(signature_type.bytes_le, _LIST_HEADER.size + size, 0, size))
        parts += [owner.bytes_le, data]
    return b"".join(parts)
