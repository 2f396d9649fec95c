"""EFI_DECOMPRESS_PROTOCOL, called as a program would."""

from __future__ import annotations

from tdvfsh.uefi.guids import EFI_DECOMPRESS_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.client import Client
from tests.formats.test_efi_compression import packed

INVALID = EfiStatus.EFI_INVALID_PARAMETER


def test_a_program_asks_for_the_sizes_and_then_for_the_data(client: Client) -> None:
    data = b"some text, some text" * 5
    source = packed(data)
    where, destination = client.put(source), client.put(bytes(len(data)))
    protocol = client.protocol(EFI_DECOMPRESS_PROTOCOL_GUID)
    sizes = client.put(bytes(8))
    assert client.member(protocol, 0, protocol, where, len(source), sizes, sizes + 4) == SUCCESS
    assert client.ram.u32(sizes) == len(data)
    scratch = client.ram.u32(sizes + 4)
    work = client.firmware.context.heap.allocate(scratch)
    arguments = (protocol, where, len(source), destination, len(data), work)
    assert client.member(protocol, 1, *arguments, scratch) == SUCCESS
    assert client.ram.read(destination, len(data)) == data
    assert client.member(protocol, 1, *arguments, scratch - 1) == INVALID
    assert (
        client.member(protocol, 1, protocol, where, len(source), destination, len(data) - 1, work, scratch) == INVALID
    )
    assert client.member(protocol, 0, protocol, where, len(source) - 1, sizes, sizes + 4) == INVALID
    client.ram.write(where + 8, bytes(len(source) - 8))
    assert client.member(protocol, 1, *arguments, scratch) == INVALID


def test_data_that_says_it_unpacks_to_gigabytes_is_refused(client: Client) -> None:
    source = bytearray(packed(b"some text"))
    source[4:8] = (1 << 31).to_bytes(4, "little")
    where, scratch = client.put(bytes(source)), client.firmware.context.heap.allocate(16384)
    protocol = client.protocol(EFI_DECOMPRESS_PROTOCOL_GUID)
    arguments = (protocol, where, len(source), where, 1 << 31, scratch, 16384)
    assert client.member(protocol, 1, *arguments) == INVALID
