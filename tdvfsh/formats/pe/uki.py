"""Unified kernel images: a PE file whose sections carry kernel, initrd, command line and what describes them.

Source: UAPI group specification "Unified Kernel Image"; systemd src/boot/efi/stub.c and src/fundamental/uki.c.
"""

from __future__ import annotations

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.pe.parse import PeRejection, parse_pe
from tdvfsh.formats.text import printable
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

UKI_SECTIONS: Final = (
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname",
    ".sbat", ".pcrsig", ".pcrpkey", ".profile", ".dtbauto", ".hwids", ".efifw",
)  # fmt: skip
TEXT_LIMIT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class UkiSection:
    """One of the sections that the stub looks at: ``size`` bytes at ``offset`` of the file."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Uki:
    """A unified kernel image; texts are empty where their section is missing."""

    path: str
    size: int
    sections: tuple[UkiSection, ...]
    cmdline: str
    osrel: str
    uname: str

    def section(self, name: str) -> UkiSection | None:
        """The first section called ``name`` (``.linux``, ``.initrd`` …)."""
        return next((section for section in self.sections if section.name == name), None)


def parse_uki(view: Buffer | ByteSource, path: str) -> Uki:
    """Find the sections of a unified kernel image.

    A section's content is VirtualSize bytes, or fewer where the file holds fewer.

    Raises:
        FormatError: No PE image that firmware accepts, or one without a kernel in it.
    """
    source = ByteSource(view, path)
    pe = parse_pe(source)
    if isinstance(pe, PeRejection):
        raise FormatError(path, f"not a unified kernel image: {pe.why}")
    sections = tuple(
        UkiSection(
            section.name,
            section.pointer_to_raw_data,
            min(section.virtual_size, section.size_of_raw_data),
        )
        for section in pe.sections
        if section.name in UKI_SECTIONS
    )
    uki = Uki(path=path, size=source.size, sections=sections, cmdline="", osrel="", uname="")
    if uki.section(".linux") is None:
        raise FormatError(path, "not a unified kernel image: it has no .linux section")
    return Uki(path, source.size, sections, *(_text(source, uki, name) for name in (".cmdline", ".osrel", ".uname")))


def _text(source: ByteSource, uki: Uki, name: str) -> str:
    section = uki.section(name)
    if section is None:
        return ""
    raw = source.peek(section.offset, min(section.size, TEXT_LIMIT))
    return printable(raw.rstrip(b"\0"), keep="\n\t")
