from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tdvfsh import BootResult, Machine
from tdvfsh.errors import MissingError, UsageError
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.units import GIB, MIB


def test_a_boot_is_made_with_options_and_its_result_stays_of_use(
    tdvfsh_boot: Callable[..., BootResult], tmp_path: Path
) -> None:
    make_kernel(tmp_path / "vmlinuz", 12 * MIB, 56 * MIB)
    make_initrd(tmp_path / "initrd", 300 * MIB, None)
    paths = tmp_path / "vmlinuz", tmp_path / "initrd"
    failed = tdvfsh_boot(*paths, cmdline="nokaslr", memory="1G", accept="256M")
    assert failed.failure is not None
    cured = tdvfsh_boot(*paths, cmdline="nokaslr", memory="1G", accept="256M", on_demand="service")
    assert cured.booted
    assert cured.on_demand_bytes > failed.on_demand_bytes == 0
    assert cured.machine.options.memory == GIB


def test_what_is_not_there_is_an_error_and_nothing_is_fetched(
    tdvfsh_boot: Callable[..., BootResult], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(MissingError, match="no such file"):
        tdvfsh_boot(tmp_path / "none")
    with pytest.raises(MissingError, match="not fetched yet"):
        tdvfsh_boot("installer-13")
    with pytest.raises(UsageError, match="--memory"):
        tdvfsh_boot("installer-13", memory="much")


def test_a_machine_is_made_with_options(tdvfsh_machine: Callable[..., Machine]) -> None:
    assert tdvfsh_machine(memory="1G").options.memory == GIB
