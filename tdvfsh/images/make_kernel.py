"""Synthetic kernels: every size a loader looks at is as asked, and the rest is as in a modern Debian kernel.

A made kernel is a valid bzImage and PE image with a real Zstandard payload of the asked unpacked size. It does not
run: its EFI entry returns EFI_UNSUPPORTED.

Source: the layout of Debian's kernels 6.12 and 7.2; Linux arch/x86/boot/header.S; RFC 8878.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from tdvfsh.errors import UsageError
from tdvfsh.formats import linux_layout as boot
from tdvfsh.formats.elf import ELF64_HEADER, ELF64_PROGRAM_HEADER, ELF_MAGIC, PT_LOAD
from tdvfsh.formats.linux import IN_PLACE_MESSAGE, IN_STUB_MESSAGE, StubGeneration
from tdvfsh.formats.pe import layout as pe
from tdvfsh.images.pe_headers import DIRECTORIES, FILE_ALIGNMENT, PE_OFFSET, MadeSection, pe_headers
from tdvfsh.images.sparse_file import write_sparse
from tdvfsh.images.stored import ZSTD_BLOCK_SIZE, zstd_block_header, zstd_frame_header
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import MIB, PAGE_SIZE, align_down, align_up, format_size

MIN_KERNEL_SIZE: Final = 0x8000
MAX_KERNEL_SIZE: Final = 0x7FFFF000
PREF_ADDRESS: Final = 0x1000000
SETUP_SECTS: Final = 39
SETUP_SIZE: Final = (SETUP_SECTS + 1) * boot.SECTOR_SIZE
PAYLOAD_OFFSET: Final = 0x2CC
NEWEST_PROTOCOL: Final = 0x20F
_MAX_U32: Final = 0xFFFFFFFF
_VERSION_POINTER: Final = 0x4300 - boot.SECTOR_SIZE
_LINUX_PE_MAGIC: Final = 0x818223CD
_CERTIFICATE: Final = struct.Struct("<IHH")
_KERNEL_INFO: Final = struct.Struct("<4sIII")
_ELF_HEAD_SIZE: Final = ELF64_HEADER.size + ELF64_PROGRAM_HEADER.size
_KERNEL_INFO_IN_STUB: Final = 0x100
_MESSAGES_IN_STUB: Final = 0x200
_ENTRY_IN_STUB: Final = 0x400
_RELEASE: Final = b"6.12.0-tdvfsh (made image, does not run)\0"


def make_kernel(
    path: str | Path,
    size: int,
    init_size: int,
    size_of_image: int | None = None,
    output_len: int | None = None,
    protocol: int = NEWEST_PROTOCOL,
    unaccepted_memory: bool = True,
    stub_generation: StubGeneration = StubGeneration.DECOMPRESS,
    major_image_version: int = 3,
) -> None:
    """Write a kernel image whose sizes are exactly as asked; the same arguments always produce the same bytes.

    Args:
        path: The file to write; most of it is a hole.
        size: Bytes of the file.
        init_size: Bytes the boot protocol says the kernel needs to start.
        size_of_image: Bytes firmware allocates for it (a multiple of 4096); by default as much above the file's size
            as in Debian's 6.12.
        output_len: Bytes its payload unpacks to, which decide the stub's buffer; by default 1 MiB below init_size.
        protocol: Boot protocol version, 0x200 to 0x20F.
        unaccepted_memory: Whether its stub knows the unaccepted-memory table.
        stub_generation: How its stub places the kernel.
        major_image_version: 1 or more where the stub takes its initrd by LoadFile2.

    Raises:
        UsageError: No kernel can have these sizes; says what the limits are.
        HostError: The file cannot be written.
    """
    if size_of_image is None:
        size_of_image = align_up(size, PAGE_SIZE) + 0x66000
    if output_len is None:
        output_len = max(init_size - MIB, init_size // 2)
    _check("size", size, MIN_KERNEL_SIZE, MAX_KERNEL_SIZE)
    _check("size of image", size_of_image, MIN_KERNEL_SIZE, align_down(_MAX_U32, PAGE_SIZE))
    _check("init size", init_size, PAGE_SIZE, _MAX_U32)
    _check("output length", output_len, _ELF_HEAD_SIZE, init_size)
    _check("boot protocol", protocol, 0x200, NEWEST_PROTOCOL)
    if size_of_image % PAGE_SIZE:
        raise UsageError(f"a kernel's size of image must be a multiple of 4096, not {size_of_image:#x}")
    raw_end = align_down(min(size, size_of_image), FILE_ALIGNMENT)
    data_start = align_down(raw_end - 1, PAGE_SIZE)
    stub_start = data_start - PAGE_SIZE
    payload = list(_payload(SETUP_SIZE + PAYLOAD_OFFSET, stub_start, output_len))
    payload_end = payload[-1][0] + len(payload[-1][1])
    header = boot.SETUP_HEADER.build(
        **_setup_header(protocol, init_size, raw_end, stub_start, payload_end - SETUP_SIZE - PAYLOAD_OFFSET)
    )
    pieces = [
        (0, pe.DOS_HEADER.build(e_magic=pe.IMAGE_DOS_SIGNATURE, e_lfanew=PE_OFFSET)),
        (0x38, _LINUX_PE_MAGIC.to_bytes(4, "little")),
        (PE_OFFSET, _pe_headers(size, size_of_image, raw_end, data_start, stub_start, major_image_version)),
        (boot.SETUP_HEADER_OFFSET, header),
        (_VERSION_POINTER + boot.SECTOR_SIZE, _RELEASE),
        *payload,
        *_stub(stub_start, unaccepted_memory, stub_generation),
    ]
    if size - raw_end >= _CERTIFICATE.size:
        pieces.append((raw_end, _CERTIFICATE.pack(size - raw_end, 0x200, 2)))
    write_sparse(path, size, pieces)


def _check(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(f"a kernel's {what} must be from {low:#x} to {high:#x}, not {value:#x}")


def _payload(start: int, end: int, output_len: int) -> Iterator[tuple[int, bytes]]:
    """A Zstandard frame that unpacks to ``output_len`` bytes and fills ``[start, end)`` as far as possible.

    It begins with an ELF header; zeros follow, stored raw as far as there is room (they stay a hole of the file) and
    as run-length blocks beyond. The output length follows it, as the kernel's build appends it.
    """
    frame_header = zstd_frame_header(output_len)
    room = end - start - len(frame_header) - 4 - (3 + _ELF_HEAD_SIZE)
    rest = output_len - _ELF_HEAD_SIZE
    runs_needed = -(-rest // ZSTD_BLOCK_SIZE)
    if room < 4 * runs_needed:
        raise UsageError(
            f"a kernel of this size holds a payload of at most {format_size(max(room, 0) // 4 * ZSTD_BLOCK_SIZE)}, "
            f"not {output_len:#x} bytes"
        )
    yield start, frame_header
    position = start + len(frame_header)
    yield position, zstd_block_header(0, _ELF_HEAD_SIZE, last=rest == 0) + _elf_head(output_len)
    position += 3 + _ELF_HEAD_SIZE
    while rest:
        block = min(rest, ZSTD_BLOCK_SIZE)
        left_after = rest - block
        raw_leaves = room - 3 - block
        if raw_leaves >= 4 * -(-left_after // ZSTD_BLOCK_SIZE):
            yield position, zstd_block_header(0, block, last=left_after == 0)
            used = 3 + block
        else:
            yield position, zstd_block_header(1, block, last=left_after == 0) + b"\0"
            used = 4
        position += used
        room -= used
        rest = left_after
    yield position, output_len.to_bytes(4, "little")


def _elf_head(span: int) -> bytes:
    identity = ELF_MAGIC + b"\x02\x01\x01"
    header = ELF64_HEADER.pack(
        identity,
        2,
        62,
        1,
        PREF_ADDRESS,
        ELF64_HEADER.size,
        0,
        0,
        ELF64_HEADER.size,
        ELF64_PROGRAM_HEADER.size,
        1,
        0,
        0,
        0,
    )
    segment = ELF64_PROGRAM_HEADER.pack(PT_LOAD, 7, 0, PREF_ADDRESS, PREF_ADDRESS, span, span, 0x200000)
    return header + segment


def _setup_header(protocol: int, init_size: int, raw_end: int, stub_start: int, payload_length: int) -> dict[str, int]:
    fields = {
        "root_flags": 1,
        "setup_sects": SETUP_SECTS,
        "syssize": (raw_end - SETUP_SIZE) // 16,
        "ram_size": 0,
        "vid_mode": 0xFFFF,
        "root_dev": 0,
        "boot_flag": boot.BOOT_FLAG,
        "jump": 0x6AEB,
        "header": boot.HEADER_MAGIC,
        "version": protocol,
        "realmode_swtch": 0,
        "start_sys_seg": 0x1000,
        "kernel_version": _VERSION_POINTER,
        "type_of_loader": 0,
        "loadflags": boot.LOADED_HIGH,
        "setup_move_size": 0x8000,
        "code32_start": 0x100000,
        "ramdisk_image": 0,
        "ramdisk_size": 0,
        "bootsect_kludge": 0,
        "heap_end_ptr": 0x5C20,
        "ext_loader_ver": 0,
        "ext_loader_type": 0,
        "cmd_line_ptr": 0,
        "initrd_addr_max": 0x7FFFFFFF,
        "kernel_alignment": 0x200000,
        "relocatable_kernel": 1,
        "min_alignment": 21,
        "xloadflags": 0x7F,
        "cmdline_size": 2047,
        "hardware_subarch": 0,
        "hardware_subarch_data": 0,
        "payload_offset": PAYLOAD_OFFSET,
        "payload_length": payload_length,
        "setup_data": 0,
        "pref_address": PREF_ADDRESS,
        "init_size": init_size,
        "handover_offset": stub_start + _ENTRY_IN_STUB - SETUP_SIZE - 0x200,
        "kernel_info_offset": stub_start + _KERNEL_INFO_IN_STUB - SETUP_SIZE,
    }
    return {name: value if protocol >= boot.FIELD_VERSIONS.get(name, 0) else 0 for name, value in fields.items()}


def _pe_headers(
    size: int, size_of_image: int, raw_end: int, data_start: int, stub_start: int, major_image_version: int
) -> bytes:
    in_text, in_data = data_start - SETUP_SIZE, size_of_image - data_start
    sections = (
        MadeSection(b".setup", 0x1000, 0x3000, 0x3000, 0x1000, characteristics=0x42000040),
        MadeSection(b".compat", 0x4000, 0x1000, 0x1000, 0x4000, characteristics=0x42000040),
        MadeSection(b".text", SETUP_SIZE, in_text, in_text, SETUP_SIZE, characteristics=0x60000020),
        MadeSection(b".data", data_start, in_data, raw_end - data_start, data_start, characteristics=0xC0000040),
    )
    directories = [(0, 0)] * DIRECTORIES
    if size - raw_end >= _CERTIFICATE.size:
        directories[4] = (raw_end, size - raw_end)
    return pe_headers(
        sections,
        0x206,
        symbols=1,
        directories=directories,
        major_linker_version=2,
        minor_linker_version=20,
        size_of_code=in_text,
        size_of_initialized_data=in_data,
        address_of_entry_point=stub_start + _ENTRY_IN_STUB,
        base_of_code=SETUP_SIZE,
        major_image_version=major_image_version,
        size_of_image=size_of_image,
        size_of_headers=PAGE_SIZE,
        dll_characteristics=0x100,
    )


def _stub(start: int, unaccepted_memory: bool, generation: StubGeneration) -> Iterator[tuple[int, bytes]]:
    yield start + _KERNEL_INFO_IN_STUB, _KERNEL_INFO.pack(b"LToP", 16, 16, 0x80000009)
    messages = {StubGeneration.DECOMPRESS: IN_STUB_MESSAGE, StubGeneration.IN_PLACE: IN_PLACE_MESSAGE}
    yield start + _MESSAGES_IN_STUB, b"EFI stub: \0" + messages.get(generation, b"") + b"\0"
    # mov rax, EFI_UNSUPPORTED; ret
    code = b"\x48\xb8" + EfiStatus.EFI_UNSUPPORTED.value.to_bytes(8, "little") + b"\xc3"
    yield start + _ENTRY_IN_STUB, code
    if unaccepted_memory:
        yield start + _ENTRY_IN_STUB + 0x100, LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID.bytes_le
