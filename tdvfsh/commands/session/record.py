"""``record``: write what follows to a transcript."""

from __future__ import annotations

from tdvfsh.errors import HostError
from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Flag

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


@command("record", profile="td", counts=False)
def record(shell: Shell, file: FilePath | None = None, *, off: Flag = False) -> ShellStatus:
    """Write the lines that follow, and what they print, to a transcript.

    SYNOPSIS:
        record [file]
        record -off

    OPTIONS:
        file: The transcript, usually called *.tdt, on a drive that may be written; it is replaced. Without it: what is
            being recorded.
        -off: Finish the transcript. Leaving the shell does that too.

    DESCRIPTION:
        'tdvfsh replay file' runs it again and shows where it differs. A transcript is text: prompts, lines, exact
        output, and a header with version, TD options and the checksums of all files that were read. Where commands have
        run before, the header holds the moment at which it begins, too; what was before cannot be undone in a replay.

        'tdvfsh --record file' records from the first line on, to any place on the host.

    EXAMPLES:
        record demo.tdt
        record -off

    RETURNVALUES:
        SUCCESS: Done.
        UNSUPPORTED: This shell cannot record.
        NOT_READY: There is a recording already, or none to end.
        DEVICE_ERROR: The file cannot be written.
    """
    status = _record(shell, file, off=off)
    if status:
        shell.interpreter.set_last_error(status)
    return status


def _record(shell: Shell, file: str | None, *, off: bool) -> ShellStatus:
    running = shell.recording
    if off or file is None:
        shell.print(f"record: {'nothing is being recorded' if running is None else running.name}\n")
        if not off:
            return ShellStatus.SUCCESS
        if running is None:
            return ShellStatus.NOT_READY
        shell.recording = None
        running.stop()
        return ShellStatus.SUCCESS
    if running is not None:
        shell.print(f"record: {running.name} is being recorded; 'record -off' ends it\n")
        return ShellStatus.NOT_READY
    if shell.start_recording is None:
        shell.print("record: this shell cannot record\n")
        return ShellStatus.UNSUPPORTED
    try:
        shell.recording = shell.start_recording(host_file(shell, file))
    except HostError as error:
        shell.print(f"record: {error}\n")
        return ShellStatus.DEVICE_ERROR
    return ShellStatus.SUCCESS


def host_file(shell: Shell, path: str) -> str:
    """Where a new file of a mounted folder lies on the host; it is made.

    Raises:
        HostError: No such drive, none that is a folder of the host, or one that may not be written.
    """
    from tdvfsh.shell.drives.filesystem import FileSystemError
    from tdvfsh.shell.drives.hostfolder import HostFolder

    located = shell.locate(path)
    filesystem = None if located is None else located[0].drive.filesystem
    if located is None or not isinstance(filesystem, HostFolder) or not located[1]:
        raise HostError(f"{path}: not a file on a folder of the host")
    if not filesystem.writable:
        raise HostError(f"{path}: the drive is read-only; start with --fs0-write")
    try:
        filesystem.open_writer(located[1], append=True).close()
    except FileSystemError as error:
        raise HostError(f"{path}: {error.status.phrase}") from None
    found = filesystem.host_path(located[1])
    assert found is not None
    return found
