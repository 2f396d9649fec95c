"""What every option has: how a value is read and checked, written, and described.

An option is a descriptor: a class that declares some holds their values, and what is assigned may be text, as a user
writes it. ``memory: Size = Size("RAM", default="4G")`` makes ``Options(memory="2G").memory`` the integer 2147483648,
for type checkers too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Any, Final, Generic, TypedDict, TypeVar, overload

if TYPE_CHECKING:

    class More(TypedDict, total=False):
        """Arguments of every kind of option, as :class:`Option` says."""

        samples: tuple[str, ...]
        sweep: bool
        formerly: tuple[str, ...]
        only: tuple[str, ...]


Held = TypeVar("Held")
Given = TypeVar("Given")
Plain = int | str | bool
"""A value as results of a sweep hold it: sizes are bytes, policies and names are words."""
_SHOWN: Final = 60


class Option(ABC, Generic[Held, Given]):
    """One option.

    Args:
        summary: What it is, for a line of help.
        default: Its default value, as text; None where there is none.
        form: What help calls the value.
        samples: Values worth proposing, beside the choices.
        sweep: Whether a sweep may vary it.
        formerly: Names it had at the prompt, which are answered with a hint.
        only: Commands and subcommands to which it applies; all where there are none.

    Attributes:
        name: As the library and sweeps call it; the command line has ``--`` and dashes instead of underscores.
        given_as: The types of values that it takes, for readers of the library's help.
        takes_value: Whether a value follows it on the command line and at the prompt.
        repeats: Whether it may be given repeatedly.
        is_size: Whether values count bytes.
        is_file: Whether values are paths; where only some are, ``suffix`` ends those.
        image: The kind of image whose name will do for a path; empty where none will.
    """

    given_as = "str"
    takes_value = True
    repeats = False
    is_size = False
    is_file = False
    suffix = ""
    image = ""

    def __init__(
        self,
        summary: str,
        *,
        default: str | None = None,
        form: str = "",
        samples: tuple[str, ...] = (),
        sweep: bool = False,
        formerly: tuple[str, ...] = (),
        only: tuple[str, ...] = (),
    ) -> None:
        self.name = ""
        self.summary = summary
        self.default = default
        self.form = form
        self.samples = samples
        self.sweep = sweep
        self.formerly = formerly
        self.only = only
        self._default_read: tuple[object, Held] | None = None

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Given: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Held: ...

    def __get__(self, instance: object | None, owner: type) -> Held | Given:
        if instance is None:
            return self.unset  # what a dataclass takes for the field's default
        value: Held = instance.__dict__[self.name]
        return value

    def __set__(self, instance: object, value: Given) -> None:
        known = self._default_read
        if known is not None and value is known[0]:
            instance.__dict__[self.name] = known[1]
            return
        try:
            held = instance.__dict__[self.name] = self.read(value)
        except UsageError as error:
            raise UsageError(f"--{self.spelling} {error}") from None
        if known is None and isinstance(value, str | tuple) and value == self.unset:
            self._default_read = value, held  # nearly all options of nearly all TDs

    @property
    def unset(self) -> Given:
        """What stands for the value where none is given; :meth:`read` takes it."""
        return self.default  # type: ignore[return-value]  # every kind takes text

    @property
    def spelling(self) -> str:
        """Its name in commands, without dashes in front."""
        return self.name.replace("_", "-")

    @abstractmethod
    def read(self, value: object) -> Held:
        """The value that text, or a value of the right type, stands for.

        Raises:
            UsageError: It stands for none; the message begins with it.
        """

    def words(self, value: Any) -> list[str]:
        """The words of a command line that set it to a value as it was given."""
        texts = value if self.repeats and not isinstance(value, str) else [value]
        return [word for text in texts for word in (f"--{self.spelling}", str(text))]

    @abstractmethod
    def plain(self, value: Held) -> Plain:
        """The value in the one spelling that results of a sweep hold."""

    def names_file(self, value: object) -> bool:
        """Whether a value is the path of a file: at the prompt that is a file of the shell's drives."""
        return self.is_file or (bool(self.suffix) and isinstance(value, str) and value.endswith(self.suffix))

    def with_files(self, value: object, locate: Callable[[str], str]) -> object:
        """The value with each file that it names replaced by what ``locate`` returns for it."""
        return locate(str(value)) if self.names_file(value) else value

    def choices(self) -> tuple[str, ...]:
        """All values, where they can be counted."""
        return ()

    def proposals(self) -> tuple[str, ...]:
        """Values to complete from."""
        return self.choices() or self.samples

    def meaning(self, value: str) -> str:
        """What one of the proposals means."""
        return self.summary

    def line(self) -> str:
        """Summary, values and default, for help."""
        choices = self.choices() + ((f"FILE{self.suffix}",) if self.suffix else ())
        values = f": {', '.join(choices)}" if choices else ""
        default = f" (default {self.default})" if self.default is not None else ""
        return f"{self.summary}{values}{default}"


def shown(value: object) -> str:
    """A value as a message shows it: at most so long, and text without quotes."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
