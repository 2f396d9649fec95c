"""A machine's state at one moment, to go back to.

A snapshot holds the small lists that the state consists of: descriptors, GCD entries, secure EPT ranges, pool blocks,
handles. RAM is never copied; the journal, which only grows, is a length. What has not changed since the snapshot before
is shared with that, so a row of snapshots costs by what changed between them.
"""

from __future__ import annotations

from tdvfsh.dxe.core import DxeCore
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.td.tdcall import PageAccept
from tdvfsh.trace import TraceRecord

if TYPE_CHECKING:
    from tdvfsh.machine.machine import Machine
    from tdvfsh.machine.options import TdOptions
    from tdvfsh.td.contents import Contents
    from tdvfsh.td.trust_domain import TrustDomain

_TIES: Final = frozenset({"take_descriptor_page", "pages", "changes", "news"})
"""Attributes that hold no state: they tie the core's parts together, as ``pages``, the allocator, or tell of change."""
_TD_PARTS: Final = ("contents", "shared", "sept")
_TDCALL_COUNTS: Final = ("calls", "exits", "groups", "faults")
_CORE_PARTS: Final = (
    "memory_map", "gcd", "pool", "protection", "handles", "events", "configuration_tables", "variables",
    "real_time_clock", "monotonic_counter",
)  # fmt: skip
_CORE_FACTS: Final = ("system_table", "memory_attributes_table", "at_runtime", "exit_boot_services_called")
_MUTABLE: Final = (set, dict, list)

Fields = tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MachineSnapshot:
    """One moment of one machine.

    Attributes:
        options: What the machine was made from.
        td: The hardware's state.
        core: The DXE core's state.
        records: The journal; only the first ``record_count`` are part of the moment.
        record_count: Length of the journal.
        caller: In whose name the journal writes.
        interfaces: Attributes of the objects on handles, and of the accept option.
        services: Attributes of the boot-services table that are neither core, TD nor journal.
    """

    options: TdOptions
    td: TrustDomain
    core: DxeCore
    records: list[TraceRecord]
    record_count: int
    caller: str
    interfaces: tuple[tuple[object, Fields], ...]
    services: Fields

    def __repr__(self) -> str:
        return f"<MachineSnapshot at {self.now_ns / 1e6:.3f} ms, {self.record_count} records>"

    @property
    def now_ns(self) -> int:
        """Virtual time, in nanoseconds."""
        return self.td.clock.now_ns

    def is_state_of(self, other: MachineSnapshot) -> bool:
        """Whether both hold the same state, journal aside; ``other`` is one that this was taken after."""
        return (
            self.td is other.td
            and self.core is other.core
            and self.interfaces is other.interfaces
            and self.services == other.services
        )

    def shows_the_same(self, other: MachineSnapshot) -> bool:
        """Whether both are equal but for the journal and the map's key.

        A reader of the memory map allocates its buffer and frees it again, which only the key remembers.
        """
        if self.is_state_of(other):
            return True
        mine, theirs = self.core, other.core
        if self.td is not other.td or self.interfaces is not other.interfaces or self.services != other.services:
            return False
        parts = (name for name in (*_CORE_PARTS, *_CORE_FACTS) if name != "memory_map")
        return all(same(getattr(mine, name), getattr(theirs, name)) for name in parts) and [*mine.memory_map] == [
            *theirs.memory_map
        ]


def take_snapshot(machine: Machine, before: MachineSnapshot | None = None) -> MachineSnapshot:
    """The machine's state now.

    Args:
        machine: The machine; nothing in it changes.
        before: An earlier snapshot of it: what is equal is shared. If nothing has changed, it is returned itself.
    """
    services, trace = machine.services, machine.trace
    interfaces = tuple((thing, _fields(thing)) for thing in _interfaces(machine))
    own = (("fault_plan", copy_of(services.fault_plan)), ("on_out_of_resources", services.on_out_of_resources),
           ("program_for", services.images.program_for))  # fmt: skip
    if before is None or before.options is not machine.options:  # of another machine: nothing is shared with that
        return MachineSnapshot(
            options=machine.options,
            td=machine.td.copy(),
            core=services.core.copy(),
            records=trace.records,
            record_count=len(trace),
            caller=trace.caller,
            interfaces=interfaces,
            services=own,
        )
    td = _td_since(machine.td, before.td)
    core = _core_since(services.core, before.core)
    if interfaces == before.interfaces:
        interfaces = before.interfaces
    unchanged = (
        td is before.td and core is before.core and interfaces is before.interfaces and own == before.services
        and trace.records is before.records and len(trace) == before.record_count and trace.caller == before.caller
    )  # fmt: skip
    if unchanged:
        return before
    return MachineSnapshot(
        options=machine.options,
        td=td,
        core=core,
        records=trace.records,
        record_count=len(trace),
        caller=trace.caller,
        interfaces=interfaces,
        services=own,
    )


def restore_snapshot(machine: Machine, snapshot: MachineSnapshot) -> None:
    """Bring the machine back to a moment of its own; every object that others hold stays the same object."""
    _restore_td(machine.td, snapshot.td)
    services, trace = machine.services, machine.trace
    services.core = snapshot.core.copy()
    services.forget_view()
    for name, value in snapshot.services:
        if name == "program_for":
            services.images.program_for = value  # type: ignore[assignment]
        else:
            setattr(services, name, copy_of(value))
    if trace.records is not snapshot.records or len(trace) != snapshot.record_count:
        trace.records = snapshot.records[: snapshot.record_count]  # a new list: others may need what came later
    trace.caller = snapshot.caller
    for thing, fields in snapshot.interfaces:
        for name, value in fields:
            if getattr(thing, name) is not value:
                object.__setattr__(thing, name, value.copy() if isinstance(value, _MUTABLE) else value)


def same(one: object, other: object) -> bool:
    """Whether two parts of a machine are in the same state, whatever objects they consist of."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        if list(one) != list(other):
            return False
        return one == other or all(same(value, other[key]) for key, value in one.items())
    if type(one).__eq__ is not object.__eq__:
        return one == other
    names = [name for name in _names(one) if name not in _TIES]
    return bool(names) and all(same(getattr(one, name), getattr(other, name)) for name in names)


def copy_of(value: object) -> object:
    """A copy of a small part that knows how to copy itself; anything else as it is."""
    make = getattr(value, "copy", None)
    return make() if callable(make) else value


def _names(thing: object) -> tuple[str, ...]:
    slots = getattr(type(thing), "__slots__", None)
    return tuple(slots) if slots is not None else tuple(getattr(thing, "__dict__", ()))


def _interfaces(machine: Machine) -> list[object]:
    """The objects whose attributes are state: those on handles, each once, and the accept option."""
    handles = machine.services.handles
    found: dict[int, object] = {id(machine.on_demand): machine.on_demand}
    for handle in handles:
        for interface in handles.protocols(handle).values():
            if not isinstance(interface, tuple | str | bytes | int):
                found.setdefault(id(interface), interface)
    return list(found.values())


def _fields(thing: object) -> Fields:
    return tuple(
        (name, value.copy() if isinstance(value, _MUTABLE) else value)
        for name in _names(thing)
        if hasattr(thing, name)
        for value in (getattr(thing, name),)
    )


def _td_since(live: TrustDomain, before: TrustDomain) -> TrustDomain:
    """``before`` itself where nothing changed, else a copy that shares its unchanged parts."""
    kept = [name for name in _TD_PARTS if same(getattr(live, name), getattr(before, name))]
    facts = [name for name in _names(live) if name not in (*_TD_PARTS, "tdcall")]
    unchanged = all(getattr(live, name) == getattr(before, name) for name in facts) and all(
        getattr(live.tdcall, name) == getattr(before.tdcall, name) for name in _TDCALL_COUNTS
    )
    if unchanged and len(kept) == len(_TD_PARTS):
        return before
    twin = live.copy()
    if unchanged and type(live.contents) is not type(before.contents) and _same_bytes(twin.contents, before.contents):
        kept.append("contents")  # a processor's memory is another kind of contents than what is kept of it
        if len(kept) == len(_TD_PARTS):
            return before
    for name in kept:
        setattr(twin, name, getattr(before, name))
    return twin


def _same_bytes(one: Contents, other: Contents) -> bool:
    """Whether two copies that were made alike hold the same."""
    return list(one.views(0, 1 << 64)) == list(other.views(0, 1 << 64))


def _core_since(live: DxeCore, before: DxeCore) -> DxeCore:
    kept = [name for name in _CORE_PARTS if same(getattr(live, name), getattr(before, name))]
    if len(kept) == len(_CORE_PARTS) and all(getattr(live, name) == getattr(before, name) for name in _CORE_FACTS):
        return before
    twin = live.copy()
    for name in kept:
        setattr(twin, name, getattr(before, name))
    if "memory_map" in kept:
        twin.pages = before.pages
    return twin


def _restore_td(td: TrustDomain, state: TrustDomain) -> None:
    """The clock stays the same object: the shell's own clock is this one."""
    clock = td.clock
    clock.now_ns = state.clock.now_ns
    twin = state.copy()
    for name in _names(twin):
        setattr(td, name, getattr(twin, name))
    td.clock = clock
    # The accept leaf works on these very parts.
    td.tdcall = PageAccept(td.sept, td.ram, td.gpaw, td.shared)
    for name in _TDCALL_COUNTS:
        setattr(td.tdcall, name, getattr(twin.tdcall, name))
