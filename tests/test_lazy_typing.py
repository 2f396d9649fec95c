"""Named tuples, protocols and annotations without :mod:`typing`, held against the standard library's."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import typing
from collections.abc import Callable
from typing import Any

import pytest

from tdvfsh import lazy_typing


def _made(library: Any) -> Any:
    class Point(library.NamedTuple):  # type: ignore[misc]
        """A point."""

        x: int
        y: int = 2
        name: str = "p"

        def total(self) -> int:
            return int(self.x + self.y)

        @property
        def twice(self) -> Any:
            return self._replace(x=2 * self.x)

        @classmethod
        def at_zero(cls) -> Any:
            return cls(0)

    return Point


def _outcome(use: Callable[[Any], object], made: Any) -> object:
    try:
        return use(made)
    except AttributeError as error:
        return AttributeError, str(error)
    except (TypeError, ValueError) as error:  # Python 3.13 made one of the other here and there
        return str(error)


@pytest.mark.parametrize(
    "use",
    [
        lambda cls: repr(cls(1)),
        lambda cls: str(cls(x=1, name="q")),
        lambda cls: cls(1) == (1, 2, "p"),
        lambda cls: hash(cls(1)) == hash((1, 2, "p")),
        lambda cls: cls(1) < cls(2),
        lambda cls: tuple(cls(1)),
        lambda cls: (cls(1).x, cls(1).name, cls(1)[1]),
        lambda cls: cls(),
        lambda cls: cls(1, 2, "a", 4),
        lambda cls: cls(1, wrong=2),
        lambda cls: cls(1).total(),
        lambda cls: tuple(cls(3).twice),
        lambda cls: tuple(cls.at_zero()),
        lambda cls: tuple(cls(1)._replace(y=5)),
        lambda cls: cls(1)._replace(wrong=5),
        lambda cls: tuple(cls._make([1, 2, 3])),
        lambda cls: cls._make([1]),
        lambda cls: cls(1)._asdict(),
        lambda cls: (cls._fields, cls._field_defaults, cls.__match_args__),
        lambda cls: setattr(cls(1), "x", 2),
        lambda cls: setattr(cls(1), "more", 2),
        lambda cls: vars(cls(1)),
        lambda cls: (cls.__bases__, cls.__doc__, cls.__name__, cls.__module__, type(cls)),
        lambda cls: (cls.x.__doc__, cls.__new__.__doc__, cls.__new__.__name__),
        lambda cls: str(inspect.signature(cls)).replace("ForwardRef('", "'").replace("')", "'"),
        lambda cls: inspect.isdatadescriptor(cls.x),
        lambda cls: tuple(copy.copy(cls(1))),
        lambda cls: repr(copy.deepcopy(cls(1, name="z"))),
        lambda cls: cls(1).__getnewargs__(),
        lambda cls: list(cls.__annotations__),
        lambda cls: typing.get_type_hints(cls),
        lambda cls: repr(type("Derived", (cls,), {"total": lambda self: 7})(1)),
        lambda cls: type("Derived", (cls,), {"__new__": lambda made, x: cls.__new__(made, x, 8)})(1).y,
        lambda cls: cls(1).__class__ is cls,
    ],
)
def test_a_named_tuple_does_what_the_standard_librarys_does(use: Callable[[Any], object]) -> None:
    assert _outcome(use, _made(lazy_typing)) == _outcome(use, _made(typing))


class Pickled(lazy_typing.NamedTuple):
    """A named tuple that pickle finds by its name."""

    size: int
    parts: tuple[int, ...] = ()


class Longer(Pickled):
    """A class that extends one of named tuples."""

    def __new__(cls, size: int) -> Longer:
        return super().__new__(cls, size, (size,) * 2)


def test_a_named_tuple_is_pickled_and_extended() -> None:
    assert pickle.loads(pickle.dumps(Pickled(1, (2,)))) == (1, (2,))
    assert type(pickle.loads(pickle.dumps(Pickled(1)))) is Pickled
    assert repr(Longer(3)) == "Longer(size=3, parts=(3, 3))"
    match Pickled(1, (2,)):
        case Pickled(size, parts):
            assert (size, parts) == (1, (2,))


def test_a_constructor_is_compiled_once_when_it_is_first_called() -> None:
    made = _made(lazy_typing)
    assert not isinstance(vars(made)["__new__"], staticmethod)
    assert made(1).__new__ is made.__new__
    assert isinstance(vars(made)["__new__"], staticmethod)


def _protocols(library: Any) -> tuple[Any, Any]:
    class Readable(library.Protocol):  # type: ignore[misc]
        def read(self) -> None: ...

        @property
        def size(self) -> object: ...

    @library.runtime_checkable
    class Disk(Readable, library.Protocol):  # type: ignore[misc]
        name: str

        def write(self) -> None: ...

    class Own(Disk):
        pass

    return Disk, Own


@pytest.mark.parametrize(
    ("members", "has_all"),
    [
        ({"read": print, "size": 3, "name": "n", "write": print}, True),
        ({"read": print, "size": 3, "name": "n"}, False),
        ({"size": 3, "name": "n", "write": print}, False),
        ({"read": print, "name": "n", "write": print}, False),
        ({"read": print, "size": 3, "write": print}, False),
        ({}, False),
    ],
)
def test_a_checkable_protocol_looks_for_all_members(members: dict[str, object], has_all: bool) -> None:
    for library in (lazy_typing, typing):
        disk, own = _protocols(library)
        thing = type("Thing", (), members)()
        assert isinstance(thing, disk) is has_all
        assert not isinstance(thing, own)
        assert isinstance(own(), disk)
        assert isinstance(own(), own)


@pytest.mark.parametrize("library", [lazy_typing, typing])
def test_annotated_types_keep_their_metadata_inside_a_union(library: Any) -> None:
    address = library.Annotated[int, "hex", 3]
    assert address.__metadata__ == ("hex", 3)
    assert address.__args__ == (int,)
    assert (address | None).__args__[0] is address
    assert (str | address).__args__[1] is address


def test_names_for_type_checkers_do_nothing_at_run_time() -> None:
    made = lazy_typing.TypeVar("made")
    assert made.__name__ == "made"

    class Box(lazy_typing.Generic[made]):
        pass

    assert type(Box[int]()) is Box
    assert lazy_typing.cast(int, "text") == "text"  # type: ignore[comparison-overlap]
    assert isinstance(3, int | lazy_typing.TextIO)  # in an alias at the top of a module
    assert lazy_typing.TYPE_CHECKING is False


def test_the_standard_librarys_typing_is_not_imported() -> None:
    code = (
        "import sys\n"
        "from tdvfsh.lazy_typing import NamedTuple\n"
        "class A(NamedTuple): pass\n"
        "A()\n"
        "print('typing' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
