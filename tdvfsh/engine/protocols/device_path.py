"""Device path utilities, device paths to text, and text to device paths.

Source: UEFI 2.10 10.5 and 10.6.
"""

from __future__ import annotations

from tdvfsh.engine.abi.buffers import pool_buffer
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.device_paths import parse_instances
from tdvfsh.engine.abi.interfaces import Field
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path_bytes import END_OF_PATH, parse_node
from tdvfsh.uefi.device_path_text import device_path_text, device_paths_from_text, node_from_text, node_text
from tdvfsh.uefi.guids import (
    EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL_GUID,
    EFI_DEVICE_PATH_TO_TEXT_PROTOCOL_GUID,
    EFI_DEVICE_PATH_UTILITIES_PROTOCOL_GUID,
    Guid,
)

_HEADER: Final = 4
_END_TYPE: Final = END_OF_PATH[0]
_END_INSTANCE: Final = 0x01
_END: Final = b"\x7f\xff\x04\x00"
_INSTANCE_END: Final = b"\x7f\x01\x04\x00"
_LIMIT: Final = 1 << 16


class DevicePathProtocols:
    """The three protocols. Results are pool buffers that the caller frees; 0 where there is no result."""

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram

    def install(self) -> None:
        """Make the handle."""
        context = self._context
        structures: dict[Guid, list[Field]] = {
            EFI_DEVICE_PATH_UTILITIES_PROTOCOL_GUID: [
                self.get_device_path_size, self.duplicate_device_path, self.append_device_path,
                self.append_device_node, self.append_device_path_instance, self.get_next_device_path_instance,
                self.is_device_path_multi_instance, self.create_device_node,
            ],
            EFI_DEVICE_PATH_TO_TEXT_PROTOCOL_GUID: [
                self.convert_device_node_to_text, self.convert_device_path_to_text,
            ],
            EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL_GUID: [
                self.convert_text_to_device_node, self.convert_text_to_device_path,
            ],
        }  # fmt: skip
        context.offer({guid: context.interfaces.structure(fields) for guid, fields in structures.items()})

    # ---- bytes --------------------------------------------------------------------------------------------------

    def _size(self, address: int) -> int:
        """Bytes of all instances, the end node included."""
        at = address
        while at - address < _LIMIT:
            node_type, subtype, length = self._ram.u8(at), self._ram.u8(at + 1), self._ram.u16(at + 2)
            if length < _HEADER or (node_type & 0x7F == _END_TYPE and subtype != _END_INSTANCE):
                return at - address + _HEADER
            at += length
        return _LIMIT

    def _bytes(self, address: int) -> bytes:
        """A path without its end node; a NULL pointer is an empty path."""
        return self._ram.read(address, self._size(address) - _HEADER) if address else b""

    def _node(self, address: int) -> bytes:
        return self._ram.read(address, max(self._ram.u16(address + 2), _HEADER)) if address else b""

    def _give(self, data: bytes) -> int:
        """A pool buffer with ``data``, 0 where there is no room."""
        return pool_buffer(self._context, data)

    @service("EFI_DEVICE_PATH_UTILITIES_PROTOCOL.GetDevicePathSize", "q")
    def get_device_path_size(self, device_path: int) -> int:
        """Bytes, end node included."""
        return self._size(device_path) if device_path else 0

    @service("EFI_DEVICE_PATH_UTILITIES_PROTOCOL.DuplicateDevicePath", "q")
    def duplicate_device_path(self, device_path: int) -> int:
        """A copy."""
        return self._give(self._bytes(device_path) + _END) if device_path else 0

    @service("EFI_DEVICE_PATH_UTILITIES_PROTOCOL.AppendDevicePath", "qq")
    def append_device_path(self, src1: int, src2: int) -> int:
        """One after the other."""
        return self._give(self._bytes(src1) + self._bytes(src2) + _END)

    @service("EFI_DEVICE_PATH_UTILITIES_PROTOCOL.AppendDeviceNode", "qq")
    def append_device_node(self, device_path: int, device_node: int) -> int:
        """A node more."""
        return self._give(self._bytes(device_path) + self._node(device_node) + _END)

    @service("EFI_DEVICE_PATH_UTILITIES_PROTOCOL.AppendDevicePathInstance", "qq")
    def append_device_path_instance(self, device_path: int, device_path_instance: int) -> int:
        """An instance more."""
        if not device_path_instance:
            return 0
        before = self._bytes(device_path) + _INSTANCE_END if device_path else b""
        return self._give(before + self._bytes(device_path_instance) + _END)

    @service("EFI_DEVICE_PATH_UTILITIES_PROTOCOL.GetNextDevicePathInstance", "qq")
    def get_next_device_path_instance(self, device_path_instance: int, device_path_instance_size: int) -> int:
        """A copy of the first instance; the pointer moves to the next, or becomes NULL."""
        at = self._ram.u64(device_path_instance) if device_path_instance else 0
        if not at:
            return 0
        end = at
        while self._ram.u8(end) & 0x7F != _END_TYPE and self._ram.u16(end + 2) >= _HEADER:
            end += self._ram.u16(end + 2)
        data = self._ram.read(at, end - at) + _END
        more = self._ram.u8(end + 1) == _END_INSTANCE
        self._ram.put_u64(device_path_instance, end + _HEADER if more else 0)
        if device_path_instance_size:
            self._ram.put_u64(device_path_instance_size, len(data))
        return self._give(data)

    @service("EFI_DEVICE_PATH_UTILITIES_PROTOCOL.IsDevicePathMultiInstance", "q")
    def is_device_path_multi_instance(self, device_path: int) -> int:
        """TRUE where there is a second instance."""
        return int(bool(device_path) and _INSTANCE_END in self._bytes(device_path))

    @service("EFI_DEVICE_PATH_UTILITIES_PROTOCOL.CreateDeviceNode", "bbw")
    def create_device_node(self, node_type: int, node_sub_type: int, node_length: int) -> int:
        """A node with nothing in it yet."""
        if node_length < _HEADER:
            return 0
        header = bytes((node_type, node_sub_type)) + node_length.to_bytes(2, "little")
        return self._give(header.ljust(node_length, b"\0"))

    # ---- text ---------------------------------------------------------------------------------------------------

    @service("EFI_DEVICE_PATH_TO_TEXT_PROTOCOL.ConvertDeviceNodeToText", "qbb")
    def convert_device_node_to_text(self, device_node: int, display_only: int, allow_shortcuts: int) -> int:
        """One node."""
        if not device_node:
            return 0
        node = parse_node(self._ram.u8(device_node), self._ram.u8(device_node + 1), self._node(device_node)[_HEADER:])
        text = node_text(
            node,
            display_only=bool(display_only),
            allow_shortcuts=bool(allow_shortcuts),
            long_hard_drives=not self._context.core.profile.short_hard_drives,
        )
        return self._give((text + "\0").encode("utf-16-le"))

    @service("EFI_DEVICE_PATH_TO_TEXT_PROTOCOL.ConvertDevicePathToText", "qbb")
    def convert_device_path_to_text(self, device_path: int, display_only: int, allow_shortcuts: int) -> int:
        """A whole path."""
        if not device_path:
            return 0
        text = device_path_text(
            parse_instances(self._ram, device_path),
            display_only=bool(display_only),
            allow_shortcuts=bool(allow_shortcuts),
            long_hard_drives=not self._context.core.profile.short_hard_drives,
        )
        return self._give((text + "\0").encode("utf-16-le"))

    @service("EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL.ConvertTextToDeviceNode", "s")
    def convert_text_to_device_node(self, text_device_node: int) -> int:
        """One node."""
        return self._give(node_from_text(self._ram.utf16(text_device_node)).pack()) if text_device_node else 0

    @service("EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL.ConvertTextToDevicePath", "s")
    def convert_text_to_device_path(self, text_device_path: int) -> int:
        """A whole path."""
        if not text_device_path:
            return 0
        paths = device_paths_from_text(self._ram.utf16(text_device_path))
        return self._give(_INSTANCE_END.join(path.pack()[:-_HEADER] for path in paths) + _END)
