"""The virtio devices that the command line asks for."""

from __future__ import annotations

import re
from collections.abc import Callable

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.drives import Drives
from tdvfsh.engine.runs.os_run import SystemConsole
from tdvfsh.engine.virtio.parts import VirtioParts


def virtio_parts(
    arguments: Arguments, drives: Drives, output: Callable[[bytes], None], until: re.Pattern[str] | None
) -> VirtioParts:
    """The devices of one run.

    Args:
        arguments: The command line.
        drives: Its disks.
        output: Takes what a console sends.
        until: The run ends with the first line of a console that this is found in.
    """
    console = SystemConsole(output, until) if arguments.flag("virtio_console") else None
    return VirtioParts(drives.drives, arguments.flag("rng"), console)
