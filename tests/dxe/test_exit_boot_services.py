from __future__ import annotations

from functools import partial

from tdvfsh.dxe.profile import RFC2021, UPSTREAM, FirmwareProfile
from tdvfsh.uefi.guids import (
    EFI_EVENT_GROUP_BEFORE_EXIT_BOOT_SERVICES,
    EFI_EVENT_GROUP_EXIT_BOOT_SERVICES,
    EFI_EVENT_GROUP_EXIT_BOOT_SERVICES_FAILED,
)
from tests.dxe.machines import ANY, LOADER_DATA, plain_machine


def test_only_the_present_key_ends_boot_services_and_nobody_looks_at_the_handle() -> None:
    services = plain_machine()
    key = services.get_memory_map(1 << 20).map_key or 0
    services.allocate_pages(ANY, LOADER_DATA, 1, 0)
    assert services.exit_boot_services(None, key).name == "EFI_INVALID_PARAMETER"
    assert services.exit_boot_services(None, 0).name == "EFI_INVALID_PARAMETER"
    assert services.allocate_pages(ANY, LOADER_DATA, 1, 0).status.name == "EFI_SUCCESS"
    assert services.exit_boot_services(0xDEAD, services.core.memory_map.key).name == "EFI_SUCCESS"


def test_afterwards_no_service_answers() -> None:
    services = plain_machine()
    services.exit_boot_services(None, services.core.memory_map.key)
    answers = {
        services.allocate_pages(ANY, LOADER_DATA, 1, 0).status, services.free_pages(0, 1),
        services.allocate_pool(LOADER_DATA, 1).status, services.free_pool(0x18), services.get_memory_map(0).status,
        services.load_image(False, None, None).status, services.start_image(1).status, services.unload_image(1),
        services.exit_boot_services(None, services.core.memory_map.key), services.accept_memory(0, 4096),
    }  # fmt: skip
    assert {answer.name for answer in answers} == {"EFI_UNSUPPORTED"}


def told_of_a_failure_and_a_success(profile: FirmwareProfile) -> list[str]:
    services = plain_machine(profile)
    told: list[str] = []
    for name, group in (
        ("before", EFI_EVENT_GROUP_BEFORE_EXIT_BOOT_SERVICES),
        ("failed", EFI_EVENT_GROUP_EXIT_BOOT_SERVICES_FAILED),
        ("exit", EFI_EVENT_GROUP_EXIT_BOOT_SERVICES),
    ):
        services.create_event(partial(told.append, name), group)
    services.exit_boot_services(None, services.core.memory_map.key + 1)
    services.exit_boot_services(None, services.core.memory_map.key)
    return told


def test_listeners_hear_of_success_or_of_failure_and_newer_ones_once_of_the_attempt() -> None:
    assert told_of_a_failure_and_a_success(UPSTREAM) == ["before", "failed", "exit"]
    assert told_of_a_failure_and_a_success(RFC2021) == ["failed", "exit"]


def test_a_listener_that_allocates_before_the_exit_makes_the_first_attempt_fail() -> None:
    services = plain_machine()
    services.create_event(
        lambda: services.allocate_pages(ANY, LOADER_DATA, 1, 0) and None, EFI_EVENT_GROUP_BEFORE_EXIT_BOOT_SERVICES
    )
    assert services.exit_boot_services(None, services.core.memory_map.key).name == "EFI_INVALID_PARAMETER"
    assert services.exit_boot_services(None, services.core.memory_map.key).name == "EFI_SUCCESS"
