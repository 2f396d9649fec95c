"""A firmware file and where its parts go in a new machine.

A TD's VMM adds the sections that the TDX metadata names; a plain VM has the whole file below 4 GiB, as ROM.

Source: QEMU hw/i386/tdvf.c and hw/i386/kvm/tdx.c (sections), hw/i386/x86-common.c (x86_bios_rom_init).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tdvfsh.errors import FormatError
from tdvfsh.formats.firmware_volume import firmware_files, missing_bytes
from tdvfsh.formats.mapped import copy_of, open_mapped
from tdvfsh.formats.tdvf import TdvfMetadata, TdvfSection, TdvfSectionType, find_tdvf, parse_tdvf
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.td.hob import TdHobEntry, build_td_hob_list, td_hob_entries
from tdvfsh.td.ram import RamLayout
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.units import GIB, KIB, MIB, human_size

_TOP: Final = 4 * GIB
_LARGEST: Final = 16 * MIB
_GRANULARITY: Final = 64 * KIB
_IN_FLASH: Final = (TdvfSectionType.BFV, TdvfSectionType.CFV)
_IN_RAM: Final = (TdvfSectionType.TD_HOB, TdvfSectionType.TempMem)


@dataclass(frozen=True, slots=True)
class FirmwareImage:
    """A firmware file.

    Attributes:
        path: The file.
        data: Its bytes.
        metadata: Its TDX metadata, None where it has none.
    """

    path: str
    data: bytes
    metadata: TdvfMetadata | None

    @property
    def base(self) -> int:
        """Where the file would begin, were it to end at 4 GiB as a whole."""
        return _TOP - len(self.data)


@dataclass(frozen=True, slots=True)
class FirmwareLayout:
    """Places of a firmware file's parts in one machine.

    Attributes:
        pages: Pages outside of RAM that hold firmware, ascending.
        contents: Bytes by the address where they are placed.
        added: Sections of RAM that the VMM adds before the start, ascending.
        hob_entries: The TD HOB list; empty in a plain VM.
        td_hob: Where that list is; 0 in a plain VM.
    """

    pages: tuple[AddressSpan, ...]
    contents: tuple[tuple[int, memoryview], ...]
    added: tuple[AddressSpan, ...] = ()
    hob_entries: tuple[TdHobEntry, ...] = ()
    td_hob: int = 0


@contextmanager
def open_firmware(path: str | Path, variables: str | Path | None = None) -> Iterator[FirmwareImage]:
    """Read a firmware file, which stays small.

    Args:
        path: The file.
        variables: The variable store that it is joined to; None where it has its own.

    Raises:
        HostError: It cannot be read.
        FormatError: It is not firmware, or its TDX metadata is invalid.
    """
    name = str(path)
    with ExitStack() as stack:
        pieces = [stack.enter_context(open_mapped(each)).view for each in (variables, path) if each is not None]
        size = sum(map(len, pieces))
        if not size or size % _GRANULARITY or size > _LARGEST:
            limits = f"{human_size(_GRANULARITY)} to {human_size(_LARGEST)}, in steps of {human_size(_GRANULARITY)}"
            why = f"not a firmware image: {size:,} bytes, where firmware has {limits}"
            if variables is None and _is_code(pieces[0], name):
                why += f"; it is the code alone, which 'cat VARS {Path(name).name}' joins to its variable store"
            raise FormatError(name, why)
        data = b"".join(map(copy_of, pieces))
        found = find_tdvf(data, name)
        if found is None and not firmware_files(data, name):
            raise FormatError(name, "not a firmware image: it has neither a firmware volume nor TDX metadata")
        missing = missing_bytes(data, name)
        if missing:
            raise FormatError(name, f"the file is cut: a firmware volume goes on {missing:,} bytes beyond its end")
        yield FirmwareImage(name, data, None if found is None else parse_tdvf(data, name))


def _is_code(data: memoryview, name: str) -> bool:
    """Whether a file ends as firmware does, with TDX metadata that is found from its end."""
    try:
        return _GRANULARITY <= len(data) <= _LARGEST and find_tdvf(data, name) is not None
    except FormatError:
        return False


def layout_of_plain_vm(image: FirmwareImage, in_flash: int = 0) -> FirmwareLayout:
    """The whole file below 4 GiB, but for ``in_flash`` bytes at its beginning, which a flash chip holds."""
    start = image.base + in_flash
    return FirmwareLayout((AddressSpan(start, _TOP),), ((start, memoryview(image.data)[in_flash:]),))


def layout_of_td(image: FirmwareImage, ram: RamLayout) -> FirmwareLayout:
    """The sections of the TDX metadata.

    Raises:
        FormatError: There is no metadata, or its sections cannot be placed in this machine.
        UsageError: A section does not lie in this RAM.
    """
    if image.metadata is None:
        raise FormatError(image.path, "no TDX metadata: the firmware does not support TDX (--no-td runs it)")
    sections = [section for section in image.metadata.sections if section.memory_data_size]
    flash = sorted((each for each in sections if each.type in _IN_FLASH), key=lambda each: each.memory_address)
    _check_flash(image, ram, flash)
    data = memoryview(image.data)
    contents = tuple(
        (each.memory_address, data[each.data_offset : each.data_offset + each.raw_data_size]) for each in flash
    )
    added = sorted(AddressSpan(each.memory_address, each.memory_end) for each in sections if each.type in _IN_RAM)
    td_hobs = image.metadata.of_type(TdvfSectionType.TD_HOB)
    if len(td_hobs) != 1:
        raise FormatError(image.path, f"TDX metadata with {len(td_hobs)} TD_HOB sections, where a TD has one")
    hob_entries = td_hob_entries(ram, added)
    list_data = build_td_hob_list(hob_entries, td_hobs[0].memory_address, td_hobs[0].memory_data_size)
    return FirmwareLayout(
        tuple(AddressSpan(each.memory_address, each.memory_end) for each in flash),
        (*contents, (td_hobs[0].memory_address, memoryview(list_data))),
        tuple(added),
        hob_entries,
        td_hobs[0].memory_address,
    )


def _check_flash(image: FirmwareImage, ram: RamLayout, flash: list[TdvfSection]) -> None:
    """Refuse what cannot be placed: overlaps, RAM, addresses past 4 GiB, no reset vector, data that is not there."""
    before = ram.low.end
    for section in flash:
        what = f"the {section.type.name} section [{section.memory_address:#x}, {section.memory_end:#x})"
        if not section.data_in_file:
            raise FormatError(image.path, f"the data of {what} lies outside of the file: join variable store and code")
        if section.memory_address < before:
            other = "RAM" if before == ram.low.end else "another section"
            raise FormatError(image.path, f"{what} overlaps {other}")
        if section.memory_end > _TOP:
            raise FormatError(image.path, f"{what} lies outside of the addresses below 4 GiB")
        before = section.memory_end
    if before != _TOP or not flash:
        raise FormatError(image.path, "no section of the TDX metadata holds the reset vector below 4 GiB")
