"""Real shim, which protects what it starts where firmware offers EFI_MEMORY_ATTRIBUTE_PROTOCOL, on the engine.

With GRUB 2.02 real OVMF stops in the same place: tests/recordings/secure-boot/nx-by-shim.txt.
"""

from __future__ import annotations

import shutil
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tests.engine.runs.test_program import hello
from tests.engine.runs.test_real_programs import image
from tests.formats.pe_builder import Section, build_pe

ENTRY = 0x400


def second_stage(*, aligned: bool) -> bytes:
    """A program, or one whose code begins where GRUB 2.02's does: at an address that is not a page's."""
    if aligned:
        return hello()
    text = Section(b".text", ENTRY, 0x200, 0x400, 0x200, b"\x31\xc0\xc3")
    return build_pe(
        (text,), section_alignment=0x200, address_of_entry_point=ENTRY, size_of_image=0x1000, size_of_headers=0x400
    )


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"")))


def run(folder: Path, capsys: pytest.CaptureFixture[str], *, aligned: bool, protect: str) -> tuple[int, str]:
    shutil.copy(image("shim", "efi"), folder / "shimx64.efi")
    (folder / "grubx64.efi").write_bytes(second_stage(aligned=aligned))
    words = ["exec", "--protect", protect, "--fs0", str(folder), str(folder / "shimx64.efi")]
    status = main(words)
    captured = capsys.readouterr()
    return status, captured.out + captured.err


@pytest.mark.images
@pytest.mark.parametrize("protect", ["attributes", "nx"])
def test_what_does_not_begin_at_a_page_faults_at_its_entry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], protect: str
) -> None:
    status, said = run(tmp_path, capsys, aligned=False, protect=protect)
    assert status == 1
    assert "addr is not page aligned" in said
    assert f"{ENTRY:x} of EfiLoaderCode, which is not executable" in said
    assert "<start_image+0x17b>" in said


@pytest.mark.images
@pytest.mark.parametrize(("aligned", "protect"), [(True, "attributes"), (True, "nx"), (False, "ovmf")])
def test_what_begins_at_a_page_runs_and_so_does_all_without_the_protocol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], aligned: bool, protect: str
) -> None:
    _, said = run(tmp_path, capsys, aligned=aligned, protect=protect)
    assert "not executable" not in said
    assert ("Hello from the TD" in said) == aligned
