"""``parse``: reading Standard-Format Output back.

Source: edk2 ShellPkg/Library/UefiShellLevel2CommandsLib/Parse.c.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.numbers import MAX_UINTN, to_uintn
from tdvfsh.script.program import decode_text
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Option, Rest, Text

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_HEADER = "ShellCommand,"


@command("parse", level=2)
def parse(
    shell: Shell,
    *words: Rest,
    i: Annotated[Text | None, Option("-i", optional_value=True)] = None,
    s: Annotated[Text | None, Option("-s", optional_value=True)] = None,
) -> ShellStatus:
    """Print a column of Standard-Format Output.

    SYNOPSIS:
        parse file table column [-i instance] [-s instance]
        command -sfo | parse table column [-i instance] [-s instance]
        parse table column [-i instance] [-s instance] < file

    OPTIONS:
        -i instance: Only this row of the table, counted from 1.
        -s instance: The output of this command in the file, counted from 1; the first without it.
        file: A file that holds the output of commands with -sfo.
        table: First word of the rows; capitals count.
        column: Column, counted from 1; the table's name is column 1.

    EXAMPLES:
        Keep a listing as data:
        ls -sfo >a temp.txt
        Read the volume's label:
        parse temp.txt VolumeInfo 2
        Read the size of the third file:
        parse temp.txt FileInfo 3 -i 3
        Read from a pipe:
        memmap -sfo | parse MemoryMapSummary 2

    RETURNVALUES:
        SUCCESS: Printed, or no row has that name.
        INVALID_PARAMETER: A row has no such column.
        NOT_FOUND: There is no such file.
    """
    piped = shell.stdin is not None and shell.stdin.readable and len(shell.stdin.text) > 0
    needed = 2 if piped else 3
    if len(words) != needed:
        shell.print(f"parse: Too {'few' if len(words) < needed else 'many'} arguments.\n")
        return ShellStatus.INVALID_PARAMETER
    text = _piped_text(shell) if piped else _file_text(shell, words[0])
    if text is None:
        return ShellStatus.NOT_FOUND
    table, column = words[-2], to_uintn(words[-1])
    rows = _rows(text, to_uintn(s) if s else 1)
    number = to_uintn(i) if i else MAX_UINTN
    instance = None if number == MAX_UINTN else number  # what is not a number means all, as firmware converts it
    status = ShellStatus.SUCCESS
    count = 0
    for row in rows:
        if not row.startswith(table):
            continue
        count += 1
        if instance is not None and instance != count:
            continue
        if not _print_column(shell, row, column):
            status = ShellStatus.INVALID_PARAMETER
    return status


def _piped_text(shell: Shell) -> str:
    assert shell.stdin is not None
    return shell.stdin.text


def _file_text(shell: Shell, path: str) -> str | None:
    if shell.is_directory(path):
        shell.print(f"parse: '{path}' is not a file.\n")
        return None
    data = shell.read_file(path)
    if data is None:
        shell.print(f"parse: Cannot open file - '{path}'\n")
        return None
    return decode_text(data)


def _rows(text: str, instance: int) -> list[str]:
    """Rows of the n-th command: from after its header to the next header or empty line."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    at = 0
    seen = 0
    while seen < instance:
        if at >= len(lines):
            return []
        seen += lines[at].startswith(_HEADER)
        at += 1
    rows: list[str] = []
    for line in lines[at:]:
        if not line or line.startswith(_HEADER):
            break
        rows.append(line)
    return rows


def _print_column(shell: Shell, row: str, column: int) -> bool:
    """Print one value; False where the row has one column too few.

    Quirks of edk2: column 0, and a row that lacks two columns or more, say nothing.
    """
    if column < 1:
        return True
    start = 0
    for at in range(2, column + 1):
        found = row.find(',"', start)
        if found < 0:
            if at < column:
                return True
            shell.print("parse: Missing argument for flag - 'Column Index'\n")
            return False
        start = found + 1
    value = row[start:]
    end = value.find(',"')
    value = (value if end < 0 else value[:end]).lstrip(" ").removeprefix('"').removesuffix('"')
    shell.print(value.replace('^"', '"').replace("^^", "^") + "\n")
    return True
