"""Measurement registers and TDREPORT, field by field, as the TDX module's ABI lays it out."""

from __future__ import annotations

import hashlib

import pytest

from tdvfsh.engine.tdx.report import Measurements, is_own_report

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


def test_the_caller_s_data_is_in_it_and_the_processor_s_version_says_that_there_is_none() -> None:
    data = report()
    assert data[16:32] == b"tdvfsh: not real"
    assert data[128:192] == DATA
    assert data[192:224] == bytes(32)


def test_the_mac_holds_until_a_byte_of_it_or_of_what_it_covers_changes() -> None:
    data = report()
    assert data[224:256] != bytes(32)
    assert is_own_report(data)
    for at in (0, 16, 40, 100, 128, 191, 223, 224, 255, 256, 494, 512, 700, 1023):
        changed = bytearray(data)
        changed[at] ^= 1
        assert not is_own_report(bytes(changed)), at
    assert not is_own_report(data[:-1])
    assert not is_own_report(bytes(1024))


def test_mrtd_is_asked_for_when_a_report_is_made() -> None:
    measurements = Measurements(0)
    measurements.build = lambda: b"\x42" * 48
    assert report(measurements)[512 + 16 : 512 + 64] == b"\x42" * 48


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
