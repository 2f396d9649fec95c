"""Classes whose methods are compiled when they are first looked up, held against the standard library's dataclasses."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from tdvfsh import lazy_dataclass
from tdvfsh.lazy_dataclass import dataclass, field, replace

T = TypeVar("T")
Kind = dict[str, Any]
KINDS: list[Kind] = [
    {},
    {"frozen": True},
    {"slots": True},
    {"frozen": True, "slots": True},
    {"frozen": True, "slots": True, "eq": False, "repr": False},
    {"slots": True, "kw_only": True, "eq": False},
]


def _made(library: Any, options: Kind) -> tuple[type[Any], type[Any]]:
    """A class of every kind of field and one that inherits from it, made by one of both libraries."""

    @library.dataclass(**options)
    class Base:
        """A base."""

        KIND: ClassVar[str] = "kind"
        name: str
        size: int = 3
        parts: list[int] = library.field(default_factory=list)
        hidden: int = library.field(default=7, repr=False, compare=False)
        derived: dict[str, int] = library.field(default_factory=dict, init=False)

        def twice(self) -> int:
            return 2 * self.size

    @library.dataclass(**options)
    class Derived(Base):
        size: int = 5
        extra: str = "x"

        def __post_init__(self) -> None:
            self.derived["post"] = self.size

    return Base, Derived


@pytest.fixture(params=[lazy_dataclass._NOT_COMPILED, 1, 0], ids=lambda objects: f"compiled after {objects}")
def compiled_after(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_dataclass, "_NOT_COMPILED", request.param)


@pytest.fixture(params=KINDS, ids=lambda options: ",".join(options) or "plain")
def both(
    request: pytest.FixtureRequest, compiled_after: None
) -> tuple[tuple[type[Any], type[Any]], tuple[type[Any], type[Any]]]:
    return _made(lazy_dataclass, request.param), _made(dataclasses, request.param)


Both = tuple[tuple[type[Any], type[Any]], tuple[type[Any], type[Any]]]


def _outcome(run: Callable[[], object]) -> object:
    try:
        return run()
    except AttributeError as error:
        return AttributeError, str(error)
    except (TypeError, ValueError) as error:  # Python 3.13 made one of the other here and there
        return str(error).replace("tdvfsh.lazy_dataclass", "dataclasses")


def _hashes_alike(cls: type[Any]) -> bool:
    """Not for hashes of identity: those of two objects may be equal when the first is gone."""
    return hash(cls(name="a", parts=())) == hash(cls(name="a", parts=(), hidden=9))


@pytest.mark.parametrize(
    "use",
    [
        lambda cls: repr(cls(name="a")),
        lambda cls: cls(name="a") == cls(name="a", hidden=8),
        lambda cls: cls(name="a") == cls(name="b"),
        lambda cls: cls(name="a") == "a",
        lambda cls: cls.__hash__ not in {None, object.__hash__} and _hashes_alike(cls),
        lambda cls: cls.__hash__ is None,
        lambda cls: cls.__hash__ is object.__hash__,
        lambda cls: cls("a", 4).size,
        lambda cls: cls("a").twice(),
        lambda cls: cls(name="a").parts is cls(name="a").parts,
        lambda cls: setattr(cls(name="a"), "name", "b"),
        lambda cls: delattr(cls(name="a"), "name"),
        lambda cls: vars(cls(name="a")),
        lambda cls: getattr(cls, "__slots__", None),
        lambda cls: cls.__match_args__,
        lambda cls: str(inspect.signature(cls)),
        lambda cls: cls(),
        lambda cls: cls(name="a", wrong=1),
        lambda cls: cls("a", 4, [1], 8, "e", "f", "g"),
        lambda cls: cls("a", name="b"),
        lambda cls: cls(size=3),
        lambda cls: cls("a", derived={}),
        lambda cls: [cls("a", size=4, hidden=number).hidden for number in range(30)],
        lambda cls: (cls("a", 4, [1]).parts, cls("a", 4, [1]).derived),
        lambda cls: cls.KIND,
        lambda cls: cls.__doc__ if cls.__name__ == "Base" else None,
        lambda cls: dataclasses.asdict(cls(name="a", parts=[1])),
        lambda cls: dataclasses.astuple(cls(name="a")),
        lambda cls: [
            (each.name, each.type, each.init, each.repr, each.compare, each.kw_only) for each in dataclasses.fields(cls)
        ],
        lambda cls: (dataclasses.is_dataclass(cls(name="a")), dataclasses.is_dataclass(cls)),
        lambda cls: dataclasses.replace(cls(name="a"), size=9).size,
        lambda cls: dataclasses.replace(cls(name="a"), derived={}),
        lambda cls: copy.copy(cls(name="a")).name,
        lambda cls: copy.deepcopy(cls(name="a")).derived,
        lambda cls: cls.__init__.__qualname__,
        lambda cls: cls.__init__.__annotations__,
    ],
)
def test_a_class_does_what_the_standard_librarys_does(both: Both, use: Callable[[type[Any]], object]) -> None:
    for ours, theirs in zip(*both, strict=True):
        assert _outcome(lambda cls=ours: use(cls)) == _outcome(lambda cls=theirs: use(cls))  # type: ignore[misc]


def test_replace_does_what_the_standard_librarys_does(both: Both) -> None:
    for ours, theirs in zip(*both, strict=True):
        assert _outcome(lambda cls=ours: replace(cls(name="a"), size=9).size) == 9  # type: ignore[misc]
        assert _outcome(lambda cls=ours: replace(cls(name="a"), derived={})) == _outcome(  # type: ignore[misc]
            lambda cls=theirs: dataclasses.replace(cls(name="a"), derived={})  # type: ignore[misc]
        )


def test_replace_takes_a_dataclass_of_the_standard_library() -> None:
    @dataclasses.dataclass
    class Standard:
        size: int

    assert replace(Standard(1), size=2).size == 2


@dataclass(frozen=True, slots=True)
class Pickled:
    name: str
    parts: tuple[int, ...] = ()


def test_a_frozen_class_with_slots_is_pickled() -> None:
    assert pickle.loads(pickle.dumps(Pickled("a", (1,)))) == Pickled("a", (1,))


def test_a_method_of_the_class_itself_stays() -> None:
    @dataclass(frozen=True, slots=True)
    class Own:
        name: str

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 5

    assert repr(Own("a")) == "own"
    assert Own("a") == Own("b")
    assert hash(Own("a")) == 5


def test_a_class_with_its_own_comparison_still_gets_a_hash_of_its_fields() -> None:
    @dataclass(frozen=True)
    class Compared:
        name: str

        def __eq__(self, other: object) -> bool:
            return True

    assert hash(Compared("a")) == hash(("a",))


def test_generic_and_abstract_classes_stay_what_they_are() -> None:
    @dataclass(frozen=True, slots=True)
    class Box(Generic[T]):
        held: T

    class Shape(ABC):
        @abstractmethod
        def area(self) -> int: ...

    @dataclass(slots=True)
    class Square(Shape):
        side: int

        def area(self) -> int:
            return self.side**2

    @dataclass
    class Unknown(Shape):
        side: int

    assert Box[int](3).held == 3
    assert Square(3).area() == 9
    with pytest.raises(TypeError, match="abstract"):
        Unknown(3)  # type: ignore[abstract]


def test_a_class_of_the_standard_library_may_inherit() -> None:
    @dataclasses.dataclass(frozen=True)
    class More(Pickled):
        size: int = 3

    assert repr(More("a", (), 4)).endswith("More(name='a', parts=(), size=4)")


def test_a_class_is_frozen_if_and_only_if_its_base_is() -> None:
    @dataclass
    class Open:
        size: int

    @dataclass(frozen=True)
    class Frozen:
        size: int

    with pytest.raises(TypeError, match="Derived: of it and its base Open only one is frozen"):
        dataclass(frozen=True)(type("Derived", (Open,), {}))
    with pytest.raises(TypeError, match="Derived: of it and its base Frozen only one is frozen"):
        dataclass(type("Derived", (Frozen,), {}))


def test_a_default_that_can_change_is_refused() -> None:
    with pytest.raises(ValueError, match="default_factory"):

        @dataclass
        class Shared:
            parts: list[int] = []  # noqa: RUF012


def test_a_subclass_that_is_no_dataclass_initialises_its_base_first() -> None:
    @dataclass(slots=True)
    class Base:
        size: int

    class Plain(Base):
        def __init__(self, size: int) -> None:
            super().__init__(size + 1)

    assert Plain(1).size == 2
    assert Base(1).size == 1


def test_a_method_is_compiled_once_and_then_is_a_plain_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_dataclass, "_NOT_COMPILED", 2)

    @dataclass(slots=True)
    class Compiled:
        size: int = field(default=3)

    assert not inspect.isfunction(vars(Compiled)["__init__"])
    assert (Compiled().size, Compiled(4).size) == (3, 4)
    assert not inspect.isfunction(vars(Compiled)["__init__"])
    assert Compiled(size=5).size == 5
    assert inspect.isfunction(vars(Compiled)["__init__"])
    assert not inspect.isfunction(vars(Compiled)["__eq__"])


def test_the_standard_library_is_not_imported_before_it_is_asked() -> None:
    program = (
        "import sys\n"
        "from tdvfsh.lazy_dataclass import dataclass\n"
        "dataclass(frozen=True)(type('A', (), {'__annotations__': {'size': 'int'}}))(3)\n"
        "print(*sorted({'dataclasses', 'inspect', 'typing'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
