"""SetVariable of PK, KEK, db, dbx and dbt: what has to be signed by whom, and how the platform's mode follows PK.

In setup mode anybody may write all of them but PK, which its own certificate must sign; in user mode PK's owner signs
PK and KEK, and PK's or KEK's owners sign the others.

Source: UEFI 2.10 8.2.2 and 32.3; edk2 SecurityPkg/Library/AuthVariableLib/AuthService.c (ProcessVarWithPk,
ProcessVarWithKek, VerifyTimeBasedPayload, FilterSignatureList) at c5aa7e7d, and of MdeModulePkg its
Universal/Variable/RuntimeDxe/Variable.c.
"""

from __future__ import annotations

import struct

from tdvfsh.dxe.secure_boot.databases import KEY_VARIABLES, vendor_of
from tdvfsh.dxe.variables import (
    EFI_VARIABLE_APPEND_WRITE,
    EFI_VARIABLE_BOOTSERVICE_ACCESS,
    EFI_VARIABLE_NON_VOLATILE,
    EFI_VARIABLE_RUNTIME_ACCESS,
    EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS,
    Variable,
    VariableStore,
)
from tdvfsh.formats.pe.pkcs7 import signed_by, signing_certificate
from tdvfsh.formats.signature_lists import (
    EFI_CERT_TYPE_PKCS7_GUID,
    EFI_CERT_X509_GUID,
    build_signature_lists,
    fills_its_lists,
    parse_signature_lists,
)
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import EFI_GLOBAL_VARIABLE_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_VIOLATION: Final = EfiStatus.EFI_SECURITY_VIOLATION
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_WANTED: Final = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS
_MODE: Final = EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS
_AUTHENTICATION: Final = struct.Struct("<16sIHH16s")  # TimeStamp, dwLength, wRevision, wCertificateType, CertType
_TIME_SIZE: Final = 16
_CERTIFICATE_HEADER: Final = 24  # of WIN_CERTIFICATE_UEFI_GUID, up to its data
_WIN_CERT_TYPE_EFI_GUID: Final = 0x0EF1
_TIME: Final = struct.Struct("<HBBBBBBIhBB")  # EFI_TIME


class Authentication(NamedTuple):
    """EFI_VARIABLE_AUTHENTICATION_2 and what follows it.

    Attributes:
        time: EFI_TIME, 16 bytes.
        signature: PKCS#7.
        payload: The variable's new data.
    """

    time: bytes
    signature: bytes
    payload: bytes


def is_key_variable(name: str, vendor: Guid) -> bool:
    """Whether SetVariable of that name is this module's affair."""
    return name in KEY_VARIABLES and vendor == vendor_of(name)


def set_key_variable(store: VariableStore, name: str, attributes: int, data: bytes) -> EfiStatus:
    """SetVariable of one of the key variables.

    Args:
        store: The variables; SetupMode and SecureBoot follow PK.
        name: PK, KEK, db, dbx or dbt.
        attributes: As the caller has them.
        data: EFI_VARIABLE_AUTHENTICATION_2 and the new data.

    Returns:
        EFI_INVALID_PARAMETER: Not a non-volatile variable with time-based authentication; data that are not signature
            lists; a PK of more than one certificate.
        EFI_SECURITY_VIOLATION: Not signed by whom it has to be, or not later than what stands there.

    Raises:
        HostError: The extra ``secureboot`` is not installed.
    """
    if attributes & _WANTED != _WANTED:
        return _INVALID
    given = _authentication(data)
    if given is None:
        return _VIOLATION
    known = store.get_variable(name, vendor_of(name)).variable
    append = bool(attributes & EFI_VARIABLE_APPEND_WRITE)
    before = store.times.get((vendor_of(name), name))
    if known is not None and before is not None and not append and _moment(given.time) <= _moment(before):
        return _VIOLATION
    if not _allowed(store, name, attributes, given):
        return _VIOLATION
    if not _well_formed(name, given.payload):
        return _INVALID
    return _update(store, name, attributes & ~EFI_VARIABLE_APPEND_WRITE, given, append)


def _authentication(data: bytes) -> Authentication | None:
    """What is in the caller's data; None where it is not authentication that firmware takes."""
    if len(data) < _AUTHENTICATION.size:
        return None
    time, length, _, kind, guid = _AUTHENTICATION.unpack_from(data)
    _, _, _, _, _, _, pad1, nanosecond, zone, daylight, pad2 = _TIME.unpack(time)
    if pad1 or nanosecond or zone or daylight or pad2 or not _CERTIFICATE_HEADER <= length <= len(data) - _TIME_SIZE:
        return None
    if kind != _WIN_CERT_TYPE_EFI_GUID or guid != EFI_CERT_TYPE_PKCS7_GUID.bytes_le:
        return None
    end = _TIME_SIZE + length
    return Authentication(time, data[_AUTHENTICATION.size : end], data[end:])


def _allowed(store: VariableStore, name: str, attributes: int, given: Authentication) -> bool:
    """Whether the right key signed."""
    vendor = vendor_of(name)
    signed = b"".join(
        (name.encode("utf-16-le"), vendor.bytes_le, struct.pack("<I", attributes), given.time, given.payload)
    )
    platform_key = _certificates(store, "PK")
    if not platform_key:  # setup mode
        if name != "PK":
            return True
        own = [one.data for one in parse_signature_lists(given.payload) if one.signature_type == EFI_CERT_X509_GUID]
        return bool(own) and signed_by(given.signature, signed, own[0])
    if signing_certificate(given.signature) == platform_key[0] and signed_by(given.signature, signed, platform_key[0]):
        return True
    if name in ("PK", "KEK"):
        return False
    return any(signed_by(given.signature, signed, key) for key in _certificates(store, "KEK"))


def _certificates(store: VariableStore, name: str) -> list[bytes]:
    known = store.get_variable(name, vendor_of(name)).variable
    entries = [] if known is None else parse_signature_lists(known.data)
    return [entry.data for entry in entries if entry.signature_type == EFI_CERT_X509_GUID]


def _well_formed(name: str, payload: bytes) -> bool:
    """CheckSignatureListFormat: whole lists, and for PK one certificate; nothing deletes."""
    if not payload:
        return True
    if not fills_its_lists(payload):
        return False
    entries = parse_signature_lists(payload)
    return name != "PK" or (len(entries) == 1 and entries[0].signature_type == EFI_CERT_X509_GUID)


def _update(store: VariableStore, name: str, attributes: int, given: Authentication, append: bool) -> EfiStatus:
    vendor = vendor_of(name)
    known = store.get_variable(name, vendor).variable
    data, time = given.payload, given.time
    if append and known is not None:
        there = set(parse_signature_lists(known.data))
        fresh = [one for one in parse_signature_lists(data) if one not in there]
        data = known.data + build_signature_lists(fresh)
        time = max(time, store.times.get((vendor, name), time), key=_moment)
    status = store.replace(Variable(name, vendor, attributes, data), time)
    if name == "PK" and status is SUCCESS:
        for mode, value in (("SetupMode", not data), ("SecureBoot", bool(data))):
            store.replace(Variable(mode, EFI_GLOBAL_VARIABLE_GUID, _MODE, bytes((value,))))
    return status


def _moment(time: bytes) -> tuple[int, ...]:
    return _TIME.unpack(time)[:6]
