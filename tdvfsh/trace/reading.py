"""Journal records read back from plain values, each field with its type checked.

Form 1, which tdvfsh 0.1.0 wrote, names no kind and knows no placements and no durations; its three ways to write
TDG.MEM.PAGE.ACCEPT become one.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.formats.typed_json import FieldError, JsonObject, wrong
from tdvfsh.lazy_typing import Final
from tdvfsh.trace.accepts import size_of_call
from tdvfsh.trace.fields import Field, Value
from tdvfsh.trace.records import (
    KINDS,
    NO_PARENT,
    BootAccept,
    PageAccept,
    PlacementGone,
    PlacementMade,
    ProtocolAccept,
    ServiceCall,
    TraceRecord,
)
from tdvfsh.uefi.service_names import ACCEPT_AT_BOOT, PAGE_ACCEPT
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.uefi.tdx import ACCEPT_GPA_MASK
from tdvfsh.units import LARGE_PAGE_SIZE

TRACE_FORM: Final = 2
OLDEST_FORM: Final = 1
_MOST_TIME: Final = 1 << 80
_DERIVED: Final = frozenset({"accepted_bytes"})
"""Written for readers of the file; a record that has them as a property computes them."""
_KIND_OF_SERVICE: Final = {
    kind.service: kind
    for kind in KINDS.values()
    if kind not in (ServiceCall, PageAccept, BootAccept, PlacementMade, PlacementGone)
}


def read_record(value: object, earlier: Sequence[TraceRecord], form: int = TRACE_FORM) -> TraceRecord:
    """The record after ``earlier``.

    Args:
        value: What ``json.loads`` made of its line.
        earlier: All records before it.
        form: The file's form.

    Raises:
        FieldError: A field is missing, of another type, or does not fit what stands before it.
    """
    values = JsonObject(value)
    number = values.number("number")
    if number != len(earlier):
        raise FieldError("number", f"is {number}, but the record is number {len(earlier)}")
    parent = values.number("parent", NO_PARENT)
    if parent >= number:
        raise FieldError("parent", f"is {parent}, which does not stand before record {number}")
    status = _status(values)
    record = _of_form_1(values, status) if form == OLDEST_FORM else _of_kind(values)
    record.number, record.parent = number, parent
    record.time_ns = values.number("time_ns", most=_MOST_TIME)
    record.caller = values.text("caller")
    record.status = status
    if isinstance(record, PlacementGone):
        _check_placement(record, earlier)
    if form == OLDEST_FORM:
        _add_durations(record, earlier)
    return record


def form_of(value: object) -> int:
    """The form of a record that does not stand in a file with a header: only form 1 names no kind."""
    return TRACE_FORM if isinstance(value, dict) and "kind" in value else OLDEST_FORM


def _status(values: JsonObject) -> EfiStatus | None:
    if values.value("status") is None:
        return None
    name = values.text("status")
    if name not in EfiStatus.__members__:
        raise wrong("status", "an EFI status", name)
    return EfiStatus[name]


def _of_kind(values: JsonObject) -> TraceRecord:
    name = values.text("kind")
    kind = KINDS.get(name)
    if kind is None:
        raise wrong("kind", "a kind of record", name)
    if kind is ServiceCall:
        return _call(values)
    if values.text("service") != kind.service:
        raise FieldError("service", f"is not {kind.service}, as the kind {name} has it")
    return _fill(kind, values.child("arguments"), values.child("results"))


def _call(values: JsonObject) -> ServiceCall:
    record = ServiceCall(values.text("service"), _plain(values.child("arguments")))
    record.results = _plain(values.child("results"))
    return record


def _plain(values: JsonObject) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name in values.names():
        value = values.value(name)
        if not (value is None or isinstance(value, bool | int | str)):
            raise wrong(values.field(name), "a number, a text, true, false or null", value)
        found[name] = value
    return found


def _fill(kind: type[TraceRecord], arguments: JsonObject, results: JsonObject) -> TraceRecord:
    record = kind.__new__(kind)
    for values, fields in ((arguments, kind.ARGUMENTS), (results, kind.RESULTS)):
        for field in fields:
            value = _read(values, field)
            if field.attribute not in _DERIVED or kind is ProtocolAccept:
                setattr(record, field.attribute, value)
    return record


def _read(values: JsonObject, field: Field) -> Value:
    if field.optional and field.name not in values:
        return None
    value = values.value(field.name)
    if value is None and field.nullable:
        return None
    try:
        return field.form.read(value)
    except ValueError:
        raise wrong(values.field(field.name), field.form.what, value) from None


def _check_placement(record: PlacementGone, earlier: Sequence[TraceRecord]) -> None:
    if record.placement >= len(earlier) or not isinstance(earlier[record.placement], PlacementMade):
        raise FieldError("arguments.placement", f"is {record.placement}, which is not a placement")


def _of_form_1(values: JsonObject, status: EfiStatus | None) -> TraceRecord:
    service = values.text("service")
    arguments, results = values.child("arguments"), values.child("results")
    if service == PAGE_ACCEPT:
        return _old_page_accept(arguments, results, status)
    if service == ACCEPT_AT_BOOT:
        return _old_boot_accept(arguments, results)
    kind = _KIND_OF_SERVICE.get(service)
    refused = status is not None and status.is_error  # written with the names of what guest code passed
    if kind is None or (refused and not all(field.name in arguments for field in kind.ARGUMENTS)):
        return _call(values)
    return _fill(kind, arguments, results)


def _old_page_accept(arguments: JsonObject, results: JsonObject, status: EfiStatus | None) -> PageAccept:
    if "rcx" in arguments:
        rcx = arguments.number("rcx")
        record = PageAccept(rcx & ACCEPT_GPA_MASK, size_of_call(rcx))
        record.calls, record.completion = 1, results.text("completion")
        done = status is not None and not status.is_error and record.completion == "SUCCESS"
        record.pages_2m = int(done and record.size == LARGE_PAGE_SIZE)
        record.pages_4k = int(done and not record.pages_2m)
        return record
    record = PageAccept(arguments.number("start"), arguments.number("size"))
    record.vcpu = arguments.number("vcpu") if "vcpu" in arguments else 0
    record.calls = arguments.number("calls")
    record.pages_4k, record.pages_2m = arguments.number("pages_4k"), arguments.number("pages_2m")
    record.completion = arguments.text("completion")
    return record


def _old_boot_accept(arguments: JsonObject, results: JsonObject) -> BootAccept:
    record = BootAccept(arguments.number("end_address"))
    record.calls = results.number("calls")
    record.pages_4k, record.pages_2m = results.number("pages_4k"), results.number("pages_2m")
    return record


def _add_durations(record: TraceRecord, earlier: Sequence[TraceRecord]) -> None:
    """Form 1 wrote firmware's accepts as they ended, within a request that wrote when they began."""
    if record.number == 1 and isinstance(earlier[0], BootAccept):
        earlier[0].duration_ns = max(0, record.time_ns - earlier[0].time_ns)
    if isinstance(record, PageAccept) and record.parent != NO_PARENT:
        request = earlier[record.parent]
        if isinstance(request, ProtocolAccept):
            record.duration_ns = max(0, record.time_ns - request.time_ns)
            record.time_ns = request.time_ns
