"""What was asked for on the command line.

The grammar itself, and with it argparse, stands in :mod:`tdvfsh.cli.grammar`; ``tdvfsh run SCRIPT`` and
``tdvfsh -c COMMAND`` without options, which other scripts are full of, do without it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tdvfsh.cli.config import Config
    from tdvfsh.formats.compression import UnpackLimits
    from tdvfsh.machine.options import TdOptions

FILE_SYSTEMS: Final = 10
PROGRAM: Final = "tdvfsh"


class Arguments:
    """The parsed command line: the subcommand, its values, and the TD options where they were given.

    Args:
        values: By name.
        bare: No options were given, so that the table of options need not be read.
        typed: The words that it was parsed from.

    Attributes:
        subcommand: Its name; ``shell`` where there is none.
    """

    def __init__(self, values: dict[str, Any], *, bare: bool = False, typed: Sequence[str] = ()) -> None:
        self._typed = typed
        self._defaults: dict[str, Any] = {}
        self._values = values
        self._bare = bare
        self.subcommand: str = values["subcommand"]

    def take_defaults(self, config: Config) -> None:
        """Let the user's file stand below what was given: the options that apply to this subcommand."""
        if config.td:
            from tdvfsh.options.uses import use_of

            use = use_of(self.subcommand)
            skipped = {*use.without, *use.real_code}
            self._defaults = {name: value for name, value in config.td.items() if name not in skipped}

    @property
    def command(self) -> tuple[str, ...]:
        """The command line that does the same again, word by word, without the user's file too."""
        from tdvfsh.options.td import OPTIONS

        given = self._given()
        words: list[str] = []
        for name, value in self._defaults.items():
            if name not in given:
                words += OPTIONS[name].words(value)
        return (PROGRAM, *words, *self._typed)

    def with_values(self, **values: object) -> Arguments:
        """The same with other values."""
        changed = Arguments(self._values | values, bare=self._bare, typed=self._typed)
        changed._defaults = self._defaults
        return changed

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
        value = self._values.get(name)
        return None if value is None else str(value).split(",")

    def is_given(self, name: str) -> bool:
        """Whether a TD option was given."""
        return name in self._given()

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
            UsageError: An invalid value; the message names it and what is valid.
        """
        from tdvfsh.machine.options import TdOptions
        from tdvfsh.options.td import MICROSOFT_KEYS, OPTIONS

        given = self._usual() | self._defaults | self._given() | changes
        for name, value in given.items():
            if OPTIONS[name].image:
                from tdvfsh.cli.files import named_file

                given[name] = named_file(value, OPTIONS[name].image).path
        if given.get("secure_boot") == MICROSOFT_KEYS:
            from tdvfsh.cli.files import named_file
            from tdvfsh.machine.secure_boot import MICROSOFT_IMAGE

            named_file(MICROSOFT_IMAGE, "firmware")  # fetched where it is not there
        return TdOptions(**given)

    def td_options_or_none(self) -> TdOptions | None:
        """The TD options, or None where none was given: the machine's modules are not needed then."""
        return self.td_options() if self._given() or self._defaults else None

    def check(self) -> None:
        """Refuse TD options that do not apply to the subcommand.

        Raises:
            UsageError: One was given.
        """
        from tdvfsh.options.uses import use_of

        try:
            use_of(self.subcommand).check(self._given())
        except UsageError as error:
            raise UsageError(f"{self.subcommand}: {error}") from None

    def _usual(self) -> dict[str, Any]:
        """What the subcommand takes for options that are not given, where that is not the table's default."""
        if self._bare:
            return {}
        from tdvfsh.options.uses import use_of

        return dict(use_of(self.subcommand).usual)

    def _given(self) -> dict[str, Any]:
        """The TD options of the command line, by name."""
        if self._bare:
            return {}
        from tdvfsh.options.td import OPTIONS

        return {name: value for name in OPTIONS if (value := self._values.get(name)) is not None}

    def file_systems(self) -> dict[int, str]:
        """Host folders by the number of their ``FSn:``, as far as given."""
        return {
            number: folder for number in range(FILE_SYSTEMS) if (folder := self._values.get(f"fs{number}")) is not None
        }


def config_path() -> str | None:
    """The user's file of defaults, which :mod:`tdvfsh.cli.config` reads; None where there is none.

    Source: XDG Base Directory Specification; on Windows the roaming application data, which ``%APPDATA%`` names.
    """
    if os.name == "nt":
        base = os.environ.get("APPDATA", "")
    else:
        base = os.environ.get("XDG_CONFIG_HOME", "")
        if not os.path.isabs(base):
            base = os.path.join(os.path.expanduser("~"), ".config")
    path = os.path.join(base, "tdvfsh", "config.toml")
    return path if os.path.isabs(path) and os.path.isfile(path) else None


def parse_arguments(words: Sequence[str]) -> Arguments:
    """Read the command line.

    Raises:
        UsageError: It cannot be understood.
    """
    if len(words) > 1 and words[0] == "run" and not words[1].startswith("-"):
        given = {"subcommand": "run", "script": words[1], "script_arguments": words[2:]}
        return Arguments(given, bare=True, typed=words)
    if words and set(words[::2]) == {"-c"} and len(words) % 2 == 0 and not any(word[:1] == "-" for word in words[1::2]):
        return Arguments({"subcommand": "shell", "commands": list(words[1::2])}, bare=True, typed=words)
    from tdvfsh.cli.grammar import parse_words

    arguments = Arguments(parse_words(words), typed=words)
    arguments.check()
    return arguments
