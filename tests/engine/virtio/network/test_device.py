"""The network device: frames in both directions, buffers that wait, and the time that passes with the host."""

from __future__ import annotations

from collections import Counter, deque

from tdvfsh.engine.virtio.network.device import MOST_WAITING, RECEIVE, TRANSMIT, NetworkDevice
from tests.engine.virtio.driver import DATA, NEXT_QUEUE, READ, TABLE, WRITE, Driver
from tests.engine.virtio.network import frames

HEADER = bytes(10) + b"\1\0"


class Wire:
    """A network that answers each frame with the same one backwards."""

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.sent: list[bytes] = []
        self.open = False
        self.arriving: list[bytes] = []

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)
        self.frames.append(frame[::-1])

    def poll(self, seconds: float) -> bool:
        assert 0 <= seconds <= 0.1
        self.frames.extend(self.arriving)
        self.arriving.clear()
        return self.open


def card(is_td: bool = False) -> tuple[Driver, NetworkDevice, Wire]:
    wire = Wire()
    missing = Counter[str]()
    device = NetworkDevice(wire, missing)
    driver = Driver(device, missing, is_td=is_td)
    device.driver = driver.function
    return driver, device, wire


def offer_buffer(driver: Driver, size: int = 1600, count: int = 1) -> None:
    driver.chain([(DATA, size, WRITE)])
    driver.offer(count=count, queue=RECEIVE)


def send(driver: Driver, frame: bytes) -> None:
    data = bytes(12) + frame
    driver.memory.data[0x20000 : 0x20000 + len(data)] = data
    driver.chain([(0x20000, 12, READ), (0x2000C, len(frame), READ)], TABLE + TRANSMIT * NEXT_QUEUE)
    driver.offer(queue=TRANSMIT)


def received(driver: Driver, size: int) -> bytes:
    return bytes(driver.memory.data[DATA : DATA + size])


def test_a_card_has_an_address_and_two_queues() -> None:
    driver, _, _ = card()
    assert driver.space.read(0, 4) == 0x10411AF4
    assert driver.space.read(8, 4) == 0x02000001
    assert driver.common(18, 2) == 2
    assert driver.offered & 1 << 5
    assert driver.configuration("<Q") & (1 << 48) - 1 == int.from_bytes(frames.MAC, "little")


def test_a_frame_is_sent_and_its_answer_fills_a_buffer_that_waited() -> None:
    driver, _, wire = card()
    driver.start()
    offer_buffer(driver)
    assert driver.used_of(RECEIVE) == []
    send(driver, frames.echo(1))
    assert wire.sent == [frames.echo(1)]
    assert driver.used_of(TRANSMIT) == [(0, 0)]
    assert driver.used_of(RECEIVE) == [(0, 12 + len(frames.echo(1)))]
    assert received(driver, 12 + len(frames.echo(1))) == HEADER + frames.echo(1)[::-1]


def test_what_is_not_for_the_gateway_is_dropped_and_counted_but_the_device_goes_on() -> None:
    driver, _, wire = card()
    driver.start()
    offer_buffer(driver)
    query = b"\x12\x34\x01\x00\0\1" + bytes(6) + b"\4name\0\0\1\0\1"
    send(driver, frames.udp(53, query, "10.0.2.3", source_port=777))
    send(driver, frames.ethernet(frames.IPV6, bytes(40)))
    assert wire.sent == []
    ((_, size),) = driver.used_of(RECEIVE)
    answer = received(driver, size)[12:]
    assert answer[:12] == frames.MAC + frames.ANYBODY
    assert frames.checksum(answer[14:34]) == 0
    assert answer[26:38] == bytes((10, 0, 2, 3, 10, 0, 2, 15, 0, 53, 777 >> 8, 777 & 0xFF))
    assert answer[42:] == b"\x12\x34\x81\x05" + query[4:]
    assert dict(driver.missing) == {"virtio network: a request to a domain name server": 1}
    assert len(driver.used_of(TRANSMIT)) == 2
    assert not driver.status & 64


def test_frames_wait_for_buffers_as_far_as_there_is_room() -> None:
    driver, device, wire = card()
    driver.start()
    wire.arriving += [bytes((number % 256,)) * 60 for number in range(MOST_WAITING + 3)]
    device.poll()
    assert len(wire.frames) == MOST_WAITING
    assert driver.missing["virtio network: a frame for which there was no buffer"] == 3
    offer_buffer(driver, count=2)
    assert len(wire.frames) == MOST_WAITING - 2
    assert received(driver, 13)[12] == 4


def test_time_passes_with_the_host_only_while_a_connection_is_open() -> None:
    driver, device, wire = card()
    driver.start()
    assert device.idle(1000, None) is None
    assert device.idle(1000, 5000) == 5000
    wire.open = True
    assert device.idle(1000, None) == 1000 + 100_000_000
    assert device.idle(1000, 5000) == 5000
    wire.arriving.append(bytes(60))
    found = device.idle(1000, None)
    assert found is not None
    assert 1000 <= found < 1000 + 100_000_000  # no longer than it took


def test_a_request_of_an_invalid_size_or_a_small_buffer_stops_the_device() -> None:
    driver, _, _ = card()
    driver.start()
    driver.chain([(DATA, 11, READ)], TABLE + TRANSMIT * NEXT_QUEUE)
    driver.offer(queue=TRANSMIT)
    assert driver.status & 64
    driver.start()
    offer_buffer(driver, 20)
    send(driver, frames.echo(1))
    assert driver.status & 64
    assert any("too small for a frame" in text for text in driver.missing)


def test_a_frame_for_private_memory_stops_the_device() -> None:
    driver, _, _ = card(is_td=True)
    driver.start()
    offer_buffer(driver)
    driver.memory.private = range(DATA, DATA + 1)
    send(driver, frames.echo(1))
    assert driver.status & 64
    assert any("a buffer in private memory" in text for text in driver.missing)
