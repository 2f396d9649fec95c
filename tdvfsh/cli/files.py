"""The files that a subcommand's arguments name, opened, with progress on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tdvfsh.boots.open_files import OpenedFiles, open_boot_files
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.progress import Tell, unpack_progress


@contextmanager
def named_files(arguments: Arguments) -> Iterator[tuple[Tell, OpenedFiles]]:
    """``KERNEL``, ``--initrd`` and ``--cmdline`` while the block runs, and the progress they were read with.

    Raises:
        HostError, FormatError: A file cannot be read.
    """
    with (
        unpack_progress() as progress,
        open_boot_files(
            arguments.text("kernel"),
            arguments.words("initrd"),
            arguments.text("cmdline"),
            progress,
            limits=arguments.unpack_limits(),
        ) as opened,
    ):
        yield progress, opened
