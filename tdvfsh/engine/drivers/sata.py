"""EFI_ATA_PASS_THRU_PROTOCOL, EFI_EXT_SCSI_PASS_THRU_PROTOCOL and EFI_IDE_CONTROLLER_INIT_PROTOCOL of the SATA ports.

Disks can be identified, read, written and flushed; any other command is one that they do not know. No port has an ATAPI
device, so that the SCSI protocol has no target.

Source: UEFI 2.10 13.16 and 14.7, PI 1.8 volume 5, 12; edk2 MdeModulePkg/Bus/Ata/AtaAtapiPassThru, for checks and
statuses.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.abi.buffers import pool_buffer
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path import Sata
from tdvfsh.uefi.disk import SECTOR, Disk
from tdvfsh.uefi.filesystem import FileSystemError
from tdvfsh.uefi.guids import (
    EFI_ATA_PASS_THRU_PROTOCOL_GUID,
    EFI_EXT_SCSI_PASS_THRU_PROTOCOL_GUID,
    EFI_IDE_CONTROLLER_INIT_PROTOCOL_GUID,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus

MODEL: Final = "QEMU HARDDISK".ljust(40)
"""The model number as IDENTIFY DEVICE has it, padded to the length of its field."""

_ATA_ATTRIBUTES: Final = 0x7  # physical, logical, nonblocking
_SCSI_ATTRIBUTES: Final = 0x3
_IO_ALIGN: Final = 8
_NO_PORT: Final = 0xFFFF
_CHANNELS: Final = 6
_PACKET: Final = struct.Struct("<QQQQQIIBB")
_LENGTH_IN_BYTES: Final = 0x80
_MOST_SECTORS: Final = 0x100
_SATA_NODE: Final = (3, 18)
_ATAPI_SIZE, _SATA_SIZE = 8, 10
_READY, _FAILED, _ABORTED = 0x50, 0x51, 0x04
_IDENTIFY: Final = 0xEC
_READS: Final = {0x20: False, 0xC8: False, 0x24: True, 0x25: True}
_WRITES: Final = {0x30: False, 0xCA: False, 0x34: True, 0x35: True}
_FLUSHES: Final = (0xE7, 0xEA)
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_NOT_FOUND: Final = EfiStatus.EFI_NOT_FOUND


class SataPorts:
    """The ports of the SATA controller, and the disks at them."""

    def __init__(self) -> None:
        self.disks: dict[int, Disk] = {}


def register_sata(context: GuestContext) -> None:
    """Register how the structures are made, when guest code first asks."""
    register = context.interfaces.register
    register(
        EFI_ATA_PASS_THRU_PROTOCOL_GUID,
        lambda handle, thing: AtaPassThru(context, thing).structure() if isinstance(thing, SataPorts) else None,
    )
    register(
        EFI_EXT_SCSI_PASS_THRU_PROTOCOL_GUID,
        lambda handle, thing: ScsiPassThru(context).structure() if isinstance(thing, SataPorts) else None,
    )
    register(
        EFI_IDE_CONTROLLER_INIT_PROTOCOL_GUID,
        lambda handle, thing: IdeController(context).structure() if isinstance(thing, SataPorts) else None,
    )


class AtaPassThru:
    """EFI_ATA_PASS_THRU_PROTOCOL."""

    def __init__(self, context: GuestContext, ports: SataPorts) -> None:
        self._context = context
        self._ram = context.ram
        self._disks = ports.disks
        self._last_port = _NO_PORT
        self._returned = False

    def structure(self) -> int:
        """Address of the structure."""
        structure = self._context.interfaces.structure
        mode = structure([struct.pack("<II", _ATA_ATTRIBUTES, _IO_ALIGN)])
        return structure(
            [
                mode, self.pass_thru, self.get_next_port, self.get_next_device, self.build_device_path,
                self.get_device, self.reset_port, self.reset_device,
            ]
        )  # fmt: skip

    def _put_u16(self, address: int, value: int) -> None:
        self._ram.write(address, value.to_bytes(2, "little"))

    def _disk(self, port: int, multiplier: int) -> Disk | None:
        return self._disks.get(port) if multiplier == _NO_PORT else None

    @service("EFI_ATA_PASS_THRU_PROTOCOL.PassThru", "qwwqq")
    def pass_thru(self, this: int, port: int, port_multiplier_port: int, packet: int, event: int) -> EfiStatus:
        """A command; with an event, that is signaled when it is done, which is at once."""
        asb, acb, _timeout, in_data, out_data, in_size, out_size, _protocol, length = _PACKET.unpack(
            self._ram.read(packet, _PACKET.size)
        )
        if any(address % _IO_ALIGN for address in (in_data, out_data, asb)):
            return _INVALID
        disk = self._disk(port, port_multiplier_port)
        if disk is None:
            return _INVALID
        if not length & _LENGTH_IN_BYTES:
            in_size, out_size = in_size * SECTOR, out_size * SECTOR
        if max(in_size, out_size) > _MOST_SECTORS * SECTOR:
            return EfiStatus.EFI_BAD_BUFFER_SIZE
        command = self._ram.read(acb, 16)
        done = self._execute(disk, command, in_data, out_data, in_size, out_size)
        self._ram.write(asb + 2, bytes((_READY, 0) if done else (_FAILED, _ABORTED)))
        if event:
            self._context.core.events.signal_event(event)
            return SUCCESS
        return SUCCESS if done else EfiStatus.EFI_DEVICE_ERROR

    def _execute(self, disk: Disk, acb: bytes, in_data: int, out_data: int, in_size: int, out_size: int) -> bool:
        command = acb[2]
        if command == _IDENTIFY:
            data = _identity(disk)[:in_size]
            self._ram.write(in_data, data)
            self._context.wrote(in_data, len(data))
            return True
        if command in _FLUSHES:
            return True
        extended = _READS.get(command, _WRITES.get(command))
        if extended is None:
            return False
        offset = _block(acb, extended) * SECTOR
        size = in_size if command in _READS else out_size
        if offset + size > disk.disk_size:
            return False
        try:
            if command in _READS:
                self._ram.write(in_data, disk.read_disk(offset, size))
                self._context.wrote(in_data, size)
            elif disk.writable:
                disk.write_disk(offset, self._ram.read(out_data, size))
            else:
                return False
        except FileSystemError:
            return False
        return True

    @service("EFI_ATA_PASS_THRU_PROTOCOL.GetNextPort", "qq")
    def get_next_port(self, this: int, port: int) -> EfiStatus:
        """The port with a disk after the one that was returned last; the first for 0xFFFF."""
        if not port:
            return _INVALID
        given = self._ram.u16(port)
        if given not in (_NO_PORT, self._last_port):
            return _INVALID
        following = [one for one in sorted(self._disks) if given == _NO_PORT or one > given]
        if not following:
            return _NOT_FOUND
        self._last_port = following[0]
        self._put_u16(port, self._last_port)
        return SUCCESS

    @service("EFI_ATA_PASS_THRU_PROTOCOL.GetNextDevice", "qwq")
    def get_next_device(self, this: int, port: int, port_multiplier_port: int) -> EfiStatus:
        """The disk at a port, which has no multiplier: once 0xFFFF, then EFI_NOT_FOUND."""
        if not port_multiplier_port:
            return _INVALID
        if self._returned:
            self._returned = False
            return _NOT_FOUND
        if self._ram.u16(port_multiplier_port) != _NO_PORT:
            return _INVALID if self._ram.u16(port_multiplier_port) else _NOT_FOUND
        if port not in self._disks:
            return _NOT_FOUND
        self._returned = True
        return SUCCESS

    @service("EFI_ATA_PASS_THRU_PROTOCOL.BuildDevicePath", "qwwq")
    def build_device_path(self, this: int, port: int, port_multiplier_port: int, device_path: int) -> EfiStatus:
        """The node of a disk, in a buffer that the caller frees."""
        if not device_path:
            return _INVALID
        if self._disk(port, port_multiplier_port) is None:
            return _NOT_FOUND
        node = pool_buffer(self._context, Sata(port).pack())
        if node:
            self._ram.put_u64(device_path, node)
        return SUCCESS if node else EfiStatus.EFI_OUT_OF_RESOURCES

    @service("EFI_ATA_PASS_THRU_PROTOCOL.GetDevice", "qqqq")
    def get_device(self, this: int, device_path: int, port: int, port_multiplier_port: int) -> EfiStatus:
        """Port and multiplier port of a node."""
        if not device_path or not port or not port_multiplier_port:
            return _INVALID
        kind = self._ram.u8(device_path), self._ram.u8(device_path + 1)
        size = self._ram.u16(device_path + 2)
        if kind not in (_SATA_NODE, (3, 1)) or size not in (_ATAPI_SIZE, _SATA_SIZE):
            return EfiStatus.EFI_UNSUPPORTED
        found, multiplier = self._ram.u16(device_path + 4), self._ram.u16(device_path + 6)
        self._put_u16(port, found)
        self._put_u16(port_multiplier_port, multiplier)
        return SUCCESS if self._disk(found, multiplier) is not None else _NOT_FOUND

    @service("EFI_ATA_PASS_THRU_PROTOCOL.ResetPort", "qw")
    def reset_port(self, this: int, port: int) -> EfiStatus:
        """Nothing."""
        return SUCCESS

    @service("EFI_ATA_PASS_THRU_PROTOCOL.ResetDevice", "qww")
    def reset_device(self, this: int, port: int, port_multiplier_port: int) -> EfiStatus:
        """Nothing, where there is a disk."""
        return SUCCESS if self._disk(port, port_multiplier_port) is not None else _INVALID


def _block(acb: bytes, extended: bool) -> int:
    """The first block of a command, of 28 or 48 bits."""
    low = int.from_bytes(acb[4:7], "little")
    return low | int.from_bytes(acb[8:11], "little") << 24 if extended else low | (acb[7] & 0x0F) << 24


def _identity(disk: Disk) -> bytes:
    """What IDENTIFY DEVICE returns."""
    words = bytearray(512)
    sectors = disk.disk_size // SECTOR
    struct.pack_into("<H", words, 0, 0x0040)
    struct.pack_into("20s", words, 20, _swapped("QM00001".ljust(20)))
    struct.pack_into("40s", words, 54, _swapped(MODEL))
    struct.pack_into("<H", words, 98, 0x0300)  # LBA and DMA
    struct.pack_into("<I", words, 120, min(sectors, 0x0FFFFFFF))
    struct.pack_into("<6H", words, 164, 0x4020, 0x7400, 0x4000, 0x4020, 0x3400, 0x4000)  # flush, 48-bit addresses
    struct.pack_into("<Q", words, 200, sectors)
    return bytes(words)


def _swapped(text: str) -> bytes:
    """A string of an ATA device: the bytes of each word change places."""
    data = text.encode("ascii")
    return b"".join(data[at : at + 2][::-1] for at in range(0, len(data), 2))


class ScsiPassThru:
    """EFI_EXT_SCSI_PASS_THRU_PROTOCOL without targets."""

    def __init__(self, context: GuestContext) -> None:
        self._context = context

    def structure(self) -> int:
        """Address of the structure."""
        structure = self._context.interfaces.structure
        mode = structure([struct.pack("<III", 0, _SCSI_ATTRIBUTES, _IO_ALIGN)])
        return structure(
            [
                mode, self.pass_thru, self.get_next_target_lun, self.build_device_path, self.get_target_lun,
                self.reset_channel, self.reset_target_lun, self.get_next_target,
            ]
        )  # fmt: skip

    @service("EFI_EXT_SCSI_PASS_THRU_PROTOCOL.PassThru", "qqqqq")
    def pass_thru(self, this: int, target: int, lun: int, packet: int, event: int) -> EfiStatus:
        """No target has a device."""
        return _INVALID

    @service("EFI_EXT_SCSI_PASS_THRU_PROTOCOL.GetNextTargetLun", "qqq")
    def get_next_target_lun(self, this: int, target: int, lun: int) -> EfiStatus:
        """There is none."""
        return _NOT_FOUND if target and lun and self._context.ram.u64(target) else _INVALID

    @service("EFI_EXT_SCSI_PASS_THRU_PROTOCOL.BuildDevicePath", "qqqq")
    def build_device_path(self, this: int, target: int, lun: int, device_path: int) -> EfiStatus:
        """There is none."""
        return _NOT_FOUND if device_path else _INVALID

    @service("EFI_EXT_SCSI_PASS_THRU_PROTOCOL.GetTargetLun", "qqqq")
    def get_target_lun(self, this: int, device_path: int, target: int, lun: int) -> EfiStatus:
        """No node is of a target."""
        if not device_path or not target or not self._context.ram.u64(target) or not lun:
            return _INVALID
        is_sata = (self._context.ram.u8(device_path), self._context.ram.u8(device_path + 1)) == _SATA_NODE
        return _NOT_FOUND if is_sata else EfiStatus.EFI_UNSUPPORTED

    @service("EFI_EXT_SCSI_PASS_THRU_PROTOCOL.ResetChannel", "q")
    def reset_channel(self, this: int) -> EfiStatus:
        """Nothing."""
        return SUCCESS

    @service("EFI_EXT_SCSI_PASS_THRU_PROTOCOL.ResetTargetLun", "qqq")
    def reset_target_lun(self, this: int, target: int, lun: int) -> EfiStatus:
        """No target has a device."""
        return _INVALID

    @service("EFI_EXT_SCSI_PASS_THRU_PROTOCOL.GetNextTarget", "qq")
    def get_next_target(self, this: int, target: int) -> EfiStatus:
        """There is none."""
        return _NOT_FOUND if target and self._context.ram.u64(target) else _INVALID


class IdeController:
    """EFI_IDE_CONTROLLER_INIT_PROTOCOL: a channel for each port."""

    def __init__(self, context: GuestContext) -> None:
        self._context = context

    def structure(self) -> int:
        """Address of the structure."""
        return self._context.interfaces.structure(
            [
                self.get_channel_info, self.notify_phase, self.submit_data, self.disqualify_mode,
                self.calculate_mode, self.set_timing, struct.pack("<BB6x", 1, _CHANNELS),
            ]
        )  # fmt: skip

    @service("EFI_IDE_CONTROLLER_INIT_PROTOCOL.GetChannelInfo", "qbqq")
    def get_channel_info(self, this: int, channel: int, enabled: int, max_devices: int) -> EfiStatus:
        """One device on each."""
        self._context.ram.write(enabled, bytes((channel < _CHANNELS,)))
        self._context.ram.write(max_devices, bytes((channel < _CHANNELS,)))
        return SUCCESS if channel < _CHANNELS else _INVALID

    @service("EFI_IDE_CONTROLLER_INIT_PROTOCOL.NotifyPhase", "qdb")
    def notify_phase(self, this: int, phase: int, channel: int) -> EfiStatus:
        """Nothing."""
        return SUCCESS

    @service("EFI_IDE_CONTROLLER_INIT_PROTOCOL.SubmitData", "qbbq")
    def submit_data(self, this: int, channel: int, device: int, identify_data: int) -> EfiStatus:
        """Nothing is kept."""
        return SUCCESS if channel < _CHANNELS and not device else _INVALID

    @service("EFI_IDE_CONTROLLER_INIT_PROTOCOL.DisqualifyMode", "qbbq")
    def disqualify_mode(self, this: int, channel: int, device: int, bad_modes: int) -> EfiStatus:
        """Nothing is kept."""
        return SUCCESS if channel < _CHANNELS and not device and bad_modes else _INVALID

    @service("EFI_IDE_CONTROLLER_INIT_PROTOCOL.CalculateMode", "qbbq")
    def calculate_mode(self, this: int, channel: int, device: int, supported_modes: int) -> EfiStatus:
        """A mode is for devices whose data were submitted; those of SATA have none to set."""
        if channel >= _CHANNELS or device or not supported_modes:
            return _INVALID
        return EfiStatus.EFI_NOT_READY

    @service("EFI_IDE_CONTROLLER_INIT_PROTOCOL.SetTiming", "qbbq")
    def set_timing(self, this: int, channel: int, device: int, modes: int) -> EfiStatus:
        """Nothing."""
        return SUCCESS
