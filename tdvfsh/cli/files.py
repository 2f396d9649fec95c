"""The files that a subcommand's arguments name: a path or an image's name, fetched where it is not there, opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tdvfsh.boots.open_files import OpenedFiles, open_boot_files
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.progress import Progress, unpack_progress
from tdvfsh.formats.compression import UnpackLimits
from tdvfsh.images.named import INITRD, KERNEL
from tdvfsh.lazy_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tdvfsh.images.catalogue import CatalogueEntry
    from tdvfsh.images.named import Fetch, NamedFile


@contextmanager
def named_files(arguments: Arguments, *, own_initrd: bool = True) -> Iterator[tuple[Progress, OpenedFiles]]:
    """``KERNEL``, ``--initrd`` and ``--cmdline`` while the block runs, and the progress they were read with.

    Args:
        arguments: The command line.
        own_initrd: Whether an image that has an initrd stands for it, too.

    Raises:
        TdvfshError: A file cannot be found, fetched or read.
    """
    with opened_files(
        arguments.text("kernel"),
        arguments.words("initrd"),
        arguments.text("cmdline"),
        arguments.unpack_limits(),
        own_initrd=own_initrd,
        paths=arguments.flag("json"),
    ) as opened:
        yield opened


@contextmanager
def opened_files(
    kernel: str,
    initrds: Sequence[str],
    cmdline: str,
    limits: UnpackLimits | None = None,
    *,
    own_initrd: bool = True,
    paths: bool = False,
) -> Iterator[tuple[Progress, OpenedFiles]]:
    """Kernel and initrds, which paths or images' names stand for, while the block runs.

    Args:
        kernel: The kernel's word.
        initrds: Words of the initrds, in order.
        cmdline: The kernel's command line.
        limits: What to refuse as a decompression bomb; None for the default.
        own_initrd: Whether an image that has an initrd stands for it, too.
        paths: Call the files by their paths, for machines.

    Raises:
        TdvfshError: A file cannot be found, fetched or read.
    """
    from tdvfsh.images.named import file_named, files_named

    with unpack_progress() as progress:
        fetch = fetch_with(progress)
        if own_initrd:
            kernel_file, initrd_files = files_named(kernel, initrds, fetch)
        else:
            kernel_file, initrd_files = (
                file_named(kernel, KERNEL, fetch),
                [file_named(word, INITRD, fetch) for word in initrds],
            )
        files = [kernel_file, *initrd_files]
        with open_boot_files(
            kernel_file.path,
            [file.path for file in initrd_files],
            cmdline,
            progress,
            [file.path if paths else file.shown for file in files],
            limits,
        ) as opened:
            progress.clear()  # results may be printed in the block
            yield progress, opened


def named_file(word: str, kind: str) -> NamedFile:
    """The file that a word of the command line stands for.

    Raises:
        TdvfshError: It cannot be found or fetched.
    """
    from tdvfsh.images.named import file_named

    with unpack_progress() as progress:
        return file_named(word, kind, fetch_with(progress))


def fetch_with(progress: Progress) -> Fetch:
    """Fetches what is not there, and says so on standard error."""
    from tdvfsh.images.named import fetching

    return fetching(say_fetch, progress)


def say_fetch(entry: CatalogueEntry) -> None:
    """Tell that an image is being fetched, and from where."""
    from tdvfsh.cli.output import print_notes

    print_notes([f"tdvfsh: {'making' if entry.made else 'fetching'} {entry.name}, {entry.source}"])
