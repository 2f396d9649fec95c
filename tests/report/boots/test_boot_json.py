"""A boot as JSON: the keys that scripts rely on, and that its numbers are the boot's own."""

from __future__ import annotations

import json

from tdvfsh.boots.modelled_boot import boot
from tdvfsh.machine.asking import td_options
from tdvfsh.report.boots.boot_json import boot_dict
from tests.boots.made_files import INSTALLER_INITRD, Opener

KEYS = {"td", "images", "status", "stage", "placements", "accept", "modelled_seconds", "memory_map", "failure"}


def test_the_contract_s_keys_are_there_and_everything_is_json(opened: Opener) -> None:
    files = opened(INSTALLER_INITRD)
    found = boot_dict(boot(td_options("2G", "224M", "service"), files.boot), files.initrds)
    assert found.keys() >= KEYS
    assert json.loads(json.dumps(found)) == found
    assert found["td"].keys() >= {"memory", "vcpus", "gpaw", "accept", "on_demand", "profile", "loader"}
    assert found["images"]["kernel"]["format"] == "bzImage"
    (initrd,) = found["images"]["initrd"]
    assert initrd["size"] == INSTALLER_INITRD
    assert [segment["format"] for segment in initrd["segments"]] == ["cpio"]
    assert found["failure"] is None


def test_the_parts_of_the_accept_account_add_up_to_ram(opened: Opener) -> None:
    for on_demand in ("none", "allocator", "loader", "service"):
        result = boot(td_options("2G", "224M", on_demand), opened(INSTALLER_INITRD).boot)
        found = boot_dict(result, ())
        accept = found["accept"]
        assert accept["boot_bytes"] + accept["on_demand_bytes"] + accept["left_to_os_bytes"] == 2 << 30
        accepted = accept["pages_4k"] * 4096 + accept["pages_2m"] * 2 * 1024 * 1024
        assert accepted + accept["added_bytes"] == accept["boot_bytes"] + accept["on_demand_bytes"]
        assert accept["calls"] == result.machine.td.tdcall.calls


def test_a_failure_has_its_service_status_and_numbers(opened: Opener) -> None:
    result = boot(td_options("2G", "224M", "none"), opened(INSTALLER_INITRD).boot)
    failure = boot_dict(result, ())["failure"]
    assert result.failure is not None
    assert failure == {
        "service": result.failure.service,
        "status": result.status.name,
        "asked_bytes": result.failure.asked_bytes,
        "largest_free_bytes": result.failure.largest_free_bytes,
        "unaccepted_bytes": result.failure.unaccepted_bytes,
        "why": result.failure.why,
    }
    assert failure["asked_bytes"] > failure["largest_free_bytes"] > 0


def test_the_operating_system_s_side_is_the_result_s(opened: Opener) -> None:
    result = boot(td_options("2G", "224M", "service"), opened(INSTALLER_INITRD).boot)
    side = boot_dict(result, ())["os_side"]
    assert result.os_side is not None
    assert (side["policy"], side["accepted_bytes"]) == (result.os_side.policy, result.os_side.accepted_bytes)
    assert [step["who"] for step in side["steps"]] == [step.who for step in result.os_side.steps]
