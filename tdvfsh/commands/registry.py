"""Commands by name. The table names the module of each, so that only what is used is imported.

A command is a function that takes the shell, then its arguments; keyword-only parameters are its options. Its docstring
is its help: the first line names it, sections follow (see :mod:`tdvfsh.commands.helptext`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from tdvfsh.script.words import WORDS

if TYPE_CHECKING:
    from tdvfsh.commands.shell import Shell
    from tdvfsh.commands.signature import Signature

MODULES: dict[str, str] = {
    "accept": "accepting",
    "acpiview": "unmodelled",
    "alias": "variables",
    "assert": "asserting",
    "attrib": "attributes",
    "bcfg": "bootoptions",
    "boot": "boot",
    "bs": "boot_services",
    "cd": "files",
    "cls": "screen",
    "comp": "comparing",
    "compare": "boot",
    "connect": "unmodelled",
    "cp": "copying",
    "date": "clock",
    "dblk": "unmodelled",
    "devices": "unmodelled",
    "devtree": "unmodelled",
    "dh": "handles",
    "diff": "differing",
    "disconnect": "unmodelled",
    "dmem": "memory",
    "dmpstore": "nvram",
    "drivers": "unmodelled",
    "drvcfg": "unmodelled",
    "drvdiag": "unmodelled",
    "echo": "screen",
    "edit": "unmodelled",
    "exit": "control",
    "explain": "boot",
    "fault": "faulting",
    "getmtc": "clock",
    "help": "helping",
    "hexedit": "unmodelled",
    "initrd": "initrd",
    "inspect": "inspect",
    "ladder": "ladder",
    "load": "images",
    "loadpcirom": "unmodelled",
    "ls": "listing",
    "map": "mappings",
    "memmap": "memory",
    "mkdir": "copying",
    "mkimage": "mkimage",
    "mm": "memory",
    "mode": "modes",
    "mv": "copying",
    "openinfo": "unmodelled",
    "parse": "sfo",
    "pause": "screen",
    "pci": "unmodelled",
    "reconnect": "unmodelled",
    "record": "recording",
    "redo": "undoing",
    "report": "reporting",
    "reset": "control",
    "rm": "copying",
    "sept": "accepting",
    "sermode": "unmodelled",
    "set": "variables",
    "setsize": "attributes",
    "setvar": "nvram",
    "share": "sharing",
    "smbiosview": "unmodelled",
    "snap": "snapshots",
    "stall": "clock",
    "td": "td",
    "tdcall": "accepting",
    "time": "clock",
    "timezone": "clock",
    "touch": "attributes",
    "trace": "trace",
    "type": "files",
    "undo": "undoing",
    "unload": "images",
    "ver": "control",
    "vol": "attributes",
    "watch": "watching",
}
"""Command to module of :mod:`tdvfsh.commands`; a test keeps it true."""

TAKE_OPERATORS = frozenset(("assert",))
"""Commands whose ``<`` and ``>`` compare: a script in CI must not end well because a comparison wrote a file."""

Handler = TypeVar("Handler", bound=Callable[..., int])


class Command:
    """One registered command.

    ``level`` is its shell level (0 for a profile's command), ``profile`` its profile, ``stop`` the full stop that some
    of firmware's command libraries put behind "Too few arguments", ``counts`` whether ``lasterror`` takes its status,
    ``numbers`` whether ``-5`` is an argument.
    """

    __slots__ = ("_signature", "counts", "function", "level", "name", "numbers", "profile", "raw", "stop")

    def __init__(
        self,
        name: str,
        function: Callable[..., int],
        *,
        level: int,
        profile: str,
        stop: str,
        counts: bool,
        numbers: bool,
        raw: bool = False,
    ) -> None:
        self.name = name
        self.function = function
        self.level = level
        self.profile = profile
        self.stop = stop
        self.counts = counts
        self.numbers = numbers
        self.raw = raw
        self._signature: Signature | None = None

    @property
    def signature(self) -> Signature:
        """Its parameters, read once."""
        if self._signature is None:
            from tdvfsh.commands.signature import Signature

            self._signature = Signature(self.function) if not self.raw else Signature(_no_arguments)
        return self._signature

    def run(self, shell: Shell, words: list[str]) -> int:
        """Run with the words behind the name; prints what is wrong with them."""
        if self.raw:
            return int(self.function(shell, words))
        from tdvfsh.commands.signature import ArgumentError

        try:
            values, keywords = self.signature.bind(self.name, words, stop=self.stop, numbers=self.numbers)
        except ArgumentError as error:
            shell.print(f"{error}\n")
            return error.status
        return int(self.function(shell, *values, **keywords))


def _no_arguments(shell: Shell) -> int:
    return 0


_LOADED: dict[str, Command] = {}


def command(
    name: str, *, level: int = 0, profile: str = "", counts: bool = True, numbers: bool = False
) -> Callable[[Handler], Handler]:
    """Register a function as a command.

    Args:
        name: Lower-case name.
        level: Shell level 1 to 3 of a command of the shell itself.
        profile: Profile of any other: ``Debug1``, ``Driver1``, ``td`` and so on.
        counts: Whether its status goes into ``lasterror``.
        numbers: Whether words such as ``-5`` are arguments.
    """

    def register(function: Handler) -> Handler:
        define(name, function, level=level, profile=profile, counts=counts, numbers=numbers)
        return function

    return register


def define(
    name: str,
    function: Callable[..., int],
    *,
    level: int = 0,
    profile: str = "",
    counts: bool = True,
    numbers: bool = False,
    raw: bool = False,
) -> Command:
    """Register a function under a name; see :func:`command`. With ``raw`` it takes its words as one list, unread."""
    stop = "." if level == 2 or profile in ("Debug1", "td") else ""
    _LOADED[name] = Command(
        name, function, level=level, profile=profile, stop=stop, counts=counts, numbers=numbers, raw=raw
    )
    return _LOADED[name]


def is_command(name: str) -> bool:
    """Whether a name, in any case, is a registered command."""
    return name.lower() in MODULES


def names(*, with_words: bool = True) -> list[str]:
    """All command names in order, with or without the words of the language."""
    return sorted((*MODULES, *WORDS) if with_words else MODULES)


def find(name: str) -> Command | None:
    """A command by name in any case; imports its module."""
    lower = name.lower()
    found = _LOADED.get(lower)
    if found is None and lower in MODULES:
        import_module(f"tdvfsh.commands.{MODULES[lower]}")
        found = _LOADED[lower]
    return found


def extend(modules: dict[str, str]) -> None:
    """Add commands that stand in further modules of this package."""
    MODULES.update(modules)


def loaded() -> dict[str, Any]:
    """The commands whose modules have been imported."""
    return dict(_LOADED)
