"""One scenario of a sweep: which image, in which TD; and its key, by which results know it again."""

from __future__ import annotations

import hashlib

from tdvfsh import __version__
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.sweep.axes import Point

_KEY_LENGTH: Final = 20


@dataclass(frozen=True, slots=True)
class Scenario:
    """An image by its number among a sweep's images, and a point of the axes."""

    key: str
    image: int
    point: Point


def scenario_key(digest: str, name: str, point: Point) -> str:
    """A name for a scenario that is the same in every run, process and host.

    Args:
        digest: Of the image's facts: another initrd under the same name makes another scenario.
        name: What results call the image.
        point: The TD.
    """
    told = repr((__version__, digest, name, point))
    return hashlib.sha256(told.encode()).hexdigest()[:_KEY_LENGTH]
