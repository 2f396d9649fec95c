"""Security2's FileAuthentication for LoadImage: which images are verified.

Source: edk2 SecurityPkg/Library/DxeImageVerificationLib (GetImageType, DxeImageVerificationHandler), MdePkg's
MEDIA_PIWG_FW_FILE_DP.
"""

from __future__ import annotations

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.secure_boot.databases import databases
from tdvfsh.dxe.secure_boot.execution_info import execution_info
from tdvfsh.dxe.secure_boot.rules import VerificationRules
from tdvfsh.dxe.secure_boot.verification import Verdict, verify_image
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.status import SUCCESS

_MEDIA: Final = 4
_FIRMWARE_FILE: Final = 6
_FIRMWARE_VOLUME: Final = 7


class ImageVerification:
    """The handler of one machine; LoadImage asks it about every image.

    Args:
        services: The machine's.
        rules: What its firmware knows.

    Attributes:
        refused: Entries of the image execution information table.
    """

    def __init__(self, services: BootServices, rules: VerificationRules) -> None:
        self._services, self._rules = services, rules
        self.refused: tuple[bytes, ...] = ()

    def install(self) -> None:
        """From now on LoadImage asks."""
        self._services.images.authenticate = self.authenticate
        self._services.images.refused_images = lambda: self.refused

    def authenticate(self, source: memoryview, path: DevicePath | None) -> Verdict | None:
        """The verdict on one image; None where there is none to give: Secure Boot is off, or it is firmware's own.

        Raises:
            HostError: The image is signed, and the extra ``secureboot`` is not installed.
        """
        if path is not None and _is_firmware_s_own(path):
            return None
        in_force = databases(self._services.core.variables)
        if in_force is None:
            return None
        verdict = verify_image(source, in_force, self._rules)
        entry = None if verdict.status is SUCCESS else execution_info(verdict, source, path)
        if entry is not None:
            self.refused = (*self.refused, entry)
        return verdict


def _is_firmware_s_own(path: DevicePath) -> bool:
    """Whether an image comes from a firmware volume: those are always executed."""
    heads = (node.pack()[:2] for node in path.nodes)
    return any(head[0] == _MEDIA and head[1] in (_FIRMWARE_FILE, _FIRMWARE_VOLUME) for head in heads)
