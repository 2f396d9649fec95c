"""Made kernels and initrds: exactly the requested sizes, and valid to every tool that reads them."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import pefile
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tdvfsh.errors import HostError, UsageError
from tdvfsh.formats.cpio import cpio_entries
from tdvfsh.formats.initrd import Initrd, parse_initrd
from tdvfsh.formats.linux import LinuxKernel, parse_bzimage
from tdvfsh.formats.mapped import ByteSource, open_mapped
from tdvfsh.formats.pe.load import PeLoad, load_pe
from tdvfsh.formats.pe.parse import PeImage, parse_pe
from tdvfsh.formats.pe.relocate import relocate_pe
from tdvfsh.images.make import COMPRESSIONS, make_initrd, make_kernel
from tdvfsh.images.sparse_file import write_sparse
from tdvfsh.units import MIB, align_up

PLACEMENT = Path(__file__).parent.parent / "recordings" / "boot" / "placement.tsv"
SIZES = ("kernel_bytes", "size_of_image", "init_size", "output_len")
STORED = [name for name in COMPRESSIONS if name not in ("bzip2", "lzma")]
TOOLS = {"gzip": "gzip", "bzip2": "bzip2", "xz": "xz", "lz4": "lz4", "zstd": "zstd", "lzo": "lzop"}


def recorded_kernels() -> list[tuple[int, ...]]:
    with PLACEMENT.open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return sorted({tuple(int(row[name], 16) for name in SIZES) for row in rows})


def kernel_at(path: Path) -> LinuxKernel:
    with open_mapped(path) as file:
        return parse_bzimage(file.view, file.path)


def initrd_at(path: Path) -> Initrd:
    with open_mapped(path) as file:
        return parse_initrd(file.view, file.path)


@pytest.mark.parametrize("sizes", recorded_kernels(), ids=lambda sizes: f"{sizes[0]:#x}")
def test_kernel_of_every_recorded_boot_can_be_made(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    size, size_of_image, init_size, output_len = sizes
    path = tmp_path / "kernel"
    make_kernel(path, size, init_size, size_of_image, output_len)
    kernel = kernel_at(path)
    assert (kernel.size, kernel.size_of_image, kernel.init_size, kernel.output_len) == sizes
    assert path.stat().st_size == size
    assert kernel.kernel_buffer_size == align_up(output_len, 2 * MIB)
    assert kernel.supports_unaccepted_memory
    assert os.stat(path).st_blocks * 512 < MIB


def test_there_are_recorded_kernels() -> None:
    assert len(recorded_kernels()) == 3


def test_firmware_loads_a_made_kernel_as_it_loads_a_real_one(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    make_kernel(path, 0xB947C0, 0x37EF000, 0xBFA000, 0x36F96F8)
    with open_mapped(path) as file:
        pe = parse_pe(file.view)
        assert isinstance(pe, PeImage)
        assert (pe.image_size, pe.image_base, pe.section_alignment, pe.subsystem) == (0xBFA000, 0, 0x1000, 10)
        assert (pe.pe_header_offset, pe.number_of_rva_and_sizes, pe.relocations_stripped) == (0x40, 6, False)
        assert [section.name for section in pe.sections] == [".setup", ".compat", ".text", ".data"]
        assert pe.certificate_table is not None
        load = load_pe(pe, file.view, 0x10000000)
        assert isinstance(load, PeLoad)
        assert load.overrun == 0
        assert relocate_pe(pe, file.view, 0x10000000) == ()
        code = file.read_at(pe.address_of_entry_point, 11)
    assert code == bytes.fromhex("48b80300000000000080c3")  # returns EFI_UNSUPPORTED: it does not pretend to boot


def test_pefile_reads_a_made_kernel(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    make_kernel(path, 0x40000, 0x400000, size_of_image=0x80000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = pefile.PE(str(path))
    assert image.OPTIONAL_HEADER.SizeOfImage == 0x80000
    assert [warning for warning in image.get_warnings() if "Byte 0x00" not in warning] == []
    image.close()


def test_payload_of_a_made_kernel_really_unpacks_to_its_length(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    make_kernel(path, 0x100000, 0x2000000, output_len=0x1234567)
    kernel = kernel_at(path)
    start = kernel.setup_size + kernel.payload_offset
    frame = path.read_bytes()[start : start + kernel.payload_length - 4]
    unpacked = zstandard.ZstdDecompressor().decompress(frame)
    assert len(unpacked) == 0x1234567
    assert unpacked[:4] == b"\x7fELF"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(0x10000, 0x400000),
    pages=st.integers(0x10, 0x2000),
    output_len=st.integers(120, 0x8000000),
    slack=st.integers(0, 0x400000),
)
def test_kernel_has_any_sizes_that_it_can_have(
    tmp_path: Path, size: int, pages: int, output_len: int, slack: int
) -> None:
    path = tmp_path / "kernel"
    size_of_image, init_size = pages << 12, max(output_len + slack, 0x1000)
    make_kernel(path, size, init_size, size_of_image, output_len)
    kernel = kernel_at(path)
    assert (kernel.size, kernel.size_of_image, kernel.init_size, kernel.output_len) == (
        size,
        size_of_image,
        init_size,
        output_len,
    )
    assert kernel.kernel_buffer_size == align_up(output_len, 2 * MIB)


@pytest.mark.parametrize("protocol", [0x200, 0x203, 0x205, 0x207, 0x208, 0x20A, 0x20C, 0x20F])
def test_kernel_of_any_protocol_has_that_protocol(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "kernel"
    make_kernel(path, 0x40000, 0x400000, protocol=protocol)
    kernel = kernel_at(path)
    assert kernel.version == protocol
    assert kernel.init_size == (0x400000 if protocol >= 0x20A else 0)


def test_defaults_are_those_of_a_modern_kernel(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    make_kernel(path, 12 * MIB, 56 * MIB)
    kernel = kernel_at(path)
    assert (kernel.output_len, kernel.size_of_image) == (55 * MIB, 12 * MIB + 0x66000)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"size": 0x7FFF, "init_size": 0x400000}, "size must be from 0x8000 to 0x7ffff000, not 0x7fff"),
        ({"size": 1 << 31, "init_size": 0x400000}, "size must be from"),
        ({"size": 0x8000, "init_size": 1 << 32}, "init size must be from"),
        ({"size": 0x8000, "init_size": 0x400000, "output_len": 0x400001}, "output length must be from"),
        ({"size": 0x8000, "init_size": 0x400000, "output_len": 119}, "output length must be from"),
        ({"size": 0x8000, "init_size": 0x400000, "size_of_image": 0x7000}, "size of image must be from"),
        ({"size": 0x8000, "init_size": 0x400000, "size_of_image": 0x8001}, "multiple of 4096"),
        ({"size": 0x8000, "init_size": 0x400000, "protocol": 0x210}, "boot protocol must be from"),
        ({"size": 0x8000, "init_size": 0xF0000000}, "holds a payload of at most"),
    ],
)
def test_kernel_that_cannot_be_is_refused_with_the_limits(tmp_path: Path, arguments: dict[str, int], why: str) -> None:
    path = tmp_path / "kernel"
    with pytest.raises(UsageError, match=why):
        make_kernel(path, **arguments)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [300_000, 300_001, 300_002, 300_003, 5 * MIB])
def test_plain_initrd_is_exactly_as_large_as_asked(tmp_path: Path, size: int) -> None:
    path = tmp_path / "initrd"
    make_initrd(path, size)
    assert path.stat().st_size == size
    (segment,) = initrd_at(path).segments
    assert (segment.format, segment.offset, segment.size) == ("cpio", 0, size // 4 * 4)


def test_initrd_beyond_4_gib_has_several_members(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    make_initrd(path, 9 << 30)
    with open_mapped(path) as file:
        names = [entry.name for entry in cpio_entries(file.source, 0)]
    assert names == [b"README", b"filler-0000", b"filler-0001", b"filler-0002", b"TRAILER!!!"]
    assert initrd_at(path).segments[0].size == 9 << 30


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_packed_initrd_is_exactly_as_large_as_asked(tmp_path: Path, compress: str) -> None:
    path = tmp_path / "initrd"
    make_initrd(path, 17 * MIB, compress)
    initrd = initrd_at(path)
    (segment,) = initrd.segments
    assert (initrd.size, segment.format, segment.offset) == (17 * MIB, compress, 0)
    if compress in STORED:
        assert segment.size == 17 * MIB
        assert 0.99 * 17 * MIB < segment.unpacked_size < 17 * MIB


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(compress=st.sampled_from(STORED), size=st.integers(1000, 1_200_000) | st.integers(65_500, 66_200))
def test_packed_initrd_has_any_size(tmp_path: Path, compress: str, size: int) -> None:
    path = tmp_path / "initrd"
    if compress == "xz" and size % 4:
        with pytest.raises(UsageError, match="a multiple of 4"):
            make_initrd(path, size, compress)
        return
    make_initrd(path, size, compress)
    (segment,) = initrd_at(path).segments
    assert (segment.format, segment.size) == (compress, size)


@pytest.mark.parametrize("compress", [name for name, tool in TOOLS.items() if shutil.which(tool)])
def test_the_format_s_own_tool_accepts_it(tmp_path: Path, compress: str) -> None:
    path = tmp_path / f"initrd.{compress}"
    make_initrd(path, 3 * MIB, compress)
    tool = [TOOLS[compress], "-t"]
    with path.open("rb") as file:
        done = subprocess.run(tool, stdin=file, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_kernel(tmp_path / f"{name}.kernel", 0x40000, 0x400000)
        make_initrd(tmp_path / f"{name}.initrd", 100_000, "xz")
    assert (tmp_path / "a.kernel").read_bytes() == (tmp_path / "b.kernel").read_bytes()
    assert (tmp_path / "a.initrd").read_bytes() == (tmp_path / "b.initrd").read_bytes()


@pytest.mark.parametrize(
    ("size", "compress", "why"),
    [
        (0, None, "at least"),
        (-5, "gzip", "cannot be -5 bytes long|at least"),
        (100, "zstd", "at least"),
        (10, "lz4", "cannot be 10 bytes long|at least"),
        (16, "xz", "cannot be 16 bytes long|at least"),
        (100, "bzip2", "at least"),
        ((1 << 40) + 4, None, "the limit"),
        (1000, "rar", "'rar' is not a compression"),
    ],
)
def test_initrd_that_cannot_be_is_refused(tmp_path: Path, size: int, compress: str | None, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        make_initrd(tmp_path / "initrd", size, compress)
    assert list(tmp_path.iterdir()) == []


def test_old_file_stays_whole_until_the_new_one_is(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    path.write_bytes(b"old")
    with pytest.raises(HostError, match="do not fit"):
        write_sparse(path, 1000, [(0, b"new"), (999, b"too much")])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_but_a_file_is_overwritten(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists and is not a file"):
        make_initrd(tmp_path, 1000)
    with pytest.raises(UsageError, match="exists and is not a file"):
        make_initrd("/dev/null", 1000)
    with pytest.raises(HostError, match="no such file or directory"):
        make_initrd(tmp_path / "missing" / "initrd", 1000)


def test_archive_inside_is_a_whole_cpio(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    make_initrd(path, 4096)
    entries = list(cpio_entries(ByteSource(path.read_bytes()), 0))
    assert [entry.name for entry in entries] == [b"README", b"filler-0000", b"TRAILER!!!"]
