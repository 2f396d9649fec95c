"""``--map``, ``--firmware``, ``--fault`` and what else makes a machine, as processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.images.make import make_kernel
from tests.cli.test_main import run
from tests.formats.test_tdvf import firmware

RECORDED = Path(__file__).parents[1] / "recordings" / "memmap" / "trixie-512M.txt"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A made kernel."""
    path = tmp_path_factory.mktemp("kernel") / "linux"
    make_kernel(path, 11_708_352, 0x37DD000)
    return str(path)


def test_a_map_is_what_memmap_shows_and_what_a_boot_starts_from(kernel: str) -> None:
    shown = run("--map", str(RECORDED), "-c", "memmap")
    recorded = RECORDED.read_bytes().decode("latin-1").replace("\r\n", "\n")
    rows = {line for line in recorded.splitlines() if "-" in line}
    assert len(rows - set(shown.stdout.splitlines())) <= 2  # the shell's own drives take a few pages
    value = json.loads(run("boot", kernel, "--map", str(RECORDED), "--no-td", "--json").stdout)
    assert value["status"] == "EFI_SUCCESS"
    assert value["td"]["map"] == str(RECORDED)
    assert value["notes"] == [
        f"{RECORDED}: memory map of ovmf-2025.02 firmware, read from memmap; the machine starts from it"
    ]
    assert value["os_side"] is None


def test_a_firmware_file_chooses_footprint_and_td_hob_list(kernel: str, tmp_path: Path) -> None:
    path = tmp_path / "OVMF.fd"
    path.write_bytes(firmware())
    value = json.loads(run("boot", kernel, "--firmware", str(path), "--json").stdout)
    assert value["td"]["firmware_model"] == "ovmf-2022.11"
    assert value["accept"]["added_bytes"] == 0x12000
    assert "temporary RAM lies at 0x810000" in value["notes"][0]


def test_the_machines_particulars_are_in_the_json(kernel: str) -> None:
    words = ("--vcpus", "4", "--host-page-size", "4K", "--sept-ve-disable", "off", "--os-workload", "1G")
    value = json.loads(run("boot", kernel, *words, "--json").stdout)
    assert value["td"]["host_page_size"] == 4096
    assert value["td"]["sept_ve_disable"] is False
    assert value["sec"]["vcpus"] == len(value["sec"]["bytes_per_vcpu"]) == 4
    assert value["sec"]["size_mismatches"] > 0
    side = value["os_side"]
    assert side["modelled"] is True
    assert side["accepted_bytes"] == sum(step["accepted_bytes"] for step in side["steps"]) > 1 << 29
    assert side["accepted_bytes"] + side["left_bytes"] == value["accept"]["left_to_os_bytes"]


def test_a_fault_ends_the_boot_and_is_named(kernel: str) -> None:
    done = run("boot", kernel, "--fault", "LoadImage:1=OUT_OF_RESOURCES", "--fault", "accept:1=OPERAND_BUSY", "--json")
    value = json.loads(done.stdout)
    assert done.returncode == 1
    assert value["td"]["faults"] == ["LoadImage:1=OUT_OF_RESOURCES", "accept:1=OPERAND_BUSY"]
    assert value["failure"]["why"].startswith("on purpose (LoadImage:1=EFI_OUT_OF_RESOURCES)")


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (("--map", "README.md"), 1, "not a memory map"),
        (("--map", "nowhere.txt"), 2, "nowhere.txt"),
        (("--firmware", "README.md"), 1, "no TDX metadata"),
        (("--fault", "accept"), 2, "write WHAT:N=HOW"),
        (("--fault", "sec-tdcall:1=OPERAND_INVALID"), 2, "the TD does not start"),
        (("--sept-ve-disable", "maybe"), 2, "give on or off"),
        (("--accept-at-exit", "always"), 2, "unknown; choose one of none, unless-objected"),
        (("--os-workload", "much"), 2, "much"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(kernel: str, words: tuple[str, str], status: int, why: str) -> None:
    done = run("boot", kernel, *words, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout) == (status, "")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_map_comes_from_standard_input_too(kernel: str) -> None:
    words = ("boot", kernel, "--no-td", "--json", "--map")
    from_file = json.loads(run(*words, str(RECORDED)).stdout)
    done = run(*words, "-", stdin=RECORDED.read_text())
    from_input = json.loads(done.stdout)
    assert from_input["placements"] == from_file["placements"]
    assert from_input["notes"][0].startswith("standard input: memory map of ovmf-2025.02 firmware")
