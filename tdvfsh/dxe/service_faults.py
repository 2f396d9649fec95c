"""Boot services that fail on purpose: the n-th call of a service answers a status and does nothing."""

from __future__ import annotations

from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.uefi.status import EfiStatus


@dataclass(slots=True)
class ServiceFaults:
    """Faults by service and number; calls count from 1, from the moment the plan is in force.

    Attributes:
        faults: By service, which call answers what.
        calls: By service, how many calls there have been.
        met: ``service:number=status`` of each fault that has happened.
    """

    faults: dict[str, dict[int, EfiStatus]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    met: list[str] = field(default_factory=list)

    def add(self, service: str, number: int, status: EfiStatus) -> None:
        """Have call ``number`` of ``service`` answer ``status``."""
        self.faults.setdefault(service, {})[number] = status

    def next_call(self, service: str) -> EfiStatus | None:
        """Count a call; the status that it has to answer, or None."""
        planned = self.faults.get(service)
        if planned is None:
            return None
        number = self.calls[service] = self.calls.get(service, 0) + 1
        status = planned.get(number)
        if status is not None:
            self.met.append(f"{service}:{number}={status.name}")
        return status

    def copy(self) -> ServiceFaults:
        """An independent copy, for a snapshot."""
        faults = {name: dict(planned) for name, planned in self.faults.items()}
        return ServiceFaults(faults, dict(self.calls), list(self.met))
