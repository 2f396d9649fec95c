"""The shell over a machine that stands still at a stop: its commands that only look, and the debugger's.

The guest is in the midst of something, so that nothing may allocate, free, accept or run: commands that would are not
there. The memory map is the guest's as it is, without a buffer of the command's own, and ``dmem`` takes linear
addresses and symbols, since an operating system's memory has no others.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.history import BYSTANDERS
from tdvfsh.shell.shell import Shell
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tdvfsh.engine.debug.monitor import MonitorCommands
    from tdvfsh.engine.debug.scene import Scene
    from tdvfsh.script.host import TextSink

LOOKS: Final = BYSTANDERS - {"mode", "hexedit"} | {
    "assert", "dh", "inspect", "openinfo", "report", "sept", "smbiosview", "td", "trace",
}  # fmt: skip
"""The shell's commands that are there."""

_OF_A_MACHINE: Final = frozenset(("dh", "openinfo", "report", "sept", "smbiosview", "td", "trace"))
_DEBUGGER_S: Final = frozenset(("map", "td", "sept", "memmap"))
_SWITCH: Final = "-"
_WRITES: Final = ("new", "measure")


class StoppedShell(Shell):
    """The shell of one debugged run; its variables stay from stop to stop.

    Args:
        stdout: Where output goes.
        scene: What is debugged.
        monitor: The debugger's commands.
        control: What the stop itself understands, such as ``step``: summaries by usage, for ``help``.
        folder: The host's folder that is ``fs0:``.
    """

    def __init__(
        self,
        stdout: TextSink,
        scene: Scene,
        monitor: MonitorCommands,
        control: Mapping[str, str],
        folder: str | None = None,
    ) -> None:
        super().__init__(stdout)
        if folder is not None:
            self.mount(HostFolder(folder))
        self._scene = scene
        self._monitor = monitor
        self._control = control
        self.vcpu = 0
        machine = scene.machine
        if machine is not None:
            self.machine, self.td_options, self.clock = machine, machine.options, machine.clock
        named = set(LOOKS) if machine is not None else set(LOOKS - _OF_A_MACHINE)
        self._looks = frozenset(named)

    def _is_debugger_s(self, name: str) -> bool:
        """Whether a command is the debugger's; one that both have is the shell's own, where it has a machine."""
        return name in self._monitor.commands and not (name in _DEBUGGER_S and name in self._looks)

    def is_command(self, name: str) -> bool:
        """Those that look; others are known, too, so that they can be refused."""
        return super().is_command(name) or name.lower() in self._monitor.commands or name.lower() == "memmap"

    def begin_line(self, text: str) -> None:
        """Nothing can be undone here."""

    def end_line(self) -> None:
        """Nothing can be undone here."""

    def start_image(self, path: str, command_line: str) -> tuple[EfiStatus, int]:
        """The guest stands still."""
        self.print(f"{path}: no program runs while the guest stands still\n")
        return EfiStatus.EFI_UNSUPPORTED, ShellStatus.UNSUPPORTED

    def run_command(self, name: str, words: list[str]) -> tuple[int, bool]:
        """A command of either."""
        name = name.lower()
        if name == "help":
            return self._help(words[1:])
        if name == "memmap":
            return self._memmap(words[1:]), True
        if self._is_debugger_s(name):
            self.print(self._monitor.answer(" ".join(words), self.vcpu))
            return ShellStatus.SUCCESS, True
        refused = name not in self._looks or (name == "td" and any(word.lower() in _WRITES for word in words[1:]))
        if refused or (name == "td" and "-engine" in words):
            self.print(f"{name}: not while the guest stands still; 'help' lists what is there\n")
            return ShellStatus.UNSUPPORTED, True
        command_words = [name, *words[1:]]
        return super().run_command(name, command_words)

    def _memmap(self, words: list[str]) -> ShellStatus:
        from tdvfsh.errors import TdvfshError
        from tdvfsh.report.memmap_text import memmap_sfo, memmap_table

        if words not in ([], ["-sfo"]):
            self.print("memmap: usage: memmap [-sfo]\n")
            return ShellStatus.INVALID_PARAMETER
        try:
            descriptors = tuple(self._scene.memory_map())
        except TdvfshError as error:
            self.print(f"memmap: {error}\n")
            return ShellStatus.NOT_FOUND
        lines = memmap_sfo(descriptors) if words else memmap_table(descriptors)
        self.print("\n".join(lines) + "\n")
        return ShellStatus.SUCCESS

    def _help(self, words: list[str]) -> tuple[int, bool]:
        """What is there, or one command's help."""
        wanted = [word.lower() for word in words if not word.startswith(_SWITCH)]
        if wanted and wanted[0] in self._looks and not self._is_debugger_s(wanted[0]):
            return super().run_command("help", ["help", *words])
        rows = {**self._control, "memmap [-sfo]": "the memory map"}
        for name, command in self._monitor.commands.items():
            if self._is_debugger_s(name):
                rows[command.usage] = command.summary
        if wanted:
            rows = {usage: summary for usage, summary in rows.items() if usage.split()[0] in wanted}
            if not rows:
                self.print(f"{wanted[0]}: no such command here; 'help' lists them\n")
                return ShellStatus.NOT_FOUND, True
        width = max(map(len, rows))
        self.print("".join(f"{usage:<{width}}  {rows[usage]}\n" for usage in sorted(rows)))
        if not wanted:
            self.print("\nOf the shell, as 'help NAME' says; pipes, redirections and variables work, too:\n")
            self.print("  " + " ".join(sorted(name for name in self._looks if not self._is_debugger_s(name))) + "\n")
        return ShellStatus.SUCCESS, True
