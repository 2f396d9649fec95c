"""Progress of a walk through many things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tdvfsh.lazy_typing import Final, TypeVar

T = TypeVar("T")

_EACH: Final = 1024


def counted(items: Iterable[T], tell: Callable[[int], None] | None) -> Iterator[T]:
    """The items; ``tell`` is called now and then with how many have gone by."""
    if tell is None:
        yield from items
        return
    for number, item in enumerate(items):
        if not number % _EACH:
            tell(number)
        yield item
