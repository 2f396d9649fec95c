"""PCI configuration space of bus 0: by the ports CF8 and CFC, and by the enhanced access mechanism where it is on.

A function's base addresses can be set and sized; while the command register lets it decode, its registers answer there.

Source: PCI Local Bus 3.0 3.2.2.3.2 (configuration mechanism), 6.1 and 6.2.5 (header, base addresses); QEMU
hw/pci-host/q35.c (PCIEXBAR), hw/isa/lpc_ich9.c (reset control at CF9), hw/pci/pci.c (which bits can be written).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from tdvfsh.engine.devices.bus import Device, DeviceBus
from tdvfsh.engine.devices.pci_functions import CONFIGURATION_SIZE, Q35_FUNCTIONS, PciFunction
from tdvfsh.engine.errors import GuestReset
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.units import MIB

ADDRESS: Final = 0xCF8
DATA: Final = 0xCFC
RESET: Final = 0xCF9
PORTS: Final = 8
ECAM_PER_BUS: Final = MIB
_DATA: Final = DATA - ADDRESS
_RESET: Final = RESET - ADDRESS
_SYSTEM_RESET: Final = 1 << 2
_ENABLED: Final = 1 << 31
_ADDRESS_BITS: Final = 0x80FFFFFC
_COMMAND: Final = 4
_COMMAND_BITS: Final = 0x0547  # I/O, memory, master, parity, SERR, interrupt disable
_DECODES: Final = {True: 1, False: 2}
_BASE_ADDRESSES: Final = 0x10
_WIDE: Final = 0xC  # of 64 bits, prefetchable
_FIRST_DEVICE_REGISTER: Final = 0x40
_WRITABLE_HEADER: Final = (0x0C, 0x0D, 0x3C)  # cache line size, latency timer, interrupt line
_4_GIB: Final = 1 << 32
_PCIEXBAR: Final = 0x60
_PCIEXBAR_SIZES: Final = (256 * MIB, 128 * MIB, 64 * MIB)


@dataclass(frozen=True, slots=True)
class BaseAddress:
    """A function's base address register.

    Attributes:
        index: Its number, 0 to 5.
        size: Bytes that it decodes, a power of two.
        port: Whether it decodes I/O ports.
        device: What answers there.
        wide: Whether it takes two registers: memory that may lie above 4 GiB, and is prefetchable.
    """

    index: int
    size: int
    port: bool
    device: Device
    wide: bool = False


class ConfigurationSpace:
    """The configuration space of one function, which can be written as far as the device lets it.

    Args:
        function: Which one.
        several: Whether its device has other functions.
        base_addresses: Its base address registers.
        name: What it is called.
    """

    def __init__(
        self, function: PciFunction, several: bool, base_addresses: tuple[BaseAddress, ...] = (), name: str = "function"
    ) -> None:
        self.name = name
        self.base_addresses = base_addresses
        self.data = function.after_reset(several)
        self._masks: dict[int, int] = {}
        for bar in base_addresses:
            offset = _BASE_ADDRESSES + 4 * bar.index
            self.data[offset] = int(bar.port) | _WIDE * bar.wide
            mask = -bar.size & (1 << (64 if bar.wide else 32)) - 1 & ~(3 if bar.port else 0)
            self._masks |= {offset + at: mask >> 8 * at & 0xFF for at in range(8 if bar.wide else 4)}
        if base_addresses:
            self.data[0x3D] = 1  # interrupt pin A

    def read(self, offset: int, size: int) -> int:
        """``size`` bytes; 0 past the first 256, which is all that these functions have."""
        return int.from_bytes(self.data[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """``size`` bytes; bits that are read-only stay as they are."""
        for at, byte in enumerate(value.to_bytes(8, "little")[:size], offset):
            mask = self._mask(at)
            if at < CONFIGURATION_SIZE:
                self.data[at] = self.data[at] & ~mask | byte & mask

    def _mask(self, offset: int) -> int:
        if offset >= _FIRST_DEVICE_REGISTER or offset in _WRITABLE_HEADER:
            return 0xFF
        if _COMMAND <= offset < _COMMAND + 2:
            return _COMMAND_BITS >> 8 * (offset - _COMMAND) & 0xFF
        return self._masks.get(offset, 0)

    def base(self, bar: BaseAddress) -> int:
        """The address in a base address register."""
        return self.read(_BASE_ADDRESSES + 4 * bar.index, 8 if bar.wide else 4) & -bar.size

    def decoded(self, bar: BaseAddress) -> int | None:
        """Where a base address register decodes now, or None."""
        command = self.data[_COMMAND]
        address = self.base(bar)
        return address if command & _DECODES[bar.port] and address else None


class PciBus:
    """Bus 0, its configuration ports, and the window of the enhanced access mechanism.

    Args:
        ports: Where base addresses of ports are decoded.
        memory: Where base addresses of memory are decoded.
        missing: Counts what is asked for and lacking.
        base_addresses: Of the functions that have any.
        reset: Called when the reset control register resets the machine.

    Attributes:
        plugged: Numbers of the devices that were added to those which q35 always has.
    """

    def __init__(
        self,
        ports: DeviceBus,
        memory: DeviceBus,
        missing: Counter[str],
        base_addresses: Mapping[PciFunction, tuple[BaseAddress, ...]] | None = None,
        reset: Callable[[], None] | None = None,
    ) -> None:
        self._spaces_of = {True: ports, False: memory}
        self._missing = missing
        self._address = 0
        self._reset_control = 0
        self._reset = reset or _cold_reset
        self.plugged: tuple[int, ...] = ()
        self._window: int | None = None
        self._window_buses = 0
        self._attached: dict[tuple[int, int], tuple[bool, int]] = {}
        self._spaces = {
            each.device << 3 | each.function: ConfigurationSpace(
                each,
                any(other.device == each.device and other is not each for other in Q35_FUNCTIONS),
                (base_addresses or {}).get(each, ()),
                f"PCI {each.device:02x}.{each.function}",
            )
            for each in Q35_FUNCTIONS
        }

    @property
    def window(self) -> tuple[int | None, int]:
        """Where the enhanced access mechanism's window begins, None while it is off; and how many buses it holds."""
        return self._window, self._window_buses

    def plug(self, device: int, space: ConfigurationSpace) -> None:
        """Add a device with one function.

        Raises:
            ValueError: There is one with this number.
        """
        if any(place >> 3 == device for place in self._spaces):
            raise ValueError(f"PCI device {device:#x} exists")
        self._spaces[device << 3] = space
        self.plugged = (*self.plugged, device)

    def assign(self, start: int) -> None:
        """Set the base addresses of added devices one after the other, and let them decode, as firmware does."""
        at = start
        for place in (device << 3 for device in self.plugged):
            for bar in self._spaces[place].base_addresses:
                at = -(-at // bar.size) * bar.size
                self.configure(0, place, _BASE_ADDRESSES + 4 * bar.index, 8 if bar.wide else 4, at)
                at += bar.size
            self.configure(0, place, _COMMAND, 2, _DECODES[False])

    @property
    def high_memory(self) -> tuple[int, int] | None:
        """The addresses above 4 GiB that added devices decode, from the first to the last; None where none does."""
        places = [
            (address, address + bar.size)
            for device in self.plugged
            for bar in self._spaces[device << 3].base_addresses
            if bar.wide and (address := self._spaces[device << 3].base(bar)) >= _4_GIB
        ]
        if not places:
            return None
        return min(start for start, _ in places), max(end for _, end in places)

    # ---- ports --------------------------------------------------------------------------------------------------

    def write(self, offset: int, size: int, value: int) -> None:
        """Choose a register by a write of 32 bits, write it, or reset the machine.

        Raises:
            GuestReset: It was reset.
        """
        if offset == 0 and size == 4:
            self._address = value & _ADDRESS_BITS
        elif offset == _RESET and size == 1:
            self._reset_control = value & 0xFF & ~_SYSTEM_RESET
            if value & _SYSTEM_RESET:
                self._reset()
        elif offset >= _DATA and self._address & _ENABLED:
            self.configure(self._address >> 16 & 0xFF, self._address >> 8 & 0xFF, self._register(offset), size, value)

    def read(self, offset: int, size: int) -> int:
        """``size`` bytes; all ones where there is no function."""
        if offset == 0 and size == 4:
            return self._address
        if offset == _RESET and size == 1:
            return self._reset_control
        if offset < _DATA or not self._address & _ENABLED:
            return (1 << 8 * size) - 1
        return self.configuration(self._address >> 16 & 0xFF, self._address >> 8 & 0xFF, self._register(offset), size)

    def _register(self, offset: int) -> int:
        return (self._address & 0xFC) + offset - _DATA

    # ---- configuration space ------------------------------------------------------------------------------------

    def configuration(self, bus: int, place: int, offset: int, size: int) -> int:
        """``size`` bytes of the function at ``place`` (device and function), all ones where there is none."""
        space = None if bus else self._spaces.get(place)
        return (1 << 8 * size) - 1 if space is None else space.read(offset, size)

    def configure(self, bus: int, place: int, offset: int, size: int, value: int) -> None:
        """Write ``size`` bytes there, and let what changed answer at its new place."""
        space = None if bus else self._spaces.get(place)
        if space is None:
            return
        space.write(offset, size, value)
        if place == 0 and _PCIEXBAR - 4 < offset < _PCIEXBAR + 8:
            self._move_window(space.read(_PCIEXBAR, 8))
        if space.base_addresses and offset < _FIRST_DEVICE_REGISTER:
            for bar in space.base_addresses:
                self._move(place, space, bar)

    def redecode(self) -> None:
        """Configuration spaces were set from outside: let all answer where they say."""
        self._move_window(self._spaces[0].read(_PCIEXBAR, 8))
        for place, space in sorted(self._spaces.items()):
            for bar in space.base_addresses:
                self._move(place, space, bar)

    def _move(self, place: int, space: ConfigurationSpace, bar: BaseAddress) -> None:
        key, bus = (place, bar.index), self._spaces_of[bar.port]
        address, before = space.decoded(bar), self._attached.get(key)
        if before == (bar.port, address):
            return
        if before is not None:
            bus.detach(before[1])
            del self._attached[key]
        if address is None:
            return
        name = f"{space.name} base address {bar.index}"
        if bus.overlapping(address, bar.size) is not None:  # while its size is asked for, or by a mistake
            self._missing[f"{name} at {address:#x}, where another device is"] += 1
            return
        bus.attach(address, bar.size, name, bar.device)
        self._attached[key] = bar.port, address

    def _move_window(self, register: int) -> None:
        memory = self._spaces_of[False]
        length = register >> 1 & 3
        if self._window is not None:
            memory.detach(self._window)
            self._window = None
        if not register & 1 or length >= len(_PCIEXBAR_SIZES):
            return
        size = _PCIEXBAR_SIZES[length]
        start = register & 0xF_FFFF_FFFF & -size
        if memory.overlapping(start, size) is not None:
            self._missing[f"PCIEXBAR at {start:#x}, where another device is"] += 1
            return
        memory.attach(start, size, "PCI configuration window", EnhancedAccess(self))
        self._window, self._window_buses = start, size // ECAM_PER_BUS


class EnhancedAccess:
    """The window of the enhanced access mechanism: a megabyte a bus, 4 KiB a function."""

    def __init__(self, bus: PciBus) -> None:
        self._bus = bus

    def read(self, offset: int, size: int) -> int:
        """Configuration space."""
        return self._bus.configuration(offset >> 20, offset >> 12 & 0xFF, offset & 0xFFF, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write it."""
        self._bus.configure(offset >> 20, offset >> 12 & 0xFF, offset & 0xFFF, size, value)


def _cold_reset() -> None:
    raise GuestReset("cold", 0)
