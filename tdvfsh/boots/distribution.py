"""What the distribution's own firmware would have done, where a model boots more than that."""

from __future__ import annotations

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.formats.pe.authenticode import certificate_table
from tdvfsh.lazy_typing import Final
from tdvfsh.options.td import AUTOMATIC

_WITH_KEYS: Final = dict.fromkeys(("inteltdx", "inteltdx-q35"), "Debian's OVMF.inteltdx.ms.fd")
"""Firmware that is shipped with Microsoft's keys enrolled, by the footprint that was recorded from it without them."""
_BY_IMAGE_SERVICES: Final = "direct"
_ISSUER: Final = b"Microsoft Corporation"
"""In the name of every certificate authority in its db, and so in a signature that one of them stands above."""


def refused_by_distribution(result: BootResult) -> str | None:
    """The firmware that would have refused the kernel of a direct boot, for people; None where none is known to.

    Without the keys only the certain case is told: no certificate of the kernel's names Microsoft.
    """
    machine, kernel = result.machine, result.files.kernel
    options = machine.options
    firmware = _WITH_KEYS.get(machine.start.firmware_name)
    asked = options.secure_boot != AUTOMATIC or options.firmware is not None or machine.imported_map is not None
    if firmware is None or asked or not result.booted or options.loader != _BY_IMAGE_SERVICES or kernel.pe is None:
        return None
    table = certificate_table(kernel.pe, kernel.view)
    allowed = table is not None and any(_ISSUER in signature for signature in table.signed)
    return None if allowed else firmware
