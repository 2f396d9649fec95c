from __future__ import annotations

import pytest

from tdvfsh.uefi.hob import BOOT_MODES, HOB_HANDOFF, HOB_HEADER, HOB_RESOURCE_DESCRIPTOR
from tdvfsh.uefi.tdx import SeptLevel, TdcallStatus, completion_code, completion_from_name, completion_name


def test_accepting_again_is_the_only_completion_besides_success_that_is_no_error() -> None:
    assert {status for status in TdcallStatus if not status.is_error} == {
        TdcallStatus.SUCCESS,
        TdcallStatus.PAGE_ALREADY_ACCEPTED,
    }


def test_a_completion_has_its_code_in_the_high_half() -> None:
    assert completion_code(0xC0000B0B00000001) == TdcallStatus.PAGE_SIZE_MISMATCH
    assert completion_name(0xC0000B0B00000001) == "PAGE_SIZE_MISMATCH"


@pytest.mark.parametrize("name", ["OPERAND_BUSY", "operand_busy", "TDX_OPERAND_BUSY"])
def test_completions_are_found_by_name(name: str) -> None:
    assert completion_from_name(name) is TdcallStatus.OPERAND_BUSY


def test_an_unknown_completion_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        completion_from_name("NOPE")


def test_levels_map_4_kib_2_mib_and_1_gib() -> None:
    assert [level.page_size for level in SeptLevel] == [4096, 2 << 20, 1 << 30]


def test_hobs_have_the_sizes_of_the_specification() -> None:
    assert (HOB_HEADER.size, HOB_HANDOFF.size, HOB_RESOURCE_DESCRIPTOR.size) == (8, 56, 48)
    assert len(BOOT_MODES) == 12
