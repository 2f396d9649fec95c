"""Service calls of guest code in the machine's journal: arguments by name, GUIDs and strings as what they say."""

from __future__ import annotations

from tdvfsh.engine.abi.service_table import Answer, Service
from tdvfsh.engine.errors import InaccessibleMemory
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_typing import Final
from tdvfsh.machine.machine import Machine
from tdvfsh.trace import TraceRecord, Value
from tdvfsh.uefi import service_names
from tdvfsh.uefi.guids import guid_name
from tdvfsh.uefi.status import SUCCESS, EfiStatus

POLLING: Final = frozenset(
    (
        service_names.CHECK_EVENT,
        service_names.STALL,
        service_names.RAISE_TPL,
        service_names.RESTORE_TPL,
        "EFI_SIMPLE_TEXT_INPUT_PROTOCOL.ReadKeyStroke",
        "EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL.ReadKeyStrokeEx",
    )
)
"""Services that a waiting guest calls without end; the journal counts repetitions instead of listing them."""
_LONGEST_STRING: Final = 256


class CallJournal:
    """Server of calls that records them; a poll that only repeats is counted where it stands already.

    Args:
        machine: The machine whose journal it is.
        ram: Guest memory.
    """

    def __init__(self, machine: Machine, ram: GuestRam) -> None:
        self._machine = machine
        self._ram = ram
        self._last_poll: dict[str, TraceRecord] = {}

    def serve(self, service: Service, arguments: tuple[int, ...]) -> Answer:
        """The service's answer to a call with ``arguments``."""
        if service.own_record:
            return self._serve_recorded(service, arguments)
        known = self._last_poll.get(service.name) if service.name in POLLING else None
        if known is not None:
            return self._again(service, arguments, known)
        trace = self._machine.trace
        record = trace.enter(service.name, **self._named(service, arguments))
        answer = service.function(*arguments)
        status = answer if isinstance(answer, EfiStatus) else SUCCESS
        trace.leave(record, status, **({} if isinstance(answer, EfiStatus) or answer is None else {"value": answer}))
        if service.name in POLLING:
            self._last_poll[service.name] = record
        else:
            self._last_poll.clear()
        return answer

    def _serve_recorded(self, service: Service, arguments: tuple[int, ...]) -> Answer:
        """A service that writes its own record; it does not where it refuses the arguments as such."""
        self._last_poll.clear()
        trace = self._machine.trace
        before = len(trace)
        answer = service.function(*arguments)
        if len(trace) == before and isinstance(answer, EfiStatus):
            trace.note(service.name, answer, **self._named(service, arguments))
        return answer

    def serve_variadic(self, service: Service, stack: int) -> Answer:
        """The answer of a service that takes as many arguments as it finds at ``stack``."""
        self._last_poll.clear()
        trace = self._machine.trace
        record = trace.enter(service.name)
        answer = service.function(lambda position: self._ram.u64(stack + 8 * position))
        trace.leave(record, answer if isinstance(answer, EfiStatus) else SUCCESS)
        return answer

    def _named(self, service: Service, arguments: tuple[int, ...]) -> dict[str, Value]:
        return {
            name: value if width == "q" or not value else self._told(width, value)
            for name, value, width in zip(service.names, arguments, service.widths, strict=True)
        }

    def _told(self, width: str, value: int) -> Value:
        """A pointer as what it points to; the bare number where nothing can be read there."""
        try:
            if width == "g":
                return guid_name(self._ram.guid(value))
            return self._ram.utf16(value, _LONGEST_STRING) if width == "s" else value
        except InaccessibleMemory:
            return value

    def _again(self, service: Service, arguments: tuple[int, ...], record: TraceRecord) -> Answer:
        """A poll that is in the journal already, since nothing else was called meanwhile: count it there."""
        times = record.results.get("times")
        record.results["times"] = (times if isinstance(times, int) else 1) + 1
        answer = service.function(*arguments)
        if isinstance(answer, EfiStatus):
            record.status = answer
        return answer
