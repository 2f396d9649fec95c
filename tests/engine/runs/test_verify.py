"""Model against machine, with a kernel whose stub is a few instructions of ours: every difference is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.cli.main import main
from tdvfsh.engine.runs.verify import verification_lines, verify
from tdvfsh.formats.pe.parse import PeImage, parse_pe
from tdvfsh.images.make import make_kernel
from tdvfsh.machine import TdOptions
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import GIB, MIB
from tests.engine.assembler import SCRATCH, Program
from tests.schemas import check_json


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """A kernel whose stub allocates one pool buffer more or less than it should, and gives up."""
    program = Program().mov("rcx", EfiMemoryType.EfiLoaderData).mov("rdx", 0x123).address("r8", "rsp", SCRATCH)
    return _kernel(tmp_path / "vmlinuz", program.boot("AllocatePool").ret(EfiStatus.EFI_LOAD_ERROR).code())


def _kernel(path: Path, code: bytes) -> Path:
    """A kernel whose stub is ``code``."""
    make_kernel(path, 1 * MIB, 8 * MIB)
    data = bytearray(path.read_bytes())
    headers = parse_pe(bytes(data))
    assert isinstance(headers, PeImage)
    entry = headers.address_of_entry_point  # .text lies in the file as it does in memory
    data[entry : entry + len(code)] = code
    path.write_bytes(data)
    return path


def test_a_stub_that_does_otherwise_is_told_call_by_call(kernel: Path) -> None:
    with open_boot_files(kernel, [], "nokaslr") as opened:
        result = verify(TdOptions(memory=2 * GIB), opened.boot)
    assert not result.agrees
    assert result.model.booted
    assert not result.real.booted
    lines = verification_lines(result)
    assert lines[0] == "outcome   EFI_SUCCESS at exit_boot_services"
    assert "   real   EFI_LOAD_ERROR at start_image" in lines
    calls = [difference for difference in result.differences if difference.what == "calls"]
    assert any(call.real is not None and "AllocatePool(EfiLoaderData, size=0x123)" in call.real for call in calls)
    assert any(call.model is not None and call.model.startswith("ExitBootServices(") for call in calls)
    assert any(entry.what == "placements" and "kernel" in str(entry.model) for entry in result.differences)
    assert lines[-1] == f"verdict   {len(result.differences)} differences"


def test_it_tells_how_far_the_real_boot_has_come(tmp_path: Path) -> None:
    told: list[str] = []
    forever = bytes((0xEB, 0xFE))  # jmp to itself
    with open_boot_files(_kernel(tmp_path / "forever", forever), [], "nokaslr") as opened:
        result = verify(TdOptions(memory=2 * GIB), opened.boot, time_limit=0.2, progress=told.append)
    assert result.real.status == EfiStatus.EFI_ABORTED
    assert told[0].startswith("virtual ")
    assert told[0].endswith(" s, 512 MiB accepted")


def test_only_direct_boot_can_be_held_against_the_stub(kernel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(kernel), "--loader", "grub2.12"]) == 2
    said = "verify: --loader grub2.12: the kernel's real stub runs after direct boot only"
    assert capsys.readouterr().err == f"tdvfsh: {said}\n"


def test_the_command_says_so_with_its_exit_status_and_in_json(kernel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["verify", str(kernel), "--memory", "2G"]
    assert main(words) == 1
    assert "verdict " in capsys.readouterr().out
    assert main([*words, "--json"]) == 1
    found = check_json(capsys.readouterr().out)
    assert found["agrees"] is False
    assert found["status"] == {"model": "EFI_SUCCESS", "real": "EFI_LOAD_ERROR"}
    assert {difference["what"] for difference in found["differences"]} >= {"outcome", "calls", "placements"}


def test_a_loader_is_not_verified_by_the_stub_alone(kernel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(kernel), "--loader", "grub2.12"]) == 2
    assert "--loader grub2.12" in capsys.readouterr().err
