"""What the commands that boot files have in common: which files, and how they refuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.types import Kind, Option
from tdvfsh.shell.host_files import files_of_boot
from tdvfsh.shell.machine_binding import status_of_error

if TYPE_CHECKING:
    from tdvfsh.boots.open_files import OpenedFiles
    from tdvfsh.errors import TdvfshError
    from tdvfsh.shell.shell import Shell

KernelName = Annotated[str, Kind("kernel_image", lambda word: word)]
"""A file of a drive, or an image's name."""
InitrdName = Annotated[str, Kind("initrd_image", lambda word: word)]
Initrds = Annotated[tuple[str, ...], Kind("initrd_image", lambda word: word), Option("-initrd", repeats=True)]


@contextmanager
def opened_files(shell: Shell, kernel: str, initrds: Sequence[str], cmdline: str) -> Iterator[OpenedFiles]:
    """Files of the shell's drives, or images by their names, opened for a boot while the block runs.

    Raises:
        UsageError, HostError, FormatError: A file that cannot be read, or does not lie on the host.
    """
    from tdvfsh.boots.open_files import open_boot_files

    files = files_of_boot(shell, kernel, initrds)
    paths = [file.path for file in files]
    with open_boot_files(paths[0], paths[1:], cmdline, names=[file.shown for file in files]) as opened:
        yield opened


def print_json(shell: Shell, value: object) -> None:
    """One JSON value, as the command line prints it."""
    import json

    shell.print(f"{json.dumps(value, indent=2)}\n")


def refuse(shell: Shell, name: str, error: TdvfshError) -> ShellStatus:
    """Say why ``name`` cannot be done; the status that goes with it."""
    shell.print(f"{name}: {error}\n")
    return status_of_error(error)
