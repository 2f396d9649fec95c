"""The stops of ``--break``: set as soon as what they name is there."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.engine.debug.debugger import Debugger
from tdvfsh.engine.debug.events import EventBreaks
from tdvfsh.engine.debug.names import SERVICE, find, is_service
from tdvfsh.engine.debug.scene import Scene
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final

_ACCEPT: Final = "accept:"
OWNER: Final = "--break"


class BreakList:
    """Stops that wait for their place to be known.

    Args:
        breaks: As the user wrote them.
        debugger: Sets them.
        scene: What is debugged.
        events: Waits for accepts.

    Raises:
        UsageError: One that can never be.
    """

    def __init__(self, breaks: Sequence[str], debugger: Debugger, scene: Scene, events: EventBreaks) -> None:
        self._debugger = debugger
        self._scene = scene
        self._waiting: list[str] = []
        self._set: dict[str, int] = {}
        self._seen: object = None
        for each in breaks:
            if each.startswith(_ACCEPT):
                events.wait_for_accept(each.removeprefix(_ACCEPT))
                continue
            if each.startswith(SERVICE) and not is_service(each.removeprefix(SERVICE)):
                raise UsageError(f"--break {each}: not a boot or runtime service, such as service:AllocatePages")
            if not each:
                raise UsageError("--break needs a symbol, an address, service:NAME or accept:ADDR")
            self._waiting.append(each)
        if self._waiting:
            debugger.before_run.append(self._look)

    @property
    def never_set(self) -> list[str]:
        """Those whose place was never there."""
        return [each for each in self._waiting if each not in self._set]

    def _look(self) -> None:
        """New code may have brought what is waited for, or moved it."""
        changes = self._scene.changes()
        if changes == self._seen:
            return
        self._seen = changes
        for each in self._waiting:
            address = find(self._scene, each)
            before = self._set.get(each)
            if address is None or address == before:
                continue
            if before is not None:
                self._debugger.breakpoints.remove(before, OWNER)
            self._set[each] = address
            self._debugger.breakpoints.add(address, OWNER, each)
