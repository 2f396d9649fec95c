"""What LoadImage and StartImage made of an image that a command loads."""

from __future__ import annotations

from tdvfsh.lazy_typing import NamedTuple
from tdvfsh.uefi.status import EfiStatus


class ImageResult(NamedTuple):
    """Outcome of an image: LoadImage's status, whether it is a driver, its base, and StartImage's status."""

    status: EfiStatus
    is_driver: bool = False
    base: int = 0
    started: EfiStatus = EfiStatus.EFI_UNSUPPORTED
