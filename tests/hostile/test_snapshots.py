"""Snapshot files that others wrote: any value may be another, and the shell goes on."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shell.under_test import ShellUnderTest

VALUES: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=4)
    | st.lists(st.integers(0, 1 << 64), max_size=4) | st.just({})
)  # fmt: skip
AFTER = (
    "td",
    "memmap",
    "dh -v",
    "sept",
    "accept 512M 2M",
    "bs AllocatePages AnyPages LoaderData 2",
    "trace",
    "undo",
    "dmpstore",
)


@cache
def saved() -> str:
    made = ShellUnderTest()
    made.run("fs0:", "td new -memory 2G -accept 512M", "accept 600M 4M", "bs AllocatePool LoaderData 40")
    made.run("setvar x -guid 8be4df61-93ca-11d2-aa0d-00e098032b8c -bs =0x11", "snap save one -file good.snap")
    return made.files.read(["good.snap"]).decode()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, so that each field is as likely as each other."""
    found = [path] if path else []
    entries = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, inner in entries:
        found += places(inner, (*path, key))
    return found


@settings(max_examples=40)
@given(st.data())
def test_a_value_of_another_kind_is_one_line_or_harmless(data: st.DataObject) -> None:
    content = json.loads(saved())
    path = data.draw(st.sampled_from(places(content)))
    value = data.draw(VALUES)
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    shell = ShellUnderTest()
    shell.run("fs0:")
    shell.files.write_file("bad.snap", json.dumps(content).encode())
    text = shell.run("snap load two -file bad.snap")
    assert text.count("\n") <= 1
    shell.run("snap restore two")
    for line in AFTER:
        shell.run(line)
    assert shell.run("echo alive") == "alive\n"


def test_the_field_is_named() -> None:
    content = json.loads(saved())
    content["machine"]["core"]["memory_map"][3][2] = 1.5
    shell = ShellUnderTest()
    shell.files.write_file("bad.snap", json.dumps(content).encode())
    assert "'machine.core.memory_map[3][2]' is not a number from 0 to 4294967295: 1.5" in shell.run(
        "snap load two -file fs0:bad.snap"
    )
