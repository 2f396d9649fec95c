"""The variable store that a firmware file begins with, and files that take its place."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.engine.firmware.image import FirmwareImage, layout_of_plain_vm
from tdvfsh.engine.firmware.variable_store import VariableStoreFile, store_size
from tdvfsh.errors import FormatError, HostError
from tdvfsh.uefi.guids import Guid
from tests.engine.firmware.made_firmware import HLT, made_firmware
from tests.engine.firmware.test_real_runs import run, type_at

SIZE = 0x3000
NV_DATA = Guid("fff12b8d-7696-4c8b-a985-2747075b4f50")


def store(size: int = SIZE, guid: Guid = NV_DATA) -> bytes:
    return (bytes(16) + guid.bytes_le + struct.pack("<Q4s", size, b"_FVH")).ljust(SIZE, b"\xff")


def firmware(begin: bytes) -> FirmwareImage:
    return FirmwareImage("made.fd", begin + bytes(0x10000 - len(begin)), None)


def test_a_store_is_known_by_its_volume_s_guid() -> None:
    assert store_size(firmware(store())) == SIZE
    assert store_size(firmware(store(guid=Guid("00000000-0000-0000-0000-000000000000")))) == 0
    assert store_size(firmware(store(size=SIZE + 1))) == 0
    assert store_size(firmware(store(size=1 << 40))) == 0
    assert store_size(firmware(b"")) == 0


def test_it_begins_as_the_firmware_s_and_goes_on_as_the_file(tmp_path: Path) -> None:
    path = str(tmp_path / "vars.fd")
    first = VariableStoreFile(path, firmware(store()))
    assert bytes(first.flash.data) == store()
    first.flash.data[-1] = 0x77
    first.save()
    assert VariableStoreFile(path, firmware(store())).flash.data[-1] == 0x77


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vars.fd"
    with pytest.raises(FormatError, match="begins with no variable store"):
        VariableStoreFile(str(path), firmware(b""))
    for content in (b"", store()[:-1], store(guid=Guid("00000000-0000-0000-0000-000000000000"))):
        path.write_bytes(content)
        with pytest.raises(FormatError, match="not a variable store of this firmware, which has 12,288 bytes"):
            VariableStoreFile(str(path), firmware(store()))
    with pytest.raises(HostError):
        VariableStoreFile(str(path / "below"), firmware(store()))


def test_the_rest_of_the_file_stays_where_it_is() -> None:
    image = firmware(store())
    layout = layout_of_plain_vm(image, SIZE)
    assert [(span.start, span.end) for span in layout.pages] == [(image.base + SIZE, 1 << 32)]
    assert layout.contents == ((image.base + SIZE, memoryview(image.data)[SIZE:]),)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--nvram", "v.fd"), "a TD's firmware has no flash to write to"),
        (("--no-td", "--nvram", "v.fd", "--save", "m"), "--nvram: not with --save"),
    ],
)
def test_where_there_is_no_flash_it_is_said(
    words: tuple[str, ...], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "made.fd"
    path.write_bytes(made_firmware(HLT))
    assert main(["firmware", "run", str(path), *words]) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "v.fd").exists()


@pytest.mark.images
@pytest.mark.xdist_group("real firmware")
def test_a_variable_of_real_firmware_is_there_at_its_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("--no-td", "--memory", "512M", "--nvram", str(tmp_path / "vars.fd"), "--console")
    name = "foo -guid 11111111-2222-3333-4444-555555555555"
    type_at(monkeypatch, f"setvar {name} -bs -rt -nv =0a0b0c0d\nreset -s\n")
    assert run(*words) == 0
    capfd.readouterr()
    type_at(monkeypatch, f"setvar {name}\nreset -s\n")
    assert run(*words) == 0
    assert "0A 0B 0C 0D" in capfd.readouterr().out
