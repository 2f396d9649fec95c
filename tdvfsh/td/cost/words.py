"""The words of ``--cost``: a preset or a file, and single constants; and the model that they stand for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache

from tdvfsh.errors import UsageError, host_error
from tdvfsh.lazy_dataclass import replace
from tdvfsh.lazy_typing import Final
from tdvfsh.shipped_toml import read_shipped_toml
from tdvfsh.td.cost.constants import CONSTANTS, Constant, parse_values
from tdvfsh.td.cost.cost_file import cost_model_of, read_cost_file
from tdvfsh.td.cost.model import CostModel

PRESETS: Final = ("kvm-4k", "kvm-2m")
DEFAULT_PRESET: Final = PRESETS[0]
SUFFIX: Final = ".toml"
_FOLDER: Final = os.path.join(os.path.dirname(__file__), "presets")
_SHOWN: Final = 60


def checked_words(words: Iterable[str]) -> tuple[str, ...]:
    """The same words in their one order: the last preset or file, then the last value of each constant.

    Raises:
        UsageError: A word that is none of these.
    """
    base, single = DEFAULT_PRESET, dict[str, str]()
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in CONSTANTS:
            parse_values(name, value)
            single[name] = value
        elif word in PRESETS or word.endswith(SUFFIX):
            base = word
        else:
            known = f"one of {', '.join(CONSTANTS)}" if equals else f"one of {', '.join(PRESETS)}, FILE{SUFFIX}, or"
            value_form = "" if equals else " NAME=VALUE (example: accept_4k=9us)"
            raise UsageError(f"{word[:_SHOWN]}: unknown; choose {known}{value_form}")
    return (base, *(f"{name}={single[name]}" for name in CONSTANTS if name in single))


def cost_model(words: Sequence[str] = (DEFAULT_PRESET,)) -> CostModel:
    """The model that the words stand for.

    Args:
        words: As :func:`checked_words` returns them.

    Raises:
        UsageError: An invalid word.
        HostError, FormatError: A file that cannot be read, or that is not a cost file.
    """
    base, *single = checked_words(words)
    model = preset(base) if base in PRESETS else _from_file(base)
    if not single:
        return model
    changed = dict(model.constants)
    for word in single:
        name, _, value = word.partition("=")
        low, likely, high = parse_values(name, value)
        changed[name] = Constant(low, likely, high, "given with --cost")
    return replace(model, name=", ".join((model.name, *single)), constants=changed)


@cache
def preset(name: str) -> CostModel:
    """A preset, by its name."""
    path = os.path.join(_FOLDER, f"{name}{SUFFIX}")
    with open(path, encoding="utf-8") as file:
        return cost_model_of(read_shipped_toml(file.read()), path, None, name)


def _from_file(path: str) -> CostModel:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise host_error(path, error) from None
    return read_cost_file(data, path, preset, path)
