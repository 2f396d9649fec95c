"""The keys of ``--secure-boot``: from a firmware file's own variables, from the catalogue's firmware, from a folder.

In a folder each of ``PK``, ``KEK``, ``db``, ``dbx``, ``dbt``, ``MokList`` and ``MokListX`` is a file of that name and
one of these endings: ``.esl`` (signature lists), ``.auth`` (signature lists after the authentication that SetVariable
checks), ``.cer``, ``.crt``, ``.der`` (one certificate in DER) or ``.pem``. Several files of a name, as
``db.vendor.crt``, are joined in order.

Source: UEFI 2.10 section 8.2.2 (EFI_VARIABLE_AUTHENTICATION_2) and chapter 32.
"""

from __future__ import annotations

import base64
import binascii
import struct
from pathlib import Path

from tdvfsh.dxe.secure_boot.databases import KEY_VARIABLES, MOK_VARIABLES, enrolled
from tdvfsh.errors import FormatError, HostError
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.formats.signature_lists import EFI_CERT_X509_GUID, Signature, build_signature_lists, fills_its_lists
from tdvfsh.formats.variable_store import stored_variables
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.options.td import AUTOMATIC, MICROSOFT_KEYS, NO_KEYS
from tdvfsh.uefi.guids import Guid

MICROSOFT_IMAGE: Final = "ovmf-inteltdx"
"""The image of the catalogue whose firmware has Microsoft's keys."""
_OWNER: Final = Guid("00000000-0000-0000-0000-000000000000")
_LISTS: Final = ".esl"
_AUTHENTICATED: Final = ".auth"
_CERTIFICATES: Final = (".cer", ".crt", ".der", ".pem")
_SEQUENCE: Final = b"\x30"  # of ASN.1: a certificate is one
_PEM_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_PEM_END: Final = b"-----END CERTIFICATE-----"
_TIME_SIZE: Final = 16
_LARGEST: Final = 1 << 20


class Keys(NamedTuple):
    """Key variables by name, and the place they are from, for people."""

    values: dict[str, bytes]
    source: str


def keys_of(secure_boot: str, firmware: str | None) -> Keys | None:
    """The keys that a machine starts with; None where Secure Boot is off.

    Args:
        secure_boot: ``--secure-boot``.
        firmware: The path of ``--firmware``, or None.

    Raises:
        HostError: A file cannot be read, or Microsoft's keys are not there.
        FormatError: What was named has no keys.
    """
    if secure_boot == NO_KEYS or (secure_boot == AUTOMATIC and firmware is None):
        return None
    if secure_boot == AUTOMATIC:
        assert firmware is not None
        values = _of_firmware(firmware)
        return Keys(values, firmware) if values else None
    if secure_boot == MICROSOFT_KEYS:
        return Keys(_microsoft(), f"{MICROSOFT_IMAGE} of the catalogue")
    values = _of_folder(Path(secure_boot)) if Path(secure_boot).is_dir() else _of_firmware(secure_boot)
    if not values:
        raise FormatError(secure_boot, "no keys in it: firmware without PK is in setup mode, and verifies nothing")
    return Keys(values, secure_boot)


def _of_firmware(path: str) -> dict[str, bytes]:
    with open_mapped(path) as mapped:
        return enrolled(stored_variables(mapped.view, path) or ())


def _microsoft() -> dict[str, bytes]:
    from tdvfsh.images.fetch import fetched

    image = fetched(MICROSOFT_IMAGE)
    if image is None:
        raise HostError(f"--secure-boot {MICROSOFT_KEYS}: run 'tdvfsh images fetch {MICROSOFT_IMAGE}' first")
    return _of_firmware(str(image.files["firmware"]))


def _of_folder(folder: Path) -> dict[str, bytes]:
    values: dict[str, bytes] = {}
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
        for path in files:
            name = path.name.split(".")[0]
            known = name in (*KEY_VARIABLES, *MOK_VARIABLES)
            if known and path.suffix.lower() in (
                _LISTS,
                _AUTHENTICATED,
                *_CERTIFICATES,
            ):
                with path.open("rb") as stream:
                    data = stream.read(_LARGEST + 1)
                if len(data) > _LARGEST:
                    raise FormatError(str(path), "larger than keys are")
                values[name] = values.get(name, b"") + _lists(path, data)
    except OSError as error:
        raise HostError(f"{error.filename or folder}: {error.strerror or error}") from None
    return values


def _lists(path: Path, data: bytes) -> bytes:
    suffix = path.suffix.lower()
    if suffix == _LISTS:
        return _whole_lists(path, data)
    if suffix == _AUTHENTICATED:
        if len(data) < _TIME_SIZE + 4:
            raise FormatError(str(path), "too short for an authenticated variable")
        (length,) = struct.unpack_from("<I", data, _TIME_SIZE)  # dwLength of its WIN_CERTIFICATE_UEFI_GUID
        return _whole_lists(path, data[_TIME_SIZE + length :])
    if _PEM_BEGIN in data:
        try:
            data = base64.b64decode(data.split(_PEM_BEGIN, 1)[1].split(_PEM_END, 1)[0])
        except binascii.Error:
            raise FormatError(str(path), "not a certificate in PEM") from None
    if not data.startswith(_SEQUENCE):
        raise FormatError(str(path), "not a certificate, in DER or PEM")
    return build_signature_lists([Signature(EFI_CERT_X509_GUID, _OWNER, data)])


def _whole_lists(path: Path, data: bytes) -> bytes:
    if not fills_its_lists(data):
        raise FormatError(str(path), "not made of whole signature lists (EFI_SIGNATURE_LIST)")
    return data
