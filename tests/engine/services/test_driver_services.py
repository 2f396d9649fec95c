"""Drivers, protocol notifications and who has opened what: programs' own protocols in the handle database."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest

from tdvfsh.dxe.events import EVT_NOTIFY_SIGNAL, TPL_CALLBACK
from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER as BY_CHILD_CONTROLLER
from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_BY_DRIVER as BY_DRIVER
from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_EXCLUSIVE as EXCLUSIVE
from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_GET_PROTOCOL as GET_PROTOCOL
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.trace.records import AllocatePoolCall
from tdvfsh.uefi.guids import (
    EFI_BUS_SPECIFIC_DRIVER_OVERRIDE_PROTOCOL_GUID,
    EFI_DRIVER_BINDING_PROTOCOL_GUID,
    EFI_DRIVER_FAMILY_OVERRIDE_PROTOCOL_GUID,
    EFI_PLATFORM_DRIVER_OVERRIDE_PROTOCOL_GUID,
    Guid,
)
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.assembler import Program
from tests.engine.programs import Caller, guest

DEVICE = Guid("11111111-2222-3333-4444-555555555555")
NOT_FOUND = EfiStatus.EFI_NOT_FOUND
DENIED = EfiStatus.EFI_ACCESS_DENIED
INTERFACE, OTHER_INTERFACE = 0x1000, 0x2000


class Bench(Caller):
    """Firmware with a device, and drivers whose functions are guest code."""

    def __init__(self, firmware: GuestFirmware) -> None:
        super().__init__(firmware)
        self.device = self.install(0, DEVICE, INTERFACE)

    def install(self, handle: int, protocol: Guid, interface: int) -> int:
        self.firmware.ram.put_u64(self.room, handle)
        assert self.boot("InstallProtocolInterface", self.room, self.guid(protocol), 0, interface) == SUCCESS
        return self.firmware.ram.u64(self.room)

    def driver(self, version: int = 16, supported: int = SUCCESS) -> int:
        """A driver: Supported says ``supported`` but for what it manages already; Start opens the device; Stop closes.

        Each function counts its calls after the interface.
        """
        interface = self.put(bytes(64))
        handle = self.install(0, EFI_DRIVER_BINDING_PROTOCOL_GUID, interface)
        functions = [
            self.function(interface + 48, lambda program: program.mov("rax", supported)),
            self.function(interface + 52, lambda program: self.open_code(program, handle)),
            self.function(interface + 56, lambda program: self.close_code(program, handle)),
        ]
        self.firmware.ram.write(interface, struct.pack("<3QI4xQQ", *functions, version, handle, handle))
        return handle

    def named_by(self, protocol: Guid, handle: int, driver: int) -> None:
        """An override protocol on ``handle`` whose GetDriver() names the image of ``driver`` and then nothing more."""
        code = Program(prologue=False)
        if protocol == EFI_BUS_SPECIFIC_DRIVER_OVERRIDE_PROTOCOL_GUID:
            code.copy("r8", "rdx")
        code.load("rax", "r8").jump_if_error("end").mov("rax", driver).store("r8", 0, "rax").mov("rax", 0).raw("C3")
        function = self.put(code.label("end").mov("rax", NOT_FOUND).raw("C3").code())
        self.install(handle, protocol, self.put(struct.pack("<Q", function)))

    def of_family(self, driver: int, version: int) -> None:
        """EFI_DRIVER_FAMILY_OVERRIDE_PROTOCOL on a driver."""
        function = self.put(Program(prologue=False).mov("rax", 0xABCD00000000 | version).raw("C3").code())
        self.install(driver, EFI_DRIVER_FAMILY_OVERRIDE_PROTOCOL_GUID, self.put(struct.pack("<Q", function)))

    def managing(self, drivers: dict[str, int]) -> str:
        """Name of the driver that a connection of the device starts; it is disconnected again."""
        assert self.boot("ConnectController", self.device, 0, 0, 0) == SUCCESS
        agents = self.firmware.services.handles.opens.drivers_of(self.device)
        assert self.boot("DisconnectController", self.device, 0, 0) == SUCCESS
        return next(name for name, handle in drivers.items() if agents == [handle])

    def counts(self, driver: int) -> tuple[int, int, int]:
        """How often Supported, Start and Stop of a driver were called."""
        binding = self.firmware.services.handles.protocols(driver)[EFI_DRIVER_BINDING_PROTOCOL_GUID]
        address = self.firmware.context.interfaces.address_of(driver, EFI_DRIVER_BINDING_PROTOCOL_GUID, binding)
        assert address is not None
        ram = self.firmware.ram
        return ram.u32(address + 48), ram.u32(address + 52), ram.u32(address + 56)

    def function(self, counter: int, body: Callable[[Program], object]) -> int:
        """Guest code that counts its calls and does ``body``."""
        program = Program(prologue=False).raw("56 57 4883EC48")  # push rsi, rdi; sub rsp, 0x48
        program.copy("rdi", "rdx").mov("rsi", self.firmware.tables.boot_services)
        program.mov("rax", counter).raw("FF00")  # inc dword [rax]
        body(program)
        return self.put(program.raw("4883C448 5F 5E C3").code())

    def open_code(self, program: Program, agent: int) -> None:
        program.copy("rcx", "rdi").mov("rdx", self.guid(DEVICE)).mov("r8", self.room).mov("r9", agent)
        program.stack_argument(4, "rdi").stack_argument(5, BY_DRIVER).boot("OpenProtocol")

    def close_code(self, program: Program, agent: int) -> None:
        program.copy("rcx", "rdi").mov("rdx", self.guid(DEVICE)).mov("r8", agent).copy("r9", "rdi")
        program.boot("CloseProtocol")

    def open(self, agent: int, controller: int, attributes: int, handle: int | None = None) -> int:
        target = self.device if handle is None else handle
        return self.boot("OpenProtocol", target, self.guid(DEVICE), self.room, agent, controller, attributes)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with guest() as (firmware, _):
        yield Bench(firmware)


def test_a_driver_is_asked_started_and_stopped(bench: Bench) -> None:
    driver = bench.driver()
    assert bench.boot("ConnectController", bench.device, 0, 0, 0) == SUCCESS
    assert bench.counts(driver) == (1, 1, 0)
    assert bench.boot("DisconnectController", bench.device, 0, 0) == SUCCESS
    assert bench.counts(driver) == (1, 1, 1)


def test_a_driver_that_does_not_support_a_device_is_not_started(bench: Bench) -> None:
    driver = bench.driver(supported=EfiStatus.EFI_UNSUPPORTED)
    assert bench.boot("ConnectController", bench.device, 0, 0, 0) == NOT_FOUND
    assert bench.counts(driver) == (1, 0, 0)


def test_the_highest_version_is_asked_first_and_the_caller_s_own_driver_before_it(bench: Bench) -> None:
    low, high = bench.driver(1), bench.driver(2)
    assert bench.boot("ConnectController", bench.device, 0, 0, 0) == SUCCESS
    assert bench.boot("DisconnectController", bench.device, high, 0) == SUCCESS  # it was the one that manages
    bench.firmware.ram.write(bench.room + 16, struct.pack("<QQ", low, 0))
    assert bench.boot("ConnectController", bench.device, bench.room + 16, 0, 0) == SUCCESS
    assert bench.boot("DisconnectController", bench.device, high, 0) == NOT_FOUND
    assert bench.boot("DisconnectController", bench.device, low, 0) == SUCCESS


def test_platform_family_and_bus_come_before_the_version_in_this_order(bench: Bench) -> None:
    versions = {"highest": 9, "bus": 1, "family": 3, "better family": 2, "platform": 1, "own": 4}
    drivers = {name: bench.driver(version) for name, version in versions.items()}
    assert bench.managing(drivers) == "highest"
    bench.named_by(EFI_BUS_SPECIFIC_DRIVER_OVERRIDE_PROTOCOL_GUID, bench.device, drivers["bus"])
    assert bench.managing(drivers) == "bus"
    bench.of_family(drivers["family"], 0x10)
    assert bench.managing(drivers) == "family"
    bench.of_family(drivers["better family"], 0x11)
    assert bench.managing(drivers) == "better family"
    bench.named_by(EFI_PLATFORM_DRIVER_OVERRIDE_PROTOCOL_GUID, 0, drivers["platform"])
    assert bench.managing(drivers) == "platform"
    bench.firmware.ram.write(bench.room + 16, struct.pack("<QQ", drivers["own"], 0))
    assert bench.boot("ConnectController", bench.device, bench.room + 16, 0, 0) == SUCCESS
    assert bench.firmware.services.handles.opens.drivers_of(bench.device) == [drivers["own"]]


def test_an_override_that_names_drivers_for_ever_comes_to_an_end(bench: Bench) -> None:
    driver = bench.driver()
    function = bench.put(
        Program(prologue=False).mov("rax", driver).store("rdx", 0, "rax").mov("rax", 0).raw("C3").code()
    )
    bench.install(bench.device, EFI_BUS_SPECIFIC_DRIVER_OVERRIDE_PROTOCOL_GUID, bench.put(struct.pack("<Q", function)))
    assert bench.boot("ConnectController", bench.device, 0, 0, 0) == SUCCESS
    assert bench.counts(driver)[1] == 1


def test_disconnecting_what_nobody_manages_is_no_error(bench: Bench) -> None:
    assert bench.boot("DisconnectController", bench.device, 0, 0) == SUCCESS
    assert bench.boot("DisconnectController", bench.device, bench.device, 0) == EfiStatus.EFI_INVALID_PARAMETER


def test_a_driver_lets_go_of_an_interface_before_it_is_removed(bench: Bench) -> None:
    driver = bench.driver()
    bench.boot("ConnectController", bench.device, 0, 0, 0)
    assert bench.boot("UninstallProtocolInterface", bench.device, bench.guid(DEVICE), INTERFACE) == SUCCESS
    assert bench.counts(driver)[2] == 1


def test_an_interface_that_a_child_needs_cannot_be_removed_and_the_driver_comes_back(bench: Bench) -> None:
    driver = bench.driver()
    child = bench.install(0, EFI_DRIVER_BINDING_PROTOCOL_GUID, 0)
    assert bench.open(driver, child, BY_CHILD_CONTROLLER) == SUCCESS
    assert bench.boot("UninstallProtocolInterface", bench.device, bench.guid(DEVICE), INTERFACE) == DENIED
    assert bench.open(driver, bench.device, BY_DRIVER) == EfiStatus.EFI_ALREADY_STARTED


def test_reinstalling_restarts_the_driver_on_the_new_interface(bench: Bench) -> None:
    driver = bench.driver()
    bench.boot("ConnectController", bench.device, 0, 0, 0)
    guid = bench.guid(DEVICE)
    assert bench.boot("ReinstallProtocolInterface", bench.device, guid, INTERFACE, OTHER_INTERFACE) == SUCCESS
    assert bench.counts(driver) == (2, 2, 1)
    assert bench.boot("HandleProtocol", bench.device, guid, bench.room) == SUCCESS
    assert bench.firmware.ram.u64(bench.room) == OTHER_INTERFACE


def test_opening_exclusively_stops_the_driver_and_keeps_others_out(bench: Bench) -> None:
    driver = bench.driver()
    bench.boot("ConnectController", bench.device, 0, 0, 0)
    assert bench.open(driver, bench.device, BY_DRIVER) == EfiStatus.EFI_ALREADY_STARTED
    agent = bench.install(0, EFI_DRIVER_BINDING_PROTOCOL_GUID, 0)
    assert bench.open(agent, bench.device, BY_DRIVER) == DENIED
    assert bench.open(agent, 0, EXCLUSIVE) == SUCCESS
    assert bench.counts(driver)[2] == 1
    assert bench.open(driver, bench.device, BY_DRIVER) == DENIED
    assert bench.open(driver, bench.device, GET_PROTOCOL) == SUCCESS


def test_open_protocol_information_counts_uses(bench: Bench) -> None:
    agent = bench.install(0, EFI_DRIVER_BINDING_PROTOCOL_GUID, 0)
    for _ in range(3):
        assert bench.open(agent, 0, GET_PROTOCOL) == SUCCESS
    buffer, count = bench.room, bench.room + 8
    assert bench.boot("OpenProtocolInformation", bench.device, bench.guid(DEVICE), buffer, count) == SUCCESS
    ram = bench.firmware.ram
    assert ram.u64(count) == 1
    assert struct.unpack("<QQII", ram.read(ram.u64(buffer), 24)) == (agent, 0, GET_PROTOCOL, 3)


def test_uses_of_an_agent_that_is_gone_are_gone(bench: Bench) -> None:
    agent = bench.install(0, EFI_DRIVER_BINDING_PROTOCOL_GUID, 0)
    assert bench.open(agent, 0, EXCLUSIVE) == SUCCESS
    bench.boot("UninstallProtocolInterface", agent, bench.guid(EFI_DRIVER_BINDING_PROTOCOL_GUID), 0)
    other = bench.install(0, EFI_DRIVER_BINDING_PROTOCOL_GUID, 0)
    assert bench.open(other, 0, EXCLUSIVE) == SUCCESS


def registered(bench: Bench) -> tuple[int, int]:
    """A registration for the device's protocol; returns its key and the event."""
    nothing = bench.put(bytes.fromhex("C3"))
    assert bench.boot("CreateEvent", EVT_NOTIFY_SIGNAL, TPL_CALLBACK, nothing, 0, bench.room) == SUCCESS
    event = bench.firmware.ram.u64(bench.room)
    assert bench.boot("RegisterProtocolNotify", bench.guid(DEVICE), event, bench.room) == SUCCESS
    return bench.firmware.ram.u64(bench.room), event


def locate(bench: Bench, registration: int) -> list[int]:
    """Handles that a registration still has to tell of, each asked for in its turn."""
    found: list[int] = []
    size, buffer = bench.room, bench.room + 8
    while True:
        bench.firmware.ram.put_u64(size, 8)
        if bench.boot("LocateHandle", 1, 0, registration, size, buffer) != SUCCESS:
            return found
        found.append(bench.firmware.ram.u64(buffer))


def test_a_registration_tells_of_new_and_reinstalled_interfaces_one_by_one(bench: Bench) -> None:
    registration, _ = registered(bench)
    assert locate(bench, registration) == []
    first, second = (bench.install(0, DEVICE, number) for number in (1, 2))
    bench.firmware.ram.put_u64(bench.room, 0)  # a buffer that is too small takes nothing away
    assert bench.boot("LocateHandle", 1, 0, registration, bench.room, 0) == EfiStatus.EFI_BUFFER_TOO_SMALL
    assert locate(bench, registration) == [first, second]
    bench.boot("ReinstallProtocolInterface", bench.device, bench.guid(DEVICE), INTERFACE, OTHER_INTERFACE)
    assert locate(bench, registration) == [bench.device]


def test_a_registration_does_not_tell_of_what_is_gone(bench: Bench) -> None:
    registration, _ = registered(bench)
    handle = bench.install(0, DEVICE, 1)
    bench.boot("UninstallProtocolInterface", handle, bench.guid(DEVICE), 1)
    assert locate(bench, registration) == []


def test_closing_the_event_ends_the_registration(bench: Bench) -> None:
    registration, event = registered(bench)
    bench.install(0, DEVICE, 1)
    assert bench.boot("CloseEvent", event) == SUCCESS
    size = bench.room
    assert bench.boot("LocateHandle", 1, 0, registration, size, 0) == EfiStatus.EFI_INVALID_PARAMETER


def test_the_same_device_path_is_not_installed_twice(bench: Bench) -> None:
    path = bench.put(bytes.fromhex("0104140011111111222233334444555555555555 7fff0400"))
    guid = bench.guid(Guid("09576e91-6d3f-11d2-8e39-00a0c969723b"))
    bench.firmware.ram.put_u64(bench.room, 0)
    assert bench.boot("InstallMultipleProtocolInterfaces", bench.room, guid, path, 0) == SUCCESS
    bench.firmware.ram.put_u64(bench.room, 0)
    again = bench.boot("InstallMultipleProtocolInterfaces", bench.room, guid, path, 0)
    assert again == EfiStatus.EFI_ALREADY_STARTED


def test_lists_are_pools_of_firmwares_own_type_and_of_edk2s_sizes_in_the_journal(bench: Bench) -> None:
    """edk2 MdeModulePkg/Core/Dxe/Hand/Handle.c and Locate.c: a pointer each; 24 bytes an opening, and for none, too."""
    buffer, count = bench.room, bench.room + 8
    handles = len(bench.firmware.services.handles.locate_handles())
    driver = bench.driver()
    for call, size in (
        (("LocateHandleBuffer", 0, 0, 0, count, buffer), 8 * (handles + 1)),
        (("LocateHandleBuffer", 2, bench.guid(DEVICE), 0, count, buffer), 8),
        (("ProtocolsPerHandle", bench.device, buffer, count), 8),
        (("OpenProtocolInformation", bench.device, bench.guid(DEVICE), buffer, count), 24),
    ):
        assert bench.boot(*call) == SUCCESS
        record = next(
            each for each in reversed(bench.firmware.services.trace.records) if isinstance(each, AllocatePoolCall)
        )
        assert (record.pool_type, record.size, record.caller) == (EfiMemoryType.EfiBootServicesData, size, "dxe")
        assert record.buffer == bench.firmware.ram.u64(buffer)
        assert bench.boot("FreePool", record.buffer) == SUCCESS
    assert driver
