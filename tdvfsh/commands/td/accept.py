"""``accept``, ``sept`` and ``tdcall``: the secure EPT, through the firmware and past it."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated, NamedTuple
from tdvfsh.report.span import span
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Address, BadArgument, Flag, Kind, Size, read_address
from tdvfsh.shell.machine_binding import machine_of, running_machine
from tdvfsh.uefi.service_names import PAGE_ACCEPT
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.uefi.tdx import ACCEPT_LEVEL_MASK, SeptLevel, TdcallStatus, completion_code, completion_name
from tdvfsh.units import PAGE_SIZE, human_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tdvfsh.machine import Machine
    from tdvfsh.shell.shell import Shell
    from tdvfsh.td.cost import Modelled
    from tdvfsh.td.tdcall import TdcallResult
    from tdvfsh.td.trust_domain import TrustDomain
    from tdvfsh.trace.records import PageAccept

_LEVELS = {"4k": 0, "2m": 1, "1g": 2}
_LEVEL_NAMES = {SeptLevel.LEVEL_4K: "4K", SeptLevel.LEVEL_2M: "2M", SeptLevel.LEVEL_1G: "1G"}


def _read_level(word: str) -> object:
    level = _LEVELS.get(word.lower())
    if level is None:
        if word not in "01234567" or len(word) != 1:
            raise BadArgument
        level = int(word)
    return level


UnacceptedStart = Annotated[int, Kind("unaccepted_start", read_address)]
UnacceptedSize = Annotated[int, Kind("unaccepted_size", read_address)]
Level = Annotated[int, Kind("sept_level", _read_level)]
TdcallLeafName = Annotated[str, Kind("tdcall_leaf", lambda word: word)]


# --- accept ----------------------------------------------------------------------------------------------------------


@command("accept", profile="td")
def accept(shell: Shell, start: UnacceptedStart, size: UnacceptedSize) -> ShellStatus:
    """Accept memory with the boot service AcceptMemory().

    SYNOPSIS:
        accept start size

    OPTIONS:
        start: First byte, in hex, or as in 512M; a multiple of 4 KiB.
        size: Bytes, in hex, or as in 256M; a multiple of 4 KiB.

    DESCRIPTION:
        This is option 3 of the Lazy Page Accept RFC. What was accepted before is left alone; the rest leaves the
        unaccepted memory, becomes Available in the memory map, and the map key changes.

    EXAMPLES:
        accept 512M 256M
        accept 20000000 10000000

    RETURNVALUES:
        SUCCESS: All of it is accepted now.
        INVALID_PARAMETER: Start or size off the 4 KiB page, size 0, or an end beyond 64 bits.
        NOT_FOUND: Some of it is not RAM.
        UNSUPPORTED: A plain VM has nothing to accept; or boot services are gone.
        OUT_OF_RESOURCES: No memory for the firmware's bookkeeping.
        DEVICE_ERROR: A TDCALL failed; what came before it stays accepted.
    """
    machine = machine_of(shell)
    before = _Meter.of(machine)
    first_record = len(machine.trace)
    status = machine.services.accept_memory(start, size)
    if status is not SUCCESS:
        shell.print(f"accept: {status.phrase} - {_why(machine, status, first_record)}\n")
        return ShellStatus(status.code)
    done = _Meter.of(machine).since(before)
    shell.print(f"Accepted {span(start, start + size)}: {status.phrase}\n")
    shell.print(f"  {_account(machine, done, first_record)}\n")
    return ShellStatus.SUCCESS


class _Meter(NamedTuple):
    accepted_bytes: int
    calls: int
    spent: Modelled

    @classmethod
    def of(cls, machine: Machine) -> _Meter:
        return cls(machine.td.accepted_bytes, machine.td.tdcall.calls, machine.td.spent)

    def since(self, before: _Meter) -> _Meter:
        return _Meter(self.accepted_bytes - before.accepted_bytes, self.calls - before.calls, self.spent - before.spent)


def _account(machine: Machine, done: _Meter, first_record: int) -> str:
    from tdvfsh.report.modelled_text import range_text

    if not done.accepted_bytes:
        return "nothing to do: all of it was accepted before"
    records = _page_accepts(machine, first_record)
    small, large = (sum(record.pages_4k for record in records), sum(record.pages_2m for record in records))
    return (
        f"{human_size(done.accepted_bytes)} newly accepted in {done.calls:,} TDCALLs "
        f"({small:,} x 4K, {large:,} x 2M), modelled {range_text(done.spent)}"
    )


def _why(machine: Machine, status: EfiStatus, first_record: int) -> str:
    if machine.services.at_runtime:
        return "boot services are gone"
    if status is EfiStatus.EFI_INVALID_PARAMETER:
        return "start and size are multiples of 4 KiB, the size is not 0, and the end fits 64 bits"
    if status is EfiStatus.EFI_NOT_FOUND:
        return "some of the range is not RAM"
    if status is EfiStatus.EFI_UNSUPPORTED:
        return "there is no accept protocol" + ("" if machine.td.is_td else ": a plain VM has nothing to accept")
    if status is EfiStatus.EFI_OUT_OF_RESOURCES:
        return "no memory is left for the firmware's bookkeeping"
    calls = _page_accepts(machine, first_record)
    name = next((call.completion for call in calls if call.status is not SUCCESS), "a TDCALL failed")
    return f"TDCALL ended with {name}; what came before it stays accepted"


def _page_accepts(machine: Machine, first_record: int) -> list[PageAccept]:
    from tdvfsh.trace.records import PageAccept

    return [record for record in machine.trace.records[first_record:] if isinstance(record, PageAccept)]


# --- sept ------------------------------------------------------------------------------------------------------------


@command("sept", profile="td")
def sept(shell: Shell, address: Address | None = None, size: Size | None = None, *, sfo: Flag = False) -> ShellStatus:
    """Show the secure EPT: the state of private memory.

    SYNOPSIS:
        sept [-sfo] [address [size]]

    OPTIONS:
        -sfo: Print Standard-Format Output.
        address: Guest physical address, in hex, or as in 512M; alone, the range of like pages that holds it.
        size: Bytes from there, in hex, or as in 1G.

    DESCRIPTION:
        Without an address all RAM is shown. FREE: the VMM has put no page there yet. PENDING: there is one, and the
        guest has not accepted it. MAPPED: the guest may use it. Level is that of the entry, 4K or 2M; a FREE range of
        2M has no table yet.

        The columns of a SecureEpt row of -sfo are state, level, first byte, last byte (hex) and bytes (decimal).

    EXAMPLES:
        sept
        sept 512M 4M

    RETURNVALUES:
        SUCCESS: Shown.
        INVALID_PARAMETER: No private address, or a size of 0.
        UNSUPPORTED: A plain VM has no secure EPT.
    """
    td = machine_of(shell).td
    if not td.is_td:
        shell.print("sept: A plain VM has no secure EPT.\n")
        return ShellStatus.UNSUPPORTED
    limit = td.shared_mask
    if address is not None and (size == 0 or address + (size or 1) > limit):
        shell.print(
            f"sept: '{address:#x}{f' {size:#x}' if size is not None else ''}' is not private memory of this TD\n"
        )
        return ShellStatus.INVALID_PARAMETER
    shell.print('ShellCommand,"sept"\n' if sfo else f"{'State':<15} Level {'Range':<{_RANGE}} Size\n")
    for row in _rows(td, address, size):
        shell.checkpoint()
        shell.print((row.sfo() if sfo else row.text()) + "\n")
    return ShellStatus.SUCCESS


_RANGE = 27  # columns of a range below 1 TiB


class _SeptRow(NamedTuple):
    start: int
    end: int
    state: str
    level: str

    def text(self) -> str:
        shown = span(self.start, self.end)
        return f"{self.state:<15} {self.level:<5} {shown:<{_RANGE}} {human_size(self.end - self.start)}"

    def sfo(self) -> str:
        from tdvfsh.report.sfo import sfo_row

        return sfo_row(
            "SecureEpt", self.state, self.level, f"{self.start:X}", f"{self.end - 1:X}", self.end - self.start
        )


def _rows(td: TrustDomain, address: int | None, size: int | None) -> Iterator[_SeptRow]:
    if address is None:
        ranges = [(span.start, span.end) for span in td.ram.spans]
    elif size is not None:
        ranges = [(address, address + size)]
    else:
        ranges = [_run_around(td, address)]
    for start, end in ranges:
        for low, high, entry in td.sept.spans(start, end):
            yield _SeptRow(low, high, entry.state.name, _LEVEL_NAMES[entry.level])


def _run_around(td: TrustDomain, address: int) -> tuple[int, int]:
    """The range of like entries that holds an address, inside its span of RAM or hole."""
    span = td.ram.span_at(address)
    page = address - address % PAGE_SIZE
    if span is None:
        return page, page + PAGE_SIZE
    return next((low, high) for low, high, _ in td.sept.spans(span.start, span.end) if low <= address < high)


# --- tdcall ----------------------------------------------------------------------------------------------------------


@command("tdcall", profile="td")
def tdcall(shell: Shell, leaf: TdcallLeafName, gpa: UnacceptedStart, level: Level = 0) -> ShellStatus:
    """Make one raw TDCALL, past the firmware.

    SYNOPSIS:
        tdcall accept gpa [level]

    OPTIONS:
        accept: TDG.MEM.PAGE.ACCEPT, the leaf that this model has.
        gpa: Guest physical address of the page, in hex, or as in 512M. It goes into RCX as it is.
        level: Page size: 4K or 0, 2M or 1; others are for looking at the refusal. 4K without it.

    DESCRIPTION:
        Only the secure EPT changes: the firmware does not learn of it, and its memory map still calls the page
        unaccepted. Shown are RCX, the completion value in RAX, and the TD exits on the way.

    EXAMPLES:
        tdcall accept 20000000 2M

    RETURNVALUES:
        SUCCESS: Accepted, now or before.
        INVALID_PARAMETER: The TDX module refused the operand.
        BAD_BUFFER_SIZE: The page is there in another size.
        DEVICE_ERROR: Any other completion; or the TDCALL never returned, because there is no memory.
        UNSUPPORTED: No such leaf here; or a plain VM, which has no TDX module.
    """
    if leaf.lower() not in ("accept", PAGE_ACCEPT.lower()):
        shell.print(f"tdcall: Leaf '{leaf}' is not modelled; there is: accept\n")
        return ShellStatus.UNSUPPORTED
    machine = machine_of(shell)
    if not machine.td.is_td:
        shell.print("tdcall: A plain VM has no TDX module.\n")
        return ShellStatus.UNSUPPORTED
    rcx = gpa | level & ACCEPT_LEVEL_MASK
    result = _raw_accept(machine, rcx)
    code = completion_code(result.status)
    exits = "1 TD exit" if result.exits == 1 else f"{result.exits} TD exits"
    shell.print(f"{PAGE_ACCEPT} RCX={rcx:#x}\n")
    if code == TdcallStatus.NOT_RETURNED:
        shell.print(f"  does not return: no memory there, {exits} that the VMM cannot cure\n")
        return ShellStatus.DEVICE_ERROR
    shell.print(f"  RAX={result.status:#x} {completion_name(result.status)}, {exits}\n")
    return _STATUSES.get(code, ShellStatus.DEVICE_ERROR)


_STATUSES: dict[int, ShellStatus] = {
    TdcallStatus.SUCCESS: ShellStatus.SUCCESS,
    TdcallStatus.PAGE_ALREADY_ACCEPTED: ShellStatus.SUCCESS,
    TdcallStatus.OPERAND_INVALID: ShellStatus.INVALID_PARAMETER,
    TdcallStatus.PAGE_SIZE_MISMATCH: ShellStatus.BAD_BUFFER_SIZE,
}


def _raw_accept(machine: Machine, rcx: int) -> TdcallResult:
    from tdvfsh.td.accept import AcceptOutcome
    from tdvfsh.trace.accepts import write_call

    td = machine.td
    result = td.tdcall.tdcall(rcx)
    accepted = completion_code(result.status) == TdcallStatus.SUCCESS
    large = (rcx & ACCEPT_LEVEL_MASK) == SeptLevel.LEVEL_2M
    work = AcceptOutcome(
        pages_4k=int(accepted and not large), pages_2m=int(accepted and large), calls=1, td_exits=result.exits
    )
    took = td.cost.time(work)
    write_call(machine.trace, rcx, work, result.status, duration_ns=took.likely)
    td.spend(took)
    return result


def _unaccepted(shell: Shell) -> list[tuple[int, int]]:
    from tdvfsh.accept.needs import unaccepted_ranges

    machine = running_machine(shell)
    return [] if machine is None else unaccepted_ranges(machine.services)


def _starts(shell: Shell, words: list[str]) -> Iterator[tuple[str, str]]:
    for start, end in _unaccepted(shell):
        yield f"{start:#x}", f"{human_size(end - start)} unaccepted"


def _sizes(shell: Shell, words: list[str]) -> Iterator[tuple[str, str]]:
    """After a start: to the end of its range."""
    try:
        start = read_address(words[-1]) if words else None
    except BadArgument:
        return
    for low, end in _unaccepted(shell):
        if start is not None and low <= start < end:
            yield f"{end - start:#x}", f"{human_size(end - start)}, to the end of the unaccepted range"


def _add_completions() -> None:
    from tdvfsh.shell.command.completion import add_described, add_provider

    add_described("unaccepted_start", _starts)
    add_described("unaccepted_size", _sizes)
    add_provider("sept_level", lambda shell: ("4K", "2M"))
    add_provider("tdcall_leaf", lambda shell: ("accept",))


_add_completions()
