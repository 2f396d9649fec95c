"""The model against Debian's firmware, and a model that was recorded from it: every part agrees."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.images.make_init import make_init
from tdvfsh.units import MIB
from tests.engine.runs.test_real_programs import image

pytestmark = [pytest.mark.images, pytest.mark.xdist_group("real firmware")]
AGREES = re.compile(r"^(.*): (\d+) agree, 0 differ$", re.M)


def verify(capsys: pytest.CaptureFixture[str], firmware: str, *words: str) -> tuple[int, dict[str, int], str]:
    """Exit status, what agrees without a difference, and all that was printed."""
    status = main(["verify", "--firmware", str(image(firmware, "firmware")), "--time-limit", "300", *words])
    shown = capsys.readouterr().out
    return status, {what: int(count) for what, count in AGREES.findall(shown)}, shown


@pytest.mark.parametrize(("firmware", "accepts"), [("ovmf-2025.02", 1510), ("ovmf-2022.11", 1509)])
def test_the_map_of_a_shell_that_has_been_started_is_the_real_one(
    firmware: str, accepts: int, capsys: pytest.CaptureFixture[str]
) -> None:
    status, agree, shown = verify(capsys, firmware, "--memory", "2G", "--vcpus", "2")
    assert status == 0, shown
    assert agree["accepts at boot"] == accepts
    assert agree["memory map where firmware waits for input"] > 110


@pytest.mark.parametrize("size", [0, 1044, MIB])
def test_a_kernel_of_debian_s_lies_where_real_firmware_and_its_real_stub_put_it(
    size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A small initrd lies in a block of firmware's pools, which are of size classes, a larger one in pages."""
    init = tmp_path / "init.cpio"
    make_init(init, "hello")
    init.write_bytes(init.read_bytes().ljust(size, b"\0"))
    kernel = str(image("kernel-6.12-cloud", "kernel"))
    words = [kernel, "--initrd", str(init), "--memory", "4G", "--vcpus", "2"]
    status, agree, shown = verify(capsys, "ovmf-2025.02", *words)
    assert status == 0, shown
    assert agree["memory map at ExitBootServices"] > 110
    assert agree["placements"] >= 3
    assert agree["pages converted to shared"] == 2


@pytest.mark.parametrize("memory", ["2G", "4G"])
def test_a_tdvf_file_chooses_the_footprint_of_the_board_that_it_runs_on(
    memory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, agree, shown = verify(capsys, "ovmf-inteltdx", "--memory", memory)
    assert status == 0, shown
    assert agree["memory map where firmware waits for input"] > 30


def test_what_secure_boot_refuses_is_refused_by_both(capsys: pytest.CaptureFixture[str]) -> None:
    kernel = str(image("kernel-6.12-cloud", "kernel"))
    status, agree, shown = verify(capsys, "ovmf-inteltdx", kernel, "--memory", "2G")
    assert status == 0, shown
    assert agree["accepts at boot"] == 1509
    assert agree["a boot that fails"] == 1
    assert agree["pages converted to shared"] == 2


def test_a_recorded_model_agrees_with_the_firmware_that_it_was_recorded_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "own.toml"
    firmware = str(image("ovmf-2025.02", "firmware"))
    assert main(["firmware", "record", firmware, "--memory", "1G", "-o", str(model), "--time-limit", "300"]) == 0
    assert "descriptors by stage: direct" in capsys.readouterr().out
    status, agree, shown = verify(capsys, "ovmf-2025.02", "--memory", "1G", "--firmware-model", str(model))
    assert status == 0, shown
    assert agree["memory map where firmware waits for input"] > 105
