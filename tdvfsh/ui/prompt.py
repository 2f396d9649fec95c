"""The prompt: prompt_toolkit, set up for the shell."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.output import ColorDepth, Output, create_output
from prompt_toolkit.styles import Style

from tdvfsh.shell.shell import Shell
from tdvfsh.ui.completer import ShellCompleter
from tdvfsh.ui.highlight import highlight
from tdvfsh.ui.history_file import HistoryFile

STYLE = Style.from_dict(
    {
        "prompt": "ansiyellow bold",
        "command": "bold",
        "drive": "ansiyellow",
        "string": "ansigreen",
        "variable": "ansicyan",
        "comment": "ansibrightblack",
        "option": "ansiblue",
        "operator": "ansimagenta",
        "escape": "ansibrightblack",
        "number": "ansimagenta",
        "bottom-toolbar": "noreverse bg:ansiblack fg:ansiwhite",
        "toolbar.error": "fg:ansibrightred bold",
        "bar.used": "fg:ansiblue",
        "bar.free": "fg:ansigreen",
        "bar.unaccepted": "fg:ansibrightblack",
    }
)
ESCAPE_SECONDS = 0.3  # how long Esc waits for a second key; prompt_toolkit's own second feels dead


class SharedHistory(History):
    """The history file; every prompt begins with what other shells have added.

    Args:
        file: The file.
    """

    def __init__(self, file: HistoryFile) -> None:
        super().__init__()
        self._file = file

    async def load(self) -> AsyncGenerator[str, None]:
        self._file.refresh()
        for line in reversed(self._file.entries):
            yield line

    def get_strings(self) -> list[str]:
        return self._file.entries

    def append_string(self, string: str) -> None:
        self._file.append(string)

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._file.entries)

    def store_string(self, string: str) -> None:
        self._file.append(string)


class ShellLexer(Lexer):
    """Lexer that colours a half-typed line.

    Args:
        shell: Knows what is a command and what is a drive.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        return lambda number: [*highlight(self._shell, document.lines[number])]


class PromptReader:
    """Lines and keys from a terminal with cursor control; see :class:`~tdvfsh.ui.line_reader.LineReader`.

    Args:
        shell: The shell, for completion and colours.
        completer: Completion.
        history: Typed lines.
        keys: Further keys.
        toolbar: The toolbar for a number of columns.
        colours: False shows no colour.
        input: Instead of the terminal.
        output: Instead of the terminal.
    """

    def __init__(
        self,
        shell: Shell,
        completer: ShellCompleter,
        history: HistoryFile,
        keys: KeyBindings,
        toolbar: Callable[[int], StyleAndTextTuples],
        *,
        colours: bool,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self._input = input if input is not None else create_input(always_prefer_tty=True)
        terminal = output if output is not None else create_output(always_prefer_tty=True)
        self._session: PromptSession[str] = PromptSession(
            history=SharedHistory(history),
            completer=completer,
            complete_while_typing=False,
            auto_suggest=AutoSuggestFromHistory(),
            enable_history_search=True,
            search_ignore_case=True,
            lexer=ShellLexer(shell),
            key_bindings=keys,
            bottom_toolbar=lambda: toolbar(terminal.get_size().columns),
            style=STYLE,
            include_default_pygments_style=False,
            color_depth=None if colours else ColorDepth.DEPTH_1_BIT,
            enable_suspend=True,
            input=self._input,
            output=terminal,
        )
        self._session.app.timeoutlen = ESCAPE_SECONDS
        self._keys: deque[KeyPress] = deque()

    def read_line(self, prompt: str, default: str = "") -> str:
        """See :class:`~tdvfsh.ui.line_reader.LineReader`."""
        store_typeahead(self._input, list(self._keys))
        self._keys.clear()
        return self._session.prompt([("class:prompt", prompt)], default=default)

    def read_key(self) -> str:
        """See :class:`~tdvfsh.ui.line_reader.LineReader`; keys typed ahead come first."""
        self._keys.extend(get_typeahead(self._input))
        with self._input.raw_mode():
            while not self._keys and not self._input.closed:
                select.select([self._input.fileno()], [], [])
                self._keys.extend(self._input.read_keys())
        while self._keys:
            key = self._keys.popleft()
            if key.key is Keys.ControlC:
                raise KeyboardInterrupt
            if key.key is not Keys.CPRResponse:
                return key.data if not isinstance(key.key, Keys) else KEY_NAMES.get(key.key, key.key.value)
        return ""


KEY_NAMES = {Keys.ControlM: "\r", Keys.ControlJ: "\r"}
