"""Firmware that accepts the rest at ExitBootServices, unless the operating system objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.boots.modelled_boot import boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.errors import UsageError
from tdvfsh.images.make import make_kernel
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.machine.accept_at_exit import AcceptUnlessObjected
from tdvfsh.uefi.guids import OVMF_SEV_MEMORY_ACCEPTANCE_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, MIB
from tests.boots.made_files import CLOUD_6_12, Opener

POLICY = "unless-objected"


@pytest.fixture
def old_kernel(tmp_path: Path) -> Path:
    """The cloud kernel without CONFIG_UNACCEPTED_MEMORY."""
    path = tmp_path / "old"
    make_kernel(path, CLOUD_6_12["size"], CLOUD_6_12["init_size"], unaccepted_memory=False)
    return path


def _exits(services: BootServices) -> list[EfiStatus | None]:
    return [record.status for record in services.trace if record.service == "ExitBootServices"]


def test_a_kernel_that_knows_nothing_of_it_gets_all_memory_after_a_second_exit(old_kernel: Path) -> None:
    with open_boot_files(old_kernel) as opened:
        result = boot(TdOptions(memory=8 * GIB, accept_at_exit=POLICY), opened.boot)
    assert result.booted
    assert result.left_to_os_bytes == 0
    assert result.on_demand_bytes == 8 * GIB - 512 * MIB
    assert _exits(result.machine.services) == [EfiStatus.EFI_INVALID_PARAMETER, SUCCESS]
    assert EfiMemoryType.EfiUnacceptedMemoryType not in {entry.memory_type for entry in result.memory_map}


def test_without_the_policy_it_gets_none_of_it(old_kernel: Path) -> None:
    with open_boot_files(old_kernel) as opened:
        result = boot(TdOptions(memory=8 * GIB), opened.boot)
    assert result.booted
    assert result.left_to_os_bytes == 8 * GIB - 512 * MIB
    assert _exits(result.machine.services) == [SUCCESS]


def test_a_kernel_that_objects_keeps_its_memory_unaccepted_and_exits_at_once(opened: Opener) -> None:
    result = boot(TdOptions(memory=8 * GIB, accept_at_exit=POLICY), opened(0).boot)
    assert result.booted
    assert result.left_to_os_bytes == 8 * GIB - 512 * MIB
    assert _exits(result.machine.services) == [SUCCESS]


def test_allow_unaccepted_memory_is_the_objection() -> None:
    machine = Machine(TdOptions(accept_at_exit=POLICY))
    services = machine.services
    interface = services.handles.locate_protocol(OVMF_SEV_MEMORY_ACCEPTANCE_PROTOCOL_GUID).interface
    assert isinstance(interface, AcceptUnlessObjected)
    assert not interface.objected
    assert interface.allow_unaccepted_memory() is SUCCESS
    key = services.get_memory_map(1 << 20).map_key or 0
    assert services.exit_boot_services(None, key) is SUCCESS
    assert machine.td.unaccepted_bytes == 4 * GIB - 512 * MIB


def test_the_accept_happens_at_the_first_exit_only_even_where_its_key_was_stale() -> None:
    machine = Machine(TdOptions(accept_at_exit=POLICY))
    services = machine.services
    assert services.exit_boot_services(None, 0) is EfiStatus.EFI_INVALID_PARAMETER
    assert machine.td.unaccepted_bytes == 0
    records = [record for record in machine.trace if record.service == "AcceptAllMemory"]
    assert [record.results["accepted_bytes"] for record in records] == [4 * GIB - 512 * MIB]


def test_tdx_firmware_as_it_is_publishes_no_such_protocol() -> None:
    handles = Machine(TdOptions()).services.handles
    assert handles.locate_protocol(OVMF_SEV_MEMORY_ACCEPTANCE_PROTOCOL_GUID).status is EfiStatus.EFI_NOT_FOUND


def test_firmware_of_2021_has_no_such_event() -> None:
    with pytest.raises(UsageError, match="has no BeforeExitBootServices event"):
        TdOptions(profile="rfc2021", accept_at_exit=POLICY)
