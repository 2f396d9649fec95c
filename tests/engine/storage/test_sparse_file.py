"""A file that is being changed: the bytes of a bytearray, at the cost of what was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.storage.sparse_file import CHUNK, SparseFile, WriteBudget
from tdvfsh.shell.drives.memoryfiles import MemoryFileSystem
from tdvfsh.uefi.filesystem import FileSystemError
from tdvfsh.uefi.status import EfiStatus

OFFSET = st.sampled_from([0, 1, CHUNK - 1, CHUNK, CHUNK + 7, 3 * CHUNK])
STEPS = st.lists(st.tuples(st.sampled_from(["write", "resize"]), OFFSET, st.integers(0, 2 * CHUNK)), max_size=6)


def opened(data: bytes, chunks: int = 64) -> SparseFile:
    volume = MemoryFileSystem()
    volume.write_file("f", data)
    return SparseFile(volume, ("f",), len(data), WriteBudget(chunks))


def whole(file: SparseFile) -> bytes:
    return b"".join(bytes(piece) if isinstance(piece, int) else piece for piece in file.pieces())


@given(st.integers(0, 3 * CHUNK), STEPS)
def test_it_holds_what_a_bytearray_would(size: int, steps: list[tuple[str, int, int]]) -> None:
    data = bytearray(b"\x5a" * size)
    file = opened(bytes(data))
    for what, offset, length in steps:
        if what == "write":
            file.write(offset, b"\xa5" * length)
            if length:
                data.extend(bytes(max(0, offset - len(data))))
                data[offset : offset + length] = b"\xa5" * length
        else:
            file.resize(offset + length)
            data[offset + length :] = bytes(max(0, offset + length - len(data)))
        assert file.size == len(data)
        assert file.read(offset, 2 * CHUNK) == data[offset : offset + 2 * CHUNK]
    assert whole(file) == data


def test_a_hole_of_a_gibibyte_costs_one_chunk() -> None:
    file = opened(b"", chunks=1)
    file.write((1 << 30) - 1, b"x")
    assert file.size == 1 << 30
    assert [piece if isinstance(piece, int) else len(piece) for piece in file.pieces()] == [(1 << 30) - CHUNK, CHUNK]


def test_all_files_of_a_volume_share_one_bound() -> None:
    budget = WriteBudget(2)
    first, second = (SparseFile(MemoryFileSystem(), ("f",), 0, budget) for _ in range(2))
    first.write(0, b"a")
    second.write(0, b"b")
    with pytest.raises(FileSystemError) as refused:
        second.write(CHUNK, b"c")
    assert refused.value.status is EfiStatus.EFI_VOLUME_FULL
    first.close()
    second.write(CHUNK, b"c")
