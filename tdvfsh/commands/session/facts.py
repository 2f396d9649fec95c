"""What the names in ``assert`` mean: facts of the machine, of the last boot, and of the shell.

Names are in lower case; words with a capital are values: ``unaccepted`` is a number of bytes, ``Unaccepted`` a type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tdvfsh.commands.boot.boot import last_boot
from tdvfsh.commands.session.expression import Value
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, NamedTuple
from tdvfsh.shell.command.types import BadArgument, read_memory_type
from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor, memory_type_name
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.uefi.tdx import SeptState
from tdvfsh.units import PAGE_SHIFT

if TYPE_CHECKING:
    from tdvfsh.boots.modelled_boot import BootResult
    from tdvfsh.loaders.flow import Placement
    from tdvfsh.machine import Machine
    from tdvfsh.shell.shell import Shell

_CONVENTIONAL: Final = EfiMemoryType.EfiConventionalMemory
_MASK: Final = (1 << 63) - 1


class Fact(NamedTuple):
    """One name: what it takes in parentheses (``none``, ``number``, ``word``), its help, and its function."""

    takes: str
    text: str
    read: Callable[[Shell, Value], Value]


def _of_machine(text: str, read: Callable[[Machine], Value]) -> Fact:
    return Fact("none", text, lambda shell, _: read(machine_of(shell)))


def _at(text: str, read: Callable[[Machine, int], Value]) -> Fact:
    return Fact("number", text, lambda shell, address: read(machine_of(shell), _number(address)))


def _of_boot(text: str, read: Callable[[BootResult], Value]) -> Fact:
    return Fact("none", text, lambda shell, _: read(_boot(shell)))


def _of_placement(text: str, measure: Callable[[Placement], int]) -> Fact:
    def read(shell: Shell, what: Value) -> Value:
        placed = [entry for entry in _boot(shell).placements if entry.what == what and not entry.freed]
        return measure(placed[-1]) if placed else None

    return Fact("word", text, read)


def _number(value: Value) -> int:
    assert isinstance(value, int)
    return value


def _boot(shell: Shell) -> BootResult:
    result = last_boot(shell)
    if result is None:
        raise UsageError("nothing has been booted yet")
    return result


def _descriptor(machine: Machine, address: int) -> MemoryDescriptor | None:
    descriptors = machine.services.memory_map_view().descriptors
    return next((one for one in descriptors if one.physical_start <= address < one.physical_end), None)


def _type(machine: Machine, address: int) -> Value:
    found = _descriptor(machine, address)
    return None if found is None else memory_type_name(found.memory_type)


def _attribute(machine: Machine, address: int) -> Value:
    found = _descriptor(machine, address)
    return None if found is None else found.attribute


def _gcd(machine: Machine, address: int) -> Value:
    found = machine.services.gcd.get_memory_space_descriptor(address)
    if found is None:
        return None
    name = found.memory_type.name.removeprefix("EfiGcdMemoryType")
    alike = _memory_type(name)  # a word that both maps have means the same beside either
    return name if alike is None else memory_type_name(alike)


def _free(machine: Machine) -> list[int]:
    return [end - start for start, end in machine.services.core.memory_map.free_ranges()]


def _bytes(shell: Shell, word: Value) -> Value:
    kind = _memory_type(str(word))
    if kind is None:
        raise UsageError(f"bytes({word}): not a memory type")
    descriptors = machine_of(shell).services.memory_map_view().descriptors
    return sum(one.number_of_pages << PAGE_SHIFT for one in descriptors if one.memory_type == kind)


def _calls(shell: Shell, word: Value) -> Value:
    wanted = str(word).lower()
    return sum(record.service.lower() == wanted for record in machine_of(shell).trace)


FACTS: Final[Mapping[str, Fact]] = {
    "ram": _of_machine("bytes of RAM", lambda machine: machine.td.ram.memory),
    "accepted": _of_machine("bytes that are accepted", lambda machine: machine.td.accepted_bytes),
    "unaccepted": _of_machine("bytes that are not", lambda machine: machine.td.unaccepted_bytes),
    "shared": _of_machine("bytes that were made shared", lambda machine: machine.td.shared_bytes),
    "atboot": _of_machine("bytes accepted at boot", lambda machine: machine.boot_bytes),
    "ondemand": _of_machine("bytes accepted since", lambda machine: machine.td.accepted_bytes - machine.boot_bytes),
    "available": _of_machine("bytes of free memory", lambda machine: sum(_free(machine))),
    "largest": _of_machine("bytes of the largest free piece", lambda machine: max(_free(machine), default=0)),
    "descriptors": _of_machine(
        "descriptors in the memory map", lambda machine: len(machine.services.memory_map_view().descriptors)
    ),
    "mapkey": _of_machine("the map key", lambda machine: machine.services.core.memory_map.key),
    "handles": _of_machine("number of handles", lambda machine: len(machine.services.handles)),
    "tdcalls": _of_machine("TDCALLs made", lambda machine: machine.td.tdcall.calls),
    "tdexits": _of_machine("TD exits they caused", lambda machine: machine.td.tdcall.exits),
    "vcpus": _of_machine("number of vCPUs", lambda machine: machine.td.vcpus),
    "gpaw": _of_machine("guest physical address width", lambda machine: machine.td.gpaw),
    "clock": _of_machine("virtual nanoseconds", lambda machine: machine.clock.now_ns),
    "runtime": _of_machine("whether boot services are gone", lambda machine: machine.services.at_runtime),
    "type": _at("memory type in the memory map", _type),
    "attribute": _at("attribute in the memory map", _attribute),
    "sept": _at("secure EPT state", lambda machine, address: machine.td.sept.state(address).name),
    "gcd": _at("type in the GCD map", _gcd),
    "bytes": Fact("word", "bytes of a memory type", _bytes),
    "calls": Fact("word", "records of a service in the journal", _calls),
    "booted": _of_boot("whether the last boot reached the OS", lambda result: result.booted),
    "status": _of_boot("what it ended with", lambda result: result.status.name),
    "stage": _of_boot("where it ended", lambda result: result.stage),
    "bootaccepted": _of_boot("bytes it accepted at boot", lambda result: result.boot_bytes),
    "bootondemand": _of_boot("bytes it accepted on demand", lambda result: result.on_demand_bytes),
    "bootleft": _of_boot("bytes it left to the OS", lambda result: result.left_to_os_bytes),
    "placement": _of_placement("first byte of what it placed", lambda entry: entry.start),
    "end": _of_placement("first byte after it", lambda entry: entry.end),
    "size": _of_placement("bytes of what it placed", lambda entry: entry.size),
    "lasterror": Fact("none", "status of the last command", lambda shell, _: shell.last_error_code),
    "var": Fact("word", "value of a variable", lambda shell, name: shell.get_variable(str(name))),
    "exists": Fact("word", "whether there is such a file", lambda shell, name: shell.file_exists(str(name))),
}


class ShellFacts:
    """:class:`tdvfsh.commands.session.expression.Facts` of a shell."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def takes(self, name: str) -> str | None:
        """See :class:`tdvfsh.commands.session.expression.Facts`."""
        known = FACTS.get(name)
        return None if known is None else known.takes

    def fact(self, name: str, argument: Value) -> Value:
        """See :class:`tdvfsh.commands.session.expression.Facts`."""
        return FACTS[name].read(self._shell, argument)

    def constant(self, word: str) -> Value:
        """See :class:`tdvfsh.commands.session.expression.Facts`; ``true``, ``false`` and ``none`` are words too."""
        simple: dict[str, Value] = {"true": True, "false": False, "none": None}
        if word.lower() in simple:
            return simple[word.lower()]
        memory_type = _memory_type(word)
        if memory_type is not None:
            return memory_type_name(memory_type)
        status = _status(word)
        if status is not None:
            return status.name
        if word.upper() in SeptState.__members__:
            return word.upper()
        if word in _STAGES or word in _GCD_NAMES:
            return word
        raise UsageError(f"'{word}' is not a known name; 'help assert' lists the names")

    def alike(self, one: Value, other: Value) -> bool:
        """See :class:`tdvfsh.commands.session.expression.Facts`: a status is its number, the error bit aside."""
        number, name = (one, other) if isinstance(one, int) else (other, one)
        if type(number) is not int or not isinstance(name, str):
            return False
        status = _status(name)
        return status is not None and status.value & _MASK == number & _MASK


_STAGES: Final = frozenset(
    ("fetch_blobs", "load_image", "start_image", "load_kernel", "load_initrd", "exit_boot_services")
)
_GCD_NAMES: Final = frozenset(
    ("NonExistent", "Reserved", "SystemMemory", "MemoryMappedIo", "Persistent", "MoreReliable", "Unaccepted")
)


def _memory_type(word: str) -> int | None:
    for spelling in (word, f"{word}Type"):
        try:
            return None if spelling[:1].isdigit() else read_memory_type(spelling)
        except BadArgument:
            continue
    return None


def _status(word: str) -> EfiStatus | None:
    upper = word.upper()
    return EfiStatus.__members__.get(upper if upper.startswith("EFI_") else f"EFI_{upper}")
