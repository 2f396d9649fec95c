"""The known faults that a modelled boot meets."""

from __future__ import annotations

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.diagnosis.facts import Facts, Version, version_of
from tdvfsh.diagnosis.known_faults import MetFault, met_faults
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final
from tdvfsh.units import PAGE_SIZE

_RELEASE: Final = pattern(r"(20\d\d)(?:-?(\d\d))?")


def facts_of(result: BootResult) -> Facts:
    """What is known of a modelled boot; its firmware's release is that of its profile, whose rules it follows."""
    machine = result.machine
    linux = result.files.kernel.linux
    if result.files.kernel.inner is not None:
        linux = result.files.kernel.inner.linux
    table = next((entry for entry in reversed(result.placements) if entry.what == "unaccepted_table"), None)
    return Facts(
        td=machine.options.td,
        kernel=version_of(linux.kernel_version) if linux is not None else (),
        edk2=_release(machine.start.profile.edk2) if machine.imported_map is None else (),
        vcpus=machine.options.vcpus,
        low_end=machine.td.ram.low.end,
        memory=machine.td.ram.memory,
        unaccepted=machine.td.unaccepted_bytes,
        table=None if table is None else (table.start % PAGE_SIZE, table.end - table.start),
    )


def faults_of(result: BootResult) -> list[MetFault]:
    """The faults of kernel and firmware of which version and conditions are certain, but for those marked quiet."""
    return [met for met in met_faults(facts_of(result)) if met.certain and not met.fault.quiet]


def _release(generation: str) -> Version:
    """``edk2-stable202502`` as ``(2025, 2)``; where no month is named the year alone."""
    match = _RELEASE.search(generation)
    return tuple(int(part) for part in match.groups() if part) if match else ()
