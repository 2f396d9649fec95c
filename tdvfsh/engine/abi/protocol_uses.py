"""Who has opened which protocol of which handle: what OpenProtocolInformation tells.

Source: UEFI 2.10 7.3.9; edk2 MdeModulePkg/Core/Dxe/Hand/Handle.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.uefi.guids import Guid

BY_HANDLE_PROTOCOL: Final = 0x1
GET_PROTOCOL: Final = 0x2
TEST_PROTOCOL: Final = 0x4
BY_CHILD_CONTROLLER: Final = 0x8
BY_DRIVER: Final = 0x10
EXCLUSIVE: Final = 0x20
PASSING: Final = BY_HANDLE_PROTOCOL | GET_PROTOCOL | TEST_PROTOCOL
"""Uses that bind nobody: they end when the protocol goes."""


@dataclass(slots=True)
class ProtocolUse:
    """One entry of OpenProtocolInformation."""

    agent: int
    controller: int
    attributes: int
    count: int = 1


class ProtocolUses:
    """All uses; those of an agent that is gone are gone with it.

    Args:
        services: Whose handle database it is about.
    """

    def __init__(self, services: BootServices) -> None:
        self._services = services
        self._uses: dict[tuple[int, Guid], list[ProtocolUse]] = {}

    def of(self, handle: int, protocol: Guid) -> list[ProtocolUse]:
        """Uses of one protocol interface."""
        uses = self._uses.get((handle, protocol))
        if uses is None:
            return []
        uses[:] = [use for use in uses if use.agent in self._services.handles]
        return uses

    def note(self, handle: int, protocol: Guid, agent: int, controller: int, attributes: int) -> None:
        """Opened; once more, where it was opened just so before."""
        uses = self._uses.setdefault((handle, protocol), [])
        for use in uses:
            if (use.agent, use.controller, use.attributes) == (agent, controller, attributes):
                use.count += 1
                return
        uses.append(ProtocolUse(agent, controller, attributes))

    def close(self, handle: int, protocol: Guid, agent: int, controller: int) -> bool:
        """Closed; False where that agent had not opened it for that controller."""
        uses = self.of(handle, protocol)
        before = len(uses)
        uses[:] = [use for use in uses if (use.agent, use.controller) != (agent, controller)]
        return len(uses) < before

    def forget_passing(self, handle: int, protocol: Guid) -> None:
        """Forget the uses that bind nobody."""
        uses = self.of(handle, protocol)
        uses[:] = [use for use in uses if not use.attributes & PASSING]

    def drivers_of(self, controller: int) -> list[int]:
        """Agents that manage a controller, each once."""
        return list(dict.fromkeys(use.agent for use in self._all(controller) if use.attributes & BY_DRIVER))

    def children_of(self, controller: int, driver: int | None = None) -> list[int]:
        """Child controllers, each once; only those that ``driver`` made, where one is given."""
        return list(
            dict.fromkeys(
                use.controller
                for use in self._all(controller)
                if use.attributes & BY_CHILD_CONTROLLER and driver in (None, use.agent)
            )
        )

    def _all(self, handle: int) -> list[ProtocolUse]:
        return [use for protocol in self._services.handles.protocols(handle) for use in self.of(handle, protocol)]
