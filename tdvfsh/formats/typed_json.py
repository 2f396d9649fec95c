"""JSON objects of files that others wrote, read field by field with the type of each checked."""

from __future__ import annotations

from tdvfsh.lazy_typing import Final

MOST: Final = 1 << 64
_SHOWN: Final = 24


class FieldError(ValueError):
    """A field that is missing or holds something else than it should.

    Attributes:
        field: Where it is, as ``memory_map[3].pages``.
    """

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"'{field}' {why}" if field else why)
        self.field = field


def wrong(field: str, wanted: str, value: object) -> FieldError:
    """The error for a value that is not what was wanted, which it shows where it is short."""
    found = repr(value)
    return FieldError(field, f"is not {wanted}" + (f": {value!a}" if len(found) <= _SHOWN else ""))


class JsonObject:
    """An object whose fields are asked for by name and type; every method raises :class:`FieldError`.

    Args:
        value: What ``json.loads`` made of it.
        where: The field that holds it; empty for a line or a file as a whole.
    """

    __slots__ = ("_values", "_where")

    def __init__(self, value: object, where: str = "") -> None:
        if not isinstance(value, dict):
            raise wrong(where, "an object", value)
        self._values = value
        self._where = where

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> list[str]:
        """The names of its fields."""
        return list(self._values)

    def field(self, name: str) -> str:
        """The field's full name, for messages."""
        return f"{self._where}.{name}" if self._where else name

    def value(self, name: str) -> object:
        """A field as it is."""
        if name not in self._values:
            raise FieldError(self.field(name), "is missing")
        return self._values[name]

    def number(self, name: str, least: int = 0, most: int = MOST) -> int:
        """A whole number of a range, both ends included."""
        value = self.value(name)
        if type(value) is not int or not least <= value <= most:
            raise wrong(self.field(name), f"a number from {least} to {'2^64' if most == MOST else most}", value)
        return value

    def text(self, name: str) -> str:
        """A string."""
        value = self.value(name)
        if type(value) is not str:
            raise wrong(self.field(name), "a text", value)
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.value(name)
        if type(value) is not bool:
            raise wrong(self.field(name), "true or false", value)
        return value

    def child(self, name: str) -> JsonObject:
        """An object."""
        return JsonObject(self.value(name), self.field(name))

    def optional_child(self, name: str) -> JsonObject | None:
        """An object, or null."""
        return None if self.value(name) is None else self.child(name)

    def items(self, name: str) -> list[object]:
        """A list of anything."""
        value = self.value(name)
        if not isinstance(value, list):
            raise wrong(self.field(name), "a list", value)
        return value

    def children(self, name: str) -> list[JsonObject]:
        """A list of objects."""
        return [JsonObject(entry, f"{self.field(name)}[{index}]") for index, entry in enumerate(self.items(name))]

    def as_dict(self) -> dict[str, object]:
        """The fields as they are."""
        return dict(self._values)
