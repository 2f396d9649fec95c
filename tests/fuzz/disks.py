"""Disks: rings and descriptors that a hostile guest wrote, and qcow2 images."""

from __future__ import annotations

import struct
import tempfile
from collections import Counter, deque
from contextlib import ExitStack, suppress
from pathlib import Path

from tdvfsh.engine.storage.drive import Drive
from tdvfsh.engine.virtio.block import BlockDevice
from tdvfsh.engine.virtio.console import ConsoleDevice
from tdvfsh.engine.virtio.device import VirtioDevice
from tdvfsh.engine.virtio.network.device import NetworkDevice
from tdvfsh.engine.virtio.network.packets import refusal
from tdvfsh.engine.virtio.share.device import ShareDevice
from tdvfsh.engine.virtio.share.folder import SharedFolder
from tdvfsh.engine.virtio.transport import EVENT_INDEX, INDIRECT
from tdvfsh.errors import TdvfshError
from tests.engine.storage.qcow2_file import CLUSTER, compressed_qcow2, qcow2
from tests.engine.virtio.disk import MemoryDisk
from tests.engine.virtio.driver import DATA, NEXT_QUEUE, TABLE, Driver
from tests.engine.virtio.network import frames

_REGISTERS = (0, 8, 12, 16, 20, 22, 24, 26, 28, 32, 36, 40, 44, 48, 52)
_TABLE_SIZE = 16 * 8
_MOST = 4096
_DISK = 64
_TYPED = 32


def virtqueue(data: bytes) -> None:
    """Descriptors, the available ring and register writes of a driver, in this order: refused, or carried out.

    The first byte says whether it is a TD's, whether features are agreed on, and which device and queue it is.
    """
    disk, missing = MemoryDisk(_DISK), Counter[str]()
    choice = data[0] if data else 0
    with ExitStack() as stack:
        device = _device(choice >> 2 & 3, disk, missing, stack)
        _driven(data, choice, device, missing)
    assert disk.disk_size == _DISK * 512
    assert len(missing) < 64


def _driven(data: bytes, choice: int, device: VirtioDevice, missing: Counter[str]) -> None:
    driver = Driver(device, missing, is_td=bool(choice & 1))
    if isinstance(device, (ConsoleDevice, NetworkDevice)):
        device.driver = driver.function
    driver.start(INDIRECT | EVENT_INDEX if choice & 2 else 0)
    queue = (choice >> 4) % device.queues
    memory, table = driver.memory, TABLE + queue * NEXT_QUEUE
    memory.data[table : table + _TABLE_SIZE] = data[1 : 1 + _TABLE_SIZE].ljust(_TABLE_SIZE, b"\0")
    rest = data[1 + _TABLE_SIZE : _MOST]
    memory.data[DATA : DATA + len(rest)] = rest
    memory.private = range(0x80000, 0x90000)
    driver.offer(rest[0] % 16 if rest else 0, 1 + len(rest) % 9, queue)
    if isinstance(device, ConsoleDevice) and device.listening:
        device.receive(rest[:_TYPED])
    for at in range(0, min(len(rest) - 6, 300), 6):
        offset, size, value = struct.unpack_from("<BBI", rest, at)
        if offset & 0x80:
            driver.function.write(0x3000 + (offset & 0x7F), 2, value & 0xFFFF)
        else:
            register = _REGISTERS[offset % len(_REGISTERS)]
            width = (1, 2, 4, 8)[size % 4]
            driver.common(register, width, value & (1 << 8 * width) - 1)
        assert 0 <= driver.function.read(offset * 16, 4) < 1 << 32
    assert len(memory.data) == 1 << 20


def _device(number: int, disk: MemoryDisk, missing: Counter[str], stack: ExitStack) -> VirtioDevice:
    if number == 1:
        return ConsoleDevice(_Unseen())
    if number == 3:
        return NetworkDevice(_Echo(), missing)
    if number == 2:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        Path(folder, "file").write_bytes(b"contents")
        return ShareDevice(stack.enter_context(SharedFolder(folder, writable=True)), missing)
    return BlockDevice(disk, b"fuzz", missing)


class _Echo:
    """A network on which each frame comes back."""

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()

    def send(self, frame: bytes) -> None:
        assert refusal(frame) is None
        self.frames.append(frame)

    def poll(self, seconds: float) -> bool:
        return False


class _Unseen:
    """Output that nobody sees."""

    last_line = ""

    def put(self, byte: int) -> None:
        assert 0 <= byte < 256


def virtqueues() -> list[bytes]:
    """Requests that are carried out: of a disk, also by an indirect table, of a console, of files, and frames."""
    header = struct.pack("<IIQ", 0, 0, 5)
    chain = struct.pack("<QIHHQIHHQIHH", DATA, 16, 1, 1, DATA + 64, 512, 3, 2, DATA + 1024, 1, 2, 0)
    indirect = struct.pack("<QIHH", DATA + 16, 48, 4, 0)
    return [
        bytes((0,)) + chain.ljust(_TABLE_SIZE, b"\0") + header,
        bytes((2,)) + indirect.ljust(_TABLE_SIZE, b"\0") + header + chain,
        bytes((1,)) + chain.ljust(_TABLE_SIZE, b"\0") + header + bytes((0x80, 0, 0, 0, 0, 0)) * 4,
        bytes((0x04,)) + struct.pack("<QIHH", DATA + 64, 100, 2, 0).ljust(_TABLE_SIZE, b"\0") + header,
        *(bytes((0x1C,)) + _frame(frame) for frame in (frames.echo(1), frames.udp(53, bytes(20)))),
        bytes((0x0C,)) + struct.pack("<QIHH", DATA + 64, 1600, 2, 0).ljust(_TABLE_SIZE, b"\0") + header,
        *(bytes((0x18,)) + _message(number, body) for number, body in _MESSAGES),
        bytes((0x14,)) + struct.pack("<QIHH", DATA, 16, 0, 0).ljust(_TABLE_SIZE, b"\0") + header,
    ]


_MESSAGES = (
    (1, b"file\0"),
    (26, struct.pack("<IIII", 7, 31, 0, 0)),
    (27, bytes(8)),
    (15, struct.pack("<QQII16x", 0, 0, 100, 0)),
    (35, struct.pack("<IIII", 0o101, 0o644, 0, 0) + b"new\0"),
    (12, struct.pack("<Q", 1) + b"file\0moved\0"),
)


def _message(number: int, body: bytes) -> bytes:
    """A request of a file system's driver, and room for its answer."""
    request = struct.pack("<IIQQIIIHH", 40 + len(body), number, 1, 1, 0, 0, 0, 0, 0) + body
    table = struct.pack("<QIHHQIHH", DATA, len(request), 1, 1, DATA + 0x1000, 4096, 2, 0)
    return table.ljust(_TABLE_SIZE, b"\0") + request


def _frame(frame: bytes) -> bytes:
    return struct.pack("<QIHH", DATA, 12 + len(frame), 0, 0).ljust(_TABLE_SIZE, b"\0") + bytes(12) + frame


def qcow2_image(data: bytes) -> None:
    """An image: its disk is read, or it is refused."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        with suppress(TdvfshError), Drive(file.name) as drive:
            size = drive.disk_size
            for offset in {0, size // 2, max(0, size - 512)}:
                assert len(drive.read_disk(offset // 512 * 512, 512)) in (0, 512)


def qcow2_images() -> list[bytes]:
    """A small image, one that is cut, and one without clusters."""
    whole = qcow2(1 << 20, {0: b"a" * 100, 9: b"b" * CLUSTER})
    packed = compressed_qcow2(1 << 20, {0: b"a" * CLUSTER, 9: b"b" * CLUSTER}, 1)
    return [whole, whole[: 5 * CLUSTER], qcow2(1 << 20, {}), packed]
