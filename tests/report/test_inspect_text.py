"""A file's facts as aligned lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.errors import FormatError
from tdvfsh.formats.inspect import inspect_file, inspect_source
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.report.inspect_text import exact_size, inspect_lines
from tdvfsh.units import MIB
from tests.formats.tcg.made_log import LOG


def _words(lines: list[str]) -> list[str]:
    return [" ".join(line.split()) for line in lines]


def test_a_kernel_has_a_block_for_each_of_its_formats(tmp_path: Path) -> None:
    kernel = tmp_path / "linux"
    make_kernel(kernel, 12 * MIB, 60 * MIB)
    lines = inspect_lines(inspect_file(kernel))
    words = _words(lines)
    assert words[0] == str(kernel)
    assert words[1] == f"size {exact_size(kernel.stat().st_size)}"
    assert words[2] == "is PE image and Linux kernel (bzImage)"
    titles = [line for line in lines if line and not line.startswith(" ")][1:]
    assert titles == ["PE image", "Linux kernel (bzImage)"]
    assert "machine X64 (0x8664)" in words
    assert "subsystem EFI application (10)" in words
    assert f"init_size {exact_size(60 * MIB)}" in words
    assert any(line.startswith("boot protocol 2.") for line in words)
    assert any(line.startswith("lazy accept unaccepted memory in the EFI stub: ") for line in words)


def test_an_initrd_shows_its_segments_and_what_they_unpack_to(tmp_path: Path) -> None:
    initrd = tmp_path / "initrd"
    make_initrd(initrd, 3 * MIB, "zstd")
    words = _words(inspect_lines(inspect_file(initrd)))
    assert words[2] == "is initrd"
    assert "segments 1" in words
    assert "format in file at packed unpacked" in words
    assert words[-1].startswith("zstd 0x0 ")


def test_many_segments_are_counted_not_listed() -> None:
    segment = {"format": "cpio", "offset": 0, "size": 512, "unpacked_size": 512}
    facts = {"path": "x", "size": 20 * 512, "formats": ["initrd"], "initrd": {"segments": [segment] * 20}}
    words = _words(inspect_lines(facts))
    assert words[-1] == "and 4 more segments"
    assert "segments 20" in words
    assert f"unpacked {exact_size(20 * 512)}" in words


def test_a_bootconfig_does_not_count_as_unpacked() -> None:
    archive = {"format": "gzip", "offset": 0, "size": 100, "unpacked_size": 400}
    config = {"format": "bootconfig", "offset": 100, "size": 50, "unpacked_size": 50}
    facts = {"path": "x", "size": 150, "formats": ["initrd"], "initrd": {"segments": [archive, config]}}
    assert "unpacked 400 bytes" in _words(inspect_lines(facts))


def test_an_image_that_does_not_load_says_what_load_image_makes_of_it() -> None:
    facts = {"path": "x", "size": 2, "formats": [], "pe": {"status": "EFI_UNSUPPORTED", "why": "too short"}}
    words = _words(inspect_lines(facts))
    assert words[2] == "is nothing that loads"
    assert words[-1] == "LoadImage EFI_UNSUPPORTED: too short"


def test_a_path_cannot_move_the_cursor() -> None:
    assert inspect_lines({"path": "\x1b[2J", "size": 0, "formats": []})[0] == "\\x1b[2J"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (40_722_432, "38.84 MiB (40,722,432 bytes)")]
)
def test_a_size_is_given_exactly(size: int, text: str) -> None:
    assert exact_size(size) == text


def test_an_event_log_shows_registers_and_what_events_say() -> None:
    source = ByteSource(LOG + b"\xff" * 20, "ccel")
    facts = inspect_source(source)
    assert facts["formats"] == ["event_log"]
    lines = inspect_lines(facts)
    log = facts["event_log"]
    assert isinstance(log, dict)
    for number, value in enumerate(log["rtmr"]):
        assert f"  RTMR{number}    {value}" in lines
    assert any("EV_EFI_ACTION" in line and "'Calling EFI Application from Boot Option'" in line for line in lines)
    assert any("RTMR2" in line and "initrd: 'Linux initrd'" in line for line in lines)
    assert any("EV_NO_ACTION" in line and "MR 1" in line for line in lines)


def test_a_cut_event_log_is_one_line() -> None:
    with pytest.raises(FormatError, match=r"ccel: the data of event 5 has 21 bytes, but the log ends after 20"):
        inspect_source(ByteSource(LOG[: LOG.index(b"no action") - 66 - 1], "ccel"))
