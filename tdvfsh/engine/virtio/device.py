"""What is behind the transport: a kind of device, its features, its configuration, and what it does with requests."""

from __future__ import annotations

from typing import Protocol

from tdvfsh.engine.virtio.memory import Scattered


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

    def serve(self, queue: int, readable: Scattered, writable: Scattered) -> int:
        """Carry out one request; returns how many bytes were written. Raises Refused."""
        ...
