"""Environment variables and aliases.

Both keep the order in which they were made; a variable that is set again keeps its place. Non-volatile ones would be in
NVRAM on firmware (gShellVariableGuid, gShellAliasGuid).

Source: edk2 ShellPkg/Application/Shell/ShellProtocol.c (EfiShellSetEnv, EfiShellSetAlias), ShellEnvVar.c.
"""

from __future__ import annotations

from collections.abc import Iterable

SHELL_VARIABLE_GUID = "158DEF5A-F656-419C-B027-7A3192C079D2"
SHELL_ALIAS_GUID = "0053D9D6-2659-4599-A26B-EF4536E631A9"
READ_ONLY = frozenset(
    ("cwd", "lasterror", "profiles", "uefishellsupport", "uefishellversion", "uefiversion", "nonesting")
)
BUILT_IN_ALIASES = {
    "cat": "type",
    "cd..": "cd ..",
    "cd\\": "cd \\",
    "copy": "cp",
    "del": "rm",
    "dir": "ls",
    "md": "mkdir",
    "mem": "dmem",
    "mount": "map",
    "move": "mv",
    "ren": "mv",
}


State = tuple[dict[str, str], set[str]]
"""What is kept of variables or aliases to go back to: values, and the names of the volatile ones."""


class Environment:
    """The variables. Names are case-sensitive, as in edk2."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._volatile: set[str] = set()

    def state(self) -> State:
        """All variables as they are now."""
        return self._values.copy(), self._volatile.copy()

    def restore(self, state: State) -> None:
        """Restore what :meth:`state` returned."""
        self._values, self._volatile = state[0].copy(), state[1].copy()

    def items(self) -> Iterable[tuple[str, str]]:
        """All variables in order."""
        return self._values.items()

    def get(self, name: str) -> str | None:
        """A value, None where there is no such variable."""
        return self._values.get(name)

    def is_volatile(self, name: str) -> bool | None:
        """Whether a variable is volatile, None where there is none."""
        return name in self._volatile if name in self._values else None

    def set_internal(self, name: str, value: str, *, volatile: bool = True) -> None:
        """Set any variable, also those that commands may not; an empty value removes it."""
        if not value:
            self._values.pop(name, None)
            self._volatile.discard(name)
            return
        self._values[name] = value
        if volatile:
            self._volatile.add(name)
        else:
            self._volatile.discard(name)

    def set(self, name: str, value: str, *, volatile: bool) -> bool:
        """Set or, with an empty value, delete a variable; False where that is refused."""
        if not name or name in READ_ONLY or (not value and name not in self._values):
            return False
        self.set_internal(name, value, volatile=volatile)
        return True


class Aliases:
    """The aliases: names without regard to case, built-in ones first."""

    def __init__(self) -> None:
        self._commands: dict[str, str] = {}
        self._volatile: set[str] = set()

    def state(self) -> State:
        """All aliases but the built-in ones as they are now."""
        return self._commands.copy(), self._volatile.copy()

    def restore(self, state: State) -> None:
        """Restore what :meth:`state` returned."""
        self._commands, self._volatile = state[0].copy(), state[1].copy()

    def get(self, name: str) -> str | None:
        """What an alias stands for."""
        lower = name.lower()
        return BUILT_IN_ALIASES.get(lower) or self._commands.get(lower)

    def items(self) -> list[tuple[str, str, bool]]:
        """Name, command and whether volatile: the built-in ones, volatile ones, then the others."""
        own = sorted(self._commands.items(), key=lambda item: item[0] not in self._volatile)
        listed = [(name, command, name in self._volatile) for name, command in own]
        return [(name, command, False) for name, command in BUILT_IN_ALIASES.items()] + listed

    def is_built_in(self, name: str) -> bool:
        """Whether a name cannot be changed: a built-in alias, or what one stands for."""
        lower = name.lower()
        return lower in BUILT_IN_ALIASES or lower in BUILT_IN_ALIASES.values()

    def is_volatile(self, name: str) -> bool:
        """Whether an alias lasts for this session only."""
        return name.lower() in self._volatile

    def set(self, name: str, command: str, *, volatile: bool) -> bool:
        """Make an alias, or change its command; False where one of the other lifetime has the name."""
        lower = name.lower()
        if lower in self._commands and volatile != (lower in self._volatile):
            return False
        self._commands[lower] = command
        if volatile:
            self._volatile.add(lower)
        return True

    def remove(self, name: str) -> bool:
        """Delete an alias; False where there is none."""
        lower = name.lower()
        self._volatile.discard(lower)
        return self._commands.pop(lower, None) is not None
