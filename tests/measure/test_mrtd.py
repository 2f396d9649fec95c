"""MRTD: against a second, short implementation straight from the specification, and known answers."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.errors import FormatError
from tdvfsh.formats.tdvf import parse_tdvf
from tdvfsh.measure.mrtd import AddOrder, measure_build
from tests.engine.runs.test_real_programs import image
from tests.formats.test_tdvf import SIZE, firmware

BFV = (0x2000, 0x1000, 0xFFFFE000, 0x2000, 0, 1)
CFV = (0x0, 0x1000, 0xFFFFC000, 0x2000, 1, 0)
TD_HOB = (0, 0, 0x809000, 0x2000, 2, 0)
TEMPORARY = (0, 0, 0x810000, 0x3000, 3, 0)
PENDING = (0, 0, 0x900000, 0x3000, 3, 2)
SECTIONS = (BFV, CFV, TD_HOB, TEMPORARY)


def page_add(address: int) -> bytes:
    """TDH.MEM.PAGE.ADD: name in bytes 0 to 11, address in bytes 16 to 23 of 128."""
    return struct.pack("<12s4xQ104x", b"MEM.PAGE.ADD", address)


def mr_extend(address: int, chunk: bytes) -> bytes:
    """TDH.MR.EXTEND: name in bytes 0 to 8, address in bytes 16 to 23 of 128, then the chunk."""
    return struct.pack("<9s7xQ104x256s", b"MR.EXTEND", address, chunk)


def mrtd_of_calls(calls: list[bytes]) -> str:
    return hashlib.sha384(b"".join(calls)).hexdigest()


def calls_of(data: bytes, sections: tuple[tuple[int, ...], ...], whole_sections: bool) -> list[bytes]:
    calls = []
    for offset, size, base, memory, _, attributes in sections:
        content = data[offset : offset + size].ljust(memory, b"\0")
        adds: list[list[bytes]] = []
        extends: list[list[bytes]] = []
        for page in range(0, memory, 4096):
            adds.append([] if attributes & 2 else [page_add(base + page)])
            chunks = range(page, page + 4096, 256) if attributes & 1 else ()
            extends.append([mr_extend(base + at, content[at : at + 256]) for at in chunks])
        if whole_sections:
            calls += [call for page in (*adds, *extends) for call in page]
        else:
            calls += [call for pair in zip(adds, extends, strict=True) for page in pair for call in page]
    return calls


def filled(sections: tuple[tuple[int, ...], ...] = SECTIONS) -> bytes:
    """An image whose data is not all zeros."""
    data = bytearray(firmware(sections))
    for at in range(0x2000, 0x2C00):
        data[at] = at * 7 % 251
    return bytes(data)


def mrtd(data: bytes, order: AddOrder = AddOrder.PAGE) -> str:
    return measure_build(data, parse_tdvf(data, "fw", any_vmm=True), order).mrtd.hex()


@pytest.mark.parametrize("order", AddOrder)
@pytest.mark.parametrize("sections", [SECTIONS, (*SECTIONS, PENDING), (CFV, BFV, TEMPORARY, TD_HOB)])
def test_both_orders_are_those_of_the_specification_s_calls(
    order: AddOrder, sections: tuple[tuple[int, ...], ...]
) -> None:
    data = filled(sections)
    assert mrtd(data, order) == mrtd_of_calls(calls_of(data, sections, order is AddOrder.SECTION))


def test_known_answer_of_td_shim_s_calculator() -> None:
    """What td-shim-tee-info-hash (td_shim_tee_info_hash.py of 2025) says of the same bytes."""
    sections = ((*BFV[:3], 0x1000, 0, 1), CFV, TD_HOB, TEMPORARY)
    assert mrtd(filled(sections)) == KNOWN


KNOWN = "82d47c245422a9c80d9c1c66998c4d9028de890126da8af21994e3dd77ebf10c2af4fc5a5c81f98d350f800f8f05938e"


def test_orders_differ_and_so_does_every_change_of_what_is_measured() -> None:
    data = filled()
    seen = {mrtd(data), mrtd(data, AddOrder.SECTION)}
    for at in (0x2000, 0x2801, 0x2FFF):
        changed = bytearray(data)
        changed[at] ^= 1
        seen.add(mrtd(bytes(changed)))
    seen.add(mrtd(filled((BFV, CFV, TEMPORARY, TD_HOB))))
    seen.add(mrtd(filled((*SECTIONS, (0, 0, 0x900000, 0x1000, 3, 0)))))
    assert len(seen) == 7


def test_what_is_not_measured_does_not_count() -> None:
    data = filled()
    changed = bytearray(data)
    changed[0x10] ^= 1  # the variable store
    assert mrtd(bytes(changed)) == mrtd(data)
    pending = (*SECTIONS, PENDING)
    assert mrtd(filled(pending)) == mrtd_of_calls(calls_of(filled(), SECTIONS, False))


def test_sizes_are_told() -> None:
    data = filled()
    build = measure_build(data, parse_tdvf(data, "fw"), AddOrder.PAGE)
    assert (build.added_bytes, build.extended_bytes) == (0x9000, 0x2000)


def test_code_without_its_variable_store_measures_the_same() -> None:
    joined = ((0x1000 + SIZE - 0x1000, 0x1000, 0xFFFFF000, 0x1000, 0, 1), (0, 0x1000, 0xFFFFB000, 0x1000, 1, 0))
    code = firmware(joined)  # the last page of a file whose front, one page of variables, is missing
    whole = bytes(0x1000) + code
    assert mrtd(code) == mrtd(whole)


def test_a_measured_variable_store_that_is_missing_is_told() -> None:
    code = firmware(((SIZE, 0x1000, 0xFFFFF000, 0x1000, 0, 1), (0, 0x1000, 0xFFFFB000, 0x1000, 1, 1)))
    with pytest.raises(FormatError, match="CFV section at 0xffffb000 is not in this file: join variable store and"):
        mrtd(code)


def test_sections_of_td_shim_are_measured_where_qemu_would_refuse_them() -> None:
    sections = (BFV, (0x1000, 0x800, 0, 0, 7, 0), (0x1000, 0x1000, 0x1000000, 0x1000, 5, 1), PENDING, TD_HOB)
    data = filled(sections)
    with pytest.raises(FormatError, match="which QEMU refuses"):
        parse_tdvf(data, "shim")
    assert mrtd(data) == mrtd_of_calls(calls_of(data, (sections[0], *sections[2:]), False))


def test_a_measured_td_hob_is_the_vmm_s_affair() -> None:
    with pytest.raises(FormatError, match="a measured TD_HOB section: MRTD depends on what the VMM writes there"):
        mrtd(filled((BFV, (*TD_HOB[:5], 1))))


@pytest.mark.parametrize("attributes", [0, 1])
def test_a_section_without_end_is_refused_at_once(attributes: int) -> None:
    data = firmware((BFV, TD_HOB, (0, 0, 0, 1 << 62, 3, attributes)))
    with pytest.raises(FormatError, match=r"sections of more than 256 MiB"):
        mrtd(data)


@given(
    st.lists(
        st.tuples(
            st.integers(0, SIZE // 0x1000 - 1), st.integers(1, 3), st.integers(0, 1 << 20), st.booleans(), st.booleans()
        ),
        min_size=2,
        max_size=6,
    ),
    st.sampled_from(AddOrder),
)
def test_any_sections_measure_as_the_calls_say(drawn: list[tuple[int, int, int, bool, bool]], order: AddOrder) -> None:
    sections = tuple(
        (page << 12, min(0x1000, SIZE - (page << 12)), base << 12, pages << 12, 0, measured | pending << 1)
        for page, pages, base, measured, pending in drawn
    )
    data = filled(sections)
    assert mrtd(data, order) == mrtd_of_calls(calls_of(data, sections, order is AddOrder.SECTION))


@pytest.mark.images
@pytest.mark.parametrize("name", ["ovmf-2025.02", "ovmf-inteltdx"])
def test_debian_s_firmware_measures_as_the_calls_say(name: str) -> None:
    data = Path(image(name, "firmware")).read_bytes()
    metadata = parse_tdvf(data, name)
    sections = tuple(
        (each.data_offset, each.raw_data_size, each.memory_address, each.memory_data_size, each.type, each.attributes)
        for each in metadata.sections
    )
    for order in AddOrder:
        calls = calls_of(data, sections, order is AddOrder.SECTION)
        assert measure_build(data, metadata, order).mrtd.hex() == mrtd_of_calls(calls)


@pytest.mark.images
def test_debian_s_code_alone_measures_as_joined_with_its_variable_store() -> None:
    code = Path(image("ovmf-2025.02", "firmware-code-4m")).read_bytes()
    store = Path(image("ovmf-2025.02", "firmware-vars-4m")).read_bytes()
    assert mrtd(code) == mrtd(store + code)
