"""A run of real firmware in words: how it ended, and what it did to memory."""

from __future__ import annotations

from tdvfsh.engine.board.virtio import virtio_refusals
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.firmware.outcome import FirmwareOutcome
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.engine.tdx.page_accepts import AcceptTally
from tdvfsh.engine.violation import call_stack_lines
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.report.firmware_accepts_text import accepts_list
from tdvfsh.report.modelled_text import cell_text, range_text
from tdvfsh.report.schema import document
from tdvfsh.report.table import RIGHT, printable, table_lines
from tdvfsh.units import human_seconds, human_size

_MOST_MISSING: Final = 12


def accepts_dict(run: FirmwareRun, error: EngineError | None) -> dict[str, Any]:
    """SEC's accepts as JSON; ``ended`` says why SEC did not reach its end, None where it did."""
    members = {
        "firmware": run.image.path,
        "td": run.machine_dict(),
        "accepts": accepts_list(run.accepts),
        "added_bytes": run.td.added_bytes,
        "unaccepted_bytes": run.td.unaccepted_bytes,
        "ended": None if error is None else str(error),
    }
    return document("firmware-accepts", members)


def run_dict(run: FirmwareRun, outcome: FirmwareOutcome) -> dict[str, Any]:
    """A run as JSON: how it ended, and what was accepted, by which phase and vCPU."""
    td = run.td
    tallies = run.board.page_accepts.tallies.items() if td.is_td else ()
    members = {
        "firmware": run.image.path,
        "td": run.machine_dict(),
        "succeeded": outcome.succeeded,
        "ending": outcome.ending,
        "why": outcome.why,
        "system_ran": outcome.system_ran,
        "accepts": [
            {
                "phase": acceptor.phase,
                "vcpu": acceptor.vcpu,
                "calls": tally.calls,
                "pages_4k": tally.pages_4k,
                "pages_2m": tally.pages_2m,
                "accepted_bytes": tally.accepted_bytes,
            }
            for acceptor, tally in tallies
        ],
        "shared_bytes": td.shared_bytes if td.is_td else 0,
        "unaccepted_bytes": td.unaccepted_bytes if td.is_td else 0,
        "virtual_seconds": td.clock.now_ns / 1e9,
        "counts": dict(sorted(run.board.counts.items())),
        "refused": virtio_refusals(run.board),
    }
    return document("firmware-run", members)


def ending_lines(run: FirmwareRun, outcome: FirmwareOutcome) -> list[str]:
    """How it ended; of one that died also where, with registers and call stack."""
    lines = [f"tdvfsh: {printable(outcome.why)}"]
    if outcome.violation is not None:
        lines += [printable(line) for line in outcome.violation.lines()]
    if outcome.died:
        if outcome.violation is None:
            cpu = run.board.cpu
            lines.append(f"at        {run.code.place(cpu.read('RIP'))}")
            lines += call_stack_lines(run.code.call_stack(cpu, run.board.ram))
        lines += [f"{'registers' if not number else '':<10}{line}" for number, line in enumerate(_register_lines(run))]
    return lines


def run_lines(run: FirmwareRun) -> list[str]:
    """What was accepted and by which caller, what was converted, and which devices the guest did not find."""
    td = run.td
    lines = []
    if td.is_td:
        rows = [["accepted by", "vCPU", "calls", "4K", "2M", "bytes", "modelled"]]
        for acceptor, tally in run.board.page_accepts.tallies.items():
            rows.append([acceptor.phase, str(acceptor.vcpu), *_cells(tally), cell_text(td.cost.time(tally))])
        lines += table_lines(rows, f" {RIGHT * 6}")
        lines.append(f"modelled: {range_text(td.spent)} for accepts, their exits and conversions, cost {td.cost.name}")
        shared = sum(call.shared for call in run.conversions)
        lines.append(
            f"converted: {shared} × to shared and {len(run.conversions) - shared} × to private, "
            f"{human_size(td.shared_bytes)} shared in the end; never accepted: {human_size(td.unaccepted_bytes)}"
        )
    counts = run.board.counts
    times = ", ".join(f"{counts[name]:,} × {name}" for name in sorted(counts))
    lines.append(f"virtual time {human_seconds(td.clock.now_ns / 1e9)}" + (f"; {times}" if times else ""))
    lines += _shortcut_lines(run)
    missing = run.board.devices.missing
    if missing:
        shown = [f"{name} × {count}" for name, count in missing.most_common(_MOST_MISSING)]
        more = f", and {len(missing) - _MOST_MISSING} more" if len(missing) > _MOST_MISSING else ""
        lines.append(f"no device answered: {', '.join(shown)}{more}")
    return lines


def _shortcut_lines(run: FirmwareRun) -> list[str]:
    """What the host did in the firmware's place."""
    if run.strings is None or run.unpacking is None:
        return ["by the host: nothing (--real-code-only)"]
    sections = len(run.unpacking.unpacked)
    done = [f"{run.strings.count:,} REP MOVS and STOS of {human_size(run.strings.bytes)}"]
    done += [f"{sections} packed section{'s' * (sections != 1)}"] if sections else []
    if run.kernel is not None:
        outcome = run.kernel.outcome
        done.append(f"the kernel by {outcome.function}" if outcome.taken else f"not the kernel: {outcome.why}")
    return [f"by the host: {', '.join(done)}"]


def _cells(tally: AcceptTally) -> list[str]:
    return [f"{tally.calls:,}", f"{tally.pages_4k:,}", f"{tally.pages_2m:,}", human_size(tally.accepted_bytes)]


def _register_lines(run: FirmwareRun) -> list[str]:
    """Registers of the vCPU that runs, four in a line."""
    state = run.board.cpu.state
    names = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16)))
    shown = [*zip(names, state.registers(), strict=True), ("rip", state.instruction_pointer)]
    shown += [(f"cr{number}", state.control(number)) for number in (0, 2, 3, 4)]
    cells = [f"{name:<3} {value:016x}" for name, value in shown]
    return ["  ".join(cells[at : at + 4]) for at in range(0, len(cells), 4)]
