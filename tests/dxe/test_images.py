from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.memory.memory_map import MapEntry
from tdvfsh.dxe.profile import TRIXIE, UPSTREAM, FirmwareProfile
from tdvfsh.dxe.protocols import FileContents
from tdvfsh.uefi.device_path import DevicePath, FilePath, VenHw
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID
from tdvfsh.uefi.status import EfiStatus
from tests.dxe.machines import (
    CONVENTIONAL,
    LOADER_CODE,
    LOADER_DATA,
    RAM,
    own_image,
    page,
    plain_machine,
    shape,
)

IMAGES = Path(__file__).resolve().parents[1] / "recordings" / "dxe" / "images"
CHILD = (IMAGES / "S00-child.efi").read_bytes()
TOP = RAM // 4096
VOLUME = DevicePath((VenHw(EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID),))


class Volume:
    def __init__(self, contents: bytes) -> None:
        self.contents = contents

    def read_file(self, path: str) -> FileContents:
        if path.lower() != "\\child.efi":
            return FileContents(EfiStatus.EFI_NOT_FOUND, None)
        return FileContents(EfiStatus.EFI_SUCCESS, memoryview(self.contents))


def machine(profile: FirmwareProfile = UPSTREAM, entries: list[MapEntry] | None = None) -> tuple[BootServices, int]:
    services = plain_machine(profile, entries)
    return services, own_image(services)


def image(name: str) -> memoryview:
    return memoryview((IMAGES / name).read_bytes())


def load(services: BootServices, parent: int | None, source: memoryview | None) -> str:
    return services.load_image(False, parent, None, source).status.name


def with_field(offset: int, layout: str, value: int) -> memoryview:
    """The child with one field of its optional header changed."""
    changed = bytearray(CHILD)
    header = struct.unpack_from("<I", changed, 0x3C)[0] + 24
    struct.pack_into(layout, changed, header + offset, value)
    return memoryview(bytes(changed))


@pytest.mark.parametrize("parent", [None, 0xDEAD])
def test_a_parent_that_is_no_image_is_an_invalid_parameter(parent: int | None) -> None:
    assert load(machine()[0], parent, memoryview(CHILD)) == "EFI_INVALID_PARAMETER"


def test_no_place_for_the_handle_is_an_invalid_parameter() -> None:
    services, own = machine()
    result = services.load_image(False, own, None, memoryview(CHILD), has_image_handle=False)
    assert result == (EfiStatus.EFI_INVALID_PARAMETER, None)


@pytest.mark.parametrize(("profile", "status"), [(TRIXIE, "EFI_INVALID_PARAMETER"), (UPSTREAM, "EFI_NOT_FOUND")])
def test_neither_buffer_nor_path_depends_on_the_generation(profile: FirmwareProfile, status: str) -> None:
    services, own = machine(profile)
    assert load(services, own, None) == status


def test_an_empty_source_is_a_load_error_and_a_short_one_unsupported() -> None:
    services, own = machine()
    assert load(services, own, memoryview(b"")) == "EFI_LOAD_ERROR"
    assert load(services, own, memoryview(bytes(64))) == "EFI_UNSUPPORTED"


def test_a_file_that_is_missing_or_no_image_has_its_status() -> None:
    services, own = machine()
    device = services.install_protocol_interface(None, EFI_DEVICE_PATH_PROTOCOL_GUID, VOLUME).handle
    services.install_protocol_interface(device, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, Volume(CHILD))
    results = {
        name: services.load_image(False, own, path).status.name
        for name, path in (
            ("child", VOLUME / FilePath("\\child.efi")),
            ("missing", VOLUME / FilePath("\\no.efi")),
            ("slashes", VOLUME / FilePath("/child.efi")),
            ("nothing", VOLUME),
            ("nowhere", DevicePath((FilePath("\\child.efi"),))),
        )
    }
    assert results == {
        "child": "EFI_SUCCESS", "missing": "EFI_NOT_FOUND", "slashes": "EFI_NOT_FOUND", "nothing": "EFI_NOT_FOUND",
        "nowhere": "EFI_NOT_FOUND",
    }  # fmt: skip


def test_the_files_buffer_is_gone_after_the_load_but_the_image_lies_below_where_it_was() -> None:
    services, own = machine()
    big = CHILD + bytes(5 * 4096)
    device = services.install_protocol_interface(None, EFI_DEVICE_PATH_PROTOCOL_GUID, VOLUME).handle
    services.install_protocol_interface(device, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, Volume(big))
    handle = services.load_image(False, own, VOLUME / FilePath("\\child.efi")).handle
    loaded = services.images.loaded_image(handle)
    assert loaded is not None
    assert loaded.page_base < page(TOP - 6)
    assert services.core.memory_map.type_at(page(TOP - 2)) == CONVENTIONAL


def test_an_exhausted_file_buffer_looks_like_a_missing_file() -> None:
    services, own = machine()
    device = services.install_protocol_interface(None, EFI_DEVICE_PATH_PROTOCOL_GUID, VOLUME).handle
    services.install_protocol_interface(device, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, Volume(bytes(1 << 20)))
    free = TOP - 1 - 100
    services.allocate_pages(2, LOADER_DATA, free, page(1))
    assert services.load_image(False, own, VOLUME / FilePath("\\child.efi")).status.name == "EFI_NOT_FOUND"


def test_the_whole_image_takes_pages_of_its_code_type_at_the_top() -> None:
    services, own = machine()
    handle = services.load_image(False, own, None, memoryview(CHILD)).handle
    loaded = services.images.loaded_image(handle)
    assert loaded is not None
    assert loaded.image_code_type == LOADER_CODE
    assert (loaded.page_base // 4096, 3, LOADER_CODE) in shape(services)


@pytest.mark.parametrize(
    ("name", "code"), [("m33-subsys-10.efi", 1), ("m33-subsys-11.efi", 3), ("m33-subsys-12.efi", 5)]
)
def test_the_subsystem_decides_the_memory_type(name: str, code: int) -> None:
    services, own = machine()
    loaded = services.images.loaded_image(services.load_image(False, own, None, image(name)).handle)
    assert loaded is not None
    assert loaded.image_code_type == code


def test_a_sal_runtime_driver_loads_only_on_older_firmware() -> None:
    assert load(*machine(TRIXIE), image("m33-subsys-13.efi")) == "EFI_SUCCESS"
    assert load(*machine(UPSTREAM), image("m33-subsys-13.efi")) == "EFI_UNSUPPORTED"


def test_a_preferred_base_is_taken_where_it_is_free_and_given_up_where_not() -> None:
    services, own = machine()
    source = with_field(24, "<Q", 0x400000)
    first, second = (
        services.images.loaded_image(services.load_image(False, own, None, source).handle) for _ in range(2)
    )
    assert first is not None
    assert second is not None
    assert first.image_base == 0x400000
    assert second.image_base > 0x400000 + page(3)


def test_an_image_without_relocations_goes_to_its_base_or_nowhere() -> None:
    services, own = machine()
    source = image("m46-base-4000000-norel.efi")
    assert load(services, own, source) == "EFI_SUCCESS"
    assert load(services, own, source) == "EFI_NOT_FOUND"


def test_too_large_an_image_is_out_of_resources_and_leaves_nothing_behind() -> None:
    services, own = machine()
    before = shape(services)
    assert load(services, own, image("m40-soi-256M.efi")) == "EFI_OUT_OF_RESOURCES"
    assert shape(services) == before


def test_a_section_alignment_above_a_page_aligns_the_image_inside_a_larger_block() -> None:
    services, own = machine()
    loaded = services.images.loaded_image(services.load_image(False, own, None, image("m42-secalign-10000.efi")).handle)
    assert loaded is not None
    assert loaded.image_base % 0x10000 == 0
    assert loaded.number_of_pages * 4096 >= loaded.image_size + 0x10000


def test_a_section_alignment_of_zero_fails_and_leaks_the_images_pages() -> None:
    services, own = machine()
    assert load(services, own, with_field(32, "<I", 0)) == "EFI_INVALID_PARAMETER"
    assert (TOP - 4, 3, LOADER_CODE) in shape(services)


def test_a_load_that_fails_gives_its_pages_back() -> None:
    services, own = machine()
    before = shape(services)
    assert load(services, own, image("m40-soi-small.efi")) == "EFI_LOAD_ERROR"
    assert shape(services) == before


@pytest.mark.parametrize("name", ["m10-mach-ia32.efi", "m10-mach-ebc.efi"])
def test_images_of_other_machines_load_but_do_not_start(name: str) -> None:
    services, own = machine()
    handle = services.load_image(False, own, None, image(name)).handle
    assert handle is not None
    assert services.start_image(handle).status.name == "EFI_UNSUPPORTED"


def started(services: BootServices, own: int, source: memoryview, status: EfiStatus) -> tuple[int, str]:
    handle = services.load_image(False, own, None, source).handle
    assert handle is not None
    services.images.program_for = lambda loaded: lambda own_handle: status
    return handle, services.start_image(handle).status.name


def test_an_application_that_returns_is_unloaded_whatever_it_returns() -> None:
    for status in (EfiStatus.EFI_SUCCESS, EfiStatus.EFI_ABORTED):
        services, own = machine()
        before = shape(services)
        handle, returned = started(services, own, memoryview(CHILD), status)
        assert returned == status.name
        assert shape(services) == before
        assert services.start_image(handle).status.name == "EFI_INVALID_PARAMETER"
        assert services.unload_image(handle).name == "EFI_INVALID_PARAMETER"


def test_a_driver_stays_when_it_succeeds_and_goes_when_it_fails() -> None:
    services, own = machine()
    handle, _ = started(services, own, image("m33-subsys-11.efi"), EfiStatus.EFI_SUCCESS)
    assert services.images.loaded_image(handle) is not None
    assert services.start_image(handle).status.name == "EFI_INVALID_PARAMETER"
    failed, _ = started(services, own, image("m33-subsys-11.efi"), EfiStatus.EFI_ABORTED)
    assert services.images.loaded_image(failed) is None


def test_unloading_asks_a_started_image_and_frees_an_unstarted_one() -> None:
    services, own = machine()
    before = shape(services)
    handle = services.load_image(False, own, None, memoryview(CHILD)).handle
    assert services.unload_image(handle).name == "EFI_SUCCESS"
    assert shape(services) == before
    assert services.unload_image(handle).name == "EFI_INVALID_PARAMETER"
    assert services.unload_image(own).name == "EFI_UNSUPPORTED"
    assert services.unload_image(None).name == "EFI_INVALID_PARAMETER"
    driver, _ = started(services, own, image("m33-subsys-11.efi"), EfiStatus.EFI_SUCCESS)
    loaded = services.images.loaded_image(driver)
    assert loaded is not None
    loaded.unload = lambda: EfiStatus.EFI_ACCESS_DENIED
    assert services.unload_image(driver).name == "EFI_ACCESS_DENIED"
    loaded.unload = lambda: EfiStatus.EFI_SUCCESS
    assert services.unload_image(driver).name == "EFI_SUCCESS"


def test_exit_unwinds_to_start_image_with_status_and_data() -> None:
    services, own = machine()
    handle = services.load_image(False, own, None, memoryview(CHILD)).handle
    assert handle is not None

    def program(running: int) -> EfiStatus:
        services.exit(running, EfiStatus.EFI_TIMEOUT, "why")
        raise AssertionError("Exit does not return")

    services.images.program_for = lambda loaded: program
    assert services.start_image(handle) == (EfiStatus.EFI_TIMEOUT, "why")


def test_exit_of_an_image_that_has_not_started_unloads_it_and_of_another_is_refused() -> None:
    services, own = machine()
    handle = services.load_image(False, own, None, memoryview(CHILD)).handle
    assert handle is not None
    assert services.exit(own, EfiStatus.EFI_SUCCESS).name == "EFI_INVALID_PARAMETER"
    assert services.exit(0xDEAD, EfiStatus.EFI_SUCCESS).name == "EFI_INVALID_PARAMETER"
    assert services.exit(handle, EfiStatus.EFI_SUCCESS).name == "EFI_SUCCESS"
    assert services.images.loaded_image(handle) is None


def test_starting_what_is_no_image_is_an_invalid_parameter() -> None:
    services, own = machine()
    for handle in (None, 0xDEAD, own):
        assert services.start_image(handle).status.name == "EFI_INVALID_PARAMETER"


def test_a_runtime_drivers_relocation_data_stays_behind_when_it_is_unloaded() -> None:
    services, own = machine()
    services.allocate_pool(6, 1)
    key = services.core.memory_map.key
    handle = services.load_image(False, own, None, image("m33-subsys-12.efi")).handle
    kept = services.core.pool.copy(services.core.pages)
    assert services.unload_image(handle).name == "EFI_SUCCESS"
    assert services.core.memory_map.key > key
    assert len(services.core.pool.free_blocks(6)) == len(kept.free_blocks(6)) + 1  # its list entry, not the data


def test_the_files_bytes_can_be_read_at_each_image_of_it() -> None:
    services, own = machine()
    for _ in range(2):
        loaded = services.images.loaded_image(services.load_image(False, own, None, memoryview(CHILD)).handle)
        assert loaded is not None
        assert services.contents.read(loaded.image_base, 512) == CHILD[:512]


def test_with_a_buffer_and_a_path_the_buffer_is_what_gets_loaded() -> None:
    services, own = machine()
    result = services.load_image(False, own, VOLUME / FilePath("\\no.efi"), memoryview(CHILD))
    loaded = services.images.loaded_image(result.handle)
    assert loaded is not None
    assert services.contents.read(loaded.image_base, 64) == CHILD[:64]
