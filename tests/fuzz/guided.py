"""A target under atheris, which is libFuzzer: inputs are led to code that none has reached yet."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.fuzz.mutate import mutate_pe

_WATCHED: Final = [
    "tdvfsh.formats",
    "tdvfsh.script",
    "tdvfsh.documents",
    "tdvfsh.session.transcript",
    "tdvfsh.sweep.spec",
    "tdvfsh.sweep.axes",
    "tdvfsh.trace",
    "tdvfsh.engine.abi.device_paths",
    "tdvfsh.engine.devices.fw_cfg",
    "tdvfsh.engine.storage.fat",
]


def fuzz_guided(name: str, runs: int, seed: int, seconds: float | None, images: Path | None, save: Path | None) -> int:
    """Hand a target to atheris, with the seeds as its corpus; it ends the process itself, with 77 after a find."""
    if find_spec("atheris") is None:
        print("atheris is not installed: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    atheris: Any = import_module("atheris")
    # Only the parsers are watched: to watch all that is loaded, as instrument_all does, takes a minute before the first
    # run. So this must be the first import of them.
    assert not any(module.startswith("tdvfsh.formats") for module in sys.modules)
    with atheris.instrument_imports(include=_WATCHED):
        from tests.fuzz.real import real_seeds
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    known = [*target.seeds(), *(real_seeds(images).get(name, []) if images else [])]
    options = [f"-runs={runs}", f"-seed={seed or 1}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=65536"]
    if seconds is not None:
        options.append(f"-max_total_time={int(seconds)}")
    if save is not None:
        save.mkdir(exist_ok=True)
        options.append(f"-artifact_prefix={save}/{name}-")
    more = {}
    if target.mutator == "pe":

        def mutator(data: bytes, size: int, number: int) -> bytes:
            return mutate_pe(Random(number), bytes(data), known, ())[:size]

        more["custom_mutator"] = mutator
    with TemporaryDirectory() as corpus:
        for number, data in enumerate(known):
            Path(corpus, f"seed{number}").write_bytes(data)
        atheris.Setup([name, *options, corpus], lambda data: target.run(bytes(data)), **more)
        atheris.Fuzz()
    return 0
