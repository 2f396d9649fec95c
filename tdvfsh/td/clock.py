"""The TD's own time: it moves only when something in the model takes time."""

from __future__ import annotations

from tdvfsh.lazy_dataclass import dataclass, replace


@dataclass(slots=True)
class VirtualClock:
    """Modelled nanoseconds since the TD was built; nothing reads the host's clock."""

    now_ns: int = 0

    def advance(self, ns: int) -> None:
        """Let ``ns`` nanoseconds pass (0 or more)."""
        if ns < 0:
            raise ValueError("virtual time does not run backwards")
        self.now_ns += ns

    @property
    def seconds(self) -> float:
        """The time in seconds."""
        return self.now_ns / 1e9

    def copy(self) -> VirtualClock:
        """An independent clock that shows the same time."""
        return replace(self)
