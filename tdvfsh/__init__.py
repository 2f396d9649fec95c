"""tdvfsh: a UEFI shell over a virtual Intel TDX trust domain.

As a library: a machine is made from options, and its boot services are called as a loader would.

>>> from tdvfsh import Machine, td_options
>>> machine = Machine(td_options(memory="2G", accept="512M"))
>>> machine.td.unaccepted_bytes == 2**31 - 2**29
True
>>> before = machine.snapshot()
>>> machine.services.accept_memory(0x20000000, 0x200000).name
'EFI_SUCCESS'

What that changed, and back again:

>>> from tdvfsh import difference
>>> [change.after for change in difference(before, machine.snapshot()).ranges]
['Available', 'SystemMemory', 'MAPPED']
>>> machine.restore(before)
>>> difference(before, machine.snapshot()).is_empty
True

``boot`` takes real files through a whole flow (``open_boot_files`` maps them), ``compare`` under every option,
``Shell`` runs the shell's commands, ``replay`` a recorded session. Everything public is in ``__all__``; a name is
imported when it is first used, so that ``import tdvfsh`` costs nothing. What people may get wrong is a
``TdvfshError``; what firmware answers is an ``EfiStatus``.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from tdvfsh.boots.compare import ComparedBoot, compare
    from tdvfsh.boots.modelled_boot import BootResult, boot
    from tdvfsh.boots.open_files import OpenedFiles, open_boot_files
    from tdvfsh.errors import FormatError, HostError, ScriptError, TdvfshError, UsageError
    from tdvfsh.formats.inspect import inspect_file
    from tdvfsh.machine.asking import td_options
    from tdvfsh.machine.difference import MachineDifference, difference
    from tdvfsh.machine.machine import Machine
    from tdvfsh.machine.options import TdOptions
    from tdvfsh.machine.snapshot import MachineSnapshot
    from tdvfsh.script.streams import MemorySink
    from tdvfsh.session.replay import Replay, replay
    from tdvfsh.shell.shell import Shell
    from tdvfsh.trace.journal import Trace
    from tdvfsh.trace.records import TraceRecord
    from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType, MemoryDescriptor
    from tdvfsh.uefi.status import EfiStatus
    from tdvfsh.units import human_size, parse_size

__all__ = [
    "BootResult",
    "ComparedBoot",
    "EfiAllocateType",
    "EfiMemoryType",
    "EfiStatus",
    "FormatError",
    "HostError",
    "Machine",
    "MachineDifference",
    "MachineSnapshot",
    "MemoryDescriptor",
    "MemorySink",
    "OpenedFiles",
    "Replay",
    "ScriptError",
    "Shell",
    "TdOptions",
    "TdvfshError",
    "Trace",
    "TraceRecord",
    "UsageError",
    "__version__",
    "boot",
    "compare",
    "difference",
    "human_size",
    "inspect_file",
    "open_boot_files",
    "parse_size",
    "replay",
    "td_options",
]

_HOMES = {
    "shell.shell": ("Shell",),
    "errors": ("FormatError", "HostError", "ScriptError", "TdvfshError", "UsageError"),
    "formats.inspect": ("inspect_file",),
    "machine.asking": ("td_options",),
    "boots.modelled_boot": ("BootResult", "boot"),
    "boots.compare": ("ComparedBoot", "compare"),
    "machine.difference": ("MachineDifference", "difference"),
    "boots.open_files": ("OpenedFiles", "open_boot_files"),
    "machine.machine": ("Machine",),
    "machine.options": ("TdOptions",),
    "machine.snapshot": ("MachineSnapshot",),
    "script.streams": ("MemorySink",),
    "session.replay": ("Replay", "replay"),
    "trace.journal": ("Trace",),
    "trace.records": ("TraceRecord",),
    "uefi.memory": ("EfiAllocateType", "EfiMemoryType", "MemoryDescriptor"),
    "uefi.status": ("EfiStatus",),
    "units": ("human_size", "parse_size"),
}
"""Module of each public name; a test keeps it true."""


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            value: object = getattr(import_module(f"tdvfsh.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'tdvfsh' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
