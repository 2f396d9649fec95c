"""What the decompressors of a Linux kernel's EFI stub promise to their callers, one contract for each function.

A contract looks at a call's registers and memory. Where they are exactly those of a call that unpacks the kernel, it
says what the function would do: which bytes it would unpack to where, what it would return and store besides.
Anything else is not such a call.

Source: the functions' own documentation: include/linux/{zstd,xz,lz4,decompress/generic}.h; lib/decompress_unlz4.c
for the chunks of lz4; System V ABI AMD64 3.2.3 for the registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.formats.compression import LZ4_LEGACY_BLOCK_SIZE, LZ4_LEGACY_MAGIC, LZ4_LEGACY_PACKED_LIMIT, Codec
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

_U32: Final = 0xFFFFFFFF
_WORD: Final = 4
_OUTPUT_LENGTH_SIZE: Final = 4
_XZ_STREAM_END: Final = 1
_XZ_BUF: Final = ("in", "in_pos", "in_size", "out", "out_pos", "out_size")
_POINTER: Final = 8


@dataclass(frozen=True, slots=True)
class Payload:
    """A packed kernel in guest memory.

    Attributes:
        start: Its address.
        size: Its bytes, with the word after it that says what it unpacks to.
        output_len: That word.
        codec: Its compression.
    """

    start: int
    size: int
    output_len: int
    codec: Codec

    @property
    def stream_size(self) -> int:
        """Bytes of the compressed stream: the word follows it, or is gzip's own last one."""
        return self.size if self.codec.name == "gzip" else self.size - _OUTPUT_LENGTH_SIZE

    @property
    def sizes(self) -> tuple[int, int]:
        """What a caller may say of its size: with that word or without."""
        return self.stream_size, self.size


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has just arrived at its function.

    Attributes:
        register: Returns a register's value by its name.
        ram: Guest memory.
        payload: The packed kernel.
    """

    register: Callable[[str], int]
    ram: GuestRam
    payload: Payload


@dataclass(frozen=True, slots=True)
class Work:
    """The work that a call requests.

    Attributes:
        start: First packed byte that the host unpacks.
        end: End of what it must use up.
        target: Where the unpacked bytes go.
        offset: Their place in the unpacked kernel.
        size: How many there must be.
        answer: What the function returns.
        stores: Addresses of 64-bit words and what the function puts there.
    """

    start: int
    end: int
    target: int
    offset: int
    size: int
    answer: int
    stores: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """A function of a decompressor.

    Attributes:
        function: Its name in the kernel's sources.
        formats: Compressions that it unpacks; None for all.
        work: Says what a call asks for, or None where it is not a call that unpacks the kernel.
    """

    function: str
    formats: frozenset[str] | None
    work: Callable[[Call], Work | None]


def _whole(payload: Payload, target: int, answer: int, stores: tuple[tuple[int, int], ...] = ()) -> Work:
    end = payload.start + payload.stream_size
    return Work(
        start=payload.start, end=end, target=target, offset=0, size=payload.output_len, answer=answer, stores=stores
    )


def _zstd(call: Call) -> Work | None:
    """``size_t zstd_decompress_dctx(dctx, dst, dst_capacity, src, src_size)``: returns the unpacked size."""
    register, payload = call.register, call.payload
    if register("RCX") != payload.start or register("R8") != payload.stream_size:
        return None
    if register("RDX") < payload.output_len or not call.ram.accessible(register("RDI"), _POINTER):
        return None
    return _whole(payload, register("RSI"), payload.output_len)


def _xz(call: Call) -> Work | None:
    """``enum xz_ret xz_dec_run(struct xz_dec *s, struct xz_buf *b)``: moves both positions, returns XZ_STREAM_END."""
    payload, ram, buffer = call.payload, call.ram, call.register("RSI")
    if not ram.accessible(buffer, _POINTER * len(_XZ_BUF)) or not ram.accessible(call.register("RDI"), _POINTER):
        return None
    at = {name: buffer + _POINTER * index for index, name in enumerate(_XZ_BUF)}
    field = {name: ram.u64(address) for name, address in at.items()}
    if field["in"] != payload.start or field["in_size"] not in payload.sizes or field["out_size"] < payload.output_len:
        return None
    if field["in_pos"] or field["out_pos"]:
        return None
    stores = ((at["in_pos"], payload.stream_size), (at["out_pos"], payload.output_len))
    return _whole(payload, field["out"], _XZ_STREAM_END, stores)


def _lz4(call: Call) -> Work | None:
    """``int LZ4_decompress_fast(source, dest, originalSize)``, once for each chunk: returns the packed bytes."""
    register, payload = call.register, call.payload
    source = register("RDI")
    if not payload.start < source < payload.start + payload.size:
        return None
    for at, packed, offset in _lz4_chunks(call.ram, payload):
        if at == source:
            size = min(LZ4_LEGACY_BLOCK_SIZE, payload.output_len - offset)
            if register("RDX") & _U32 != size:
                return None
            # The host unpacks from two words further ahead, where the format's or the chunk's before has its end.
            return Work(
                start=at - 2 * _WORD, end=at + packed, target=register("RSI"), offset=offset, size=size, answer=packed
            )
    return None


def _lz4_chunks(ram: GuestRam, payload: Payload) -> Iterator[tuple[int, int, int]]:
    """Address, packed size and place in the unpacked kernel of each chunk, which follows its size."""
    if ram.u32(payload.start) != LZ4_LEGACY_MAGIC:
        return
    at, end, offset = payload.start + _WORD, payload.start + payload.stream_size, 0
    while at + _WORD < end and offset < payload.output_len:
        packed = ram.u32(at)
        at += _WORD
        if not 0 < packed <= min(LZ4_LEGACY_PACKED_LIMIT, end - at):
            return
        yield at, packed, offset
        at += packed
        offset += LZ4_LEGACY_BLOCK_SIZE


def _decompress(call: Call) -> Work | None:
    """``int __decompress(buf, len, fill, flush, out_buf, out_len, pos, error)``, not in pieces: returns 0."""
    register, payload = call.register, call.payload
    if register("RDI") != payload.start or register("RSI") not in payload.sizes or register("R9") < payload.output_len:
        return None
    if register("RDX") or register("RCX") or call.ram.u64(register("RSP") + _POINTER):
        return None
    return _whole(payload, register("R8"), 0)


CONTRACTS: Final = (
    Contract("__decompress", None, _decompress),
    Contract("zstd_decompress_dctx", frozenset(("zstd",)), _zstd),
    Contract("xz_dec_run", frozenset(("xz",)), _xz),
    Contract("LZ4_decompress_fast", frozenset(("lz4",)), _lz4),
)
"""The whole decompressor first: where the compiler has put it into its caller, the call of its library is there."""
