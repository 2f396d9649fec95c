"""``--fault`` and the ``fault`` command: failures on purpose, by name, number and status.

A fault is written ``WHAT:N=HOW`` or ``WHAT:N-M=HOW``: the N-th (to M-th) WHAT ends with HOW.

==============  ====================================================================  ================================
WHAT            counts                                                                HOW
==============  ====================================================================  ================================
accept          requests of the accept protocol, from the start of DXE                a TDCALL completion
tdcall          TDG.MEM.PAGE.ACCEPT calls, from the start of DXE                      a TDCALL completion
sec-accept      ranges that SEC accepts                                               a TDCALL completion
sec-tdcall      TDG.MEM.PAGE.ACCEPT calls, from the TD's first                        a TDCALL completion
mapgpa          MapGPA calls                                                          RETRY, INVALID_OPERAND
AllocatePages   calls of that boot service; likewise AllocatePool, LoadImage,         an EFI status
                StartImage, AcceptMemory and ExitBootServices
==============  ====================================================================  ================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tdvfsh.dxe.service_faults import ServiceFaults
from tdvfsh.errors import UsageError
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, NamedTuple
from tdvfsh.td.faults import FaultPlan
from tdvfsh.uefi import service_names
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.uefi.tdx import TdcallStatus, TdvmcallStatus, completion_from_name, completion_name
from tdvfsh.units import parse_decimal

if TYPE_CHECKING:
    from tdvfsh.machine.machine import Machine

FAULTING_SERVICES: Final = (
    service_names.ALLOCATE_PAGES,
    service_names.ALLOCATE_POOL,
    service_names.LOAD_IMAGE,
    service_names.START_IMAGE,
    service_names.ACCEPT_MEMORY,
    service_names.EXIT_BOOT_SERVICES,
)
ACCEPT: Final = "accept"
TDCALL: Final = "tdcall"
SEC_ACCEPT: Final = "sec-accept"
SEC_TDCALL: Final = "sec-tdcall"
MAP_GPA: Final = "mapgpa"
_NAMES: Final = (ACCEPT, TDCALL, SEC_ACCEPT, SEC_TDCALL, MAP_GPA, *FAULTING_SERVICES)
_SPEC: Final = pattern(r"(?P<what>[A-Za-z-]+):(?P<first>\d+)(?:-(?P<last>\d+))?=(?P<how>\w+)")
_MAX_NUMBER: Final = 1 << 40
_MAX_COUNT: Final = 4096


class Fault(NamedTuple):
    """One fault: ``first`` to ``last`` of ``what`` end with the value ``how``, called ``name``."""

    what: str
    first: int
    last: int
    name: str
    how: int

    def __str__(self) -> str:
        numbers = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.what}:{numbers}={self.name}"


def parse_fault(text: str) -> Fault:
    """Read one ``WHAT:N[-M]=HOW``.

    Raises:
        UsageError: No such fault; the message says what there is.
    """
    match = _SPEC.fullmatch(text)
    if match is None:
        raise UsageError(f"fault {text}: write WHAT:N=HOW or WHAT:N-M=HOW, as accept:1=OPERAND_BUSY")
    what = next((name for name in _NAMES if name.lower() == match["what"].lower()), None)
    if what is None:
        raise UsageError(f"fault {text}: unknown {match['what']}; choose one of {', '.join(_NAMES)}")
    first = parse_decimal(match["first"])
    last = parse_decimal(match["last"] or match["first"])
    if first is None or last is None or not 1 <= first <= last <= _MAX_NUMBER or last - first >= _MAX_COUNT:
        raise UsageError(f"fault {text}: numbers count from 1, ascend, and are at most {_MAX_COUNT} at once")
    name, how = _how(text, what, match["how"])
    return Fault(what, first, last, name, how)


def set_sec_faults(machine: Machine, faults: Iterable[Fault]) -> None:
    """Have what SEC does fail, before SEC does it."""
    _extend(machine, faults, {SEC_ACCEPT: 0, SEC_TDCALL: 0})


def set_faults(machine: Machine, faults: Iterable[Fault]) -> None:
    """Have later things fail; accepts, TDCALLs, MapGPA and service calls count from now on."""
    faults = list(faults)
    td = machine.td
    _extend(machine, faults, {ACCEPT: td.accepts, TDCALL: td.tdcall.calls, MAP_GPA: td.map_gpa_calls})
    services = machine.services
    for fault in faults:
        if fault.what in FAULTING_SERVICES:
            if services.fault_plan is None:
                services.fault_plan = ServiceFaults()
            done = services.fault_plan.calls.get(fault.what, 0)
            for number in range(fault.first, fault.last + 1):
                services.fault_plan.add(fault.what, done + number, EfiStatus[fault.name])


def pending_faults(machine: Machine) -> list[str]:
    """``WHAT:N=HOW`` of every fault that is still to come, numbered from now, in the order of their kinds."""
    td, services = machine.td, machine.services
    lines: list[str] = []
    if isinstance(td.faults, FaultPlan):
        kinds: tuple[tuple[str, int, Mapping[int, int]], ...] = (
            (ACCEPT, td.accepts, td.faults.accepts),
            (TDCALL, td.tdcall.calls, td.faults.tdcalls),
            (MAP_GPA, td.map_gpa_calls, td.faults.map_gpas),
        )
        for what, done, planned in kinds:
            lines += [f"{what}:{at - done}={_name_of(what, how)}" for at, how in sorted(planned.items()) if at > done]
    if services.fault_plan is not None:
        for service, answers in services.fault_plan.faults.items():
            done = services.fault_plan.calls.get(service, 0)
            lines += [f"{service}:{at - done}={status.name}" for at, status in sorted(answers.items()) if at > done]
    return lines


def forget_faults(machine: Machine) -> None:
    """No fault is to come any more."""
    machine.td.faults = None
    machine.services.fault_plan = None


def _name_of(what: str, how: int) -> str:
    return TdvmcallStatus(how).name if what == MAP_GPA else completion_name(how)


def _extend(machine: Machine, faults: Iterable[Fault], offsets: Mapping[str, int]) -> None:
    plan = machine.td.faults
    plan = plan.copy() if isinstance(plan, FaultPlan) else FaultPlan()
    add: dict[str, Callable[[int, int], None]] = {
        ACCEPT: plan.accepts.__setitem__,
        SEC_ACCEPT: plan.accepts.__setitem__,
        TDCALL: plan.tdcalls.__setitem__,
        SEC_TDCALL: plan.tdcalls.__setitem__,
        MAP_GPA: lambda number, how: plan.map_gpas.__setitem__(number, TdvmcallStatus(how)),
    }
    known = [fault for fault in faults if fault.what in offsets]
    for fault in known:
        for number in range(fault.first, fault.last + 1):
            add[fault.what](offsets[fault.what] + number, fault.how)
    if known:
        machine.td.faults = plan


def _how(text: str, what: str, name: str) -> tuple[str, int]:
    upper = name.upper()
    try:
        if what in FAULTING_SERVICES:
            status = EfiStatus["EFI_" + upper.removeprefix("EFI_")]
            if status.is_error:
                return status.name, int(status)
        elif what == MAP_GPA:
            answer = TdvmcallStatus[upper]
            if answer is not TdvmcallStatus.SUCCESS:
                return answer.name, answer.value
        else:
            completion = completion_from_name("PAGE_" + upper if upper == "SIZE_MISMATCH" else upper)
            if completion is not TdcallStatus.SUCCESS:
                return completion.name, completion.value
    except KeyError:
        pass
    if what in FAULTING_SERVICES:
        raise UsageError(f"fault {text}: {what} cannot end with {name}; give an error status, such as OUT_OF_RESOURCES")
    known = TdvmcallStatus if what == MAP_GPA else TdcallStatus
    names = ", ".join(each.name for each in known if each)
    raise UsageError(f"fault {text}: {what} cannot end with {name}; choose one of {names}")
