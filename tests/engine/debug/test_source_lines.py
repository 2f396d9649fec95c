"""Source lines in reports, from the DWARF of an EFI program."""

from __future__ import annotations

import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.engine.introspect import source_lines as module
from tdvfsh.engine.introspect.source_lines import source_lines
from tests.engine.assembler import Program
from tests.engine.debug.compiled import SOURCE, compiled, needs_compiler
from tests.engine.programs import guest, load


def loaded(data: bytes) -> LoadedImage:
    with guest() as (firmware, _):
        image = firmware.services.images.loaded_image(load(firmware, data))
        assert image is not None
        return image


@needs_compiler
def test_a_stop_names_the_line_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO()))
    compiled(tmp_path)
    assert main(["exec", "--break", "add_up", "sum.efi"]) == 0
    lines = capsys.readouterr().err.splitlines()
    called = next(number for number, line in enumerate(SOURCE.read_text().splitlines(), 1) if "= add_up(" in line)
    assert any(line.startswith("tdvfsh: stop: breakpoint: add_up, at sum.efi .text") for line in lines)
    assert any(f"sum.c:{called} (0x" in line for line in lines if "called by" in line)


@needs_compiler
def test_damaged_debug_information_is_no_lines(tmp_path: Path) -> None:
    data = bytearray(compiled(tmp_path).read_bytes())
    image = loaded(bytes(data))
    assert source_lines(image).at(0x1000).startswith("sum.c:")
    assert image.pe is not None
    for section in image.pe.sections:
        if section.name.startswith("/"):
            start = section.pointer_to_raw_data
            data[start : start + section.size_of_raw_data] = b"\xff" * section.size_of_raw_data
    assert source_lines(loaded(bytes(data))).at(0x1000) == ""


def test_without_debug_information_or_the_extra_there_are_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    image = loaded(Program().ret(0).image())
    assert source_lines(image).at(0x1000) == ""
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert source_lines(image).at(0x1000) == ""
