"""The ICH9's AHCI controller with nothing connected: firmware resets it, looks at each port and finds no device.

Source: Serial ATA AHCI 1.3.1, chapter 3; QEMU hw/ide/ahci.c and hw/ide/ich.c (six ports, capabilities).
"""

from __future__ import annotations

from collections import Counter

from tdvfsh.lazy_typing import Final

SIZE: Final = 0x1000
INDEX_SIZE: Final = 0x20
_INDEX: Final = 0x10
_INDEXED: Final = 0x14
_PORTS: Final = 6
_CAPABILITIES: Final = 0xC0141F00 | _PORTS - 1  # 64-bit, NCQ, 32 slots, AHCI only, 1.5 Gb/s
_VERSION: Final = 0x00010000
_ENABLED: Final = 1 << 31
_RESET: Final = 1
_INTERRUPTS: Final = 2
_FIRST_PORT: Final = 0x100
_PORT_SIZE: Final = 0x80
_COMMAND: Final = 0x18
_TASK_FILE: Final = 0x20
_NOT_READY: Final = 0x7F
_NO_SIGNATURE: Final = 0xFFFFFFFF
_COMMAND_BITS: Final = 0x1 | 0x2 | 0x4 | 0x10  # start, spin up, power on, receive FISes
_STARTED: Final = 0x1
_RECEIVES: Final = 0x10
_RUNNING: Final = 1 << 15
_RECEIVING: Final = 1 << 14
_KEPT: Final = {0x00: 0xFFFFFC00, 0x04: 0xFFFFFFFF, 0x08: 0xFFFFFF00, 0x0C: 0xFFFFFFFF, 0x14: 0xFDC000FF, 0x2C: 0xFFF}
_FIXED: Final = {_TASK_FILE: _NOT_READY, 0x24: _NO_SIGNATURE, 0x28: 0}  # signature, SStatus: no device
_CLEARED_BY_ONES: Final = (0x10, 0x30)
_ISSUED: Final = (0x34, 0x38)


class AhciController:
    """The controller's memory registers, 32 bits each.

    Args:
        missing: Counts what is asked for and lacking.
    """

    def __init__(self, missing: Counter[str]) -> None:
        self._missing = missing
        self._reset()

    def _reset(self) -> None:
        self._control = _ENABLED
        self._ports: list[dict[int, int]] = [dict.fromkeys((*_KEPT, _COMMAND), 0) for _ in range(_PORTS)]

    def read(self, offset: int, size: int) -> int:
        """``size`` bytes of a register."""
        value = self._register(offset & ~3)
        return value >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def _register(self, offset: int) -> int:
        port, register = divmod(offset - _FIRST_PORT, _PORT_SIZE)
        if 0 <= port < _PORTS:
            if register == _COMMAND:
                return self._command(self._ports[port][_COMMAND])
            return _FIXED.get(register, self._ports[port].get(register, 0))
        values = {0x00: _CAPABILITIES, 0x04: self._control, 0x0C: (1 << _PORTS) - 1, 0x10: _VERSION}
        return values.get(offset, 0)

    @staticmethod
    def _command(value: int) -> int:
        running = _RUNNING if value & _STARTED else 0
        return value | running | (_RECEIVING if value & _RECEIVES else 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register of 32 bits; a command for a device finds none."""
        if size != 4 or offset & 3:
            self._missing[f"AHCI register {offset:#x} (write of {size} bytes)"] += 1
            return
        port, register = divmod(offset - _FIRST_PORT, _PORT_SIZE)
        if offset == 0x04:
            if value & _RESET:
                self._reset()
            else:
                self._control = value & _INTERRUPTS | _ENABLED
        elif 0 <= port < _PORTS:
            self._write_port(self._ports[port], register, value)

    def _write_port(self, port: dict[int, int], register: int, value: int) -> None:
        if register == _COMMAND:
            port[_COMMAND] = value & _COMMAND_BITS
        elif register in _KEPT:
            port[register] = value & _KEPT[register]
        elif register in _ISSUED and value:
            self._missing["a command to an AHCI port, which has no device"] += 1
        elif register not in _CLEARED_BY_ONES and register not in _FIXED and register not in _ISSUED:
            self._missing[f"AHCI port register {register:#x} (write)"] += 1


class AhciIndex:
    """The pair of ports by which the controller's registers are reached, too."""

    def __init__(self, controller: AhciController) -> None:
        self._controller = controller
        self._index = 0

    def read(self, offset: int, size: int) -> int:
        """The index, or the register that it names."""
        if offset == _INDEX:
            return self._index
        return self._controller.read(self._index, size) if offset == _INDEXED else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Set the index, or write the register that it names."""
        if offset == _INDEX:
            self._index = value & SIZE - 4
        elif offset == _INDEXED:
            self._controller.write(self._index, size, value)
