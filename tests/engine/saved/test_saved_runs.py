"""A machine that was saved and continued is the machine that was not interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.board.limit import GivenUp, RunLimit
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.engine.firmware.saved_run import _calls_of, _rows_of, save_run
from tdvfsh.engine.saved.machine_state import machine_header
from tdvfsh.engine.saved.processor import SIZE, image_of, registers_of
from tdvfsh.errors import FormatError
from tdvfsh.formats.typed_json import FieldError
from tdvfsh.machine.options_file import options_to_dict
from tdvfsh.td.accept import AcceptCall
from tdvfsh.units import MIB
from tests.engine.firmware.made_firmware import CELLS, HLT, made_run
from tests.engine.saved.made_guest import OPTIONS, end_of, error_of, made_machine, save_after, whole

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """A machine that was saved in the middle of its work."""
    return save_after(tmp_path, "[a-p]{9}")[0]


@pytest.mark.parametrize("letters", [1, 9, 30])
def test_a_machine_that_was_saved_and_continued_shows_the_same_bytes_at_the_same_time(
    tmp_path: Path, letters: int
) -> None:
    console, now = whole(tmp_path)
    path, first = save_after(tmp_path, f"[a-p]{{{letters}}}")
    with made_machine(tmp_path, saved=path) as (run, rest):
        assert end_of(run) == "power off"
        assert first + rest == console
        assert run.td.clock.now_ns == now
    assert 0 < len(rest) < len(console)


def test_a_machine_is_saved_again_and_again(tmp_path: Path) -> None:
    console, _ = whole(tmp_path)
    path, shown = save_after(tmp_path, "[a-p]{4}")
    for number in range(4):
        with made_machine(tmp_path, "[a-p]{5}", saved=path) as (run, more):
            assert end_of(run) == "matched"
            path = str(tmp_path / f"machine{number}")
            save_run(run, path, machine_header(OPTIONS, "", [], real_code_only=False))
            shown += more
    with made_machine(tmp_path, saved=path) as (run, more):
        assert end_of(run) == "power off"
    assert shown + more == console


def continues(folder: Path, run: FirmwareRun, first: bytearray) -> None:
    """Assert that a run that was given up stands where it can go on, and does when it was saved."""
    assert end_of(run) == "given up"
    assert run.rest is not None
    assert run.rest.reached
    path = str(folder / "given up")
    save_run(run, path, machine_header(OPTIONS, "", [], real_code_only=False))
    with made_machine(folder, saved=path) as (again, rest):
        assert end_of(again) == "power off"
    console, _ = whole(folder)
    assert first + rest == console
    assert rest


def test_a_machine_whose_time_was_over_goes_on_where_it_stood(tmp_path: Path) -> None:
    with made_machine(tmp_path, seconds=0.05) as (run, first):
        continues(tmp_path, run, first)


def test_a_machine_that_ctrl_c_has_stopped_goes_on_where_it_stood(tmp_path: Path) -> None:
    def press(console: bytearray) -> None:
        if len(console) == 9:
            os.kill(os.getpid(), signal.SIGINT)

    with made_machine(tmp_path, shown=press) as (run, first):
        continues(tmp_path, run, first)
        assert len(first) == 9


def test_a_patient_limit_notes_the_first_ctrl_c_and_ends_with_the_second() -> None:
    before = signal.getsignal(signal.SIGINT)
    with RunLimit() as limit:
        limit.be_patient()
        os.kill(os.getpid(), signal.SIGINT)
        assert limit.due
        assert not limit.reached()
        with pytest.raises(GivenUp, match="interrupted by the user"):
            limit.give_up()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_patient_limit_is_over_a_while_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with RunLimit(5) as limit:
        limit.be_patient()
        for now, due, over in ((104, False, False), (106, True, False), (116, True, True)):  # noqa: B007
            assert (limit.due, limit.over) == (due, over)
        with pytest.raises(EngineError, match="given up after 5 s") as ended:
            limit.give_up()
        assert not isinstance(ended.value, GivenUp)


def test_the_same_machine_makes_the_same_file(tmp_path: Path) -> None:
    first, second = (save_after(tmp_path, "[a-p]{9}", name)[0] for name in ("one", "two"))
    assert Path(first).read_bytes() == Path(second).read_bytes()


def test_a_file_holds_pages_that_are_not_zero_and_no_others(tmp_path: Path, saved: str) -> None:
    with made_machine(tmp_path, "[a-p]{9}") as (run, _):
        end_of(run)
        run.board.ram.view[64 * MIB : 68 * MIB] = b"\xa5" * (4 * MIB)
        run.board.ram.view[80 * MIB : 84 * MIB] = bytes(4 * MIB)
        more = tmp_path / "more"
        save_run(run, str(more), machine_header(OPTIONS, "", [], real_code_only=False))
    pages = [state_of(path)["pages"] for path in (saved, str(more))]
    sizes = [sum(end - start for start, end in ranges) for ranges in pages]
    assert sizes[1] - sizes[0] == 4 * MIB
    with made_machine(tmp_path, saved=str(more)) as (run, _):
        assert run.board.ram.view[64 * MIB : 68 * MIB] == b"\xa5" * (4 * MIB)


def test_what_the_guest_wrote_to_a_disk_is_continued_with(tmp_path: Path) -> None:
    with made_machine(tmp_path, "[a-p]{9}", disks=True) as (run, _):
        end_of(run)
        run.disks[0].write_disk(MIB - 512, b"\x5a" * 1024)
        path = str(tmp_path / "machine")
        save_run(run, path, machine_header(OPTIONS, "", [], real_code_only=False))
    with made_machine(tmp_path, saved=path, disks=True) as (run, _):
        assert run.disks[0].read_disk(MIB - 1024, 2048) == bytes(512) + b"\x5a" * 1024 + bytes(512)
    assert "'disks' are not the machine's" in error_of(path, tmp_path)


def test_a_run_that_died_is_not_saved_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "machine"
    path.write_bytes(b"before")
    with made_run(tmp_path, struct.pack("<BI", 0xB8, CELLS) + HLT) as run:
        run.services.watch(0x28, lambda: None)  # type: ignore[arg-type]
        with pytest.raises(EngineError, match="cannot be saved"):
            save_run(run, str(path), machine_header(OPTIONS, "", [], real_code_only=False))
    assert path.read_bytes() == b"before"


# ---- files that are refused -------------------------------------------------------------------------------------


def state_of(path: str) -> Any:
    """The state in a file."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(zstandard.ZstdDecompressor().stream_reader(archive.read("state")).read())


def changed(path: str, change: Change | None = None, header: Change | None = None) -> str:
    """The same file with another state or header, whose hashes are right."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    state, head = state_of(path), json.loads(members["machine.json"])
    if change is not None:
        change(state)
        members["state"] = zstandard.ZstdCompressor().compress(json.dumps(state).encode())
        head["sha256"]["state"] = hashlib.sha256(members["state"]).hexdigest()
    if header is not None:
        header(head)
    members["machine.json"] = json.dumps(head).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def set_in(*names: str | int, to: object) -> Change:
    """Sets one value."""

    def change(state: dict[str, Any]) -> None:
        place: Any = state
        for name in names[:-1]:
            place = place[name]
        place[names[-1]] = to

    return change


VCPU = ("board", "vcpus", "all", 0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (set_in("pages", to=[[0, 4096], [4096, 1 << 40]]), "beyond the machine's memory"),
        (set_in("pages", to=[[0, 4096]]), "fewer than the file has"),
        (set_in("pages", to=[[4096, 0]]), "is not a range"),
        (set_in("pages", to=[[0, 127 << 20]]), "more than the file has"),
        (set_in(*VCPU, "registers", "fpu_top", to=8), "registers.fpu_top' is not a number from 0 to 7"),
        (set_in(*VCPU, "registers", "hidden_flags", to=1 << 19 | 1 << 21), "hidden_flags' is not a processor's"),
        (set_in(*VCPU, "registers", "hidden_flags", to=0), "hidden_flags' is not a processor's"),
        (set_in(*VCPU, "registers", "fpu_registers", to=["00"] * 8), "not 10 hexadecimal bytes"),
        (set_in(*VCPU, "registers", "sse_mode", to=[0, 5, 0, 0, 0, 0, 0, 0]), "sse_mode"),
        (set_in(*VCPU, "registers", "rax", to=1 << 64), "registers.rax"),
        (set_in(*VCPU, "registers", to=None), "never started"),
        (set_in(*VCPU, "msrs", "stored", to=[[1, 1]]), "has other registers"),
        (set_in("board", "vcpus", "all", to=[]), "has 0 entries"),
        (set_in("board", "vcpus", "current", to=3), "never started"),
        (set_in("board", "mapped", to=[[0, 8 << 40]]), "which is not accepted"),
        (set_in("board", "td", "sept", to=[[0, 1 << 32, "MAPPED", 0]]), "other pages outside of RAM"),
        (set_in("board", "mapped_devices", to=[[0, 4096]]), "damaged"),
        (set_in("board", "mapped_devices", to=[[1, 2]]), "damaged"),
        (set_in("board", "devices", "devices", "COM1", "received", to=[256]), "COM1.received"),
        (set_in("board", "devices", "devices", "COM2", to={}), "are not this machine's"),
        (set_in("board", "devices", "pci", to=[]), "are not this machine's|is not this machine's"),
        (set_in("board", "devices", "devices", "8254 PIT channel 2", "count", to=0), "count"),
        (set_in("board", "last_accept", to=0), "is not the number of an accept"),
        (set_in("board", "trace", to=[{}]), "is missing"),
        (set_in("board", "measurements", "rtmrs", to=["", "", "", ""]), "is not 48 bytes"),
        (set_in("line", to="x"), "damaged"),
        (set_in("unpacking", "functions", to=[[]]), "functions"),
        (set_in("more", to=1), "'more' is not known"),
        (lambda state: state.pop("waits") and None, "'waits' is missing"),
    ],
)  # fmt: skip
def test_a_state_that_no_machine_has_is_refused_by_its_field(
    tmp_path: Path, saved: str, change: Change, why: str
) -> None:
    said = error_of(changed(saved, change), tmp_path)
    assert re.search(why, said), said
    assert said.startswith(f"{saved}: this saved machine is damaged: ")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (set_in("version", to=3), "a saved machine of version 3; this is for version 2"),
        (set_in("form", to="other"), "not a saved machine"),
        (set_in("sha256", "bytes", to="00"), "bytes is not what was written"),
        (set_in("sha256", "state", to="00"), "state is not what was written"),
        (set_in("files", to=[{"role": "password"}]), "role"),
    ],
)
def test_a_header_of_another_file_is_refused(tmp_path: Path, saved: str, change: Change, why: str) -> None:
    assert why in error_of(changed(saved, header=change), tmp_path)


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path, saved: str) -> None:
    data = Path(saved).read_bytes()
    for size in [*range(0, len(data), len(data) // 40), len(data) - 1]:
        Path(saved).write_bytes(data[:size])
        assert "cut or damaged" in error_of(saved, tmp_path) or not size


def test_a_file_with_any_byte_changed_is_refused_or_the_same_machine(tmp_path: Path, saved: str) -> None:
    data = Path(saved).read_bytes()
    refused = 0
    for at in range(0, len(data), 37):
        Path(saved).write_bytes(data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :])
        try:
            with made_machine(tmp_path, saved=saved):
                pass  # a byte that zip files do not use
        except FormatError:
            refused += 1
    assert refused > 60


def test_memory_that_unpacks_to_more_than_the_machine_has_takes_none_of_it(tmp_path: Path, saved: str) -> None:
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["bytes"] = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    head = json.loads(members["machine.json"])
    head["sha256"]["bytes"] = hashlib.sha256(members["bytes"]).hexdigest()
    members["machine.json"] = json.dumps(head).encode()
    with zipfile.ZipFile(saved, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert "fewer than the file has" in error_of(saved, tmp_path)


def test_a_machine_of_another_size_is_refused(tmp_path: Path, saved: str) -> None:
    for options in (replace(OPTIONS, memory=256 * MIB), replace(OPTIONS, vcpus=2)):
        assert "made with other TD options" in error_of(saved, tmp_path, options)
    head = set_in("options", to=options_to_dict(replace(OPTIONS, vcpus=2)))
    assert "are not this machine's" in error_of(changed(saved, header=head), tmp_path, replace(OPTIONS, vcpus=2))


# ---- registers --------------------------------------------------------------------------------------------------


def new_processor() -> bytes:
    """The emulator's form of a processor of which nothing is known, but that its intercepts count."""
    image = bytearray(SIZE)
    struct.pack_into("<I", image, 40 + 176, 1 << 21)
    return bytes(image)


@given(st.data())
def test_registers_are_the_same_there_and_back(data: st.DataObject) -> None:
    new = new_processor()
    registers = registers_of(with_minimum(new), new)
    words = st.integers(0, (1 << 64) - 1)
    for name in data.draw(st.lists(st.sampled_from(["rax", "rip", "cr3", "lstar", "dr7", "star", "r15"]))):
        registers[name] = data.draw(words)
    registers["xmm_registers"][5] = data.draw(st.binary(min_size=16, max_size=16)).hex()
    registers["fpu_registers"][7] = data.draw(st.binary(min_size=10, max_size=10)).hex()
    registers["cs"] = [8, data.draw(words), 0xFFFFFFFF, 0xAF9B00]
    assert registers_of(image_of(registers, new, ""), new) == registers


def with_minimum(new: bytes) -> bytes:
    """The same with values that each register may have."""
    image = bytearray(new)
    struct.pack_into("<i", image, 40 + 172, 1)
    struct.pack_into("<i", image, 40 + 496, -1)
    return bytes(image)


def test_what_is_in_no_register_is_not_saved_in_silence() -> None:
    new = new_processor()
    image = bytearray(with_minimum(new))
    image[40 + 504] = 1  # a bound register
    with pytest.raises(EngineError, match="does not hold"):
        registers_of(bytes(image), new)


def test_hardware_breakpoints_are_not_saved() -> None:
    new = new_processor()
    image = bytearray(with_minimum(new))
    image[40 + 5464] = 1
    with pytest.raises(EngineError, match="hardware breakpoints"):
        registers_of(bytes(image), new)


def test_no_registers_at_all_are_refused() -> None:
    with pytest.raises(FieldError):
        image_of([], new_processor(), "registers")


# ---- accepts ----------------------------------------------------------------------------------------------------

PAGES = st.builds(
    AcceptCall, st.integers(0, 2), st.integers(0, 6).map(lambda n: n << 12), st.integers(0, 1), st.sampled_from([0, 11])
)


@given(st.lists(PAGES, max_size=40), st.integers(0, 200))
def test_accepts_are_the_same_there_and_back_and_neighbours_are_one_row(calls: list[AcceptCall], many: int) -> None:
    rows = _rows_of(calls + [AcceptCall(1, number << 21, 1, 0) for number in range(many)])
    assert _calls_of(rows) == calls + [AcceptCall(1, number << 21, 1, 0) for number in range(many)]
    assert len(rows) <= len(calls) + 1


def test_more_accepts_than_a_run_keeps_take_no_memory() -> None:
    with pytest.raises(FieldError, match="more than a run keeps"):
        _calls_of([[0, 0, 0, 0, 1 << 20]] * 1000)
