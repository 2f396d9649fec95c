"""Configuration strings: what is in them, and how blocks of bytes become strings and strings become blocks.

A string is ``GUID=…&NAME=…&PATH=…`` and then elements: ``&OFFSET=…&WIDTH=…[&VALUE=…]`` of a block, or
``&name[=value]``. Several of them are joined by ``&``, and one with ``&ALTCFG=…`` after its path has other values.

Source: UEFI 2.10 35.2.1 (the grammar) and 35.4; edk2 MdeModulePkg/Universal/HiiDatabaseDxe/ConfigRouting.c, for
statuses and for where an error is said to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_GUID, _NAME, _PATH, _ALTERNATIVE = "GUID=", "NAME=", "PATH=", "ALTCFG="
_OFFSET, _WIDTH, _VALUE = "OFFSET=", "&WIDTH=", "&VALUE="
_NODE_HEADER: Final = 4
_END_TYPE, _WHOLE_PATH = 0x7F, 0xFF
_LARGEST: Final = 16 << 20
_WORD: Final = (1 << 64) - 1
_UPPER: Final = re.compile(r"=[^&]*")
_INVALID, _NOT_FOUND = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_NOT_FOUND


class Parsed(NamedTuple):
    """The status of reading a string, where in the string it ended, and what came of it.

    Attributes:
        progress: Characters before the place where it ended.
        text: A string.
        bytes_at: Bytes of a block, by offset.
        size: A size of a block.
    """

    status: EfiStatus
    progress: int
    text: str = ""
    bytes_at: tuple[tuple[int, bytes], ...] = ()
    size: int = 0


def parts(text: str) -> Iterator[tuple[int, str]]:
    """Where each string of several begins, and the string; it ends where one begins with something else."""
    at = 0
    while text.startswith(_GUID, at):
        end = text.find("&" + _GUID, at)
        end = len(text) if end < 0 else end
        yield at, text[at:end]
        at = end + 1


def device_path_of(text: str) -> tuple[EfiStatus, bytes]:
    """The bytes of the device path in a string.

    Returns:
        EFI_INVALID_PARAMETER: There is none.
        EFI_NOT_FOUND: It is too short, or has a malformed node.
    """
    at = text.find(_PATH)
    if at < 0 or at + len(_PATH) == len(text):
        return _INVALID, b""
    digits = text[at + len(_PATH) :].partition("&")[0]
    path = bytes(_digit(digits[i]) << 4 | _digit(digits[i + 1 : i + 2]) for i in range(0, len(digits) - 1, 2))
    node = 0
    while len(path) >= node + _NODE_HEADER:
        length = int.from_bytes(path[node + 2 : node + 4], "little")
        if path[node] & 0x7F == _END_TYPE and path[node + 1] == _WHOLE_PATH:
            return SUCCESS, path[: node + _NODE_HEADER]
        if not path[node] or not path[node + 1] or length < _NODE_HEADER:
            break
        node += length
    return _NOT_FOUND, b""


def invalid_request(text: str) -> int | None:
    """Where a request stops to be one; None where it is one."""
    name = text.find("&" + _NAME)
    path = text.find("&" + _PATH, max(name, 0))
    if not text.startswith(_GUID) or name < 0 or path < 0:
        return 0
    at = text.find("&", path + 1)
    if at < 0:
        return None
    if text.startswith("&" + _NAME + "&", name):
        return None  # elements with names, which may be anything
    while text.startswith("&" + _OFFSET, at):
        width = text.find(_WIDTH, at)
        if width < 0:
            return at
        at = text.find("&" + _OFFSET, width)
        if at < 0:
            return None
    return at


def _place(text: str, at: int) -> tuple[int, int, int] | None:
    """OFFSET and WIDTH of the element at ``at``, and where they end; None where one is missing."""
    offset, at = _number(text, at + 1 + len(_OFFSET))
    if offset is None or not text.startswith(_WIDTH, at):
        return None
    width, at = _number(text, at + len(_WIDTH))
    return None if width is None else (offset & _WORD, width & _WORD, at)


def block_to_string(request: str, block_size: int) -> Parsed:
    """What a block answers to a request: ``bytes_at`` says of which bytes, ``text`` has a NUL for each value."""
    found = _elements(request)
    if isinstance(found, Parsed):
        return found
    pieces, wanted, at, total = [request[:found]], [], found, 0
    if at == len(request):
        return Parsed(SUCCESS, at, _lower(pieces[0]))
    while request.startswith("&" + _OFFSET, at):
        begin = at
        place = _place(request, begin)
        if place is None:
            return Parsed(_INVALID, begin)
        offset, width, at = place
        if offset + width > block_size:
            return Parsed(EfiStatus.EFI_DEVICE_ERROR, at)
        total += width
        if total > _LARGEST:
            return Parsed(EfiStatus.EFI_OUT_OF_RESOURCES, 0)
        wanted.append((offset, bytes(width)))
        pieces.append(request[begin:at] + _VALUE + "\0")
    if at < len(request):
        return Parsed(_INVALID, at)
    return Parsed(SUCCESS, at, _lower("".join(pieces)), tuple(wanted))


def string_to_block(answer: str, block_size: int) -> Parsed:
    """The bytes that an answer puts into a block, as far as the block reaches, and the size that it needs."""
    at = _elements(answer)
    if isinstance(at, Parsed):
        return at
    if at == len(answer):
        return Parsed(_INVALID, at)
    values, size = [], 0
    while answer.startswith("&" + _OFFSET, at):
        begin = at
        place = _place(answer, begin)
        if place is None or not answer.startswith(_VALUE, place[2]):
            return Parsed(_INVALID, begin)
        offset, width, at = place
        value, at = _number(answer, at + len(_VALUE))
        if value is None:
            return Parsed(_INVALID, begin)
        if offset + width <= block_size:
            if width > _LARGEST:
                return Parsed(EfiStatus.EFI_OUT_OF_RESOURCES, 0)
            values.append((offset, (value & (1 << 8 * width) - 1).to_bytes(width, "little")))
        size = max(size, offset + width)
    if at < len(answer):
        return Parsed(_INVALID, at, bytes_at=tuple(values))
    return Parsed(SUCCESS, at, bytes_at=tuple(values), size=size)


def alternative(text: str, guid: bytes | None, name: str | None, path: bytes | None, number: int | None) -> Parsed:
    """The first of several strings with a GUID, a name, a path and the number of an alternative, each if it is given.

    Without a number it is the first of any kind; ``ALTCFG`` is not in the result.
    """
    guid_text = _GUID + (guid.hex() + "&" if guid is not None else "")
    name_text = _NAME + ("".join(f"{ord(c):04x}" for c in name) + "&" if name is not None else "")
    path_text = _PATH + (path.hex() + "&" if path is not None else "")
    number_text = "" if number is None else f"{_ALTERNATIVE}{number:04x}&"
    at = 0
    while (begin := text.find(guid_text, at)) >= 0:
        at = begin + len(guid_text) if guid is not None else text.find(_NAME, begin)
        if at < 0:
            break
        if not text.startswith(name_text, at):
            continue
        at = at + len(name_text) if name is not None else text.find(_PATH, at)
        if at < 0:
            break
        if not text.startswith(path_text, at):
            continue
        at = at + len(path_text) if path is not None else text.find("&", at) + 1
        if not at:
            break
        if text.startswith(number_text, at):
            return _body(text, begin, at, at + len(number_text))
    return Parsed(_NOT_FOUND, 0)


def _body(text: str, begin: int, header_end: int, at: int) -> Parsed:
    end = text.find(_GUID, at)
    if end == at:
        return Parsed(_NOT_FOUND, 0)
    return Parsed(SUCCESS, 0, text[begin:header_end] + (text[at:] if end < 0 else text[at : end - 1]))


def _elements(text: str) -> Parsed | int:
    """Where the elements of a string begin: at ``&``, or at its end."""
    if not text.startswith(_GUID):
        return Parsed(_INVALID, 0)
    path = text.find(_PATH)
    if path < 0:
        return Parsed(_INVALID, len(text))
    at = text.find("&", path)
    return len(text) if at < 0 else at


def _number(text: str, at: int) -> tuple[int | None, int]:
    """A number in hexadecimal digits up to ``&`` or the end, None where the string ends; other characters are 0."""
    if at >= len(text):
        return None, at
    end = text.find("&", at)
    end = len(text) if end < 0 else end
    digits = text[at:end]
    return int("".join(f"{_digit(c):x}" for c in digits) or "0", 16), end


def _digit(character: str) -> int:
    return int(character, 16) if character and character in "0123456789abcdefABCDEF" else 0


def _lower(text: str) -> str:
    """Hexadecimal digits after each ``=`` in lower case."""
    return _UPPER.sub(lambda match: re.sub("[A-F]", lambda digit: digit[0].lower(), match[0]), text)
