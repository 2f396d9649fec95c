"""What the runners read: recordings by name, and kernels by the names of their packages."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Final, NamedTuple

FIRST_WITH_UNACCEPTED: Final = (6, 5)
"""The first kernel whose EFI stub knows unaccepted memory."""
_MACHINE: Final = re.compile(r"-(?:(?P<accept>\d+)-)?(?P<memory>\d+[KMGT])-(?P<vcpus>\d+)(?=[-.]|$)")
_PACKAGE: Final = re.compile(r"linux-(?:image|binary)[-a-z0-9]*?-(\d+)\.(\d+)")


def recording(text: str) -> Path:
    """A file that can be read, as ``type`` of an argument.

    Raises:
        argparse.ArgumentTypeError: There is no such file.
    """
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text}: no such file")
    return path


def version_of_package(text: str) -> tuple[int, int] | None:
    """Version of a kernel by the name of its package, as ``linux-image-6.12.1`` or ``linux-binary-7.3.4``; or None."""
    match = _PACKAGE.search(text)
    return None if match is None else (int(match[1]), int(match[2]))


class NamedMachine(NamedTuple):
    """The machine that a recording's name tells: ``sec-pr3245-512-2G-1``; empty for what it does not."""

    memory: str = ""
    vcpus: str = ""
    accept: str = ""


def machine_of_name(path: Path) -> NamedMachine:
    """RAM, vCPUs and what was accepted at boot (MiB), by a recording's name."""
    match = _MACHINE.search(path.name)
    if match is None:
        return NamedMachine()
    accept = f"{match['accept']}M" if match["accept"] else ""
    return NamedMachine(match["memory"], match["vcpus"], accept)
