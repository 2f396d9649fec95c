"""Measurement registers and TDREPORT, field by field, as the TDX module's ABI lays it out."""

from __future__ import annotations

import hashlib

import pytest

from tdvfsh.engine.tdx.report import Measurements

DATA = bytes(range(64))
ATTRIBUTES = 1 << 28


def report(measurements: Measurements | None = None) -> bytes:
    return (measurements or Measurements(ATTRIBUTES)).report(DATA)


def test_a_report_has_1024_bytes_three_parts_and_the_type_of_a_td() -> None:
    data = report()
    assert len(data) == 1024
    assert data[:4] == b"\x81\0\0\0"
    assert data[4:16] == bytes(12)
    assert data[256:512] == bytes(256)  # TEE_TCB_INFO: no such TCB
    assert data[512 + 448 + 48 :] == bytes(16)


def test_the_caller_s_data_is_in_it_and_the_mac_is_not() -> None:
    data = report()
    assert data[128:192] == DATA
    assert data[192:224] == bytes(32)
    assert data[224:256] == bytes(32)


def test_hashes_are_over_what_the_report_shows() -> None:
    data = report()
    assert data[32:80] == hashlib.sha384(data[256:495]).digest()
    assert data[80:128] == hashlib.sha384(data[512:]).digest()


def test_attributes_and_registers_stand_in_td_info() -> None:
    measurements = Measurements(ATTRIBUTES)
    for index in range(4):
        measurements.extend(index, bytes([index + 1]) * 48)
    info = report(measurements)[512:]
    assert int.from_bytes(info[:8], "little") == ATTRIBUTES
    assert int.from_bytes(info[8:16], "little") & 3 == 3  # x87 and SSE are always there
    assert info[16:208] == bytes(192)  # MRTD, MRCONFIGID, MROWNER, MROWNERCONFIG
    assert [info[208 + 48 * index :][:48] for index in range(4)] == measurements.rtmrs
    assert len(set(measurements.rtmrs)) == 4


@pytest.mark.parametrize("index", range(4))
def test_extending_is_sha_384_of_the_register_and_the_digest(index: int) -> None:
    measurements = Measurements(0)
    first, second = b"\x11" * 48, b"\x22" * 48
    measurements.extend(index, first)
    measurements.extend(index, second)
    once = hashlib.new("sha384", bytes(48) + first).digest()
    assert measurements.rtmrs[index] == hashlib.new("sha384", once + second).digest()
    assert [each for at, each in enumerate(measurements.rtmrs) if at != index] == [bytes(48)] * 3


def test_the_hash_changes_with_every_register() -> None:
    hashes = {report()[80:128]}
    for index in range(4):
        measurements = Measurements(ATTRIBUTES)
        measurements.extend(index, bytes(48))
        hashes.add(report(measurements)[80:128])
    assert len(hashes) == 5
