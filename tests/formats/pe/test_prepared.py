"""An image that is loaded again is loaded as if it were read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.formats.pe.image import PeImage
from tdvfsh.formats.pe.load import load_pe
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.formats.pe.prepared import PreparedPe
from tdvfsh.formats.pe.relocate import relocate_pe
from tests.formats.pe.test_relocate import block, image_with

_IMAGES = {
    "relocated": image_with(block(0x1000, 0xA010, 0x3020) + block(0x2000, 0xA008)),
    "stripped": image_with(block(0x1000, 0xA010), characteristics=0x23),
    "bad relocations": image_with(block(0x1000, 0xA010), directory=(0x2000, 0x100000)),
    "bad block": image_with(block(0x9000000, 0xA010)),
}


@pytest.mark.parametrize("name", _IMAGES)
@given(addresses=st.lists(st.sampled_from([0, 0x1000, 0x1001, 0x400000, 1 << 40]) | st.integers(0, 1 << 52)))
def test_every_address_has_what_a_reading_of_its_own_finds(name: str, addresses: list[int]) -> None:
    image = memoryview(_IMAGES[name])
    pe = parse_pe(image)
    assert isinstance(pe, PeImage)
    prepared = PreparedPe(pe, image)
    for address in [*addresses, pe.image_base]:
        assert prepared.load(address) == load_pe(pe, image, address)
        assert prepared.relocate(address - pe.image_base) == relocate_pe(pe, image, address - pe.image_base)
