"""``diff``: what appeared, vanished, changed type or was accepted."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.machine import Machine, TdOptions
from tdvfsh.machine.difference import MEMORY_MAP, changed_ranges, difference
from tdvfsh.units import GIB, MIB
from tests.shell.under_test import ShellUnderTest

ACCEPTED = """\
Memory map (key 142 -> 143)
  0x20000000-0x2fffffff  256 MiB  Unaccepted -> Available
GCD map
  0x20000000-0x2fffffff  256 MiB  Unaccepted -> SystemMemory
Secure EPT
  0x20000000-0x2fffffff  256 MiB  FREE -> MAPPED (accepted)
+26.624 ms modelled; +256 MiB accepted; +128 TDCALLs; +3 records in the journal
"""


def test_without_names_it_is_the_last_command_that_changed_something(under_test: ShellUnderTest) -> None:
    under_test.run("memmap", "accept 512M 256M", "td", "ls", "memmap", "sept")
    text = under_test.run("diff")
    assert text.splitlines()[1:6] == ACCEPTED.splitlines()[1:6]
    assert under_test.run("diff") == text
    under_test.run("set a 1")
    assert under_test.run("diff") == "Variables\n  + a = 1\n"
    under_test.run("set a 2")
    assert under_test.run("diff") == "Variables\n    a: 1 -> 2\n"
    under_test.run("set -d a")
    assert under_test.run("diff") == "Variables\n  - a = 2\n"


def test_two_snapshots_are_compared_in_the_order_given(under_test: ShellUnderTest) -> None:
    under_test.run("snap save a", "memmap", "snap save b", "accept 512M 256M", "snap save c")
    assert under_test.run("diff a b").startswith("Machine: made\n")
    forwards, backwards = under_test.run("diff b c"), under_test.run("diff c b")
    assert "  256 MiB  FREE -> MAPPED (accepted)\n" in forwards
    assert "  256 MiB  MAPPED -> FREE\n" in backwards
    assert "-256 MiB accepted" in backwards
    assert under_test.run("diff b b") == "Nothing has changed.\n"
    assert under_test.run("diff c NOW") == "Nothing has changed.\n" or "records" in under_test.run("diff c now")


def test_a_command_that_made_the_machine_is_held_against_the_machine_as_made(under_test: ShellUnderTest) -> None:
    under_test.run("accept 512M 256M")
    lines = under_test.run("diff").splitlines()
    assert lines[0] == "Machine: made"
    assert "  0x20000000-0x2fffffff  256 MiB  FREE -> MAPPED (accepted)" in lines
    under_test.run("undo 2")
    assert under_test.shell.machine is None


def test_handles_and_options_show(under_test: ShellUnderTest) -> None:
    under_test.put("i.txt", "text")
    under_test.run("td new -memory 2G", "snap save a", "initrd i.txt")
    assert "Handles\n  + 0x4  DevicePath, LoadFile2\n" in under_test.run("diff")
    under_test.run("initrd -u")
    assert "Handles\n  - 0x4  DevicePath, LoadFile2\n" in under_test.run("diff")
    under_test.run("td new -memory 3G")
    text = under_test.run("diff a")
    assert text.startswith("memory: 2147483648 -> 3221225472\n")
    assert "new: Unaccepted" in text


def test_standard_format_output_has_a_row_for_each_change(under_test: ShellUnderTest) -> None:
    under_test.run("memmap", "accept 512M 256M")
    rows = under_test.run("diff -sfo").splitlines()
    assert rows[0] == 'ShellCommand,"diff"'
    assert 'SecureEpt,"20000000","2FFFFFFF","268435456","FREE","MAPPED"' in rows
    assert rows[-1].startswith('Account,"')
    assert rows[-1].endswith('"786560000","268435456","65664","3"')


def test_it_leaves_lasterror_alone_unless_there_is_nothing_to_compare(under_test: ShellUnderTest) -> None:
    assert under_test.run("diff") == "diff: there is no command before this one\n"
    assert under_test.shell.last_error_code == 14
    under_test.run("ls nowhere", "set z 1", "diff")
    assert under_test.shell.last_error_code == 14
    assert under_test.run("diff nowhere") == "diff: there is no snapshot 'nowhere'\n"


def test_only_what_changed_is_in_a_difference() -> None:
    machine = Machine(TdOptions(memory=2 * GIB))
    before = machine.snapshot()
    assert difference(before, machine.snapshot(before)).is_empty
    machine.services.allocate_pages(0, 2, 16, 0)
    found = difference(before, machine.snapshot(before))
    assert [(one.map_name, one.end - one.start, one.before, one.after) for one in found.ranges] == [
        (MEMORY_MAP, 16 * 4096, "Available", "LoaderData")
    ]
    assert found.accepted_bytes == 0
    machine.services.accept_memory(512 * MIB, 2 * MIB)
    assert [one.accepted for one in difference(before, machine.snapshot(before)).ranges].count(True) == 1


PIECES = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["a", "b", None])), max_size=8)


@given(PIECES, PIECES)
def test_changed_ranges_are_exactly_those_addresses_whose_value_differs(
    old: list[tuple[int, str | None]], new: list[tuple[int, str | None]]
) -> None:
    def laid_out(pieces: list[tuple[int, str | None]]) -> tuple[list[tuple[int, int, str]], dict[int, str]]:
        spans, by_address, at = [], {}, 0
        for size, value in pieces:
            if value is not None:
                spans.append((at, at + size, value))
                by_address.update(dict.fromkeys(range(at, at + size), value))
            at += size
        return spans, by_address

    (old_spans, old_values), (new_spans, new_values) = laid_out(old), laid_out(new)
    changes = list(changed_ranges("x", old_spans, new_spans))
    found = {at: (one.before, one.after) for one in changes for at in range(one.start, one.end)}
    assert found == {
        at: (old_values.get(at), new_values.get(at)) for at in range(64) if old_values.get(at) != new_values.get(at)
    }
    for one, other in pairwise(changes):
        assert one.end < other.start or (one.before, one.after) != (other.before, other.after)
