"""Loading, starting, leaving and unloading an application, a boot-service driver and a runtime driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.uefi.status import EfiStatus
from tests.dxe.machines import LOADER_DATA, own_image, plain_machine

IMAGES = Path(__file__).resolve().parents[1] / "recordings" / "dxe" / "images"
APPLICATION, BOOT_DRIVER, RUNTIME_DRIVER = "m33-subsys-10.efi", "m33-subsys-11.efi", "m33-subsys-12.efi"
ALL = (APPLICATION, BOOT_DRIVER, RUNTIME_DRIVER)
DRIVERS = (BOOT_DRIVER, RUNTIME_DRIVER)


def loaded(name: str) -> tuple[BootServices, int]:
    services = plain_machine()
    handle = services.load_image(False, own_image(services), None, memoryview((IMAGES / name).read_bytes())).handle
    assert handle is not None
    return services, handle


def started(name: str, status: EfiStatus, by_exit: bool = False, data: str | None = None) -> tuple[BootServices, int]:
    """An image that has run and left, by returning or by Exit()."""
    services, handle = loaded(name)

    def program(own: int) -> EfiStatus:
        if by_exit:
            services.exit(own, status, data)
        return status

    services.images.program_for = lambda image: program
    assert services.start_image(handle) == (status, data)
    return services, handle


def is_there(services: BootServices, handle: int) -> bool:
    return services.images.loaded_image(handle) is not None


@pytest.mark.parametrize("name", ALL)
def test_an_image_that_was_not_started_is_unloaded(name: str) -> None:
    services, handle = loaded(name)
    assert services.unload_image(handle).name == "EFI_SUCCESS"
    assert not is_there(services, handle)


@pytest.mark.parametrize("name", ALL)
def test_exit_of_an_image_that_was_not_started_unloads_it(name: str) -> None:
    services, handle = loaded(name)
    assert services.exit(handle, EfiStatus.EFI_SUCCESS).name == "EFI_SUCCESS"
    assert not is_there(services, handle)


@pytest.mark.parametrize("by_exit", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_an_application_goes_when_it_ends_and_a_driver_stays(name: str, by_exit: bool) -> None:
    services, handle = started(name, EfiStatus.EFI_SUCCESS, by_exit)
    assert is_there(services, handle) == (name in DRIVERS)


@pytest.mark.parametrize("by_exit", [False, True])
@pytest.mark.parametrize("status", [EfiStatus.EFI_DEVICE_ERROR, EfiStatus.EFI_NOT_FOUND, EfiStatus.EFI_UNSUPPORTED])
@pytest.mark.parametrize("name", ALL)
def test_every_image_goes_when_it_ends_with_an_error(name: str, status: EfiStatus, by_exit: bool) -> None:
    services, handle = started(name, status, by_exit)
    assert not is_there(services, handle)


@pytest.mark.parametrize("name", ALL)
def test_exit_data_comes_out_of_start_image(name: str) -> None:
    started(name, EfiStatus.EFI_ABORTED, by_exit=True, data="why it ended")


@pytest.mark.parametrize("name", ALL)
def test_returning_brings_no_exit_data(name: str) -> None:
    started(name, EfiStatus.EFI_SUCCESS)


def test_an_application_that_has_ended_can_neither_be_unloaded_nor_left_again() -> None:
    services, handle = started(APPLICATION, EfiStatus.EFI_SUCCESS)
    assert services.unload_image(handle).name == "EFI_INVALID_PARAMETER"
    assert services.exit(handle, EfiStatus.EFI_SUCCESS).name == "EFI_INVALID_PARAMETER"
    assert services.start_image(handle).status.name == "EFI_INVALID_PARAMETER"


@pytest.mark.parametrize("name", DRIVERS)
def test_a_started_driver_is_unloaded_as_its_unload_function_says(name: str) -> None:
    services, handle = started(name, EfiStatus.EFI_SUCCESS)
    image = services.images.loaded_image(handle)
    assert image is not None
    assert services.unload_image(handle).name == "EFI_UNSUPPORTED"
    image.unload = lambda: EfiStatus.EFI_DEVICE_ERROR
    assert services.unload_image(handle).name == "EFI_DEVICE_ERROR"
    assert is_there(services, handle)
    image.unload = lambda: EfiStatus.EFI_SUCCESS
    assert services.unload_image(handle).name == "EFI_SUCCESS"
    assert not is_there(services, handle)


@pytest.mark.parametrize("name", DRIVERS)
def test_exit_of_a_driver_that_runs_no_longer_is_refused(name: str) -> None:
    services, handle = started(name, EfiStatus.EFI_SUCCESS)
    assert services.exit(handle, EfiStatus.EFI_SUCCESS).name == "EFI_INVALID_PARAMETER"
    assert is_there(services, handle)


def test_what_an_application_allocated_stays_when_it_is_gone() -> None:
    services, handle = loaded(APPLICATION)

    def program(own: int) -> EfiStatus:
        services.allocate_pages(2, LOADER_DATA, 1, 0x400000)
        return EfiStatus.EFI_SUCCESS

    services.images.program_for = lambda image: program
    services.start_image(handle)
    assert services.core.memory_map.type_at(0x400000) == LOADER_DATA


def test_images_start_each_other_and_exit_leaves_only_the_innermost() -> None:
    services, outer = loaded(APPLICATION)
    inner = services.load_image(False, outer, None, memoryview((IMAGES / APPLICATION).read_bytes())).handle
    order: list[str] = []

    def program(own: int) -> EfiStatus:
        if own == outer:
            order.append(services.start_image(inner).status.name)
            return EfiStatus.EFI_SUCCESS
        services.exit(own, EfiStatus.EFI_TIMEOUT)
        return EfiStatus.EFI_SUCCESS

    services.images.program_for = lambda image: program
    order.append(services.start_image(outer).status.name)
    assert order == ["EFI_TIMEOUT", "EFI_SUCCESS"]
