"""Protocols and tables by their usual names."""

from __future__ import annotations

from functools import cache

from tdvfsh.uefi import guids
from tdvfsh.uefi.guids import Guid

_WORDS = {"cc": "CC", "io": "IO", "qemu": "Qemu", "fs": "Fs"}


def protocol_name(guid: Guid) -> str:
    """``LoadedImage`` for EFI_LOADED_IMAGE_PROTOCOL_GUID; the GUID in capitals where it has no name."""
    return _names_by_guid().get(guid, str(guid).upper())


def protocol_names() -> list[str]:
    """All names, in order."""
    return sorted(_names_by_guid().values(), key=str.lower)


def guid_named(text: str) -> Guid | None:
    """A GUID by any of its names, in any case, or in registry form; None where nothing is called so."""
    try:
        return Guid(text) if len(text) == 36 else _guids_by_name().get(_folded(text))
    except ValueError:
        return None


@cache
def _names_by_guid() -> dict[Guid, str]:
    return {
        value: "".join(_WORDS.get(word, word.capitalize()) for word in _core(name).lower().split("_"))
        for name, value in vars(guids).items()
        if isinstance(value, Guid) and name.endswith("_GUID")
    }


@cache
def _guids_by_name() -> dict[str, Guid]:
    return {_folded(name): guid for guid, name in _names_by_guid().items()}


def _core(name: str) -> str:
    return name.removesuffix("_GUID").removesuffix("_PROTOCOL").removeprefix("EFI_")


def _folded(text: str) -> str:
    """The form in which gEfiLoadedImageProtocolGuid, EFI_LOADED_IMAGE_PROTOCOL and LoadedImage are one."""
    folded = text.lower().replace("_", "")
    if folded.startswith(("gefi", "gedkii")):
        folded = folded[1:]
    return folded.removesuffix("guid").removesuffix("protocol").removeprefix("efi")
