"""Files are bounded bytes; nothing that happens to them kills or blocks the process."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from tdvfsh.errors import FormatError, HostError, TdvfshError
from tdvfsh.formats.initrd import parse_initrd
from tdvfsh.formats.linux import parse_bzimage
from tdvfsh.formats.mapped import CHUNK_SIZE, ByteSource, copy_of, open_mapped, read_at
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.images.make import make_initrd, make_kernel


def test_file_is_mapped_read_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with open_mapped(path) as file:
        assert (file.path, file.size, bytes(file.view)) == (str(path), 7, b"content")
        assert file.view.readonly
        assert file.read_at(3, 4) == b"tent"


def test_empty_file_has_an_empty_view(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with open_mapped(path) as file:
        assert (file.size, file.view.nbytes) == (0, 0)


def test_close_lets_go_even_while_somebody_holds_a_slice(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    file = open_mapped(path)
    held = file.view[2:]
    file.close()
    file.close()
    assert bytes(held) == b"ntent"


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file or directory") as caught:
        open_mapped(tmp_path / "missing")
    assert "\n" not in str(caught.value)


def test_name_that_cannot_be_is_one_line() -> None:
    with pytest.raises(HostError, match="not a file name"):
        open_mapped("a\0b")


@pytest.mark.parametrize(("kind", "why"), [("folder", "is a folder"), ("fifo", "is a FIFO"), ("socket", "is a socket")])
def test_what_is_no_file_is_refused_without_opening_it(tmp_path: Path, kind: str, why: str) -> None:
    path = tmp_path / kind
    listener = socket.socket(socket.AF_UNIX)
    with listener:
        if kind == "folder":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)  # no writer: opening it would block for ever
        else:
            listener.bind(os.path.relpath(path))
        with pytest.raises(FormatError, match=why):
            open_mapped(path)


def test_device_is_refused() -> None:
    with pytest.raises(FormatError, match="is a character device"):
        open_mapped("/dev/zero")


@pytest.mark.parametrize(("offset", "size"), [(0, 8), (8, 1), (-1, 2), (2, -1), (1 << 64, 1)])
def test_reading_past_the_end_says_where(offset: int, size: int) -> None:
    with pytest.raises(FormatError, match=r"name: data runs past the end of the file \(7 bytes\)"):
        read_at(b"content", offset, size, "name")


def test_window_counts_from_its_own_beginning() -> None:
    outer = ByteSource(b"0123456789", "name", 8, 1)
    inner = ByteSource(outer, offset=2, size=100)
    assert (outer.size, inner.size, inner.path) == (8, 6, "name")
    assert inner.peek(0, 100) == b"345678"
    assert inner.find(b"78") == 4
    assert inner.find(b"89") == -1


def test_find_sees_what_lies_across_two_chunks() -> None:
    data = bytes(CHUNK_SIZE - 3) + b"needle" + bytes(100)
    source = ByteSource(data)
    assert source.find(b"needle") == CHUNK_SIZE - 3
    assert source.find(b"needle", 0, CHUNK_SIZE + 2) == -1
    assert source.find(b"needle", CHUNK_SIZE) == -1


def test_zeros_are_skipped_in_holes_and_in_data(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 40)
        file.seek((1 << 39) + 5)
        file.write(b"x")
    with open_mapped(path) as mapped:
        source = mapped.source
        assert source.skip_zeros(0) == (1 << 39) + 5
        assert source.skip_zeros((1 << 39) + 6) == 1 << 40
    assert ByteSource(bytes(3 * CHUNK_SIZE) + b"x").skip_zeros(1) == 3 * CHUNK_SIZE


def test_file_that_shrinks_while_mapped_gives_an_error_and_no_signal(tmp_path: Path) -> None:
    kernel, initrd = tmp_path / "kernel", tmp_path / "initrd"
    make_kernel(kernel, 0x100000, 0x400000)
    make_initrd(initrd, 0x100000, "zstd")
    with open_mapped(kernel) as one, open_mapped(initrd) as other:
        os.truncate(kernel, 0x20)  # its pages are gone: touching them would be a SIGBUS
        os.truncate(initrd, 0x20)
        shrank = re.compile("the file became shorter")
        with pytest.raises(FormatError, match=shrank):
            parse_bzimage(one.view, one.path)
        with pytest.raises(FormatError, match=shrank):
            parse_pe(one.view)
        with pytest.raises(FormatError, match=shrank):
            parse_initrd(other.view, other.path)
        with pytest.raises(FormatError, match=shrank):
            one.read_at(0x8000, 16)


def test_a_head_that_was_kept_stays_when_the_file_shrinks_and_the_rest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 64)
    with open_mapped(path) as file:
        source = file.source
        source.keep_head(0x100)
        os.truncate(path, 0x20)
        assert source.peek(0xF0, 16) == ByteSource(source, size=0x100).peek(0xF0, 16) == bytes(range(0xF0, 0x100))
        assert ByteSource(source, size=0xF8).peek(0xF0, 16) == bytes(range(0xF0, 0xF8))
        for shrunk in (source, ByteSource(source, offset=0xF0)):
            with pytest.raises(FormatError, match="the file became shorter"):
                shrunk.peek(0xF1, 16)
    memory = ByteSource(bytearray(b"abc"))
    memory.keep_head(3)  # nothing to gain: bytes in memory are read as they are
    assert memory.peek(0, 9) == b"abc"


def test_all_errors_are_of_the_family() -> None:
    assert issubclass(FormatError, TdvfshError)
    assert issubclass(HostError, TdvfshError)


def test_a_slice_is_read_from_its_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 64)
    with open_mapped(path) as file:
        part = file.view[1000:9000][24:500]
        assert ByteSource(part).peek(1, 4) == bytes([1, 2, 3, 4])
        assert copy_of(part) == path.read_bytes()[1024:1500]
        assert ByteSource(file.view[10:10]).peek(0, 1) == b""
    assert copy_of(memoryview(b"12345")[1:3]) == b"23"


def test_slices_of_a_file_that_shrinks_give_an_error_and_no_signal_even_after_it_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 16))
    with open_mapped(path) as file:
        part = file.view[0x8000:0x9000]
    os.truncate(path, 0x4000)
    with pytest.raises(FormatError, match="the file became shorter"):
        copy_of(part)
    with pytest.raises(FormatError, match="the file became shorter"):
        ByteSource(part).read(8, 8)


def test_a_closed_file_is_given_back_with_its_last_slice(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    before = len(os.listdir("/proc/self/fd"))
    file = open_mapped(path)
    part = file.view[2:4]
    file.close()
    assert copy_of(part) == b"nt"
    del part, file
    assert len(os.listdir("/proc/self/fd")) == before
