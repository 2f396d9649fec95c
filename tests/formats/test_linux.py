"""Kernels: the setup header of every protocol version, and what follows from it for an EFI loader."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tdvfsh.errors import FormatError
from tdvfsh.formats.elf import ELF64_HEADER, ELF64_PROGRAM_HEADER, load_span
from tdvfsh.formats.linux import (
    IN_PLACE_MESSAGE,
    IN_STUB_MESSAGE,
    LinuxKernel,
    StubGeneration,
    parse_bzimage,
)
from tdvfsh.formats.linux_layout import SETUP_HEADER, SETUP_HEADER_OFFSET, SETUP_HEADER_SIZE
from tdvfsh.formats.mapped import CHUNK_SIZE
from tdvfsh.images.make import make_kernel
from tdvfsh.uefi.guids import LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID
from tdvfsh.units import MIB


@pytest.fixture(scope="module")
def kernel_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("kernel") / "kernel"
    make_kernel(path, 0x40000, 0x500000, output_len=0x3F0123)
    return path.read_bytes()


def parse(data: bytes) -> LinuxKernel:
    return parse_bzimage(data, "kernel")


def changed(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


def test_layout_ends_where_protocol_2_15_ends() -> None:
    assert SETUP_HEADER.size == SETUP_HEADER_SIZE == 0x26C - SETUP_HEADER_OFFSET


def test_fields_stand_at_the_offsets_of_the_boot_protocol() -> None:
    places = {
        "setup_sects": (0x1F1, 1), "syssize": (0x1F4, 4), "boot_flag": (0x1FE, 2), "jump": (0x200, 2),
        "header": (0x202, 4), "version": (0x206, 2), "kernel_version": (0x20E, 2), "type_of_loader": (0x210, 1),
        "loadflags": (0x211, 1), "code32_start": (0x214, 4), "ramdisk_image": (0x218, 4), "ramdisk_size": (0x21C, 4),
        "heap_end_ptr": (0x224, 2), "cmd_line_ptr": (0x228, 4), "initrd_addr_max": (0x22C, 4),
        "kernel_alignment": (0x230, 4), "relocatable_kernel": (0x234, 1), "min_alignment": (0x235, 1),
        "xloadflags": (0x236, 2), "cmdline_size": (0x238, 4), "hardware_subarch": (0x23C, 4),
        "hardware_subarch_data": (0x240, 8), "payload_offset": (0x248, 4), "payload_length": (0x24C, 4),
        "setup_data": (0x250, 8), "pref_address": (0x258, 8), "init_size": (0x260, 4), "handover_offset": (0x264, 4),
        "kernel_info_offset": (0x268, 4),
    }  # fmt: skip
    for name, (offset, size) in places.items():
        raw = bytearray(SETUP_HEADER_SIZE)
        raw[offset - SETUP_HEADER_OFFSET : offset - SETUP_HEADER_OFFSET + size] = b"\xa5" * size
        assert getattr(SETUP_HEADER.read(raw), name) == int.from_bytes(b"\xa5" * size, "little"), name


def test_modern_kernel_has_all_its_fields(kernel_bytes: bytes) -> None:
    kernel = parse(kernel_bytes)
    assert (kernel.version, kernel.protocol, kernel.setup_sects, kernel.setup_size) == (0x20F, "2.15", 39, 0x5000)
    assert (kernel.init_size, kernel.pref_address, kernel.kernel_alignment) == (0x500000, 0x1000000, 0x200000)
    assert (kernel.initrd_addr_max, kernel.xloadflags, kernel.cmdline_size) == (0x7FFFFFFF, 0x7F, 2047)
    assert (kernel.payload_format, kernel.output_len) == ("zstd", 0x3F0123)
    assert kernel.kernel_version.startswith("6.12")
    assert kernel.relocatable_kernel
    assert kernel.uses_load_file2
    assert kernel.supports_unaccepted_memory
    assert kernel.stub_generation is StubGeneration.DECOMPRESS


@pytest.mark.parametrize(
    ("version", "absent", "present"),
    [
        (
            0x202,
            {"initrd_addr_max": 0x37FFFFFF, "cmdline_size": 255, "kernel_alignment": 0},
            {"code32_start": 0x100000},
        ),
        (0x203, {"cmdline_size": 255}, {"initrd_addr_max": 0x7FFFFFFF}),
        (0x205, {"cmdline_size": 255, "payload_length": 0}, {"kernel_alignment": 0x200000}),
        (0x207, {"payload_offset": 0, "payload_length": 0, "setup_data": 0}, {"cmdline_size": 2047}),
        (0x209, {"init_size": 0, "pref_address": 0, "min_alignment": 0}, {"payload_offset": 0x2CC}),
        (0x20A, {"handover_offset": 0, "xloadflags": 0}, {"init_size": 0x500000, "min_alignment": 21}),
        (0x20B, {"xloadflags": 0}, {}),
        (0x20C, {"kernel_info_offset": 0}, {"xloadflags": 0x7F}),
    ],
)
def test_fields_younger_than_the_protocol_are_not_believed(
    kernel_bytes: bytes, version: int, absent: dict[str, int], present: dict[str, int]
) -> None:
    kernel = parse(changed(kernel_bytes, 0x206, version.to_bytes(2, "little")))
    assert {name: getattr(kernel, name) for name in absent} == absent
    assert {name: getattr(kernel, name) for name in present} == present


def test_kernel_older_than_payload_fields_has_no_payload(kernel_bytes: bytes) -> None:
    kernel = parse(changed(kernel_bytes, 0x206, b"\x07\x02"))
    assert (kernel.payload_format, kernel.output_len, kernel.kernel_buffer_size) == (None, None, None)


def test_setup_sects_zero_means_four(kernel_bytes: bytes) -> None:
    kernel = parse(changed(changed(kernel_bytes, 0x1F1, b"\0"), 0x24C, bytes(4)))
    assert (kernel.setup_sects, kernel.setup_size) == (0, 5 * 512)


def test_buffer_is_the_unpacked_size_in_units_of_2_mib(kernel_bytes: bytes) -> None:
    kernel = parse(kernel_bytes)
    assert kernel.kernel_buffer_size == 4 * MIB  # and not the 6 MiB that init_size would round to
    assert kernel.kernel_total_size == 0x3F0123  # looked at because init_size rounds to more


def test_buffer_covers_what_the_kernel_spans_where_that_is_more(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    make_kernel(path, 0x40000, 0x900000, output_len=0x10000)
    data = path.read_bytes()
    offset = 0x5000 + 0x2CC
    header = data.index(b"\x7fELF", offset)
    memsz = header + ELF64_HEADER.size + 40
    kernel = parse(changed(data, memsz, struct.pack("<Q", 0x800001)))
    assert kernel.kernel_total_size == 0x800001
    assert kernel.kernel_buffer_size == 10 * MIB


def test_span_is_not_looked_at_where_it_cannot_matter(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    make_kernel(path, 0x40000, 0x400000, output_len=0x3F0000)
    kernel = parse(path.read_bytes())
    assert (kernel.kernel_total_size, kernel.kernel_buffer_size) == (None, 4 * MIB)


def test_payload_that_cannot_be_unpacked_still_has_its_length(kernel_bytes: bytes) -> None:
    frame = 0x5000 + 0x2CC
    kernel = parse(changed(kernel_bytes, frame + 10, b"\xff\xff\xff"))
    assert (kernel.output_len, kernel.kernel_total_size, kernel.kernel_buffer_size) == (0x3F0123, None, 4 * MIB)


def test_guid_in_two_constants_of_the_code_counts(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    make_kernel(path, 0x40000, 0x400000, unaccepted_memory=False)
    data = path.read_bytes()
    assert not parse(data).supports_unaccepted_memory
    raw = LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID.bytes_le
    stub = 0x3E800
    code = b"\x48\xb9" + raw[:8] + b"\x49\xb8" + raw[8:]
    assert parse(changed(data, stub, code)).supports_unaccepted_memory
    assert parse(changed(data, stub, b"\x48\xbe" + raw[8:] + b"\x48\xbf" + raw[:8])).supports_unaccepted_memory
    assert not parse(changed(data, stub, raw[:8])).supports_unaccepted_memory
    assert not parse(changed(data, 0x8000, raw)).supports_unaccepted_memory  # that is inside the payload


@pytest.mark.parametrize("before_border", [0, 1, 11, 20, 30])
def test_tell_tales_across_two_pieces_of_a_large_stub_count(tmp_path: Path, before_border: int) -> None:
    path = tmp_path / "kernel"
    make_kernel(path, 0x40000, 0x400000, unaccepted_memory=False, stub_generation=StubGeneration.NONE)
    data = path.read_bytes()
    kernel = parse(data)
    raw = LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID.bytes_le
    behind_payload = kernel.setup_size + kernel.payload_offset + kernel.payload_length
    at = behind_payload + CHUNK_SIZE - before_border
    large = data.ljust(at + 4 * CHUNK_SIZE, b"\0")
    assert not parse(large).supports_unaccepted_memory
    assert parse(changed(large, at, raw[8:] + b"\x48\xbf\x90" + raw[:8])).supports_unaccepted_memory
    assert parse(changed(large, at, IN_STUB_MESSAGE)).stub_generation is StubGeneration.DECOMPRESS
    assert parse(changed(large, at, IN_PLACE_MESSAGE)).stub_generation is StubGeneration.IN_PLACE
    both = changed(changed(large, at, IN_PLACE_MESSAGE), at + 2 * CHUNK_SIZE, IN_STUB_MESSAGE)
    assert parse(both).stub_generation is StubGeneration.DECOMPRESS


@pytest.mark.parametrize("generation", list(StubGeneration))
def test_stub_generation_is_told_from_its_messages(tmp_path: Path, generation: StubGeneration) -> None:
    path = tmp_path / "kernel"
    make_kernel(path, 0x40000, 0x400000, stub_generation=generation, major_image_version=0)
    kernel = parse(path.read_bytes())
    assert kernel.stub_generation is generation
    assert not kernel.uses_load_file2


def test_kernel_without_pe_header_has_no_stub(kernel_bytes: bytes) -> None:
    kernel = parse(changed(kernel_bytes, 0, b"\xea\x05"))
    assert (kernel.size_of_image, kernel.stub_generation) == (None, StubGeneration.NONE)
    assert not kernel.supports_unaccepted_memory


def test_version_text_with_escape_sequences_comes_out_harmless(kernel_bytes: bytes) -> None:
    assert parse(changed(kernel_bytes, 0x4300, b"\x1b]0;x\x07\0")).kernel_version == r"\x1b]0;x\x07"


@pytest.mark.parametrize(
    ("offset", "new", "why"),
    [
        (0x1FE, b"\0\0", "not a Linux kernel"),
        (0x202, b"HdrX", "not a Linux kernel"),
        (0x24C, b"\xff\xff\xff\x7f", "payload"),
        (0x248, b"\xff\xff\xff\xff", "payload"),
    ],
)
def test_what_is_no_whole_kernel_is_refused(kernel_bytes: bytes, offset: int, new: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        parse(changed(kernel_bytes, offset, new))


@pytest.mark.parametrize("size", [0, 1, 0x1FF, 0x205, 0x207, 0x26B, 0x4FFF, 0x20000])
def test_truncated_kernel_is_refused(kernel_bytes: bytes, size: int) -> None:
    with pytest.raises(FormatError):
        parse(kernel_bytes[:size])


def elf(*segments: tuple[int, int, int]) -> bytes:
    header = ELF64_HEADER.pack(b"\x7fELF\x02\x01\x01", 2, 62, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    return header + b"".join(
        ELF64_PROGRAM_HEADER.pack(kind, 0, 0, 0, paddr, 0, memsz, 0) for kind, paddr, memsz in segments
    )


def test_span_goes_from_the_lowest_to_the_highest_loaded_segment() -> None:
    assert load_span(elf((1, 0x2000000, 0x100), (1, 0x1000000, 0x200), (4, 0, 0x9000000))) == 0x1000100


@pytest.mark.parametrize("data", [b"", b"\x7fELF", elf((4, 0, 9)), elf((1, 0, 9))[:-1], b"x" + elf((1, 0, 9))[1:]])
def test_what_is_no_elf_has_no_span(data: bytes) -> None:
    assert load_span(data) is None
