"""The console device: output as it is sent, input as there are buffers for it, and requests that it refuses."""

from __future__ import annotations

from tdvfsh.engine.virtio.console import LARGEST_OUTPUT, MOST_WAITING, RECEIVE, TRANSMIT, ConsoleDevice
from tests.engine.virtio.driver import DATA, NEXT_QUEUE, READ, TABLE, WRITE, Driver


class Output:
    def __init__(self) -> None:
        self.sent = bytearray()
        self.last_line = ""

    def put(self, byte: int) -> None:
        self.sent.append(byte)


def console(is_td: bool = False) -> tuple[Driver, ConsoleDevice, Output]:
    output = Output()
    device = ConsoleDevice(output)
    driver = Driver(device, is_td=is_td)
    device.driver = driver.function
    return driver, device, output


def listens(device: ConsoleDevice) -> bool:
    return device.listening


def is_full(device: ConsoleDevice) -> bool:
    return device.full


def offer_buffer(driver: Driver, size: int, address: int = DATA) -> None:
    driver.chain([(address, size, WRITE)])
    driver.offer(queue=RECEIVE)


def send(driver: Driver, data: bytes) -> None:
    driver.memory.data[DATA : DATA + len(data)] = data
    table = TABLE + TRANSMIT * NEXT_QUEUE
    half = len(data) // 2
    driver.chain([(DATA, half, READ), (DATA + half, len(data) - half, READ)], table)
    driver.offer(queue=TRANSMIT)


def test_a_console_of_one_port_has_a_queue_for_each_direction() -> None:
    driver, _, _ = console()
    assert driver.space.read(0, 4) == 0x10431AF4
    assert driver.space.read(8, 4) == 0x07800001
    assert driver.common(18, 2) == 2
    assert driver.configuration("<I", 4) == 0


def test_output_is_sent_when_the_driver_notifies() -> None:
    driver, _, output = console()
    driver.start()
    send(driver, b"hello\r\n")
    assert output.sent == b"hello\r\n"
    assert driver.used_of(TRANSMIT) == [(0, 0)]
    assert driver.interrupt_status() == 1


def test_buffers_for_input_wait_for_it_and_what_is_too_long_for_one_fills_the_next() -> None:
    driver, device, _ = console()
    driver.start()
    offer_buffer(driver, 4)
    assert driver.used_of(RECEIVE) == []
    assert driver.interrupt_status() == 0
    device.receive(b"echo 1\r")
    assert driver.used_of(RECEIVE) == [(0, 4)]
    assert driver.memory.data[DATA : DATA + 4] == b"echo"
    assert driver.interrupt_status() == 1
    offer_buffer(driver, 100)
    assert driver.used_of(RECEIVE) == [(0, 4), (0, 3)]
    assert driver.memory.data[DATA : DATA + 3] == b" 1\r"
    offer_buffer(driver, 100)
    assert len(driver.used_of(RECEIVE)) == 2


def test_it_listens_from_the_first_buffer_of_a_running_driver_on() -> None:
    driver, device, _ = console()
    assert not listens(device)
    driver.start()
    assert not listens(device)
    offer_buffer(driver, 2)
    assert listens(device)
    device.receive(b"abc")
    assert listens(device)
    assert not is_full(device)
    device.receive(bytes(MOST_WAITING))
    assert is_full(device)
    driver.common(20, 1, 0)
    device.receive(b"x")
    assert driver.status == 0


def test_a_ring_that_is_not_in_shared_memory_stops_the_device_when_input_arrives() -> None:
    driver, device, _ = console(is_td=True)
    driver.start()
    offer_buffer(driver, 16)
    driver.memory.private = range(DATA, DATA + 1)
    device.receive(b"x")
    assert driver.status & 64
    assert any("a buffer in private memory" in text for text in driver.missing)
    assert not device.driver.has_buffers(RECEIVE)


def test_an_available_ring_that_is_wild_is_refused_where_it_is_only_looked_at() -> None:
    driver, device, _ = console()
    driver.start()
    driver.set_available(driver.size, RECEIVE)
    assert listens(device)
    driver.set_available(driver.size + 1, RECEIVE)
    assert not listens(device)
    assert driver.status & 64
    assert any("more requests than the queue has entries" in text for text in driver.missing)


def test_output_beyond_a_bound_is_refused() -> None:
    driver, _, output = console()
    driver.start()
    driver.memory.data[DATA : DATA + 16] = b"x" * 16
    buffers = [(0x80000, 0x4000, READ)] * (LARGEST_OUTPUT // 0x4000) + [(0x80000, 1, READ)]
    driver.chain(buffers, TABLE + TRANSMIT * NEXT_QUEUE)
    driver.offer(queue=TRANSMIT)
    assert driver.status & 64
    assert not output.sent
    assert any("more than 64 KiB" in text for text in driver.missing)
