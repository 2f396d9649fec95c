"""The shell's proposals as prompt_toolkit wants them, and what stands on the screen besides."""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from tdvfsh.shell.command.completion import add_provider
from tdvfsh.shell.shell import Shell
from tdvfsh.ui.screen_words import ScreenWords


class ShellCompleter(Completer):
    """Completer of a half-typed line.

    Args:
        shell: Knows commands, options, files, names.
        screen: Numbers that were printed; offered where the shell knows nothing better for a word that begins as one.
    """

    def __init__(self, shell: Shell, screen: ScreenWords) -> None:
        self._shell = shell
        self._screen = screen
        add_provider("address", lambda shell: screen.addresses())
        add_provider("size", lambda shell: [*screen.sizes(), *screen.addresses()])

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """See prompt_toolkit."""
        text = document.text_before_cursor
        try:
            proposals = self._shell.complete(text, len(text))
        except Exception:  # a disk that fails, or a fault of ours: better no proposal than no line
            return
        for text_, start, meta in proposals:
            shown = text_.rstrip('"').rstrip("\\").rpartition("\\")[2] if meta in ("file", "directory") else text_
            slash = "\\" if meta == "directory" else ""
            yield Completion(
                text_, start_position=start - len(text), display=f"{shown.lstrip(chr(34))}{slash}", display_meta=meta
            )
        if not proposals:
            word = text.rpartition(" ")[2]
            if word and len(word) < len(text):
                for spelled, meta in self._screen.matching(word):
                    yield Completion(spelled, start_position=-len(word), display_meta=meta)
