"""Files to measure with: the fetched installer's pair where there is one, else made files of the same sizes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.units import MIB


@dataclass(frozen=True, slots=True)
class Pair:
    """A kernel and an initrd; ``real`` where they are a distribution's."""

    kernel: Path
    initrd: Path
    real: bool


@contextmanager
def pair() -> Iterator[Pair]:
    """The pair to measure with."""
    fetched = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tdvfsh/images/installer-13"
    kernel, initrd = fetched / "linux", fetched / "initrd.gz"
    if kernel.is_file() and initrd.is_file():
        yield Pair(kernel, initrd, True)
        return
    with TemporaryDirectory() as folder:
        kernel, initrd = Path(folder, "linux"), Path(folder, "initrd.gz")
        make_kernel(kernel, 12 * MIB, 56 * MIB)
        make_initrd(initrd, 39 * MIB, "gzip")
        yield Pair(kernel, initrd, False)
