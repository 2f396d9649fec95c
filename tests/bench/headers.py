"""PE and kernel headers, read from the mapped file by each library's cheapest way."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pefile

from tdvfsh.formats.linux import parse_bzimage
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.formats.pe.parse import PeImage, parse_pe
from tests.bench.images import pair
from tests.bench.measure import Figure, Goal, against

GROUP: Final = "headers"
_GOAL: Final = Goal(ratio=1)


def figures() -> list[Figure]:
    """All headers of a kernel: as PE image, and both as PE image and by the boot protocol."""
    with pair() as files:
        data = files.kernel.read_bytes()
        with open_mapped(files.kernel) as mapped:
            assert isinstance(parse_pe(mapped.view), PeImage)
            peers, missing = _peers(files.kernel, data)
            found = against(GROUP, "PE headers of a kernel", lambda: parse_pe(mapped.view), peers, _GOAL)
            found += [Figure(GROUP, "PE headers of a kernel", name, skipped="it is not installed") for name in missing]
            view = mapped.view
            # The peers know no boot protocol: they read the PE headers only.
            both = lambda: (parse_pe(view), parse_bzimage(view, "kernel"))  # noqa: E731
            only_pe = {f"{name}, PE only": peer for name, peer in peers.items()}
            found += against(GROUP, "PE headers, boot protocol, and its stub looked through", both, only_pe, _GOAL)
        found += against(GROUP, "open, map and read PE headers", lambda: _open(files.kernel),
                         {"pefile": lambda: pefile.PE(str(files.kernel), fast_load=True).close()}, _GOAL)  # fmt: skip
    return found


def _open(path: Path) -> object:
    with open_mapped(path) as mapped:
        return parse_pe(mapped.view)


def _peers(path: Path, data: bytes) -> tuple[dict[str, Callable[[], object]], list[str]]:
    peers: dict[str, Callable[[], object]] = {"pefile": lambda: pefile.PE(data=data, fast_load=True)}
    missing = []
    if find_spec("lief") is not None:
        lief = import_module("lief")
        lief.logging.disable()
        only_headers = lief.PE.ParserConfig()
        for part in ("parse_signature", "parse_exports", "parse_imports", "parse_rsrc", "parse_reloc"):
            setattr(only_headers, part, False)
        peers["LIEF"] = lambda: lief.PE.parse(str(path), only_headers)
    else:
        missing.append("LIEF")
    if find_spec("dissect") is not None and find_spec("dissect.executable") is not None:
        dissect = import_module("dissect.executable")
        peers["dissect.executable"] = lambda: dissect.PE(io.BytesIO(data))
    else:
        missing.append("dissect.executable")
    return peers, missing
