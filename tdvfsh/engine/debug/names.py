"""From what a user writes to an address: numbers, symbols, images, services, each with an offset."""

from __future__ import annotations

from tdvfsh.engine.debug.scene import Scene
from tdvfsh.uefi.service_names import BOOT_SERVICES, RUNTIME_SERVICES

SERVICE: str = "service:"


def is_service(name: str) -> bool:
    """Whether a boot or runtime service has this name."""
    return name in BOOT_SERVICES or name in RUNTIME_SERVICES


def number_of(text: str) -> int | None:
    """A number, hexadecimal with ``0x`` or decimal, as the whole of ``text``; None where it is not one."""
    try:
        value = int(text, 16) if text[:2].lower() == "0x" else int(text, 10)
    except ValueError:
        return None
    return value if 0 <= value < 1 << 64 else None


def find(scene: Scene, text: str) -> int | None:
    """The address that ``text`` means now; None where there is no such thing yet.

    Args:
        scene: What is debugged.
        text: ``0x1000``, ``service:NAME``, ``SYMBOL``, ``IMAGE`` or one of these with ``+OFFSET``.
    """
    value = number_of(text)
    if value is not None:
        return value
    if text.startswith(SERVICE):
        return scene.service(text.removeprefix(SERVICE))
    name, plus, offset = text.rpartition("+")
    shift = number_of(offset) if plus else 0
    if shift is None or not plus:
        name, shift = text, 0
    found = scene.symbol(name)
    if found is None:
        found = next((image.start for image in reversed(scene.images()) if image.name == name), None)
    return None if found is None else found + shift
