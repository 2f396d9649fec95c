"""Random commands in one shell, and what has to hold after any of them."""

from __future__ import annotations

import gc
import os
import re
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Final

from tdvfsh.dxe.memory.memory_map import CONVENTIONAL
from tdvfsh.machine import Machine
from tdvfsh.script.streams import NullSink
from tdvfsh.shell.drives.memoryfiles import MemoryFileSystem
from tdvfsh.shell.history import DEPTH
from tdvfsh.shell.machine_binding import machine_of, running_machine
from tdvfsh.shell.shell import Shell
from tdvfsh.trace import Trace
from tdvfsh.uefi.memory import EfiGcdMemoryType
from tdvfsh.units import PAGE_SHIFT
from tests.formats.pe_builder import build_pe
from tests.fuzz.mutate import mutate_bytes
from tests.fuzz.seeds import lines

_NEW_TD: Final = "td new -memory 1G -accept 512M -on-demand {}"
_OPTIONS: Final = ("none", "allocator", "service", "loader")
_TYPES: Final = ("LoaderData", "LoaderCode", "BootServicesData", "RuntimeServicesData", "ReservedMemoryType", "9", "F")
_TEMPLATES: Final = (
    "bs AllocatePages AnyPages {type} {pages}", "bs AllocatePages AnyPages {type} {pages}",
    "bs AllocatePages MaxAddress {type} {pages} {address}", "bs AllocatePages Address {type} {pages} {address}",
    "bs FreePages {address} {pages}", "bs FreePages {taken} {pages}", "bs FreePages {taken} {pages}",
    "bs AllocatePool {type} {pages}", "bs FreePool {taken}", "bs GetMemoryMap", "bs GetMemoryMap {pages}",
    "accept {address} {size}", "accept {address} {size}", "tdcall accept {address}", "sept {address}", "sept",
    "memmap", "memmap -sfo", "dmem {address} {pages}", "mm {address} {pages} -w 4 -n", "td", "td -sfo", "trace -n 5",
    "dh", "load a.efi", "unload -n {pages}", "explain", "undo", "redo", "undo 3", "diff", "snap save a",
    "snap restore a", "fault tdcall:{pages}=OPERAND_BUSY", "fault -d", "initrd t.txt", "initrd -u", "inspect a.efi",
    "assert ram == 1G",
    "set a {pages}", "set -d a", "echo %a% %lasterror%", "alias x ls", "alias -d x", "ls", "ls -r", "cd w", "cd \\",
    "mkdir w{pages}", "rm -q w{pages}", "echo {pages} > f.txt", "echo {pages} >> f.txt", "cp -q f.txt g.txt",
    "type f.txt", "rm -q *.txt", "for %i in 1 2 3", "s.nsh", "s.nsh {pages} {address}", "map", "help accept", "ver",
    "nosuch", "stall 1",
)  # fmt: skip
_SCRIPT: Final = (
    "for %i run (1 5)\nbs AllocatePages AnyPages LoaderData %i\nif %i == 3 then\naccept 600M 2M\nendif\nendfor\n"
)
_STRETCH: Final = 2000
_MANY_DESCRIPTORS: Final = 250
_MANY_HANDLES: Final = 60
_ENDING: Final = re.compile("exit|reset", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Stretch:
    """How things stood after some commands.

    Attributes:
        commands: How many had run.
        resident: Bytes that the process held.
        journal: Of these, about what the journal takes, which keeps every call and so only grows.
        records: Calls in the journal.
        descriptors: Descriptors in the memory map.
        handles: Handles in the database.
    """

    commands: int
    resident: int
    journal: int
    records: int
    descriptors: int
    handles: int


@dataclass
class Soak:
    """A shell under random commands.

    What commands make, others take away as it becomes much, so that the state does not grow: memory that does is lost.

    Attributes:
        seed: Of all that is random.
        one_td: Whether the first TD lives as long as the shell; else each stretch ends with a new one.
        commands: How many have run.
        stretches: How things stood after each stretch.
        slowest: Processor seconds of the command that took most, and which it was.
        longest: The same by the clock, in which the machine may have done other things.
    """

    seed: int
    one_td: bool = False
    commands: int = 0
    stretches: list[Stretch] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    longest: tuple[float, str] = (0.0, "")

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._lines = [line for line in lines() if not _ENDING.search(line.decode("latin-1"))]
        self._sink = NullSink()
        self._begin()

    def run(self, commands: int, stretch: int = _STRETCH) -> None:
        """Run that many commands."""
        for _ in range(commands):
            line = self._line()
            start, used = time.perf_counter(), time.process_time()
            self._deadline = start + 5
            self.shell.run_line(line)
            self.slowest = max(self.slowest, (time.process_time() - used, line))
            self.longest = max(self.longest, (time.perf_counter() - start, line))
            self.commands += 1
            assert not self.shell.exiting, line
            if self.commands % 50 == 0:
                self.check()
            if self.commands % stretch == 0:
                self._end_stretch()

    def check(self) -> None:
        """What holds in every machine: ranges in order, every byte of RAM in one place, counts that agree."""
        machine = running_machine(self.shell)
        if machine is None:
            return
        for before, after in pairwise(machine.services.core.memory_map):
            assert before.end <= after.start
        for low, high in pairwise(machine.services.gcd):
            assert low.end == high.start
        assert accounted(machine) == machine.td.ram.memory
        assert machine.td.accepted_bytes + machine.td.unaccepted_bytes == machine.td.ram.memory
        assert len(self.shell.history.before_now()) <= DEPTH + 1

    def _end_stretch(self) -> None:
        self.shell.run_line("fs0:")
        self.shell.run_line("rm -q *")
        self._files()
        if not self.one_td:
            self.shell.run_line("snap rm a")
            self._new_td(self._random.choice(_OPTIONS))
        gc.collect()
        machine = running_machine(self.shell)
        assert machine is not None
        services = machine.services
        self.stretches.append(
            Stretch(
                self.commands,
                resident_bytes(),
                journal_bytes(machine.trace),
                len(machine.trace),
                len(services.core.memory_map),
                len(services.handles),
            )
        )

    def _begin(self) -> None:
        self.shell = Shell(self._sink)
        self.shell.interpreter.echo = False
        self.files = MemoryFileSystem("SOAK")
        self.shell.mount(self.files)
        self._deadline = time.perf_counter() + 5
        self.shell.interrupted = lambda: time.perf_counter() > self._deadline
        self._files()
        self.shell.run_line("fs0:")
        self._new_td("none")

    def _new_td(self, option: str) -> None:
        self.shell.run_line(_NEW_TD.format(option))
        machine = machine_of(self.shell)
        self._firmware = {entry.end for entry in machine.services.core.memory_map}

    def _files(self) -> None:
        self.files.write_file("a.efi", build_pe())
        self.files.write_file("s.nsh", _SCRIPT.encode())
        self.files.write_file("t.txt", b"text")

    def _line(self) -> str:
        random = self._random
        if random.random() < 0.1:
            data = mutate_bytes(random, random.choice(self._lines), self._lines, ())
            words = data.decode("latin-1").replace("\n", " ").replace("\r", " ")
            return "echo" if _ENDING.search(words) else words[:300]
        machine = running_machine(self.shell)
        taken = 0x1000000
        if machine is not None and random.random() < 0.25:
            if len(machine.services.core.memory_map) > _MANY_DESCRIPTORS:
                return self._free_something(machine)
            if len(machine.services.handles) > _MANY_HANDLES:
                return f"unload -n {random.choice(list(machine.services.handles)):x}"
        if machine is not None and len(machine.trace):
            value = machine.trace.records[-1 - int(random.random() * min(20, len(machine.trace)))].results.get("memory")
            taken = value if isinstance(value, int) else taken
        return random.choice(_TEMPLATES).format(
            type=random.choice(_TYPES),
            pages=f"{1 + int(random.random() ** 3 * 64):x}",
            address=f"{int(random.random() * 0x60000) << 12:x}",
            size=f"{1 + int(random.random() ** 2 * 512) << 12:x}",
            taken=f"{taken:x}",
        )

    def _free_something(self, machine: Machine) -> str:
        """Some descriptor's pages that firmware did not take itself before the first command."""
        entries = [
            entry
            for entry in machine.services.core.memory_map
            if entry.memory_type != CONVENTIONAL and entry.end not in self._firmware
        ]
        if not entries:
            return "ver"
        entry = self._random.choice(entries)
        return f"bs FreePages {entry.start:x} {(entry.end - entry.start) >> PAGE_SHIFT:x}"


def journal_bytes(trace: Trace) -> int:
    """About what a journal takes: its records with their dictionaries, and their numbers."""
    return sum(
        sys.getsizeof(record)
        + sys.getsizeof(record.arguments)
        + sys.getsizeof(record.results)
        + 32 * (2 + len(record.arguments) + len(record.results))
        for record in trace
    )


def resident_bytes() -> int:
    """What this process holds in memory now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def accounted(machine: Machine) -> int:
    """Bytes of RAM that the memory map or the GCD's unaccepted ranges name."""
    mapped = sum(entry.end - entry.start for entry in machine.services.core.memory_map)
    unaccepted = machine.services.gcd.of_type(EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted)
    reserved = machine.services.gcd.of_type(EfiGcdMemoryType.EfiGcdMemoryTypeReserved)
    inside = sum(
        min(span.end, entry.end) - max(span.start, entry.start)
        for entry in reserved
        for span in machine.td.ram.spans
        if max(span.start, entry.start) < min(span.end, entry.end)
    )
    return mapped + inside + sum(entry.size for entry in unaccepted)
