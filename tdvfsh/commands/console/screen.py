"""``echo``, ``cls``, ``pause``."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.numbers import to_uintn
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Flag, Rest, Text

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


@command("echo", level=3, counts=False, numbers=True)
def echo(shell: Shell, *text: Rest, on: Flag = False, off: Flag = False) -> ShellStatus:
    """Print a message, or switch the printing of script lines on or off.

    SYNOPSIS:
        echo [-on|-off]
        echo [message]

    OPTIONS:
        -on: Print each line of a script before it runs.
        -off: Do not.
        message: Words to print, with one blank between them.

    DESCRIPTION:
        Without a message and without an option the state is shown. A message may not start a word with -, / or +
        unless a caret or a number makes it no option; quote words to keep their blanks.
        The status does not go into lasterror.

    EXAMPLES:
        Print a message:
        echo Hello World
        Print each line of a script before it runs:
        echo -on
        Stop doing so:
        echo -off
        Ask which of the two is set:
        echo

    RETURNVALUES:
        SUCCESS: The message was printed or the state set.
        INVALID_PARAMETER: There is no such option.
    """
    if on or off:
        shell.interpreter.echo = bool(on)
    elif text:
        shell.print((" ".join(text) or "<null string>") + "\n")
    else:
        shell.print(f"Echo is {'on' if shell.interpreter.echo else 'off'}.\n")
    return ShellStatus.SUCCESS


def _colour(word: str, most: int, width: int) -> int | None:
    value = to_uintn(word)
    return value if value <= most and len(word) <= width and word[:1].isdigit() else None


@command("cls", level=3)
def cls(
    shell: Shell, background: Text | None = None, foreground: Text | None = None, *, sfo: Flag = False
) -> ShellStatus:
    """Clear the screen and set its colours.

    SYNOPSIS:
        cls [background [foreground]] [-sfo]

    OPTIONS:
        -sfo: Print the colours in Standard-Format Output.
        background: 0 black, 1 blue, 2 green, 3 cyan, 4 red, 5 magenta, 6 brown, 7 light grey.
        foreground: 0 to 7 as above, 8 dark grey, 9 to 15 the bright colours.

    EXAMPLES:
        Clear the screen in its colours:
        cls
        Make the background cyan:
        cls 3
        White on black:
        cls 0 15

    RETURNVALUES:
        SUCCESS: Done.
        INVALID_PARAMETER: There is no such colour.
    """
    colours = shell.state.setdefault("colours", [0, 7])
    assert isinstance(colours, list)
    if sfo:
        if background is not None:
            shell.print("cls: Too many arguments\n")
            return ShellStatus.INVALID_PARAMETER
        attribute = colours[0] << 4 | colours[1]
        shell.print(f'ShellCommand,"cls"\nConOutAttribInfo,"{attribute}","{colours[1]}","{colours[0]}"\n')
        return ShellStatus.SUCCESS
    chosen: list[int | None] = [None, None]
    for index, (word, most, width) in enumerate(((background, 7, 1), (foreground, 15, 2))):
        if word is None:
            continue
        chosen[index] = _colour(word, most, width)
        if chosen[index] is None:
            shell.print(f"cls: Invalid argument - '{word}'\n")
            return ShellStatus.INVALID_PARAMETER
    if shell.on_console:  # redirected output has no colours to change
        colours[:] = [old if new is None else new for old, new in zip(colours, chosen, strict=True)]
        shell.clear_screen(chosen[0], chosen[1])
    return ShellStatus.SUCCESS


@command("pause", level=3)
def pause(shell: Shell, *, q: Flag = False) -> ShellStatus:
    """Wait for a key in a script.

    SYNOPSIS:
        pause [-q]

    OPTIONS:
        -q: Print no message.

    DESCRIPTION:
        q ends the script, any other key continues. Without a terminal there is no user to wait for, and the
        script continues at once.

    EXAMPLES:
        Wait in a script without a message:
        pause -q

    RETURNVALUES:
        SUCCESS: Continue.
        UNSUPPORTED: Not in a script.
        ABORTED: The user ended the script.
    """
    if shell.interpreter.program is None:
        shell.print("The command 'pause' is not allowed outside of a script\n")
        return ShellStatus.UNSUPPORTED
    prompt = "Enter 'q' to quit, any other key to continue:\n"
    if not q:
        shell.print(prompt)
    return ShellStatus.ABORTED if shell.ask(prompt)[:1].lower() == "q" else ShellStatus.SUCCESS
