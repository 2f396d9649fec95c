"""Images of the catalogue that no package holds: made here, of nothing or of other images.

To add a kind, write its recipe and name it in the entry's ``made``; what a recipe makes has the names of the entry's
members. :data:`RECIPE_VERSION` grows when any recipe makes other bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tdvfsh.images.catalogue import CatalogueEntry
from tdvfsh.images.make_init import make_init
from tdvfsh.images.uki_of_stub import make_uki_of_stub
from tdvfsh.lazy_typing import Final, NamedTuple

MADE_BY: Final = "tdvfsh"
RECIPE_VERSION: Final = "recipe 2"
_UKI_CMDLINE: Final = "console=ttyS0"

Parts = Mapping[str, Mapping[str, Path]]
"""Files by role, by the image's name."""


class _Recipe(NamedTuple):
    parts: Callable[[CatalogueEntry], tuple[str, ...]]
    make: Callable[[CatalogueEntry, Path, Parts], None]


def parts_of(entry: CatalogueEntry) -> tuple[str, ...]:
    """Names of the images that a made image is made of."""
    return _RECIPES[entry.made].parts(entry)


def make_entry(entry: CatalogueEntry, folder: Path, parts: Parts) -> None:
    """Make an image's files in a folder.

    Raises:
        HostError, FormatError: A file cannot be read or written.
    """
    _RECIPES[entry.made].make(entry, folder, parts)


def _init(entry: CatalogueEntry, folder: Path, parts: Parts) -> None:
    make_init(folder / entry.members[0].name, show=("/proc/meminfo",))


def _uki_kernel(entry: CatalogueEntry) -> str:
    return entry.name.replace("uki", "kernel", 1)


def _uki(entry: CatalogueEntry, folder: Path, parts: Parts) -> None:
    make_uki_of_stub(
        folder / entry.members[0].name,
        parts["systemd-boot"]["efi-stub"],
        parts[_uki_kernel(entry)]["kernel"],
        parts["init"]["initrd"],
        _UKI_CMDLINE,
    )


_RECIPES: Final = {
    "init": _Recipe(lambda entry: (), _init),
    "uki": _Recipe(lambda entry: ("systemd-boot", _uki_kernel(entry), "init"), _uki),
}
