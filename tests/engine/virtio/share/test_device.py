"""The file system device: what it shows of a folder, the same in every run, and what it lets a guest change."""

from __future__ import annotations

import errno
import os
import stat
import struct
from pathlib import Path

import pytest

from tdvfsh.engine.virtio.share import messages
from tdvfsh.engine.virtio.share.folder import MOST_WRITTEN
from tdvfsh.engine.virtio.share.messages import Operation
from tests.engine.virtio.driver import DATA, READ, WRITE
from tests.engine.virtio.share.client import ANSWER, ENTRY, ROOT, Client

SECOND = 1_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a secret beside it."""
    (tmp_path / "secret").write_text("secret")
    shared = tmp_path / "shared"
    (shared / "sub" / "deep").mkdir(parents=True)
    (shared / "b").write_bytes(b"contents of b")
    (shared / "sub" / "c").write_bytes(bytes(range(256)) * 2048)
    (shared / "out").symlink_to("../secret")
    (shared / "all").symlink_to("/")
    os.mkfifo(shared / "fifo")
    return shared


def test_the_configuration_tells_tag_and_queues(folder: Path) -> None:
    driver = Client(folder).driver
    assert driver.space.read(0, 4) == 0x105A1AF4
    assert driver.common(18, 2) == 2
    assert driver.configuration("<Q") == int.from_bytes(b"share\0\0\0", "little")
    assert driver.configuration("<I", 36) == 1


def test_a_driver_that_begins_is_told_the_protocol_and_the_bounds(folder: Path) -> None:
    client = Client(folder)
    failure, answer = client.send(Operation.INIT, 0, messages.INIT_IN.pack(7, 40, 1 << 20, 0xFFFFFFFF) + bytes(48))
    assert (failure, len(answer)) == (0, 64)
    major, minor, _, flags, _, _, most, _, pages, _, _ = messages.INIT_OUT.unpack(answer)
    assert (major, minor, most, pages) == (7, 31, 128 << 10, 32)
    assert flags == messages.BIG_WRITES | messages.MAX_PAGES
    assert client.send(Operation.INIT, 0, messages.INIT_IN.pack(6, 0, 0, 0))[0] == errno.EPROTO


def test_folders_are_read_in_the_order_of_their_names_with_fixed_numbers(folder: Path, tmp_path: Path) -> None:
    client = Client(folder)
    names = client.names(size=100)
    assert [(name, kind) for name, _, kind in names] == [
        (b".", 4), (b"..", 4), (b"all", 10), (b"b", 8), (b"out", 10), (b"sub", 4),
    ]  # fmt: skip
    other = tmp_path / "other"
    other.mkdir()
    for name in ("sub", "z", "b"):
        (other / name).mkdir()
    numbers = {name: number for name, number, _ in Client(other).names()}
    assert {name: number for name, number, _ in names}[b"b"] == numbers[b"b"]
    _, answer = client.send(Operation.LOOKUP, ROOT, b"b\0")
    assert ENTRY.unpack(answer)[6] == numbers[b"b"]
    assert len(set(numbers.values())) == 4  # the folder itself is its own parent


def test_files_are_read_and_their_attributes_are_root_s(folder: Path) -> None:
    os.utime(folder / "b", ns=(5 * SECOND, 7 * SECOND + 3))
    (folder / "b").chmod(0o4755)
    client = Client(folder)
    _, answer = client.send(Operation.LOOKUP, ROOT, b"b\0")
    number, _, _, _, _, _, _, size, blocks, _, mtime, _, _, rest, _, mode, links, uid, gid, *_ = ENTRY.unpack(answer)
    assert (size, blocks, mtime, rest) == (13, 8, 7, 3)
    assert (mode, links, uid, gid) == (stat.S_IFREG | 0o755, 1, 0, 0)
    assert client.read(number, 9, 100) == (0, b"of b")
    assert client.read(number, 100) == (0, b"")
    large = client.walk(b"sub", b"c")
    assert client.read(large, 1, 1 << 20) == (0, (folder / "sub" / "c").read_bytes()[1 : 1 + (128 << 10)])


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        (b"..", errno.EINVAL), (b".", errno.EINVAL), (b"", errno.EINVAL), (b"sub/c", errno.EINVAL),
        (b"../secret", errno.EINVAL), (b"/etc", errno.EINVAL), (b"x" * 256, errno.ENAMETOOLONG),
        (b"none", errno.ENOENT), (b"fifo", errno.ENOENT),
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder_and_only_files_folders_and_links_are_there(
    folder: Path, name: bytes, failure: int
) -> None:
    client = Client(folder, writable=True)
    assert client.look_up(name) == -failure
    if failure == errno.EINVAL:
        assert client.create(name) == -failure
        renamed = messages.RENAME_IN.pack(ROOT) + b"b\0" + name + b"\0"
        assert client.send(Operation.RENAME, ROOT, renamed)[0] == failure
        assert client.send(Operation.UNLINK, ROOT, name + b"\0")[0] == failure
    assert (folder.parent / "secret").read_text() == "secret"
    assert (folder / "b").exists()


def test_links_are_text_and_nothing_is_reached_through_them(folder: Path) -> None:
    client = Client(folder, writable=True)
    out, everything = client.look_up(b"out"), client.look_up(b"all")
    assert client.send(Operation.READLINK, out, b"") == (0, b"../secret")
    for node in (out, everything):
        assert client.read(node)[0] == errno.ELOOP
        assert client.write(node, b"x") == errno.ELOOP
        assert client.set_attributes(node, messages.VALID_SIZE, size=0) == errno.ELOOP
        assert client.set_attributes(node, messages.VALID_MODE, mode=0o777) == errno.ELOOP
        assert client.look_up(b"etc", node) in (-errno.ENOTDIR, -errno.ELOOP)
        assert client.create(b"x", node) in (-errno.ENOTDIR, -errno.ELOOP)
        assert client.send(Operation.OPENDIR, node, bytes(8))[0] in (errno.ENOTDIR, errno.ELOOP)
    assert client.create(b"out", flags=0o1101) == -errno.ELOOP
    assert (folder.parent / "secret").read_text() == "secret"


def test_a_folder_that_became_a_link_meanwhile_leads_nowhere(folder: Path) -> None:
    client = Client(folder, writable=True)
    sub, inner = client.walk(b"sub"), client.walk(b"sub", b"c")
    (folder / "sub").rename(folder / "moved")
    (folder / "sub").symlink_to(folder.parent)
    (folder.parent / "c").write_text("outside")
    assert client.look_up(b"secret", sub) < 0
    assert client.read(inner)[0] in (errno.ENOTDIR, errno.ELOOP)
    assert client.write(inner, b"x") in (errno.ENOTDIR, errno.ELOOP)
    assert client.create(b"new", sub) < 0
    assert (folder.parent / "c").read_text() == "outside"
    assert not (folder.parent / "new").exists()


def test_a_folder_that_is_read_only_stays_as_it_is(folder: Path) -> None:
    client = Client(folder)
    b = client.walk(b"b")
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    requests = {
        Operation.CREATE: messages.CREATE_IN.pack(0o1101, 0o644, 0, 0) + b"n\0",
        Operation.MKDIR: messages.MAKE_FOLDER_IN.pack(0o755, 0) + b"n\0",
        Operation.MKNOD: messages.MAKE_NODE_IN.pack(stat.S_IFREG, 0, 0, 0) + b"n\0",
        Operation.UNLINK: b"b\0",
        Operation.RMDIR: b"sub\0",
        Operation.RENAME: messages.RENAME_IN.pack(ROOT) + b"b\0n\0",
        Operation.RENAME2: messages.RENAME2_IN.pack(ROOT, 1, 0) + b"b\0n\0",
        Operation.SYMLINK: b"n\0/etc\0",
        Operation.LINK: struct.pack("<Q", b) + b"n\0",
    }
    for number, body in requests.items():
        assert client.send(number, ROOT, body)[0] == errno.EROFS, number
    for flags in (1, 2, 0o1000):
        assert client.send(Operation.OPEN, b, messages.OPEN_IN.pack(flags, 0))[0] == errno.EROFS
    assert client.send(Operation.OPEN, b, messages.OPEN_IN.pack(0, 0))[0] == 0
    assert client.write(b, b"x") == errno.EROFS
    for valid in (messages.VALID_SIZE, messages.VALID_MODE, messages.VALID_CHANGED, 0x120):
        assert client.set_attributes(b, valid) == errno.EROFS
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before
    assert client.missing["virtio file system: a change in a folder that is read-only"] == 17


def test_a_guest_that_may_write_makes_changes_renames_and_removes(folder: Path) -> None:
    client = Client(folder, writable=True)
    client.folder.now = lambda: 1_700_000_000 * SECOND
    new = client.create(b"new", mode=0o4755)
    assert client.write(new, b"0123456789") == 0
    assert client.write(new, b"xy", 4) == 0
    assert (folder / "new").read_bytes() == b"0123xy6789"
    assert (folder / "new").stat().st_mode & 0o7000 == 0
    assert client.set_attributes(new, messages.VALID_SIZE, size=3) == 0
    assert client.set_attributes(new, messages.VALID_MODE, mode=0o4600) == 0
    assert (folder / "new").stat().st_mode & 0o7777 == 0o600
    _, answer = client.send(Operation.GETATTR, new, bytes(16))
    assert struct.unpack_from("<Q", answer, 16 + 32)[0] == 1_700_000_000
    assert client.send(Operation.MKDIR, ROOT, messages.MAKE_FOLDER_IN.pack(0o755, 0) + b"d\0")[0] == 0
    made = client.look_up(b"d")
    assert client.send(Operation.RENAME, ROOT, messages.RENAME_IN.pack(made) + b"new\0there\0")[0] == 0
    assert client.read(new) == (0, b"012")
    _, answer = client.send(Operation.GETATTR, new, bytes(16))
    assert struct.unpack_from("<Q", answer, 16 + 32)[0] == 1_700_000_000
    kept = messages.RENAME2_IN.pack(ROOT, 1, 0) + b"there\0b\0"
    assert client.send(Operation.RENAME2, made, kept)[0] == errno.EEXIST
    assert client.send(Operation.RMDIR, ROOT, b"d\0")[0] == errno.ENOTEMPTY
    assert client.send(Operation.UNLINK, made, b"there\0")[0] == 0
    assert client.read(new)[0] == errno.ESTALE
    assert client.send(Operation.RMDIR, ROOT, b"d\0")[0] == 0
    assert not (folder / "d").exists()
    assert client.set_attributes(client.walk(b"b"), messages.VALID_CHANGED, mtime=9, mn=1) == 0
    assert (folder / "b").stat().st_mtime_ns == 9 * SECOND + 1
    assert client.set_attributes(client.walk(b"b"), messages.VALID_OWNER, uid=1000) == errno.EPERM
    assert client.set_attributes(client.walk(b"b"), messages.VALID_OWNER, uid=0) == 0


def test_files_with_another_name_elsewhere_links_and_device_nodes_are_not_written(folder: Path) -> None:
    os.link(folder.parent / "secret", folder / "hard")
    client = Client(folder, writable=True)
    hard = client.walk(b"hard")
    assert client.read(hard) == (0, b"secret")
    assert client.write(hard, b"x") == errno.EPERM
    assert client.set_attributes(hard, messages.VALID_SIZE, size=0) == errno.EPERM
    assert client.create(b"hard", flags=0o1101) == -errno.EPERM
    assert client.send(Operation.SYMLINK, ROOT, b"n\0/etc\0")[0] == errno.EPERM
    assert client.send(Operation.LINK, ROOT, struct.pack("<Q", hard) + b"n\0")[0] == errno.EPERM
    node = messages.MAKE_NODE_IN.pack(stat.S_IFCHR | 0o666, 0x501, 0, 0) + b"n\0"
    assert client.send(Operation.MKNOD, ROOT, node)[0] == errno.EPERM
    assert (folder.parent / "secret").read_text() == "secret"


def test_a_guest_writes_no_more_than_its_bound(folder: Path) -> None:
    client = Client(folder, writable=True)
    b = client.walk(b"b")
    assert client.write(b, b"x", MOST_WRITTEN + 13) == errno.ENOSPC
    assert client.set_attributes(b, messages.VALID_SIZE, size=1 << 63) == errno.ENOSPC
    assert client.write(b, b"x", (1 << 64) - 1) == errno.EINVAL
    assert client.set_attributes(b, messages.VALID_CHANGED, mtime=(1 << 64) - 1) == errno.EINVAL
    client.folder.written = MOST_WRITTEN - 4095
    assert client.create(b"new") == -errno.ENOSPC
    assert client.write(b, b"y") == 0
    _, answer = client.send(Operation.STATFS, ROOT, b"")
    assert messages.STATISTICS_OUT.unpack(answer)[:3] == (MOST_WRITTEN // 4096, 0, 0)
    assert (folder / "b").stat().st_size == 13


def test_numbers_are_forgotten_with_the_guest_and_wild_ones_are_stale(folder: Path) -> None:
    client = Client(folder)
    deep = client.walk(b"sub", b"deep")
    sub = client.walk(b"sub")
    forget = messages.FORGET_IN.pack
    assert client.send(Operation.FORGET, sub, forget(9))[0] == -1
    assert client.send(Operation.GETATTR, deep, bytes(16))[0] == 0
    both = messages.BATCH_FORGET_IN.pack(3, 0) + messages.FORGET_ONE.pack(deep, 1) + messages.FORGET_ONE.pack(99, 1)
    assert client.send(Operation.BATCH_FORGET, 0, both)[0] == -1
    assert set(client.device.requests.nodes.nodes) == {ROOT}
    assert not client.device.requests.nodes.numbers
    for node in (deep, 0, 99, (1 << 64) - 1):
        assert client.send(Operation.GETATTR, node, bytes(16))[0] == errno.ESTALE


def test_requests_that_are_cut_wild_or_unknown_are_answered_with_errors(folder: Path) -> None:
    client = Client(folder, writable=True)
    for number in range(1, 70):
        for size in (0, 3, 7, 16):
            failure, _ = client.send(number, ROOT, b"\xff" * size)
            assert failure in (-1, 0) or failure in errno.errorcode
    assert client.send(4095, ROOT, b"")[0] == errno.ENOSYS
    assert client.send(22, ROOT, b"")[0] == errno.ENOSYS
    assert client.send(Operation.GETATTR, ROOT, bytes(16), size=39)[0] == errno.EINVAL
    assert client.send(Operation.GETATTR, ROOT, bytes(16), size=1 << 20)[0] == errno.EINVAL
    assert client.send(Operation.GETATTR, ROOT, bytes(16), room=20)[0] == errno.EINVAL
    assert client.driver.status & 64 == 0
    assert len(client.missing) < 64
    client.driver.chain([(DATA, 39, READ), (ANSWER, 64, WRITE)])
    client.driver.offer()
    assert client.driver.status & 64
    assert any("without a header" in text for text in client.missing)


def test_an_answer_to_private_memory_stops_the_device(folder: Path) -> None:
    client = Client(folder, is_td=True)
    client.driver.memory.private = range(ANSWER, ANSWER + 1)
    assert client.send(Operation.GETATTR, ROOT, bytes(16))[0] == -1
    assert client.driver.status & 64
    assert any("a buffer in private memory" in text for text in client.missing)


def test_listings_that_are_open_are_bounded(folder: Path) -> None:
    client = Client(folder)
    answers = [client.send(Operation.OPENDIR, ROOT, bytes(8))[0] for _ in range(257)]
    assert answers == [0] * 256 + [errno.EMFILE]
    assert client.send(Operation.DESTROY, 0, b"") == (0, b"")
    assert client.send(Operation.OPENDIR, ROOT, bytes(8))[0] == 0
    body = messages.READ_IN.pack(77, 0, 100, 0, 0, 0, 0)
    assert client.send(Operation.READDIR, ROOT, body)[0] == errno.EBADF
