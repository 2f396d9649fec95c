"""An image that is loaded over and over: what of its loading depends on no address is found out once."""

from __future__ import annotations

from functools import cached_property

from tdvfsh.formats.mapped import ByteSource
from tdvfsh.formats.pe.image import PeImage
from tdvfsh.formats.pe.load import PeLoad, PlacedSections, check_address, load_pe, place_sections
from tdvfsh.formats.pe.parse import PeRejection
from tdvfsh.formats.pe.relocate import Fixup, relocate_pe
from tdvfsh.lazy_dataclass import replace


class PreparedPe:
    """A file whose headers were read, and which does not change while this lives.

    Args:
        pe: The image as :func:`~tdvfsh.formats.pe.parse.parse_pe` returned it.
        view: The same file.
    """

    def __init__(self, pe: PeImage, view: memoryview) -> None:
        self.pe = pe
        self._view = view
        self._load: PeLoad | PeRejection | None = None
        self._fixups: dict[bool, tuple[Fixup, ...] | PeRejection] = {}

    @cached_property
    def _placed(self) -> PlacedSections | PeRejection:
        return place_sections(self.pe, ByteSource(self._view, size=self.pe.file_size))

    def load(self, image_address: int) -> PeLoad | PeRejection:
        """What :func:`~tdvfsh.formats.pe.load.load_pe` returns for that address."""
        rejection = check_address(self.pe, image_address)
        if rejection is not None:
            return rejection
        known = self._load
        if known is None:
            known = self._load = load_pe(self.pe, self._view, image_address, placed=self._placed)
        if isinstance(known, PeRejection) or known.image_address == image_address:
            return known
        entry = known.entry_point and known.entry_point - known.image_address + image_address
        return replace(known, image_address=image_address, entry_point=entry)

    def relocate(self, adjust: int) -> tuple[Fixup, ...] | PeRejection:
        """What :func:`~tdvfsh.formats.pe.relocate.relocate_pe` returns for that distance."""
        moved = adjust != 0
        if moved not in self._fixups:
            self._fixups[moved] = relocate_pe(self.pe, self._view, adjust, self._placed)
        return self._fixups[moved]
