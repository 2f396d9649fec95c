"""A file system's driver for tests: requests as Linux's, through a real queue."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

from tdvfsh.engine.virtio.share import messages
from tdvfsh.engine.virtio.share.device import ShareDevice
from tdvfsh.engine.virtio.share.folder import SharedFolder
from tdvfsh.engine.virtio.share.messages import Operation
from tests.engine.virtio.driver import DATA, READ, WRITE, Driver

ROOT = 1
ROOM = 0x28000
ANSWER = 0x40000
ENTRY = struct.Struct("<QQQQII6Q10I")


class Client:
    """A folder behind a device, and its driver."""

    def __init__(self, path: Path, writable: bool = False, is_td: bool = False) -> None:
        self.folder = SharedFolder(str(path), writable)
        self.missing: Counter[str] = Counter()
        self.device = ShareDevice(self.folder, self.missing)
        self.driver = Driver(self.device, self.missing, is_td=is_td).start()

    def send(self, number: int, node: int, body: bytes, room: int = ROOM, size: int | None = None) -> tuple[int, bytes]:
        """A request; returns the error's number, 0 where there is none, and the answer."""
        driver, memory = self.driver, self.driver.memory.data
        size = 40 + len(body) if size is None else size
        request = messages.IN_HEADER.pack(size, number, 7, node, 0, 0, 1, 0, 0) + body
        memory[DATA : DATA + len(request)] = request
        buffers = [(DATA, 40, READ), (DATA + 40, len(body), READ), (ANSWER, room, WRITE)]
        driver.chain([each for each in buffers if each[1]])
        driver.at[1] = driver.at[1] & 0xFFFF
        table = bytes(memory[0x1000:0x1100])
        memory[0x1200 : 0x1200 + len(table)] = table
        before = len(driver.used_of(1))
        driver.offer(queue=1)
        used = driver.used_of(1)
        if len(used) == before or not used[-1][1]:
            return -1, b""
        answer = bytes(memory[ANSWER : ANSWER + used[-1][1]])
        length, failure, unique = messages.OUT_HEADER.unpack_from(answer)
        assert (length, unique) == (len(answer), 7)
        return -failure, answer[messages.OUT_HEADER.size :]

    def look_up(self, name: bytes, node: int = ROOT) -> int:
        """The number of a file, or the error as a negative number."""
        failure, answer = self.send(Operation.LOOKUP, node, name + b"\0")
        return -failure if failure else int(ENTRY.unpack_from(answer)[0])

    def walk(self, *names: bytes) -> int:
        node = ROOT
        for name in names:
            node = self.look_up(name, node)
            assert node > 0, (name, node)
        return node

    def read(self, node: int, offset: int = 0, size: int = 4096) -> tuple[int, bytes]:
        return self.send(Operation.READ, node, messages.READ_IN.pack(0, offset, size, 0, 0, 0, 0))

    def write(self, node: int, data: bytes, offset: int = 0) -> int:
        return self.send(Operation.WRITE, node, messages.WRITE_IN.pack(0, offset, len(data), 0, 0, 0, 0) + data)[0]

    def create(self, name: bytes, node: int = ROOT, flags: int = 0o301, mode: int = 0o644) -> int:
        body = messages.CREATE_IN.pack(flags, mode, 0, 0) + name + b"\0"
        failure, answer = self.send(Operation.CREATE, node, body)
        return -failure if failure else int(ENTRY.unpack_from(answer)[0])

    def names(self, node: int = ROOT, size: int = 4096) -> list[tuple[bytes, int, int]]:
        """Names with file numbers and kinds, as a program reads a folder."""
        failure, answer = self.send(Operation.OPENDIR, node, messages.OPEN_IN.pack(0, 0))
        assert not failure
        listing, found, at = messages.OPEN_OUT.unpack(answer)[0], [], 0
        while True:
            body = messages.READ_IN.pack(listing, at, size, 0, 0, 0, 0)
            failure, answer = self.send(Operation.READDIR, node, body)
            assert not failure
            if not answer:
                break
            place = 0
            while place < len(answer):
                number, at, length, kind = messages.DIRECTORY_ENTRY.unpack_from(answer, place)
                found.append((answer[place + 24 : place + 24 + length], number, kind))
                place += -(-(24 + length) // 8) * 8
        assert self.send(Operation.RELEASEDIR, node, messages.RELEASE_IN.pack(listing, 0, 0, 0)) == (0, b"")
        return found

    def set_attributes(self, node: int, valid: int, **values: int) -> int:
        fields = dict.fromkeys(("fh", "size", "lock", "atime", "mtime", "ctime"), 0)
        small = dict.fromkeys(("an", "mn", "cn", "mode", "u4", "uid", "gid", "u5"), 0)
        for name, value in values.items():
            (fields if name in fields else small)[name] = value
        body = messages.SET_ATTRIBUTES_IN.pack(valid, 0, *fields.values(), *small.values())
        return self.send(Operation.SETATTR, node, body)[0]
