"""What is behind the transport: a kind of device, its features, its configuration, and what it does with requests."""

from __future__ import annotations

from tdvfsh.engine.virtio.memory import Scattered
from tdvfsh.lazy_typing import Protocol


class VirtioDevice(Protocol):
    """A device.

    Attributes:
        kind: Its number in the specification.
        class_code: Its PCI class.
        name: What it is called in reports.
        queues: How many queues it has.
        features: Feature bits of its own.
    """

    kind: int
    class_code: int
    name: str
    queues: int
    features: int

    def configuration(self) -> bytes:
        """Its configuration structure."""
        ...

    def waits(self, queue: int) -> bool:
        """Whether requests in a queue stay there for now, as buffers do that wait for something to arrive."""
        ...

    def serve(self, queue: int, readable: Scattered, writable: Scattered) -> int:
        """Carry out one request; returns how many bytes were written. Raises Refused."""
        ...


class Driver(Protocol):
    """The guest's driver, as a device sees it to which something arrives from outside."""

    def has_buffers(self, queue: int) -> bool:
        """Whether the driver runs and has put buffers into a queue."""
        ...

    def arrived(self, queue: int) -> None:
        """The device has something for the buffers that wait in a queue."""
        ...
