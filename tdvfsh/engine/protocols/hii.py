"""EFI_HII_DATABASE_PROTOCOL, EFI_HII_STRING_PROTOCOL over the same package lists, and configuration on their handle.

Source: UEFI 2.10 34.8; edk2 MdeModulePkg/Universal/HiiDatabaseDxe/Database.c.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.abi.buffers import fill_buffer
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.protocols.hii_config_routing import HiiConfigRouting
from tdvfsh.engine.protocols.hii_database import (
    PACKAGE_GUID,
    Package,
    PackageList,
    device_path_package,
    list_guid,
    parse_packages,
)
from tdvfsh.engine.protocols.hii_string_protocol import HiiStringProtocol
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.guids import (
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_HII_CONFIG_ROUTING_PROTOCOL_GUID,
    EFI_HII_DATABASE_PROTOCOL_GUID,
    EFI_HII_SET_KEYBOARD_LAYOUT_EVENT_GUID,
    EFI_HII_STRING_PROTOCOL_GUID,
    Guid,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_NEW_PACK, _REMOVE_PACK, _EXPORT_PACK, _ADD_PACK = 1, 2, 4, 8
_LARGEST_LIST: Final = 16 << 20
_LIST_LENGTH_OFFSET: Final = 16
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_NOT_FOUND: Final = EfiStatus.EFI_NOT_FOUND


class _Notify(NamedTuple):
    """A function that is called when a package of a kind comes, goes or is exported."""

    kind: int
    guid: Guid | None
    function: int
    event: int


class HiiProtocols:
    """Both protocols over one database.

    Args:
        context: Guest memory, and the way into guest code.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram
        self._lists: dict[int, PackageList] = {}
        self._notifies: dict[int, _Notify] = {}
        self._layout: Guid | None = None
        self._strings = HiiStringProtocol(context, self._lists, self._changed)

    def install(self) -> None:
        """Make the handle."""
        database = self._context.interfaces.structure(
            [
                self.new_package_list, self.remove_package_list, self.update_package_list, self.list_package_lists,
                self.export_package_lists, self.register_package_notify, self.unregister_package_notify,
                self.find_keyboard_layouts, self.get_keyboard_layout, self.set_keyboard_layout,
                self.get_package_list_handle,
            ]
        )  # fmt: skip
        self._context.offer(
            {
                EFI_HII_DATABASE_PROTOCOL_GUID: database,
                EFI_HII_STRING_PROTOCOL_GUID: self._strings.structure(),
                EFI_HII_CONFIG_ROUTING_PROTOCOL_GUID: HiiConfigRouting(self._context).structure(),
            }
        )

    # ---- lists --------------------------------------------------------------------------------------------------

    def _read(self, address: int) -> bytes | None:
        """A list's bytes; None for more than the host holds as a whole."""
        size = self._ram.u32(address + _LIST_LENGTH_OFFSET)
        return None if size > _LARGEST_LIST else self._ram.read(address, size)

    @service("EFI_HII_DATABASE_PROTOCOL.NewPackageList", "qqqq")
    def new_package_list(self, this: int, package_list: int, driver_handle: int, handle: int) -> EfiStatus:
        """Take a copy of a list, and note where its driver is; a driver has each list once."""
        if not package_list or not handle:
            return _INVALID
        data = self._read(package_list)
        if data is None:
            return EfiStatus.EFI_OUT_OF_RESOURCES
        packages, guid = parse_packages(data), list_guid(data)
        known = any(one.guid == guid and one.driver_handle == driver_handle for one in self._lists.values())
        if packages is None or known:
            return _INVALID
        path = self._context.services.handles.protocols(driver_handle).get(EFI_DEVICE_PATH_PROTOCOL_GUID)
        if isinstance(path, DevicePath):
            packages.append(device_path_package(path.pack()))
        key = self._context.heap.allocate(16)
        self._lists[key] = PackageList(guid, driver_handle, packages)
        self._ram.put_u64(handle, key)
        self._notify(key, packages, _NEW_PACK)
        return SUCCESS

    @service("EFI_HII_DATABASE_PROTOCOL.RemovePackageList", "qq")
    def remove_package_list(self, this: int, handle: int) -> EfiStatus:
        """Forget a list."""
        known = self._lists.get(handle)
        if known is None:
            return _NOT_FOUND
        self._notify(handle, known.packages, _REMOVE_PACK)
        self._lists.pop(handle, None)
        self._context.heap.free(handle)
        return SUCCESS

    @service("EFI_HII_DATABASE_PROTOCOL.UpdatePackageList", "qqq")
    def update_package_list(self, this: int, handle: int, package_list: int) -> EfiStatus:
        """Replace the packages of each type that another list has."""
        known = self._lists.get(handle)
        if not package_list:
            return _INVALID
        if known is None:
            return _NOT_FOUND
        data = self._read(package_list)
        if data is None:
            return EfiStatus.EFI_OUT_OF_RESOURCES
        packages = parse_packages(data)
        if packages is None:
            return _INVALID
        kinds = {package.kind for package in packages}
        self._notify(handle, [one for one in known.packages if one.kind in kinds], _REMOVE_PACK)
        known.packages = [one for one in known.packages if one.kind not in kinds] + packages
        self._notify(handle, packages, _ADD_PACK)
        return SUCCESS

    @service("EFI_HII_DATABASE_PROTOCOL.ListPackageLists", "qbqqq")
    def list_package_lists(
        self, this: int, package_type: int, package_guid: int, handle_buffer_length: int, handle: int
    ) -> EfiStatus:
        """Handles of the lists that have a package of a type."""
        wanted = self._wanted(package_type, package_guid)
        if wanted is None or not handle_buffer_length:
            return _INVALID
        if self._ram.u64(handle_buffer_length) and not handle:
            return _INVALID
        found = [key for key, one in self._lists.items() if any(each.is_of(*wanted) for each in one.packages)]
        if not found:
            self._ram.put_u64(handle_buffer_length, 0)
            return _NOT_FOUND
        return fill_buffer(self._ram, handle_buffer_length, handle, struct.pack(f"<{len(found)}Q", *found))

    def _wanted(self, package_type: int, package_guid: int) -> tuple[int, Guid | None] | None:
        """Type and GUID of packages; None where they do not go together."""
        if (package_type == PACKAGE_GUID) != bool(package_guid):
            return None
        return package_type, self._ram.guid(package_guid) if package_guid else None

    @service("EFI_HII_DATABASE_PROTOCOL.ExportPackageLists", "qqqq")
    def export_package_lists(self, this: int, handle: int, buffer_size: int, buffer: int) -> EfiStatus:
        """A list's bytes, or those of all."""
        if not buffer_size or (self._ram.u64(buffer_size) and not buffer):
            return _INVALID
        if handle and handle not in self._lists:
            return _NOT_FOUND
        chosen = {handle: self._lists[handle]} if handle else dict(self._lists)
        if not chosen:
            return _NOT_FOUND
        status = fill_buffer(self._ram, buffer_size, buffer, b"".join(one.pack() for one in chosen.values()))
        if status is SUCCESS:
            for key, one in chosen.items():
                self._notify(key, one.packages, _EXPORT_PACK)
        return status

    @service("EFI_HII_DATABASE_PROTOCOL.GetPackageListHandle", "qqq")
    def get_package_list_handle(self, this: int, package_list_handle: int, driver_handle: int) -> EfiStatus:
        """The owner of a list."""
        known = self._lists.get(package_list_handle)
        if known is None or not driver_handle:
            return _INVALID
        self._ram.put_u64(driver_handle, known.driver_handle)
        return SUCCESS

    # ---- notifications ------------------------------------------------------------------------------------------

    @service("EFI_HII_DATABASE_PROTOCOL.RegisterPackageNotify", "qbqqqq")
    def register_package_notify(
        self, this: int, package_type: int, package_guid: int, package_notify_fn: int, notify_type: int,
        notify_handle: int,
    ) -> EfiStatus:  # fmt: skip
        """Call a function for packages of a type from now on."""
        wanted = self._wanted(package_type, package_guid)
        if wanted is None or not package_notify_fn or not notify_handle:
            return _INVALID
        if notify_type not in (_NEW_PACK, _REMOVE_PACK, _EXPORT_PACK, _ADD_PACK):
            return _INVALID
        key = self._context.heap.allocate(16)
        self._notifies[key] = _Notify(*wanted, package_notify_fn, notify_type)
        self._ram.put_u64(notify_handle, key)
        return SUCCESS

    @service("EFI_HII_DATABASE_PROTOCOL.UnregisterPackageNotify", "qq")
    def unregister_package_notify(self, this: int, notification_handle: int) -> EfiStatus:
        """Call it no longer."""
        if self._notifies.pop(notification_handle, None) is None:
            return _NOT_FOUND
        self._context.heap.free(notification_handle)
        return SUCCESS

    def _changed(self, handle: int, package: Package, is_new: bool) -> None:
        """The string protocol has changed a package: an old one goes, and another comes."""
        if not is_new:
            self._notify(handle, [package], _REMOVE_PACK)
        self._notify(handle, [package], _NEW_PACK if is_new else _ADD_PACK)

    def _notify(self, handle: int, packages: list[Package], event: int) -> None:
        for package in packages:
            for one in list(self._notifies.values()):
                if one.event == event and package.is_of(one.kind, one.guid):
                    self._call(one, package, handle)

    def _call(self, notify: _Notify, package: Package, handle: int) -> None:
        data = package.pack()
        where = self._context.heap.allocate(len(data))
        self._ram.write(where, data)
        guid = self._context.guid_address(package.guid) if package.guid is not None else 0
        self._context.call(notify.function, package.kind, guid, where, handle, notify.event)
        self._context.heap.free(where)

    # ---- keyboard layouts ---------------------------------------------------------------------------------------

    def _layouts(self) -> dict[Guid, bytes]:
        return {guid: layout for one in self._lists.values() for guid, layout in one.layouts()}

    def _fill16(self, length: int, buffer: int, data: bytes) -> EfiStatus:
        """Fill a buffer whose size is a 16-bit number."""
        room = self._ram.u16(length)
        if room and not buffer:
            return _INVALID
        self._ram.write(length, struct.pack("<H", len(data) & 0xFFFF))
        if room < len(data):
            return EfiStatus.EFI_BUFFER_TOO_SMALL
        if data:
            self._ram.write(buffer, data)
        return SUCCESS

    @service("EFI_HII_DATABASE_PROTOCOL.FindKeyboardLayouts", "qqq")
    def find_keyboard_layouts(self, this: int, key_guid_buffer_length: int, key_guid_buffer: int) -> EfiStatus:
        """GUIDs of the layouts."""
        if not key_guid_buffer_length:
            return _INVALID
        guids = b"".join(guid.bytes_le for guid in self._layouts())
        return self._fill16(key_guid_buffer_length, key_guid_buffer, guids)

    @service("EFI_HII_DATABASE_PROTOCOL.GetKeyboardLayout", "qqqq")
    def get_keyboard_layout(
        self, this: int, key_guid: int, keyboard_layout_length: int, keyboard_layout: int
    ) -> EfiStatus:
        """A layout, or the current one."""
        if not keyboard_layout_length or (self._ram.u16(keyboard_layout_length) and not keyboard_layout):
            return _INVALID
        guid = self._ram.guid(key_guid) if key_guid else self._layout
        layout = self._layouts().get(guid) if guid is not None else None
        return _NOT_FOUND if layout is None else self._fill16(keyboard_layout_length, keyboard_layout, layout)

    @service("EFI_HII_DATABASE_PROTOCOL.SetKeyboardLayout", "qq")
    def set_keyboard_layout(self, this: int, key_guid: int) -> EfiStatus:
        """Make a layout the current one; events of its group are signaled."""
        if not key_guid:
            return _INVALID
        guid = self._ram.guid(key_guid)
        if guid not in self._layouts():
            return _NOT_FOUND
        self._layout = guid
        self._context.core.events.signal_group(EFI_HII_SET_KEYBOARD_LAYOUT_EVENT_GUID)
        return SUCCESS
