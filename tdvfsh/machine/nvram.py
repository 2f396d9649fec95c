"""A file of the host that keeps a machine's non-volatile state.

The file is JSON with ``"schema": "tdvfsh/nvram"``, and is written whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tdvfsh.documents import read_json
from tdvfsh.dxe.monotonic_count import MonotonicCounter
from tdvfsh.dxe.nonvolatile_state import NonvolatileState, next_start
from tdvfsh.dxe.time import RealTimeClock
from tdvfsh.dxe.variables import EFI_VARIABLE_NON_VOLATILE, FIRMWARE_VARIABLES, Variable, VariableStore
from tdvfsh.errors import FormatError, host_error
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.machine.machine import Machine
from tdvfsh.uefi.guids import Guid
from tdvfsh.whole_file import write_whole

SCHEMA: Final = "tdvfsh/nvram"
_VERSION: Final = 1
_LARGEST_FILE: Final = 4 << 20  # a full variable store in hex takes less
_COUNTS: Final = 1 << 64


class NvramFile:
    """One file.

    Args:
        path: The file; it is made when a machine ends, and need not exist.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def load_into(self, machine: Machine) -> None:
        """Let a machine that has just started have the file's state; where there is no file it is the first start.

        Raises:
            HostError: The host refuses to read it.
            FormatError: Not such a file.
        """
        try:
            if Path(self._path).stat().st_size > _LARGEST_FILE:
                raise FormatError(self._path, "not an nvram file: too large")
            text = Path(self._path).read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise host_error(self._path, error) from None
        self._parse(text).put_into(machine.services.core)

    def save(self, machine: Machine) -> None:
        """Write what a machine that ends leaves to its next start.

        Raises:
            HostError: The host refuses to write it.
        """
        write_whole(self._path, nvram_bytes(next_start(machine.services.core, machine.clock.now_ns)))

    @contextmanager
    def keeping(self, machine: Machine) -> Iterator[None]:
        """A context that begins with the file's state in a machine, and writes the machine's however it ends.

        Raises:
            HostError, FormatError: As the other methods.
        """
        self.load_into(machine)
        try:
            yield
        finally:
            self.save(machine)

    def _parse(self, text: bytes) -> NonvolatileState:
        data = read_json(text, self._path, "not an nvram file")
        try:
            return state_from(data)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
            raise FormatError(self._path, f"not an nvram file: {error or type(error).__name__}") from None


def nvram_bytes(state: NonvolatileState) -> bytes:
    """The file's bytes."""
    clock = state.clock
    data = {
        "schema": SCHEMA,
        "schema_version": _VERSION,
        "variables": [
            {
                "name": one.name,
                "vendor": str(one.vendor),
                "attributes": one.attributes,
                "data": one.data.hex(),
            }
            for one in state.variables
            if one.attributes & EFI_VARIABLE_NON_VOLATILE
        ],
        "clock": {
            "unix_ns": clock.start_ns,
            "time_zone": clock.time_zone,
            "daylight": clock.daylight,
            "wakeup": None if clock.wakeup is None else int(clock.wakeup.timestamp()),
            "wakeup_enabled": clock.wakeup_enabled,
            "wakeup_pending": clock.wakeup_pending,
        },
        "monotonic_count": state.counter.count,
    }
    return (json.dumps(data, indent=1) + "\n").encode("ascii")


def state_from(data: object) -> NonvolatileState:
    """The state that a file's JSON value holds.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: Not such a file.
    """
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ValueError(f'no "schema": "{SCHEMA}"')
    if data["schema_version"] != _VERSION:
        raise ValueError(f"schema version {data['schema_version']!r} is not {_VERSION}")
    kept = tuple(_variable(one) for one in data["variables"])
    clock, count = data["clock"], data["monotonic_count"]
    if not isinstance(count, int) or not 0 <= count < _COUNTS:
        raise ValueError("monotonic_count is not a 64-bit number")
    wakeup = clock["wakeup"]
    return NonvolatileState(
        VariableStore((*FIRMWARE_VARIABLES, *kept)),
        RealTimeClock(
            start_ns=int(clock["unix_ns"]),
            time_zone=int(clock["time_zone"]),
            daylight=int(clock["daylight"]),
            wakeup=None if wakeup is None else datetime.fromtimestamp(int(wakeup), UTC),
            wakeup_enabled=bool(clock["wakeup_enabled"]),
            wakeup_pending=bool(clock["wakeup_pending"]),
        ),
        MonotonicCounter(count),
    )


def _variable(entry: dict[str, Any]) -> Variable:
    attributes = int(entry["attributes"])
    if not attributes & EFI_VARIABLE_NON_VOLATILE:
        raise ValueError(f"variable {entry['name']}: not a non-volatile one")
    return Variable(str(entry["name"]), Guid(entry["vendor"]), attributes, bytes.fromhex(entry["data"]))
