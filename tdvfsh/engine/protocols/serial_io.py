"""EFI_SERIAL_IO_PROTOCOL over COM1, which it drives by the port's registers.

What is written goes where the port's bytes go, and what arrives there can be read: after Mode's timeout, of virtual
time, a read that had nothing returns EFI_TIMEOUT. The port takes every byte at once, so that no write times out.

Source: UEFI 2.10 12.8; edk2 MdeModulePkg/Bus/Pci/PciSioSerialDxe (SerialIo.c, Serial.c), for defaults, registers and
statuses; OvmfPkg/SioBusDxe for the device path.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import GuestInterface
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.devices.bus import Device
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.device_path import DevicePath, OtherNode, Pci, PciRoot
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, EFI_SERIAL_IO_PROTOCOL_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_REVISION: Final = 0x10000
_MODE: Final = struct.Struct("<IIQIIII")
_CLOCK: Final = 1_843_200
_DEFAULT_RATE, _DEFAULT_BITS, _DEFAULT_TIMEOUT, _FIFO_DEPTH = 115_200, 8, 1_000_000, 16
_MOST_TIMEOUT: Final = 100_000_000
_LOOKS: Final = 32  # before the rest of a timeout passes at once
_MICROSECOND: Final = 1_000

_DEFAULT_PARITY, _NO_PARITY, _EVEN, _ODD, _MARK, _SPACE = range(6)
_DEFAULT_STOP, _ONE, _ONE_FIVE, _TWO = range(4)
_PARITY_BITS: Final = {_NO_PARITY: 0x00, _EVEN: 0x18, _ODD: 0x08, _MARK: 0x28, _SPACE: 0x38}

_DATA, _INTERRUPTS, _FIFOS, _LINE, _MODEM, _LINE_STATUS, _MODEM_STATUS, _SCRATCH = range(8)
_DIVISOR_ACCESS, _BREAK = 0x80, 0x40
_RECEIVED, _BAD, _CAN_SEND = 0x01, 0x9C, 0x20
_DTR, _RTS, _OUTPUTS, _LOOP = 0x01, 0x02, 0x0C, 0x10

_DATA_TERMINAL_READY, _REQUEST_TO_SEND = 0x0001, 0x0002
_INPUT_EMPTY, _OUTPUT_EMPTY = 0x0100, 0x0200
_HARDWARE_LOOP, _SOFTWARE_LOOP, _FLOW_CONTROL = 0x1000, 0x2000, 0x4000
_SETTABLE: Final = _DATA_TERMINAL_READY | _REQUEST_TO_SEND | _HARDWARE_LOOP | _SOFTWARE_LOOP | _FLOW_CONTROL
_CONTROL_MASK: Final = 0xF0 | _INPUT_EMPTY | _OUTPUT_EMPTY | _SETTABLE
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class SerialMode(NamedTuple):
    """EFI_SERIAL_IO_MODE."""

    control_mask: int
    timeout: int
    baud_rate: int
    receive_fifo_depth: int
    data_bits: int
    parity: int
    stop_bits: int


def divisor_of(rate: int) -> tuple[int, int] | None:
    """The divisor for a baud rate, and the rate that counts: the asked one within 4 %, else one below it.

    None where the port cannot have it.
    """
    divisor = max((_CLOCK + 8 * rate) // (16 * rate), 1)
    if divisor > 0xFFFF:
        return None
    actual = _CLOCK // (16 * divisor)
    if 96 <= 100 * rate // actual <= 104:
        return divisor, rate
    if actual < rate:
        return divisor, actual
    return None if divisor == 0xFFFF else (divisor + 1, _CLOCK // (16 * (divisor + 1)))


def _framing_is_valid(data_bits: int, parity: int, stop_bits: int) -> bool:
    stops = {5: (_ONE, _ONE_FIVE)}.get(data_bits, (_ONE, _TWO))
    return 5 <= data_bits <= 8 and parity in _PARITY_BITS and stop_bits in stops


class SerialIoProtocol:
    """The protocol.

    Args:
        context: Guest memory.
        port: COM1.
        stall: Lets nanoseconds pass.
        reinstall: ReinstallProtocolInterface, for the device path.

    Attributes:
        handle: The handle that the protocol is on; 0 while no driver has made it.
    """

    def __init__(
        self,
        context: GuestContext,
        port: Device,
        stall: Callable[[int], None],
        reinstall: Callable[[int, int, int, int], EfiStatus],
    ) -> None:
        self._context = context
        self._ram = context.ram
        self._port = port
        self._stall = stall
        self._reinstall = reinstall
        self._received: deque[int] = deque()
        self._software_loop = self._flow_control = False
        self._mode = context.interfaces.structure([bytes(_MODE.size)])
        self.handle = self._path = 0

    def protocols(self) -> dict[Guid, object]:
        """Reset the port; returns the device path and the protocol, for a handle."""
        default = SerialMode(
            control_mask=_CONTROL_MASK,
            timeout=_DEFAULT_TIMEOUT,
            baud_rate=_DEFAULT_RATE,
            receive_fifo_depth=_FIFO_DEPTH,
            data_bits=_DEFAULT_BITS,
            parity=_NO_PARITY,
            stop_bits=_ONE,
        )
        self._ram.write(self._mode, _MODE.pack(*default))
        self.reset(0)
        structure = self._context.interfaces.structure(
            [
                struct.pack("<I4x", _REVISION), self.reset, self.set_attributes, self.set_control, self.get_control,
                self.write, self.read, self._mode, 0,
            ]
        )  # fmt: skip
        self._path = self._context.interfaces.structure([self.device_path().pack()])
        return {
            EFI_DEVICE_PATH_PROTOCOL_GUID: self._context.device_path(self._path),
            EFI_SERIAL_IO_PROTOCOL_GUID: GuestInterface(structure),
        }

    def device_path(self) -> DevicePath:
        mode = self._current()
        uart = struct.pack("<4xQBBB", mode.baud_rate, mode.data_bits, mode.parity, mode.stop_bits)
        serial = OtherNode(2, 1, struct.pack("<II", 0x050141D0, 0))
        return DevicePath((PciRoot(0), Pci(0x1F, 0), serial, OtherNode(3, 14, uart)))

    def _current(self) -> SerialMode:
        return SerialMode(*_MODE.unpack(self._ram.read(self._mode, _MODE.size)))

    # ---- settings -----------------------------------------------------------------------------------------------

    @service("EFI_SERIAL_IO_PROTOCOL.Reset", "q")
    def reset(self, this: int) -> EfiStatus:
        """Empty the queues and set the port anew to what Mode says."""
        port = self._port
        port.write(_LINE, 1, port.read(_LINE, 1) & ~_DIVISOR_ACCESS)
        port.write(_INTERRUPTS, 1, 0)
        port.write(_FIFOS, 1, 0)
        port.write(_MODEM, 1, port.read(_MODEM, 1) & ~(_OUTPUTS | _LOOP))
        port.write(_SCRATCH, 1, 0)
        port.write(_FIFOS, 1, 7)
        if self._set_mode(self._current()) is not SUCCESS:
            return EfiStatus.EFI_DEVICE_ERROR
        self._set_modem(_FLOW_CONTROL * self._flow_control | _SOFTWARE_LOOP * self._software_loop)
        self._received.clear()
        return SUCCESS

    @service("EFI_SERIAL_IO_PROTOCOL.SetAttributes", "qqdddbd")
    def set_attributes(
        self, this: int, baud_rate: int, receive_fifo_depth: int, timeout: int, parity: int, data_bits: int,
        stop_bits: int,
    ) -> EfiStatus:  # fmt: skip
        """Rate, timeout in microseconds and framing; 0 stands for the default of each."""
        return self._set_mode(
            SerialMode(
                control_mask=_CONTROL_MASK,
                timeout=timeout,
                baud_rate=baud_rate,
                receive_fifo_depth=receive_fifo_depth,
                data_bits=data_bits,
                parity=parity,
                stop_bits=stop_bits,
            )
        )

    def _set_mode(self, asked: SerialMode) -> EfiStatus:
        mode = asked._replace(
            timeout=asked.timeout or _DEFAULT_TIMEOUT,
            receive_fifo_depth=asked.receive_fifo_depth or _FIFO_DEPTH,
            data_bits=asked.data_bits or _DEFAULT_BITS,
            parity=asked.parity or _NO_PARITY,
            stop_bits=asked.stop_bits or _ONE,
        )
        rate = divisor_of(asked.baud_rate or _DEFAULT_RATE)
        if rate is None or not _framing_is_valid(mode.data_bits, mode.parity, mode.stop_bits):
            return _INVALID
        if mode.receive_fifo_depth > _FIFO_DEPTH or mode.timeout > _MOST_TIMEOUT:
            return _INVALID
        divisor, actual = rate
        port = self._port
        line = port.read(_LINE, 1) & _BREAK
        port.write(_LINE, 1, line | _DIVISOR_ACCESS)
        port.write(_DATA, 1, divisor & 0xFF)
        port.write(_INTERRUPTS, 1, divisor >> 8)
        framing = mode.data_bits - 5 | (mode.stop_bits != _ONE) << 2 | _PARITY_BITS[mode.parity]
        port.write(_LINE, 1, line | framing)
        self._ram.write(self._mode, _MODE.pack(*mode._replace(baud_rate=actual)))
        return self._rename()

    def _rename(self) -> EfiStatus:
        """The device path says the rate and the framing; where they change it is installed anew."""
        if not self.handle:
            return SUCCESS
        path = self.device_path().pack()
        if path == self._ram.read(self._path, len(path)):
            return SUCCESS
        self._ram.write(self._path, path)
        guid = self._context.guid_address(EFI_DEVICE_PATH_PROTOCOL_GUID)
        return self._reinstall(self.handle, guid, self._path, self._path)

    @service("EFI_SERIAL_IO_PROTOCOL.SetControl", "qd")
    def set_control(self, this: int, control: int) -> EfiStatus:
        """Modem lines, loops and flow control."""
        if control & ~_SETTABLE:
            return EfiStatus.EFI_UNSUPPORTED
        self._set_modem(control)
        return SUCCESS

    def _set_modem(self, control: int) -> None:
        modem = self._port.read(_MODEM, 1) & ~(_DTR | _RTS | _LOOP)
        modem |= control & (_DATA_TERMINAL_READY | _REQUEST_TO_SEND)  # the same bits
        self._port.write(_MODEM, 1, modem | (_LOOP if control & _HARDWARE_LOOP else 0))
        self._software_loop = bool(control & _SOFTWARE_LOOP)
        self._flow_control = bool(control & _FLOW_CONTROL)

    @service("EFI_SERIAL_IO_PROTOCOL.GetControl", "qq")
    def get_control(self, this: int, control: int) -> EfiStatus:
        """What is set, the modem's answer, and whether anything waits."""
        modem = self._port.read(_MODEM, 1)
        value = self._port.read(_MODEM_STATUS, 1) & 0xF0  # clear to send to carrier detect, the same bits
        value |= modem & (_DTR | _RTS) | (_HARDWARE_LOOP if modem & _LOOP else 0)
        value |= _FLOW_CONTROL * self._flow_control | _SOFTWARE_LOOP * self._software_loop | _OUTPUT_EMPTY
        self._receive()
        self._ram.put_u32(control, value | (0 if self._received else _INPUT_EMPTY))
        return SUCCESS

    # ---- data ---------------------------------------------------------------------------------------------------

    @property
    def _full(self) -> bool:
        return len(self._received) >= _FIFO_DEPTH

    def _receive(self, everything: bool = False) -> None:
        """Take a byte that has arrived, or all that there is room for."""
        if self._software_loop:
            return
        port = self._port
        if self._flow_control:
            port.write(_MODEM, 1, port.read(_MODEM, 1) & ~_RTS | (0 if self._full else _RTS))
        while not self._full:
            status = port.read(_LINE_STATUS, 1)
            if not status & _RECEIVED:
                break
            byte = port.read(_DATA, 1)
            if not status & _BAD:
                self._received.append(byte)
            if not everything:
                break

    @service("EFI_SERIAL_IO_PROTOCOL.Write", "qqq")
    def write(self, this: int, buffer_size: int, buffer: int) -> EfiStatus:
        """Send bytes; with the software loop they are received, as far as there is room."""
        size = self._ram.u64(buffer_size)
        if not size:
            return SUCCESS
        if not buffer:
            return EfiStatus.EFI_DEVICE_ERROR
        for offset, part in self._context.slices(size):
            for byte in self._ram.read(buffer + offset, part):
                if not self._software_loop:
                    self._receive(everything=True)
                    self._port.write(_DATA, 1, byte)
                elif not self._full:
                    self._received.append(byte)
        return SUCCESS

    @service("EFI_SERIAL_IO_PROTOCOL.Read", "qqq")
    def read(self, this: int, buffer_size: int, buffer: int) -> EfiStatus:
        """Take bytes that arrived; for each the port is waited for as long as Mode's timeout."""
        size = self._ram.u64(buffer_size)
        if not size:
            return SUCCESS
        if not buffer:
            return EfiStatus.EFI_DEVICE_ERROR
        for done in range(size):
            if not self._waited_for_input():
                self._ram.put_u64(buffer_size, done)
                return EfiStatus.EFI_TIMEOUT
            self._ram.put_u8(buffer + done, self._received.popleft())
        self._receive()
        return SUCCESS

    def _waited_for_input(self) -> bool:
        for _ in range(_LOOKS):
            if self._received:
                return True
            self._receive()
        if not self._received:
            self._stall(self._current().timeout * _MICROSECOND)
            self._receive()
        return bool(self._received)
