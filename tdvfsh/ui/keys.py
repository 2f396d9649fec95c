"""Keys at the prompt beyond the usual ones of line editing.

Source: edk2 ShellPkg/Application/Shell/FileHandleWrappers.c (Esc, Insert, F7); F1, menu and paste are our own.
"""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, get_common_complete_suffix
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, completion_is_selected, has_completions, has_focus, is_searching
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from tdvfsh.ui.pasting import PastedLines


def key_bindings(
    pasted: PastedLines, show_help: Callable[[str, int], None], show_history: Callable[[], None]
) -> KeyBindings:
    """The key bindings of the prompt.

    Args:
        pasted: Takes all but the first line of a paste.
        show_help: Prints help for a line and the cursor's offset in it.
        show_history: Prints the history.
    """
    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER) & ~is_searching
    overwriting = False

    @keys.add("tab", filter=typing)
    def _(event: KeyPressEvent) -> None:
        complete(event.current_buffer)

    @keys.add("f1", filter=typing)
    def _(event: KeyPressEvent) -> None:
        line, cursor = event.current_buffer.text, event.current_buffer.cursor_position
        run_in_terminal(lambda: show_help(line, cursor))

    @keys.add("f7", filter=typing)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.reset()
        run_in_terminal(show_history)

    @keys.add("escape", filter=typing & has_completions)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.cancel_completion()

    @keys.add("escape", filter=typing & ~has_completions)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.reset()

    @keys.add("enter", filter=typing & completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @keys.add("insert", filter=typing)
    def _(event: KeyPressEvent) -> None:
        nonlocal overwriting
        overwriting = not overwriting

    @keys.add(Keys.Any, filter=typing & Condition(lambda: overwriting))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(event.data, overwrite=True)

    @keys.add(Keys.BracketedPaste, filter=typing)
    def _(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        buffer = event.current_buffer
        if "\n" not in text:
            buffer.insert_text(text)
            return
        document = buffer.document
        buffer.text = pasted.put(text, document.text_before_cursor, document.text_after_cursor)
        buffer.cursor_position = len(buffer.text)
        buffer.validate_and_handle()

    return keys


def complete(buffer: Buffer) -> None:
    """Tab: what all proposals have in common goes in at once, also for keys typed ahead; a menu shows the rest."""
    if buffer.complete_state is not None:
        buffer.complete_next()
        return
    document = buffer.document
    found = list(buffer.completer.get_completions(document, CompleteEvent(completion_requested=True)))
    if len(found) == 1:
        buffer.apply_completion(found[0])
        return
    buffer.insert_text(get_common_complete_suffix(document, found))
    buffer.start_completion()
