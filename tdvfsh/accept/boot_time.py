"""How much the firmware accepts before DXE starts.

Source: the RFC-era PCD PcdTdxAcceptPartialMemorySize and its pre-accept for direct boot (edk2-staging 201471f833,
2cd05af073); "everything below 4 GiB" is edk2 d1e41c620f.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.td.hob import TdHobEntry
from tdvfsh.td.sec import EVERYTHING, SEC_RULES, SecRules
from tdvfsh.units import GIB, PAGE_SIZE, align_up, format_size, parse_size

EAGER: Final = "eager"
PRESIZE: Final = "presize"
BELOW_4G: Final = "below-4g"
DEFAULT_SIZE: Final = 512 << 20
_SHOWN: Final = 60
"""Characters of an invalid value in a message."""


@dataclass(frozen=True, slots=True)
class BootAccept:
    """The ``--accept`` axis.

    Attributes:
        name: ``eager``, ``presize``, ``below-4g``, or the size as given.
        size: Bytes to accept first, where the policy counts bytes.
        add_images: Whether the sizes of kernel, setup, command line and initrd come on top (``presize``).
    """

    name: str
    size: int | None = None
    add_images: bool = False

    def end_address(self, entries: Sequence[TdHobEntry], image_bytes: int = 0, rules: SecRules = SEC_RULES) -> int:
        """First byte that stays unaccepted, in the order of the TD HOB list.

        Args:
            entries: The TD HOB list; pages that the VMM added count like accepted ones, unless ``rules`` say otherwise.
            image_bytes: Sizes of the boot blobs in fw_cfg, in sum.
            rules: What the release does otherwise than edk2's head.
        """
        if self.size is None:
            return EVERYTHING if self.name == EAGER else 4 * GIB
        left = align_up(self.size + (image_bytes if self.add_images else 0), PAGE_SIZE)
        limit = 4 * GIB if rules.capped else EVERYTHING
        for entry in entries:
            if not (rules.counts_added or entry.is_unaccepted):
                continue
            if left <= entry.length:
                return min(entry.start + left, limit)
            left -= entry.length
        return limit


def parse_boot_accept(text: str) -> BootAccept:
    """The policy that ``--accept`` names.

    ``presize`` alone counts from 512M; ``presize:SIZE`` from SIZE.

    Raises:
        UsageError: No policy and no size; or a size of 0 or off the 4 KiB page.
    """
    if text == EAGER:
        return BootAccept(EAGER)
    if text == BELOW_4G:
        return BootAccept(BELOW_4G)
    name, _, given = text.partition(":")
    if name == PRESIZE:
        return BootAccept(text, _checked(given, text) if given else DEFAULT_SIZE, add_images=True)
    return BootAccept(text, _checked(text, text))


def _checked(size_text: str, text: str) -> int:
    try:
        size = parse_size(size_text)
    except UsageError:
        raise UsageError(
            f"{text[:_SHOWN]}: unknown; give {EAGER}, {BELOW_4G}, {PRESIZE}[:SIZE] or a size such as 512M"
        ) from None
    if size == 0 or size % PAGE_SIZE:
        raise UsageError(f"{format_size(size)}: must be a multiple of 4 KiB, and not 0")
    return size
