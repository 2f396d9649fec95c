"""A machine's state as JSON values: what ``snap save -file`` writes under ``machine``.

All numbers are bytes and plain decimal; ranges are half-open ``[start, end, ...]``.

==============  =====================================================================================================
key             value
==============  =====================================================================================================
options         TD options that differ from their defaults, by the names of ``TdOptions``
now_ns          virtual time in nanoseconds
caller          in whose name the journal writes
td              ``accepts``, ``added_bytes``, ``map_gpa_calls``, ``calls``, ``exits``, ``groups``: counters;
                ``sept``: ``[start, end, state, level]``; ``shared``: ``[start, end]``;
                ``contents``: ``[start, text]``, bytes compressed with zlib, in base64;
                ``faults``: null or ``{tdcalls, accepts, map_gpas}``, each ``[[number, value]...]``
core            ``map_key``, ``memory_map``: ``[start, end, type, attribute]``; ``spare_descriptors``: null or a count;
                ``gcd_version``, ``gcd``: ``[start, end, type, capabilities, attributes, owned]``;
                ``pool``: ``pools`` ``[type, header, used, [[free block...] by size class]]``, ``blocks``
                ``[address, type, size]``, ``free`` ``[address, size class]``, ``pages`` ``[address, type]``;
                ``configuration_tables``: ``[guid, address]``; ``at_runtime``, ``exit_boot_services_called``;
                ``memory_attributes_table``: null or ``[runtime images, split entries, table]``;
                ``fault_plan``: null or ``{faults, calls, met}``; and what :mod:`tdvfsh.machine.core_state_file` tells
next_handle     number of the next handle
handles         ``[number, [[guid, interface]...]]``; an interface is ``"firmware"`` for one that a machine of these
                options has from its start, else what the caller of :func:`machine_to_dict` makes of it
trace           the journal's records, as ``trace -o`` writes them
==============  =====================================================================================================
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable

from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.memory.gcd import GcdDescriptor, MemorySpaceMap
from tdvfsh.dxe.memory.memory_attributes_table import MemoryAttributesTable
from tdvfsh.dxe.memory.memory_map import MapEntry, MemoryMap
from tdvfsh.dxe.memory.pages import PageAllocator
from tdvfsh.dxe.memory.pool import PoolAllocator, _Pool
from tdvfsh.dxe.service_faults import ServiceFaults
from tdvfsh.errors import FormatError, UsageError
from tdvfsh.formats.mapped import copy_of
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.machine.core_state_file import core_state_to_dict, read_core_state
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options_file import options_from_dict, options_to_dict
from tdvfsh.machine.snapshot import MachineSnapshot
from tdvfsh.machine.td_state_file import read_td, td_to_dict
from tdvfsh.td.faults import FaultPlan
from tdvfsh.trace.reading import form_of, read_record
from tdvfsh.trace.records import TraceRecord
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.memory import EfiGcdMemoryType
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.uefi.tdx import TdvmcallStatus
from tdvfsh.units import MIB, human_size

Json = dict[str, Any]
Encode = Callable[[int, Guid, object], object]
"""Returns a JSON value for an interface: handle, protocol, object. Raises UsageError where there is none."""
Decode = Callable[[Machine, object], object]
"""Returns the interface for such a value."""

MOST_CONTENTS: Final = 64 * MIB
FIRMWARE: Final = "firmware"
_GCD_TYPES: Final = {int(member): member for member in EfiGcdMemoryType}


def machine_to_dict(snapshot: MachineSnapshot, encode: Encode) -> Json:
    """A snapshot as JSON values.

    Raises:
        UsageError: More than 64 MiB stand in memory, or there is an interface that no file can hold.
    """
    td, core = snapshot.td, snapshot.core
    own = _own_interfaces(Machine(snapshot.options))
    return {
        "options": options_to_dict(snapshot.options),
        "now_ns": snapshot.now_ns,
        "caller": snapshot.caller,
        "td": {**td_to_dict(td), "contents": _contents(snapshot), "faults": _faults(td.faults)},
        "core": core_to_dict(core, dict(snapshot.services).get("fault_plan")),
        "next_handle": core.handles._next,
        "handles": [
            [
                handle,
                [
                    [str(guid), FIRMWARE if (handle, guid) in own else encode(handle, guid, interface)]
                    for guid, interface in core.handles.protocols(handle).items()
                ],
            ]
            for handle in core.handles
        ],
        "trace": [record.as_dict() for record in snapshot.records[: snapshot.record_count]],
    }


def machine_from_dict(data: Json, decode: Decode, path: str) -> tuple[Machine, MachineSnapshot]:
    """A machine in the state that :func:`machine_to_dict` wrote, and its snapshot.

    Raises:
        FormatError, UsageError: Invalid options; KeyError, ValueError, TypeError: invalid values, which
            the caller tells as one line.
    """
    machine = Machine(options_from_dict(data["options"], path))
    td, core = data["td"], data["core"]
    read_td(machine.td, td)
    left = MOST_CONTENTS
    for start, text in td["contents"]:
        bytes_there = zlib.decompressobj().decompress(b64decode(text), left + 1)
        left -= len(bytes_there)
        if left < 0:
            raise FormatError(path, f"this snapshot is damaged: more than {human_size(MOST_CONTENTS)} stand in memory")
        machine.td.contents.write(start, bytes_there)
    machine.td.faults = _read_faults(td["faults"])
    machine.clock.now_ns = int(data["now_ns"])
    read_core(machine, core)
    _read_handles(machine, data, decode)
    records: list[TraceRecord] = []
    for record in data["trace"]:
        records.append(read_record(record, records, form_of(record)))
    machine.trace.records = records
    machine.trace.caller = str(data["caller"])
    machine.services.forget_view()
    return machine, machine.snapshot()


def core_to_dict(core: DxeCore, fault_plan: object = None) -> Json:
    """The DXE core's state without its handles, as ``core`` in the table above."""
    return {
        "map_key": core.memory_map.key,
        "memory_map": [list(entry) for entry in core.memory_map],
        "spare_descriptors": core.memory_map.descriptor_pages.spare,
        "gcd_version": core.gcd.version,
        "gcd": [[*entry[:2], int(entry.memory_type), *entry[3:]] for entry in core.gcd],
        "pool": _pool(core.pool),
        "configuration_tables": [[str(guid), table] for guid, table in core.configuration_tables.items()],
        "at_runtime": core.at_runtime,
        "exit_boot_services_called": core.exit_boot_services_called,
        "memory_attributes_table": _attributes_table(core.memory_attributes_table),
        "fault_plan": _service_faults(fault_plan),
        **core_state_to_dict(core),
    }


def _own_interfaces(machine: Machine) -> set[tuple[int, Guid]]:
    handles = machine.services.handles
    return {(handle, guid) for handle in handles for guid in handles.protocols(handle)}


def _contents(snapshot: MachineSnapshot) -> list[list[object]]:
    contents = snapshot.td.contents
    pieces = [(low, high, view) for low, high, view in contents.views(0, snapshot.td.ram.end) if view is not None]
    total = sum(high - low for low, high, _ in pieces)
    if total > MOST_CONTENTS:
        raise UsageError(f"memory holds {human_size(total)}; a snapshot file takes {human_size(MOST_CONTENTS)}")
    return [[low, b64encode(zlib.compress(copy_of(view), 6)).decode("ascii")] for low, _, view in pieces]


def _faults(plan: object) -> Json | None:
    if not isinstance(plan, FaultPlan):
        return None
    return {
        "tdcalls": [list(one) for one in plan.tdcalls.items()],
        "accepts": [list(one) for one in plan.accepts.items()],
        "map_gpas": [[number, int(status)] for number, status in plan.map_gpas.items()],
    }


def _read_faults(data: Json | None) -> FaultPlan | None:
    if data is None:
        return None
    statuses = {number: TdvmcallStatus(status) for number, status in data["map_gpas"]}
    return FaultPlan(dict(data["tdcalls"]), dict(data["accepts"]), statuses)


def _service_faults(plan: object) -> Json | None:
    if not isinstance(plan, ServiceFaults):
        return None
    faults = [
        [service, number, status.name] for service, planned in plan.faults.items() for number, status in planned.items()
    ]
    return {"faults": faults, "calls": dict(plan.calls), "met": list(plan.met)}


def _read_service_faults(data: Json | None) -> ServiceFaults | None:
    if data is None:
        return None
    plan = ServiceFaults({}, dict(data["calls"]), list(data["met"]))
    for service, number, status in data["faults"]:
        plan.add(service, number, EfiStatus[status])
    return plan


def _pool(pool: PoolAllocator) -> Json:
    return {
        "pools": [
            [int(kind), one.header, one.used, [list(blocks) for blocks in one.free]]
            for kind, one in pool._pools.items()
        ],
        "blocks": [[block, int(kind), size] for block, (kind, size) in pool._blocks.items()],
        "free": [list(one) for one in pool._free_class.items()],
        "pages": [[page, int(kind)] for page, kind in pool._pages.items()],
    }


def _attributes_table(table: MemoryAttributesTable | None) -> list[int] | None:
    return None if table is None else [table.spare_descriptors, table.split_entries, table.table]


def read_core(machine: Machine, data: Json) -> None:
    """Bring the core of a machine that was made with the same options to a state that :func:`core_to_dict` returned.

    Raises:
        KeyError, ValueError, TypeError: Invalid values.
    """
    core = machine.services.core
    memory_map = MemoryMap(MapEntry(*entry) for entry in data["memory_map"])
    memory_map.key = int(data["map_key"])
    memory_map.descriptor_pages.spare = data["spare_descriptors"]
    gcd = MemorySpaceMap(machine.options.gpaw)
    gcd._entries = [
        GcdDescriptor(
            start=start,
            end=end,
            memory_type=_GCD_TYPES[kind],
            capabilities=capabilities,
            attributes=attributes,
            owned=owned,
        )
        for start, end, kind, capabilities, attributes, owned in data["gcd"]
    ]
    gcd._starts = [entry.start for entry in gcd]
    gcd.version = int(data["gcd_version"])
    pages = PageAllocator(memory_map, core.bins, core.profile)
    pool = PoolAllocator(pages)
    for kind, header, used, free in data["pool"]["pools"]:
        one = pool._pools[kind] = _Pool()
        one.header, one.used, one.free = header, used, tuple(list(blocks) for blocks in free)
    pool._blocks = {block: (kind, size) for block, kind, size in data["pool"]["blocks"]}
    pool._free_class = dict(data["pool"]["free"])
    pool._pages = dict(data["pool"]["pages"])
    core.memory_map, core.gcd, core.pages, core.pool = memory_map, gcd, pages, pool
    core.configuration_tables = {Guid(guid): table for guid, table in data["configuration_tables"]}
    core.at_runtime = bool(data["at_runtime"])
    core.exit_boot_services_called = bool(data["exit_boot_services_called"])
    table = data["memory_attributes_table"]
    core.memory_attributes_table = None if table is None else MemoryAttributesTable(*table)
    read_core_state(core, data)
    machine.services.fault_plan = _read_service_faults(data["fault_plan"])


def _read_handles(machine: Machine, data: Json, decode: Decode) -> None:
    handles = machine.services.handles
    own = {handle: handles.protocols(handle).copy() for handle in handles}
    handles._handles = {}
    for handle, protocols in data["handles"]:
        here = handles._handles[int(handle)] = {}
        for text, value in protocols:
            guid = Guid(text)
            here[guid] = own[handle][guid] if value == FIRMWARE else decode(machine, value)
    handles._next = int(data["next_handle"])
