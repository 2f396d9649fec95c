"""The known faults that a modelled boot meets."""

from __future__ import annotations

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.diagnosis.facts import Facts, version_of
from tdvfsh.diagnosis.known_faults import MetFault, met_faults
from tdvfsh.units import PAGE_SIZE


def facts_of(result: BootResult) -> Facts:
    """What is known of a modelled boot; its firmware's release is that of its footprint, where it is a recorded one."""
    machine = result.machine
    linux = result.files.kernel.linux
    if result.files.kernel.inner is not None:
        linux = result.files.kernel.inner.linux
    table = next((entry for entry in reversed(result.placements) if entry.what == "unaccepted_table"), None)
    return Facts(
        td=machine.options.td,
        kernel=version_of(linux.kernel_version) if linux is not None else (),
        edk2=version_of(machine.model.edk2) if machine.imported_map is None else (),
        vcpus=machine.options.vcpus,
        low_end=machine.td.ram.low.end,
        memory=machine.td.ram.memory,
        unaccepted=machine.td.unaccepted_bytes,
        table=None if table is None else (table.start % PAGE_SIZE, table.end - table.start),
    )


def faults_of(result: BootResult) -> list[MetFault]:
    """The faults of which version and conditions are certain; those that only firmware's own callers meet are left out.

    A model follows its profile in what firmware does wrong, and says so itself: what counts here is the kernel.
    """
    return [met for met in met_faults(facts_of(result)) if met.certain and met.fault.component == "kernel"]
