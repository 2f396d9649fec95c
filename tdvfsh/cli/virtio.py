"""The virtio devices that the command line asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.debug import Debugging
from tdvfsh.cli.drives import Drives
from tdvfsh.engine.runs.os_run import SystemConsole
from tdvfsh.engine.virtio.network.user_network import UserNetwork
from tdvfsh.engine.virtio.parts import VirtioParts
from tdvfsh.engine.virtio.share.folder import SharedFolder
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final

_WRITABLE: Final = ",rw"


def given_virtio(arguments: Arguments) -> list[tuple[bool, str]]:
    """Options for devices other than disks, and whether each was given."""
    return [
        (arguments.flag("rng"), "--rng"),
        (arguments.flag("virtio_console"), "--virtio-console"),
        (arguments.optional("share") is not None, "--share"),
        (arguments.optional("net") is not None, "--net"),
    ]


@contextmanager
def virtio_parts(
    arguments: Arguments,
    drives: Drives,
    output: Callable[[bytes], None],
    until: re.Pattern[str] | None,
    debug: Debugging,
) -> Iterator[VirtioParts]:
    """The devices of one run: a context, in which what is behind them is open.

    Args:
        arguments: The command line.
        drives: Its disks.
        output: Takes what a console sends.
        until: The run ends with the first line of a console that this is found in.
        debug: The debugger, which may go back only where a run can be repeated.

    Raises:
        UsageError: Options that are invalid.
        HostError: A folder cannot be read.
    """
    console = SystemConsole(output, until) if arguments.flag("virtio_console") else None
    share = arguments.optional("share")
    net = arguments.optional("net")
    with (
        nullcontext() if share is None else _shared_folder(share) as folder,
        nullcontext() if net is None else UserNetwork() as network,
    ):
        if folder is not None and folder.writable:
            debug.repeats_not("the guest writes into its --share folder")
        if network is not None:
            debug.repeats_not("what --net brings is not the same again")
        yield VirtioParts(drives.drives, arguments.flag("rng"), console, folder, network)


def refuse_unsaved(arguments: Arguments) -> None:
    """Reject devices that a file of a machine cannot hold, as what they show is the host's."""
    for name in ("share", "net"):
        if arguments.optional(name) is not None:
            raise UsageError(f"--{name}: a machine with it cannot be saved or resumed")


def _shared_folder(text: str) -> SharedFolder:
    path = text.removesuffix(_WRITABLE)
    if not path:
        raise UsageError(f"--share {text}: names no folder")
    return SharedFolder(path, path != text)
