"""Text of device path nodes that have no class of their own, and back, from one table.

Source: UEFI 2.10 10.3 and table 10.65.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from tdvfsh.uefi.device_path import DevicePathNode, OtherNode
from tdvfsh.uefi.guids import Guid

_FORMS: Final = {
    "Ctrl": (1, 5, "d"),
    "VenHw": (1, 4, "gr"),
    "Acpi": (2, 1, "ed"),
    "Scsi": (3, 2, "ww"),
    "USB": (3, 5, "bb"),
    "VenMsg": (3, 10, "gr"),
    "MAC": (3, 11, "mb"),
    "NVMe": (3, 23, "dn"),
    "Uri": (3, 24, "u"),
    "CDROM": (4, 2, "dqq"),
    "VenMedia": (4, 3, "gr"),
    "FvFile": (4, 6, "g"),
    "Fv": (4, 7, "g"),
}
"""Type, subtype and fields by name. A field: ``b w d q`` a number of 1 to 8 bytes, ``g`` a GUID, ``e`` an EISA
identifier, ``m`` an address of 32 bytes of which 6 count, ``n`` an EUI-64, ``u`` text and ``r`` bytes to the end."""

_WORD: Final = re.compile(r"[!-'*+\--~]*")  # what a word of a list in brackets can hold
_NAMES: Final = {(node_type, subtype): name for name, (node_type, subtype, _) in _FORMS.items()}
_SIZES: Final = {"b": 1, "w": 2, "d": 4, "q": 8, "g": 16, "e": 4, "m": 32, "n": 8}
_MAC_BYTES: Final = 6


def node_text(node: DevicePathNode) -> str:
    """A node as text; one that the table does not know as its numbers."""
    name = _NAMES.get((node.node_type, node.subtype)) if isinstance(node, OtherNode) else None
    if name is None or not isinstance(node, OtherNode):
        return str(node)
    words: list[str] = []
    rest = node.body
    for field in _FORMS[name][2]:
        size = _SIZES.get(field, len(rest))
        if len(rest) < size:
            return str(node)
        data, rest = rest[:size], rest[size:]
        if data or field == "u":
            words.append(_text(field, data))
    plain = all(_WORD.fullmatch(word) for word in words)
    return f"{name}({','.join(words)})" if plain and not rest and known_node(name, words) == node else str(node)


def known_node(name: str, words: list[str]) -> OtherNode | None:
    """The node of a name in the table; None where there is none.

    Raises:
        ValueError, IndexError, struct.error: The words do not fit.
    """
    if name not in _FORMS:
        return None
    node_type, subtype, fields = _FORMS[name]
    left = list(words)
    body = b"".join(_data(field, left.pop(0)) for field in fields if left or field != "r")
    if left:
        raise ValueError("too many words")
    return OtherNode(node_type, subtype, body)


def _text(field: str, data: bytes) -> str:
    match field:
        case "g":
            return str(Guid(bytes_le=data)).upper()
        case "e":
            identifier = int.from_bytes(data, "little")
            letters = "".join(chr((identifier >> shift & 0x1F) + 0x40) for shift in (10, 5, 0))
            return f"{letters}{identifier >> 16:04X}"
        case "m":
            return data[:_MAC_BYTES].hex().upper()
        case "n":
            return "-".join(f"{byte:02X}" for byte in data)
        case "u":
            return data.decode("latin-1")
        case "r":
            return data.hex().upper()
    return f"0x{int.from_bytes(data, 'little'):X}"


def _data(field: str, word: str) -> bytes:
    match field:
        case "g":
            return Guid(word).bytes_le
        case "e":
            letters = 0
            for character in word[:3].upper():
                letters = letters << 5 | (ord(character) - 0x40) & 0x1F
            return struct.pack("<HH", letters, int(word[3:], 16))
        case "m":
            return bytes.fromhex(word).ljust(_SIZES["m"], b"\0")
        case "n":
            return bytes.fromhex(word.replace("-", ""))
        case "u":
            return word.encode("latin-1")
        case "r":
            return bytes.fromhex(word)
    return int(word, 0).to_bytes(_SIZES[field], "little")
