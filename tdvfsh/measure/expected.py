"""Measurements that were expected, from a file that ``tdvfsh measure --json`` wrote, against those that came out.

A file may be shorter than what is written: what it does not have is not compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from tdvfsh.documents import read_json
from tdvfsh.errors import FormatError, host_error
from tdvfsh.formats.shapes import items, maybe, row, text
from tdvfsh.formats.tcg.registers import DIGEST_SIZE
from tdvfsh.formats.typed_json import FieldError, JsonObject, wrong
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Any, Final

_LARGEST: Final = 16 << 20
_REGISTERS: Final = ("RTMR0", "RTMR1", "RTMR2", "RTMR3")
EventKey = tuple[str, str, str]
"""Register, type and digest of an event, by which events are the same."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a file expects.

    Attributes:
        path: The file.
        mrtd: MRTD in hex; None where the file has none.
        rtmr: RTMR0 to RTMR3 in hex; None for each that the file does not have.
        events: Events, each with its key and what it says; None where the file has none.
    """

    path: str
    mrtd: str | None
    rtmr: tuple[str | None, ...]
    events: tuple[tuple[EventKey, str], ...] | None

    @property
    def needs_run(self) -> bool:
        """Whether it expects anything that only a run tells."""
        return any(self.rtmr) or bool(self.events)


def read_expected(path: str) -> Expected:
    """Read a file.

    Raises:
        HostError: It cannot be read.
        FormatError: It is not what ``tdvfsh measure --json`` writes; the message names the field.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise host_error(path, error) from None
    if len(data) > _LARGEST:
        raise FormatError(path, f"more than {_LARGEST:,} bytes of JSON")
    try:
        return _expected(path, JsonObject(read_json(data, path, "expected measurements")))
    except FieldError as error:
        raise FormatError(path, f"not the JSON of 'tdvfsh measure': {error}") from None


def _expected(path: str, whole: JsonObject) -> Expected:
    names = whole.names()
    if not {"mrtd", "rtmr", "events"} & set(names):
        raise FieldError("mrtd", "is missing, and so are 'rtmr' and 'events'")
    mrtd = _register(whole.value("mrtd"), "mrtd") if "mrtd" in names else None
    rtmr: tuple[str | None, ...] = (None,) * 4
    if "rtmr" in names and whole.value("rtmr") is not None:
        values = whole.value("rtmr")
        row(*(maybe(text),) * 4)(values, "rtmr")
        assert isinstance(values, list)
        rtmr = tuple(_register(value, f"rtmr[{number}]") for number, value in enumerate(values))
    events = None
    if "events" in names:
        entries = whole.value("events")
        items(lambda value, field: None)(entries, "events")
        assert isinstance(entries, list)
        events = tuple(_event(entry, f"events[{number}]") for number, entry in enumerate(entries))
    return Expected(path, mrtd, rtmr, events)


def _register(value: object, field: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise wrong(field, "a register in hex", value)
    try:
        whole = len(bytes.fromhex(value)) == DIGEST_SIZE
    except ValueError:
        whole = False
    if not whole:
        raise FieldError(field, f"is not a register of {DIGEST_SIZE} bytes in hex")
    return value.lower()


def _event(value: object, field: str) -> tuple[EventKey, str]:
    entry = JsonObject(value, field)
    parts = []
    for name in ("register", "type", "digest", "words"):
        part = entry.value(name) if name in entry else ""
        maybe(text)(part, entry.field(name))
        parts.append(str(part or ""))
    return (parts[0], parts[1], parts[2].lower()), parts[3]


def differences(expected: Expected, found: Mapping[str, Any]) -> list[str]:
    """What differs, in words: registers first, then events; empty where nothing does.

    Args:
        expected: What was expected.
        found: The measurement as ``tdvfsh measure --json`` writes it.
    """
    lines = []
    if expected.mrtd is not None and expected.mrtd != found["mrtd"]:
        lines.append(_changed("MRTD", expected.mrtd, found["mrtd"]))
    registers = found["rtmr"] or [None] * 4
    for name, wanted, value in zip(_REGISTERS, expected.rtmr, registers, strict=True):
        if wanted is not None and wanted != value:
            lines.append(_changed(name, wanted, value or "not measured"))
    if expected.events is not None and any(registers):
        lines += _event_differences(expected.events, [_event(each, "events") for each in found["events"]])
    return lines


def _changed(name: str, wanted: str, value: str) -> str:
    return f"{name:<5} expected {wanted}\n      found    {value}"


def _event_differences(expected: Sequence[tuple[EventKey, str]], found: Sequence[tuple[EventKey, str]]) -> list[str]:
    """Events that are missing (``-``) and new (``+``), each register's by themselves, in their order."""
    lines = []
    for register in sorted({key[0] for key, _ in (*expected, *found)}):
        before = [(number, each) for number, each in enumerate(expected, 1) if each[0][0] == register]
        after = [(number, each) for number, each in enumerate(found, 1) if each[0][0] == register]
        matcher = SequenceMatcher(None, [each[0] for _, each in before], [each[0] for _, each in after], autojunk=False)
        for what, start, end, other, last in matcher.get_opcodes():
            if what != "equal":
                lines += [_event_line("-", *each) for each in before[start:end]]
                lines += [_event_line("+", *each) for each in after[other:last]]
    return lines


def _event_line(sign: str, number: int, event: tuple[EventKey, str]) -> str:
    (register, kind, digest), words = event
    return f"{sign} event {number} {register or 'no register'} {kind} {digest[:16]}… {words}"
