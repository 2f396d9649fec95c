"""Virtio over PCI, modern: the structures by which a driver sets a device up and notifies it.

A request is carried out when the driver notifies its queue, or where it is a buffer for what arrives, when that does.
One that is refused is named and counted, and the device
needs a reset from then on.

Source: Virtual I/O Device (VIRTIO) 1.2, 2.1 (status), 3.1 (initialization), 4.1.4 (structures), 6 (feature bits);
QEMU hw/virtio/virtio-pci.c and hw/virtio/virtio.c.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable

from tdvfsh.engine.devices.message_interrupts import MsiX
from tdvfsh.engine.virtio.device import VirtioDevice
from tdvfsh.engine.virtio.memory import DeviceMemory, Dma, Refused, Scattered
from tdvfsh.engine.virtio.pci_space import COMMON, CONFIGURATION, ISR, NOTIFY, NOTIFY_MULTIPLIER, VirtioSpace
from tdvfsh.engine.virtio.queue import LARGEST, Virtqueue
from tdvfsh.lazy_typing import Final

INDIRECT: Final = 1 << 28
EVENT_INDEX: Final = 1 << 29
VERSION_1: Final = 1 << 32
ACCESS_PLATFORM: Final = 1 << 33
DRIVER_OK, FEATURES_OK, NEEDS_RESET = 4, 8, 64
_STATUS_BITS: Final = 0xFF & ~NEEDS_RESET
_NO_VECTOR: Final = 0xFFFF
_QUEUE_INTERRUPT, _CONFIGURATION_INTERRUPT = 1, 2
_WORD: Final = 0xFFFFFFFF
_COMMON_STRUCTURE: Final = struct.Struct("<IIIIHHBBHHHHHQQQHH")
_FIELDS: Final = {
    0: 4, 8: 4, 12: 4, 16: 2, 20: 1, 22: 2, 24: 2, 26: 2, 28: 2,
    32: 4, 36: 4, 40: 4, 44: 4, 48: 4, 52: 4,
}  # fmt: skip
"""Offsets of the fields that can be written, and their sizes; those of 64 bits are written by halves."""
_ADDRESSES: Final = {32: "descriptors", 40: "driver", 48: "device"}


class VirtioFunction:
    """A virtio device on bus 0.

    Args:
        device: What is behind the transport.
        number: Its device number.
        dma: The guest's memory.
        missing: Counts what is refused or lacking, by a text that names it.
        send: Sends a message interrupt.
        set_pin: Sets the level of its interrupt pin.
        access_platform: Whether the driver must treat the device as one that reaches some memory only, as in a TD.

    Attributes:
        space: Its configuration space.
    """

    def __init__(
        self,
        device: VirtioDevice,
        number: int,
        dma: Dma,
        missing: Counter[str],
        send: Callable[[int, int], None],
        set_pin: Callable[[bool], None],
        access_platform: bool,
    ) -> None:
        self._device = device
        self._missing = missing
        self._refusals: dict[str, str] = {}
        self._set_pin = set_pin
        self._memory = DeviceMemory(dma)
        self._name = f"{device.name} {number:02x}.0"
        platform = ACCESS_PLATFORM if access_platform else 0
        self._must = VERSION_1 | platform
        self._offered = device.features | INDIRECT | EVENT_INDEX | self._must
        self._queues = [Virtqueue(self._memory) for _ in range(device.queues)]
        self._msix = MsiX(device.queues + 1, send)
        self._reset()
        self.space = VirtioSpace(number, device.kind, device.class_code, self, self._msix, self._update_pin)

    def _reset(self) -> None:
        self._status = 0
        self._isr = 0
        self._features = 0
        self._device_select = self._driver_select = 0
        self._queue_select = 0
        self._vector = _NO_VECTOR
        for queue in self._queues:
            queue.reset()

    @property
    def _queue(self) -> Virtqueue | None:
        return self._queues[self._queue_select] if self._queue_select < len(self._queues) else None

    # ---- registers ----------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """``size`` bytes of a structure."""
        if offset >= NOTIFY:
            return 0
        if offset >= CONFIGURATION:
            data, at = self._device.configuration(), offset - CONFIGURATION
        elif offset >= ISR:
            data, at = bytes((self._take_isr() if offset == ISR else 0,)), offset - ISR
        else:
            data, at = self._common(), offset - COMMON
        return int.from_bytes(data[at : at + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a field of the common structure, or notify a queue."""
        if offset >= NOTIFY:
            self._notify((offset - NOTIFY) // NOTIFY_MULTIPLIER)
        elif offset < ISR:
            self._write_common(offset - COMMON, size, value)
        else:
            self._missing[f"{self._name}: a write to what is only read"] += 1

    def _common(self) -> bytes:
        queue = self._queue
        words = (self._offered, self._features)
        shown = [
            word >> 32 * select & _WORD if select < 2 else 0
            for word, select in zip(words, (self._device_select, self._driver_select), strict=True)
        ]
        parts = (0, _NO_VECTOR, 0, 0, 0, 0, 0)
        if queue is not None:
            parts = (
                queue.size, queue.vector, int(queue.enabled), self._queue_select,
                queue.descriptors, queue.driver, queue.device,
            )  # fmt: skip
        return _COMMON_STRUCTURE.pack(
            self._device_select, shown[0], self._driver_select, shown[1], self._vector, len(self._queues),
            self._status, 0, self._queue_select, *parts, 0, 0,
        )  # fmt: skip

    def _write_common(self, offset: int, size: int, value: int) -> None:
        if size == 8 and offset in _ADDRESSES:
            self._write_common(offset, 4, value & _WORD)
            self._write_common(offset + 4, 4, value >> 32)
        elif _FIELDS.get(offset) != size:
            self._missing[f"{self._name}: common structure {offset & 0xFFF:#x} (write of {size} bytes)"] += 1
        elif offset == 20:
            self._set_status(value & 0xFF)
        elif offset == 0:
            self._device_select = value & _WORD
        elif offset == 8:
            self._driver_select = value & _WORD
        elif offset == 12:
            self._set_features(value & _WORD)
        elif offset == 16:
            self._vector = self._valid_vector(value)
        elif offset == 22:
            self._queue_select = value & 0xFFFF
        elif self._queue is not None:
            self._write_queue(self._queue, offset, value)

    def _set_features(self, value: int) -> None:
        if self._driver_select < 2 and not self._status & FEATURES_OK:
            shift = 32 * self._driver_select
            self._features = self._features & ~(_WORD << shift) | value << shift

    def _set_status(self, value: int) -> None:
        if not value:
            self._reset()
            self._update_pin()
            return
        if value & FEATURES_OK and not self._status & FEATURES_OK:
            if self._features & ~self._offered or self._must & ~self._features:
                value &= ~FEATURES_OK
            for queue in self._queues:
                queue.indirect = bool(self._features & INDIRECT)
                queue.event_index = bool(self._features & EVENT_INDEX)
        self._status = self._status & NEEDS_RESET | value & _STATUS_BITS

    def _valid_vector(self, value: int) -> int:
        value &= 0xFFFF
        return value if self._msix.has(value) else _NO_VECTOR

    def _write_queue(self, queue: Virtqueue, offset: int, value: int) -> None:
        if offset == 26:
            queue.vector = self._valid_vector(value)
        elif queue.enabled:
            self._missing[f"{self._name}: a queue changed while it is enabled"] += 1
        elif offset == 24:
            value &= 0xFFFF
            if 0 < value <= LARGEST and not value & value - 1:
                queue.size = value
            else:
                self._missing[f"{self._name}: an invalid queue size"] += 1
        elif offset == 28:
            queue.enabled = value == 1
        else:
            name, shift = _ADDRESSES[offset & ~7], 32 if offset & 4 else 0
            address = getattr(queue, name)
            setattr(queue, name, address & ~(_WORD << shift) | (value & _WORD) << shift)

    # ---- requests -----------------------------------------------------------------------------------------------

    def _is_ready(self, number: int) -> bool:
        ready = self._status & (DRIVER_OK | FEATURES_OK | NEEDS_RESET) == DRIVER_OK | FEATURES_OK
        return ready and number < len(self._queues) and self._queues[number].enabled and self.space.is_master

    def has_buffers(self, queue: int) -> bool:
        """See :class:`~tdvfsh.engine.virtio.device.Driver`."""
        try:
            return self._is_ready(queue) and self._queues[queue].waiting() > 0
        except Refused as refused:
            self._refuse(refused)
            return False

    def arrived(self, queue: int) -> None:
        """See :class:`~tdvfsh.engine.virtio.device.Driver`."""
        if self._is_ready(queue):
            self._serve(queue)

    def _notify(self, number: int) -> None:
        if self._is_ready(number):
            self._serve(number)
        else:
            self._missing[f"{self._name}: notified of a queue that is not ready"] += 1

    def _serve(self, number: int) -> None:
        queue = self._queues[number]
        try:
            self._serve_waiting(number, queue)
            if queue.wants_interrupt():
                self._interrupt(_QUEUE_INTERRUPT, queue.vector)
        except Refused as refused:
            self._refuse(refused)

    def _serve_waiting(self, number: int, queue: Virtqueue) -> None:
        while not self._device.waits(number):
            request = queue.pop()
            if request is None:
                return
            readable = Scattered(self._memory, request.readable)
            writable = Scattered(self._memory, request.writable)
            queue.push(request, self._device.serve(number, readable, writable))

    def _refuse(self, refused: Refused) -> None:
        """Name the first of each kind with its address, count the others to it, and ask for a reset."""
        text = self._refusals.setdefault(refused.what, f"{self._name}: {refused}; the device needs a reset")
        self._missing[text] += 1
        self._status |= NEEDS_RESET
        if self._status & DRIVER_OK:
            self._interrupt(_CONFIGURATION_INTERRUPT, self._vector)

    # ---- interrupts ---------------------------------------------------------------------------------------------

    def _interrupt(self, what: int, vector: int) -> None:
        if self._msix.enabled:
            self._msix.notify(vector)
        else:
            self._isr |= what
            self._update_pin()

    def _take_isr(self) -> int:
        value, self._isr = self._isr, 0
        self._update_pin()
        return value

    def _update_pin(self) -> None:
        self.space.show_interrupt(bool(self._isr))
        self._set_pin(bool(self._isr) and self.space.may_assert_pin)
