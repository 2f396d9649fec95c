"""The shell: drives, variables, aliases, streams and the machine, as the host of the script language.

Source: edk2 ShellPkg/Application/Shell (Shell.c, ShellProtocol.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tdvfsh.errors import TdvfshError
from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.report.width import for_screen
from tdvfsh.script.interpreter import Interpreter
from tdvfsh.script.status import ShellStatus
from tdvfsh.script.streams import MemorySink, RedirectedSink, TextSource
from tdvfsh.shell.command import registry
from tdvfsh.shell.drives.drives import Drive
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.drives.search import Found
from tdvfsh.shell.environment import Aliases
from tdvfsh.shell.files import ShellFiles
from tdvfsh.shell.history import History
from tdvfsh.shell.identity import PROFILES, Firmware, StillClock
from tdvfsh.shell.machine_binding import real_time_clock, set_image_hooks, status_of_error
from tdvfsh.shell.page_break import PageBreak, PagingSink
from tdvfsh.shell.print_ex import without_marks
from tdvfsh.shell.redirects import open_input, open_output
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from tdvfsh.images.named import Fetch
    from tdvfsh.machine import TdOptions
    from tdvfsh.script.host import TextSink
    from tdvfsh.script.redirection import Target
    from tdvfsh.shell.command.completion import Completion
    from tdvfsh.shell.image_result import ImageResult
    from tdvfsh.shell.interfaces import Clock, FileSystem, LineWatcher, Recording
    from tdvfsh.uefi.device_path import HardDrive


class Shell(ShellFiles):
    """A UEFI shell.

    Args:
        stdout: Where output goes; collected in memory where None.
        clock: The virtual clock; a still one where None.
        firmware: Identity that ``ver`` prints.
        profiles: Names in ``%profiles%``.
        start_time: What the first machine's real-time clock shows at the start, in seconds since 1970; the firmware's
            own date where None.
    """

    def __init__(
        self,
        stdout: TextSink | None = None,
        *,
        clock: Clock | None = None,
        firmware: Firmware | None = None,
        profiles: Iterable[str] = PROFILES,
        start_time: int | None = None,
    ) -> None:
        super().__init__()
        self.start_time = start_time
        self.stdout: TextSink = stdout if stdout is not None else MemorySink()
        self.stderr: TextSink = self.stdout
        self.stdin: TextSource | None = None
        self.clock: Clock = clock if clock is not None else StillClock()
        self.firmware = firmware if firmware is not None else Firmware()
        self.aliases = Aliases()
        self.screen: TextSink | None = None  # the terminal, where stdout is one; -b pages only there
        self.screen_rows: Callable[[], int] = lambda: 25
        self.screen_columns: Callable[[], int] | None = None  # set at a terminal
        self.live_view: Callable[[], None] | None = None  # requests it after the line; set at a terminal
        self.machine: object | None = None  # see tdvfsh.shell.machine_binding
        self.td_options: TdOptions | None = None
        self.fetch_image: Fetch | None = None  # brings an image that a command names; None: only those that are here
        self.images_folder: str | None = None  # where mkimage makes images; the cache where None
        self.state: dict[str, object] = {}  # what command families keep between calls, by family
        self.interrupted: Callable[[], bool] | None = None
        self.was_interrupted = False  # whether an interrupt ended the last line or script
        self.ask: Callable[[str], str] = lambda prompt: ""
        self.clear_screen: Callable[[int | None, int | None], None] = lambda background, foreground: None
        self.image_loader: Callable[[Found, bool], ImageResult] | None = None
        self.image_unloader: Callable[[int], EfiStatus | None] | None = None
        self.image_starter: Callable[[str, str], tuple[EfiStatus, int]] | None = None
        self.watchers: list[LineWatcher] = []
        self.start_recording: Callable[[str], Recording] | None = None  # set by code that can write transcripts
        self.recording: Recording | None = None
        set_image_hooks(self)
        self.history = History()
        self.interpreter = Interpreter(self)
        self._set_initial_variables(profiles)

    def _set_initial_variables(self, profiles: Iterable[str]) -> None:
        firmware = self.firmware
        for name, value, volatile in (
            ("path", "", False),
            ("nonesting", "False", True),
            ("debuglasterror", "0x0", True),
            ("lasterror", "0x0", True),
            ("profiles", ";" + "".join(f"{name};" for name in profiles), True),
            ("uefishellsupport", "3", True),
            ("uefishellversion", firmware.shell, True),
            ("uefiversion", firmware.uefi, True),
        ):
            self.environment.set_internal(name, value or "\\", volatile=volatile)

    # --- running -----------------------------------------------------------------------------------------------

    def run_line(self, text: str) -> ShellStatus:
        """Run a line as typed at the prompt; an interrupt ends it, not the shell.

        Returns:
            ``%lasterror%`` after it.
        """
        watching = self._tell_watchers(text)
        self.begin_line(text)
        try:
            self._guarded(lambda: self.interpreter.run_line(text))
        finally:
            self.end_line()
            for watcher in reversed(watching):
                watcher.ends(self)
        return self.last_error

    def run_script(self, path: str, arguments: Iterable[str] = ()) -> ShellStatus:
        """Run a script of a mounted drive.

        Args:
            path: Path in the shell's form.
            arguments: Its words; those with blanks are quoted for it.

        Returns:
            ``%lasterror%`` after it.
        """
        words = [f'"{word}"' if " " in word or not word else word for word in arguments]
        full = self.full_path(path)
        if self.read_file(full) is None:
            self.print(
                f"'{path}' is not recognized as an internal or external command, operable program, or script file.\n"
            )
            self.interpreter.set_last_error(ShellStatus.NOT_FOUND)
            return self.last_error
        self._guarded(lambda: self.interpreter.run_script(full, " ".join([f'"{path}"', *words])))
        return self.last_error

    def run_text(self, name: str, text: str, arguments: Iterable[str] = ()) -> ShellStatus:
        """Run a script that is on no drive: standard input, or a host file."""
        words = list(arguments)
        watching = self._tell_watchers(name, text, words)
        try:
            self._guarded(lambda: self.interpreter.run_text(name, text, words))
        finally:
            for watcher in reversed(watching):
                watcher.ends(self)
        return self.last_error

    def _tell_watchers(self, line: str, script: str | None = None, arguments: Iterable[str] = ()) -> list[LineWatcher]:
        watching = list(self.watchers)
        for watcher in watching:
            watcher.begins(self, line, script, list(arguments))
        return watching

    def _guarded(self, run: Callable[[], object]) -> None:
        stdout, stderr = self.stdout, self.stderr
        self.was_interrupted = False
        try:
            run()
        except KeyboardInterrupt:
            self.was_interrupted = True
            self.stdout, self.stderr, self.stdin = stdout, stderr, None
            self.interpreter.set_last_error(ShellStatus.ABORTED)
            self.print(f"Command Error Status: {EfiStatus.EFI_ABORTED.phrase}\n")

    @property
    def last_error(self) -> ShellStatus:
        """``%lasterror%``; a program's own status outside the table counts as ABORTED."""
        value = self.interpreter.last_error
        try:
            return ShellStatus(value)
        except ValueError:
            return ShellStatus.ABORTED

    @property
    def last_error_code(self) -> int:
        """``%lasterror%`` as a number."""
        return self.interpreter.last_error

    def now(self) -> int:
        """The date of the machine's real-time clock, in seconds since 1970."""
        return real_time_clock(self).unix_seconds(self.clock.now_ns)

    @property
    def exiting(self) -> bool:
        """Whether ``exit`` asked to leave the shell."""
        return self.interpreter.exit_requested

    def prompt(self) -> str:
        """The prompt."""
        return self.interpreter.prompt()

    def complete(self, text: str, cursor: int) -> list[Completion]:
        """What could stand at the cursor of a half-typed line."""
        from tdvfsh.shell.command.completion import complete

        return complete(self, text, cursor)

    def checkpoint(self) -> None:
        """Raise KeyboardInterrupt where the user asked to stop."""
        if self.interrupted is not None and self.interrupted():
            raise KeyboardInterrupt

    def print(self, text: str) -> None:
        """Print to standard output as ShellPrintEx does; CR LF, as variables and files hold it, is one end of line."""
        text = without_marks(text, console=self.on_console)
        self.stdout.write(text.replace("\r\n", "\n") if "\r" in text else text)

    def columns(self) -> int:
        """Columns that output has: the screen's, from 40 on; 80 in a file, a pipe or a variable."""
        return max(40, self.screen_columns()) if self.screen_columns is not None and self.on_console else 80

    @property
    def on_console(self) -> bool:
        """Whether standard output is the console: no file, pipe or variable took its place."""
        return not isinstance(self.stdout, RedirectedSink)

    def begin_line(self, text: str) -> None:
        """See :class:`~tdvfsh.script.host.ScriptHost`: the moment before it is kept for ``undo``."""
        self.history.begin(self, text)

    def end_line(self) -> None:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        self.history.end(self)

    # --- commands ----------------------------------------------------------------------------------------------

    def is_command(self, name: str) -> bool:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return registry.is_command(name)

    def takes_operators(self, name: str) -> bool:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return name.lower() in registry.TAKE_OPERATORS

    def run_command(self, name: str, words: list[str]) -> tuple[int, bool]:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        command = registry.find(name)
        assert command is not None
        self.history.before_command(command.name)
        stdout = self.stdout
        for folder in self._folders():
            folder.refused = None
        if "-b" in words and stdout is self.screen:
            self.stdout = PagingSink(stdout, self.screen_rows(), self.ask)
        try:
            with for_screen(None if self.screen_columns is None or not self.on_console else self.columns()):
                status = command.run(self, words[1:])
            if status:
                self._tell_of_links()
            return status, command.counts
        except PageBreak:
            return ShellStatus.ABORTED, command.counts
        except TdvfshError as error:
            self.print(f"{command.name}: {error}\n")
            self._tell_of_links()
            return status_of_error(error), command.counts
        finally:
            self.stdout = stdout

    def _folders(self) -> list[HostFolder]:
        return [drive.filesystem for drive in self.drives.drives if isinstance(drive.filesystem, HostFolder)]

    def _tell_of_links(self) -> None:
        """Firmware's words for a missing file do not tell of a link that this shell will not follow."""
        for drive in self.drives.drives:
            refused = drive.filesystem.refused if isinstance(drive.filesystem, HostFolder) else None
            if refused is not None:
                self.stderr.write(f"{drive.name}\\{refused} is a link that leads out of {drive.name}; not followed\n")

    def unknown_name(self, name: str) -> None:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        self.suggest(name, [*registry.names(), *(alias for alias, _, _ in self.aliases.items())])

    def suggest(self, name: str, known: Iterable[str]) -> None:
        """Ask whether one of the known names was meant, at a prompt on a terminal only."""
        if self.screen is not None and self.interpreter.program is None and self.on_console:
            from tdvfsh.shell.command.suggest import did_you_mean

            hint = did_you_mean(name, known)
            if hint:
                self.stderr.write(f"{hint[0].upper()}{hint[1:]}\n")

    def start_image(self, path: str, command_line: str) -> tuple[EfiStatus, int]:
        """Load and start an EFI program, with the machine's own starter where one is set."""
        self.history.before_command("")
        if self.image_starter is not None:
            return self.image_starter(path, command_line)
        return EfiStatus.EFI_UNSUPPORTED, ShellStatus.UNSUPPORTED

    # --- variables ---------------------------------------------------------------------------------------------

    def variables(self) -> Iterable[tuple[str, str]]:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return list(self.environment.items())

    def get_variable(self, name: str) -> str | None:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return self.environment.get(name)

    def set_internal_variable(self, name: str, value: str) -> None:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        self.environment.set_internal(name, value)

    def is_volatile(self, name: str) -> bool | None:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return self.environment.is_volatile(name)

    def alias_of(self, name: str) -> str | None:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return self.aliases.get(name)

    def has_profile(self, name: str) -> bool:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return bool(name) and f";{name};" in (self.environment.get("profiles") or "")

    # --- drives ------------------------------------------------------------------------------------------------

    def mount(self, filesystem: FileSystem, *, port: int | None = None, partition: HardDrive | None = None) -> Drive:
        """Mount a file system as the next ``FSn:``; the first one becomes current and makes the path."""
        drive = self.drives.mount(filesystem, port=port, partition=partition)
        if isinstance(filesystem, HostFolder):
            filesystem.marks.now = self.now
        self.environment.set_internal("path", self.default_path(), volatile=False)
        if self.current is None:
            self.environment.set_internal("homefilesystem", drive.name)
            self.change_drive(drive.name)
        return drive

    # --- redirection -------------------------------------------------------------------------------------------

    def open_output(self, target: Target) -> TextSink:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return open_output(self, target)

    def open_input(self, target: Target) -> TextSource:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return open_input(self, target)
