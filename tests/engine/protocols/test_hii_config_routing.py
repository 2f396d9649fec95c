"""EFI_HII_CONFIG_ROUTING_PROTOCOL, and a driver that a program brings."""

from __future__ import annotations

import pytest

from tdvfsh.uefi.device_path import DevicePath, PciRoot
from tdvfsh.uefi.guids import (
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_HII_CONFIG_ACCESS_PROTOCOL_GUID,
    EFI_HII_CONFIG_ROUTING_PROTOCOL_GUID,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.assembler import Program
from tests.engine.client import Client

EXTRACT, EXPORT, ROUTE, BLOCK_TO_CONFIG, CONFIG_TO_BLOCK, GET_ALT = range(6)
INVALID, NOT_FOUND = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_NOT_FOUND
PATH = DevicePath((PciRoot(7),)).pack()
HEADER = f"GUID={'ab' * 16}&NAME=0041&PATH={PATH.hex()}"
REQUEST = f"{HEADER}&OFFSET=0&WIDTH=1"
ANSWER = f"{REQUEST}&VALUE=5a"


class Routing:
    """The protocol, and a driver of a program."""

    def __init__(self, client: Client) -> None:
        self.client, self.ram = client, client.ram
        self.address = client.protocol(EFI_HII_CONFIG_ROUTING_PROTOCOL_GUID)
        self.progress, self.results, self.heard = (client.put(bytes(8)) for _ in range(3))

    def call(self, function: int, *arguments: int) -> int:
        return self.client.member(self.address, function, self.address, *arguments)

    def answered(self) -> str:
        """The text that came back, which the caller frees."""
        address = self.ram.u64(self.results)
        text = self.ram.utf16(address)
        assert self.client.boot("FreePool", address) == SUCCESS
        return text

    def reached(self, text: int) -> int:
        return (self.ram.u64(self.progress) - text) // 2

    def bring_driver(self, status: int = SUCCESS, reached: int = 0) -> None:
        """A driver that says ANSWER once, notes what it is called with, and comes ``reached`` characters far."""
        data = (ANSWER + "\0").encode("utf-16-le")
        assert self.client.boot("AllocatePool", 4, len(data), self.results) == SUCCESS
        answer = self.ram.u64(self.results)
        self.ram.write(answer, data)
        note = Program(prologue=False).mov("rax", self.heard).raw("488910")  # mov [rax], rdx
        note.raw("488D82" + (2 * reached).to_bytes(4, "little").hex()).raw(
            "498900"
        )  # lea rax, [rdx + …]; mov [r8], rax
        route = self.client.put(note.mov("rax", status).raw("C3").code())
        note = Program(prologue=False).raw("488D82" + (2 * reached).to_bytes(4, "little").hex()).raw("498900")
        extract = self.client.put(note.mov("rax", answer).raw("498901").mov("rax", status).raw("C3").code())
        access = self.client.put(extract.to_bytes(8, "little") + route.to_bytes(8, "little"))
        handle = self.client.put(bytes(8))
        for guid, interface in (
            (EFI_DEVICE_PATH_PROTOCOL_GUID, self.client.put(PATH)), (EFI_HII_CONFIG_ACCESS_PROTOCOL_GUID, access),
        ):  # fmt: skip
            assert self.client.boot("InstallProtocolInterface", handle, self.client.guid(guid), 0, interface) == SUCCESS


@pytest.fixture
def routing(client: Client) -> Routing:
    return Routing(client)


def test_a_request_goes_to_the_driver_at_its_path_and_the_answer_is_the_caller_s(routing: Routing) -> None:
    routing.bring_driver(reached=len(REQUEST))
    request = routing.client.text(REQUEST)
    assert routing.call(EXTRACT, request, routing.progress, routing.results) == SUCCESS
    assert routing.answered() == ANSWER
    assert routing.reached(request) == len(REQUEST)


def test_an_error_of_the_driver_comes_back_with_its_place(routing: Routing) -> None:
    routing.bring_driver(int(INVALID), reached=len(HEADER))
    request = routing.client.text(REQUEST)
    assert routing.call(EXTRACT, request, routing.progress, routing.results) == INVALID
    assert routing.reached(request) == len(HEADER)
    assert routing.ram.u64(routing.results) == 0


@pytest.mark.parametrize(
    ("text", "status", "reached"),
    [
        (REQUEST.replace("PATH=", "PATH=ffff"), NOT_FOUND, 0),
        (HEADER + "&a=b", INVALID, len(HEADER)),
        ("NAME=", INVALID, 0),
        ("GUID=1&NAME=2", INVALID, 0),
    ],
)
def test_a_request_that_nobody_can_answer_says_why(
    routing: Routing, text: str, status: EfiStatus, reached: int
) -> None:
    routing.bring_driver()
    request = routing.client.text(text)
    assert routing.call(EXTRACT, request, routing.progress, routing.results) == status
    assert routing.reached(request) == reached
    assert routing.call(EXTRACT, 0, routing.progress, routing.results) == INVALID
    assert routing.call(EXTRACT, request, 0, routing.results) == INVALID


def test_all_that_drivers_say_is_exported_where_there_is_one(routing: Routing) -> None:
    assert routing.call(EXPORT, routing.results) == NOT_FOUND
    routing.bring_driver()
    assert routing.call(EXPORT, routing.results) == SUCCESS
    assert routing.answered() == ANSWER
    assert routing.call(EXPORT, 0) == INVALID


def test_a_configuration_is_routed_to_its_driver(routing: Routing) -> None:
    configuration = routing.client.text(ANSWER)
    assert routing.call(ROUTE, configuration, routing.progress) == NOT_FOUND
    routing.bring_driver(reached=len(ANSWER))
    assert routing.call(ROUTE, configuration, routing.progress) == SUCCESS
    assert routing.reached(configuration) == len(ANSWER)
    assert routing.ram.u64(routing.heard) != 0
    assert routing.call(ROUTE, 0, routing.progress) == INVALID


def test_a_block_becomes_a_string_and_a_string_a_block(routing: Routing) -> None:
    block = routing.client.put(bytes(range(6)))
    request = routing.client.text(f"{HEADER}&OFFSET=3&WIDTH=1&OFFSET=0&WIDTH=2")
    assert routing.call(BLOCK_TO_CONFIG, request, block, 6, routing.results, routing.progress) == SUCCESS
    assert routing.answered() == f"{HEADER}&OFFSET=3&WIDTH=1&VALUE=03&OFFSET=0&WIDTH=2&VALUE=0100"
    size = routing.client.put((6).to_bytes(8, "little"))
    answer = routing.client.text(f"{HEADER}&OFFSET=3&WIDTH=1&VALUE=7&OFFSET=0&WIDTH=2&VALUE=aa55")
    assert routing.call(CONFIG_TO_BLOCK, answer, block, size, routing.progress) == SUCCESS
    assert routing.ram.read(block, 6) == bytes([0x55, 0xAA, 2, 7, 4, 5])
    assert routing.ram.u64(size) == 3
    assert routing.call(CONFIG_TO_BLOCK, answer, block, size, routing.progress) == EfiStatus.EFI_BUFFER_TOO_SMALL
    assert routing.ram.u64(size) == 4
    assert routing.call(CONFIG_TO_BLOCK, answer, 0, size, routing.progress) == INVALID
    assert routing.call(BLOCK_TO_CONFIG, request, 0, 6, routing.results, routing.progress) == INVALID


def test_an_alternative_is_chosen_by_number_and_path(routing: Routing) -> None:
    text = routing.client.text(f"{ANSWER}&{HEADER}&ALTCFG=0001&OFFSET=0&WIDTH=1&VALUE=77")
    number, path = routing.client.put(b"\x01\0"), routing.client.put(PATH)
    assert routing.call(GET_ALT, text, 0, 0, path, number, routing.results) == SUCCESS
    assert routing.answered() == f"{HEADER}&OFFSET=0&WIDTH=1&VALUE=77"
    assert routing.call(GET_ALT, text, 0, 0, 0, 0, routing.results) == SUCCESS
    assert routing.answered() == ANSWER
    assert routing.call(GET_ALT, 0, 0, 0, 0, 0, routing.results) == INVALID
