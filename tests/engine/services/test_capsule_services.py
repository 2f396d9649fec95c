"""Capsules: what a firmware that takes none checks before it says so."""

from __future__ import annotations

import struct

import pytest

from tdvfsh.uefi.guids import EFI_FIRMWARE_MANAGEMENT_CAPSULE_ID_GUID, Guid
from tdvfsh.uefi.status import EfiStatus
from tests.engine.client import OWN, Client

PERSIST, POPULATE, RESET = 0x10000, 0x20000, 0x40000
INVALID, UNSUPPORTED = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_UNSUPPORTED


def capsules(client: Client, *flags: int, guid: Guid = OWN) -> tuple[int, int]:
    headers = [client.put(guid.bytes_le + struct.pack("<III", 28, one, 28)) for one in flags]
    return client.put(struct.pack(f"<{len(headers)}Q", *headers)), len(headers)


@pytest.mark.parametrize("flags", [POPULATE, RESET, POPULATE | RESET])
def test_flags_that_need_a_reset_that_is_not_asked_for_are_invalid(client: Client, flags: int) -> None:
    array, count = capsules(client, PERSIST | POPULATE, flags)
    assert client.runtime("UpdateCapsule", array, count, 0) == INVALID
    assert client.runtime("QueryCapsuleCapabilities", array, count, client.room, client.room + 8) == INVALID


def test_no_capsule_and_nowhere_to_answer_are_invalid(client: Client) -> None:
    array, count = capsules(client, PERSIST)
    assert client.runtime("UpdateCapsule", array, 0, 0) == INVALID
    assert client.runtime("QueryCapsuleCapabilities", array, 0, client.room, client.room + 8) == INVALID
    assert client.runtime("QueryCapsuleCapabilities", array, count, 0, client.room) == INVALID
    assert client.runtime("QueryCapsuleCapabilities", array, count, client.room, 0) == INVALID


def test_a_capsule_that_goes_to_the_system_table_needs_a_list_of_its_blocks(client: Client) -> None:
    array, count = capsules(client, PERSIST | POPULATE)
    assert client.runtime("UpdateCapsule", array, count, 0) == INVALID
    assert client.runtime("UpdateCapsule", array, count, client.room) == UNSUPPORTED
    assert client.runtime("QueryCapsuleCapabilities", array, count, client.room, client.room + 8) == UNSUPPORTED


def test_a_firmware_update_does_not_go_to_the_system_table(client: Client) -> None:
    array, count = capsules(client, PERSIST | POPULATE, guid=EFI_FIRMWARE_MANAGEMENT_CAPSULE_ID_GUID)
    assert client.runtime("UpdateCapsule", array, count, client.room) == INVALID


@pytest.mark.parametrize("flags", [0, PERSIST, PERSIST | RESET])
def test_any_other_capsule_is_unsupported_before_its_blocks_are_looked_at(client: Client, flags: int) -> None:
    array, count = capsules(client, flags)
    assert client.runtime("UpdateCapsule", array, count, 0) == UNSUPPORTED
