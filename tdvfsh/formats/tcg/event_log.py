"""A measurement log in the TCG's crypto-agile format: a TPM's, or the CCEL of a TD.

The first event is in the old format of SHA-1 logs and says which digests the others have. A TD's log has one, SHA-384;
its register numbers count MRTD as 0 and RTMR0 to RTMR3 as 1 to 4. The log lies in an area of fixed size, whose rest is
filled with ones or zeros.

Source: TCG PC Client Platform Firmware Profile 1.06, 10.2 and 10.4.5; UEFI 2.10 38.4 (register numbers of a TD); ACPI
6.5 5.2.34 (CCEL).
"""

from __future__ import annotations

from tdvfsh.errors import FormatError
from tdvfsh.formats.header import U8, U16, U32, Header, octets
from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.tcg.event_types import TcgEventType, event_type_name
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

SPEC_ID_SIGNATURE: Final = b"Spec ID Event03\0"
SHA384: Final = 0x000C
FIRST_EVENT: Final = Header(mr_index=U32, event_type=U32, digest=octets(20), event_size=U32)
SPEC_ID: Final = Header(
    signature=octets(16),
    platform_class=U32,
    version_minor=U8,
    version_major=U8,
    errata=U8,
    uintn_size=U8,
    number_of_algorithms=U32,
)
ALGORITHM: Final = Header(algorithm=U16, digest_size=U16)
EVENT: Final = Header(mr_index=U32, event_type=U32, digest_count=U32)
MOST: Final = 16 << 20
"""Bytes of a log at most; firmware reserves 64 KiB to 256 KiB."""

_NAMES: Final = {0x0004: "SHA-1", 0x000B: "SHA-256", SHA384: "SHA-384", 0x000D: "SHA-512", 0x0012: "SM3-256"}
_SIZES: Final = {0x0004: 20, 0x000B: 32, SHA384: 48, 0x000D: 64, 0x0012: 32}
_MOST_ALGORITHMS: Final = 8
_FILL: Final = (0xFF, 0x00)
_OLD_SIGNATURES: Final = (b"Spec ID Event00\0", b"Spec ID Event02\0")


@dataclass(frozen=True, slots=True)
class TcgEvent:
    """An event.

    Attributes:
        number: Its place in the log, from 1; the first event of the file, which describes the log, is 0.
        offset: Where it begins in the file.
        mr_index: The register that it extends, as the log counts.
        event_type: Its type; one of :class:`TcgEventType`, or a number that has no name.
        digests: Algorithm identifier and digest, in the order of the log.
        data: What the log keeps of it.
    """

    number: int
    offset: int
    mr_index: int
    event_type: int
    digests: tuple[tuple[int, bytes], ...]
    data: bytes

    @property
    def type_name(self) -> str:
        """The type's name, or its number."""
        return event_type_name(self.event_type)

    @property
    def rtmr(self) -> int | None:
        """Number of the RTMR that it extends in a TD; None for one that extends none."""
        known = 1 <= self.mr_index <= 4 and self.event_type != TcgEventType.EV_NO_ACTION
        return self.mr_index - 1 if known else None

    @property
    def sha384(self) -> bytes | None:
        """Its SHA-384 digest, None where it has none."""
        return next((digest for algorithm, digest in self.digests if algorithm == SHA384), None)


@dataclass(frozen=True, slots=True)
class TcgEventLog:
    """A log.

    Attributes:
        path: The file.
        algorithms: Identifiers of the digest algorithms.
        events: The events that follow the first one.
        size: Bytes of the log, without what fills its area.
        area: Bytes of the area.
    """

    path: str
    algorithms: tuple[int, ...]
    events: tuple[TcgEvent, ...]
    size: int
    area: int

    @property
    def algorithm_names(self) -> list[str]:
        """The algorithms' names, or numbers."""
        return [_NAMES.get(each, f"{each:#x}") for each in self.algorithms]


def is_event_log(view: Buffer | ByteSource) -> bool:
    """Whether a file begins as a log in this format does."""
    return ByteSource(view).peek(FIRST_EVENT.size, len(SPEC_ID_SIGNATURE)) == SPEC_ID_SIGNATURE


def parse_event_log(view: Buffer | ByteSource, path: str) -> TcgEventLog:
    """Read a log.

    Raises:
        FormatError: It is not one, is cut off, or has a length that leads outside of it; the message says where.
    """
    source = ByteSource(view, path)
    if source.size > MOST:
        raise FormatError(path, f"an event log of {source.size:,} bytes, more than {MOST:,}")
    reader = _Reader(source)
    sizes = _read_spec_id(reader)
    events: list[TcgEvent] = []
    while not reader.only_fill():
        events.append(_read_event(reader, len(events) + 1, sizes))
    return TcgEventLog(path, tuple(sizes), tuple(events), reader.at, source.size)


class _Reader:
    """The log's bytes in order; nothing is read past their end."""

    def __init__(self, source: ByteSource) -> None:
        self.path = source.path
        self.data = source.peek(0, source.size)
        self.at = 0
        self._filled_from = len(self.data)
        for byte in _FILL:
            end = len(self.data.rstrip(bytes((byte,))))
            self._filled_from = min(self._filled_from, end)

    def fields(self, declaration: Header, what: str) -> object:
        """The fields of a header."""
        return declaration.read(self.take(declaration.size, what))

    def take(self, size: int, what: str) -> bytes:
        """The next ``size`` bytes."""
        if size > len(self.data) - self.at:
            left = len(self.data) - self.at
            raise FormatError(self.path, f"{what} has {size:,} bytes, but the log ends after {left:,}", self.at)
        self.at += size
        return self.data[self.at - size : self.at]

    def only_fill(self) -> bool:
        """Whether nothing but one byte repeated follows, and no event could begin with it."""
        return self.at >= self._filled_from


def _read_spec_id(reader: _Reader) -> dict[int, int]:
    """Digest sizes by algorithm, from the first event."""
    path = reader.path
    if len(reader.data) < FIRST_EVENT.size + SPEC_ID.size:
        raise FormatError(path, "not an event log: too short")
    first = FIRST_EVENT.read(reader.take(FIRST_EVENT.size, "the first event"))
    signature = reader.data[reader.at : reader.at + len(SPEC_ID_SIGNATURE)]
    if signature in _OLD_SIGNATURES:
        raise FormatError(path, "an event log of SHA-1 digests only, not in the crypto-agile format of a TD's")
    if first.event_type != TcgEventType.EV_NO_ACTION or signature != SPEC_ID_SIGNATURE:
        raise FormatError(path, "not an event log: it does not begin with 'Spec ID Event03'")
    end = reader.at + first.event_size
    fixed = SPEC_ID.read(reader.take(SPEC_ID.size, "the log's description"))
    if not 1 <= fixed.number_of_algorithms <= _MOST_ALGORITHMS:
        raise FormatError(path, f"an event log with {fixed.number_of_algorithms:,} digest algorithms")
    sizes: dict[int, int] = {}
    for _ in range(fixed.number_of_algorithms):
        entry = ALGORITHM.read(reader.take(ALGORITHM.size, "a digest algorithm"))
        if entry.digest_size != _SIZES.get(entry.algorithm, entry.digest_size) or not 0 < entry.digest_size <= 64:
            what = _NAMES.get(entry.algorithm, f"{entry.algorithm:#x}")
            raise FormatError(path, f"digests of {what} with {entry.digest_size} bytes", reader.at)
        sizes[entry.algorithm] = entry.digest_size
    reader.take(reader.take(1, "the size of the vendor's information")[0], "the vendor's information")
    if reader.at != end:
        raise FormatError(path, f"the log's description has {first.event_size:,} bytes, which do not fit it", 28)
    return sizes


def _read_event(reader: _Reader, number: int, sizes: dict[int, int]) -> TcgEvent:
    offset = reader.at
    what = f"event {number}"
    fields = EVENT.read(reader.take(EVENT.size, what))
    if fields.digest_count > len(sizes):
        why = f"{what} has {fields.digest_count:,} digests, in a log of {len(sizes)}"
        raise FormatError(reader.path, why, offset)
    digests = []
    for _ in range(fields.digest_count):
        algorithm = int.from_bytes(reader.take(2, f"a digest of {what}"), "little")
        if algorithm not in sizes:
            raise FormatError(reader.path, f"{what} has a digest of algorithm {algorithm:#x}, not the log's", offset)
        digests.append((algorithm, reader.take(sizes[algorithm], f"a digest of {what}")))
    size = int.from_bytes(reader.take(4, f"the size of {what}"), "little")
    data = reader.take(size, f"the data of {what}")
    return TcgEvent(number, offset, fields.mr_index, fields.event_type, digests=tuple(digests), data=data)
