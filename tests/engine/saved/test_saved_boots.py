"""A boot that was saved while its operating system ran, and continued, is the boot that was not interrupted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.dxe.monotonic_count import MonotonicCounter
from tdvfsh.dxe.time import RealTimeClock
from tdvfsh.dxe.variables import Variable, VariableStore
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.runs.boot_run import CpuBoot
from tdvfsh.engine.runs.consoles import Consoles
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.engine.runs.observer import CodeRange
from tdvfsh.engine.runs.os_run import SystemConsole
from tdvfsh.engine.runs.rest import RestingPlace
from tdvfsh.engine.runs.saved_boot import restore_boot, save_boot
from tdvfsh.engine.saved.machine_file import open_machine_file
from tdvfsh.engine.saved.machine_state import BOOT, machine_header
from tdvfsh.errors import FormatError
from tdvfsh.images.make import make_kernel
from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.flow import BootFlow
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.machine.snapshot_file import core_to_dict
from tdvfsh.uefi.guids import EFI_GLOBAL_VARIABLE_GUID
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.units import MIB
from tests.engine.operating_system import BASE, ROOM, SIZE, VIRTUAL_TABLES, Kernel
from tests.engine.programs import load
from tests.engine.saved.test_saved_runs import changed

TD = TdOptions(cost="kvm-2m", memory=512 * MIB)
PLAIN = TdOptions(cost="kvm-2m", memory=512 * MIB, td=False)
SHOWN = "abcdefg"
VALUE = 0x1122334455667788


class Steps(Kernel):
    """A system that shows how far it has come."""

    def show(self, letter: str) -> Self:
        """A letter, and a stop, which a plain VM's OUT is not."""
        return self.say(letter).cpuid(0)


def system() -> Kernel:
    """A system that asks for all that firmware still does, and shows a letter after each step."""
    kernel = Steps().show("a").virtual_address_map().show("b").switch_tables(VIRTUAL_TABLES).show("c")
    kernel.mov("rax", VALUE).mov("r9", ROOM).store("r9", 0, "rax")
    kernel.lea("rcx", "name").lea("rdx", "vendor").mov("r8", 7).mov("r9", 8).mov("rax", ROOM).raw("4883EC30")
    kernel.store("rsp", 32, "rax").raw("4883C430").call_runtime("SetVariable").keep("rax", "SetVariable").show("d")
    kernel.mov("rax", 64).mov("r9", ROOM + 0x100).store("r9", 0, "rax").mov("rax", ROOM + 0x200).raw("4883EC30")
    kernel.store("rsp", 32, "rax").raw("4883C430").lea("rcx", "name").lea("rdx", "vendor").mov("r8", 0)
    kernel.call_runtime("GetVariable").keep("rax", "GetVariable")
    kernel.mov("rcx", ROOM + 0x200).load("rax", "rcx").keep("rax", "value").show("e")
    kernel.mov("rcx", ROOM).mov("rdx", 0).call_runtime("GetTime").keep("rax", "GetTime")
    kernel.mov("rcx", ROOM).load("rax", "rcx").keep("rax", "date").show("f")
    kernel.mov("rcx", ROOM).call_runtime("GetNextHighMonotonicCount").keep("rax", "GetNextHighMonotonicCount")
    kernel.mov("rcx", ROOM).load("rax", "rcx").keep("rax", "count").show("g").power_off()
    return kernel.text("name", "Kept").data("vendor", EFI_GLOBAL_VARIABLE_GUID.bytes_le)


class TinyBoot(CpuBoot):
    """Observer of a boot of the tiny system, which no kernel's buffer tells."""

    def left_boot_services(self) -> CodeRange:
        """Wait for the system's first instruction."""
        return CodeRange(BASE, BASE + SIZE)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootFiles]:
    """A made kernel, which only stands in the report."""
    path = tmp_path_factory.mktemp("kernel") / "vmlinuz"
    make_kernel(path, MIB, 4 * MIB)
    with ExitStack() as stack:
        yield stack.enter_context(open_boot_files(path)).boot


@contextmanager
def made(
    files: BootFiles, options: TdOptions = TD, ended: Callable[[TinyBoot], None] | None = None,
    shown: Callable[[bytes], None] = lambda data: None,
) -> Iterator[tuple[TinyBoot, bytearray]]:  # fmt: skip
    """A boot that has not begun, and its console."""
    console = bytearray()

    def show(data: bytes) -> None:
        console.extend(data)
        shown(data)

    machine = Machine(options)
    boot = TinyBoot(machine, BootFlow(machine.services, machine.on_demand, files, machine.firmware_image), False)
    boot.consoles = consoles = Consoles(machine.clock, SystemConsole(show), None)
    with RunLimit(60) as limit:
        firmware = GuestFirmware(machine, limit=limit, serial=consoles.sent, observer=boot)
        boot.begin(firmware, fast_decompress=False)
        if ended is not None:
            firmware.calls.rest = RestingPlace(firmware.board, consoles, limit, lambda error: ended(boot))
        try:
            yield boot, console
        finally:
            firmware.close()


def run(boot: TinyBoot, kernel: Kernel) -> EngineError:
    """From the loader on."""
    firmware = boot.firmware
    mailbox = firmware.board.mailbox
    image = kernel.image(not boot.machine.options.td, 0 if mailbox is None else mailbox.address)
    with pytest.raises(EngineError) as ended:
        firmware.services.start_image(load(firmware, image, "loader.efi"))
    return ended.value


def resumed(boot: TinyBoot, path: str, options: TdOptions = TD) -> EngineError:
    """From a file on."""
    with open_machine_file(path) as file:
        waits = restore_boot(boot, file, options)
    with pytest.raises(EngineError) as ended:
        boot.firmware.calls.continue_system(waits)
    return ended.value


def facts(boot: TinyBoot, kernel: Kernel, error: EngineError) -> dict[str, Any]:
    """All that is to be the same."""
    core = core_to_dict(boot.machine.services.core)
    for name in ("opens", "notifies"):  # of handles
        del core[name]
    result = boot.ended(error)
    assert result.os_run is not None
    return {
        "cells": kernel.cells(boot.firmware), "now": boot.machine.clock.now_ns, "core": core,
        "journal": [record.as_dict() for record in boot.machine.trace], "counts": dict(boot.firmware.board.counts),
        "exit": result.at_exit, "map": result.memory_map, "ending": result.os_run.ending,
        "virtual": result.os_run.virtual_seconds,
    }  # fmt: skip


def save_at(files: BootFiles, path: Path, letter: str, options: TdOptions = TD) -> bytes:
    """Boot and save where the letter is shown; returns what was shown."""

    def keep(boot: TinyBoot) -> None:
        save_boot(boot, str(path), machine_header(options, "", [], run=BOOT))

    with made(files, options, keep) as (boot, console):
        assert boot.consoles is not None
        boot.consoles.serial._until = re.compile(letter)
        assert "the console showed" in str(run(boot, system()))
        return bytes(console)


@pytest.mark.parametrize("options", [TD, TdOptions(cost="kvm-2m", memory=512 * MIB, vcpus=2), PLAIN])
@pytest.mark.parametrize("letter", SHOWN)
def test_a_boot_that_was_saved_and_continued_is_the_one_that_was_not(
    tmp_path: Path, files: BootFiles, letter: str, options: TdOptions
) -> None:
    with made(files, options) as (boot, whole):
        kernel = system()
        expected = facts(boot, kernel, run(boot, kernel))
    cells = expected["cells"]
    assert whole == SHOWN.encode()
    assert expected["ending"] == "power off"
    assert cells["SetVirtualAddressMap"] == cells["GetVariable"] == cells["GetNextHighMonotonicCount"] == SUCCESS
    assert (cells["value"], cells["count"] & 0xFFFFFFFF) == (VALUE, 2)
    path = tmp_path / "machine"
    first = save_at(files, path, letter, options)
    assert first.endswith(letter.encode())
    with made(files, options) as (boot, rest):
        assert facts(boot, kernel, resumed(boot, str(path), options)) == expected
    assert first + rest == whole
    assert len(rest) < len(whole)


def test_the_same_boot_makes_the_same_file(tmp_path: Path, files: BootFiles) -> None:
    for name in ("one", "two"):
        save_at(files, tmp_path / name, "d")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=0xFFFF), min_size=1, max_size=8)
STORES = st.lists(
    st.builds(
        Variable, NAMES, st.just(EFI_GLOBAL_VARIABLE_GUID), st.sampled_from([6, 7, 0x47]), st.binary(max_size=40)
    ),
    unique_by=lambda one: one.name, max_size=4,
).map(lambda found: VariableStore(tuple(found)))  # fmt: skip
CLOCKS = st.builds(
    RealTimeClock, start_ns=st.integers(0, 4 * 10**18), time_zone=st.integers(-1440, 1440),
    daylight=st.integers(0, 3), wakeup=st.none() | st.datetimes(timezones=st.just(UTC)),
    wakeup_enabled=st.booleans(), wakeup_pending=st.booleans(),
)  # fmt: skip
MAPS = st.none() | st.lists(st.tuples(*[st.integers(0, (1 << 64) - 1)] * 3), max_size=3)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(store=STORES, clock=CLOCKS, count=st.integers(0, (1 << 64) - 1), moved=MAPS)
def test_what_runtime_services_keep_is_the_same_there_and_back(
    tmp_path: Path, files: BootFiles, store: VariableStore, clock: RealTimeClock, count: int,
    moved: list[tuple[int, int, int]] | None,
) -> None:  # fmt: skip
    before: dict[str, Any] = {}

    def keep(boot: TinyBoot) -> None:
        core = boot.machine.services.core
        core.variables, core.real_time_clock, core.monotonic_counter = store, clock, MonotonicCounter(count)
        boot.firmware.virtual_addresses._map = moved
        before.update(core_to_dict(core) | {"opens": [], "notifies": []})
        save_boot(boot, str(tmp_path / "machine"), machine_header(TD, "", [], run=BOOT))

    with made(files, TD, keep) as (boot, _):
        assert boot.consoles is not None
        boot.consoles.serial._until = re.compile("a")
        run(boot, system())
    with made(files) as (boot, _), open_machine_file(str(tmp_path / "machine")) as file:
        restore_boot(boot, file, TD)
        assert core_to_dict(boot.machine.services.core) | {"opens": [], "notifies": []} == before
        assert boot.firmware.virtual_addresses.address_map == moved


def test_a_boot_is_not_saved_before_its_system_runs(tmp_path: Path, files: BootFiles) -> None:
    with made(files, TD, lambda boot: None) as (boot, _), pytest.raises(EngineError, match="before its operating sys"):
        save_boot(boot, str(tmp_path / "machine"), machine_header(TD, "", [], run=BOOT))
    assert not (tmp_path / "machine").exists()


def at_boot_services(state: dict[str, Any]) -> None:
    """A file that says boot services are there."""
    state["core"]["at_runtime"] = False


def of_no_record(state: dict[str, Any]) -> None:
    """An open record beyond the journal."""
    state["open"] = [1 << 40]


def table_beyond_memory(state: dict[str, Any]) -> None:
    """A bitmap that would be read outside of memory."""
    state["result"]["placements"].append(["unaccepted_table", 1 << 62, 1 << 63, 9, False, None])


def no_guid(state: dict[str, Any]) -> None:
    """A variable whose vendor is no GUID."""
    state["core"]["variables"][0][1] = "x"


@pytest.mark.parametrize("change", [at_boot_services, of_no_record, table_beyond_memory, no_guid])
def test_a_file_that_was_changed_is_refused_in_one_line(
    tmp_path: Path, files: BootFiles, change: Callable[[dict[str, Any]], None]
) -> None:
    save_at(files, tmp_path / "machine", "d")
    path = changed(str(tmp_path / "machine"), change)
    with made(files) as (boot, _), open_machine_file(path) as file, pytest.raises(FormatError) as refused:
        restore_boot(boot, file, TD)
    assert "\n" not in str(refused.value)
    assert "this saved machine is damaged" in str(refused.value)
