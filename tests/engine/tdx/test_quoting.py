"""GetQuote: the buffer's header, what is refused, and a quote of the report in it."""

from __future__ import annotations

import struct

import pytest

from tdvfsh.engine.tdx.quoting import QuotingService
from tdvfsh.engine.tdx.report import Measurements
from tdvfsh.measure.quote import QuoteSigner

SHARED = 1 << 47
BUFFER = SHARED | 0x10000
SIZE = 0x4000
INVALID = 1 << 63
SIGNER = QuoteSigner(b"\1" * 64, lambda data: b"\2" * 64, lambda data: b"\3" * 64, b"chain")


class Memory:
    """128 KiB of shared memory."""

    def __init__(self) -> None:
        self.data = bytearray(0x20000)

    def read(self, address: int, size: int) -> bytes | None:
        address &= ~SHARED
        return bytes(self.data[address : address + size]) if address + size <= len(self.data) else None

    def write(self, address: int, data: bytes) -> bool:
        address &= ~SHARED
        if address + len(data) > len(self.data):
            return False
        self.data[address : address + len(data)] = data
        return True


def asked(report: bytes, version: int = 1, length: int = 1024) -> tuple[Memory, QuotingService]:
    memory = Memory()
    memory.write(BUFFER, struct.pack("<QQII", version, 0xFFFFFFFFFFFFFFFF, length, 0) + report)
    return memory, QuotingService(memory, SHARED, SIGNER)


def header(memory: Memory) -> tuple[int, ...]:
    return struct.unpack_from("<QQII", memory.data, BUFFER & ~SHARED)


def report() -> bytes:
    return Measurements(0).report(bytes(64))


def test_the_quote_takes_the_report_s_place() -> None:
    memory, service = asked(report())
    assert service.get_quote(BUFFER, SIZE) == 0
    (quote,) = service.quotes
    assert header(memory) == (1, 0, 1024, len(quote))
    assert memory.data[0x10000 + 24 :][: len(quote)] == quote
    assert quote[48 + 584 - 64 - 4 * 48 :][: 4 * 48] == bytes(4 * 48)


@pytest.mark.parametrize(
    ("made", "version", "length", "size"),
    [
        (report()[:-1] + b"\1", 1, 1024, SIZE),
        (bytes(1024), 1, 1024, SIZE),
        (report(), 2, 1024, SIZE),
        (report(), 1, 1023, SIZE),
        (report(), 1, 0xFFFFFFFF, SIZE),
    ],
)
def test_what_is_no_report_of_this_td_is_an_error_in_the_header(
    made: bytes, version: int, length: int, size: int
) -> None:
    memory, service = asked(made, version, length)
    assert service.get_quote(BUFFER, size) == 0
    assert header(memory) == (version, 1 << 63, length, 0)
    assert service.quotes == []


def test_a_quote_that_does_not_fit_is_an_error_in_the_header() -> None:
    memory, _ = asked(report())
    long = QuoteSigner(SIGNER.attestation_key, SIGNER.sign, SIGNER.sign_report, bytes(SIZE))
    assert QuotingService(memory, SHARED, long).get_quote(BUFFER, SIZE) == 0
    assert header(memory)[1:] == (1 << 63, 1024, 0)


@pytest.mark.parametrize(
    ("address", "size"),
    [
        (BUFFER & ~SHARED, SIZE), (BUFFER + 8, SIZE), (BUFFER, 0), (BUFFER, 100), (BUFFER, 1 << 40),
        (SHARED | 1 << 40, SIZE), (SHARED | 0x20000, SIZE),
    ],
)  # fmt: skip
def test_a_buffer_that_is_private_crooked_or_elsewhere_is_refused(address: int, size: int) -> None:
    _, service = asked(report())
    assert service.get_quote(address, size) == INVALID
