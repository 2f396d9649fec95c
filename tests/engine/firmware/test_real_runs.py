"""Debian's firmware run from its reset vector: a session in its Shell, and where it dies of memory never accepted."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.images.make_init import make_init
from tests.engine.runs.test_real_programs import image

pytestmark = [pytest.mark.images, pytest.mark.xdist_group("real firmware")]
RECORDINGS = Path(__file__).resolve().parents[2] / "recordings" / "tdvf"
ROW = re.compile(r"^(\w+) +([0-9A-F]{16})-([0-9A-F]{16}) ([0-9A-F]{16}) [0-9A-F]{16}$", re.M)


def type_at(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let standard input hold ``text``."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def run(*words: str, firmware: str = "ovmf-2025.02") -> int:
    return main(["firmware", "run", str(image(firmware, "firmware")), "--time-limit", "300", *words])


def test_a_session_in_the_shell_shows_the_map_and_switches_off(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    type_at(monkeypatch, "memmap\nreset -s\n")
    assert run("--memory", "2G", "--console") == 0
    shown, reports = capfd.readouterr()
    rows = ROW.findall(shown)
    at = 0
    pages = {"Available": 0}
    for kind, start, end, count in rows:
        assert int(end, 16) + 1 - int(start, 16) == int(count, 16) << 12
        assert kind == "Reserved" or int(start, 16) == at
        at = int(end, 16) + 1
        pages[kind] = pages.get(kind, 0) + int(count, 16)
    assert len(rows) > 100
    assert ("ACPI_NVS", "0000000000800000", "0000000000805FFF", "0000000000000006") in rows
    assert ("RT_Data", "000000007FF7C000", "000000007FFFFFFF", "0000000000000084") in rows
    assert sum(count for kind, count in pages.items() if kind != "Reserved") == 2 << 18
    assert "\x1b" not in shown
    assert "the system switched the machine off" in reports
    assert re.search(r"SecMain +0 +1,510 +487 +1,023 +2.00 GiB", reports)


def test_the_odd_mib_that_2025_02_never_accepts_is_where_it_dies(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("--memory", "2047M", "--vcpus", "2") == 1
    reports = capfd.readouterr().err
    assert "memory that is not accepted" in reports.splitlines()[0]
    assert "page FREE" in reports or "page PENDING" in reports
    assert re.search(r"^at +\w+\+0x[0-9a-f]+", reports, re.M)
    assert "never accepted: 1 MiB" in reports
    assert re.search(r"^registers +rax ", reports, re.M)


def test_firmware_that_waits_for_input_without_a_console_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("--memory", "1G") == 1
    assert "the firmware waits for input; --console types at it" in capfd.readouterr().err


def pages(rows: list[tuple[str, str, str, str]]) -> dict[str, int]:
    """Pages by type."""
    found: dict[str, int] = {}
    for kind, _, _, count in rows:
        found[kind] = found.get(kind, 0) + int(count, 16)
    return found


def test_the_same_firmware_as_a_plain_vm_has_qemu_s_map_but_for_where_the_shell_s_free_pages_are(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the Shell's pools left free in between depends on the processor: QEMU's own maps with ``-cpu SandyBridge``
    and ``-cpu Skylake-Server`` differ there, and ours is as the second one.
    """
    type_at(monkeypatch, "memmap\nreset -s\n")
    assert run("--memory", "1G", "--no-td", "--console") == 0
    shown, reports = capfd.readouterr()
    rows, recorded = ROW.findall(shown), ROW.findall((RECORDINGS / "map-t-1G-1-plain-vm-qemu.txt").read_text())
    assert pages(rows) == pages(recorded)
    assert without_shell_s_pools(rows) == without_shell_s_pools(recorded)
    assert len(without_shell_s_pools(rows)) > 115
    assert "accepted by" not in reports
    assert "port 0x21 (8259 PIC, write)" in reports


def without_shell_s_pools(rows: list[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    """All but the rows between the Shell's image and the first driver below the others."""
    shell = next(at for at, row in enumerate(rows) if row[0] == "LoaderCode")
    driver = next(at for at, row in enumerate(rows) if row[0] == "BS_Code")
    return rows[: shell + 1] + rows[driver:]


def test_a_kernel_goes_from_the_firmware_to_user_space_and_switches_off(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    init = tmp_path / "init.cpio"
    make_init(init, "greetings from user space")
    kernel = str(image("kernel-6.12-cloud", "kernel"))
    words = ["--kernel", kernel, "--initrd", str(init), "--cmdline", "console=ttyS0 quiet"]
    assert run("--memory", "4G", "--vcpus", "2", *words) == 0
    shown, reports = capfd.readouterr()
    assert "greetings from user space" in shown
    assert re.search(r"TdxDxe +0 +1,412 +1,412 +0 +5.52 MiB", reports)
    assert "× to shared and 901 × to private" in reports
    assert re.search(r"operating system +0 +\d+ +0 +\d+ ", reports)
    assert re.search(r"operating system +1 +\d+ +0 +\d+ ", reports)
    assert "the kernel by zstd_decompress_dctx" in reports


def test_secure_boot_refuses_a_kernel_that_nobody_signed_for_it(capfd: pytest.CaptureFixture[str]) -> None:
    kernel = str(image("kernel-6.12-cloud", "kernel"))
    assert run("--memory", "2G", "--kernel", kernel, firmware="ovmf-inteltdx") == 1
    shown, reports = capfd.readouterr()
    assert "Secure boot image verification failed" in shown
    assert "not using insecure legacy linux kernel loader" in shown
    assert "the firmware has not started the kernel" in reports
