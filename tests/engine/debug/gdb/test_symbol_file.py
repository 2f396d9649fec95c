"""The ELF file that gdb reads names from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.debug.gdb.symbol_file import symbol_file

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(NAMES, st.integers(-5, 5000)), max_size=20), st.integers(1, 4096))
def test_any_names_make_a_file(symbols: list[tuple[str, int]], size: int) -> None:
    assert symbol_file(symbols, size).startswith(b"\x7fELF")


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs binutils")
def test_binutils_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_bytes(symbol_file([("second", 0x40), ("first", 0), ("beyond", 0x2000)], 0x1000))
    said = subprocess.run(["nm", "-S", path], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [
        "0000000000000000 0000000000000040 T first",
        "0000000000000040 0000000000000fc0 T second",
    ]
