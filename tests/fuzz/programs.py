"""EFI programs made at random that get past their first bad pointer: most arguments are what the service asks for.

``python -m tests.fuzz.programs [--runs N] [--seed N]``. What a service returned (handles, events, memory, pools,
interfaces, the map key) is what later calls are made with; one argument in a hundred is hostile. However a program
ends, the firmware's own state holds after it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Final

from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.console.keys import ScriptedKeys
from tdvfsh.engine.console.screen import NoDisplay, Screen
from tdvfsh.engine.errors import EngineError, ReachedOperatingSystem
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.uefi.device_path import DevicePath, FilePath, Pci
from tdvfsh.uefi.guids import (
    EFI_BLOCK_IO_PROTOCOL_GUID,
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_LOADED_IMAGE_PROTOCOL_GUID,
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID,
    Guid,
)
from tdvfsh.uefi.service_names import RUNTIME_SERVICES
from tests.engine.assembler import Program
from tests.engine.programs import load
from tests.soak.soak import accounted

_HOSTILE: Final = (0, 1, 7, 0x1000, 0x40000000, 0xFEC00000, 1 << 47, 1 << 63, (1 << 64) - 1, (1 << 64) - 0xFFF)
_HOSTILE_SHARE: Final = 0.01
_SLOTS: Final = 4
_BUFFER: Final = 4096
_GUIDS: Final = (
    EFI_LOADED_IMAGE_PROTOCOL_GUID,
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID,
    EFI_BLOCK_IO_PROTOCOL_GUID,
    Guid("11111111-2222-3333-4444-555555555555"),
)
_KINDS: Final = ("handle", "event", "memory", "pool", "interface", "key", "other")

# What each argument is: a kind of slot for a value that some call returned, ">kind" for where one is returned to.
_BOOT: Final = {
    "RaiseTPL": "tpl",
    "RestoreTPL": "tpl",
    "AllocatePages": "small type few >memory",
    "FreePages": "memory few",
    "GetMemoryMap": "size buffer >key >other >other",
    "AllocatePool": "type few >pool",
    "FreePool": "pool",
    "CreateEvent": "kind tpl notify buffer >event",
    "SetTimer": "event small few",
    "WaitForEvent": "one &event >other",
    "SignalEvent": "event",
    "CloseEvent": "event",
    "CheckEvent": "event",
    "InstallProtocolInterface": ">handle guid null buffer",
    "ReinstallProtocolInterface": "handle guid buffer buffer",
    "UninstallProtocolInterface": "handle guid buffer",
    "HandleProtocol": "handle guid >interface",
    "RegisterProtocolNotify": "guid event >other",
    "LocateHandle": "small guid other size buffer",
    "LocateDevicePath": "guid &path >handle",
    "InstallConfigurationTable": "guid buffer",
    "LoadImage": "null image null image_bytes image_size >handle",
    "StartImage": "handle null null",
    "UnloadImage": "handle",
    "GetNextMonotonicCount": ">other",
    "Stall": "few",
    "SetWatchdogTimer": "null null null null",
    "ConnectController": "handle null null small",
    "DisconnectController": "handle null null",
    "OpenProtocol": "handle guid >interface image handle attributes",
    "CloseProtocol": "handle guid image handle",
    "OpenProtocolInformation": "handle guid >pool >other",
    "ProtocolsPerHandle": "handle >pool >other",
    "LocateHandleBuffer": "small guid other >other >pool",
    "LocateProtocol": "guid null >interface",
    "CalculateCrc32": "buffer few >other",
    "CopyMem": "buffer buffer few",
    "SetMem": "buffer few small",
    "CreateEventEx": "kind tpl notify buffer guid >event",
}
_RUNTIME: Final = {
    "GetTime": "buffer null",
    "SetTime": "buffer",
    "GetVariable": "text guid >other size buffer",
    "GetNextVariableName": "size buffer guid",
    "SetVariable": "text guid seven few buffer",
    "GetNextHighMonotonicCount": ">other",
    "QueryVariableInfo": "seven >other >other >other",
    "ConvertPointer": "null &memory",
}
_SELDOM: Final = {"ExitBootServices": "image key"}
_SMALL: Final[dict[str, tuple[int, ...]]] = {
    "tpl": (4, 8, 16, 31),
    "small": (0, 1, 2, 3),
    "type": (0, 1, 2, 3, 4, 7, 9, 15, 0x80000000),
    "few": (1, 2, 8, 64, 300),
    "kind": (0, 0x100, 0x200, 0x80000000, 0x80000200, 0x201),
    "one": (1,),
    "null": (0,),
    "attributes": (1, 2, 4, 8, 16, 32),
    "seven": (7, 3, 1),
}


def make_program(random: Random, calls: int = 40) -> bytes:
    """A program of so many calls."""
    program = Program()
    inner = Program().ret(0).image()
    for kind in ("handle", "key"):
        program.lea("r10", f"{kind}0").store("r10", 0, "rdi")
    services = [*_BOOT.items(), *_RUNTIME.items()]
    for number in range(calls):
        if random.random() < 0.1:
            _write_to_console(program, random)
            continue
        name, kinds = random.choice(services) if random.random() > 0.005 else next(iter(_SELDOM.items()))
        for position, kind in enumerate(kinds.split()):
            _argument(program, random, position, kind, len(inner))
        if name in _RUNTIME:
            program.load("rax", "rbx", 88).load("rax", "rax", 24 + 8 * RUNTIME_SERVICES.index(name)).raw("FFD0")
        else:
            program.boot(name)
        program.label(f"after{number}")
    program.ret(0).label("notify").raw("C3")
    for kind in _KINDS:
        for slot in range(_SLOTS):
            program.data(f"{kind}{slot}", bytes(8))
    for number, guid in enumerate(_GUIDS):
        program.data(f"guid{number}", guid.bytes_le)
    program.data("size0", _BUFFER.to_bytes(8, "little")).text("text0", "Name").data("buffer0", bytes(_BUFFER))
    program.data("image_bytes0", inner)
    program.data("device", (DevicePath((Pci(1, 2), FilePath("\\a.efi")))).pack()).data("path0", bytes(8))
    return program.image()


def _argument(program: Program, random: Random, position: int, kind: str, inner: int) -> None:
    """Put one argument where the call expects it; RAX and R10 are lost."""
    register = ("rcx", "rdx", "r8", "r9")[position] if position < 4 else "rax"
    slot = int(random.random() * _SLOTS)
    if random.random() < _HOSTILE_SHARE:
        program.mov(register, random.choice(_HOSTILE))
    elif kind in _SMALL:
        program.mov(register, random.choice(_SMALL[kind]))
    elif kind == "image":
        program.copy(register, "rdi")
    elif kind == "image_size":
        program.mov(register, inner)
    elif kind == "notify":
        program.lea(register, "notify")
    elif kind == "guid":
        program.lea(register, f"guid{int(random.random() * len(_GUIDS))}")
    elif kind == "&path":
        program.lea("rax", "device").lea("r10", "path0").store("r10", 0, "rax").lea(register, "path0")
    elif kind == "size":
        program.mov("rax", _BUFFER).lea("r10", "size0").store("r10", 0, "rax").lea(register, "size0")
    elif kind in ("buffer", "text", "image_bytes"):
        program.lea(register, f"{kind}0")
    elif kind[0] in ">&":
        program.lea(register, f"{kind[1:]}{slot}")
    else:
        program.lea("r10", f"{kind}{slot}").load(register, "r10")
    if position >= 4:
        program.stack_argument(position, "rax")


def _write_to_console(program: Program, random: Random) -> None:
    """A function of ConOut."""
    index = int(random.random() * 9)
    _argument(program, random, 1, "text" if index in (1, 2) else ">other" if index == 3 else "small", 0)
    _argument(program, random, 2, ">other" if index == 3 else "few", 0)
    if index == 3:
        program.lea("r9", "other1")
    program.load("rcx", "rbx", 64).call_at("rcx", 8 * index)


@dataclass
class Runs:
    """How programs ended, and the services that they called.

    Attributes:
        ends: How many ended how.
        calls: Records of the journals.
        succeeded: Those that succeeded.
        services: What was called.
    """

    ends: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    succeeded: int = 0
    services: set[str] = field(default_factory=set)


def run_programs(runs: int, seed: int) -> Runs:
    """Run programs in fresh TDs; an exception that is not a run's own end, or a state that does not hold, is a find."""
    found = Runs()
    for number in range(runs):
        image = make_program(Random(f"{seed} {number}"))
        machine = Machine(TdOptions(memory=1 << 30))
        try:
            found.ends[_run(machine, image)] += 1
        except Exception as error:
            raise AssertionError(f"program {number} of seed {seed}: {type(error).__name__}: {error}") from error
        found.calls += len(machine.trace)
        found.succeeded += sum(record.succeeded for record in machine.trace)
        found.services |= {record.service for record in machine.trace}
        assert accounted(machine) == machine.td.ram.memory, number
        entries = list(machine.services.core.memory_map)
        assert all(before.end <= after.start for before, after in pairwise(entries)), number
    return found


def _run(machine: Machine, image: bytes) -> str:
    with RunLimit(20) as limit:
        screen = Screen(NoDisplay())
        firmware = GuestFirmware(machine, screen, ScriptedKeys(""), limit=limit)
        try:
            return firmware.services.start_image(load(firmware, image)).status.short_name
        except (EngineError, ReachedOperatingSystem) as end:
            return type(end).__name__
        finally:
            firmware.close()


def main() -> int:
    """Run that many programs."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.programs")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = run_programs(arguments.runs, arguments.seed)
    ends = ", ".join(f"{count} {end}" for end, count in found.ends.most_common())
    asked = {*_BOOT, *_RUNTIME}
    print(f"{arguments.runs} programs, {found.calls:,} calls of which {found.succeeded:,} succeeded; {ends}")
    print(f"{len(asked & found.services)} of {len(asked)} services were called")
    return 0


if __name__ == "__main__":
    sys.exit(main())
