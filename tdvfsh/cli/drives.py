"""``--disk`` and ``--commit``: the disk images of a machine, for as long as it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.debug import Debugging
from tdvfsh.engine.board.virtio import MOST_DEVICES
from tdvfsh.engine.storage.drive import Drive, open_drive
from tdvfsh.errors import UsageError
from tdvfsh.units import human_size

_OTHER_DEVICES = 4


class Drives:
    """The images that were named.

    Args:
        drives: In order.
        commit: Whether what was written goes into them.
    """

    def __init__(self, drives: Sequence[Drive], commit: bool) -> None:
        self.drives = drives
        self._commit = commit

    def close(self, aborted: bool = False, saved: bool = False) -> list[str]:
        """The run is over: commit where that was asked for; returns lines that say what was written.

        Args:
            aborted: Whether it did not come to its end: nothing is committed then.
            saved: Whether the machine was saved, with what it wrote.
        """
        lines = []
        for drive in self.drives:
            drive.check_unchanged()
            overlay = drive.overlay
            if overlay is None or not overlay.written_bytes:
                continue
            if self._commit and not aborted:
                drive.commit()
                lines.append(f"tdvfsh: {drive.path}: {human_size(overlay.written_bytes)} written")
            elif saved:
                size = human_size(overlay.written_bytes)
                lines.append(f"tdvfsh: {drive.path} is as it was; {size} that the guest wrote are in the saved machine")
            else:
                why = "the run was aborted" if self._commit else "--commit keeps them"
                size = human_size(overlay.written_bytes)
                lines.append(f"tdvfsh: {drive.path} is as it was; {size} that the guest wrote are dropped ({why})")
            if overlay.is_full:
                lines.append(f"tdvfsh: {drive.path}: the guest's writes filled the memory for them and then failed")
        return lines


@contextmanager
def opened_drives(
    arguments: Arguments, debug: Debugging | None = None, texts: Sequence[str] | None = None
) -> Iterator[Drives]:
    """A context in which the images are open, with nothing written yet.

    Args:
        arguments: The command line.
        debug: The debugger, if any.
        texts: The images as ``--disk`` names them; those of the command line where None.

    Raises:
        UsageError: Options that do not belong together, an image twice, or too many.
        HostError, FormatError: An image cannot be read.
    """
    texts, commit = arguments.words("disk") if texts is None else texts, arguments.flag("commit")
    if len(texts) > MOST_DEVICES - _OTHER_DEVICES:
        raise UsageError(f"--disk: more than {MOST_DEVICES - _OTHER_DEVICES} disks")
    with ExitStack() as stack:
        drives = [stack.enter_context(open_drive(text)) for text in texts]
        writable = [drive for drive in drives if drive.writable]
        if commit and not writable:
            raise UsageError("--commit: needs a --disk FILE,rw")
        for drive in writable if commit else ():
            if not drive.is_raw:
                raise UsageError(f"--commit: {drive.path} is a qcow2 image, which is only read")
            if sum(other.is_same_file(drive) for other in drives) > 1:
                raise UsageError(f"--commit: {drive.path} is named twice")
        if commit and debug is not None:
            debug.repeats_not("--commit changes its disk image")
        yield Drives(drives, commit)
