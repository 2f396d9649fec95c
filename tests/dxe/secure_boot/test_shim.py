"""What shim lets loaders start: its vendor's certificates, db and MokList, what is denied, and SBAT."""

from __future__ import annotations

import pytest

from tdvfsh.dxe.secure_boot.databases import enroll
from tdvfsh.dxe.secure_boot.shim import ShimRules, read_shim, rules_of, shim_verdict
from tdvfsh.dxe.variables import Variable, VariableStore
from tdvfsh.errors import FormatError
from tdvfsh.formats.sbat import SbatEntry, newer_level, parse_sbat, revoked, sbat_level
from tdvfsh.formats.signature_lists import EFI_CERT_X509_GUID, Signature, build_signature_lists
from tdvfsh.images.fetch import fetch
from tdvfsh.uefi.guids import SHIM_LOCK_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.dxe.secure_boot.test_verification import OWNER, certificate, image_hash, people
from tests.formats.pe_builder import build_pe
from tests.formats.shim_builder import LEVEL, SBAT, made_shim, with_sections
from tests.formats.signing import signed_pe

VIOLATION = EfiStatus.EFI_SECURITY_VIOLATION


def rules(*, allowed: tuple[Signature, ...] = (), denied: tuple[Signature, ...] = (), level: bytes = b"") -> ShimRules:
    return ShimRules("shim", (certificate("root"),), allowed, denied, level)


def signed(image: bytes, signer: str = "signer") -> bytes:
    return signed_pe(image, people()[signer], people()["between"])


def verdict(image: bytes, given: ShimRules, by_protocol: bool = True) -> tuple[EfiStatus, str]:
    found = shim_verdict(memoryview(image), given, by_protocol=by_protocol)
    return found.status, found.why


def test_shim_allows_what_its_vendor_signed_and_names_what_was_wanted_of_others() -> None:
    assert verdict(signed(build_pe()), rules()) == (SUCCESS, "it is signed, and shim knows Root")
    status, why = verdict(signed_pe(build_pe(), people()["other"]), rules())
    assert status is VIOLATION
    assert why == ("it is signed by Other, and db, MokList and shim (Root) have neither that certificate nor Other")


def test_a_certificate_or_a_hash_in_moklist_or_db_allows_an_image() -> None:
    other = signed_pe(build_pe(), people()["other"])
    assert verdict(other, rules(allowed=(certificate("other"),)))[0] is SUCCESS
    assert verdict(build_pe(), rules(allowed=(image_hash(build_pe()),)))[0] is SUCCESS


def test_what_is_not_signed_has_changed_or_is_denied_is_refused() -> None:
    assert verdict(build_pe(), rules())[1] == "it is not signed, and its SHA-256 hash is neither in db nor in MokList"
    changed = bytearray(signed(build_pe()))
    changed[0x410] ^= 1
    assert verdict(bytes(changed), rules())[1] == "it has changed since Signer signed it"
    whole = signed(build_pe())
    assert verdict(whole, rules(denied=(certificate("root"),)))[1] == "dbx or MokListX has Root"
    assert verdict(whole, rules(denied=(image_hash(whole),)))[1] == "its hash is in dbx or MokListX"


def test_sbat_is_asked_of_what_shim_starts_and_generations_of_everything() -> None:
    plain, with_sbat = signed(build_pe()), signed(with_sections((b".sbat", SBAT)))
    assert verdict(plain, rules(), by_protocol=True)[0] is SUCCESS
    assert verdict(plain, rules(), by_protocol=False)[1] == ("it has no SBAT section, which what shim starts must have")
    assert verdict(with_sbat, rules(), by_protocol=False)[0] is SUCCESS
    assert verdict(with_sbat, rules(level=LEVEL)) == (
        VIOLATION,
        "SBAT: grub is of generation 4, and 5 is the least allowed",
    )


@pytest.mark.parametrize(
    ("data", "entries"),
    [
        (b"", []),
        (b"a,1,b,c,d,e\n\nf,x2,b,c,d,e,more\n\0rest", [SbatEntry("a", 1), SbatEntry("f", 0)]),
        (b"a,1,b,c,d\n", None),
        (b"a,,b,c,d,e\n", None),
        (b"a,99999999999999999999,b,c,d,e", [SbatEntry("a", 999999999 & 0xFFFF)]),
    ],
)
def test_an_sbat_section_is_read_as_shim_reads_it(data: bytes, entries: list[SbatEntry] | None) -> None:
    assert parse_sbat(data) == entries


def test_the_newer_level_is_in_force() -> None:
    old = b"sbat,1,2021030218\n"
    assert newer_level(old, LEVEL) == LEVEL
    assert newer_level(LEVEL, old) == LEVEL
    assert newer_level(b"", LEVEL) == LEVEL
    assert newer_level(b"sbat,10,2020010100\n", LEVEL).startswith(b"sbat,10")
    assert revoked([SbatEntry("grub", 5)], sbat_level(LEVEL)) == ""


def test_a_shim_is_read_with_its_sections_and_others_are_told_from_it() -> None:
    root = people()["root"].certificate
    shim = read_shim(memoryview(made_shim(root)), "shimx64.efi")
    assert (shim.trusts, shim.level, shim.vendor_dbx) == ("Root", LEVEL, ())
    lists = build_signature_lists([Signature(EFI_CERT_X509_GUID, OWNER, root)])
    assert read_shim(memoryview(made_shim(lists, denied=lists)), "x").vendor_dbx[0].data == root
    with pytest.raises(FormatError, match=r"not a shim: it has no \.vendor_cert section"):
        read_shim(memoryview(build_pe()), "x")
    with pytest.raises(FormatError, match="not a shim"):
        read_shim(memoryview(b"MZ"), "x")


def test_its_rules_come_from_the_variables_and_there_are_none_without_secure_boot() -> None:
    shim = read_shim(memoryview(made_shim(people()["root"].certificate)), "shim")
    assert rules_of(shim, VariableStore()) is None
    lists = {name: build_signature_lists([certificate("other")]) for name in ("PK", "db", "MokList", "MokListX")}
    store = enroll(VariableStore(), lists)
    store = VariableStore((*store, Variable("SbatLevel", SHIM_LOCK_GUID, 3, b"sbat,1,2030010100\ngrub,9\n")))
    found = rules_of(shim, store)
    assert found is not None
    assert len(found.allowed) == 2
    assert len(found.denied) == 1
    assert sbat_level(found.level)[-1] == SbatEntry("grub", 9)


def test_debians_shim_trusts_debian_and_revokes_old_grubs() -> None:
    image = fetch("shim").files["efi"]
    shim = read_shim(memoryview(image.read_bytes()), "shim")
    assert shim.trusts == "Debian Secure Boot CA"
    assert sbat_level(shim.level)[1:] == [SbatEntry("shim", 4), SbatEntry("grub", 5)]
    assert shim.vendor_dbx
