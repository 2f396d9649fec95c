"""Debian's firmware measured with a kernel: every digest computed a second time from the files themselves.

One run for all tests; ``python -m tests.conformance.measured`` has the wider matrix, by hand.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.firmware.image import open_firmware
from tdvfsh.engine.firmware.measure import EXITED, TdMeasurement, measure_firmware
from tdvfsh.engine.firmware.table_loader import acpi_files
from tdvfsh.engine.firmware.vmm_tables import read_vmm_tables
from tdvfsh.images.make import make_initrd
from tdvfsh.machine.options import TdOptions
from tdvfsh.measure.expected import differences, read_expected
from tdvfsh.report.measure_text import measure_dict, measure_lines
from tdvfsh.units import GIB, MIB
from tests.engine.runs.test_real_programs import image

pytestmark = [pytest.mark.images, pytest.mark.xdist_group("real firmware")]
CMDLINE: Final = "console=ttyS0 quiet"
OPTIONS: Final = TdOptions(memory=2 * GIB)
STORE: Final = 0x84000
ACTIONS: Final = (
    b"Calling EFI Application from Boot Option", b"Exit Boot Services Invocation",
    b"Exit Boot Services Returned with Success",
)  # fmt: skip
BOOT0000: Final = "23ada07f5261f12f34a0bd8e46760962d6b4d576a416f1fea1c64bc656b1d28eacf7047ae6e967c58fd2a98bfa74c298"
"""Digest of OVMF's Boot0000, its own menu, as dstack-mr publishes it from TDs on real processors."""
CFV: Final = "344bc51c980ba621aaa00da3ed7436f7d6e549197dfe699515dfa2c6583d95e6412af21c097d473155875ffd561d6790"
"""Digest of OVMF's empty variable store, likewise."""


def sha384(data: bytes) -> str:
    return hashlib.sha384(data).hexdigest()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("measured")
    initrd, tables = folder / "initrd", folder / "etc"
    make_initrd(initrd, 3 * MIB)
    for name, data in acpi_files(1).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return {
        "firmware": Path(image("ovmf-2025.02", "firmware")),
        "kernel": Path(image("kernel-6.12-cloud", "kernel")),
        "initrd": initrd,
        "tables": tables,
    }


@pytest.fixture(scope="module")
def measured(files: dict[str, Path]) -> Iterator[TdMeasurement]:
    with (
        open_boot_files(files["kernel"], [files["initrd"]], CMDLINE) as opened,
        open_firmware(files["firmware"]) as firmware,
        RunLimit(400) as limit,
    ):
        vmm_files = read_vmm_tables(str(files["tables"]))
        yield measure_firmware(firmware, OPTIONS, opened.boot, limit=limit, vmm_files=vmm_files)


def digests(measured: TdMeasurement, rtmr: int) -> list[str]:
    assert measured.log is not None
    return [each.sha384.hex() for each in measured.log.events if each.rtmr == rtmr and each.sha384 is not None]


def found(measured: TdMeasurement) -> dict[str, Any]:
    return measure_dict(measured.firmware, OPTIONS, measured.build, measured)


def test_the_log_tells_all_that_was_measured(measured: TdMeasurement) -> None:
    assert (measured.ending, measured.reached, measured.succeeded, measured.notes) == (EXITED, True, True, ())
    assert measured.replay is not None
    assert measured.replay.registers == measured.rtmrs
    assert measured.rtmrs[3] == bytes(48)
    assert len({measured.build.mrtd, *measured.rtmrs}) == 5
    assert measured.log is not None
    assert len(measured.log.events) == len(measured.extends)
    assert [each.caller for each in measured.extends[:3]] == ["SecMain", "SecMain", "TdTcg2Dxe"]
    assert [each.now_ns for each in measured.extends] == sorted(each.now_ns for each in measured.extends)


def test_rtmr0_holds_td_hob_variables_acpi_tables_and_boot_options(
    measured: TdMeasurement, files: dict[str, Path]
) -> None:
    hob, store, *rest = digests(measured, 0)
    assert hob == sha384(td_hob_of_2_gib())
    assert store == sha384(files["firmware"].read_bytes()[:STORE]) == CFV
    names = (b"SecureBoot", b"PK", b"KEK", b"db", b"dbx")
    security = bytes.fromhex("cbb219d73a3d9645a3bcdad00e67656f")
    system = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")
    for name, digest in zip(names, rest[:5], strict=True):
        guid = security if name.startswith(b"db") else system
        wide = name.decode().encode("utf-16-le")
        assert digest == sha384(guid + struct.pack("<QQ", len(name), 0) + wide), name
    blobs = [sha384((files["tables"] / name).read_bytes()) for name in ("table-loader", "acpi/rsdp", "acpi/tables")]
    assert rest[5:] == [sha384(bytes(4)), *blobs, sha384(bytes(2)), BOOT0000]


def td_hob_of_2_gib() -> bytes:
    """QEMU's list up to its end marker, written out by the PI specification for this firmware's sections."""
    ends = [
        (7, 0, 0x800000), (0, 0x800000, 0x806000), (7, 0x806000, 0x809000), (0, 0x809000, 0x80B000),
        (0, 0x80B000, 0x80D000), (7, 0x80D000, 0x811000), (0, 0x811000, 0x820000), (7, 0x820000, 0x80000000),
    ]  # fmt: skip
    body = b"".join(struct.pack("<HHI16xIIQQ", 3, 48, 0, kind, 7, start, end - start) for kind, start, end in ends)
    return struct.pack("<HHIIIQQQQQ", 1, 56, 0, 9, 0, 0, 0, 0, 0, 0x809000 + 56 + len(body) + 8) + body


def test_rtmr1_holds_the_kernel_s_authenticode_hash_and_what_firmware_did(
    measured: TdMeasurement, files: dict[str, Path]
) -> None:
    calling, leaving, left = map(sha384, ACTIONS)
    kernel = authenticode(files["kernel"].read_bytes())
    assert digests(measured, 1) == [kernel, calling, sha384(bytes(4)), leaving, left]


def authenticode(data: bytes) -> str:
    """SHA-384 of a signed PE32+ file without checksum, certificate entry and certificates."""
    pe = struct.unpack_from("<I", data, 0x3C)[0]
    checksum, certificates = pe + 24 + 64, pe + 24 + 112 + 4 * 8
    _, size = struct.unpack_from("<II", data, certificates)
    hashed = data[:checksum] + data[checksum + 4 : certificates] + data[certificates + 8 : len(data) - size]
    return sha384(hashed)


def test_rtmr2_holds_command_line_and_initrd(measured: TdMeasurement, files: dict[str, Path]) -> None:
    options = f"{CMDLINE} initrd=initrd\0".encode("utf-16-le")  # OVMF appends the initrd's name
    assert digests(measured, 2) == [sha384(options), sha384(files["initrd"].read_bytes())]


def test_the_text_names_each_register_s_dependence_on_the_vmm(measured: TdMeasurement) -> None:
    text = "\n".join(measure_lines(measured))
    for number, value in enumerate(measured.rtmrs):
        assert f"RTMR{number}  {value.hex()}" in text
    assert "the TD HOB: RAM size" in text
    assert "(--acpi takes a real VMM's); events 9, 10, 11" in text
    assert "(--kernel-header patched); event 12" in text
    assert "RTMR2  nothing" in text
    assert "log    replayed: equal to the registers" in text
    assert "'Exit Boot Services Returned with Success'" in text


def test_json_is_what_expect_takes(measured: TdMeasurement, tmp_path: Path) -> None:
    path = tmp_path / "expected.json"
    path.write_text(json.dumps(found(measured)))
    expected = read_expected(str(path))
    assert expected.needs_run
    assert differences(expected, found(measured)) == []
    other = found(measured)
    changed = next(each for each in other["events"] if each["words"].startswith("load options"))
    changed["digest"] = sha384(b"another command line")
    other["rtmr"][2] = sha384(b"and so another register")
    register, missing, new = differences(expected, other)
    assert register.startswith("RTMR2 expected ")
    assert missing.startswith(f"- event {changed['number']} RTMR2 EV_EVENT_TAG ")
    assert new.startswith(f"+ event {changed['number']} RTMR2 EV_EVENT_TAG {changed['digest'][:16]}…")
    assert "load options" in new


def test_a_measurement_that_did_not_get_there_is_no_success(measured: TdMeasurement) -> None:
    assert not replace(measured, reached=False).succeeded
    assert not replace(measured, log_error="cut").succeeded
    assert "MRTD" in repr(measured)
