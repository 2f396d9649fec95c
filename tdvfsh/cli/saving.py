"""``--save``: what becomes of the machine of a run that ends."""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.cli.drives import Drives
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.saved.machine_file import MachineFile
from tdvfsh.units import human_size


class Saving:
    """``--save``: the machine of a run that ends.

    Args:
        path: The file.
        drives: The disks.

    Attributes:
        done: Whether it was written.
        lines: What became of it, for the user.
    """

    def __init__(self, path: str, drives: Drives) -> None:
        self._path = path
        self._drives = drives
        self.done = False
        self.lines: list[str] = []

    def not_saved(self, ending: str) -> None:
        """The run ended where its machine cannot go on."""
        if not self.lines:
            why = "only --until, the end of the input, --time-limit and Ctrl-C leave a machine that can go on"
            self.lines.append(f"tdvfsh: not saved: {why} ({ending})")

    def save(self, write: Callable[[str], MachineFile]) -> None:
        """Save it by ``write``, called with the path. What prevents that is one more line.

        Raises:
            HostError: The host refuses.
            FormatError: A disk image was changed while the guest used it.
        """
        for drive in self._drives.drives:
            drive.check_unchanged()
        try:
            written = write(self._path)
        except EngineError as error:
            self.lines.append(f"tdvfsh: not saved: {error}")
            return
        self.done = True
        size, unpacked = human_size(written.size), human_size(written.unpacked)
        what = f"the machine is saved in {self._path}, {size}: {unpacked} of memory and disks"
        self.lines.append(f"tdvfsh: {what}; --resume continues it")
