"""What is read from a boot's log, and the command that tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.diagnosis.boot_log import BootLog, read_boot_log
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.images.make import make_kernel
from tdvfsh.units import GIB, MIB

CASES = Path(__file__).parents[1] / "cases" / "maps"
RECORDED = Path(__file__).parents[1] / "recordings" / "boot" / "direct-bookworm-2G-linux-6.1.txt"
TD_LOG = """\
[    0.000000] Linux version 6.18.5+deb13-cloud-amd64 (builder@host) #1 SMP
[    0.000000] Command line: console=ttyS0 nokaslr
[    0.000000] tdx: Guest detected
[    0.000000] efi: EFI v2.7 by Ubuntu distribution of EDK II
[    0.000000] DMI: QEMU Standard PC (Q35 + ICH9, 2009), BIOS 2025.02-8ubuntu3 11/11/2025
[    0.000000] efi: mem00: [Conventional|   |WB] range=[0x0000000000000000-0x000000007effffff] (2032MB)
[    0.000000] efi: mem01: [Boot Data   |   |WB] range=[0x000000007f000000-0x000000007fffffff] (16MB)
[    0.000000] efi: mem02: [Unaccepted  |   |  ] range=[0x0000000100000000-0x00000010cf7fffff] (64760MB)
[    0.100000] smpboot: Allowing 4 CPUs, 0 hotplug CPUs
[    0.200000] RAMDISK: [mem 0x70000000-0x726fffff]
"""


def read(text: str) -> BootLog:
    return read_boot_log(ByteSource(text.encode(), "log"))


def test_a_tds_log_tells_versions_machine_and_map() -> None:
    log = read(TD_LOG)
    assert log.kernel == "6.18.5+deb13-cloud-amd64"
    assert log.cmdline == "console=ttyS0 nokaslr"
    assert log.firmware.startswith("Ubuntu distribution of EDK II; QEMU Standard PC")
    assert log.initrd == (0x70000000, 0x72700000)
    facts = log.facts
    assert (facts.td, facts.kernel, facts.edk2, facts.vcpus) == (True, (6, 18, 5), (2025, 2), 4)
    assert (facts.low_end, facts.unaccepted) == (2 * GIB, 64760 * MIB)
    assert facts.table == (0x18, 24 + 4048)


def test_a_plain_machines_log_is_no_tds() -> None:
    log = read_boot_log(ByteSource(RECORDED.read_bytes(), "log"))
    assert log.facts.td is False
    assert log.facts.unaccepted == 0
    assert log.map is not None
    assert len(log.map.descriptors) == 128


def diagnose(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["diagnose", *words]) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("path", sorted(CASES.glob("*.txt")), ids=lambda path: path.stem)
def test_every_map_of_the_cases_is_a_log_that_is_read(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "ranges, read from" in diagnose(capsys, str(path))


def test_the_kernel_is_booted_on_the_logs_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, kernel = tmp_path / "dmesg.txt", tmp_path / "linux"
    log.write_text(TD_LOG.replace("0x00000010cf7fffff", "0x00000010dcffffff"))
    make_kernel(kernel, 11_708_352, 0x37DD000)
    told = diagnose(capsys, str(log), str(kernel))
    assert "fault unaccepted table across two pages" in told
    assert "linux 0862438c9048" in told
    assert "the kernel has left boot services" in told
    assert "4 vCPUs" in told
    value = json.loads(_json(capsys, str(log), str(kernel)))
    assert value["schema"] == "tdvfsh/diagnose"
    assert next(fault["name"] for fault in value["known_faults"]) == "unaccepted table across two pages"
    assert value["boots"][0]["status"] == "EFI_SUCCESS"


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["diagnose", "--json", *words]) == 0
    return capsys.readouterr().out


def test_a_log_without_a_map_is_diagnosed_but_boots_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "grub.txt"
    log.write_text("GNU GRUB version 2.06\nerror: out of memory.\n")
    assert "GRUB runs out of memory" in diagnose(capsys, str(log))
    assert main(["diagnose", str(log), "vmlinuz"]) == 2
    assert "no memory map in it" in capsys.readouterr().err


def test_boot_says_that_its_own_td_meets_a_known_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = tmp_path / "linux"
    make_kernel(kernel, 11_708_352, 0x37DD000)
    data = bytearray(kernel.read_bytes())
    at = data.index(b"6.")
    end = data.index(b"\0", at)
    data[at:end] = b"6.18.5".ljust(end - at)[: end - at]
    kernel.write_bytes(data)
    for memory, told in (("67000M", True), ("68608M", False)):
        main(["boot", str(kernel), "--memory", memory, "--accept", "below-4g", "--cmdline", "nokaslr"])
        assert ("unaccepted table across two pages" in " ".join(capsys.readouterr().out.split())) is told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--memory", "96G", "--accept", "eager"), "eager accept of a large TD"),
        (("--memory", "96G", "--accept", "below-4g", "--vcpus", "128"), "accept storm of many vCPUs"),
        (
            ("--memory", "2815M", "--accept", "below-4g", "--vcpus", "2", "--profile", "trixie"),
            "odd MiB never accepted",
        ),
        (("--memory", "4G", "--accept", "below-4g", "--profile", "trixie"), ""),
    ],
)
def test_boot_names_the_faults_of_its_firmware_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], told: str
) -> None:
    kernel = tmp_path / "linux"
    make_kernel(kernel, 11_708_352, 0x37DD000)
    main(["boot", str(kernel), "--cmdline", "nokaslr", *options])
    out = " ".join(capsys.readouterr().out.split())
    assert told in out
    assert (" fault " in out) is bool(told)
