"""From a word that a user wrote for a file to the file: a path, or the name of an image.

The one place where names become files, for command line and prompt. A file of that name goes first; ``NAME`` stands for
the image's file of the kind that is asked for, ``NAME/FILE`` for that file. What is not there is fetched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from tdvfsh.errors import HostError, MissingError, TdvfshError, UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tdvfsh.images.catalogue import CatalogueEntry, Member
    from tdvfsh.images.fetch import FetchedImage

OFFLINE: Final = "TDVFSH_OFFLINE"
"""Environment variable: where it is set to anything but 0, no image is fetched because its name was used."""

KERNEL: Final = "kernel"
INITRD: Final = "initrd"
PROGRAM: Final = "program"
FIRMWARE: Final = "firmware"
ANY: Final = "file"
_ROLES: Final = {
    KERNEL: ("kernel", "efi"),
    INITRD: ("initrd",),
    PROGRAM: ("efi", "kernel"),
    FIRMWARE: ("firmware",),
    ANY: ("kernel", "efi", "firmware", "initrd"),
}
"""The kinds of a file that will do for what is asked for, the best first: a kernel is an EFI program, too."""
_CALLED: Final = {"efi": "EFI program"}

Fetch = Callable[["CatalogueEntry"], "FetchedImage"]
"""Brings an image that is not there."""


class NamedFile(NamedTuple):
    """A file of the host.

    Attributes:
        path: Where it lies.
        shown: What it is called in results: the word, or ``NAME/FILE``.
        image: The whole image that the word named; empty for a path and for ``NAME/FILE``.
    """

    path: str
    shown: str
    image: str = ""


def file_named(word: str, kind: str, fetch: Fetch) -> NamedFile:
    """The file that a word stands for.

    Args:
        word: A path, an image's name, or ``NAME/FILE``.
        kind: What is asked for: :data:`KERNEL`, :data:`INITRD`, :data:`PROGRAM`, :data:`FIRMWARE` or :data:`ANY`.
        fetch: Brings the image where it is not there.

    Raises:
        MissingError: Neither a file nor an image has that name; the message suggests one that has.
        UsageError: The image has no file of that kind.
        HostError: It cannot be fetched; the message says what would be.
    """
    if os.path.lexists(word) or word == "-":
        return NamedFile(word, word)
    found = image_named(word, kind)
    if found is None:
        raise MissingError(f"{word}: no such file{hint(word)}")
    entry, member = found
    path = str(fetch(entry).files[member.role])
    return NamedFile(path, f"{entry.name}/{member.name}", "" if "/" in word else entry.name)


def files_named(kernel: str, initrds: Sequence[str], fetch: Fetch) -> tuple[NamedFile, list[NamedFile]]:
    """Kernel and initrds; a whole image that has both stands for both where no initrd is named.

    Raises:
        TdvfshError: As :func:`file_named`.
    """
    kernel_file = file_named(kernel, KERNEL, fetch)
    if not initrds and kernel_file.image and image_has(kernel_file.image, INITRD):
        initrds = [kernel_file.image]
    return kernel_file, [file_named(word, INITRD, fetch) for word in initrds]


def image_has(name: str, kind: str) -> bool:
    """Whether an image has a file of that kind."""
    from tdvfsh.images.catalogue import find_entry

    return any(member.kind in _ROLES[kind] for member in find_entry(name).members)


def image_named(word: str, kind: str = ANY) -> tuple[CatalogueEntry, Member] | None:
    """The image, and its file, that a word means; None where it means none.

    Raises:
        UsageError: The image has no such file.
    """
    from tdvfsh.images.catalogue import entry_called

    name, _, file = word.partition("/")
    entry = entry_called(name)
    if entry is None:
        return None
    if file:
        member = next((each for each in entry.members if file in (each.name, each.role)), None)
    else:
        fits = (each for role in _ROLES[kind] for each in entry.members if each.role == role)
        member = next(fits, None) or next((each for each in entry.members if each.kind in _ROLES[kind]), None)
    if member is None:
        has = ", ".join(f"{entry.name}/{each.name} ({_CALLED.get(each.kind, each.kind)})" for each in entry.members)
        wanted = file or _CALLED.get(kind, kind)
        raise UsageError(f"{word}: the image {entry.name} has no {wanted}; it has {has}")
    return entry, member


def names_of(kind: str) -> list[str]:
    """Names, other ones too, of the images that have a file of a kind."""
    from tdvfsh.images.catalogue import catalogue

    fits = [entry for entry in catalogue().values() if any(member.kind in _ROLES[kind] for member in entry.members)]
    return sorted(name for entry in fits for name in (entry.name, *entry.also))


def hint(word: str) -> str:
    """What a user may have meant by a word that names no file: the end of a message."""
    from difflib import get_close_matches

    from tdvfsh.images.catalogue import close_names

    folder, base = os.path.split(word)
    try:
        beside = os.listdir(folder or ".")
    except OSError:
        beside = []
    close = [os.path.join(folder, name) for name in get_close_matches(base, beside, n=1, cutoff=0.75)]
    close += [f"the image {name}" for name in ([] if folder else close_names(word)[:1])]
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return "" if folder else ", and no image has that name; 'tdvfsh images list' shows those that have one"


def fetched_or_refused(entry: CatalogueEntry) -> FetchedImage:
    """The image where it has been fetched.

    Raises:
        MissingError: It has not; the message says what would be fetched.
    """
    from tdvfsh.images.fetch import fetched

    image = fetched(entry.name)
    if image is None:
        raise MissingError(f"{entry.name}: not fetched yet; 'tdvfsh images fetch {entry.name}' takes {entry.source}")
    return image


def fetching(
    start: Callable[[CatalogueEntry], None], progress: Callable[[str, int, int], None], *, offline: bool = False
) -> Fetch:
    """A :data:`Fetch` that brings what is not there.

    Args:
        start: Called with an image before it is brought.
        progress: Called with (what is being done, bytes done, bytes total; 0 where that is not known).
        offline: Fetch nothing, and say what would be.
    """

    def bring(entry: CatalogueEntry) -> FetchedImage:
        from tdvfsh.images.fetch import fetch, fetched

        image = fetched(entry.name)
        if image is not None:
            return image
        if (offline or is_offline()) and not entry.made:
            raise HostError(f"{entry.name}: not fetched yet, and {OFFLINE} is set; it would be {entry.source}")
        start(entry)
        try:
            return fetch(entry.name, progress)
        except TdvfshError as error:
            raise HostError(f"{entry.name}: not fetched yet, and cannot be: {error} (it is {entry.source})") from None

    return bring


def is_offline() -> bool:
    """Whether the environment says that nothing is to be fetched."""
    return os.environ.get(OFFLINE, "0") not in ("", "0")
