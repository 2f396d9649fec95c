"""What modules use of :mod:`typing`, without importing it: 5 ms of every process.

A type checker sees the names of :mod:`typing` itself. While the program runs most of them do nothing, since annotations
are not evaluated, and the others are these:

- ``NamedTuple``: as the standard library's, but its constructor is compiled when it is first called (0.1 ms a class, of
  which a process imports some sixty and makes few);
- ``Protocol`` and ``Generic``: plain base classes. Only a protocol that is ``runtime_checkable`` knows its members;
- ``Annotated``: keeps its metadata, for the arguments of the shell's commands.

Source: CPython 3.11, ``Lib/typing.py`` and ``Lib/collections/__init__.py``, for what they do.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's
if TYPE_CHECKING:
    from typing import IO as IO
    from typing import Annotated as Annotated
    from typing import Any as Any
    from typing import BinaryIO as BinaryIO
    from typing import ClassVar as ClassVar
    from typing import Final as Final
    from typing import Generic as Generic
    from typing import NamedTuple as NamedTuple
    from typing import NoReturn as NoReturn
    from typing import ParamSpec as ParamSpec
    from typing import Protocol as Protocol
    from typing import TextIO as TextIO
    from typing import TypedDict as TypedDict
    from typing import TypeVar as TypeVar
    from typing import Unpack as Unpack
    from typing import cast as cast
    from typing import overload as overload
    from typing import runtime_checkable as runtime_checkable
else:
    from _collections import _tuplegetter

    FunctionType = type(lambda: None)

    class _ForCheckers:
        """A form that only annotations have."""

        def __class_getitem__(cls, parameters):
            return cls

    Any = BinaryIO = ClassVar = Final = IO = NoReturn = TextIO = TypedDict = Unpack = _ForCheckers

    class Generic(_ForCheckers):
        """A base of classes with parameters."""

        __slots__ = ()

    class Protocol(Generic):
        """A base of protocols."""

        __slots__ = ()

    class TypeVar:
        """As ``typing.TypeVar``; it can be part of a union, for who asks for a function's type hints."""

        def __init__(self, name, *constraints, **options):
            self.__name__ = name

        def __or__(self, other):
            return self

        __ror__ = __or__

    class ParamSpec(TypeVar):
        """As ``typing.ParamSpec``."""

        args = kwargs = _ForCheckers

    def cast(type, value):
        """As ``typing.cast``."""
        return value

    def overload(function):
        """As ``typing.overload``."""
        return function

    class Annotated:
        """As ``typing.Annotated``: ``Annotated[type, *metadata]``, which may be part of a union."""

        def __init__(self, origin, metadata):
            self.__origin__ = origin
            self.__args__ = (origin,)
            self.__metadata__ = metadata

        def __class_getitem__(cls, parameters):
            origin, *metadata = parameters
            return cls(origin, tuple(metadata))

        def __or__(self, other):
            return _Union((self, other))

        def __ror__(self, other):
            return _Union((other, self))

    class _Union:
        """A union with an ``Annotated`` in it."""

        def __init__(self, parts):
            self.__args__ = parts

        __or__ = Annotated.__or__
        __ror__ = Annotated.__ror__

    def runtime_checkable(cls):
        """As ``typing.runtime_checkable``, for protocols without special methods."""
        namespace = {name: value for name, value in cls.__dict__.items() if name not in ("__dict__", "__weakref__")}
        spaces = [base.__dict__ for base in cls.__mro__[:-1]]
        names = {name for space in spaces for name in (*space, *space.get("__annotations__", ()))}
        namespace["__members__"] = {name for name in names if name[:2] != "__"}
        return _Checkable(cls.__name__, cls.__bases__, namespace)

    class _Checkable(type):
        """Type of a protocol that ``isinstance`` looks for the members of."""

        def __instancecheck__(cls, instance):
            if type.__instancecheck__(cls, instance):
                return True
            members = cls.__dict__.get("__members__")
            return members is not None and all(hasattr(instance, name) for name in members)

    class _NamedTupleType(type):
        """Makes a class of named tuples from a class statement with ``NamedTuple`` as its base."""

        def __new__(cls, name, bases, namespace):
            fields = tuple(namespace.get("__annotations__", ()))
            defaults = {field: namespace[field] for field in fields if field in namespace}
            constructor = _Constructor(fields, tuple(defaults.values()))
            made = {
                "__doc__": f"{name}({', '.join(fields)})",
                "__slots__": (),
                "__match_args__": fields,
                "_fields": fields,
                "_field_defaults": defaults,
                **_METHODS,
                **namespace,
                "__new__": constructor,
            }
            for index, field in enumerate(fields):
                made[field] = _tuplegetter(index, f"Alias for field number {index}")
            constructor.owner = type(name, (tuple,), made)
            return constructor.owner

    class _Constructor:
        """``__new__`` of a class of named tuples, which is compiled when it is first looked up."""

        __slots__ = ("defaults", "fields", "owner")

        def __init__(self, fields, defaults):
            self.fields = fields
            self.defaults = defaults
            self.owner = None

        def __get__(self, instance, owner=None):
            code = _codes.get(len(self.fields)) or _compiled(len(self.fields))
            code = code.replace(co_varnames=("_cls", *self.fields), co_name="__new__")
            known = {"_tuple": tuple.__new__, "__name__": self.owner.__module__}
            new = FunctionType(code, known, "__new__")
            new.__qualname__ = f"{self.owner.__name__}.__new__"
            new.__doc__ = f"Create new instance of {self.owner.__name__}({', '.join(self.fields)})"
            new.__defaults__ = self.defaults or None
            new.__annotations__ = dict(self.owner.__annotations__)
            self.owner.__new__ = staticmethod(new)
            return new

    _codes = {}

    def _compiled(count):
        """The code of a constructor with so many parameters, whatever their names."""
        parameters = "".join(f"field{number}, " for number in range(count))
        _codes[count] = eval(f"lambda _cls, {parameters}: _tuple(_cls, ({parameters}))").__code__
        return _codes[count]

    def _make(cls, iterable):
        """Make a new object from a sequence or iterable."""
        made = tuple.__new__(cls, iterable)
        if len(made) != len(cls._fields):
            raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
        return made

    def _replace(self, /, **changes):
        """Return a new object replacing specified fields with new values."""
        made = self._make(map(changes.pop, self._fields, self))
        if changes:
            raise ValueError(f"Got unexpected field names: {list(changes)!r}")
        return made

    def _asdict(self):
        """Return a new dict which maps field names to their values."""
        return dict(zip(self._fields, self, strict=True))

    def _repr(self):
        """Return a nicely formatted representation string."""
        shown = ", ".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
        return f"{self.__class__.__name__}({shown})"

    def _getnewargs(self):
        """Return self as a plain tuple.  Used by copy and pickle."""
        return tuple(self)

    _METHODS = {
        "_make": classmethod(_make),
        "_replace": _replace,
        "__replace__": _replace,
        "_asdict": _asdict,
        "__repr__": _repr,
        "__getnewargs__": _getnewargs,
    }

    NamedTuple = type.__new__(_NamedTupleType, "NamedTuple", (), {"__doc__": "As ``typing.NamedTuple``."})
