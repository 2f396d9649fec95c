"""SetVariable of the keys: who has to sign in setup mode and in user mode, time stamps, appending, deleting."""

from __future__ import annotations

from functools import cache

import pytest

from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.secure_boot.databases import databases, vendor_of
from tdvfsh.formats.signature_lists import EFI_CERT_X509_GUID, Signature, build_signature_lists, parse_signature_lists
from tdvfsh.uefi.guids import EFI_GLOBAL_VARIABLE_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.dxe.machines import plain_machine
from tests.formats.signing import Identity, identity, signed_variable

KEYS = 0x27
APPEND = 0x40
VIOLATION, INVALID = EfiStatus.EFI_SECURITY_VIOLATION, EfiStatus.EFI_INVALID_PARAMETER


@cache
def people() -> dict[str, Identity]:
    return {name: identity(name) for name in ("platform", "exchange", "vendor", "stranger")}


def lists(*names: str) -> bytes:
    owner = Guid("00000000-0000-0000-0000-000000000001")
    return build_signature_lists(Signature(EFI_CERT_X509_GUID, owner, people()[name].certificate) for name in names)


def write(
    core: DxeCore, name: str, payload: bytes, by: str, *, second: int = 0, attributes: int = KEYS, spoil: int = 0
) -> EfiStatus:
    data = bytearray(signed_variable(name, vendor_of(name), attributes, payload, people()[by], second=second))
    if spoil:
        data[spoil] ^= 1
    return core.set_variable(name, vendor_of(name), attributes, bytes(data))


def mode(core: DxeCore) -> tuple[bytes, bytes]:
    values = {one.name: one.data for one in core.variables if one.vendor == EFI_GLOBAL_VARIABLE_GUID}
    return values["SetupMode"], values["SecureBoot"]


def user_mode() -> DxeCore:
    core = plain_machine().core
    assert write(core, "KEK", lists("exchange"), "stranger") is SUCCESS  # setup mode: anybody may
    assert write(core, "db", lists("vendor"), "stranger") is SUCCESS
    assert write(core, "PK", lists("platform"), "platform") is SUCCESS
    return core


def test_a_platform_key_that_signed_itself_ends_setup_mode() -> None:
    core = plain_machine().core
    assert mode(core) == (b"\1", b"\0")
    assert write(core, "PK", lists("platform"), "stranger") is VIOLATION
    assert mode(core) == (b"\1", b"\0")
    core = user_mode()
    assert mode(core) == (b"\0", b"\1")
    in_force = databases(core.variables)
    assert in_force is not None
    assert in_force.db[0].data == people()["vendor"].certificate


@pytest.mark.parametrize(
    ("name", "by", "status"),
    [
        ("PK", "platform", SUCCESS),
        ("PK", "exchange", VIOLATION),
        ("KEK", "platform", SUCCESS),
        ("KEK", "exchange", VIOLATION),
        ("db", "platform", SUCCESS),
        ("db", "exchange", SUCCESS),
        ("dbx", "exchange", SUCCESS),
        ("db", "vendor", VIOLATION),
        ("db", "stranger", VIOLATION),
    ],
)
def test_in_user_mode_the_right_key_has_to_sign(name: str, by: str, status: EfiStatus) -> None:
    assert write(user_mode(), name, lists("stranger"), by, second=1) is status


def test_a_certificate_that_the_platform_key_issued_does_not_sign_for_it() -> None:
    """Firmware compares the signer's own certificate with PK; for KEK, any certificate of the chain serves."""
    below = identity("Below platform", people()["platform"])
    data = signed_variable("KEK", vendor_of("KEK"), KEYS, lists("stranger"), below, second=1)
    assert user_mode().set_variable("KEK", vendor_of("KEK"), KEYS, data) is VIOLATION
    below = identity("Below exchange", people()["exchange"])
    data = signed_variable("db", vendor_of("db"), KEYS, lists("stranger"), below, second=1)
    assert user_mode().set_variable("db", vendor_of("db"), KEYS, data) is SUCCESS


def test_an_older_or_equal_time_stamp_is_a_replay() -> None:
    core = user_mode()
    assert write(core, "db", lists("stranger"), "exchange", second=0) is VIOLATION
    assert write(core, "db", lists("stranger"), "exchange", second=5) is SUCCESS
    assert write(core, "db", lists("vendor"), "exchange", second=4) is VIOLATION


def test_appending_adds_what_is_not_there_and_keeps_the_later_time() -> None:
    core = user_mode()
    for _ in range(2):
        assert write(core, "db", lists("vendor", "stranger"), "exchange", attributes=KEYS | APPEND) is SUCCESS
    known = core.variables.get_variable("db", vendor_of("db")).variable
    assert known is not None
    assert [one.data for one in parse_signature_lists(known.data)] == [
        people()["vendor"].certificate,
        people()["stranger"].certificate,
    ]
    assert known.attributes == KEYS


def test_deleting_the_platform_key_is_setup_mode_again() -> None:
    core = user_mode()
    assert write(core, "PK", b"", "exchange", second=1) is VIOLATION
    assert write(core, "PK", b"", "platform", second=1) is SUCCESS
    assert mode(core) == (b"\1", b"\0")
    assert databases(core.variables) is None


def test_what_is_damaged_or_not_authenticated_is_refused() -> None:
    core = user_mode()
    db = vendor_of("db")
    assert core.set_variable("db", db, 0x07, lists("vendor")) is INVALID
    assert core.set_variable("db", db, KEYS, lists("vendor")[:20]) is VIOLATION
    for place in (6, 16, 23, 30, 200, -1):  # padding, length, kind, signature, payload
        assert write(core, "db", lists("stranger"), "exchange", second=1, spoil=place) is VIOLATION, place
    assert write(core, "db", lists("stranger")[:-1], "exchange", second=1) is INVALID
    assert write(core, "PK", lists("platform", "stranger"), "platform", second=1) is INVALID


def test_the_time_stamp_survives_a_copy_and_a_restart() -> None:
    core = user_mode()
    assert core.copy().variables == core.variables
    assert core.variables.restart().times == core.variables.times
