"""A TD's state in readable form and for ``parse``."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.machine.options import UNLESS_OBJECTED
from tdvfsh.report.modelled_text import range_text
from tdvfsh.report.sfo import sfo_header, sfo_row
from tdvfsh.report.span import span as span_text
from tdvfsh.report.table import table_lines
from tdvfsh.units import human_seconds, human_size, ram_size

if TYPE_CHECKING:
    from tdvfsh.machine import Machine


def td_lines(machine: Machine) -> list[str]:
    """What the TD is made of and how far it is accepted, as aligned lines."""
    td, options = machine.td, machine.options
    rows: list[tuple[str, str]] = []
    for number, span in enumerate(td.ram.spans):
        name = "" if number else "RAM"
        size = f"{ram_size(td.ram.memory)}" if name else ""
        rows.append((name, f"{size:<12}{span_text(span.start, span.end)} {human_size(span.size)}"))
    rows.append(("vCPUs", str(td.vcpus)))
    if td.is_td:
        rows.append(("GPAW", f"{td.gpaw}, shared bit {td.gpaw - 1}"))
    rows += [
        ("Firmware", f"{machine.start.firmware_name}, profile {options.profile}"),
        *(("From", note) for note in machine.start.notes),
        ("Loader", options.loader),
    ]
    if not td.is_td:
        rows.append(("Kind", "plain VM: all memory is there from the start"))
        return _with_clock(machine, rows)
    rows += [
        ("Accept", f"{_at_boot(machine)}, on demand: {options.on_demand}"),
        ("Cost", f"{td.cost.name}; the host maps {human_size(td.sept.host_page_size)} pages"),
        ("At boot", _share(machine.boot_bytes, td.ram.memory) + _boot_seconds(machine)),
        ("Accepted", _share(td.accepted_bytes, td.ram.memory)),
        ("Unaccepted", _share(td.unaccepted_bytes, td.ram.memory)),
    ]
    rows[-5:-5] = _unusual(machine)
    if machine.broken is not None:
        rows.append(("Broken", machine.broken))
    if td.shared_bytes:
        rows.append(("Shared", _share(td.shared_bytes, td.ram.memory)))
    rows.append(("TDCALLs", f"{td.tdcall.calls:,} TDG.MEM.PAGE.ACCEPT, {td.tdcall.exits:,} TD exits"))
    return _with_clock(machine, rows)


def td_sfo(machine: Machine) -> list[str]:
    """The same as Standard-Format Output; numbers are decimal."""
    td, options = machine.td, machine.options
    row = sfo_row(
        "TrustDomain",
        td.ram.memory,
        td.accepted_bytes,
        td.unaccepted_bytes,
        td.shared_bytes,
        machine.boot_bytes,
        td.vcpus,
        td.gpaw,
        options.accept.name if td.is_td else "plain VM",
        options.on_demand,
        options.profile,
        options.loader,
        options.firmware_model,
        machine.clock.now_ns,
        td.tdcall.calls,
        td.tdcall.exits,
    )
    return [sfo_header("td"), row]


def modelled_time(nanoseconds: int) -> str:
    """Virtual time in the unit that fits, two significant digits: ``27 ms``."""
    return human_seconds(nanoseconds / 1e9)


def _at_boot(machine: Machine) -> str:
    return "as the map says" if machine.imported_map is not None else f"{machine.options.accept.name} at boot"


def _unusual(machine: Machine) -> list[tuple[str, str]]:
    """What is not as by default."""
    options = machine.options
    rows = []
    if options.host_page_size != machine.td.cost.host_page_size:
        rows.append(("Host", f"maps {human_size(options.host_page_size)} pages, and not as its cost says"))
    if not options.sept_ve_disable:
        rows.append(("Attributes", "SEPT_VE_DISABLE off: touching unaccepted memory raises #VE"))
    if options.accept_at_exit == UNLESS_OBJECTED:
        rows.append(("At exit", "firmware accepts the rest unless the OS objects"))
    return rows


def _with_clock(machine: Machine, rows: list[tuple[str, str]]) -> list[str]:
    rows.append(("Clock", f"{modelled_time(machine.clock.now_ns)}, modelled"))
    if machine.services.at_runtime:
        rows.append(("Boot services", "gone: ExitBootServices has succeeded"))
    return table_lines(rows)


def _share(size: int, memory: int) -> str:
    return f"{human_size(size):<12}{100 * size / memory:5.1f} % ({size:,} bytes)"


def _boot_seconds(machine: Machine) -> str:
    boot = machine.boot_accept
    return "" if boot is None else f", modelled {range_text(boot.time)}"
