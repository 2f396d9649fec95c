"""Known faults, read from ``known_faults.toml``, and which of them a machine meets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache

from tdvfsh.diagnosis.conditions import CONDITIONS
from tdvfsh.diagnosis.facts import Facts, Version, before, version_of
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final
from tdvfsh.shipped_toml import read_shipped_toml

_FILE: Final = os.path.join(os.path.dirname(__file__), "known_faults.toml")


@dataclass(frozen=True)
class KnownFault:
    """One entry of the file; its head says what the fields are."""

    name: str
    component: str
    text: str
    help: str
    source: str
    commit: str = ""
    since: Version = ()
    fixed: tuple[Version, ...] = ()
    when: tuple[str, ...] = ()
    message: str = ""
    quiet: bool = False

    def has_version(self, version: Version) -> bool | None:
        """Whether that version has the fault; None where the version is not known and matters."""
        if not self.since and not self.fixed:
            return True
        if not version:
            return None
        if self.since and before(version, self.since):
            return False
        for fix in sorted(self.fixed):
            branch = len(fix) > 2 and fix != max(self.fixed)
            if branch and version[:2] != fix[:2]:
                continue
            if not before(version, fix):
                return False
        return True

    def holds(self, facts: Facts) -> bool | None:
        """Whether all conditions hold, None where some are not known and none fails."""
        answers = [CONDITIONS[name](facts) for name in self.when]
        if False in answers:
            return False
        return None if None in answers else True


@dataclass(frozen=True)
class MetFault:
    """A fault that a machine meets.

    Attributes:
        fault: Which.
        certain: Whether its version and conditions are all known; else it is possible.
        line: Line of the log that shows it, from 1; 0 where none does.
        seen: That line.
    """

    fault: KnownFault
    certain: bool
    line: int = 0
    seen: str = ""


@cache
def known_faults() -> tuple[KnownFault, ...]:
    """All entries, in the order of the file."""
    with open(_FILE, encoding="utf-8") as file:
        data = read_shipped_toml(file.read())
    return tuple(
        KnownFault(
            name=entry["name"],
            component=entry["in"],
            text=entry["text"],
            help=entry["help"],
            source=entry["source"],
            commit=entry.get("commit", ""),
            since=version_of(entry.get("since", "")),
            fixed=tuple(version_of(text) for text in entry.get("fixed", ())),
            when=tuple(entry.get("when", ())),
            message=entry.get("message", ""),
            quiet=entry.get("quiet", False),
        )
        for entry in data["fault"]
    )


def met_faults(facts: Facts, lines: Sequence[str] = ()) -> list[MetFault]:
    """The faults whose versions and conditions fit ``facts``, or whose message is among ``lines``.

    One of which the version is not known is possible, if its conditions hold; one of which a condition is not known is
    left out.
    """
    met = []
    for fault in known_faults():
        version = {"kernel": facts.kernel, "edk2": facts.edk2}.get(fault.component, ())
        if fault.message:
            message = pattern(fault.message)  # compiled only where there are lines
            found = next(((number, line) for number, line in enumerate(lines, 1) if message.search(line)), None)
            if found is not None:
                met.append(MetFault(fault, True, found[0], found[1].strip()))
            continue
        has_it = fault.has_version(version)
        if fault.holds(facts) and has_it is not False:
            met.append(MetFault(fault, has_it is True))
    return met
