"""Expected measurements: read with every field checked, and what differs named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tdvfsh.errors import FormatError, HostError
from tdvfsh.measure.expected import differences, read_expected

ONE, TWO = "11" * 48, "22" * 48


def entry(register: str | None, kind: str, digest: str, words: str) -> dict[str, Any]:
    return {"number": 1, "register": register, "type": kind, "digest": digest, "words": words}


FOUND: dict[str, Any] = {
    "mrtd": ONE,
    "rtmr": [ONE, TWO, ONE, TWO],
    "events": [
        entry("RTMR0", "EV_SEPARATOR", ONE, "separator"),
        entry("RTMR2", "EV_EVENT_TAG", TWO, "load options"),
        entry("RTMR2", "EV_EVENT_TAG", ONE, "initrd"),
        entry(None, "EV_NO_ACTION", ONE, "nothing"),
    ],
}


def compared(folder: Path, expected: object, found: dict[str, Any] = FOUND) -> list[str]:
    path = folder / "expected.json"
    path.write_text(json.dumps(expected))
    return differences(read_expected(str(path)), found)


def test_the_same_differs_nowhere(tmp_path: Path) -> None:
    assert compared(tmp_path, FOUND) == []
    assert compared(tmp_path, FOUND | {"mrtd": ONE.upper(), "notes": ["anything"]}) == []


@pytest.mark.parametrize("name", ["mrtd", "rtmr", "events"])
def test_what_a_file_lacks_is_not_compared(tmp_path: Path, name: str) -> None:
    other = {"mrtd": TWO, "rtmr": [TWO] * 4, "events": []}
    assert compared(tmp_path, {name: FOUND[name]}, {**other, name: FOUND[name]}) == []
    assert compared(tmp_path, {name: FOUND[name]}, other) != []


def test_a_register_alone_is_compared_by_itself(tmp_path: Path) -> None:
    assert compared(tmp_path, {"rtmr": [None, TWO, None, None]}) == []
    (line,) = compared(tmp_path, {"rtmr": [None, ONE, None, None]})
    assert line.split() == ["RTMR1", "expected", ONE, "found", TWO]


def test_changed_missing_and_new_events_are_named_by_register(tmp_path: Path) -> None:
    events = list(FOUND["events"])
    changed = {**FOUND, "rtmr": [ONE, TWO, TWO, TWO]}
    changed["events"] = [
        events[0],
        entry("RTMR2", "EV_EVENT_TAG", ONE[::-1].replace("1", "3"), "load options"),
        *events[2:],
    ]
    lines = compared(tmp_path, FOUND, changed)
    assert [line.split()[0] for line in lines] == ["RTMR2", "-", "+"]
    assert lines[1] == f"- event 2 RTMR2 EV_EVENT_TAG {TWO[:16]}… load options"
    assert lines[2] == f"+ event 2 RTMR2 EV_EVENT_TAG {'3' * 16}… load options"
    (line,) = compared(tmp_path, FOUND, {**FOUND, "events": events[:2] + events[3:]})
    assert line == f"- event 3 RTMR2 EV_EVENT_TAG {ONE[:16]}… initrd"
    (line,) = compared(tmp_path, {**FOUND, "events": events[1:]}, FOUND)
    assert line.startswith("+ event 1 RTMR0 EV_SEPARATOR")


def test_what_needs_a_run_is_known(tmp_path: Path) -> None:
    path = tmp_path / "expected.json"
    for value, needs in (({"mrtd": ONE}, False), ({"mrtd": ONE, "rtmr": None, "events": []}, False), (FOUND, True)):
        path.write_text(json.dumps(value))
        assert read_expected(str(path)).needs_run is needs


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("[" * 100000, "nested too deeply"),
        ("[]", "not an object"),
        ("{}", "'mrtd' is missing, and so are"),
        ('{"mrtd": 5}', "'mrtd' is not a register in hex: 5"),
        ('{"mrtd": "11"}', "'mrtd' is not a register of 48 bytes in hex"),
        (f'{{"mrtd": "{"zz" * 48}"}}', "'mrtd' is not a register of 48 bytes in hex"),
        ('{"rtmr": {}}', "'rtmr' is not a list of 4"),
        ('{"rtmr": []}', "'rtmr' is not a list of 4"),
        ('{"rtmr": [1, 2, 3, 4]}', "rtmr"),
        ('{"events": 1}', "'events' is not a list"),
        ('{"events": [1]}', r"'events\[0\]' is not an object"),
        ('{"events": [{"digest": 1}]}', r"'events\[0\].digest' is not a text"),
    ],
)
def test_a_file_that_is_not_a_measurement_is_one_line(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "expected.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=why) as caught:
        read_expected(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file"):
        read_expected(str(tmp_path / "none.json"))
