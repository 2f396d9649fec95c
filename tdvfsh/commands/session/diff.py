"""``diff``: what changed between two moments."""

from __future__ import annotations

from tdvfsh.commands.firmware.protocol_names import protocol_name
from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Flag, Kind
from tdvfsh.shell.history import full_moment
from tdvfsh.shell.moments import NOW, moment_names, named_moment

if TYPE_CHECKING:
    from tdvfsh.machine.snapshot import MachineSnapshot
    from tdvfsh.shell.history import Moment
    from tdvfsh.shell.shell import Shell

MomentName = Annotated[str, Kind("moment", lambda word: word)]
_STATUS_VARIABLES = ("lasterror", "debuglasterror")


@command("diff", profile="td", counts=False)
def diff(shell: Shell, a: MomentName | None = None, b: MomentName = NOW, *, sfo: Flag = False) -> ShellStatus:
    """Show what changed between two moments.

    SYNOPSIS:
        diff [-sfo] [a [b]]

    OPTIONS:
        -sfo: Print Standard-Format Output.
        a: A snapshot's name. Without it: before the last command that changed something.
        b: Another one. Without it: now.

    DESCRIPTION:
        Compared are the memory map, the GCD map, the secure EPT, shared pages, handles and their protocols, the shell's
        variables, the TD's options, and virtual time. Ranges that were accepted between the two are marked.

        The columns of -sfo are: MemoryMap, GcdMap, SecureEpt, Shared: first and last byte (hex), bytes, before, after.
        Handle: number (hex), protocols before, after. Variable and Option: name, before, after. Account: map keys, and
        how much was added to virtual nanoseconds, accepted bytes, TDCALLs and records of the journal.

        'lasterror' stays what it was.

    EXAMPLES:
        diff
        snap save clean
        diff clean

    RETURNVALUES:
        SUCCESS: Shown, also where nothing changed.
        NOT_FOUND: There is no such snapshot, or no command before this one.
    """
    after = named_moment(shell, b)
    before = _before_last_change(shell) if a is None else named_moment(shell, a)
    if before is None or after is None:
        missing = b if before is not None else a
        why = "there is no command before this one" if missing is None else f"there is no snapshot '{missing}'"
        shell.print(f"diff: {why}\n")
        shell.interpreter.set_last_error(ShellStatus.NOT_FOUND)
        return ShellStatus.NOT_FOUND
    for line in _lines(before, after, sfo=sfo):
        shell.checkpoint()
        shell.print(f"{line}\n")
    return ShellStatus.SUCCESS


def _before_last_change(shell: Shell) -> Moment | None:
    """The moment before the last line that changed more than the journal and the map key, which showing a map does."""
    known = shell.history.before_now()
    now = full_moment(shell, "")
    for moment in known:
        if not moment.is_now(shell) and _differ(moment, now):
            return moment
    return known[0] if known else None


def _differ(before: Moment, after: Moment) -> bool:
    from tdvfsh.machine.difference import difference

    if before.machine is not after.machine or _variables(before) != _variables(after):
        return True
    if before.snapshot is None or after.snapshot is None:
        return False
    found = difference(before.snapshot, after.snapshot)
    return bool(found.ranges or found.handles or found.time_ns)


def _variables(moment: Moment) -> dict[str, str]:
    return {name: value for name, value in moment.variables().items() if name not in _STATUS_VARIABLES}


def _as_made(moment: Moment) -> MachineSnapshot | None:
    """The moment's machine as it was when it was made: the same options make the same machine."""
    from tdvfsh.machine import Machine

    return None if moment.snapshot is None else Machine(moment.snapshot.options, at_shell=True).snapshot()


def _lines(before: Moment, after: Moment, *, sfo: bool) -> list[str]:
    from tdvfsh.machine.difference import difference
    from tdvfsh.report.diff_text import diff_lines, diff_sfo

    made = before.machine is None and after.snapshot is not None
    then = _as_made(after) if made else before.snapshot
    found = None if then is None or after.snapshot is None else difference(then, after.snapshot)
    variables = [_variables(moment) for moment in (before, after)]
    if sfo:
        return diff_sfo(found, variables[0], variables[1], protocol_name)
    lines = diff_lines(found, variables[0], variables[1], protocol_name)
    if made or (after.machine is None and before.machine is not None):
        return [f"Machine: {'made' if made else 'gone'}", *(lines if lines != ["Nothing has changed."] else [])]
    return lines


def _add_completions() -> None:
    from tdvfsh.shell.command.completion import add_provider

    add_provider("moment", lambda shell: (NOW, *moment_names(shell)))


_add_completions()
