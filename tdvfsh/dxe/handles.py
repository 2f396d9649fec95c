"""The handle database: handles, the protocols on them, and the agents that open them.

Handles are small even numbers that look like nothing else; interfaces are Python objects. Order is that of creation.

Source: UEFI 2.10 7.3; edk2 MdeModulePkg/Core/Dxe/Hand/Handle.c, Locate.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tdvfsh.dxe.open_protocols import OpenProtocols
from tdvfsh.dxe.protocol_notify import ProtocolNotifies
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_FIRST_HANDLE: Final = 0x1


class LocateResult(NamedTuple):
    """``interface`` is None unless the status is EFI_SUCCESS."""

    status: EfiStatus
    interface: object | None


class HandleResult(NamedTuple):
    """``handle`` is None unless the status is EFI_SUCCESS."""

    status: EfiStatus
    handle: int | None


class HandleDatabase:
    """Handles and their protocol interfaces.

    Attributes:
        opens: Openings of them.
        notifies: Registrations for new ones.
    """

    def __init__(self) -> None:
        self._handles: dict[int, dict[Guid, object]] = {}
        self._next = _FIRST_HANDLE
        self._vacant: list[int] = []
        self.opens = OpenProtocols()
        self.notifies = ProtocolNotifies()

    def copy(self) -> HandleDatabase:
        """A copy with the same interfaces on the same handles."""
        twin = HandleDatabase()
        twin._handles = {handle: protocols.copy() for handle, protocols in self._handles.items()}
        twin._next = self._next
        twin.opens = self.opens.copy()
        twin.notifies = self.notifies.copy()
        return twin

    @contextmanager
    def replacing(self, handles: Iterable[int]) -> Iterator[None]:
        """Remove handles with all their protocols; those that are made meanwhile take their numbers, in order."""
        following = self._next
        self._vacant = sorted(handle for handle in handles if self._handles.pop(handle, None) is not None)
        try:
            yield
        finally:
            self._vacant = []
            self._next = max(self._next, following)
            self._handles = dict(sorted(self._handles.items()))

    def __iter__(self) -> Iterator[int]:
        return iter(self._handles)

    def __contains__(self, handle: object) -> bool:
        return handle in self._handles

    def __len__(self) -> int:
        return len(self._handles)

    def protocols(self, handle: int) -> dict[Guid, object]:
        """The protocols on a handle, in the order of their installation; empty for an unknown handle."""
        return self._handles.get(handle, {})

    def install_protocol_interface(self, handle: int | None, protocol: Guid, interface: object) -> HandleResult:
        """InstallProtocolInterface; ``handle`` None makes a new one.

        Returns:
            EFI_INVALID_PARAMETER: The handle does not exist, or has that protocol.
        """
        if handle is None:
            handle = self._vacant.pop(0) if self._vacant else self._next
            self._next = max(self._next, handle + 1)
            self._handles[handle] = {}
        elif handle not in self._handles or protocol in self._handles[handle]:
            return HandleResult(EfiStatus.EFI_INVALID_PARAMETER, None)
        self._handles[handle][protocol] = interface
        return HandleResult(SUCCESS, handle)

    def uninstall_protocol_interface(self, handle: int, protocol: Guid) -> EfiStatus:
        """UninstallProtocolInterface; a handle without protocols ceases to exist.

        Returns:
            EFI_INVALID_PARAMETER: The handle does not exist.
            EFI_NOT_FOUND: It has no such protocol.
        """
        protocols = self._handles.get(handle)
        if protocols is None:
            return EfiStatus.EFI_INVALID_PARAMETER
        if protocol not in protocols:
            return EfiStatus.EFI_NOT_FOUND
        del protocols[protocol]
        self.opens.forget_interface(handle, protocol)
        if not protocols:
            del self._handles[handle]
            self.opens.forget_agent(handle)
        return SUCCESS

    def handle_protocol(self, handle: int, protocol: Guid) -> LocateResult:
        """HandleProtocol.

        Returns:
            EFI_INVALID_PARAMETER: The handle does not exist.
            EFI_UNSUPPORTED: It has no such protocol.
        """
        protocols = self._handles.get(handle)
        if protocols is None:
            return LocateResult(EfiStatus.EFI_INVALID_PARAMETER, None)
        if protocol not in protocols:
            return LocateResult(EfiStatus.EFI_UNSUPPORTED, None)
        return LocateResult(SUCCESS, protocols[protocol])

    def locate_protocol(self, protocol: Guid) -> LocateResult:
        """LocateProtocol: the first interface found, else EFI_NOT_FOUND."""
        for protocols in self._handles.values():
            if protocol in protocols:
                return LocateResult(SUCCESS, protocols[protocol])
        return LocateResult(EfiStatus.EFI_NOT_FOUND, None)

    def locate_handles(self, protocol: Guid | None = None) -> list[int]:
        """LocateHandleBuffer: handles with ``protocol``, or all."""
        return [handle for handle, protocols in self._handles.items() if protocol is None or protocol in protocols]

    def locate_device_path(self, protocol: Guid, path: DevicePath) -> tuple[EfiStatus, int | None, DevicePath]:
        """LocateDevicePath: the handle with ``protocol`` whose device path is the longest prefix of ``path``.

        Returns:
            The status (EFI_NOT_FOUND where none matches), the handle, and the rest of the path.
        """
        best: tuple[int, int] | None = None
        for handle in self.locate_handles(protocol):
            own = self._handles[handle].get(EFI_DEVICE_PATH_PROTOCOL_GUID)
            if (
                isinstance(own, DevicePath)
                and path.nodes[: len(own.nodes)] == own.nodes
                and (best is None or len(own.nodes) > best[0])
            ):
                best = (len(own.nodes), handle)
        if best is None:
            return EfiStatus.EFI_NOT_FOUND, None, path
        return SUCCESS, best[1], DevicePath(path.nodes[best[0] :])
