"""Kernels whose stubs are a few instructions that call a decompressor, which is none: it leaves a mark instead.

What the real function leaves, its mark and an answer of its own, tells it from the host that takes its place.
"""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import lz4.block
import zstandard

from tdvfsh.formats.linux_layout import SETUP_HEADER, SETUP_HEADER_OFFSET
from tdvfsh.formats.pe.parse import PeImage, parse_pe
from tdvfsh.images.make import make_kernel
from tdvfsh.images.make_kernel import PAYLOAD_OFFSET, SETUP_SIZE
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import MIB, PAGE_SIZE
from tests.engine.assembler import Program

PAYLOAD: Final = SETUP_SIZE + PAYLOAD_OFFSET
CHUNK: Final = 8 * MIB
MARK: Final = 0x5A
OWN_ANSWER: Final = 0x77
BUFFER: Final = 0x40  # on the stack: where AllocatePages put the buffer's address
STRUCTURE: Final = 0x80
_KERNEL_BYTES: Final = MIB


class Stub(Program):
    """A program that stands at ``entry`` of an image and can refer to its payload.

    Args:
        entry: Its offset in the image.
        size: Bytes of the buffer that it allocates for the kernel.
    """

    def __init__(self, entry: int, size: int) -> None:
        super().__init__()
        self._entry = entry
        self._size = size
        self._answers = 0
        self.mov("rcx", 0).mov("rdx", EfiMemoryType.EfiLoaderCode).mov("r8", size // PAGE_SIZE)
        self.address("r9", "rsp", BUFFER).boot("AllocatePages").jump_if_error("end")

    def payload(self, register: str, offset: int = 0) -> Self:
        """Address of the payload, or of a byte in it, into a register."""
        name = f"payload {offset}"
        self._labels[name] = PAYLOAD + offset - self._entry
        return self.lea(register, name)

    def call(self) -> Self:
        """Call the decompressor, and keep its answer at the buffer's end, the last one first."""
        self.raw("E8")._to("function")
        return self.keep("rax")

    def keep(self, register: str) -> Self:
        """Keep a register at the buffer's end."""
        self._answers += 1
        return self.load("r11", "rsp", BUFFER).store("r11", self._size - 8 * self._answers, register)

    def finish(self, code: str) -> bytes:
        """The whole code, with what the decompressor really does."""
        return self.label("end").ret(EfiStatus.EFI_LOAD_ERROR).label("function").raw(code).code()


def leaves_a_mark(register: str) -> str:
    """What the decompressor really does: a byte to where ``register`` points, and an answer of its own."""
    store = {"rsi": "C606", "r8": "41C600"}[register]
    return f"{store}{MARK:02X} B8{OWN_ANSWER:02X}000000 C3"


def write_kernel(
    path: Path, packed: bytes, output_len: int, init_size: int, program: Callable[[Stub], bytes], size: int = 0
) -> Path:
    """A kernel with a payload and a stub of our own."""
    make_kernel(path, size or _KERNEL_BYTES, init_size, output_len=output_len, unaccepted_memory=False)
    data = bytearray(path.read_bytes())
    headers = parse_pe(bytes(data))
    assert isinstance(headers, PeImage)
    entry = headers.address_of_entry_point
    data[PAYLOAD : PAYLOAD + len(packed)] = packed
    header = SETUP_HEADER.read(data, SETUP_HEADER_OFFSET)
    header.payload_length = len(packed)
    built = SETUP_HEADER.build(**vars(header))
    data[SETUP_HEADER_OFFSET : SETUP_HEADER_OFFSET + len(built)] = built
    code = program(Stub(entry, init_size))
    data[entry : entry + len(code)] = code
    path.write_bytes(data)
    return path


def contents(size: int) -> bytes:
    """What the kernels unpack to."""
    return (b"\x7fELF" + bytes(range(1, 253)))[:256] * (size // 256)


def with_length(packed: bytes, size: int) -> bytes:
    """A payload as the kernel's build makes it: the unpacked size after the stream."""
    return packed + size.to_bytes(4, "little")


def zstd_payload(data: bytes) -> bytes:
    """As Debian's kernels are packed."""
    return with_length(zstandard.ZstdCompressor(level=3).compress(data), len(data))


def xz_payload(data: bytes) -> bytes:
    """With the filter and the check that the kernel's build asks for."""
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 1}]
    return with_length(lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters), len(data))


def gzip_payload(data: bytes) -> bytes:
    """Whose own last word is the length."""
    return gzip.compress(data, 1, mtime=0)


def lz4_chunks(data: bytes) -> list[bytes]:
    """The packed chunks of the legacy format."""
    return [lz4.block.compress(data[at : at + CHUNK], store_size=False) for at in range(0, len(data), CHUNK)]


def lz4_payload(chunks: list[bytes], size: int) -> bytes:
    """The legacy format."""
    packed = b"".join(len(chunk).to_bytes(4, "little") + chunk for chunk in chunks)
    return with_length(b"\x02\x21\x4c\x18" + packed, size)
