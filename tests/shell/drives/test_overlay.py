"""A folder under an overlay answers as a file system that can be written, and stays as it is."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.shell.drives.filesystem import FileSystemError, Parts
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.drives.overlay import OverlayFolder
from tdvfsh.uefi.status import EfiStatus

TREE = {"a.txt": b"one", "d/x": b"x", "d/e/y": b"yy"}
PATHS = [("a.txt",), ("A.TXT",), ("d",), ("d", "x"), ("d", "e"), ("d", "e", "y"), ("new",), ("new", "z"), ("d", "new")]


def made(folder: Path) -> Path:
    for name, data in TREE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def contents(folder: HostFolder, parts: Parts = ()) -> dict[str, object]:
    found: dict[str, object] = {}
    for entry in folder.entries(parts):
        inner = (*parts, entry.name)
        data = contents(folder, inner) if entry.is_directory else folder.read(inner)
        found[entry.name.upper()] = entry.size, entry.attributes, data
    return found


def act(folder: HostFolder, what: str, path: Parts, other: Parts) -> EfiStatus | None:
    try:
        if what in ("write", "append"):
            writer = folder.open_writer(path, append=what == "append")
            writer.write(what.encode())
            writer.close()
        elif what == "mkdir":
            folder.make_directory(path)
        elif what == "rm":
            folder.remove(path)
        elif what == "rename":
            folder.rename(path, other)
    except FileSystemError as error:
        return error.status
    return None


ACTIONS = st.sampled_from(["write", "append", "mkdir", "rm", "rename"])
STEPS = st.lists(st.tuples(ACTIONS, st.sampled_from(PATHS), st.sampled_from(PATHS)), max_size=8)


@settings(max_examples=60)
@given(STEPS)
def test_every_change_is_answered_as_the_folder_itself_would_and_the_folder_stays(
    steps: list[tuple[str, Parts, Parts]],
) -> None:
    with TemporaryDirectory() as real, TemporaryDirectory() as lower, TemporaryDirectory() as scratch:
        folder = HostFolder(str(made(Path(real))), writable=True)
        overlay = OverlayFolder(str(made(Path(lower))), scratch)
        for what, path, other in steps:
            if what == "rename" and (other[: len(path)] == path or path[: len(other)] == other):
                continue  # into itself
            before = contents(folder)
            status = act(folder, what, path, other)
            assert (act(overlay, what, path, other) is None) == (status is None), (what, path, other, before)
            assert contents(overlay) == contents(folder)
        assert {name: (Path(lower) / name).read_bytes() for name in TREE} == TREE
        assert sum(len(files) for _, _, files in os.walk(lower)) == len(TREE)


def test_a_full_scratch_folder_is_a_full_volume(tmp_path: Path) -> None:
    overlay = OverlayFolder(str(made(tmp_path / "lower")), str(tmp_path / "scratch"), maximum=8192)
    writer = overlay.open_writer(("big",), append=False)
    with pytest.raises(FileSystemError) as refused:
        writer.write(bytes(8193))
    assert refused.value.status is EfiStatus.EFI_VOLUME_FULL
    with suppress(FileSystemError):
        writer.close()


def test_one_that_is_read_only_takes_nothing(tmp_path: Path) -> None:
    overlay = OverlayFolder(str(made(tmp_path / "lower")), str(tmp_path / "scratch"), writable=False)
    assert act(overlay, "write", ("a.txt",), ()) is EfiStatus.EFI_WRITE_PROTECTED
    assert act(overlay, "rm", ("a.txt",), ()) is EfiStatus.EFI_WRITE_PROTECTED


def test_names_lead_to_where_the_folder_itself_would_have_them(tmp_path: Path) -> None:
    overlay = OverlayFolder(str(made(tmp_path / "lower")), str(tmp_path / "scratch"))
    act(overlay, "append", ("D", "X"), ())
    for parts, found in ((("d", "x"), ("d", "x")), (("D", "E", "Y"), ("d", "e", "y"))):
        path = overlay.host_path(parts)
        assert path is not None
        assert overlay.parts_of(path) == found
