"""What every loader says where it runs out of memory, held against the journal and the memory map of the same boot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.errors import UsageError
from tdvfsh.images.make import make_initrd
from tdvfsh.machine.options import LOADER_NAMES, TdOptions
from tdvfsh.trace.records import AllocatePagesCall, AllocatePoolCall
from tdvfsh.uefi import service_names
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import MIB, PAGE_SHIFT, human_size
from tests.loaders.made import MadeImages

ALLOCATIONS = (service_names.ALLOCATE_PAGES, service_names.ALLOCATE_POOL)
SERVICES = {*ALLOCATIONS, service_names.GET_MEMORY_MAP, service_names.LOAD_IMAGE}
PLACED = {
    "boot_params", "cmdline", "cmdline_file", "file_buffer", "grub", "handover_initrd", "handover_kernel", "heap",
    "image", "initrd", "initrd_file", "kernel", "kernel_file", "kernel_source", "measured_file", "page_block",
    "sd-boot", "setup", "trampoline", "unaccepted_table",
}  # fmt: skip
MOST_ROUNDING = 8192
"""Bytes that GRUB adds to a size for the heads of its heap's regions, and up to a whole page."""


def boots(loader: str, folder: Path) -> Iterator[BootResult]:
    """Boots of two generations of kernels, from where the TD hardly starts to where it boots."""
    made, initrd = MadeImages(folder), folder / "initrd"
    make_initrd(initrd, 100 * MIB)
    for kernel in ("6.12", "5.10"):
        with open_boot_files(made.kernel(kernel), [initrd], "quiet") as opened:
            for accept in range(64, 416, 32):
                options = TdOptions(memory="512M", accept=f"{accept}M", loader=loader)
                try:
                    yield boot(options, opened.boot)
                except UsageError:
                    assert accept < 128  # too little for the firmware's own footprint


@pytest.mark.parametrize("loader", LOADER_NAMES)
def test_a_failure_names_the_call_that_was_refused_with_its_size(loader: str, tmp_path: Path) -> None:
    failed = 0
    for result in boots(loader, tmp_path):
        failure = result.failure
        if failure is None:
            assert result.booted
            continue
        failed += 1
        assert failure.service in SERVICES
        assert failure.status.is_error
        assert failure.status is result.status
        assert failure.unaccepted_bytes == result.machine.td.unaccepted_bytes
        assert human_size(failure.asked_bytes) in failure.why
        if "in its heap" not in failure.why:
            assert f"is {human_size(failure.largest_free_bytes)}" in failure.why
        refused = [
            record.pages << PAGE_SHIFT if isinstance(record, AllocatePagesCall) else record.size
            for record in result.machine.trace
            if isinstance(record, AllocatePagesCall | AllocatePoolCall) and record.status is not None
            if record.service == failure.service and record.status.is_error
        ]
        if failure.service in ALLOCATIONS and "heap" not in failure.why:
            assert 0 <= refused[-1] - failure.asked_bytes <= MOST_ROUNDING
    assert failed >= 5


@pytest.mark.parametrize("loader", LOADER_NAMES)
def test_what_a_loader_has_placed_is_of_its_type_in_the_memory_map(loader: str, tmp_path: Path) -> None:
    seen = set()
    for result in boots(loader, tmp_path):
        memory_map = result.machine.services.core.memory_map
        for placement in result.placements:
            seen.add(placement.what)
            assert placement.what in PLACED
            assert placement.size > 0
            assert isinstance(placement.memory_type, EfiMemoryType)
            if not placement.freed:
                assert memory_map.type_at(placement.start) == placement.memory_type
                assert memory_map.type_at(placement.end - 1) == placement.memory_type
        if result.booted:
            assert "kernel" in seen
    assert "kernel" in seen
