"""RFC 3161 time stamps of Authenticode signatures: when a signature was made, as a time-stamping authority says.

The token is in the signer's unauthenticated attributes, and stamps the signature's own bytes. As in firmware, the dates
and purposes of certificates are not looked at, the certificate to trust may be any of the token's chain, and of several
tokens the last is taken.

A quirk of edk2: a token whose imprint is not as long as its hash is not compared at all, and passes
(tests/formats/pe/test_timestamps.py).

Source: RFC 3161 2.4.2; edk2 CryptoPkg/Library/BaseCryptLib/Pk/CryptTs.c (ImageTimestampVerify, TimestampTokenVerify,
CheckTSTInfo, ConvertAsn1TimeToEfiTime), in July 2024.
"""

from __future__ import annotations

import hashlib

from tdvfsh.formats.pe.certificates import library
from tdvfsh.formats.pe.pkcs7 import LARGEST, contents, signed_by
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.uefi.efi_time import EfiTime

_TOKEN: Final = "microsoft_time_stamp_token"  # 1.3.6.1.4.1.311.3.3.1
_HASHES: Final = ("md5", "sha1", "sha256", "sha384", "sha512")
_LARGEST_INFO: Final = 2048
"""Bytes of a TSTInfo that firmware reads."""
_DIGITS: Final = 14  # YYYYMMDDHHMMSS
_FIRST_YEAR: Final = 1900


def signing_time(data: bytes, authority: bytes, *, curves: bool = True) -> EfiTime | None:
    """When a signature was made.

    Args:
        data: The Authenticode signature.
        authority: The certificate to trust for time stamps, in DER.
        curves: Whether firmware knows ECDSA.

    Returns:
        The time in UTC; None where there is no time stamp, or none that verifies with this certificate.

    Raises:
        HostError: The extra is not installed.
    """
    cms, tsp = library("asn1crypto.cms"), library("asn1crypto.tsp")
    if len(data) > LARGEST:
        return None
    try:
        signers = cms.ContentInfo.load(data)["content"]["signer_infos"]
        if len(signers) != 1:
            return None
        token = _last_token(signers[0])
        if token is None:
            return None
        signed = token["content"]
        content = contents(signed["encap_content_info"]["content"].dump())
        if len(signed["signer_infos"]) != 1 or len(content) > _LARGEST_INFO:
            return None
        if not signed_by(token.dump(), content, authority, curves=curves):
            return None
        info = tsp.TSTInfo.load(content)
        return _time(info["gen_time"].contents) if _stamps(info, signers[0]["signature"].native) else None
    except Exception:  # what the library raises for bytes that are not DER has many types
        return None


def _last_token(signer: Any) -> Any:
    found = None
    for attribute in signer["unsigned_attrs"]:
        if attribute["type"].native == _TOKEN:
            found = attribute["values"][0]
    return found


def _stamps(info: Any, signature: bytes) -> bool:
    """Whether a TSTInfo is of the first version and its imprint that of the signature."""
    imprint = info["message_imprint"]
    algorithm = imprint["hash_algorithm"]["algorithm"].native
    if info["version"].native != "v1" or algorithm not in _HASHES:
        return False
    digest = hashlib.new(algorithm, signature, usedforsecurity=False).digest()
    said = imprint["hashed_message"].native
    return len(said) != len(digest) or said == digest


def _time(text: bytes) -> EfiTime | None:
    """A GeneralizedTime without its fraction and zone, which firmware does not read."""
    digits = text[:_DIGITS]
    if len(digits) < _DIGITS or not digits.isdigit():
        return None
    time = EfiTime(int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, _DIGITS, 2)))
    in_range = time.year >= _FIRST_YEAR and 1 <= time.month <= 12 and 1 <= time.day <= 31
    return time if in_range and time.hour <= 23 and time.minute <= 59 and time.second <= 59 else None
