"""``dataclass``, ``field`` and ``replace`` as the standard library's, but for when a class's methods are compiled.

``dataclasses.dataclass`` compiles source for up to six methods of each class that it makes, 0.6 ms a class, and imports
``inspect`` to do so. A process imports some eighty classes and calls few of their methods: that was a third of a boot's
time. Here a method is compiled when it is first looked up; from then on the plain function stands in the class that the
standard library would have put there. ``__init__`` is not compiled for the first few objects either, which is all that
a boot makes of most classes: arguments are matched with fields one by one then, which takes some microseconds.

What ``dataclasses.fields``, ``asdict`` and ``is_dataclass`` ask of a class is made by the standard library itself, when
it is asked.

Of its options those that nothing here uses are not there: ``order``, ``unsafe_hash``, ``weakref_slot``, ``InitVar``.

Source: CPython 3.11, ``Lib/dataclasses.py``, for what the methods do.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
    from types import FunctionType
    from typing import Any

_MISSING: Any = object()
_FACTORY: Any = type("_Factory", (), {"__repr__": lambda self: "<factory>"})()
"""Default of a parameter for which a factory is called; ``help`` shows it."""

_NOT_COMPILED = 20
"""Objects of a class that are made before its ``__init__`` is compiled."""

_RECIPE = "__lazy_dataclass__"
"""The attribute of a class with its :class:`_Recipe`."""


class _Field:
    """Declaration of one field."""

    __slots__ = ("compare", "default", "default_factory", "init", "kw_only", "name", "repr", "type")

    def __init__(
        self,
        *,
        default: Any = _MISSING,
        default_factory: Any = _MISSING,
        init: bool = True,
        repr: bool = True,
        compare: bool = True,
        kw_only: bool | None = None,
    ) -> None:
        self.name = self.type = ""
        self.default = default
        self.default_factory = default_factory
        self.init = init
        self.repr = repr
        self.compare = compare
        self.kw_only = kw_only


_SLOT = type(_Field.__dict__["name"])


class _Recipe:
    """What the methods of a class are compiled from: the decorator's options, and all fields, inherited ones first."""

    __slots__ = ("eq", "fields", "frozen", "kw_only", "owner", "repr", "slots")

    def __init__(self, frozen: bool, slots: bool, eq: bool, repr: bool, kw_only: bool) -> None:
        self.frozen = frozen
        self.slots = slots
        self.eq = eq
        self.repr = repr
        self.kw_only = kw_only
        self.fields: dict[str, _Field] = {}
        self.owner: Any = None


class _Later:
    """Attribute of a class that is made, and put in this one's place, when it is first looked up."""

    __slots__ = ("make", "name", "recipe")

    def __init__(self, name: str, recipe: _Recipe, make: Callable[[_Recipe], Any]) -> None:
        self.name = name
        self.recipe = recipe
        self.make = make

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        made = self.make(self.recipe)
        setattr(self.recipe.owner, self.name, made)
        return made.__get__(instance, owner) if instance is not None and hasattr(made, "__get__") else made


class _LaterInit(_Later):
    """``__init__``, which for the first few objects is :func:`_assign`."""

    __slots__ = ("left",)

    def __init__(self, name: str, recipe: _Recipe, make: Callable[[_Recipe], Any]) -> None:
        super().__init__(name, recipe, make)
        self.left = _NOT_COMPILED

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if not self.left or not isinstance(instance, self.recipe.owner):  # 3.13: a class, by inspect
            return super().__get__(instance, owner)
        self.left -= 1
        return lambda *args, **given: self._init(instance, args, given)

    def _init(self, instance: object, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        if not _assign(self.recipe, instance, args, given):
            self.left = 0
            self.__get__(instance)(*args, **given)  # raises what the function raises


def _assign(recipe: _Recipe, instance: object, args: tuple[Any, ...], given: dict[str, Any]) -> bool:
    """What the compiled ``__init__`` does; False, and nothing is done, where the arguments do not fit."""
    values: dict[str, Any] = {}
    at, left = 0, len(given)
    for name, field in recipe.fields.items():
        if not field.init:
            continue
        if at < len(args) and not field.kw_only:
            values[name] = args[at]
            at += 1
        elif name in given:
            values[name] = given[name]
            left -= 1
        elif field.default is field.default_factory is _MISSING:
            return False
    if left or at < len(args):
        return False
    put: Any = object.__setattr__ if recipe.frozen else setattr
    for name, field in recipe.fields.items():
        if name in values:
            put(instance, name, values[name])
        elif field.default_factory is not _MISSING:
            put(instance, name, field.default_factory())
        elif field.default is not _MISSING and (field.init or recipe.slots):
            put(instance, name, field.default)
    if hasattr(recipe.owner, "__post_init__"):
        instance.__post_init__()  # type: ignore[attr-defined]
    return True


def _decorate(cls: Any, recipe: _Recipe) -> Any:
    namespace: Mapping[str, Any] = cls.__dict__
    for base in cls.__mro__[-1:0:-1]:
        if _RECIPE in base.__dict__:
            inherited: _Recipe = base.__dict__[_RECIPE]
            if inherited.frozen is not recipe.frozen:
                raise TypeError(f"{cls.__name__}: of it and its base {base.__name__} only one is frozen")
            recipe.fields.update(inherited.fields)
        elif "__dataclass_fields__" in base.__dict__:
            raise TypeError(f"{cls.__name__}: {base.__name__}, a base of it, is a dataclass of the standard library")
    own = []
    for name, annotation in namespace.get("__annotations__", {}).items():
        if not annotation.startswith(("ClassVar", "typing.ClassVar")):
            recipe.fields[name] = _declared(name, annotation, getattr(cls, name, _MISSING), recipe)
            own.append(name)
    added = {
        _RECIPE: recipe,
        "__match_args__": tuple(field.name for field in recipe.fields.values() if field.init and not field.kw_only),
    }
    makers = _makers(namespace, recipe)
    added |= {name: (_LaterInit if make is _init else _Later)(name, recipe, make) for name, make in makers.items()}
    if recipe.eq and not recipe.frozen and namespace.get("__hash__") is None:
        added["__hash__"] = None
    if recipe.slots:
        recipe.owner = cls = _with_slots(cls, added, own)
    else:
        recipe.owner = cls
        for name in own:
            declared = recipe.fields[name]
            if namespace.get(name) is declared:
                if declared.default is _MISSING:
                    delattr(cls, name)
                else:
                    setattr(cls, name, declared.default)
        for name, value in added.items():
            setattr(cls, name, value)
    return cls


def _declared(name: str, annotation: str, default: Any, recipe: _Recipe) -> _Field:
    if isinstance(default, _Field):
        declared = default
    else:  # a slot of a base is no default; a descriptor's is what it returns for the class
        declared = _Field(default=_MISSING if type(default) is _SLOT else default)
    if declared.default.__class__.__hash__ is None:
        raise ValueError(f"{name}: a mutable default would be shared by all objects: use default_factory")
    declared.name, declared.type = name, annotation
    if declared.kw_only is None:
        declared.kw_only = recipe.kw_only
    return declared


def _with_slots(cls: Any, added: Mapping[str, Any], own: list[str]) -> Any:
    """The class once more, with slots for its own fields, whose defaults are only in the recipe."""
    inherited = {slot for base in cls.__mro__[1:-1] for slot in base.__dict__.get("__slots__", ())}
    left_out = {"__dict__", "__weakref__", *own}
    namespace: dict[str, Any] = {name: value for name, value in cls.__dict__.items() if name not in left_out}
    namespace |= added
    namespace["__slots__"] = tuple(name for name in own if name not in inherited)
    again = type(cls)(cls.__name__, cls.__bases__, namespace)
    again.__qualname__ = cls.__qualname__
    return again


def _makers(namespace: Mapping[str, Any], recipe: _Recipe) -> dict[str, Callable[[_Recipe], Any]]:
    """What is to be made for the class: what it defines itself stays."""
    makers: dict[str, Callable[[_Recipe], Any]] = {"__init__": _init}
    if recipe.repr:
        makers["__repr__"] = _repr
    if recipe.eq:
        makers["__eq__"] = _eq
        if recipe.frozen:
            makers["__hash__"] = _hash
    if recipe.frozen:
        makers |= {"__setattr__": _setattr, "__delattr__": _delattr}
        if recipe.slots:
            makers |= {"__getstate__": _getstate, "__setstate__": _setstate}
    kept = {name for name in makers if namespace.get(name) is not None}
    return {name: make for name, make in makers.items() if name not in kept} | {
        "__dataclass_fields__": lambda recipe: _standard_twin(recipe).__dataclass_fields__,
        "__dataclass_params__": lambda recipe: _standard_twin(recipe).__dataclass_params__,
        "__replace__": lambda recipe: _replace,
    }


def _compiled(recipe: _Recipe, name: str, parameters: str, body: list[str], known: dict[str, Any]) -> FunctionType:
    """A method of the class whose lines are ``body`` and whose globals are ``known``."""
    known["__name__"] = recipe.owner.__module__
    exec(f"def {name}({parameters}):\n " + "\n ".join(body or ["pass"]), known)
    function: FunctionType = known.pop(name)
    function.__qualname__ = f"{recipe.owner.__qualname__}.{name}"
    return function


def _init(recipe: _Recipe) -> FunctionType:
    known: dict[str, Any] = {"_factory": _FACTORY, "_set": object.__setattr__}
    positional, by_keyword = ["self"], list[str]()
    body: list[str] = []
    annotations: dict[str, Any] = {}
    for name, field in recipe.fields.items():
        value = name
        if field.default is not _MISSING:
            known[f"_default_{name}"] = field.default
        if field.default_factory is not _MISSING:
            known[f"_make_{name}"] = field.default_factory
        if field.init:
            parameter = name
            if field.default is not _MISSING:
                parameter = f"{name}=_default_{name}"
            elif field.default_factory is not _MISSING:
                parameter = f"{name}=_factory"
                value = f"_make_{name}() if {name} is _factory else {name}"
            (by_keyword if field.kw_only else positional).append(parameter)
            annotations[name] = field.type
        elif field.default_factory is not _MISSING:
            value = f"_make_{name}()"
        elif field.default is not _MISSING and recipe.slots:
            value = f"_default_{name}"
        else:
            continue  # __post_init__ sets it
        body.append(f"_set(self, {name!r}, {value})" if recipe.frozen else f"self.{name} = {value}")
    if hasattr(recipe.owner, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join(positional + (["*", *by_keyword] if by_keyword else []))
    function = _compiled(recipe, "__init__", parameters, body, known)
    function.__annotations__ = annotations | {"return": None}
    return function


def _eq(recipe: _Recipe) -> FunctionType:
    ours, theirs = (_tuple_of(recipe, name) for name in ("self", "other"))
    body = ["if other.__class__ is self.__class__:", f" return {ours} == {theirs}", "return NotImplemented"]
    return _compiled(recipe, "__eq__", "self, other", body, {})


def _hash(recipe: _Recipe) -> FunctionType:
    return _compiled(recipe, "__hash__", "self", [f"return hash({_tuple_of(recipe, 'self')})"], {})


def _tuple_of(recipe: _Recipe, name: str) -> str:
    return "(" + "".join(f"{name}.{field.name}, " for field in recipe.fields.values() if field.compare) + ")"


def _repr(recipe: _Recipe) -> Any:
    from reprlib import recursive_repr

    shown = ", ".join(f"{field.name}={{self.{field.name}!r}}" for field in recipe.fields.values() if field.repr)
    body = [f"return f'{{self.__class__.__qualname__}}({shown})'"]
    return recursive_repr()(_compiled(recipe, "__repr__", "self", body, {}))


def _setattr(recipe: _Recipe) -> Callable[[Any, str, Any], None]:
    def __setattr__(self: Any, name: str, value: Any) -> None:
        if type(self) is recipe.owner or name in recipe.fields:
            raise _frozen(f"cannot assign to field {name!r}")
        super(recipe.owner, self).__setattr__(name, value)

    return __setattr__


def _delattr(recipe: _Recipe) -> Callable[[Any, str], None]:
    def __delattr__(self: Any, name: str) -> None:
        if type(self) is recipe.owner or name in recipe.fields:
            raise _frozen(f"cannot delete field {name!r}")
        super(recipe.owner, self).__delattr__(name)

    return __delattr__


def _frozen(what: str) -> AttributeError:
    from dataclasses import FrozenInstanceError

    return FrozenInstanceError(what)


def _getstate(recipe: _Recipe) -> Callable[[Any], list[Any]]:
    return lambda self: [getattr(self, name) for name in recipe.fields]


def _setstate(recipe: _Recipe) -> Callable[[Any, list[Any]], None]:
    def __setstate__(self: Any, state: list[Any]) -> None:
        for name, value in zip(recipe.fields, state, strict=True):
            object.__setattr__(self, name, value)

    return __setstate__


def _standard_twin(recipe: _Recipe) -> Any:
    """A class of the same fields, made by the standard library."""
    import dataclasses

    namespace: dict[str, Any] = {"__annotations__": {field.name: field.type for field in recipe.fields.values()}}
    for field in recipe.fields.values():
        given = {"default": field.default, "default_factory": field.default_factory}
        namespace[field.name] = dataclasses.field(
            init=field.init, repr=field.repr, compare=field.compare, kw_only=bool(field.kw_only),
            **{name: value for name, value in given.items() if value is not _MISSING},
        )  # fmt: skip
    namespace["__module__"] = recipe.owner.__module__
    twin = type(recipe.owner.__name__, (), namespace)
    return dataclasses.dataclass(twin, frozen=recipe.frozen, eq=recipe.eq, repr=recipe.repr)


def _replace(instance: Any, /, **changes: Any) -> Any:
    recipe: _Recipe | None = getattr(type(instance), _RECIPE, None)
    if recipe is None:
        import dataclasses

        return dataclasses.replace(instance, **changes)
    for name, field in recipe.fields.items():
        if not field.init:
            if name in changes:
                raise ValueError(f"field {name} is declared with init=False, it cannot be specified with replace()")
        elif name not in changes:
            changes[name] = getattr(instance, name)
    return type(instance)(**changes)


if not TYPE_CHECKING:

    def dataclass(cls=None, /, *, frozen=False, slots=False, eq=True, repr=True, kw_only=False):
        """As ``dataclasses.dataclass``."""
        recipe = _Recipe(frozen, slots, eq, repr, kw_only)
        return (lambda decorated: _decorate(decorated, recipe)) if cls is None else _decorate(cls, recipe)

    field = _Field
    replace = _replace
