"""What a sweep is to do: images and grids, read from TOML.

::

    [[image]]                       # real files; paths count from the spec's folder
    name = "installer"
    kernel = "linux"
    initrd = ["initrd.gz", { size = "100M" }]   # a file, or just a number of bytes
    cmdline = "nokaslr"

    [[image]]                       # images by their names: fetched where they are not here,
    kernel = "kernel-6.12"          # and { fetched = "kernel-6.12" } where nothing is to be fetched
    initrd = "installer-13"

    [[made]]                        # made images: every combination of the sizes given
    kernel_size = ["8M", "12M"]
    init_size = "56M"
    initrd_size = ["0", "300M", "600M"]

    [[grid]]                        # every combination of the values given, for each image
    memory = ["2G", "4G"]
    accept = [{ from = "64M", to = "1G", step = "16M" }, "below-4g"]
    on_demand = ["none", "service"]
    loader = ["direct", "grub2.12"]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path

from tdvfsh.documents import read_toml
from tdvfsh.errors import HostError, UsageError
from tdvfsh.formats.mapped import read_text_file
from tdvfsh.images.named import INITRD, KERNEL, Fetch, fetched_or_refused, image_named
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.options.td import LATE
from tdvfsh.sweep.axes import AXIS_NAMES, Point, Value, axis_index, range_length, read_axes
from tdvfsh.units import format_size, parse_size

_IMAGE_KEYS: Final = {"name", "kernel", "initrd", "cmdline"}
_MADE_KEYS: Final = {"name", "kernel_size", "init_size", "size_of_image", "output_len", "initrd_size", "cmdline"}
_SPEC_KEYS: Final = {"image", "made", "grid"}
_SERVICE: Final = "service"
MOST_SCENARIOS: Final = 10_000_000
"""What a spec may ask for without ``--yes``: about three hours of one processor."""


@dataclass(frozen=True, slots=True)
class MadeKernel:
    """Sizes in bytes of a kernel that :mod:`tdvfsh.images.make` makes; None takes its default."""

    size: int
    init_size: int
    size_of_image: int | None
    output_len: int | None


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """An image that a spec names; an initrd is a path, or a size in bytes."""

    name: str
    kernel: Path | MadeKernel
    initrds: tuple[Path | int, ...]
    cmdline: str


@dataclass(frozen=True, slots=True)
class Grid:
    """Images by number, and the values of each axis."""

    images: tuple[int, ...]
    axes: tuple[tuple[Value, ...], ...]

    def __len__(self) -> int:
        return len(self.images) * prod(len(values) for values in self.axes)

    def __iter__(self) -> Iterator[tuple[int, Point]]:
        for image in self.images:
            for point in product(*self.axes):
                yield image, point

    def by_start(self) -> Iterator[tuple[int, Point]]:
        """The same in another order: all that begin with the same started firmware in a row, in it all that differ only
        in what accepts on demand, option 3 first: where it has nothing to accept, the others are the same.
        """
        late = [axis_index(name) for name in LATE]
        early = [index for index in range(len(self.axes)) if index not in late]
        service_first = [sorted(self.axes[late[-1]], key=lambda value: value != _SERVICE)]
        endings = list(product(*[self.axes[index] for index in late[:-1]], *service_first))
        order = [[*early, *late].index(index) for index in range(len(self.axes))]
        for beginning in product(*[self.axes[index] for index in early]):
            for image in self.images:
                for ending in endings:
                    values = beginning + ending
                    yield image, tuple([values[place] for place in order])


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """A parsed spec: images, and the grids to run with them."""

    images: tuple[ImageRequest, ...]
    grids: tuple[Grid, ...]


def read_spec(path: str | Path, most: int | None = MOST_SCENARIOS, fetch: Fetch = fetched_or_refused) -> SweepSpec:
    """Read a spec.

    Args:
        path: The file.
        most: Scenarios that it may ask for; None for any number.
        fetch: Brings an image that it names and that is not here; as a rule that is refused.

    Raises:
        HostError: It cannot be read, or names an image that is not here.
        FormatError: It is not TOML.
        UsageError: It asks for something invalid, or for more than ``most`` scenarios.
    """
    name = str(path)
    data = read_toml(read_text_file(path), name)
    if most is not None:
        _refuse_too_many(data, most, name)
    return parse_spec(data, Path(path).parent, name, fetch)


def _refuse_too_many(data: Mapping[str, Any], most: int, where: str) -> None:
    """Count the scenarios before any is made; what is not of the right form counts as one, and is refused later."""
    made = sum(prod(_count(value) for value in table.values()) for table in _tables(data, "made", where))
    named = len(_tables(data, "image", where))
    grids = [
        (_count(table["image"]) if "image" in table else made + named)
        * prod(_count(value) for key, value in table.items() if key != "image")
        for table in _tables(data, "grid", where)
    ]
    scenarios = sum(grids) if grids else made + named
    if max(made, scenarios) > most:
        raise UsageError(f"{where}: {max(made, scenarios)} scenarios, more than {most}; --yes runs them anyway")


def _count(value: object) -> int:
    if isinstance(value, list):
        return sum(map(_count, value))
    return range_length(value) if isinstance(value, dict) else 1


def parse_spec(data: Mapping[str, Any], folder: Path, where: str, fetch: Fetch = fetched_or_refused) -> SweepSpec:
    """A spec from TOML's values; ``folder`` is where paths count from, ``where`` is named in messages.

    Raises:
        UsageError: The spec is invalid.
        HostError: It names an image that is not here.
    """
    _known(data, _SPEC_KEYS, where)
    images = [
        _image(entry, folder, f"{where}: image {n}", fetch) for n, entry in enumerate(_tables(data, "image", where), 1)
    ]
    for number, entry in enumerate(_tables(data, "made", where), 1):
        images += _made(entry, f"{where}: made {number}")
    if not images:
        raise UsageError(f"{where}: no images: give [[image]] or [[made]]")
    names = [image.name for image in images]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{where}: two images are called {name}")
    grids = [_grid(entry, names, f"{where}: grid {n}") for n, entry in enumerate(_tables(data, "grid", where), 1)]
    if not grids:
        grids = [_grid({}, names, where)]
    return SweepSpec(tuple(images), tuple(grids))


def _tables(data: Mapping[str, Any], key: str, where: str) -> Sequence[Mapping[str, Any]]:
    found = data.get(key, [])
    tables = found if isinstance(found, list) else [found]
    if not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{where}: {key} is a table: [[{key}]]")
    return tables


def _known(table: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f"{where}: '{key}' is unknown; there are {', '.join(sorted(known))}")


def _image(entry: Mapping[str, Any], folder: Path, where: str, fetch: Fetch) -> ImageRequest:
    _known(entry, _IMAGE_KEYS, where)
    kernel = _file(entry.get("kernel"), folder, KERNEL, where, fetch)
    if kernel is None:
        raise UsageError(f'{where}: kernel is missing, or neither a path nor {{ fetched = "installer-13" }}')
    given = entry.get("initrd", [])
    initrds: list[Path | int] = []
    names = [_shown(entry["kernel"])]
    for initrd in given if isinstance(given, list) else [given]:
        file = _file(initrd, folder, INITRD, where, fetch)
        if file is not None:
            initrds.append(file)
        elif isinstance(initrd, dict) and set(initrd) == {"size"}:
            initrds.append(_size(initrd["size"], where, "initrd"))
        else:
            raise UsageError(f'{where}: an initrd is a path, {{ size = "100M" }} or {{ fetched = "installer-13" }}')
        names.append(Path(initrd).name if isinstance(initrd, str) else _shown(initrd))
    name = _text(entry, "name", where) or " + ".join([names[0], *(one for one in names[1:] if one != names[0])])
    return ImageRequest(name, kernel, tuple(initrds), _text(entry, "cmdline", where))


def _file(value: object, folder: Path, role: str, where: str, fetch: Fetch) -> Path | None:
    """The file that a value names, by its path or as part of an image; None where it names none."""
    if isinstance(value, str):
        path = folder / value
        found = None if path.exists() else image_named(value, role)
        return path if found is None else fetch(found[0]).files[found[1].role]
    if not isinstance(value, dict) or set(value) != {"fetched"} or not isinstance(value["fetched"], str):
        return None
    from tdvfsh.images.fetch import fetched

    name = value["fetched"]
    image = fetched(name)
    if image is None:
        raise HostError(f"{where}: {name} is not here: tdvfsh images fetch {name}")
    if role not in image.files:
        raise UsageError(f"{where}: {name} holds no {role}; it has {', '.join(image.files)}")
    return image.files[role]


def _shown(value: object) -> str:
    """What to call a file: as the spec does."""
    if not isinstance(value, dict):
        return str(value)
    return str(value["fetched"]) if "fetched" in value else format_size(parse_size(str(value["size"])))


def _made(entry: Mapping[str, Any], where: str) -> Iterator[ImageRequest]:
    _known(entry, _MADE_KEYS, where)
    sizes = {
        key: [_size(value, where, key) for value in (given if isinstance(given, list) else [given])]
        for key, given in entry.items()
        if key not in ("name", "cmdline")
    }
    for key in ("kernel_size", "init_size"):
        if not sizes.get(key):
            raise UsageError(f"{where}: {key} is missing")
    cmdline, prefix = _text(entry, "cmdline", where), _text(entry, "name", where)
    varied = [key for key, values in sizes.items() if len(values) > 1]
    for combination in product(*sizes.values()):
        chosen: dict[str, int] = dict(zip(sizes, combination, strict=True))
        shown = varied if prefix else list(sizes)
        name = " ".join([prefix or "made", *(f"{key}={format_size(chosen[key])}" for key in shown)])
        kernel = MadeKernel(
            chosen["kernel_size"], chosen["init_size"], chosen.get("size_of_image"), chosen.get("output_len")
        )
        initrd = chosen.get("initrd_size", 0)
        yield ImageRequest(name, kernel, (initrd,) if initrd else (), cmdline)


def _grid(entry: Mapping[str, Any], names: Sequence[str], where: str) -> Grid:
    _known(entry, {*AXIS_NAMES, "image"}, where)
    given = entry.get("image", list(names))
    chosen = given if isinstance(given, list) else [given]
    for name in chosen:
        if name not in names:
            raise UsageError(f"{where}: no image is called {name}; there are {', '.join(names)}")
    return Grid(tuple(names.index(name) for name in chosen), read_axes(entry, where))


def _size(value: object, where: str, what: str) -> int:
    try:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise UsageError(f"{value!r} is not a size")
        size = value if isinstance(value, int) else parse_size(value)
    except UsageError as error:
        raise UsageError(f"{where}: {what}: {error}") from None
    if size < 0:
        raise UsageError(f"{where}: {what}: a size is not negative")
    return size


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str):
        raise UsageError(f"{where}: {key} is not a text")
    return value
