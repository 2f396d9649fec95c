"""Linux x86 kernel images (bzImage): the setup header and what an EFI loader needs to know beyond it.

Source: Linux Documentation/arch/x86/boot.rst, arch/x86/boot/header.S, drivers/firmware/efi/libstub/x86-stub.c,
arch/x86/boot/compressed/{vmlinux.lds.S,misc.c}.
"""

from __future__ import annotations

from enum import Enum

from tdvfsh.errors import FormatError
from tdvfsh.formats.compression import codec_at, unpack_head
from tdvfsh.formats.elf import load_span
from tdvfsh.formats.linux_layout import (
    BOOT_FLAG,
    FIELD_VERSIONS,
    HEADER_MAGIC,
    HEADER_MAGIC_OFFSET,
    SECTOR_SIZE,
    SETUP_HEADER,
    SETUP_HEADER_OFFSET,
    SETUP_HEADER_SIZE,
)
from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.pe.parse import PeImage, PeRejection, parse_pe
from tdvfsh.formats.text import printable
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID
from tdvfsh.units import MIB, align_up

KERNEL_BUFFER_ALIGNMENT: Final = 2 * MIB
DEFAULT_SETUP_SECTS: Final = 4
DEFAULT_INITRD_ADDR_MAX: Final = 0x37FFFFFF  # what a loader assumes before protocol 2.03
DEFAULT_CMDLINE_SIZE: Final = 255  # and before 2.06
IN_STUB_MESSAGE: Final = b"Failed to decompress kernel"
IN_PLACE_MESSAGE: Final = b"Failed to allocate usable memory for kernel"
_VERSION_TEXT_LIMIT: Final = 512
_ELF_HEAD_SIZE: Final = 64 + 56 * 64
_GUID_HALVES: Final = (
    LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID.bytes_le[:8],
    LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID.bytes_le[8:],
)
_GUID_REACH: Final = 64
_REACH: Final = 2 * _GUID_REACH + 8  # whatever is looked for is not longer
_STUB_SCAN_LIMIT: Final = 32 * MIB


class StubGeneration(Enum):
    """Method by which an EFI stub moves the kernel to its place.

    The image itself tells: each way has a message for the allocation that can fail, and only the stub that takes that
    way holds it, uncompressed. Seen in Debian's 5.10 (relocates) and in 6.1.176, 6.12, 6.18 and 7.2 (decompress in the
    stub); the change came with 6.6 and was carried back to the long-term branches.
    """

    NONE = "none"
    """No EFI stub at all, or one that says neither: old or built without EFI."""
    IN_PLACE = "in-place"
    """Up to 6.5: stays where LoadImage put it or moves, init_size bytes; decompressed after ExitBootServices."""
    DECOMPRESS = "decompress"
    """6.6 and its backports: decompresses into a buffer of its own before ExitBootServices."""


@dataclass(frozen=True, slots=True)
class LinuxKernel:
    """A bzImage. Names are the boot protocol's; fields younger than ``version`` are 0, or a loader's default.

    Attributes:
        kernel_version: The text that the header points at, empty where it points at none.
        setup_size: Bytes of boot sector and setup code: where the protected-mode part begins in the file.
        payload_format: Compression of the kernel proper, ``elf`` where it is not compressed, None where unknown.
        output_len: Bytes that the payload decompresses to, relocations included; None without a payload.
        kernel_total_size: Bytes that the decompressed kernel spans in memory. Only worked out (by unpacking a few
            KiB) where it could matter for ``kernel_buffer_size``; None otherwise.
        kernel_buffer_size: What a decompressing stub allocates: max(output_len, kernel_total_size) up to 2 MiB.
        supports_unaccepted_memory: The stub knows the unaccepted-memory configuration table.
        stub_generation: How the stub places the kernel.
        uses_load_file2: The stub asks the loader for its initrd (MajorImageVersion 1 or more).
        size_of_image: The PE header's SizeOfImage, None where there is no PE header.
    """

    path: str
    size: int
    setup_sects: int
    root_flags: int
    syssize: int
    vid_mode: int
    root_dev: int
    boot_flag: int
    header: int
    version: int
    kernel_version: str
    type_of_loader: int
    loadflags: int
    setup_move_size: int
    code32_start: int
    ramdisk_image: int
    ramdisk_size: int
    heap_end_ptr: int
    ext_loader_ver: int
    ext_loader_type: int
    cmd_line_ptr: int
    initrd_addr_max: int
    kernel_alignment: int
    relocatable_kernel: bool
    min_alignment: int
    xloadflags: int
    cmdline_size: int
    hardware_subarch: int
    hardware_subarch_data: int
    payload_offset: int
    payload_length: int
    setup_data: int
    pref_address: int
    init_size: int
    handover_offset: int
    kernel_info_offset: int
    setup_size: int
    payload_format: str | None
    output_len: int | None
    kernel_total_size: int | None
    kernel_buffer_size: int | None
    supports_unaccepted_memory: bool
    stub_generation: StubGeneration
    uses_load_file2: bool
    size_of_image: int | None

    @property
    def protocol(self) -> str:
        """The boot protocol's version as documents write it: ``2.15``."""
        return f"{self.version >> 8}.{self.version & 0xFF:02}"


def is_bzimage(view: Buffer | ByteSource) -> bool:
    """Whether a file has the boot flag and a setup header."""
    head = ByteSource(view).peek(0x1FE, 8)
    return head[:2] == BOOT_FLAG.to_bytes(2, "little") and head[4:8] == HEADER_MAGIC.to_bytes(4, "little")


def parse_bzimage(view: Buffer | ByteSource, path: str, verdict: PeImage | PeRejection | None = None) -> LinuxKernel:
    """Read a kernel's setup header and what follows from it.

    Args:
        view: The file.
        path: Its name, for messages.
        verdict: What :func:`~tdvfsh.formats.pe.parse.parse_pe` returned for it, where it was asked already.

    Raises:
        FormatError: Not a bzImage, or truncated.
    """
    source = ByteSource(view, path)
    if not is_bzimage(source):
        raise FormatError(path, "not a Linux kernel: boot flag or 'HdrS' is missing", HEADER_MAGIC_OFFSET)
    head = source.peek(SETUP_HEADER_OFFSET, SETUP_HEADER_SIZE)
    fields = _fields(path, head)
    setup_size = ((fields["setup_sects"] or DEFAULT_SETUP_SECTS) + 1) * SECTOR_SIZE
    if setup_size > source.size:
        raise FormatError(path, f"the kernel's setup code ({setup_size} bytes) is cut short", source.size)
    payload = _payload(source, setup_size, fields["payload_offset"], fields["payload_length"])
    if verdict is None:
        verdict = parse_pe(source)
    pe = verdict if isinstance(verdict, PeImage) else None
    stub = _scan_stub(source, payload) if pe else _StubFacts(False, StubGeneration.NONE)
    total_size, buffer_size = _kernel_buffer(payload, fields["init_size"], source)
    return LinuxKernel(
        path=path,
        size=source.size,
        setup_sects=fields["setup_sects"],
        root_flags=fields["root_flags"],
        syssize=fields["syssize"],
        vid_mode=fields["vid_mode"],
        root_dev=fields["root_dev"],
        boot_flag=fields["boot_flag"],
        header=fields["header"],
        version=fields["version"],
        kernel_version=_version_text(source, fields["kernel_version"], setup_size),
        type_of_loader=fields["type_of_loader"],
        loadflags=fields["loadflags"],
        setup_move_size=fields["setup_move_size"],
        code32_start=fields["code32_start"],
        ramdisk_image=fields["ramdisk_image"],
        ramdisk_size=fields["ramdisk_size"],
        heap_end_ptr=fields["heap_end_ptr"],
        ext_loader_ver=fields["ext_loader_ver"],
        ext_loader_type=fields["ext_loader_type"],
        cmd_line_ptr=fields["cmd_line_ptr"],
        initrd_addr_max=fields["initrd_addr_max"],
        kernel_alignment=fields["kernel_alignment"],
        relocatable_kernel=fields["relocatable_kernel"] != 0,
        min_alignment=fields["min_alignment"],
        xloadflags=fields["xloadflags"],
        cmdline_size=fields["cmdline_size"],
        hardware_subarch=fields["hardware_subarch"],
        hardware_subarch_data=fields["hardware_subarch_data"],
        payload_offset=fields["payload_offset"],
        payload_length=fields["payload_length"],
        setup_data=fields["setup_data"],
        pref_address=fields["pref_address"],
        init_size=fields["init_size"],
        handover_offset=fields["handover_offset"],
        kernel_info_offset=fields["kernel_info_offset"],
        setup_size=setup_size,
        payload_format=payload.format if payload else None,
        output_len=payload.output_len if payload else None,
        kernel_total_size=total_size,
        kernel_buffer_size=buffer_size,
        supports_unaccepted_memory=stub.unaccepted_memory,
        stub_generation=stub.generation,
        uses_load_file2=pe is not None and pe.major_image_version >= 1,
        size_of_image=pe.size_of_image if pe else None,
    )


def _fields(path: str, head: bytes) -> dict[str, int]:
    """The header's numbers as a loader of that protocol version sees them."""
    if len(head) < HEADER_MAGIC_OFFSET + 6 - SETUP_HEADER_OFFSET:
        raise FormatError(path, "the setup header is cut short", SETUP_HEADER_OFFSET + len(head))
    fields: dict[str, int] = vars(SETUP_HEADER.read(head.ljust(SETUP_HEADER_SIZE, b"\0")))
    for name, since in FIELD_VERSIONS.items():
        if fields["version"] < since:
            fields[name] = 0
    if fields["version"] < FIELD_VERSIONS["initrd_addr_max"]:
        fields["initrd_addr_max"] = DEFAULT_INITRD_ADDR_MAX
    if fields["version"] < FIELD_VERSIONS["cmdline_size"]:
        fields["cmdline_size"] = DEFAULT_CMDLINE_SIZE
    return fields


def _version_text(source: ByteSource, pointer: int, setup_size: int) -> str:
    if pointer == 0 or pointer + SECTOR_SIZE >= setup_size:
        return ""
    raw = source.peek(pointer + SECTOR_SIZE, min(_VERSION_TEXT_LIMIT, setup_size - pointer - SECTOR_SIZE))
    return printable(raw.split(b"\0", 1)[0])


@dataclass(frozen=True, slots=True)
class _Payload:
    offset: int
    size: int
    format: str | None
    output_len: int


def _payload(source: ByteSource, setup_size: int, payload_offset: int, payload_length: int) -> _Payload | None:
    if payload_length == 0:
        return None
    offset = setup_size + payload_offset
    if payload_length < 4 or offset + payload_length > source.size:
        raise FormatError(
            source.path, f"the kernel's payload ({payload_length} bytes at {offset:#x}) is not all there", source.size
        )
    output_len = int.from_bytes(source.read(offset + payload_length - 4, 4), "little")
    codec = codec_at(source, offset)
    if codec is not None:
        return _Payload(offset, payload_length, codec.name, output_len)
    is_elf = source.peek(offset, 4) == b"\x7fELF"
    return _Payload(offset, payload_length, "elf" if is_elf else None, output_len)


def _kernel_buffer(payload: _Payload | None, init_size: int, source: ByteSource) -> tuple[int | None, int | None]:
    """(kernel_total_size where it had to be looked at, kernel_buffer_size).

    The build makes init_size at least as large as what the kernel spans, so where both sizes round to the same number
    of 2 MiB pages the span cannot matter.
    """
    if payload is None:
        return None, None
    needed = align_up(payload.output_len, KERNEL_BUFFER_ALIGNMENT)
    if needed >= align_up(init_size, KERNEL_BUFFER_ALIGNMENT):
        return None, needed
    span = _span(payload, source)
    return span, max(needed, align_up(span or 0, KERNEL_BUFFER_ALIGNMENT))


def _span(payload: _Payload, source: ByteSource) -> int | None:
    """Bytes that the kernel's segments span; None where the payload cannot be read, which a stub finds out later."""
    window = ByteSource(source, source.path, payload.size - 4, payload.offset)
    codec = codec_at(window, 0)
    if codec is None:
        return load_span(window.peek(0, _ELF_HEAD_SIZE))
    try:
        return load_span(unpack_head(window, 0, codec, _ELF_HEAD_SIZE))
    except FormatError:
        return None


@dataclass(frozen=True, slots=True)
class _StubFacts:
    unaccepted_memory: bool
    generation: StubGeneration


def _scan_stub(source: ByteSource, payload: _Payload | None) -> _StubFacts:
    """Look for signs of them in the uncompressed part of the image: after the payload first, where stubs have them."""
    start, end = (payload.offset, payload.offset + payload.size) if payload else (source.size, source.size)
    in_stub = in_place = unaccepted = False
    for low, high in ((end, source.size), (0, start)):
        for data in source.overlapping_chunks(low, min(high, low + _STUB_SCAN_LIMIT), _REACH):
            # From the end: bytes.rfind leaps over what cannot match, which find does not do for such needles.
            in_stub = in_stub or data.rfind(IN_STUB_MESSAGE) >= 0
            in_place = in_place or (not in_stub and data.rfind(IN_PLACE_MESSAGE) >= 0)
            unaccepted = unaccepted or _holds_guid(data)
            if in_stub and unaccepted:
                return _StubFacts(True, StubGeneration.DECOMPRESS)
    decided = StubGeneration.IN_PLACE if in_place else StubGeneration.NONE
    return _StubFacts(unaccepted, StubGeneration.DECOMPRESS if in_stub else decided)


def _holds_guid(data: bytes) -> bool:
    """Whether the table's GUID stands in the data.

    Compilers put it into the code as two constants of 8 bytes, with a few bytes of instruction between them and in
    either order, so the halves are looked for near each other.
    """
    first, second = _GUID_HALVES
    at = len(data)
    while (at := data.rfind(first, 0, at + len(first) - 1)) >= 0:
        if second in data[max(at - _GUID_REACH, 0) : at + len(first) + _GUID_REACH]:
            return True
    return False
