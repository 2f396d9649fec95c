"""Program databases: names as they were written, and no damage that is more than a refusal."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.formats.pe.codeview import codeview_of
from tdvfsh.formats.pe.parse import PeImage, parse_pe
from tdvfsh.formats.symbols.pdb import PdbSymbol, ProgramDatabase
from tests.engine.assembler import Program
from tests.formats.pdb_builder import GUID, build_pdb, public, static, with_codeview

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)


def read(data: bytes) -> ProgramDatabase:
    return ProgramDatabase(ByteSource(data, "test.pdb"))


@given(st.lists(st.tuples(NAMES, st.integers(1, 4), st.integers(0, 1 << 20)), max_size=60, unique=True))
def test_public_and_static_names_come_back(symbols: list[tuple[str, int, int]]) -> None:
    half = len(symbols) // 2
    data = build_pdb(
        b"".join(public(*symbol) for symbol in symbols[:half]), b"".join(static(*symbol) for symbol in symbols[half:])
    )
    database = read(data)
    assert database.guid == GUID
    assert database.symbols() == [PdbSymbol(*symbol) for symbol in symbols]


@given(st.data())
def test_damage_is_refused_or_leaves_names_out(data: st.DataObject) -> None:
    whole = bytearray(build_pdb(public("first", 1, 0) * 40, static("second", 1, 8)))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(whole) - 4))
        whole[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        read(bytes(whole[:cut])).symbols()
    except FormatError:
        return


@pytest.mark.parametrize("data", [b"", b"MZ", bytes(4096), build_pdb()[:600]])
def test_what_is_not_a_pdb_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read(data)


def test_a_program_names_its_pdb() -> None:
    image = with_codeview(Program().ret(0).image(), "c:\\build\\App.pdb")
    pe = parse_pe(ByteSource(image, "app.efi"))
    assert isinstance(pe, PeImage)
    codeview = codeview_of(pe, image)
    assert codeview is not None
    assert (codeview.file_name, codeview.guid, codeview.age) == ("App.pdb", GUID, 1)
    plain = parse_pe(ByteSource(Program().ret(0).image(), "app.efi"))
    assert isinstance(plain, PeImage)
    assert codeview_of(plain, b"") is None


_YAML = """\
---
MSF:
  SuperBlock:
    BlockSize: 4096
PdbStream:
  Age: 2
  Guid: '{4156350B-A086-49A2-896F-9988FAE52FF0}'
  Signature: 1
  Version: VC70
DbiStream:
  VerHeader: V70
  Age: 1
  BuildNumber: 1
  PdbDllVersion: 0
  PdbDllRbld: 0
  Flags: 1
  MachineType: Amd64
  Modules:
    - Module: 'main.obj'
      ObjFile: 'main.obj'
      Modi:
        Signature: 4
        Records:
          - Kind: S_LPROC32
            ProcSym:
              CodeSize: 16
              DbgStart: 0
              DbgEnd: 0
              FunctionType: 0
              Offset: 32
              Segment: 1
              Flags: [ ]
              DisplayName: static_function
          - Kind: S_END
            ScopeEndSym: {}
...
"""


@pytest.mark.skipif(shutil.which("llvm-pdbutil") is None, reason="needs llvm-pdbutil (Debian: llvm)")
def test_what_llvm_has_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(_YAML)
    subprocess.run(["llvm-pdbutil", "yaml2pdb", "-pdb=a.pdb", "a.yaml"], cwd=tmp_path, check=True)
    database = read((tmp_path / "a.pdb").read_bytes())
    assert database.age == 2
    assert database.symbols() == [PdbSymbol("static_function", 1, 32)]
