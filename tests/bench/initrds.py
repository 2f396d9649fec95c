"""What is inside an initrd, against the tools that list one format each."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from tdvfsh.formats.initrd import parse_initrd
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.images.make import make_initrd
from tdvfsh.units import MIB
from tests.bench.images import pair
from tests.bench.measure import Figure, Goal, against

GROUP: Final = "initrd"
_COPIED: Final = 32 * MIB
_BELIEVES: Final = "the tool believes the frame's header; ours is passed the unpacked size"


def figures() -> list[Figure]:
    """Segments with their unpacked sizes; the peers unpack too, or read every member."""
    found: list[Figure] = []
    with pair() as files, TemporaryDirectory() as folder:
        found += _beside("gzip, unpacked to measure it", files.initrd, ("gzip", "-t"), Goal(ratio=1))
        found += _beside("gzip, unpacked to measure it", files.initrd, ("gzip", "-l"), Goal(ratio=1))
        plain, zstd = Path(folder, "plain.cpio"), Path(folder, "initrd.zst")
        make_initrd(plain, _COPIED, None)
        found += _beside("cpio of 32 MiB, sparse", plain, ("cpio", "-t", "--quiet"), Goal(ratio=1))
        make_initrd(zstd, _COPIED, "zstd")
        found += _beside("zstd of 32 MiB, unpacked to measure it", zstd, ("zstd", "-t", "-q"), Goal(ratio=1))
        found += _beside("zstd of 32 MiB, unpacked to measure it", zstd, ("zstd", "-l"), note=_BELIEVES)
    return found


def _beside(name: str, path: Path, command: tuple[str, ...], goal: Goal | None = None, note: str = "") -> list[Figure]:
    shown = " ".join(command[:2])
    if shutil.which(command[0]) is None:
        return [Figure(GROUP, name, shown, skipped=f"{command[0]} is not installed")]
    takes_file = command[0] != "cpio"

    def peer() -> object:
        with path.open("rb") as source:
            return subprocess.run(
                (*command, str(path)) if takes_file else command,
                stdin=subprocess.DEVNULL if takes_file else source,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )

    def ours() -> object:
        with open_mapped(path) as mapped:
            return parse_initrd(mapped.view, "initrd")

    peers: dict[str, Callable[[], object]] = {shown: peer}
    return [replace(figure, note=note) for figure in against(GROUP, name, ours, peers, goal, 5, perf_counter)]
