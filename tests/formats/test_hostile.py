"""Bytes that mean harm: every parser answers quickly, in little memory, and with nothing but its own errors."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.errors import FormatError
from tdvfsh.formats import initrd
from tdvfsh.formats.compression import UnpackLimits
from tdvfsh.formats.initrd import parse_initrd
from tdvfsh.formats.linux import parse_bzimage
from tdvfsh.formats.pe.load import load_pe
from tdvfsh.formats.pe.parse import PeImage, PeRejection, parse_pe
from tdvfsh.formats.pe.relocate import relocate_pe
from tdvfsh.formats.pe.uki import parse_uki
from tdvfsh.formats.tdvf import parse_tdvf
from tdvfsh.images.make import make_kernel
from tests.formats.archives import PACKERS, bootconfig, cpio, member
from tests.formats.dxe_log import IMAGES
from tests.formats.pe_builder import Section, build_pe
from tests.formats.test_tdvf import firmware

SEED_IMAGES = [path.read_bytes() for path in sorted(IMAGES.iterdir()) if path.name[0] in "Snat" or "rel" in path.name]
ARCHIVES = {name: pack(cpio(a=b"hello" * 50, b=bytes(3000))) for name, pack in PACKERS.items()} | {
    "cpio": cpio(a=b"hello", b=bytes(100)) * 3,
    "bootconfig": cpio(a=b"hello") + bootconfig(b"a=b\n"),
}
LIMITS = UnpackLimits(absolute=1 << 24)


@contextmanager
def at_most(seconds: float, megabytes: float) -> Iterator[None]:
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        elapsed = time.process_time() - start
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert elapsed < seconds
    assert peak < megabytes * (1 << 20)


@contextmanager
def refused_in_one_line() -> Iterator[None]:
    """FormatError is a fine answer, if it is one line; any other exception is not."""
    try:
        yield
    except FormatError as error:
        if "\n" in str(error):
            pytest.fail(str(error))


def judge(image: bytes) -> None:
    """Everything LoadImage does with an image; may only reject or refuse."""
    with refused_in_one_line():
        pe = parse_pe(image)
        if isinstance(pe, PeRejection):
            assert pe.why
            assert pe.status.is_error
            return
        address = pe.image_base if pe.relocations_stripped else 0x40000000
        load = load_pe(pe, image, address)
        if not isinstance(load, PeRejection):
            assert all(offset + size <= len(image) for _, offset, size in load.copies)
            relocate_pe(pe, image, address - pe.image_base)


def mutated(draw: st.DrawFn, seeds: list[bytes], interesting: int) -> bytes:
    """A seed with bytes and little-endian words changed, and perhaps cut short."""
    data = bytearray(draw(st.sampled_from(seeds)))
    values = st.sampled_from([0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF]) | st.integers(
        0, 0xFFFFFFFF
    )
    for _ in range(draw(st.integers(0, 6))):
        offset = draw(st.integers(0, min(interesting, max(len(data) - 1, 0))))
        width = draw(st.sampled_from([1, 2, 4]))
        new = (draw(values) & (1 << 8 * width) - 1).to_bytes(width, "little")
        data[offset : offset + width] = new
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data)


@st.composite
def mutated_images(draw: st.DrawFn) -> bytes:
    return mutated(draw, SEED_IMAGES, 0x260)


@st.composite
def mutated_archives(draw: st.DrawFn) -> bytes:
    return mutated(draw, list(ARCHIVES.values()), 400)


@st.composite
def mutated_firmware(draw: st.DrawFn) -> bytes:
    image = mutated(draw, [firmware(), firmware(legacy=True)], 0x1100)
    if draw(st.booleans()):
        at = len(image) - draw(st.integers(1, 0x80))
        image = image[:at] + draw(st.binary(min_size=1, max_size=8)) + image[at + 8 :]
    return image


@settings(max_examples=400, deadline=2000)
@given(mutated_images())
def test_mutated_image_is_accepted_or_rejected_and_nothing_else(image: bytes) -> None:
    judge(image)


@settings(max_examples=200, deadline=2000)
@given(mutated_archives())
def test_mutated_initrd_is_parsed_or_refused_and_nothing_else(data: bytes) -> None:
    with refused_in_one_line():
        segments = parse_initrd(data, "initrd", limits=LIMITS).segments
        ends = [segment.offset + segment.size for segment in segments]
        assert ends == sorted(ends)
        assert ends[-1] <= len(data)


@settings(max_examples=200, deadline=2000)
@given(mutated_firmware())
def test_mutated_firmware_is_parsed_or_refused_and_nothing_else(image: bytes) -> None:
    with refused_in_one_line():
        parse_tdvf(image, "fw")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path: Path = tmp_path_factory.mktemp("kernel") / "kernel"
    make_kernel(path, 0x10000, 0x900000, output_len=0x200000)
    return path.read_bytes()


@settings(max_examples=200, deadline=2000)
@given(st.data())
def test_mutated_kernel_is_parsed_or_refused_and_nothing_else(kernel: bytes, data: st.DataObject) -> None:
    image = bytearray(kernel)
    for _ in range(data.draw(st.integers(1, 5))):
        offset = data.draw(st.integers(0x1F1, 0x26B) | st.integers(0, 0x400) | st.integers(0x52CC, 0x5400))
        image[offset] = data.draw(st.integers(0, 255))
    size = data.draw(st.just(len(image)) | st.integers(0, len(image)))
    judge(bytes(image[:size]))
    with refused_in_one_line():
        parse_bzimage(bytes(image[:size]), "kernel")


@settings(max_examples=200, deadline=2000)
@given(st.binary(max_size=2000))
def test_noise_is_nothing(data: bytes) -> None:
    judge(data)
    parsers: list[Callable[[bytes, str], object]] = [parse_bzimage, parse_uki, parse_tdvf, parse_initrd]
    for parse in parsers:
        with pytest.raises(FormatError):
            parse(data, "noise")


def test_sections_of_4_gib_in_a_small_file_cost_nothing() -> None:
    sections = tuple(Section(b".big", 0x1000, 0xF0000000, 0x600, 0x100) for _ in range(8))
    image = build_pe(sections, {5: (0x1000, 0xE0000000)}, size=0x700, size_of_image=0xF8000000)
    with at_most(0.5, 1):
        judge(image)


def test_thousands_of_sections_stay_quick() -> None:
    count = 0x2000
    headers = 0x1000 + 40 * count
    wiper = Section(b"w", 0, 0x200000, 0, 0)
    mapper = Section(b"m", headers, 0x1000, headers, 0x1000)
    for section in (wiper, mapper):
        image = build_pe((section,) * count, size=headers + 0x1000, size_of_headers=headers, size_of_image=0x7FFFF000)
        assert isinstance(parse_pe(image), PeImage)
        with at_most(5, 30):
            judge(image)


def test_section_headers_that_wipe_each_other_stay_quick() -> None:
    count = 0x2000
    headers = 0x1000 + 40 * count
    far = headers // 2
    sections = tuple(Section(b"w", far, 0x1000 + index, 0, 0) for index in range(count))
    image = build_pe(sections, size=headers + 0x1000, size_of_headers=headers, size_of_image=0x7FFFF000)
    with at_most(5, 30):
        judge(image)


def test_debug_directory_without_end_stops_at_the_end_of_the_file() -> None:
    image = build_pe((Section(b".d", 0x1000, 0x1000, 0x400, 0x100000),), {6: (0x1000, 0xFFFFFFF0)}, size=0x100400)
    with at_most(1, 5):
        assert isinstance(parse_pe(image), PeRejection)


def test_name_of_4_gib_is_bounded_by_the_file() -> None:
    header = member(b"a")[:94] + b"FFFFFFFF" + b"00000000" + b"a\0"
    with at_most(0.5, 1), pytest.raises(FormatError, match="past the end"):
        parse_initrd(header, "initrd")


def test_members_without_number_are_walked_in_flat_memory() -> None:
    data = member(b"a") * 20_000
    with at_most(5, 1):
        assert parse_initrd(data, "initrd").segments[0].size == len(data)


def test_segments_without_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initrd, "MAX_SEGMENTS", 1000)
    data = member(b"TRAILER!!!") * 1001
    with pytest.raises(FormatError, match="more than 1000 archives"):
        parse_initrd(data, "initrd")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x5d\x00\x00\xff\xff" + b"\xff" * 8 + bytes(40), id="lzma with a dictionary of 4 GiB"),
        pytest.param(b"\x28\xb5\x2f\xfd\x00\xff" + b"\x02\x00\x00" * 10, id="zstd with a window of terabytes"),
        pytest.param(b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8 + b"\x01\x00\x00", id="zstd of 2^64 bytes"),
        pytest.param(b"\x89LZO\0\r\n\x1a\n" + b"\xff" * 40, id="lzop"),
        pytest.param(b"\x89LZO\0\r\n\x1a\n" + struct.pack(">HHHBBIIIIB", 0x1030, 0, 0x940, 1, 1, 0, 0, 0, 0, 0)
                     + bytes(4) + struct.pack(">II", 0xFFFFFFFF, 4), id="lzo block of 4 GiB"),
        pytest.param(b"\x02\x21\x4c\x18\x00\x00\x80\x00", id="lz4 block of 8 MiB"),
        pytest.param(b"\xfd7zXZ\x00" + b"\xff" * 60, id="xz"),
        pytest.param(b"BZh9" + b"\xff" * 60, id="bzip2"),
        pytest.param(b"\x04\x22\x4d\x18" + b"\xff" * 60, id="lz4 frame"),
    ],
)  # fmt: skip
def test_headers_that_ask_for_memory_do_not_get_it(data: bytes) -> None:
    parse_bytes = parse_initrd
    with pytest.raises(FormatError):
        parse_bytes(cpio() + data, "initrd")  # imports what it needs
    with at_most(1, 12), pytest.raises(FormatError):
        parse_bytes(data, "initrd")
