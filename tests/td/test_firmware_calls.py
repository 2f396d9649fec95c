"""The short form of a list of calls, and which list a boot has."""

from __future__ import annotations

import pytest

from tdvfsh.td.firmware_calls import FirmwareCall, calls_text, parse_calls
from tdvfsh.td.footprint import DIRECT, firmware_model
from tdvfsh.uefi.memory import EfiMemoryType

DATA, NVS = EfiMemoryType.EfiBootServicesData, EfiMemoryType.EfiACPIMemoryNVS


def test_a_text_lists_allocations_frees_and_step_marks() -> None:
    text = "kernel-blob D1x2 N32 -1:1 -2+4:28 image"
    calls = parse_calls(text)
    assert calls == (
        FirmwareCall(do="kernel-blob"),
        FirmwareCall(memory_type=DATA, pages=1),
        FirmwareCall(memory_type=DATA, pages=1),
        FirmwareCall(memory_type=NVS, pages=32),
        FirmwareCall(frees=1, pages=1),
        FirmwareCall(frees=2, offset=4, pages=28),
        FirmwareCall(do="image"),
    )
    assert calls_text(calls) == text


@pytest.mark.parametrize("word", ["D", "X1", "D1x", "-1", "-1:", "1:2", "D1y2"])
def test_another_word_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="invalid word"):
        parse_calls(f"image {word}")


def test_calls_that_have_no_short_form_are_not_written_wrongly() -> None:
    for call in (FirmwareCall(address=-4096, pages=1), FirmwareCall(memory_type=DATA, pages=1, maximum=4096)):
        with pytest.raises(ValueError, match="no short form"):
            calls_text([call])


def test_the_initrd_s_size_chooses_the_calls() -> None:
    stage = firmware_model("ovmf-2025.02").in_machine(True).stages[DIRECT]
    sizes = [size for size, _ in stage.larger_initrds]
    assert sizes == sorted(sizes)
    assert stage.calls_below(1 << 31, "", sizes[0]) == stage.calls_below(1 << 31) == stage.calls_below(1 << 31, "", 1)
    lists = [stage.calls_below(1 << 31, "", size + 1) for size in sizes]
    assert lists == [calls for _, calls in stage.larger_initrds]
    assert len({stage.calls, *lists}) == len(sizes) + 1
