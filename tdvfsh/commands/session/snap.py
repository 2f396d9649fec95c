"""``snap``: moments with a name."""

from __future__ import annotations

from tdvfsh.commands.session.diff import MomentName
from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Kind
from tdvfsh.shell.history import full_moment
from tdvfsh.shell.moments import FAMILY, NOW, moments, named_moment

if TYPE_CHECKING:
    from tdvfsh.shell.history import Moment
    from tdvfsh.shell.shell import Shell

_ACTIONS = ("save", "restore", "list", "rm", "load")


@command("snap", profile="td")
def snap(
    shell: Shell,
    action: Annotated[str, Kind("snap_action", lambda word: word.lower())] = "list",
    name: MomentName | None = None,
    *,
    file: FilePath | None = None,
) -> ShellStatus:
    """Keep moments under a name, and go back to them.

    SYNOPSIS:
        snap [list]
        snap save name [-file file]
        snap load name -file file
        snap restore name
        snap rm name

    OPTIONS:
        list: Show what is kept.
        save: Keep the present moment; one of that name is replaced. With -file it is also written to a file.
        load: Read a moment from such a file and keep it under the name.
        restore: Go back: machine, variables, aliases, drives and current directory. Snapshots stay.
        rm: Forget one.
        -file file: The file to write or to read.

    DESCRIPTION:
        A snapshot holds descriptors, ranges and handles, not memory: it takes some ten kilobytes, however large the TD
        is, and shares what has not changed since the command before.

        A file of -file is JSON, of the form that tdvfsh/machine/snapshot_file.py documents. It names the files whose
        images are loaded, with their checksums, and is refused where they have changed. What users or programs
        wrote to memory is in it, up to 64 MiB.

    EXAMPLES:
        snap save clean
        snap restore clean

    RETURNVALUES:
        SUCCESS: Done.
        INVALID_PARAMETER: No such action, or a name that is missing or invalid.
        NOT_FOUND: There is no such snapshot or file.
        UNSUPPORTED: The file is not a snapshot, or one of a newer version; or the state cannot be held by a file.
    """
    if action not in _ACTIONS:
        shell.print(f"snap: Invalid argument - '{action}'\n")
        return ShellStatus.INVALID_PARAMETER
    if action == "list":
        return _list(shell)
    if not name or name.lower() == NOW:
        shell.print(f"snap: '{NOW}' is the present moment\n" if name else "snap: Too few arguments.\n")
        return ShellStatus.INVALID_PARAMETER
    if action == "save":
        return _save(shell, name, file)
    if action == "load":
        return _load(shell, name, file)
    moment = named_moment(shell, name)
    if moment is None:
        shell.print(f"snap: there is no snapshot '{name}'\n")
        return ShellStatus.NOT_FOUND
    if action == "rm":
        known = moments(shell)
        del known[next(key for key, one in known.items() if one is moment)]
    else:
        moment.restore(shell, keep=(FAMILY,))
    return ShellStatus.SUCCESS


def _list(shell: Shell) -> ShellStatus:
    from tdvfsh.report.table import table_lines
    from tdvfsh.report.td_text import modelled_time
    from tdvfsh.units import human_size

    rows = [("Name", "Clock", "Accepted", "RAM", "Records")]
    for name, moment in moments(shell).items():
        kept = moment.snapshot
        if kept is None:
            rows.append((name, "-", "-", "-", "no machine"))
            continue
        accepted, ram = human_size(kept.td.accepted_bytes), human_size(kept.td.ram.memory)
        rows.append((name, modelled_time(kept.now_ns), accepted, ram, str(kept.record_count)))
    for line in table_lines(rows, "<>>>>"):
        shell.print(f"{line}\n")
    return ShellStatus.SUCCESS


def _save(shell: Shell, name: str, file: str | None) -> ShellStatus:
    current = shell.history.current
    moment = full_moment(shell, "", None if current is None else current.snapshot)
    if file is not None:
        from tdvfsh.commands.session.snapfile import save_moment

        save_moment(shell, moment, file)
    _keep(shell, name, moment)
    return ShellStatus.SUCCESS


def _load(shell: Shell, name: str, file: str | None) -> ShellStatus:
    from tdvfsh.commands.session.snapfile import load_moment

    if file is None:
        shell.print("snap: load needs -file\n")
        return ShellStatus.INVALID_PARAMETER
    moment: Moment = load_moment(shell, file)
    _keep(shell, name, moment)
    return ShellStatus.SUCCESS


def _add_completions() -> None:
    from tdvfsh.shell.command.completion import add_provider

    add_provider("snap_action", lambda shell: _ACTIONS)


_add_completions()


def _keep(shell: Shell, name: str, moment: Moment) -> None:
    """Name a moment. Going back to it keeps the snapshots as they are, so it must not keep those before it alive."""
    moment.forget(FAMILY)
    known = moments(shell)
    for key in [key for key in known if key.lower() == name.lower()]:
        del known[key]
    known[name] = moment
