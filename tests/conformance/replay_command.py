"""The command of the checks that repeat logs on a machine of some firmware generation."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from tdvfsh.dxe.profile import PROFILES
from tests.conformance.inputs import recording
from tests.conformance.tally import Tally


def replay_command(
    module: str, about: str | None, metavar: str, replay: Callable[[Path, str | None], Tally], arguments: Sequence[str]
) -> int:
    """Repeat each file named on the command line and print its tally; 1 where any line differs.

    Args:
        module: As ``python -m`` names it.
        about: What the help says of it.
        metavar: What the help calls a file.
        replay: Repeats one, with the profile's name where one was given.
        arguments: The command line.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--profile", choices=sorted(PROFILES))
    parser.add_argument("-v", "--verbose", action="store_true", help="say why lines were skipped")
    parser.add_argument("files", nargs="+", type=recording, metavar=metavar)
    options = parser.parse_args(arguments)
    differ = False
    for path in options.files:
        tally = replay(path, options.profile)
        tally.print(options.verbose)
        differ |= bool(tally.differences)
    return int(differ)
