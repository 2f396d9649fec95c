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

``boot`` takes real files through a whole flow (``open_boot_files`` maps them), ``compare`` under every option, and
``boot_on_cpu`` runs their real code; ``ladder`` and ``region`` search what must be accepted, ``advise`` how much should
be, ``run_spec`` runs a sweep. ``verify`` holds the model against a real stub, ``run_efi_program`` runs any EFI program,
``Shell`` the shell's commands, ``replay`` a recorded session. A result's ``repr`` is one line with its outcome; in a
notebook a machine, a boot, a comparison and a memory map show as tables.

Public is what ``tdvfsh.__all__`` names, for users, and what ``tdvfsh.extend.__all__`` names, for those who add a
loader, a format, a command or a device. Every other module is private: its names may change in any version. A name is
imported when it is first used, so that ``import tdvfsh`` costs nothing. What users may get wrong is a
``TdvfshError``; what firmware returns is an ``EfiStatus``.
"""

from __future__ import annotations

try:  # made when the package is built or installed: what git says
    from tdvfsh._version import __version__  # type: ignore[import-not-found, unused-ignore]
except ImportError:  # a checkout that was never installed
    __version__ = "0+unknown"

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from tdvfsh.boots.compare import ComparedBoot, Comparison, compare
    from tdvfsh.boots.explanation import Explanation, explain
    from tdvfsh.boots.ladder import Rung, ladder
    from tdvfsh.boots.modelled_boot import BootResult, boot
    from tdvfsh.boots.open_files import OpenedFiles, open_boot_files
    from tdvfsh.boots.region import Region, region
    from tdvfsh.dxe.boot_services import BootServices
    from tdvfsh.dxe.memory_services import MemoryMapResult
    from tdvfsh.engine.firmware.measure import TdMeasurement, measure_td
    from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
    from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
    from tdvfsh.engine.runs.os_run import OsRun, SystemOptions
    from tdvfsh.engine.runs.program_result import ProgramResult, run_efi_program
    from tdvfsh.engine.runs.verify import Verification, verify
    from tdvfsh.errors import FormatError, HostError, ScriptError, TdvfshError, UsageError
    from tdvfsh.formats.inspect import inspect_file
    from tdvfsh.linux.os_side import OsSide
    from tdvfsh.loaders.files import BootFiles
    from tdvfsh.loaders.flow import BootFailure, Placement
    from tdvfsh.machine.asking import td_options
    from tdvfsh.machine.difference import MachineDifference, difference
    from tdvfsh.machine.machine import Machine
    from tdvfsh.machine.options import TdOptions
    from tdvfsh.machine.snapshot import MachineSnapshot
    from tdvfsh.script.streams import MemorySink
    from tdvfsh.session.replay import Replay, replay
    from tdvfsh.shell.shell import Shell
    from tdvfsh.sweep.advise import Advice
    from tdvfsh.sweep.library import advise, run_spec
    from tdvfsh.td.cost.model import CostModel
    from tdvfsh.td.cost.modelled import Modelled
    from tdvfsh.td.cost.words import cost_model
    from tdvfsh.trace.journal import Trace
    from tdvfsh.trace.records import (
        AllocatePagesCall,
        AllocatePoolCall,
        BootAccept,
        PageAccept,
        PlacementMade,
        ServiceCall,
        TraceRecord,
    )
    from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType, MemoryDescriptor, MemoryMapListing
    from tdvfsh.uefi.status import EfiStatus
    from tdvfsh.units import human_size, parse_size

__all__ = [
    "Advice",
    "AllocatePagesCall",
    "AllocatePoolCall",
    "BootAccept",
    "BootFailure",
    "BootFiles",
    "BootResult",
    "BootServices",
    "ComparedBoot",
    "Comparison",
    "CostModel",
    "CpuBootResult",
    "EfiAllocateType",
    "EfiMemoryType",
    "EfiStatus",
    "Explanation",
    "FormatError",
    "HostError",
    "Machine",
    "MachineDifference",
    "MachineSnapshot",
    "MemoryDescriptor",
    "MemoryMapListing",
    "MemoryMapResult",
    "MemorySink",
    "Modelled",
    "OpenedFiles",
    "OsRun",
    "OsSide",
    "PageAccept",
    "Placement",
    "PlacementMade",
    "ProgramResult",
    "Region",
    "Replay",
    "Rung",
    "ScriptError",
    "ServiceCall",
    "Shell",
    "SystemOptions",
    "TdMeasurement",
    "TdOptions",
    "TdvfshError",
    "Trace",
    "TraceRecord",
    "UsageError",
    "Verification",
    "__version__",
    "advise",
    "boot",
    "boot_on_cpu",
    "compare",
    "cost_model",
    "difference",
    "explain",
    "human_size",
    "inspect_file",
    "ladder",
    "measure_td",
    "open_boot_files",
    "parse_size",
    "region",
    "replay",
    "run_efi_program",
    "run_spec",
    "td_options",
    "verify",
]

_HOMES = {
    "boots.compare": (
        "ComparedBoot",
        "Comparison",
        "compare",
    ),
    "boots.explanation": ("Explanation", "explain"),
    "boots.ladder": (
        "Rung",
        "ladder",
    ),
    "boots.modelled_boot": (
        "BootResult",
        "boot",
    ),
    "boots.open_files": (
        "OpenedFiles",
        "open_boot_files",
    ),
    "boots.region": (
        "Region",
        "region",
    ),
    "dxe.boot_services": ("BootServices",),
    "dxe.memory_services": ("MemoryMapResult",),
    "engine.firmware.measure": (
        "TdMeasurement",
        "measure_td",
    ),
    "engine.runs.cpu_boot": (
        "CpuBootResult",
        "boot_on_cpu",
    ),
    "engine.runs.os_run": (
        "OsRun",
        "SystemOptions",
    ),
    "engine.runs.program_result": (
        "ProgramResult",
        "run_efi_program",
    ),
    "engine.runs.verify": (
        "Verification",
        "verify",
    ),
    "errors": (
        "FormatError",
        "HostError",
        "ScriptError",
        "TdvfshError",
        "UsageError",
    ),
    "formats.inspect": ("inspect_file",),
    "linux.os_side": ("OsSide",),
    "loaders.files": ("BootFiles",),
    "loaders.flow": (
        "BootFailure",
        "Placement",
    ),
    "machine.asking": ("td_options",),
    "machine.difference": (
        "MachineDifference",
        "difference",
    ),
    "machine.machine": ("Machine",),
    "machine.options": ("TdOptions",),
    "machine.snapshot": ("MachineSnapshot",),
    "script.streams": ("MemorySink",),
    "session.replay": (
        "Replay",
        "replay",
    ),
    "shell.shell": ("Shell",),
    "sweep.advise": ("Advice",),
    "sweep.library": (
        "advise",
        "run_spec",
    ),
    "td.cost.model": ("CostModel",),
    "td.cost.modelled": ("Modelled",),
    "td.cost.words": ("cost_model",),
    "trace.journal": ("Trace",),
    "trace.records": (
        "AllocatePagesCall",
        "AllocatePoolCall",
        "BootAccept",
        "PageAccept",
        "PlacementMade",
        "ServiceCall",
        "TraceRecord",
    ),
    "uefi.memory": (
        "EfiAllocateType",
        "EfiMemoryType",
        "MemoryDescriptor",
        "MemoryMapListing",
    ),
    "uefi.status": ("EfiStatus",),
    "units": (
        "human_size",
        "parse_size",
    ),
}
"""Module of each public name; a test keeps it true."""


def __getattr__(name: str) -> object:
    return _found(name, "tdvfsh", _HOMES, globals())


def __dir__() -> list[str]:
    return __all__


def _found(name: str, module: str, homes: dict[str, tuple[str, ...]], names: dict[str, object]) -> object:
    """A public name of ``module``, imported and put among its ``names``."""
    for home, found in homes.items():
        if name in found:
            from importlib import import_module

            value: object = getattr(import_module(f"tdvfsh.{home}"), name)
            names[name] = value
            return value
    raise AttributeError(f"module '{module}' has no attribute '{name}'")
