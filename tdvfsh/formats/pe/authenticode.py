"""Authenticode of a PE image: what its hash covers, and the certificates in its attribute certificate table.

Source: "Windows Authenticode Portable Executable Signature Format" and PE format specification, "Attribute
Certificate Table"; edk2 SecurityPkg/Library/DxeImageVerificationLib (HashPeImage, DxeImageVerificationHandler).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.pe.image import DIRECTORY_ENTRY_SECURITY, PeImage
from tdvfsh.formats.signature_lists import EFI_CERT_TYPE_PKCS7_GUID
from tdvfsh.lazy_typing import Final, NamedTuple

WIN_CERT_TYPE_PKCS_SIGNED_DATA: Final = 0x0002
WIN_CERT_TYPE_EFI_GUID: Final = 0x0EF1
_WIN_CERTIFICATE: Final = struct.Struct("<IHH")  # dwLength, wRevision, wCertificateType
_GUID_SIZE: Final = 16
_CHUNK: Final = 1 << 20
_ALIGNMENT: Final = 8
_PE32_MAGIC: Final = 0x10B
_OPTIONAL_HEADER: Final = 24  # from the PE signature
_CHECKSUM: Final = 64  # in the optional header, PE32 and PE32+ alike
_CHECKSUM_SIZE: Final = 4
_DIRECTORIES: Final = {False: 112, True: 96}
_DIRECTORY_SIZE: Final = 8


class CertificateTable(NamedTuple):
    """What firmware makes of an attribute certificate table.

    Attributes:
        signed: The PKCS#7 signatures in it, in order.
        whole: Whether its certificates fill it to its end; where they do not, firmware refuses the image.
    """

    signed: tuple[bytes, ...]
    whole: bool


def hashed_ranges(pe: PeImage) -> list[tuple[int, int]] | None:
    """File ranges ``[start, end)`` that the hash covers, in its order; None where firmware cannot hash the image."""
    header = pe.pe_header_offset + _OPTIONAL_HEADER
    checksum = header + _CHECKSUM
    ranges = [(0, checksum)]
    at = checksum + _CHECKSUM_SIZE
    certificates = 0
    if pe.number_of_rva_and_sizes > DIRECTORY_ENTRY_SECURITY:
        entry = header + _DIRECTORIES[pe.magic == _PE32_MAGIC] + DIRECTORY_ENTRY_SECURITY * _DIRECTORY_SIZE
        ranges.append((at, entry))
        at = entry + _DIRECTORY_SIZE
        certificates = pe.data_directories[DIRECTORY_ENTRY_SECURITY].size
    ranges.append((at, pe.size_of_headers))
    summed = pe.size_of_headers
    for section in sorted(pe.sections, key=lambda one: one.pointer_to_raw_data):
        start, size = section.pointer_to_raw_data, section.size_of_raw_data
        if size:
            ranges.append((start, start + size))
            summed += size
    if pe.file_size > summed:
        rest = pe.file_size - certificates - summed
        if rest < 0:
            return None
        ranges.append((summed, summed + rest))
    if any(not 0 <= start <= end <= pe.file_size for start, end in ranges):
        return None
    return ranges


def authenticode_hash(pe: PeImage, view: Buffer | ByteSource, algorithm: str = "sha256") -> bytes | None:
    """The image's Authenticode hash.

    Args:
        pe: The headers.
        view: The whole file.
        algorithm: As ``hashlib`` names it.

    Returns:
        The digest; None where firmware cannot hash the image: parts of it lie outside the file, or the certificate
        table is said to be larger than what follows the sections.
    """
    ranges = hashed_ranges(pe)
    if ranges is None or pe.is_te_image:
        return None
    import hashlib

    digest, source = hashlib.new(algorithm), ByteSource(view, "")
    for start, end in ranges:
        for at in range(start, end, _CHUNK):
            digest.update(source.peek(at, min(_CHUNK, end - at)))
    return digest.digest()


def certificate_table(pe: PeImage, view: Buffer | ByteSource) -> CertificateTable | None:
    """The signatures of an image; None for an image without a certificate table."""
    table = pe.certificate_table
    if table is None or not table.size:
        return None
    signed: list[bytes] = []
    start, end = table.virtual_address, table.virtual_address + table.size
    at = start
    for length, data in _certificates(ByteSource(view, ""), start, end):
        at += length + -length % _ALIGNMENT
        if data:
            signed.append(data)
    return CertificateTable(tuple(signed), at == end)


def _certificates(source: ByteSource, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Length of each WIN_CERTIFICATE and its PKCS#7 data, empty for other kinds; ends at the first that is not one."""
    at = start
    while at < end:
        head = source.peek(at, _WIN_CERTIFICATE.size)
        if end - at <= _WIN_CERTIFICATE.size or len(head) < _WIN_CERTIFICATE.size:
            return
        length, _, kind = _WIN_CERTIFICATE.unpack(head)
        if length > end - at or length < _WIN_CERTIFICATE.size or at + length > source.size:
            return
        body = at + _WIN_CERTIFICATE.size
        data = b""
        if kind == WIN_CERT_TYPE_PKCS_SIGNED_DATA:
            data = bytes(source.peek(body, at + length - body))
        elif kind == WIN_CERT_TYPE_EFI_GUID and source.peek(body, _GUID_SIZE) == EFI_CERT_TYPE_PKCS7_GUID.bytes_le:
            data = bytes(source.peek(body + _GUID_SIZE, max(at + length - body - _GUID_SIZE, 0)))
        yield length, data
        at += length + -length % _ALIGNMENT
