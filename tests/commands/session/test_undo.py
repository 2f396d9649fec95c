"""``undo`` and ``redo``: after any command, the shell and its machine are what they were."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tdvfsh.commands.boot.boot import last_boot
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.machine import Machine
from tdvfsh.machine.snapshot import same
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.drives.memoryfiles import MemoryFileSystem
from tdvfsh.shell.history import BYSTANDERS, DEPTH
from tdvfsh.shell.machine_binding import real_time_clock, running_machine
from tdvfsh.shell.shell import Shell
from tests.shell.under_test import ShellUnderTest

COMMANDS = (
    "accept 512M 2M", "accept 600M 4M", "accept 1 2", "bs AllocatePages AnyPages LoaderData 10",
    "bs AllocatePages Address LoaderData 100 1000000", "bs AllocatePool BootServicesData 200",
    "bs FreePages 1000000 100", "bs GetMemoryMap", "bs LocateProtocol LoadedImage", "tdcall accept 700M 2M",
    "mm 1000 7 -w 4 -n", "mm 1000 -n", "dmem 1000 10", "memmap", "dh", "td", "td new -memory 1G", "sept", "trace -n 3",
    "set a b", "set -d a", "set c %lasterror%", "alias x ls", "alias -d x", "cd w", "cd \\", "fs1:", "fs0:", "nosuch",
    "map z fs0:", "map -d z", "map -r", "mkdir w", "rm -q w", "rm -q *", "echo hello > f.txt", "echo x >v e",
    "echo more >> f.txt", "type f.txt", "cp f.txt g.txt", "attrib +r f.txt", "touch f.txt", "initrd f.txt", "initrd -u",
    "load f.txt", "s.nsh", "stall 1000", "time 10:11:12", "timezone -s 1:00", "date 05/06/2020", "getmtc", "cls 1",
    "mode 100 31", "setvar v =55", "setvar v -bs -nv =55", "dmpstore -d v", "help undo", "@echo -off",
    "ls | type f.txt", "set u 1 | set v 2", "explain", "compare f.txt", "boot f.txt", "inspect f.txt", "ver", "#", "",
)  # fmt: skip
SCRIPT = "set inner 1\naccept 800M 2M\nif %inner% == 1 then\ncd w\nendif\nfor %a in 1 2\necho %a > n%a.txt\nendfor\n"


def state(shell: Shell) -> dict[str, object]:
    """All that ``undo`` has to bring back, as plain values."""
    machine = running_machine(shell)
    kept = {key: value for key, value in shell.state.items() if key != "file views"}
    return {
        "variables": shell.environment.state(),
        "order": list(shell.environment.items()),
        "aliases": shell.aliases.state(),
        "drives": shell.drives.state(),
        "current": shell.current,
        "time": (real_time_clock(shell).get_time(shell.clock.now_ns), shell.clock.now_ns),
        "firmware": None if machine is None else firmware_state(machine),
        "options": shell.td_options,
        "echo": shell.interpreter.echo,
        "machine": id(machine),
        "trace": [] if machine is None else [record.as_dict() for record in machine.trace],
        "map": [] if machine is None else list(machine.services.core.memory_map),
        "key": 0 if machine is None else machine.services.core.memory_map.key,
        "families": {key: _plain(value) for key, value in kept.items()},
        "files": [_tree(drive.filesystem) for drive in shell.drives.drives],
    }


def firmware_state(machine: Machine) -> object:
    """What the firmware keeps beside memory and handles."""
    core = machine.services.core
    return list(core.variables), core.real_time_clock.copy(), core.monotonic_counter.count, core.configuration_tables


def _plain(value: object) -> object:
    own = getattr(value, "__dict__", None)
    return deepcopy(own) if own is not None and not isinstance(value, tuple) else value


def _tree(filesystem: object) -> object:
    assert isinstance(filesystem, MemoryFileSystem)
    root: object = filesystem.state()

    def plain(node: object) -> object:
        children = getattr(node, "children", None)
        own = getattr(node, "name", ""), bytes(getattr(node, "data", b"")), getattr(node, "attributes", "")
        return own, None if children is None else [plain(one) for one in children.values()]

    return plain(root)


def _prepared() -> ShellUnderTest:
    under_test = ShellUnderTest()
    under_test.shell.mount(MemoryFileSystem("OTHER"))
    under_test.put("f.txt", "text\n")
    under_test.put("w\\in.txt", "text\n")
    under_test.put("s.nsh", SCRIPT)
    return under_test


LINES = st.lists(st.sampled_from(COMMANDS), max_size=8)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(LINES, st.sampled_from(COMMANDS), LINES)
def test_undo_after_any_command_brings_the_state_before_it_back(before: list[str], line: str, more: list[str]) -> None:
    under_test = _prepared()
    shell = under_test.shell
    under_test.run(*before)
    whole = shell.history.done[-1].snapshot if shell.history.done else None
    expected = state(shell)
    machine = running_machine(shell)
    snapshot = machine.snapshot(whole) if machine is not None else None
    depth = len(shell.history.done)
    under_test.run(*(one for one in (line, *more) if one))
    after = state(shell)
    steps = 0
    while len(shell.history.done) > depth and shell.history.undo(shell) is not None:
        steps += 1
    assume(len(shell.history.done) >= depth)  # lines before that had changed nothing were not gone back to
    assert _but_for_the_status(state(shell)) == _but_for_the_status(expected)
    if machine is not None and snapshot is not None:
        assert machine.snapshot(snapshot) is snapshot or same(machine.services.core.pool, snapshot.core.pool)
        assert machine.snapshot(snapshot).td is snapshot.td
        assert machine.snapshot(snapshot).core is snapshot.core
    for _ in range(steps):
        assert shell.history.redo(shell) is not None
    assert _but_for_the_status(state(shell)) == _but_for_the_status(after)


def _but_for_the_status(found: dict[str, object]) -> dict[str, object]:
    """A state without ``lasterror``, which lines that are not gone back to had set."""
    variables, order = found["variables"], found["order"]
    assert isinstance(variables, tuple)
    assert isinstance(order, list)
    values, volatile = variables
    kept = {name: value for name, value in values.items() if not name.endswith("lasterror")}
    shown = [(name, value) for name, value in order if not name.endswith("lasterror")]
    return found | {"variables": (kept, volatile), "order": shown}


def test_undo_skips_what_changed_nothing(under_test: ShellUnderTest) -> None:
    under_test.run("td new -memory 1G", "set a 1", "memmap", "ls", "help ls", "set a", "nosuch")
    assert under_test.run("undo") == "Undone: set a 1\n"
    assert under_test.run("redo", "echo %a%") == "Redone: set a 1\n1\n"
    assert under_test.run("accept 512M 2M", "sept", "td", "undo").endswith("Undone: accept 512M 2M\n")
    under_test.run("attrib +r f.txt", "attrib f.txt", "date 1/2/2024", "date")
    assert under_test.run("undo") == "Undone: date 1/2/2024\n"


@pytest.mark.parametrize("name", sorted(BYSTANDERS))
def test_a_bystander_leaves_the_machine_alone(name: str) -> None:
    under_test = _prepared()
    under_test.run("memmap")
    machine = running_machine(under_test.shell)
    assert machine is not None
    snapshot = machine.snapshot()
    lines = [line for line in COMMANDS if line.partition(" ")[0] == name]
    for line in [name, f"{name} f.txt", f"{name} 1", *lines]:
        if name != "exit":
            under_test.run(line)
        assert machine.snapshot(snapshot) is snapshot
        assert running_machine(under_test.shell) is machine


def test_undo_says_what_it_took_back(under_test: ShellUnderTest) -> None:
    assert under_test.run("set a 1", "undo") == "Undone: set a 1\n"
    assert under_test.shell.get_variable("a") is None
    assert under_test.run("undo") == "undo: There is nothing to undo.\n"
    assert under_test.shell.last_error_code == 14


def test_undo_leaves_lasterror_as_it_was_before_the_line(under_test: ShellUnderTest) -> None:
    under_test.run("set a 1", "ls nowhere", "set b 1", "cd nowhere", "ver", "undo")
    assert under_test.shell.last_error_code == 14
    under_test.run("undo")
    assert under_test.shell.last_error_code == 0


def test_a_script_at_the_prompt_is_one_line(under_test: ShellUnderTest) -> None:
    under_test.put("two.nsh", "set a 1\nset b 2\n")
    under_test.run("set z 0", "two.nsh", "undo")
    assert [under_test.shell.get_variable(name) for name in "zab"] == ["0", None, None]


def test_inside_a_script_each_line_is_one_and_the_line_that_called_it_is_out_of_reach(
    under_test: ShellUnderTest,
) -> None:
    under_test.put("undoes.nsh", "@echo -off\nset a 1\nset b 2\nundo\nundo 9\n")
    under_test.run("set z 0")
    text = under_test.run("undoes.nsh")
    assert text.endswith("Undone: set b 2\nUndone: set a 1\nUndone: @echo -off\nundo: There is nothing more to undo.\n")
    assert under_test.shell.get_variable("z") == "0"


def test_looking_around_keeps_what_can_be_redone_and_changing_something_does_not(under_test: ShellUnderTest) -> None:
    under_test.run("memmap", "accept 512M 2M", "undo", "sept", "ls", "td")
    assert under_test.run("redo").startswith("Redone: ")
    under_test.run("undo", "set q 1")
    assert under_test.run("redo") == "redo: There is nothing to redo.\n"


def test_only_so_many_lines_are_kept(under_test: ShellUnderTest) -> None:
    for number in range(DEPTH + 20):
        under_test.run(f"set a {number}")
    assert len(under_test.shell.history.done) == DEPTH
    assert under_test.run(f"undo {DEPTH + 1}").endswith("undo: There is nothing more to undo.\n")
    assert under_test.shell.get_variable("a") == "19"


def test_a_boot_that_was_undone_can_still_be_explained(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_kernel(tmp_path / "k", 12 << 20, 60 << 20)
    make_initrd(tmp_path / "i", 8 << 20, None)
    shell = Shell()
    shell.mount(HostFolder(str(tmp_path)))
    run: Callable[[str], object] = shell.run_line
    run("boot -memory 2G -accept 256M k i")
    first = last_boot(shell)
    run("boot -memory 2G -accept 192M k i")
    assert last_boot(shell) is not first
    run("undo")
    assert last_boot(shell) is first
    run("explain")
    assert shell.last_error_code == 0
    assert first is not None
    assert bytes(first.files.kernel.view[:2]) == b"MZ"


def test_the_attributes_of_a_host_s_files_come_back_and_the_files_stay(tmp_path: Path) -> None:
    shell = Shell()
    folder = HostFolder(str(tmp_path), writable=True)
    shell.mount(folder)
    shell.run_line("echo x > a.txt")
    shell.run_line("attrib +h a.txt")
    shell.run_line("undo")
    shell.run_line("undo")
    info = folder.info(("a.txt",))
    assert info is not None
    assert "h" not in info.attributes


def test_redo_keeps_no_more_lines_than_there_may_be() -> None:
    under_test = ShellUnderTest()
    for number in range(DEPTH):
        under_test.run(f"set v {number}")
    for _ in range(5):
        under_test.run("undo 3", "ver", "ver", "ver", "redo 3")
        assert len(under_test.shell.history.before_now()) <= DEPTH
    assert under_test.shell.get_variable("v") == str(DEPTH - 1)
