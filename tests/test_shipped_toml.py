"""TOML files that are shipped are read fast, and as tomllib reads them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import tdvfsh
from tdvfsh.shipped_toml import read_shipped_toml

PACKAGE = Path(tdvfsh.__file__).parent
SHIPPED = sorted(path for path in PACKAGE.rglob("*.toml") if path.name != "catalogue.toml")  # fetching reads that


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_is_read_as_tomllib_reads_it_and_without_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = path.read_text(encoding="utf-8")
    expected = tomllib.loads(text)
    monkeypatch.setattr(tomllib, "loads", None)
    assert read_shipped_toml(text) == expected


def test_the_shipped_files_are_found() -> None:
    assert {"known_faults", "kvm-4k", "ovmf-2026.08", "inteltdx-td"} <= {path.stem for path in SHIPPED}


PLAIN = (
    """\
# a remark
name = "a = b, c"  # its name
size = 0x1F
many = 12
quiet = true
long = """
    + '"""\\\n    one \\\n    "two" """\n'
    + """\
words = ["x, y", "z"]

[top]
rows = [
  { type = "A", start = 0x10, pages = 3 },
  { type = "B = 0x3", last = true },
]

[top.inner]
none = 0
texts = [
  { over = 9, text = """
    + '"""\nC1 D2\nC3\n""" },\n'
    + """\
]

[[each]]
value = "1"

[[each]]
value = "2"
empty = [
]

[[top.each]]
value = "3"
"""
)


def test_a_plain_document_is_read_as_tomllib_reads_it() -> None:
    assert read_shipped_toml(PLAIN.replace("B = 0x3", "B")) == tomllib.loads(PLAIN.replace("B = 0x3", "B"))


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "a = [\n  { x = 0b1 },\n]\n",
        "a = [\n  { x = 1 }, # a remark\n  { x = 0xF },\n]\n",
        'a = [ { y = "0" } ]\n',
        'a = "\\u0041"\n',
        'a = ["\\U00000041"]\n',
        "a = '\"'\n",
        "a = 1.5\nb = -3\nc = 1_000\nd = 2026-11-30\n",
        "a.b = 1\n",
        "[a.b]\nx = 1\n[a]\ny = 2\n",
        "  [ a ]\n  x = 1\n",
        "[[a]]\nx = 1\n[a.b]\ny = 2\n",
        "a = 1 # close\r\nb = 2\r\n",
    ],
)
def test_what_is_not_plain_is_left_to_tomllib(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = tomllib.loads(text)
    asked: list[str] = []

    def loads(text: str) -> dict[str, object]:
        asked.append(text)
        return expected

    monkeypatch.setattr(tomllib, "loads", loads)
    assert read_shipped_toml(text) == expected
    assert asked == [text]


@pytest.mark.parametrize(
    "text", ["a = 1\na = 2\n", "[a]\n[a]\n", "a = 1\n[a.b]\n", "ä = 1", "a = 01", "a = ", "a", "a = [\n", 'a = "\x7f"']
)
def test_what_is_not_toml_is_refused(text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        read_shipped_toml(text)
