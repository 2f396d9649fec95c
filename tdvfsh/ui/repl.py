"""The interactive shell: read a line, run it, again.

prompt_toolkit is imported when the loop starts, and only for a terminal with cursor control.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tdvfsh import __version__
from tdvfsh.errors import HostError, TdvfshError
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, TextIO
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.shell.page_break import PROMPT as PAGE_BREAK
from tdvfsh.shell.shell import Shell
from tdvfsh.ui.exit_status import exit_status
from tdvfsh.ui.history_file import HistoryFile, default_history_path
from tdvfsh.ui.interrupts import Interrupts
from tdvfsh.ui.line_reader import LineReader, PlainReader
from tdvfsh.ui.output import TerminalSink, escape_controls
from tdvfsh.ui.pasting import PastedLines
from tdvfsh.ui.prompt_help import help_for
from tdvfsh.ui.screen_words import ScreenWords
from tdvfsh.ui.terminal import asked_columns, is_dumb, shows_blocks, shows_colours, size_of
from tdvfsh.ui.toolbar import Fragment, memory_shares, toolbar

if TYPE_CHECKING:
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

_SHOWN_HISTORY: Final = 32  # as many as firmware keeps


def run_repl(
    shell: Shell,
    *,
    history: Path | None = None,
    banner: bool = True,
    stdout: TextIO | None = None,
    input: Input | None = None,
    output: Output | None = None,
) -> int:
    """Run the shell with a user at a terminal, until ``exit`` or Ctrl-D.

    The shell's ``stdout``, ``stderr``, ``ask``, ``clear_screen`` and ``interrupted`` are set for the terminal.

    Args:
        shell: The shell.
        history: File of typed lines; :func:`~tdvfsh.ui.history_file.default_history_path` where None.
        banner: Whether to print versions and mapping table first.
        stdout: Where commands print; the process's own where None.
        input: Keys, instead of the terminal's.
        output: Screen for the prompt, instead of the terminal.

    Returns:
        The exit status: the code of ``exit``, else 0.

    Raises:
        HostError: The terminal takes no more output.
    """
    stream = sys.stdout if stdout is None else stdout
    sink = TerminalSink(stream, colours=shows_colours(stream))
    interrupts = Interrupts()
    loop = _Repl(shell, stream, sink, interrupts)
    try:
        kept = HistoryFile(_history_path(history, loop.warn), loop.warn)
        loop.history = kept
        dumb = output is None and is_dumb()
        reader = (
            PlainReader(sys.stdin, stream, kept, interrupts) if dumb else _prompt_reader(loop, stream, input, output)
        )
        loop.attach(reader, dumb=dumb)
        with interrupts.handled():
            if banner:
                loop.print_banner()
            return loop.run()
    except BrokenPipeError:
        return 0
    except OSError as error:
        raise HostError(f"terminal: {error.strerror or error}") from error


def _history_path(path: Path | None, warn: Callable[[str], None]) -> Path | None:
    try:
        return path if path is not None else default_history_path()
    except HostError as error:
        warn(str(error))
        return None


def _prompt_reader(loop: _Repl, stream: TextIO, input: Input | None, output: Output | None) -> LineReader:
    from tdvfsh.ui.completer import ShellCompleter
    from tdvfsh.ui.keys import key_bindings
    from tdvfsh.ui.prompt import PromptReader

    blocks = shows_blocks(stream)
    return PromptReader(
        loop.shell,
        ShellCompleter(loop.shell, loop.screen),
        loop.history,
        key_bindings(loop.pasted, loop.show_help, loop.show_history),
        lambda columns: [*loop.toolbar(min(columns, asked_columns() or columns), blocks=blocks)],
        colours=shows_colours(stream),
        input=input,
        output=output,
    )


class _Repl:
    def __init__(self, shell: Shell, stream: TextIO, sink: TerminalSink, interrupts: Interrupts) -> None:
        self.shell = shell
        self.pasted = PastedLines()
        self.screen = ScreenWords()
        self._stream = stream
        self._sink = sink
        self._interrupts = interrupts
        self._hint = ""
        self._made_machine = False
        self._wants_live_view = False
        self._reader: LineReader
        self.history: HistoryFile

    def attach(self, reader: LineReader, *, dumb: bool) -> None:
        """Connect the shell with sink and reader."""
        shell, sink = self.shell, self._sink
        self._reader = reader
        shell.stdout = shell.stderr = shell.screen = sink
        shell.screen_rows = lambda: size_of(self._stream).lines
        shell.screen_columns = lambda: size_of(self._stream).columns
        shell.ask = self._ask
        shell.interrupted = self._interrupts.take
        if not dumb:
            shell.clear_screen = sink.clear
            shell.live_view = self._ask_for_live_view
            self._hint = "Tab completes; F1 help; F7 history; "
        sink.before_write = shell.checkpoint
        sink.seen = self.screen.see

    def warn(self, text: str) -> None:
        """One line about what does not work but does not stop the shell."""
        print(f"tdvfsh: {escape_controls(text)}", file=sys.stderr)

    def print_banner(self) -> None:
        """Banner: name and version, language level, drives."""
        firmware = self.shell.firmware
        self._sink.write(
            f"tdvfsh {__version__}, a UEFI Interactive Shell v{firmware.shell} over a virtual trust domain\n"
            f"UEFI v{firmware.uefi} ({firmware.vendor}, 0x{firmware.revision:08X})\n"
        )
        if self.shell.drives.drives:
            self.shell.interpreter.run_line("map")  # not a line that the user typed: not to be undone or recorded
        self._sink.write(f"{self._hint}Ctrl-C stops a command; Ctrl-D leaves.\n")

    def run(self) -> int:
        """Lines until the end."""
        while True:
            try:
                line = self._next_line()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return 0
            self._run(line)
            if self._wants_live_view:
                self._wants_live_view = False
                self._watch()
            if self.shell.exiting:
                return exit_status(self.shell)

    def _next_line(self) -> str:
        if self._sink.column:
            self._sink.write("\n")
        self._sink.flush()
        line = self.pasted.next()
        if line is None:
            return self._reader.read_line(self.shell.prompt(), self.pasted.take_tail())
        self._sink.write(f"{self.shell.prompt()}{line}\n")
        self.history.append(line)
        return line

    def _run(self, line: str) -> None:
        self._sink.column = 0
        try:
            with self._interrupts.running():
                self.shell.run_line(line)
        except KeyboardInterrupt:  # came just after the command's end: there is nothing left to stop
            pass
        except TdvfshError as error:
            self._fail(str(error))
        except OSError:  # the terminal is gone
            raise
        except Exception as error:  # a fault of ours must not take the session with it
            self._fail(f"internal error: {type(error).__name__}: {error}")
        if self._interrupts.stopped and (dropped := self.pasted.drop()):
            self._sink.write(f"The rest of the paste, {dropped} lines, is dropped.\n")

    def _fail(self, why: str) -> None:
        self.shell.interpreter.set_last_error(ShellStatus.ABORTED)
        self._sink.write(f"tdvfsh: {why}\n")

    def _ask(self, prompt: str) -> str:
        paging = prompt == PAGE_BREAK
        if paging:
            self._sink.write(prompt)
        self._sink.flush()
        with self._interrupts.waiting():
            key = self._reader.read_key()
            while paging and key not in ("\r", "q", "Q", ""):
                key = self._reader.read_key()
        if paging:
            self._sink.write("\n")
            return key or "q"
        if len(key) == 1 and key.isprintable() and not prompt.endswith("\n"):
            self._sink.write(key)
        return key

    def _ask_for_live_view(self) -> None:
        """Run it after the line that requests it: its own lines are not part of that line."""
        self._wants_live_view = True

    def _watch(self) -> None:
        """Run the live view until the user leaves it; the plain prompt continues whatever happens in it."""
        from tdvfsh.ui.completer import ShellCompleter
        from tdvfsh.ui.watch import LiveView

        shell, stream, reader = self.shell, self._stream, self._reader
        self._make_machine()
        try:
            view = LiveView(
                shell,
                self._run,
                self.history,
                ShellCompleter(shell, self.screen),
                stream.fileno(),
                colours=shows_colours(stream),
                blocks=shows_blocks(stream),
            )
            rows, interrupted, live_view = shell.screen_rows, shell.interrupted, shell.live_view
            shell.screen_rows, shell.live_view, self._reader = lambda: view.pane_rows, None, view

            def take() -> bool:
                view.tick()
                return self._interrupts.take()

            shell.interrupted = take
            try:
                with self._sink.diverted(view.pane):
                    view.run()
            finally:
                shell.screen_rows, shell.interrupted, shell.live_view = rows, interrupted, live_view
                self._reader = reader
        except (OSError, TdvfshError):
            raise
        except Exception as error:  # a fault of ours: back to the plain prompt
            self._fail(f"watch: internal error: {type(error).__name__}: {error}")
        self._sink.column = 0

    def show_help(self, line: str, cursor: int) -> None:
        """F1."""
        self._sink.write(help_for(self.shell, line, cursor))
        self._sink.flush()

    def show_history(self) -> None:
        """F7."""
        entries = self.history.entries
        for number, line in list(enumerate(entries, start=1))[-_SHOWN_HISTORY:]:
            self._sink.write(f"{number:5}. {line}\n")
        self._sink.flush()

    def toolbar(self, columns: int, *, blocks: bool) -> list[Fragment]:
        """The line below the prompt; the machine is made for it, once, where no command needed it before."""
        self._make_machine()
        shell = self.shell
        shares = memory_shares(shell.machine)
        return toolbar(shares, shell.clock.now_ns, shell.last_error_code, columns, blocks=blocks)

    def _make_machine(self) -> None:
        if self.shell.machine is None and not self._made_machine:
            self._made_machine = True
            with suppress(TdvfshError):  # the first command that needs it will say why
                machine_of(self.shell)
