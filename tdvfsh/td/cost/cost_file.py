"""Cost files: TOML with a table for each constant; presets have the same form.

``base`` names the preset from which constants come that the file does not name; ``host_page_size`` is ``"4K"`` or
``"2M"``. A table has ``low``, ``likely``, ``high`` and ``source``, and may have ``placeholder = true`` and
``observed_vcpus``. ``accept_4k = "9us"`` is short for a table with that one value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tdvfsh.documents import read_toml
from tdvfsh.errors import FormatError, UsageError
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.td.cost.constants import CONSTANTS, Constant, parse_value, parse_values, value_text
from tdvfsh.td.cost.model import CostModel
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE

_PAGE_SIZES: Final = {"4K": PAGE_SIZE, "2M": LARGE_PAGE_SIZE}
_LARGEST: Final = 1 << 20
_WORDS: Final = ("base", "host_page_size", "summary", "fit")
_VALUES: Final = ("low", "likely", "high")
_KEYS: Final = frozenset((*_VALUES, "source", "placeholder", "observed_vcpus"))
_MOST_VCPUS: Final = 1 << 20


def read_cost_file(data: bytes, path: str, preset: Callable[[str], CostModel] | None, name: str) -> CostModel:
    """The model that a file holds.

    Args:
        data: The file.
        path: What to call it in messages.
        preset: Returns the preset that ``base`` names; None where the file must have every constant.
        name: What the model is called.

    Raises:
        FormatError: Not a cost file; the message says what is wrong.
    """
    if len(data) > _LARGEST:
        raise FormatError(path, "not a cost file: larger than 1 MiB")
    try:
        table = read_toml(data.decode("utf-8"), path)
    except UnicodeDecodeError:
        raise FormatError(path, "not a cost file: not UTF-8") from None
    return cost_model_of(table, path, preset, name)


def cost_model_of(
    table: Mapping[str, Any], path: str, preset: Callable[[str], CostModel] | None, name: str
) -> CostModel:
    """The model that a file's table holds; arguments and errors as of :func:`read_cost_file`."""
    for key in table:
        if key not in CONSTANTS and key not in _WORDS:
            raise FormatError(path, f"{key!r}: not a constant; those are {', '.join(CONSTANTS)}")
    base = None
    if preset is not None:
        base = _base(table, path, preset)
    page = _PAGE_SIZES.get(str(table.get("host_page_size")))
    if page is None:
        if base is None or "host_page_size" in table:
            raise FormatError(path, 'host_page_size: give "4K" or "2M"')
        page = base.host_page_size
    constants: dict[str, Constant] = {}
    for constant in CONSTANTS:
        if constant in table:
            constants[constant] = _constant(constant, table[constant], path)
        elif base is not None:
            constants[constant] = base.constants[constant]
        else:
            raise FormatError(path, f"{constant}: missing")
    return CostModel(name, constants, page, str(table.get("summary", "")))


def cost_file_text(model: CostModel, comments: Mapping[str, str], head: str) -> str:
    """A model as a cost file.

    Args:
        model: The model.
        comments: A line over a constant's table, by its name.
        head: What the file is, in lines.
    """
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    page = next(text for text, size in _PAGE_SIZES.items() if size == model.host_page_size)
    lines += [f'host_page_size = "{page}"']
    if model.summary:
        lines.append(f"summary = {_quoted(model.summary)}")
    for name, constant in model.constants.items():
        lines.append("")
        if name in comments:
            lines.append(f"# {comments[name]}")
        lines.append(f"[{name}]")
        lines += [f'{which} = "{value_text(name, getattr(constant, which))}"' for which in _VALUES]
        lines.append(f"source = {_quoted(constant.source)}")
        if constant.is_placeholder:
            lines.append("placeholder = true")
        if constant.observed_vcpus:
            lines.append(f"observed_vcpus = {constant.observed_vcpus}")
    return "\n".join(lines) + "\n"


def _base(table: Mapping[str, Any], path: str, preset: Callable[[str], CostModel]) -> CostModel:
    name = table.get("base", "kvm-4k")
    if name not in ("kvm-4k", "kvm-2m"):
        raise FormatError(path, "base: give kvm-4k or kvm-2m")
    return preset(name)


def _constant(name: str, given: object, path: str) -> Constant:
    try:
        if isinstance(given, str):
            return Constant(*parse_values(name, given), source=f"given in {path}")
        if not isinstance(given, dict) or not given.keys() <= _KEYS or "likely" not in given:
            raise UsageError(f'{name}: give low, likely, high and source, or one value such as "9us"')
        texts = [str(given.get(which, given["likely"])) for which in _VALUES]
        low, likely, high = (parse_value(name, text) for text in texts)
        if not low <= likely <= high:
            raise UsageError(f"{name}: low, likely and high must ascend")
        observed = given.get("observed_vcpus", 0)
        if isinstance(observed, bool) or not isinstance(observed, int) or not 0 <= observed <= _MOST_VCPUS:
            raise UsageError(f"{name}: observed_vcpus is not a number of vCPUs")
        source = " ".join(str(given.get("source", f"given in {path}")).split())
        return Constant(
            low, likely, high, source, is_placeholder=given.get("placeholder") is True, observed_vcpus=observed
        )
    except UsageError as error:
        raise FormatError(path, str(error)) from None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
