"""The marks for colours that ShellPrintEx takes out of a text: ``%N %E %H %B %V``.

Firmware looks for them in the finished text, so it finds those in arguments and file names too.

Source: edk2 ShellPkg/Library/UefiShellLib/UefiShellLib.c (InternalShellPrintWorker), Debian 2025.02.
"""

from __future__ import annotations

from tdvfsh.lazy_pattern import pattern

_MARKS = pattern(r"\^%|%[NEHBV]")
_BACK = "\b"


def without_marks(text: str, *, console: bool) -> str:
    """The text as ShellPrintEx prints it.

    Quirk of edk2: of ``^%`` both characters are printed, with one step back between them that only a console takes.

    Args:
        text: What a command prints at once.
        console: Whether it goes to the console, and not into a file, a pipe or a variable.
    """
    if "%" not in text:
        return text
    return _MARKS.sub(lambda match: "" if match[0] != "^%" else f"^{_BACK}%" if console else "^%", text)
