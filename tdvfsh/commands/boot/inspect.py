"""``inspect``: what a file is."""

from __future__ import annotations

from tdvfsh.errors import FormatError
from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Flag

if TYPE_CHECKING:
    from tdvfsh.shell.drives.search import Found
    from tdvfsh.shell.shell import Shell


@command("inspect", profile="td")
def inspect(shell: Shell, file: FilePath, *, sfo: Flag = False) -> ShellStatus:
    """Tell what a file is: kernel, EFI image, unified kernel image, initrd or firmware.

    SYNOPSIS:
        inspect [-b] [-sfo] file

    OPTIONS:
        -b: Stop after each screen.
        -sfo: Print Standard-Format Output.
        file: A file or pattern.

    DESCRIPTION:
        Sizes come from the file itself; an initrd is unpacked to be measured, which is never stored.

        Rows of -sfo are FileFact with the fact's name, as in pe.size_of_image or initrd.segments.0.format, and its
        value; numbers are decimal.

    EXAMPLES:
        inspect vmlinuz
        inspect fs1:\\*.img

    RETURNVALUES:
        SUCCESS: Shown.
        NOT_FOUND: There is no such file.
        UNSUPPORTED: It is of no known format, or damaged.
    """
    found = [item for item in shell.find_files(file) if not item.info.is_directory]
    if not found:
        shell.print(f"inspect: File not found - '{file}'\n")
        return ShellStatus.NOT_FOUND
    status = ShellStatus.SUCCESS
    for number, item in enumerate(found):
        shell.checkpoint()
        try:
            lines = _lines(shell, item, sfo=sfo)
        except FormatError as error:
            shell.print(f"inspect: {error}\n")
            status = ShellStatus.UNSUPPORTED
            continue
        shell.print(("\n" if number and not sfo else "") + "\n".join(lines) + "\n")
    return status


def _lines(shell: Shell, item: Found, *, sfo: bool) -> list[str]:
    from tdvfsh.formats.inspect import inspect_source
    from tdvfsh.report.inspect_text import inspect_lines
    from tdvfsh.report.sfo import sfo_header, sfo_row
    from tdvfsh.shell.images_on_drives import file_source

    facts = inspect_source(file_source(shell, item), lambda done, total: shell.checkpoint())
    if not sfo:
        return inspect_lines(facts)
    return [sfo_header("inspect"), *(sfo_row("FileFact", name, value) for name, value in _flat("", facts))]


def _flat(prefix: str, value: object) -> list[tuple[str, str]]:
    """Nested facts as names with dots."""
    if isinstance(value, dict):
        parts = [(str(name), inner) for name, inner in value.items()]
    elif isinstance(value, (list, tuple)):
        parts = [(str(index), inner) for index, inner in enumerate(value)]
    else:
        return [(prefix, "" if value is None else str(value).lower() if isinstance(value, bool) else str(value))]
    return [
        row
        for name, inner in parts
        if name != "data_directories"
        for row in _flat(f"{prefix}.{name}" if prefix else name, inner)
    ]
