"""What was asked for on the command line.

The grammar itself, and with it argparse, stands in :mod:`tdvfsh.cli.grammar`; ``tdvfsh run SCRIPT`` without options,
which other scripts are full of, does without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from tdvfsh.errors import UsageError

if TYPE_CHECKING:
    from tdvfsh.formats.compression import UnpackLimits
    from tdvfsh.machine.options import TdOptions

FILE_SYSTEMS: Final = 10
TD_DEFAULTS: Final = {
    "--memory": "4G",
    "--vcpus": "1",
    "--gpaw": "48",
    "--accept": "512M",
    "--on-demand": "none",
    "--profile": "auto",
    "--loader": "direct",
    "--firmware-model": "auto",
    "--host-page-size": "2M",
    "--kaslr-seed": "0x6A09E667",
    "--max-ram-below-4g": "4G",
    "--sept-ve-disable": "on",
    "--accept-at-exit": "none",
    "--os-workload": "0",
}
_NO_OTHERS: Final = {"map": None, "firmware": None, "fault": None, "no_td": False}
_ON_OFF: Final = {"on": True, "off": False}


class Default(str):
    """A default value, to be told apart from the same text given by hand."""

    __slots__ = ()


class Arguments:
    """What was asked for: the subcommand, its values, and the TD options where they were given."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self.subcommand: str = values["subcommand"]

    def text(self, name: str) -> str:
        """A value that is always there."""
        return str(self._values[name])

    def optional(self, name: str) -> str | None:
        """A value that may be missing."""
        value = self._values.get(name)
        return None if value is None else str(value)

    def words(self, name: str) -> list[str]:
        """A list of values, empty where none was given."""
        return [str(value) for value in self._values.get(name) or ()]

    def axis(self, name: str) -> list[str] | None:
        """The values between commas of a TD option that a subcommand varies; None where it was not given."""
        value = self._values[name]
        return None if isinstance(value, Default) else str(value).split(",")

    def is_given(self, name: str) -> bool:
        """Whether a TD option was given by hand."""
        value = self._values.get(name)
        return value is not None and not isinstance(value, Default)

    def flag(self, name: str) -> bool:
        """Whether a flag was given."""
        return bool(self._values.get(name))

    def unpack_limits(self) -> UnpackLimits | None:
        """What counts as a decompression bomb; None for the default.

        Raises:
            UsageError: No size.
        """
        given = self.optional("unpack_limit")
        if given is None:
            return None
        from tdvfsh.formats.compression import NO_LIMITS, UnpackLimits
        from tdvfsh.units import parse_size

        return NO_LIMITS if given == "none" else UnpackLimits(absolute=parse_size(given), ratio=None)

    def td_options(self, **changes: str) -> TdOptions:
        """The TD options, checked.

        Args:
            **changes: Texts that stand in for what was given, by the options' names.

        Raises:
            UsageError: A value that cannot be; the message names it and what could.
        """
        from tdvfsh.accept.boot_time import parse_boot_accept
        from tdvfsh.machine.options import TdOptions
        from tdvfsh.units import parse_size

        values = self._values | changes
        return TdOptions(
            memory=parse_size(values["memory"]),
            vcpus=_number("--vcpus", values["vcpus"]),
            gpaw=_number("--gpaw", values["gpaw"]),
            accept=parse_boot_accept(values["accept"]),
            on_demand=values["on_demand"],
            profile=values["profile"],
            loader=values["loader"],
            firmware_model=values["firmware_model"],
            td=not values["no_td"],
            host_page_size=parse_size(values["host_page_size"]),
            kaslr_seed=_number("--kaslr-seed", values["kaslr_seed"]) & 0xFFFFFFFF,
            max_ram_below_4g=parse_size(values["max_ram_below_4g"]),
            map_file=values["map"],
            firmware=values["firmware"],
            sept_ve_disable=_on_or_off("--sept-ve-disable", values["sept_ve_disable"]),
            accept_at_exit=values["accept_at_exit"],
            faults=tuple(values["fault"] or ()),
            os_workload=parse_size(values["os_workload"]),
        )

    def td_options_or_none(self) -> TdOptions | None:
        """The TD options, or None where all are the defaults: then nobody needs the machine's modules yet."""
        given = {option: self._values[option_name(option)] for option in TD_DEFAULTS}
        plain = given == TD_DEFAULTS and all(self._values[name] == value for name, value in _NO_OTHERS.items())
        return None if plain else self.td_options()

    def file_systems(self) -> dict[int, str]:
        """Host folders by the number of their ``FSn:``, as far as given."""
        return {
            number: folder for number in range(FILE_SYSTEMS) if (folder := self._values.get(f"fs{number}")) is not None
        }


def parse_arguments(words: Sequence[str]) -> Arguments:
    """Read the command line.

    Raises:
        UsageError: It cannot be understood.
    """
    if len(words) > 1 and words[0] == "run" and not words[1].startswith("-"):
        return Arguments({**_default_values(), "subcommand": "run", "script": words[1], "script_arguments": words[2:]})
    from tdvfsh.cli.grammar import parse_words

    return Arguments(parse_words(words))


def _default_values() -> dict[str, Any]:
    values: dict[str, Any] = {option_name(option): default for option, default in TD_DEFAULTS.items()}
    return {**values, **_NO_OTHERS, "fs0_write": False}


def option_name(option: str) -> str:
    """The name under which an option's value is kept: ``on_demand`` of ``--on-demand``."""
    return option.lstrip("-").replace("-", "_")


def _on_or_off(option: str, text: str) -> bool:
    if text not in _ON_OFF:
        raise UsageError(f"{option} {text}: give on or off")
    return _ON_OFF[text]


def _number(option: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"{option} {text}: not a number") from None
