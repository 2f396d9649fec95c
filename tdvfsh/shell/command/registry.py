"""Commands by name. The table names the module of each, so that only what is used is imported.

A command is a function that takes the shell, then its arguments; keyword-only parameters are its options. Its docstring
is its help: the first line names it, sections follow (see :mod:`tdvfsh.shell.command.helptext`).
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.lazy_typing import TYPE_CHECKING, Any, TypeVar
from tdvfsh.script.words import WORDS

if TYPE_CHECKING:
    from tdvfsh.shell.command.signature import Signature
    from tdvfsh.shell.shell import Shell

MODULES: dict[str, str] = {
    "accept": "td.accept",
    "alias": "console.set_alias",
    "assert": "session.assert_",
    "attrib": "files.attributes",
    "bcfg": "firmware.bcfg",
    "boot": "boot.boot",
    "bs": "td.bs",
    "cd": "files.files",
    "cls": "console.screen",
    "comp": "files.comp",
    "compare": "boot.boot",
    "connect": "firmware.connect",
    "cp": "files.copying",
    "date": "console.clock",
    "dblk": "firmware.unmodelled",
    "devices": "firmware.unmodelled",
    "devtree": "firmware.unmodelled",
    "dh": "firmware.dh",
    "diff": "session.diff",
    "disconnect": "firmware.connect",
    "dmem": "firmware.memory",
    "dmpstore": "firmware.setvar",
    "drivers": "firmware.unmodelled",
    "drvcfg": "firmware.unmodelled",
    "drvdiag": "firmware.unmodelled",
    "echo": "console.screen",
    "edit": "firmware.unmodelled",
    "eficompress": "firmware.unmodelled",
    "efidecompress": "firmware.unmodelled",
    "exit": "console.control",
    "explain": "boot.boot",
    "fault": "td.fault",
    "getmtc": "console.clock",
    "help": "console.help",
    "hexedit": "firmware.unmodelled",
    "http": "firmware.unmodelled",
    "ifconfig": "firmware.unmodelled",
    "ifconfig6": "firmware.unmodelled",
    "initrd": "td.initrd",
    "inspect": "boot.inspect",
    "ladder": "boot.ladder",
    "load": "firmware.load",
    "loadpcirom": "firmware.unmodelled",
    "ls": "files.ls",
    "map": "files.map",
    "memmap": "firmware.memory",
    "mkdir": "files.copying",
    "mkimage": "boot.mkimage",
    "mm": "firmware.memory",
    "mode": "console.mode",
    "mv": "files.copying",
    "openinfo": "firmware.openinfo",
    "parse": "files.parse",
    "pause": "console.screen",
    "pci": "firmware.unmodelled",
    "ping": "firmware.unmodelled",
    "ping6": "firmware.unmodelled",
    "reconnect": "firmware.connect",
    "record": "session.record",
    "redo": "session.undo",
    "report": "session.report",
    "reset": "console.control",
    "rm": "files.copying",
    "sept": "td.accept",
    "sermode": "firmware.unmodelled",
    "set": "console.set_alias",
    "setsize": "files.attributes",
    "setvar": "firmware.setvar",
    "share": "td.share",
    "smbiosview": "firmware.smbiosview",
    "snap": "session.snap",
    "stall": "console.clock",
    "td": "td.td",
    "tdcall": "td.accept",
    "tftp": "firmware.unmodelled",
    "time": "console.clock",
    "timezone": "console.clock",
    "touch": "files.attributes",
    "trace": "session.trace",
    "type": "files.files",
    "undo": "session.undo",
    "unload": "firmware.load",
    "ver": "console.control",
    "vol": "files.attributes",
    "watch": "session.watch",
}
"""Command to module of :mod:`tdvfsh.commands`; a test keeps it true."""

TAKE_OPERATORS = frozenset(("assert",))
"""Commands whose ``<`` and ``>`` compare: a script in CI must not end well because a comparison wrote a file."""

Handler = TypeVar("Handler", bound=Callable[..., int])


class Command:
    """One registered command.

    ``level`` is its shell level (0 for a profile's command), ``profile`` its profile, ``stop`` the full stop that some
    of firmware's command libraries put after "Too few arguments", ``counts`` whether ``lasterror`` takes its status,
    ``numbers`` whether ``-5`` is an argument, ``after_bad_flag`` what runs after the message of an unknown flag.
    """

    __slots__ = (
        "_signature",
        "after_bad_flag",
        "counts",
        "function",
        "level",
        "name",
        "numbers",
        "profile",
        "raw",
        "stop",
    )

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
        after_bad_flag: Callable[[Shell], None] | None = None,
    ) -> None:
        self.name = name
        self.after_bad_flag = after_bad_flag
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
            from tdvfsh.shell.command.signature import Signature

            function = _no_arguments if self.raw else self.function
            self._signature = Signature(function, two_dashes=self.profile == "td")
        return self._signature

    def run(self, shell: Shell, words: list[str]) -> int:
        """Run with the words after the name; prints what is wrong with them."""
        if self.raw:
            return int(self.function(shell, words))
        from tdvfsh.shell.command.signature import ArgumentError, UnknownFlag

        try:
            values, keywords = self.signature.bind(self.name, words, stop=self.stop, numbers=self.numbers)
        except ArgumentError as error:
            shell.print(f"{error}\n")
            if isinstance(error, UnknownFlag) and self.after_bad_flag is not None:
                self.after_bad_flag(shell)
            return error.status
        return int(self.function(shell, *values, **keywords))


def _no_arguments(shell: Shell) -> int:
    return 0


_LOADED: dict[str, Command] = {}


def command(
    name: str,
    *,
    level: int = 0,
    profile: str = "",
    counts: bool = True,
    numbers: bool = False,
    after_bad_flag: Callable[[Shell], None] | None = None,
) -> Callable[[Handler], Handler]:
    """Register a function as a command.

    Args:
        name: Lower-case name.
        level: Shell level 1 to 3 of a command of the shell itself.
        profile: Profile of any other: ``Debug1``, ``Driver1``, ``td`` and so on.
        counts: Whether its status goes into ``lasterror``.
        numbers: Whether words such as ``-5`` are arguments.
        after_bad_flag: Called after the message of an unknown flag.
    """

    def register(function: Handler) -> Handler:
        define(
            name,
            function,
            level=level,
            profile=profile,
            counts=counts,
            numbers=numbers,
            after_bad_flag=after_bad_flag,
        )
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
    after_bad_flag: Callable[[Shell], None] | None = None,
) -> Command:
    """Register a function under a name; see :func:`command`. With ``raw`` it takes its words as one list, unread."""
    stop = "." if level == 2 or profile in ("Debug1", "td") else ""
    _LOADED[name] = Command(
        name,
        function,
        level=level,
        profile=profile,
        stop=stop,
        counts=counts,
        numbers=numbers,
        raw=raw,
        after_bad_flag=after_bad_flag,
    )
    return _LOADED[name]


def is_command(name: str) -> bool:
    """Whether a name, in any case, is a registered command."""
    return name.lower() in MODULES or name.lower() in _LOADED


def names(*, with_words: bool = True) -> list[str]:
    """All command names in order, with or without the words of the language."""
    known = {**MODULES, **_LOADED}
    return sorted((*known, *WORDS) if with_words else known)


def find(name: str) -> Command | None:
    """A command by name in any case; imports its module."""
    lower = name.lower()
    found = _LOADED.get(lower)
    if found is None and lower in MODULES:
        __import__(f"tdvfsh.commands.{MODULES[lower]}")
        found = _LOADED[lower]
    return found


def extend(modules: dict[str, str]) -> None:
    """Add commands that stand in further modules of this package."""
    MODULES.update(modules)


def loaded() -> dict[str, Any]:
    """The commands whose modules have been imported."""
    return dict(_LOADED)
