from __future__ import annotations

from tdvfsh.dxe.events import EventServices
from tdvfsh.dxe.handles import HandleDatabase
from tdvfsh.uefi.device_path import DevicePath, FilePath, VenHw
from tdvfsh.uefi.guids import (
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_EVENT_GROUP_EXIT_BOOT_SERVICES,
    EFI_EVENT_GROUP_MEMORY_MAP_CHANGE,
    EFI_LOAD_FILE2_PROTOCOL_GUID,
    EFI_LOADED_IMAGE_PROTOCOL_GUID,
)
from tests.dxe.machines import ANY, LOADER_DATA, plain_machine

PROTOCOL = EFI_LOADED_IMAGE_PROTOCOL_GUID
OTHER = EFI_LOAD_FILE2_PROTOCOL_GUID


def test_a_protocol_is_installed_once_on_a_handle_that_exists() -> None:
    handles = HandleDatabase()
    handle = handles.install_protocol_interface(None, PROTOCOL, "image").handle
    assert handle is not None
    assert handles.install_protocol_interface(handle, PROTOCOL, "again").status.name == "EFI_INVALID_PARAMETER"
    assert handles.install_protocol_interface(handle + 7, OTHER, "x").status.name == "EFI_INVALID_PARAMETER"
    assert handles.handle_protocol(handle, PROTOCOL).interface == "image"
    assert handles.handle_protocol(handle, OTHER).status.name == "EFI_UNSUPPORTED"
    assert handles.handle_protocol(handle + 7, PROTOCOL).status.name == "EFI_INVALID_PARAMETER"


def test_a_handle_ceases_with_its_last_protocol() -> None:
    handles = HandleDatabase()
    handle = handles.install_protocol_interface(None, PROTOCOL, 1).handle or 0
    assert handles.uninstall_protocol_interface(handle, OTHER).name == "EFI_NOT_FOUND"
    assert handles.uninstall_protocol_interface(handle, PROTOCOL).name == "EFI_SUCCESS"
    assert handle not in handles
    assert handles.uninstall_protocol_interface(handle, PROTOCOL).name == "EFI_INVALID_PARAMETER"


def test_the_longest_device_path_that_fits_is_located_and_the_rest_handed_back() -> None:
    handles = HandleDatabase()
    device = DevicePath((VenHw(PROTOCOL),))
    volume = device / VenHw(OTHER)
    for path in (device, volume):
        handle = handles.install_protocol_interface(None, EFI_DEVICE_PATH_PROTOCOL_GUID, path).handle
        handles.install_protocol_interface(handle, OTHER, "file")
    status, found, rest = handles.locate_device_path(OTHER, volume / FilePath("\\x"))
    assert (status.name, found, str(rest)) == ("EFI_SUCCESS", handle, str(DevicePath((FilePath("\\x"),))))
    assert handles.locate_device_path(PROTOCOL, volume)[0].name == "EFI_NOT_FOUND"


def test_a_group_is_told_youngest_first_and_a_closed_event_no_more() -> None:
    events = EventServices()
    told: list[str] = []
    first = events.create_event(lambda: told.append("first"), EFI_EVENT_GROUP_EXIT_BOOT_SERVICES)
    events.create_event(lambda: told.append("second"), EFI_EVENT_GROUP_EXIT_BOOT_SERVICES)
    events.signal_event(first)
    assert told == ["second", "first"]
    assert events.close_event(first).name == "EFI_SUCCESS"
    assert events.close_event(first).name == "EFI_INVALID_PARAMETER"
    assert events.signal_event(first).name == "EFI_INVALID_PARAMETER"
    events.signal_group(EFI_EVENT_GROUP_EXIT_BOOT_SERVICES)
    assert told == ["second", "first", "second"]


def test_who_watches_the_map_is_told_of_every_change_and_of_nothing_else() -> None:
    services = plain_machine()
    told: list[int] = []
    services.create_event(lambda: told.append(1), EFI_EVENT_GROUP_MEMORY_MAP_CHANGE)
    memory = services.allocate_pages(ANY, LOADER_DATA, 1, 0).memory
    services.free_pages(memory, 1)
    services.free_pages(memory, 1)
    services.get_memory_map(0)
    assert len(told) == 2
