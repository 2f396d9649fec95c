"""The DXE core of a recorded firmware, which machines that start alike have copies of."""

from __future__ import annotations

import pytest

from tdvfsh.machine.firmware_core import CoreStart, _kept_core, firmware_core
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.td.footprint import DIRECT, firmware_model
from tdvfsh.td.ram import RamLayout
from tdvfsh.uefi.guids import EFI_ACPI_20_TABLE_GUID
from tdvfsh.units import GIB


def _shown(machine: Machine) -> object:
    core = machine.services.core
    tables = dict(core.configuration_tables)
    return core.memory_map.copy(), core.pool.free_blocks(4), tables, list(machine.memory_map)


@pytest.mark.parametrize("td", [True, False])
def test_a_machine_begins_like_the_first_whatever_another_did_to_its_own(td: bool) -> None:
    options = TdOptions(memory=2 * GIB, td=td)
    _kept_core.cache_clear()
    first, second = Machine(options), Machine(options)
    began = _shown(first)
    assert second.services.allocate_pages(0, 4, 300, 0).status.name == "EFI_SUCCESS"
    assert second.services.allocate_pool(4, 100).status.name == "EFI_SUCCESS"
    second.services.install_configuration_table(EFI_ACPI_20_TABLE_GUID, 0x1000)
    assert _shown(second) != began
    assert _shown(Machine(options)) == began


def test_another_amount_of_accepted_memory_is_another_core() -> None:
    model, spans = firmware_model("inteltdx"), tuple(RamLayout.q35(2 * GIB).spans)
    profile = Machine(TdOptions(memory=2 * GIB)).services.profile
    cores = [
        firmware_core(
            CoreStart(
                model=model,
                stage_name=DIRECT,
                profile=profile,
                spans=spans,
                accept_end=end,
                is_td=True,
                vcpus=1,
                gpaw=48,
                protect="ovmf",
            )
        )
        for end in (GIB // 2, GIB)
    ]
    assert cores[0].memory_map != cores[1].memory_map
