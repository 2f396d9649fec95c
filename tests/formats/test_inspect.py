"""One view of a file: its formats, and for each of them plain values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.errors import FormatError, HostError
from tdvfsh.formats.inspect import inspect_file
from tdvfsh.images.make import make_initrd, make_kernel
from tests.formats.pe.test_uki import CMDLINE, INITRD, LINUX
from tests.formats.pe_builder import build_pe
from tests.formats.test_tdvf import firmware


def inspect(tmp_path: Path, data: bytes) -> dict[str, object]:
    path = tmp_path / "file"
    path.write_bytes(data)
    return inspect_file(path)


def plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and plain(item) for name, item in value.items())
    if isinstance(value, list):
        return all(plain(item) for item in value)
    return value is None or type(value) in (int, bool, str)


def test_kernel_is_a_pe_image_and_a_bzimage(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    make_kernel(path, 0x40000, 0x400000, size_of_image=0x60000)
    facts = inspect_file(path)
    assert list(facts) == ["path", "size", "formats", "pe", "bzimage"]
    assert (facts["path"], facts["size"], facts["formats"]) == (str(path), 0x40000, ["pe", "bzimage"])
    pe, bzimage = facts["pe"], facts["bzimage"]
    assert isinstance(pe, dict)
    assert isinstance(bzimage, dict)
    assert (pe["status"], pe["size_of_image"], len(pe["sections"])) == ("EFI_SUCCESS", 0x60000, 4)
    assert (bzimage["init_size"], bzimage["stub_generation"], bzimage["version"]) == (0x400000, "decompress", 0x20F)
    assert plain(facts)
    assert json.loads(json.dumps(facts)) == facts


def test_initrd_has_its_segments(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    make_initrd(path, 100_000, "gzip")
    seen: list[int] = []
    facts = inspect_file(path, lambda done, total: seen.append(done))
    assert facts["formats"] == ["initrd"]
    initrd = facts["initrd"]
    assert isinstance(initrd, dict)
    (segment,) = initrd["segments"]
    assert segment == {"format": "gzip", "offset": 0, "size": 100_000, "unpacked_size": segment["unpacked_size"]}
    assert seen[-1] == 100_000
    assert plain(facts)


def test_unified_kernel_image_and_firmware_are_known(tmp_path: Path) -> None:
    uki = inspect(tmp_path, build_pe((LINUX, INITRD, CMDLINE), size_of_image=0x6000))
    assert uki["formats"] == ["pe", "uki"]
    tdvf = inspect(tmp_path, firmware())
    assert tdvf["formats"] == ["tdvf"]
    assert plain(uki)
    assert plain(tdvf)


def test_image_that_firmware_refuses_says_how_but_does_not_count_as_one(tmp_path: Path) -> None:
    facts = inspect(tmp_path, build_pe(machine=0x200))
    assert facts["formats"] == []
    assert facts["pe"] == {
        "status": "EFI_UNSUPPORTED",
        "image_error": 0,
        "why": "machine type 0x200 is not one that the loader knows",
    }


@pytest.mark.parametrize(
    ("data", "why"), [(b"", "the file is empty"), (b"hello\n", "neither a PE image"), (b"\x1f\x8b\x08", "ends early")]
)
def test_what_is_nothing_known_is_one_line(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=why) as caught:
        inspect(tmp_path, data)
    assert "\n" not in str(caught.value)


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file"):
        inspect_file(tmp_path / "missing")
