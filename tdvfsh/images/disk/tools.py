"""Tools of the host that make file systems, found and run; what is missing is named with its Debian package."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tdvfsh.errors import HostError, MissingError
from tdvfsh.lazy_typing import BinaryIO, Final
from tdvfsh.units import MIB

TIME: Final = 1735689600
"""2025-01-01, of every file that is made."""
_FOLDERS: Final = "/usr/sbin:/sbin:/usr/local/sbin"
_SETTINGS: Final = {
    "LC_ALL": "C",
    "TZ": "UTC",
    "MTOOLS_SKIP_CHECK": "1",
    "SOURCE_DATE_EPOCH": str(TIME),
    "E2FSPROGS_FAKE_TIME": str(TIME),
    "MKE2FS_DETERMINISTIC": "1",
}
_SAID: Final = 3
_WIDEST: Final = 200
_LONGEST: Final = 1800
_REPLACED: Final = ("MTOOLS", "E2FS", "MKE2FS")


def find_tools(packages: Mapping[str, str]) -> dict[str, str]:
    """Where tools are.

    Args:
        packages: The Debian package of each tool, by the tool's name.

    Raises:
        MissingError: One is not on this machine.
    """
    path = os.pathsep.join((os.environ.get("PATH", ""), _FOLDERS))
    found = {}
    for name, package in packages.items():
        tool = shutil.which(name, path=path)
        if tool is None:
            raise MissingError(f"{name}: not on this machine, which makes a disk with it; it is in Debian's {package}")
        found[name] = tool
    return found


def run_tool(command: Sequence[str], text: str = "") -> None:
    """Run a tool with the same settings everywhere; what it says is shown only where it fails.

    Raises:
        HostError: It failed, or took longer than half an hour.
    """
    settings = {name: value for name, value in os.environ.items() if not name.startswith(_REPLACED)}
    settings["PATH"] = os.pathsep.join((settings.get("PATH", ""), _FOLDERS))
    name = Path(command[0]).name
    try:
        ended = subprocess.run(
            command, input=text.encode(), capture_output=True, env=settings | _SETTINGS, check=False, timeout=_LONGEST
        )
    except subprocess.TimeoutExpired:
        raise HostError(f"{name} did not end within {_LONGEST // 60} minutes") from None
    if ended.returncode:
        said = (ended.stderr or ended.stdout).decode("utf-8", "replace").strip().splitlines() or ["nothing"]
        raise HostError(f"{name} failed with status {ended.returncode}: {' / '.join(map(_short, said[-_SAID:]))}")


def _short(line: str) -> str:
    """A line of a tool, which may quote a command of several screens."""
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]}…"


def copy_data(source: BinaryIO, file: BinaryIO, size: int, offset: int = 0) -> None:
    """Copy what is not zero to ``offset`` of a file: the rest stays a hole."""
    for at in range(0, size, MIB):
        piece = source.read(MIB)
        if piece.strip(b"\0"):
            file.seek(offset + at)
            file.write(piece)
