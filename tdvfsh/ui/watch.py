"""The live view: map and accept counters above, what commands print in the middle, the prompt below.

A command runs in the key's own handler; what it prints, and every checkpoint that it passes, may draw the screen anew.
While it runs the terminal turns Ctrl-C into a signal again, so that it stops as at the plain prompt.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prompt_toolkit.application import Application
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import completion_is_selected, has_completions
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent
from prompt_toolkit.key_binding.bindings.auto_suggest import load_auto_suggest_bindings
from prompt_toolkit.key_binding.key_bindings import merge_key_bindings
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import (
    BufferControl,
    CompletionsMenu,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.layout.processors import AppendAutoSuggestion, BeforeInput
from prompt_toolkit.output import ColorDepth, Output, create_output
from prompt_toolkit.styles import Style, merge_styles

from tdvfsh.lazy_typing import Final
from tdvfsh.shell.machine_binding import running_machine
from tdvfsh.shell.shell import Shell
from tdvfsh.ui.completer import ShellCompleter
from tdvfsh.ui.history_file import HistoryFile
from tdvfsh.ui.keys import complete
from tdvfsh.ui.live_panel import BAR, CALLS, MODES, PLOT, TYPES, panel_lines
from tdvfsh.ui.pane import PaneStream
from tdvfsh.ui.prompt import ESCAPE_SECONDS, KEY_NAMES, STYLE, SharedHistory, ShellLexer
from tdvfsh.ui.toolbar import Fragment

_STYLE: Final = merge_styles(
    [
        STYLE,
        Style.from_dict(
            {
                "map.free": "ansigreen", "map.unaccepted": "ansibrightblack", "map.loader": "ansibrightblue",
                "map.boot": "ansiyellow", "map.runtime": "ansimagenta", "map.acpi": "ansicyan",
                "map.note": "ansibrightblack", "line": "ansibrightblack", "keys": "reverse",
            }
        ),
    ]
)  # fmt: skip
_LEAST_BELOW: Final = 6  # lines that output, prompt and keys keep at least
_REDRAW_SECONDS: Final = 0.05
_NEXT: Final = {PLOT: "types", TYPES: "calls", CALLS: "bar", BAR: "map"}
KEYS_HELP: Final = (
    "F1 these keys; F2 map, types, calls or bar; F3 and F4 less and more of it;\n"
    "F7 history; F10 or Ctrl-D back to the plain prompt; PageUp, PageDown scroll;\n"
    "Tab completes; Ctrl-C drops the line or stops a command; Ctrl-L redraws.\n"
)


class LiveView:
    """The live view of one shell; see :meth:`run`.

    Args:
        shell: The shell; what its sinks print must reach ``pane`` while the view runs.
        execute: Runs a line, whatever happens in it.
        history: Typed lines.
        completer: Completion.
        terminal: File descriptor of the terminal.
        colours: False shows no colour.
        blocks: Whether block characters can be shown.
        input: Keys, instead of the terminal's.
        output: Instead of the terminal.

    Attributes:
        pane: Where output goes.
    """

    def __init__(
        self,
        shell: Shell,
        execute: Callable[[str], None],
        history: HistoryFile,
        completer: ShellCompleter,
        terminal: int,
        *,
        colours: bool,
        blocks: bool,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self.pane = PaneStream(terminal, self.tick)
        self._shell = shell
        self._execute = execute
        self._history = history
        self._blocks = blocks
        self._mode = PLOT
        self._share = 50  # of the window, in per cent, for the upper part
        self._drawn_at = 0.0
        self._busy = False
        self._typed: deque[KeyPress] = deque()
        self._waiting: deque[str] = deque()
        self._input = input if input is not None else create_input(always_prefer_tty=True)
        self._buffer = Buffer(
            name="DEFAULT_BUFFER",
            history=SharedHistory(history),
            completer=completer,
            auto_suggest=AutoSuggestFromHistory(),
            enable_history_search=True,
            multiline=False,
            accept_handler=self._accept,
        )
        self._app: Application[None] = Application(
            layout=Layout(self._container(), focused_element=self._buffer),
            key_bindings=merge_key_bindings([load_auto_suggest_bindings(), self._keys()]),
            style=_STYLE,
            include_default_pygments_style=False,
            color_depth=None if colours else ColorDepth.DEPTH_1_BIT,
            full_screen=True,
            input=self._input,
            output=output if output is not None else create_output(always_prefer_tty=True),
        )
        self._app.timeoutlen = ESCAPE_SECONDS

    def run(self) -> None:
        """Run until the user leaves; then the screen is restored."""
        self._app.run(handle_sigint=False)

    def tick(self) -> None:
        """Draw anew where a command runs and the last time is a while ago."""
        now = time.monotonic()
        if self._busy and self._app.is_running and now - self._drawn_at >= _REDRAW_SECONDS:
            self._drawn_at = now
            self._draw()

    def read_key(self) -> str:
        """One key for a command that asks."""
        self._draw()
        while not self._typed and not self._input.closed:
            select.select([self._input.fileno()], [], [])
            self._typed.extend(self._input.read_keys())
        if not self._typed:
            return ""
        key = self._typed.popleft()
        return key.data if not isinstance(key.key, Keys) else KEY_NAMES.get(key.key, key.key.value)

    def read_line(self, prompt: str, default: str = "") -> str:
        """Never asked for: lines come from the view's own prompt."""
        raise EOFError

    @property
    def pane_rows(self) -> int:
        """Lines of the middle part."""
        return max(1, self._rows - self._panel_height() - 3)

    # --- drawing -----------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        """Now, from inside a key's handler; the application itself draws when the handler is done."""
        self._app.render_counter += 1  # what the windows show is asked for once each time it rises
        self._app.renderer.render(self._app, self._app.layout)

    @property
    def _rows(self) -> int:
        return self._app.output.get_size().rows

    def _panel_height(self) -> int:
        most = max(0, self._rows - _LEAST_BELOW)
        return min(most, 2 if self._mode == BAR else max(2, self._rows * self._share // 100))

    def _container(self) -> FloatContainer:
        def window(content: Callable[[], StyleAndTextTuples | ANSI], height: Callable[[], int] | int) -> Window:
            return Window(FormattedTextControl(content, focusable=False), height=height, wrap_lines=False)

        prompt = BufferControl(
            self._buffer,
            lexer=ShellLexer(self._shell),
            input_processors=[
                BeforeInput(lambda: [("class:prompt", self._shell.prompt())]),
                AppendAutoSuggestion(),
            ],
        )
        body = HSplit(
            [
                window(self._panel, self._panel_height),
                Window(char="─" if self._blocks else "-", height=1, style="class:line"),
                window(lambda: ANSI(self.pane.shown(self.pane_rows)), lambda: self.pane_rows),
                Window(prompt, height=1),
                Window(FormattedTextControl(self._key_line), height=1, style="class:keys"),
            ]
        )
        return FloatContainer(body, [Float(CompletionsMenu(max_height=8), xcursor=True, ycursor=True)])

    def _panel(self) -> StyleAndTextTuples:
        width = self._app.output.get_size().columns
        machine, error = running_machine(self._shell), self._shell.last_error_code
        lines = panel_lines(machine, error, width, self._panel_height(), self._mode, blocks=self._blocks)
        joined: list[Fragment] = []
        for line in lines:
            joined += [*line, ("", "\n")]
        return [*joined[:-1]]

    def _key_line(self) -> StyleAndTextTuples:
        running = " running, Ctrl-C stops it |" if self._busy else ""
        return [("", f"{running} F1 keys | F2 {_NEXT[self._mode]} | F3 F4 size | F7 history | F10 leave")]

    # --- keys --------------------------------------------------------------------------------------------------

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        def bind(name: str, action: Callable[[], None]) -> None:
            keys.add(name)(lambda event: action())

        bind("f1", lambda: self._say(KEYS_HELP))
        bind("f2", self._next_mode)
        bind("f3", lambda: self._resize(-10))
        bind("f4", lambda: self._resize(10))
        bind("f7", lambda: self._say("".join(f"  {line}\n" for line in self._history.entries[-32:])))
        bind("f10", self._app_exit)
        bind("pageup", lambda: self.pane.scroll(self.pane_rows - 1, self.pane_rows))
        bind("pagedown", lambda: self.pane.scroll(1 - self.pane_rows, self.pane_rows))
        bind("c-c", self._buffer.reset)
        bind("c-l", lambda: self._app.renderer.clear())
        bind("tab", lambda: complete(self._buffer))
        keys.add("escape", filter=has_completions)(lambda event: self._buffer.cancel_completion())
        keys.add("escape", filter=~has_completions)(lambda event: self._buffer.reset())

        @keys.add("enter", filter=completion_is_selected)
        def _(event: KeyPressEvent) -> None:
            self._buffer.complete_state = None

        @keys.add("c-d")
        def _(event: KeyPressEvent) -> None:
            if self._buffer.text:
                self._buffer.delete()
            else:
                self._app_exit()

        @keys.add(Keys.BracketedPaste)
        def _(event: KeyPressEvent) -> None:
            first, *more = event.data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            self._buffer.insert_text(first)
            if more:
                self._waiting.extend(more[:-1])
                self._buffer.validate_and_handle()
                self._buffer.insert_text(more[-1])

        return keys

    def _app_exit(self) -> None:
        if self._app.is_running and not self._app.is_done:
            self._app.exit()

    def _next_mode(self) -> None:
        self._mode = MODES[(MODES.index(self._mode) + 1) % len(MODES)]

    def _resize(self, change: int) -> None:
        self._share = max(10, min(80, self._share + change))

    def _say(self, text: str) -> None:
        self.pane.write(text)

    # --- running -----------------------------------------------------------------------------------------------

    def _accept(self, buffer: Buffer) -> bool:
        """Run the line, and those that were pasted after it."""
        self._waiting.appendleft(buffer.text)
        while self._waiting and not self._shell.exiting:
            line = self._waiting.popleft()
            if line.lower().split() in (["watch"], ["watch", "off"]):
                self._app_exit()
                break
            self.pane.write(f"{self._shell.prompt()}{line}\n")
            self._run(line)
        if self._shell.exiting:
            self._app_exit()
        return False

    def _run(self, line: str) -> None:
        self._busy = True
        try:
            with _signals(self._input):
                self._execute(line)
        finally:
            self._busy = False


@contextmanager
def _signals(source: Input) -> Iterator[None]:
    """Let the terminal make a signal of Ctrl-C; everything else stays as the view has it."""
    try:
        import termios
    except ImportError:  # a host without it has no such signals, either
        yield
        return
    try:
        number = source.fileno()
        before = termios.tcgetattr(number)
    except (OSError, ValueError, NotImplementedError, termios.error):  # no terminal
        yield
        return
    termios.tcsetattr(number, termios.TCSANOW, [*before[:3], before[3] | termios.ISIG, *before[4:]])
    try:
        yield
    finally:
        termios.tcsetattr(number, termios.TCSANOW, before)
