"""Text of device paths, and device paths from text.

Source: UEFI 2.10 10.6; edk2 MdePkg/Library/UefiDevicePathLib, whose text firmware prints.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path import DevicePath, DevicePathNode, FilePath, HardDrive
from tdvfsh.uefi.device_path_bytes import NODE_HEADER_SIZE, parse_node
from tdvfsh.uefi.device_path_fields import Ascii, EisaId, Number, hex_bytes, number
from tdvfsh.uefi.device_path_forms import BY_NAME, GENERIC, forms_of

_NODE: Final = re.compile(r"(?P<name>[A-Za-z0-9-]+)\((?P<words>[^)]*)\)")
_ACPI_EX: Final = (2, 2)
_ROOTS: Final = {0x0A03: "PciRoot", 0x0A08: "PcieRoot"}
_TYPES: Final = {name: node_type for node_type, name in GENERIC.items()}
_OPENING, _CLOSING = "(", ")"


def node_text(
    node: DevicePathNode, *, display_only: bool = False, allow_shortcuts: bool = False, long_hard_drives: bool = False
) -> str:
    """A node as text.

    Args:
        node: The node; one whose bytes are of no known form is printed in hex.
        display_only: The short form: what tells nodes of a kind apart, from which the node cannot be made again.
        allow_shortcuts: Names for what some vendors defined.
        long_hard_drives: Partitions have no short form, as before edk2 9e6537469d (December 2024).
    """
    if long_hard_drives and isinstance(node, HardDrive):
        display_only = False
    if isinstance(node, FilePath):
        return node.path
    data = node.pack()
    kind, body = (data[0], data[1]), data[NODE_HEADER_SIZE:]
    for form in forms_of(kind):
        parts = form.split(body) if allow_shortcuts or not form.shortcut else None
        if parts is None:
            continue
        shown = _acpi_ex_shown(parts, form.name) if display_only and kind == _ACPI_EX else None
        return shown or f"{form.name}({','.join(form.words_of(parts, display_only))})"
    words = [str(kind[1]), *([body.hex().upper()] if body else [])]
    if kind[0] in GENERIC:
        return f"{GENERIC[kind[0]]}({','.join(words)})"
    return f"Path({','.join((str(kind[0]), *words))})"


def _acpi_ex_shown(parts: list[bytes], name: str) -> str | None:
    """An extended ACPI node in the short form: a root bridge by its number, others by the strings that they have.

    None where it is like the long one.
    """
    hardware, unique, compatible = (int.from_bytes(part, "little") for part in parts[:3])
    texts = [Ascii().to_words(part)[0] for part in parts[3:]] or None
    number_text = texts[1] if texts is not None else f"0x{unique:X}"
    root = _ROOTS.get(hardware >> 16) or _ROOTS.get(compatible >> 16)
    if root is not None:
        return f"{root}({number_text})"
    if name != "AcpiEx":
        return None
    if texts is not None:
        return f"AcpiEx({texts[0]},{texts[2]},{texts[1]})"
    words = (EisaId().to_words(parts[0])[0], EisaId().to_words(parts[2])[0], Number(4).to_words(parts[1])[0])
    return f"AcpiEx({','.join(words)})"


def device_path_text(
    paths: Sequence[DevicePath],
    *,
    display_only: bool = False,
    allow_shortcuts: bool = False,
    long_hard_drives: bool = False,
) -> str:
    """The instances of a device path as text; arguments as of :func:`node_text`."""
    how = {"display_only": display_only, "allow_shortcuts": allow_shortcuts, "long_hard_drives": long_hard_drives}
    return ",".join("/".join(node_text(node, **how) for node in path.nodes) for path in paths)


def device_paths_from_text(text: str) -> list[DevicePath]:
    """The instances of a device path from its text form; what is not a known node is a file's name."""
    return [
        DevicePath(tuple(node_from_text(part) for part in _split(instance, "/") if part))
        for instance in _split(text, ",")
    ]


def node_from_text(text: str) -> DevicePathNode:
    """One node from its text form; a file's name where it is of no known form."""
    match = _NODE.match(text)
    words = match["words"].split(",") if match is not None else []
    name = match["name"] if match is not None else ""
    if name in BY_NAME:
        form = BY_NAME[name]
        return _node(*form.kind, form.body(words), text)
    if name in _TYPES:
        words = [str(_TYPES[name]), *words]
    elif name != "Path":
        return FilePath(text)
    node_type, subtype, data = (words + [""] * 3)[:3]
    return _node(number(node_type) & 0xFF, number(subtype) & 0xFF, hex_bytes(data), text)


def _node(node_type: int, subtype: int, body: bytes, text: str) -> DevicePathNode:
    """The node; the text as a file's name where a node cannot be so long."""
    node = parse_node(node_type, subtype, body)
    try:
        node.pack()
    except struct.error:
        return FilePath(text)
    return node


def _split(text: str, separator: str) -> list[str]:
    """The parts of a text between separators that do not stand in brackets."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        if character == _OPENING:
            depth += 1
        elif character == _CLOSING and depth:
            depth -= 1
        elif character == separator and not depth:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]
