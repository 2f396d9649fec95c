"""Initrds: every segment, in every compression, with its exact place and sizes."""

from __future__ import annotations

import os
import random
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.errors import FormatError
from tdvfsh.formats.bootconfig import find_bootconfig
from tdvfsh.formats.compression import NO_LIMITS, UnpackLimits
from tdvfsh.formats.cpio import cpio_entries
from tdvfsh.formats.initrd import Initrd, InitrdSegment, parse_initrd
from tdvfsh.formats.mapped import ByteSource, open_mapped
from tdvfsh.images.make import make_initrd
from tests.formats.archives import PACKERS, TRAILER, bootconfig, cpio, lzop, member

NOISE = random.Random(7).randbytes(700_000)
ARCHIVE = cpio(init=b"#!/bin/sh\n", zeros=bytes(600_000), noise=NOISE)


def parse(data: bytes, limits: UnpackLimits | None = None) -> Initrd:
    return parse_initrd(data, "initrd", limits=limits)


def test_plain_archive_is_one_segment_as_large_as_itself() -> None:
    assert parse(ARCHIVE).segments == (InitrdSegment("cpio", 0, len(ARCHIVE), len(ARCHIVE)),)


@pytest.mark.parametrize("name", PACKERS)
def test_packed_archive_has_its_packed_and_unpacked_size(name: str) -> None:
    packed = PACKERS[name](ARCHIVE)
    initrd = parse(packed)
    assert initrd.segments == (InitrdSegment(name.split()[0], 0, len(packed), len(ARCHIVE)),)
    assert initrd.unpacked_size == len(ARCHIVE)


@pytest.mark.parametrize(
    ("name", "padding"),
    [(name, padding) for name in PACKERS for padding in (0, 3, 512) if (name, padding) != ("lz4", 0)],
)
def test_archives_in_a_row_are_told_apart(name: str, padding: int) -> None:
    early = cpio(microcode=b"x" * 37)
    packed = PACKERS[name](ARCHIVE)
    data = early + bytes(4 * padding) + packed + bytes(padding) + PACKERS["gzip"](cpio()) + bytes(padding)
    start = len(early) + 4 * padding
    assert [(segment.format, segment.offset, segment.size) for segment in parse(data).segments] == [
        ("cpio", 0, len(early)),
        (name.split()[0], start, len(packed)),
        ("gzip", start + len(packed) + padding, len(PACKERS["gzip"](cpio()))),
    ]


def test_legacy_lz4_takes_what_follows_without_padding_for_a_block_as_the_kernel_does() -> None:
    with pytest.raises(FormatError, match="an lz4 block runs past the end"):
        parse(PACKERS["lz4"](ARCHIVE) + PACKERS["gzip"](cpio()))


@pytest.mark.parametrize("flags", [0, 0x1, 0x2, 0x3, 0x303])
def test_lzo_blocks_are_read_whatever_checksums_they_have(flags: int) -> None:
    assert parse(lzop(ARCHIVE, flags)).unpacked_size == len(ARCHIVE)


def test_two_plain_archives_are_two_segments_even_without_padding() -> None:
    one, two = cpio(a=b"1"), cpio(b=b"22")
    assert [(s.offset, s.size) for s in parse(one + two).segments] == [(0, len(one)), (len(one), len(two))]


def test_archive_without_trailer_ends_with_its_last_member() -> None:
    assert parse(member(b"a", b"1234")).segments[0].size == len(member(b"a", b"1234"))


def test_crc_archive_is_taken_and_old_portable_one_is_not() -> None:
    assert parse(member(b"a", b"1234", b"070702")).segments[0].format == "cpio"
    with pytest.raises(FormatError, match="070707"):
        parse(member(b"a", b"1234", b"070707"))


def test_archive_at_an_odd_place_is_refused_as_the_kernel_refuses_it() -> None:
    with pytest.raises(FormatError, match=r"multiple of 4 at offset 0x1$"):
        parse(b"\0" + ARCHIVE)


@pytest.mark.parametrize("padding", [0, 1, 2, 3])
def test_boot_configuration_is_a_segment_of_its_own(padding: int) -> None:
    config = b"a.b = c\n\0\0\0\0"
    data = ARCHIVE + bootconfig(config) + bytes(padding)
    segment = InitrdSegment("bootconfig", len(ARCHIVE), len(config) + 20 + padding, len(config))
    assert parse(data).segments == (InitrdSegment("cpio", 0, len(ARCHIVE), len(ARCHIVE)), segment)
    assert parse(data).unpacked_size == len(ARCHIVE)


def test_boot_configuration_alone_is_an_initrd() -> None:
    assert [segment.format for segment in parse(bootconfig(b"a=b\n")).segments] == ["bootconfig"]


def test_magic_further_from_the_end_is_no_boot_configuration() -> None:
    assert find_bootconfig(ByteSource(bootconfig(b"a") + bytes(4))) is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (bootconfig(b"a", checksum=1), "adds up to 0x61, not to 0x1"),
        (bootconfig(b"a", size=2), "begins before the file"),
        (ARCHIVE + bootconfig(b"a", size=32768), "more than 32767"),
        (b"#BOOTCONFIG\n", "without size and checksum"),
    ],
)
def test_broken_boot_configuration_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        parse(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the file is empty"),
        (bytes(5000), "only zeros"),
        (b"hello world", "not an initrd: neither a cpio archive nor a known compression begins at offset 0x0"),
        (ARCHIVE + b"junk", f"no archive follows the one before.*at offset {len(ARCHIVE):#x}"),
        (PACKERS["gzip"](b"hello"), "the gzip stream holds no cpio archive"),
        (ARCHIVE[:60], "a cpio header runs past the end"),
        (ARCHIVE[:5000], "runs past the end of the file"),
        (member(b"a").replace(b"00000001", b"0000000x", 1), "not hexadecimal"),
        (member(b"a").replace(b"00000001", b" 0000001", 1), "not hexadecimal"),
    ],
)
def test_what_is_no_initrd_is_refused_with_place_and_reason(data: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=why) as caught:
        parse(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", PACKERS)
def test_stream_that_is_cut_short_is_refused(name: str) -> None:
    packed = PACKERS[name](ARCHIVE)
    with pytest.raises(FormatError):
        parse(packed[: len(packed) // 2])


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])
def test_stream_that_is_damaged_is_refused(name: str) -> None:
    packed = bytearray(PACKERS[name](ARCHIVE))
    for at in range(len(packed) // 2, len(packed) // 2 + 64):
        packed[at] ^= 0xA5
    with pytest.raises(FormatError):
        parse(bytes(packed))


@pytest.mark.parametrize("name", PACKERS)
def test_bomb_is_stopped_by_its_ratio_or_its_size_unless_told_otherwise(name: str) -> None:
    bomb = PACKERS[name](cpio(zeros=bytes(8 << 20)))
    with pytest.raises(FormatError, match="more than 1 MiB, the limit"):
        parse(bomb, UnpackLimits(absolute=1 << 20))
    with pytest.raises(FormatError, match="more than 20 times its size"):
        parse(bomb, UnpackLimits(ratio=20, ratio_from=1 << 20))
    assert parse(bomb, NO_LIMITS).unpacked_size > 8 << 20


def test_memory_stays_flat_however_much_comes_out() -> None:
    bomb = PACKERS["zstd"](member(b"zeros", bytes(64 << 20)))
    limits = NO_LIMITS
    parse(bomb, limits)
    tracemalloc.start()
    parse(bomb, limits)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_progress_goes_from_nothing_to_everything_and_never_back() -> None:
    seen: list[tuple[int, int]] = []
    data = ARCHIVE + PACKERS["xz"](ARCHIVE)
    parse_initrd(data, "initrd", lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(data), len(data))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_sparse_archive_of_a_gibibyte_is_measured_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    make_initrd(path, 1 << 30)
    with open_mapped(path) as file:
        parse_initrd(file.view, file.path)
        best = min(_timed(file.path) for _ in range(5))
    assert best < 0.05
    assert os.stat(path).st_blocks * 512 < 1 << 20


def _timed(path: str) -> float:
    start = time.process_time()
    with open_mapped(path) as file:
        parse_initrd(file.view, path)
    return time.process_time() - start


def test_names_are_data_and_touch_nothing(tmp_path: Path) -> None:
    archive = member(b"../../etc/passwd", b"x") + member(b"/absolute", b"y") + TRAILER
    before = sorted(tmp_path.iterdir())
    names = [entry.name for entry in cpio_entries(ByteSource(archive), 0)]
    assert names == [b"../../etc/passwd", b"/absolute", b"TRAILER!!!"]
    assert sorted(tmp_path.iterdir()) == before


def test_many_segments_are_listed_up_to_a_limit() -> None:
    assert len(parse(cpio() * 20_000).segments) == 20_000


def test_long_name_that_crosses_the_read_window_is_whole() -> None:
    data = member(b"a", bytes(65_400)) + member(b"n" * 200, b"z") + TRAILER
    assert [entry.name for entry in cpio_entries(ByteSource(data), 0)][1] == b"n" * 200


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["cpio", *PACKERS]), st.binary(max_size=300), st.integers(0, 9)),
        min_size=1,
        max_size=6,
    )
)
def test_any_concatenation_is_taken_apart_again(parts: list[tuple[str, bytes, int]]) -> None:
    data = b""
    expected: list[InitrdSegment] = []
    for name, content, padding in parts:
        archive = cpio(file=content)
        if name == "cpio":
            data += bytes(-len(data) % 4)
        packed = archive if name == "cpio" else PACKERS[name](archive)
        if expected and expected[-1].format == "lz4":
            data += bytes(8)  # zeros end a legacy stream, which would take anything else for a block
            data += bytes(-len(data) % 4)
        expected.append(InitrdSegment(name.split()[0], len(data), len(packed), len(archive)))
        data += packed + bytes(padding)
    assert parse(data).segments == tuple(expected)
