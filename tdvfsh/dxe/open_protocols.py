"""The agents that have opened protocols of handles: what OpenProtocolInformation returns.

Source: UEFI 2.10 7.3.9 to 7.3.11; edk2 MdeModulePkg/Core/Dxe/Hand/Handle.c.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import Guid

EFI_OPEN_PROTOCOL_BY_HANDLE_PROTOCOL: Final = 0x01
EFI_OPEN_PROTOCOL_GET_PROTOCOL: Final = 0x02
EFI_OPEN_PROTOCOL_TEST_PROTOCOL: Final = 0x04
EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER: Final = 0x08
EFI_OPEN_PROTOCOL_BY_DRIVER: Final = 0x10
EFI_OPEN_PROTOCOL_EXCLUSIVE: Final = 0x20
_PASSING: Final = (
    EFI_OPEN_PROTOCOL_BY_HANDLE_PROTOCOL | EFI_OPEN_PROTOCOL_GET_PROTOCOL | EFI_OPEN_PROTOCOL_TEST_PROTOCOL
)


class OpenProtocolInformation(NamedTuple):
    """EFI_OPEN_PROTOCOL_INFORMATION_ENTRY."""

    agent_handle: int
    controller_handle: int
    attributes: int
    open_count: int = 1


class OpenProtocols:
    """All openings, by handle and protocol; those of an agent that is gone are gone with it."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[tuple[int, Guid], list[OpenProtocolInformation]] = {}

    def copy(self) -> OpenProtocols:
        """An independent copy."""
        twin = OpenProtocols()
        twin._entries = {key: entries.copy() for key, entries in self._entries.items()}
        return twin

    def items(self) -> list[tuple[int, Guid, list[OpenProtocolInformation]]]:
        """Handle, protocol and entries of everything that is open."""
        return [(handle, protocol, entries) for (handle, protocol), entries in self._entries.items()]

    def of(self, handle: int, protocol: Guid) -> list[OpenProtocolInformation]:
        """OpenProtocolInformation of one protocol interface, in the order of their opening."""
        return self._entries.get((handle, protocol), []).copy()

    def open(self, handle: int, protocol: Guid, agent: int, controller: int, attributes: int) -> None:
        """Note an opening; one that is open in just that way counts once more."""
        entries = self._entries.setdefault((handle, protocol), [])
        for number, entry in enumerate(entries):
            if entry[:3] == (agent, controller, attributes):
                entries[number] = entry._replace(open_count=entry.open_count + 1)
                return
        entries.append(OpenProtocolInformation(agent, controller, attributes))

    def close(self, handle: int, protocol: Guid, agent: int, controller: int) -> bool:
        """CloseProtocol; False where that agent had not opened it for that controller."""
        before = self._entries.get((handle, protocol), [])
        after = [entry for entry in before if entry[:2] != (agent, controller)]
        self._keep((handle, protocol), after)
        return len(after) < len(before)

    def forget_passing(self, handle: int, protocol: Guid) -> None:
        """Forget the openings that bind no agent: they end when the interface goes."""
        after = [entry for entry in self.of(handle, protocol) if not entry.attributes & _PASSING]
        self._keep((handle, protocol), after)

    def forget_interface(self, handle: int, protocol: Guid) -> None:
        """Forget the openings of a removed interface."""
        self._entries.pop((handle, protocol), None)

    def forget_agent(self, agent: int) -> None:
        """Forget the openings made by a removed handle."""
        for key, entries in list(self._entries.items()):
            self._keep(key, [entry for entry in entries if entry.agent_handle != agent])

    def drivers_of(self, controller: int) -> list[int]:
        """Agents that manage a controller, each once."""
        entries = self._all(controller)
        return list(
            dict.fromkeys(entry.agent_handle for entry in entries if entry.attributes & EFI_OPEN_PROTOCOL_BY_DRIVER)
        )

    def children_of(self, controller: int, driver: int | None = None) -> list[int]:
        """Child controllers, each once; only those that ``driver`` made, where one is given."""
        return list(
            dict.fromkeys(
                entry.controller_handle
                for entry in self._all(controller)
                if entry.attributes & EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER and driver in (None, entry.agent_handle)
            )
        )

    def _all(self, handle: int) -> list[OpenProtocolInformation]:
        return [entry for key, entries in self._entries.items() if key[0] == handle for entry in entries]

    def _keep(self, key: tuple[int, Guid], entries: list[OpenProtocolInformation]) -> None:
        if entries:
            self._entries[key] = entries
        else:
            self._entries.pop(key, None)
