"""What a recording says of the images of group G9b: status, and where and how large the loaded image was."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

RECORDINGS = Path(__file__).parent.parent / "recordings" / "dxe"
IMAGES = RECORDINGS / "images"

_LOAD = re.compile(r"^LoadImage (?P<name>\S+\.efi) size=0x(?P<size>[0-9A-F]+) buf=\S+ -> (?P<status>[A-Z_]+)")
_IMAGE = re.compile(r"^  IMAGE base=0x(?P<base>[0-9A-F]+) size=0x(?P<size>[0-9A-F]+)")


class RecordedLoad(NamedTuple):
    """One ``LoadImage NAME`` line; base and image size are 0 where it failed."""

    name: str
    file_size: int
    status: str
    image_base: int
    image_size: int


def recorded_loads(log: str) -> list[RecordedLoad]:
    """The recorded loads of those images that stand in the images folder."""
    loads: list[RecordedLoad] = []
    for line in (RECORDINGS / log).read_text().splitlines():
        if match := _LOAD.match(line):
            loads.append(RecordedLoad(match["name"], int(match["size"], 16), match["status"], 0, 0))
        elif loads and (match := _IMAGE.match(line)) and loads[-1].status == "SUCCESS":
            loads[-1] = loads[-1]._replace(image_base=int(match["base"], 16), image_size=int(match["size"], 16))
    return [load for load in loads if (IMAGES / load.name).exists()]
