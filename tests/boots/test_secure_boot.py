"""Direct boots with Secure Boot on: a kernel signed by the test's own key, and real ones under Microsoft's."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.cli.main import main
from tdvfsh.errors import FormatError
from tdvfsh.formats.pe.image import PeImage
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.images.fetch import fetch
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.report.boots.boot_text import outcome_lines
from tdvfsh.uefi.guids import EFI_GLOBAL_VARIABLE_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import MIB
from tests.formats.shim_builder import SBAT, made_shim
from tests.formats.signing import Identity, identity, signed_pe
from tests.loaders.made import MadeImages

RECORDINGS = Path(__file__).parents[1] / "recordings" / "secure-boot"
DENIED = EfiStatus.EFI_ACCESS_DENIED
IN_TEXT = 0x8000
STUB_SBAT = b"sbat,1,SBAT Version,sbat,1,https://example.org/\nsystemd-stub,1,Vendor,systemd,257,https://example.org/\n"


@pytest.fixture(scope="module")
def owner() -> Identity:
    return identity("A vendor of kernels")


@pytest.fixture
def keys(tmp_path: Path, owner: Identity) -> str:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "db.vendor.crt").write_bytes(owner.certificate)
    (folder / "PK.crt").write_bytes(owner.certificate)
    return f"{folder}/"


@pytest.fixture
def signed(tmp_path: Path, owner: Identity) -> Path:
    path = tmp_path / "signed"
    path.write_bytes(signed_pe(MadeImages(tmp_path).kernel("6.12").read_bytes(), owner))
    return path


def booted(kernel: Path, **options: str) -> BootResult:
    with open_boot_files(kernel, [], "nokaslr") as opened:
        return boot(TdOptions(memory="2G", **options), opened.boot)


def test_a_kernel_whose_certificate_is_in_db_boots(signed: Path, keys: str) -> None:
    result = booted(signed, secure_boot=keys)
    assert (result.booted, result.messages) == (True, ())


@pytest.mark.parametrize(
    ("firmware", "runs"),
    [("ovmf-2026.08", True), ("ovmf-2025.02", False), ("inteltdx", False), ("inteltdx-q35", False)],
)
def test_a_kernel_signed_by_ecdsa_boots_where_the_build_of_firmware_has_elliptic_curves(
    firmware: str, runs: bool, tmp_path: Path
) -> None:
    owner = identity("An owner of a curve", key="p384")
    for name in ("PK", "db"):
        (tmp_path / f"{name}.crt").write_bytes(owner.certificate)
    kernel = tmp_path / "signed"
    kernel.write_bytes(signed_pe(MadeImages(tmp_path).kernel("6.12").read_bytes(), owner))
    profile = "trixie" if firmware == "ovmf-2025.02" else "sid"
    result = booted(kernel, secure_boot=f"{tmp_path}/", firmware_model=firmware, profile=profile, loader="sd-boot")
    assert result.booted == runs
    if not runs:
        assert result.failure is not None
        assert "with a key of an elliptic curve, which this firmware does not know" in result.failure.why


@pytest.mark.parametrize("loader", ["direct", "sd-boot", "chainloader", "grub2.12"])
def test_a_byte_changed_in_it_is_refused_by_every_loader_that_asks_firmware(
    signed: Path, keys: str, loader: str
) -> None:
    data = bytearray(signed.read_bytes())
    data[IN_TEXT] ^= 1
    signed.write_bytes(data)
    result = booted(signed, secure_boot=keys, loader=loader)
    assert result.status is DENIED
    assert result.failure is not None
    assert "it has changed since A vendor of kernels signed it" in result.failure.why


def test_a_td_of_today_refuses_with_the_words_of_the_real_one(tmp_path: Path, keys: str) -> None:
    kernel = MadeImages(tmp_path).kernel("6.12")
    result = booted(kernel, secure_boot=keys)
    assert result.status is DENIED
    assert result.messages == (
        "OVMF: Secure boot image verification failed.  Consider using the '-shim'",
        "OVMF: command line switch for qemu (available in version 10.0 + newer).",
        "OVMF: Running in confidential VM, not using insecure legacy linux kernel loader.",
    )


def test_firmware_of_2025_02_takes_its_old_loader_instead(tmp_path: Path, keys: str) -> None:
    kernel = MadeImages(tmp_path).kernel("6.12")
    result = booted(kernel, secure_boot=keys, profile="trixie")
    assert result.status is SUCCESS
    assert "handover_kernel" in {placement.what for placement in result.placements}


def test_the_variables_say_so_to_whoever_asks(keys: str) -> None:
    variables = {
        (one.vendor, one.name): one.data for one in Machine(TdOptions(secure_boot=keys)).services.core.variables
    }
    assert variables[EFI_GLOBAL_VARIABLE_GUID, "SecureBoot"] == b"\1"
    assert variables[EFI_GLOBAL_VARIABLE_GUID, "SetupMode"] == b"\0"
    assert b"A vendor of kernels" in variables[EFI_GLOBAL_VARIABLE_GUID, "PK"]


def test_a_folder_without_keys_and_firmware_without_them_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no keys in it"):
        Machine(TdOptions(secure_boot=f"{tmp_path}/"))
    empty = fetch("ovmf-2025.02").files["firmware"]
    with pytest.raises(FormatError, match="no keys in it"):
        Machine(TdOptions(secure_boot=str(empty)))
    assert Machine(TdOptions(firmware=str(empty))).start.keys is None


def test_debians_own_tdvf_refuses_debians_kernel_and_the_model_without_keys_says_that_it_would() -> None:
    kernel, firmware = fetch("kernel-6.12-cloud").files["kernel"], fetch("ovmf-inteltdx").files["firmware"]
    for options in ({"secure_boot": "microsoft"}, {"firmware": str(firmware)}):
        result = booted(kernel, **options)
        assert result.status is DENIED
        assert result.failure is not None
        assert "Debian Secure Boot Signer 2022 - linux" in result.failure.why
    plain = booted(kernel)
    assert plain.booted
    note = "Debian's OVMF.inteltdx.ms.fd would refuse this kernel: --secure-boot microsoft"
    assert note in "\n".join(outcome_lines(plain))
    assert note not in "\n".join(outcome_lines(booted(kernel, secure_boot="off")))


@pytest.mark.parametrize("words", [("firmware", "run", "x.fd"), ("measure", "x.fd")])
def test_real_firmware_has_keys_of_its_own(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--secure-boot", "microsoft"]) == 2
    assert "--secure-boot does not apply: the real firmware reads its own variables" in capsys.readouterr().err


@pytest.fixture
def shim(tmp_path: Path, owner: Identity) -> str:
    """A shim that db allows and whose vendor is another."""
    path = tmp_path / "shim.efi"
    path.write_bytes(signed_pe(made_shim(vendor().certificate), owner))
    return str(path)


@cache
def vendor() -> Identity:
    return identity("A distribution")


def by_vendor(folder: Path) -> Path:
    path = folder / "by-vendor"
    path.write_bytes(signed_pe(MadeImages(folder).kernel("6.12").read_bytes(), vendor()))
    return path


@pytest.mark.parametrize("loader", ["grub2.12-debian", "grub2.14", "grub2.14-debian", "sd-boot", "sd-boot262"])
def test_a_kernel_of_shims_vendor_boots_by_the_loaders_that_ask_shim(
    tmp_path: Path, keys: str, shim: str, loader: str
) -> None:
    result = booted(by_vendor(tmp_path), secure_boot=keys, loader=loader, shim=shim)
    assert result.booted, result.failure


def test_grub_2_12_of_upstream_still_has_firmware_load_it(tmp_path: Path, keys: str, shim: str) -> None:
    assert booted(by_vendor(tmp_path), secure_boot=keys, loader="grub2.12", shim=shim).status is DENIED


@pytest.mark.parametrize("loader", ["grub2.06", "grub2.12-debian", "grub2.14", "chainloader"])
def test_grub_says_bad_shim_signature_for_a_changed_kernel(tmp_path: Path, keys: str, shim: str, loader: str) -> None:
    kernel = by_vendor(tmp_path)
    data = bytearray(kernel.read_bytes())
    data[IN_TEXT] ^= 1
    kernel.write_bytes(data)
    result = booted(kernel, secure_boot=keys, loader=loader, shim=shim)
    assert result.status is EfiStatus.EFI_SECURITY_VIOLATION
    assert "error: bad shim signature." in result.messages
    assert result.failure is not None
    assert "it has changed since A distribution signed it" in result.failure.why


def test_debians_grub_without_a_shim_says_that_the_protocol_is_not_there(tmp_path: Path, keys: str) -> None:
    result = booted(by_vendor(tmp_path), secure_boot=keys, loader="grub2.12-debian")
    assert result.status is DENIED
    assert result.messages == ("error: shim_lock protocol not found.",)


def test_qemus_shim_starts_a_kernel_with_sbat_and_refuses_one_without(tmp_path: Path, keys: str, shim: str) -> None:
    refused = booted(by_vendor(tmp_path), secure_boot=keys, shim=shim)
    assert refused.status is EfiStatus.EFI_SECURITY_VIOLATION
    assert refused.messages == ("Verification failed: (0x1A) Security Violation",)
    assert refused.failure is not None
    assert refused.failure.why.endswith("it has no SBAT section, which what shim starts must have")
    off = booted(by_vendor(tmp_path), shim=shim)
    assert off.booted
    names = [placement.what for placement in off.placements]
    assert names.index("shim") < names.index("shim_file_buffer") < names.index("image") < names.index("kernel")


def test_a_shim_that_firmware_does_not_know_is_refused_before_it_runs(tmp_path: Path, keys: str) -> None:
    path = tmp_path / "other-shim.efi"
    path.write_bytes(signed_pe(made_shim(vendor().certificate), vendor()))
    result = booted(by_vendor(tmp_path), secure_boot=keys, shim=str(path))
    assert result.status is DENIED
    assert result.failure is not None
    assert "A distribution" in result.failure.why


def uki_by_vendor(folder: Path, sbat: bytes = b"", change: int = 0) -> Path:
    """A unified kernel image that shim's vendor signed; the kernel in it is not signed."""
    path = folder / "uki-by-vendor.efi"
    uki = MadeImages(folder).uki("6.12", MIB, "nokaslr", sbat=sbat)
    data = bytearray(signed_pe(uki.read_bytes(), vendor()))
    data[IN_TEXT] ^= change
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("loader", ["grub2.12-debian", "grub2.14", "grub2.14-debian", "sd-boot", "sd-boot262"])
def test_a_unified_kernel_image_of_shims_vendor_boots_with_the_unsigned_kernel_in_it(
    tmp_path: Path, keys: str, shim: str, loader: str
) -> None:
    uki = uki_by_vendor(tmp_path)
    result = booted(uki, secure_boot=keys, loader=loader, shim=shim)
    assert result.booted, result.failure
    assert booted(uki, secure_boot=keys, loader=loader).status is DENIED


@pytest.mark.parametrize(
    ("loader", "status"),
    [
        ("grub2.12-debian", EfiStatus.EFI_SECURITY_VIOLATION),
        ("direct", EfiStatus.EFI_SECURITY_VIOLATION),
        ("sd-boot", DENIED),
    ],
)
def test_a_byte_changed_in_a_unified_kernel_image_is_noticed_by_shim(
    tmp_path: Path, keys: str, shim: str, loader: str, status: EfiStatus
) -> None:
    result = booted(uki_by_vendor(tmp_path, SBAT, change=1), secure_boot=keys, loader=loader, shim=shim)
    assert result.status is status
    assert result.failure is not None
    assert "it has changed since A distribution signed it" in result.failure.why


def test_qemus_shim_starts_a_unified_kernel_image_with_sbat_that_is_not_revoked(
    tmp_path: Path, keys: str, shim: str
) -> None:
    for sbat, why in (
        (b"", "it has no SBAT section, which what shim starts must have"),
        (SBAT, "SBAT: grub is of generation 4, and 5 is the least allowed"),
    ):
        refused = booted(uki_by_vendor(tmp_path, sbat), secure_boot=keys, shim=shim)
        assert refused.status is EfiStatus.EFI_SECURITY_VIOLATION
        assert refused.failure is not None
        assert refused.failure.why.endswith(why)
    result = booted(uki_by_vendor(tmp_path, STUB_SBAT), secure_boot=keys, shim=shim)
    assert result.booted, result.failure


def test_debians_chain_boots_debians_kernel_under_microsofts_keys() -> None:
    kernel, debians = fetch("kernel-6.12-cloud").files["kernel"], fetch("shim").files["efi"]
    result = booted(kernel, secure_boot="microsoft", loader="grub2.12-debian", shim=str(debians))
    assert result.booted, result.failure


def changed(kernel: bytes) -> bytes:
    data = bytearray(kernel)
    data[0x9000] ^= 1
    return bytes(data)


def unsigned(kernel: bytes) -> bytes:
    pe = parse_pe(memoryview(kernel))
    assert isinstance(pe, PeImage)
    assert pe.certificate_table is not None
    data = bytearray(kernel[: pe.certificate_table.virtual_address])
    entry = pe.pe_header_offset + 24 + 112 + 8 * 4
    data[entry : entry + 8] = bytes(8)
    return bytes(data)


def test_grub_by_shim_says_what_it_said_on_real_ovmf(tmp_path: Path) -> None:
    kernel, debians = fetch("kernel-6.12-cloud").files["kernel"], str(fetch("shim").files["efi"])
    whole = kernel.read_bytes()
    files = {"changed kernel": changed(whole), "unsigned kernel": unsigned(whole), "signed kernel": whole}
    lines = (RECORDINGS / "grub-by-shim.txt").read_text().splitlines()
    said: dict[str, list[str]] = {}
    for line in (line for line in lines if not line.startswith("#")):
        if line.startswith("GRUB: "):
            now = said.setdefault(line.removeprefix("GRUB: "), [])
        else:
            now.append(line)
    for what, data in files.items():
        path = tmp_path / what
        path.write_bytes(data)
        result = booted(path, secure_boot="microsoft", loader="grub2.12-debian", shim=debians)
        assert list(result.messages) == [line for line in said[what] if line.startswith("error")], what
        assert result.booted == any(line.startswith("Linux version") for line in said[what]), what


def test_qemus_shim_says_what_it_said_on_real_tdvf() -> None:
    kernel, debians = fetch("kernel-6.12-cloud").files["kernel"], str(fetch("shim").files["efi"])
    result = booted(kernel, secure_boot="microsoft", shim=debians)
    assert result.messages[-1] == (RECORDINGS / "direct-by-shim.txt").read_text().splitlines()[-1]
    assert result.failure is not None
    assert "no SBAT section" in result.failure.why
