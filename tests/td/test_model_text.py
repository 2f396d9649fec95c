"""Shipped firmware models are read fast, and as tomllib reads them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import tdvfsh.td
from tdvfsh.td.model_text import read_model_text

MODELS = sorted(Path(tdvfsh.td.__file__).with_name("firmware_models").glob("*.toml"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_shipped_model_is_read_as_tomllib_reads_it(path: Path) -> None:
    text = """\
d = [
  { x = 0b1 },
]
a = [
  { x = 1 }, # a remark
  { x = 0xF },
]
b = [
]
c = [ { y = "0" } ]
"""
    expected = {"d": [{"x": 1}], "a": [{"x": 1}, {"x": 15}], "b": [], "c": [{"y": "0"}]}
    assert read_model_text(text) == tomllib.loads(text) == expected
