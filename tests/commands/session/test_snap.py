"""``snap``: moments with a name, in the shell and in files."""

from __future__ import annotations

import gc
import json

import pytest

from tdvfsh.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.machine.options_file import options_from_dict, options_to_dict
from tdvfsh.shell.history import DEPTH, Moment
from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.shell.shell import Shell
from tests.commands.session.test_undo import state
from tests.formats.pe_builder import build_pe
from tests.shell.under_test import ShellUnderTest

PREPARE = (
    "td new -memory 2G", "accept 512M 64M", "tdcall accept 700M 2M", "bs AllocatePages AnyPages LoaderData 10",
    "bs AllocatePool BootServicesData 200", "mm 1000 77 -n", "initrd i.txt", "set a b", "set -v c d", "alias x ls",
    "cd w", "setvar v -bs -nv =55", "stall 1234", "time 10:11:12", "date 05/06/2030",
    "timezone -s 01:00", "getmtc",
)  # fmt: skip
AFTERWARDS = (
    "bs AllocatePages AnyPages LoaderData 3", "bs AllocatePool BootServicesData 90", "accept 800M 4M", "memmap",
    "sept", "dh", "mm 1000 -n", "initrd -u", "td", "dmpstore v", "set", "alias", "cd", "time", "trace -n 0",
    "date", "timezone", "getmtc",
)  # fmt: skip


def _at_work() -> ShellUnderTest:
    under_test = ShellUnderTest()
    under_test.put("i.txt", "initrd\n" * 2000)
    under_test.put("w\\in.txt", "text\n")
    under_test.files.write_file("app.efi", build_pe())
    under_test.run(*PREPARE)
    return under_test


def test_a_snapshot_keeps_none_of_those_before_it_alive() -> None:
    """Each held the snapshots of its moment, and so all that ever had its name (found by the soak)."""

    def kept() -> int:
        gc.collect()
        return sum(type(one) is Moment for one in gc.get_objects())

    under_test = ShellUnderTest()
    under_test.run("td new -memory 1G")
    before = kept()
    under_test.run(*["snap save a", "accept 600M 2M", "undo"] * 100, *["ver"] * DEPTH)
    assert kept() - before <= DEPTH + 2


def _without_clock(shell: Shell) -> dict[str, object]:
    kept = state(shell)
    del kept["families"], kept["files"]
    return kept


def test_a_restored_snapshot_is_the_moment_it_was_saved_in() -> None:
    under_test = _at_work()
    under_test.run("snap save one")
    expected = _without_clock(under_test.shell)
    under_test.run(*AFTERWARDS, "td new -memory 1G", "set -d a", "fs0:", "snap restore ONE")
    under_test.run("snap list")  # lasterror is that of a command that worked, as behind "snap save"
    assert _without_clock(under_test.shell) == expected
    assert under_test.run("snap").splitlines()[1].startswith("one ")


def test_restoring_an_older_snapshot_keeps_the_newer_ones(under_test: ShellUnderTest) -> None:
    text = under_test.run("snap save a", "set x 1", "snap save b", "snap restore a", "snap restore b", "set x")
    assert "= 1" in text
    assert under_test.run("snap rm a", "snap rm b", "snap").count("\n") == 1


@pytest.mark.parametrize(
    ("line", "says", "status"),
    [
        ("snap restore z", "there is no snapshot 'z'", 14),
        ("snap rm z", "there is no snapshot 'z'", 14),
        ("snap save", "Too few arguments", 2),
        ("snap save now", "present moment", 2),
        ("snap freeze z", "Invalid argument - 'freeze'", 2),
        ("snap load z", "load needs -file", 2),
        ("snap load z -file none.json", "no such file", 7),
        ("snap load z -file t.txt", "this snapshot: not JSON", 3),
        ("snap load z -file o.json", "not a snapshot: it has no format", 3),
        ("snap load z -file newer.json", "a snapshot of version 9, written by tdvfsh 7.0", 3),
        ("snap load z -file broken.json", "damaged", 3),
    ],
)
def test_what_cannot_be_is_said_in_one_line(under_test: ShellUnderTest, line: str, says: str, status: int) -> None:
    under_test.put("t.txt", "text")
    under_test.put("o.json", "{}")
    under_test.put("newer.json", '{"format": "tdvfsh-snapshot", "version": 9, "tdvfsh": "7.0"}')
    under_test.put("broken.json", '{"format": "tdvfsh-snapshot", "version": 1, "shell": {"variables": 4}}')
    before = state(under_test.shell)["variables"]
    text = under_test.run(line)
    assert says in text
    assert text.count("\n") == 1
    assert under_test.shell.last_error_code == status
    under_test.run("snap list")
    assert state(under_test.shell)["variables"] == before


def test_a_snapshot_in_a_file_brings_another_shell_to_the_same_moment() -> None:
    first = _at_work()
    assert first.run("snap save one -file fs0:\\s.json") == ""
    expected = first.run(*AFTERWARDS)
    second = ShellUnderTest()
    for path in ("i.txt", "w\\in.txt", "app.efi", "s.json"):
        second.files.write_file(path, first.files.read(path.split("\\")))
    assert second.run("snap load two -file s.json", "snap restore two") == ""
    assert second.run(*AFTERWARDS) == expected


def test_a_loaded_image_comes_back_with_its_file_or_not_at_all() -> None:
    first = _at_work()
    machine = machine_of(first.shell)
    from tdvfsh.shell.images_on_drives import load_image

    found = first.shell.find_files("fs0:\\app.efi")[0]
    handle = load_image(first.shell, machine, found).handle
    assert handle is not None
    first.run("fs0:", "cd \\", "snap save one -file s.json", "snap load two -file s.json", "snap restore two")
    again = machine_of(first.shell)
    assert again is not machine
    image, was = again.services.images.loaded_image(handle), machine.services.images.loaded_image(handle)
    assert image is not None
    assert was is not None
    assert (image.image_base, image.entry_point, image.pe) == (was.image_base, was.entry_point, was.pe)
    assert again.td.contents.read(image.image_base, 0x1000) == machine.td.contents.read(image.image_base, 0x1000)
    first.files.write_file("app.efi", build_pe(size_of_image=0x4000))
    assert "which is another file now" in first.run("snap load three -file s.json")


def test_a_snapshot_file_is_json_of_a_version() -> None:
    under_test = _at_work()
    under_test.run("cd \\", "snap save one -file s.json")
    data = json.loads(under_test.files.read(["s.json"]))
    assert (data["format"], data["version"]) == ("tdvfsh-snapshot", 2)
    assert data["machine"]["options"]["memory"] == 2 << 30
    assert [512 << 20, 576 << 20, "MAPPED", 0] in [
        [max(low, 512 << 20), min(high, 576 << 20), state, level]
        for low, high, state, level in data["machine"]["td"]["sept"]
    ]


def test_a_file_takes_64_mib_of_memory_and_no_more(under_test: ShellUnderTest) -> None:
    machine = machine_of(under_test.shell)
    machine.td.contents.map_view(0x1000000, memoryview(bytes(65 << 20)))
    assert "memory holds 65 MiB; a snapshot file takes 64 MiB" in under_test.run("snap save a -file s.json")
    assert under_test.shell.last_error_code == 2
    assert "a " not in under_test.run("snap")


def test_options_go_through_a_file_and_come_back() -> None:
    options = TdOptions(memory=1 << 31, on_demand="service", fault=("AllocatePages:2=EFI_NOT_FOUND",), td=True, gpaw=52)
    assert options_from_dict(json.loads(json.dumps(options_to_dict(options))), "x") == options
    assert options_to_dict(TdOptions()) == {}
    of_old = options_from_dict({"map_file": "m", "faults": ["accept:1=OPERAND_BUSY"]}, "x")
    assert of_old == TdOptions(map="m", fault="accept:1=OPERAND_BUSY")
    assert Machine(options_from_dict({"accept": "below-4g"}, "x")).options.accept.name == "below-4g"
