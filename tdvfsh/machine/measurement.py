"""Measurements of accepts at boot, as users write them, for fitting the cost model.

``memory=64G vcpus=8 accept=eager measured=112s``: TD options by their names, what was measured, and with ``fixed`` how
much of it does not accept. A TOML file has the same words in ``[[measurement]]`` tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tdvfsh.documents import read_toml
from tdvfsh.errors import FormatError, TdvfshError, UsageError, host_error
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.options.td import OPTIONS
from tdvfsh.td.cost.constants import parse_time
from tdvfsh.td.cost.fit import Measured

_MEASURED: Final = "measured"
_FIXED: Final = "fixed"
_TABLES: Final = "measurement"
_EXAMPLE: Final = "'memory=64G vcpus=8 accept=eager measured=112s'"


def read_measurements(words: Sequence[str], cost: Sequence[str], host_page_size: int = 0) -> list[Measured]:
    """The measurements that words describe, or the TOML files that they name.

    Args:
        words: As a user writes them.
        cost: The words of ``--cost`` for those that do not say otherwise.
        host_page_size: Bytes of the host's pages, for those that do not say otherwise; 0 for what the cost says.

    Raises:
        UsageError: An invalid measurement; the message shows it.
        HostError, FormatError: A file that cannot be read, or that is not one of measurements.
    """
    usual = {"cost": tuple(cost), "host_page_size": host_page_size, "accept": "eager"}
    found = []
    for word in words:
        if "=" not in word and word.endswith(".toml"):
            found += [_measured(table, f"{word}: measurement {number}", usual) for number, table in _tables(word)]
        else:
            found.append(_measured(_pairs(word), word, usual))
    return found


def _pairs(word: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in word.split()]
    if not pairs or any(not equals or not name for name, equals, _ in pairs):
        raise UsageError(f"{word[:80]!r}: not a measurement (example: {_EXAMPLE})")
    return {name.replace("-", "_"): value for name, _, value in pairs}


def _tables(path: str) -> list[tuple[int, Mapping[str, Any]]]:
    try:
        data = read_toml(Path(path).read_text(encoding="utf-8"), path)
    except OSError as error:
        raise host_error(path, error) from None
    except UnicodeDecodeError:
        raise FormatError(path, "not measurements: not UTF-8") from None
    tables = data.get(_TABLES)
    if data.keys() != {_TABLES} or not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise FormatError(path, f"not measurements: give [[{_TABLES}]] tables, and nothing else")
    return list(enumerate(tables, 1))


def _measured(given: Mapping[str, Any], name: str, usual: Mapping[str, Any]) -> Measured:
    shown = name if len(name) <= 120 else f"{name[:119]}…"
    try:
        for key in given:
            if key not in OPTIONS and key not in (_MEASURED, _FIXED):
                raise UsageError(f"{key[:60]}: not a TD option, '{_MEASURED}' or '{_FIXED}'")
        if _MEASURED not in given:
            raise UsageError(f"'{_MEASURED}' is missing (example: {_EXAMPLE})")
        seconds, fixed = (parse_time(key, str(given.get(key, "0s"))) / 1e9 for key in (_MEASURED, _FIXED))
        options = {key: value for key, value in given.items() if key in OPTIONS}
        accepted = Machine(TdOptions(**{**usual, **options})).boot_accept
        if accepted is None:
            raise UsageError("nothing is accepted at boot")
    except TdvfshError as error:
        raise UsageError(f"{shown}: {error}") from None
    return Measured(shown, accepted.work, seconds, fixed)
