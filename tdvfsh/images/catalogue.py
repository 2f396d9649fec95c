"""The catalogue: which images can be fetched by name, and which package holds them.

The data is ``images/catalogue.toml`` of the repository, which a wheel carries beside this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from tdvfsh.errors import HostError, UsageError
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

KINDS: Final = ("kernel", "initrd", "efi", "firmware", "module", "tool")
"""What a file can be; a role is a kind, or a kind with a suffix such as ``firmware-vars-4m``."""

_FIELDS: Final = ("also", "description", "made", "suite", "package", "megabytes")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an image.

    Attributes:
        role: A kind of :data:`KINDS`, with a suffix where an image has several.
        member: Glob over names inside the package; of a made image, the name of what its recipe makes.
        name: File name in the cache.
    """

    role: str
    member: str
    name: str

    @property
    def kind(self) -> str:
        """One of :data:`KINDS`."""
        return self.role.partition("-")[0]


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """An image that has a name.

    Attributes:
        name: As in ``tdvfsh images fetch NAME``.
        description: One line.
        suite: Debian suite whose archive has the package; empty for a made image.
        package: Glob over package names; the newest match is taken.
        megabytes: Approximate size of the download in 10^6 bytes.
        members: The files of the package that make the image.
        also: Other names of it.
        made: The recipe by which it is made on this machine; empty where it comes from a package.
    """

    name: str
    description: str
    suite: str
    package: str
    megabytes: float
    members: tuple[Member, ...]
    also: tuple[str, ...] = ()
    made: str = ""

    @property
    def source(self) -> str:
        """Where it comes from, for messages."""
        if self.made:
            return "which no package holds"
        return f"the package {self.package} of Debian {self.suite}, {self.megabytes:g} MB"


def catalogue() -> Mapping[str, CatalogueEntry]:
    """All images by name, in catalogue order.

    Raises:
        HostError: The installation lacks its catalogue.
    """
    return _read(_catalogue_file())


def find_entry(name: str) -> CatalogueEntry:
    """The entry of that name.

    Raises:
        UsageError: There is none.
    """
    entry = entry_called(name)
    if entry is not None:
        return entry
    close = close_names(name)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(catalogue())}"
    raise UsageError(f"no image is called '{name}'; {hint}")


def entry_called(name: str) -> CatalogueEntry | None:
    """The entry that has a name, its own or another; None where there is none."""
    entries = catalogue()
    return entries.get(name) or next((entry for entry in entries.values() if name in entry.also), None)


def close_names(name: str) -> list[str]:
    """Names that a misspelled one may have meant, the likeliest first."""
    known = [*catalogue(), *(other for entry in catalogue().values() for other in entry.also)]
    return get_close_matches(name, known, n=2)


def _catalogue_file() -> Path:
    here = Path(__file__).resolve().parent
    beside, checkout = here / "catalogue.toml", here.parents[1] / "images" / "catalogue.toml"
    return beside if beside.is_file() else checkout


@cache
def _read(path: Path) -> Mapping[str, CatalogueEntry]:
    import tomllib

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HostError(f"{path}: the image catalogue cannot be read: {error.strerror}") from error
    return {
        name: CatalogueEntry(
            name=name,
            description=table["description"],
            suite=table.get("suite", ""),
            package=table.get("package", ""),
            megabytes=table.get("megabytes", 0),
            members=tuple(_member(role, value) for role, value in table.items() if role not in _FIELDS),
            also=tuple(table.get("also", ())),
            made=table.get("made", ""),
        )
        for name, table in tables.items()
    }


def _member(role: str, value: str | Mapping[str, str]) -> Member:
    if isinstance(value, str):
        return Member(role, value, value.rpartition("/")[2])
    return Member(role, value["member"], value["name"])
