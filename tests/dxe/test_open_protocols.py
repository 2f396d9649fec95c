"""Who has opened what, and drivers that are asked, started and stopped."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.dxe.handles import HandleDatabase
from tdvfsh.dxe.open_protocols import (
    EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER,
    EFI_OPEN_PROTOCOL_BY_DRIVER,
    EFI_OPEN_PROTOCOL_BY_HANDLE_PROTOCOL,
    OpenProtocolInformation,
)
from tdvfsh.machine.snapshot import same
from tdvfsh.uefi.guids import (
    EFI_BLOCK_IO_PROTOCOL_GUID,
    EFI_DISK_IO_PROTOCOL_GUID,
    EFI_DRIVER_BINDING_PROTOCOL_GUID,
    Guid,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.dxe.machines import plain_machine

BLOCK, DISK = EFI_BLOCK_IO_PROTOCOL_GUID, EFI_DISK_IO_PROTOCOL_GUID
DRIVER, CHILD, PASSING = (
    EFI_OPEN_PROTOCOL_BY_DRIVER, EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER, EFI_OPEN_PROTOCOL_BY_HANDLE_PROTOCOL,
)  # fmt: skip


def new(handles: HandleDatabase, *protocols: Guid) -> int:
    """A handle with protocols."""
    handle: int | None = None
    for protocol in protocols:
        handle = handles.install_protocol_interface(handle, protocol, object()).handle
    assert handle is not None
    return handle


def test_an_opening_counts_and_ends_when_it_is_closed() -> None:
    opens = HandleDatabase().opens
    for _ in range(2):
        opens.open(1, BLOCK, 2, 3, DRIVER)
    opens.open(1, BLOCK, 2, 3, PASSING)
    assert opens.of(1, BLOCK) == [
        OpenProtocolInformation(2, 3, DRIVER, 2), OpenProtocolInformation(2, 3, PASSING, 1),
    ]  # fmt: skip
    assert not opens.close(1, BLOCK, 2, 4)
    assert opens.close(1, BLOCK, 2, 3)
    assert opens.of(1, BLOCK) == []


def test_openings_end_with_the_interface_and_with_the_agent() -> None:
    handles = HandleDatabase()
    device, agent = new(handles, BLOCK, DISK), new(handles, EFI_DRIVER_BINDING_PROTOCOL_GUID)
    for protocol in (BLOCK, DISK):
        handles.opens.open(device, protocol, agent, device, DRIVER)
    handles.uninstall_protocol_interface(device, BLOCK)
    assert handles.opens.of(device, BLOCK) == []
    assert handles.opens.drivers_of(device) == [agent]
    handles.uninstall_protocol_interface(agent, EFI_DRIVER_BINDING_PROTOCOL_GUID)
    assert handles.opens.drivers_of(device) == []


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from([BLOCK, DISK]), st.integers(1, 3), st.booleans())))
def test_a_copy_has_the_openings_of_its_moment(steps: list[tuple[int, Guid, int, bool]]) -> None:
    handles = HandleDatabase()
    for handle, protocol, agent, opening in steps:
        twin = handles.copy()
        assert same(twin, handles)
        before = twin.opens.items()
        if opening:
            handles.opens.open(handle, protocol, agent, 0, PASSING)
        changed = opening or handles.opens.close(handle, protocol, agent, 0)
        assert same(twin, handles) is not changed
        assert twin.opens.items() == before


class Driver:
    """A driver that manages what it is started on."""

    def __init__(self, handles: HandleDatabase, version: int, calls: list[str], children: bool = False) -> None:
        self.version = version
        self._handles = handles
        self._calls = calls
        self.children = [new(handles, DISK)] if children else []
        self.handle = handles.install_protocol_interface(None, EFI_DRIVER_BINDING_PROTOCOL_GUID, self).handle or 0
        self.image_handle = self.handle

    def supported(self, controller: int, remaining: int) -> EfiStatus:
        managed = bool(self._handles.opens.drivers_of(controller))
        return EfiStatus.EFI_UNSUPPORTED if managed or controller in self.children else SUCCESS

    def start(self, controller: int, remaining: int) -> EfiStatus:
        self._calls.append(f"start {self.version}")
        self._handles.opens.open(controller, BLOCK, self.handle, controller, DRIVER)
        for child in self.children:
            self._handles.opens.open(controller, BLOCK, self.handle, child, CHILD)
        return SUCCESS

    def stop(self, controller: int, children: Sequence[int]) -> EfiStatus:
        self._calls.append(f"stop {self.version} {len(children)}")
        for child in children or [controller]:
            self._handles.opens.close(controller, BLOCK, self.handle, child)
        return SUCCESS


def test_the_highest_version_starts_and_its_children_are_stopped_before_it() -> None:
    services = plain_machine()
    handles, calls = services.handles, list[str]()
    services.drivers.binding_of = lambda interface: interface if isinstance(interface, Driver) else None
    device = new(handles, BLOCK)
    low, high = Driver(handles, 1, calls), Driver(handles, 2, calls, children=True)
    assert services.drivers.connect(device, recursive=True) is SUCCESS
    assert calls == ["start 2", "start 1"]
    assert handles.opens.children_of(device, high.handle) == high.children
    assert services.drivers.disconnect(device, low.handle) is EfiStatus.EFI_NOT_FOUND
    assert services.drivers.disconnect(device, device) is EfiStatus.EFI_INVALID_PARAMETER
    assert services.drivers.disconnect(device) is SUCCESS
    assert calls[2:] == ["stop 2 1", "stop 2 0"]
    assert services.drivers.connect(device, [low.handle]) is SUCCESS
    assert calls[4:] == ["start 1"]
    assert services.drivers.release(device, BLOCK)
    assert calls[5:] == ["stop 1 0"]


def test_without_anybody_who_runs_them_no_driver_starts() -> None:
    services = plain_machine()
    device = new(services.handles, BLOCK)
    Driver(services.handles, 1, [])
    assert services.drivers.connect(device) is EfiStatus.EFI_NOT_FOUND
    assert services.drivers.connect(device, end_of_path=True) is SUCCESS
    assert services.drivers.connect(77) is EfiStatus.EFI_INVALID_PARAMETER
    assert services.drivers.disconnect(device) is SUCCESS
    assert services.drivers.disconnect(device, child=77) is EfiStatus.EFI_INVALID_PARAMETER
