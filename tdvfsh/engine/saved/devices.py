"""The state of a board's devices.

A device whose state is in no table here cannot be saved: that is said, and nothing is written.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.devices.ahci import AhciController, AhciIndex
from tdvfsh.engine.devices.bus import Device
from tdvfsh.engine.devices.cmos import CmosClock
from tdvfsh.engine.devices.cpu_hotplug import CpuHotplug
from tdvfsh.engine.devices.fw_cfg import FwCfg
from tdvfsh.engine.devices.interval_timer import Channel, IntervalTimer, Speaker
from tdvfsh.engine.devices.io_apic import IoApic
from tdvfsh.engine.devices.keyboard_controller import CommandPort, KeyboardController
from tdvfsh.engine.devices.local_apic import LocalApic
from tdvfsh.engine.devices.message_interrupts import MsiX
from tdvfsh.engine.devices.pci import EnhancedAccess, PciBus
from tdvfsh.engine.devices.pins import PciPins
from tdvfsh.engine.devices.ports import PostCode, SystemControl
from tdvfsh.engine.devices.power_management import PowerManagement
from tdvfsh.engine.devices.serial_port import SerialPort
from tdvfsh.engine.devices.smbus import SmbusController
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.saved.fields import (
    BYTES,
    COUNTS,
    FLAG,
    Field,
    Fields,
    Json,
    block,
    number,
    number_or_none,
    number_to,
    numbers,
    open_table,
    queue,
    restore,
    saved,
    table,
)
from tdvfsh.engine.virtio.block import BlockDevice
from tdvfsh.engine.virtio.console import ConsoleDevice
from tdvfsh.engine.virtio.entropy import EntropyDevice
from tdvfsh.engine.virtio.queue import Virtqueue
from tdvfsh.engine.virtio.transport import VirtioFunction
from tdvfsh.formats import shapes
from tdvfsh.formats.typed_json import FieldError
from tdvfsh.lazy_typing import Any, Final

_BAR_NAME: Final = " base address "
_PINS: Final = Field(
    lambda lines: [[line, sorted(devices)] for line, devices in sorted(lines.items()) if devices],
    shapes.items(shapes.row(shapes.whole(23), shapes.items(shapes.whole(31)))),
    lambda value, present: defaultdict(set, {line: set(devices) for line, devices in value}),
)
_KEYS: Final = Field(
    lambda output: [list(entry) for entry in output],
    shapes.items(shapes.row(shapes.whole(255), shapes.flag)),
    lambda value, present: deque((byte, mouse) for byte, mouse in value),
)
_ARGUMENT: Final = Field(
    lambda value: [value[False], value[True]],
    shapes.row(shapes.flag, shapes.flag),
    lambda value, present: {False: value[0], True: value[1]},
)
_PORTS: Final = Field(
    lambda ports: [[[key, port[key]] for key in sorted(port)] for port in ports],
    shapes.items(shapes.items(shapes.row(shapes.whole(255), shapes.whole((1 << 32) - 1)))),
    lambda value, present: _like([dict(port) for port in value], present),
)
_MOVED: Final = Field(
    lambda moved: [[key, moved[key]] for key in sorted(moved)],
    shapes.items(shapes.row(shapes.whole(0x3FFF), shapes.NUMBER)),
    lambda value, present: type(present)(dict(value)),
)
_REFUSALS: Final = Field(dict, shapes.mapping(shapes.text), lambda value, present: dict(value))


def _like(ports: list[dict[int, int]], present: list[dict[int, int]]) -> list[dict[int, int]]:
    if [port.keys() for port in ports] != [port.keys() for port in present]:
        raise FieldError("", "has other registers than this machine")
    return ports


_NOTHING: Final[Fields] = {}
FIELDS: Final[Mapping[type, Fields]] = MappingProxyType(
    {
        IoApic: {
            "_select": number(8), "_identity": number(32), "_entries": numbers(64, 24), "_lines": number(24),
        },
        PciPins: {"_asserted": _PINS},
        SerialPort: {
            "_enabled": number(4), "_line_control": number(8), "_modem_control": number(8), "_scratch": number(8),
            "_divisor": number(16), "_fifo": FLAG, "_transmit_pending": FLAG, "_received": queue(8),
            "_overrun": FLAG, "_looks": number(),
        },
        CmosClock: {"_index": number(7), "_memory": open_table()},
        Channel: {
            "gate": FLAG, "_mode": number_to(5), "_access": number_to(3), "_count": number_to(0x10000, 1),
            "_begin": number_to(1 << 80, -(1 << 80)), "_stands_at": number_or_none(80), "_null": FLAG,
            "_first": number_or_none(8), "_second_is_next": FLAG, "_latched": numbers(8),
        },
        IntervalTimer: _NOTHING,  # its channels have it
        Speaker: {"_bits": number(2)},
        PowerManagement: {"_events": block(4), "_control": number(16)},
        AhciController: {"_control": number(32), "_ports": _PORTS},
        AhciIndex: {"_index": number(12)},
        SmbusController: {"_registers": block(64)},
        KeyboardController: {
            "_mode": number(8), "_output": _KEYS, "_last": number(8), "_expects": number_or_none(8),
            "_argument": _ARGUMENT,
        },
        CpuHotplug: {"_selected": number(32), "_command": number(8)},
        FwCfg: {"_key": number(14), "_at": number(), "_descriptor": number(), "moved": _MOVED},
        PciBus: {"_address": number(32), "_reset_control": number(8)},
        PostCode: _NOTHING,
        SystemControl: _NOTHING,
        CommandPort: _NOTHING,
        EnhancedAccess: _NOTHING,
        LocalApic: {
            "nmi": FLAG, "start_page": number_or_none(8), "_requested": number(256), "_in_service": number(256),
            "_level": number(256), "_sent": number(), "_priority": number(8), "_spurious": number(9),
            "_local": table(32), "_divide": number(4), "_initial": number(32), "_deadline": number(),
            "_due_ns": number_or_none(80),
        },
        VirtioFunction: {
            "_status": number(8), "_isr": number(8), "_features": number(), "_device_select": number(32),
            "_driver_select": number(32), "_queue_select": number(16), "_vector": number(16), "_refusals": _REFUSALS,
        },
        Virtqueue: {
            "size": number_to(256, 1), "enabled": FLAG, "vector": number(16), "descriptors": number(),
            "driver": number(), "device": number(), "indirect": FLAG, "event_index": FLAG,
            "_next_available": number(16), "_used": number(16), "_signalled": number(16),
        },
        BlockDevice: _NOTHING,
        EntropyDevice: {"_blocks": number()},
        ConsoleDevice: {"_received": Field(BYTES.write, BYTES.shape, lambda value, present: bytearray.fromhex(value))},
    }
)  # fmt: skip
"""The fields of each kind of device."""
_MSIX: Final[Fields] = {"control": number(16), "_pending": number(128), "_table": BYTES}


def devices_to_dict(board: Board) -> Json:
    """All devices.

    Raises:
        EngineError: One has a state that no table here knows.
    """
    found = {name: saved(device, _fields(device, name)) for name, device in _devices(board)}
    spaces = [[place, bytes(space.data).hex()] for place, space in sorted(board.devices.pci._spaces.items())]
    return {"devices": found, "pci": spaces, "missing": COUNTS.write(board.devices.missing)}


SHAPE: Final = shapes.fields(
    {
        "devices": shapes.mapping(shapes.anything),  # by their tables
        "pci": shapes.items(shapes.row(shapes.whole(0xFF), block(256).shape)),
        "missing": COUNTS.shape,
    }
)


def restore_devices(board: Board, data: Any) -> None:
    """Set all devices; ``data`` has the right shape. Raises FieldError where it is of other devices."""
    devices, bus = dict(_devices(board)), board.devices.pci
    if devices.keys() != data["devices"].keys():
        raise FieldError("devices", "are not this machine's")
    if {place for place, _ in data["pci"]} != bus._spaces.keys() or len(data["pci"]) != len(bus._spaces):
        raise FieldError("pci", "is not this machine's")
    for name, device in devices.items():
        fields = _fields(device, name)
        before = {attribute: len(getattr(device, attribute)) for attribute in ("_table",) if attribute in fields}
        restore(device, fields, data["devices"][name], f"devices.{name}")
        for attribute, size in before.items():
            setattr(device, attribute, bytearray(getattr(device, attribute)))
            if len(getattr(device, attribute)) != size:
                raise FieldError(f"devices.{name}.{attribute}", f"is not {size} bytes")
    for place, text in data["pci"]:
        bus._spaces[place].data[:] = bytes.fromhex(text)
    bus.redecode()
    board.devices.missing.clear()
    board.devices.missing.update(data["missing"])


def _fields(device: object, name: str) -> Fields:
    fields = _MSIX if isinstance(device, MsiX) else FIELDS.get(type(device))
    if fields is None:
        raise EngineError(f"the machine cannot be saved: the state of its {name} has no place in the file")
    return fields


def _devices(board: Board) -> Iterator[tuple[str, object]]:
    """Every device and part of one, by a name that is the same in a machine that is made alike."""
    devices = board.devices
    yield "I/O APIC", devices.io_apic
    yield "PCI pins", devices.pins
    for vcpu in board.vcpus.all:
        yield f"local APIC {vcpu.number}", vcpu.interrupts.apic
    for region in devices.ports.regions:
        if _BAR_NAME not in region.name and not isinstance(region.device, CommandPort):
            yield from _with_parts(region.name, region.device)
    for region in devices.memory.regions:
        own = region.device is devices.io_apic or isinstance(region.device, EnhancedAccess)
        if _BAR_NAME not in region.name and not own:
            yield f"{region.name} at {region.start:#x}", region.device
    for place, space in sorted(devices.pci._spaces.items()):
        for bar in space.base_addresses:
            yield from _with_parts(f"PCI {place >> 3:02x}.{place & 7} register {bar.index}", bar.device)


def _with_parts(name: str, device: Device) -> Iterator[tuple[str, object]]:
    yield name, device
    if isinstance(device, IntervalTimer):
        for number_, channel in enumerate(device._channels):
            yield f"{name} channel {number_}", channel
    if isinstance(device, VirtioFunction):
        for number_, each in enumerate(device._queues):
            yield f"{name} queue {number_}", each
        yield f"{name} ({device._device.name})", device._device
