"""Every entry of the boot and runtime services tables answers for itself, or says that it is not there."""

from __future__ import annotations

from typing import Final

import pytest

from tdvfsh.uefi.service_names import BOOT_SERVICES, RUNTIME_SERVICES
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.programs import Caller, guest

INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
UNSUPPORTED: Final = EfiStatus.EFI_UNSUPPORTED
TPL_APPLICATION: Final = 4
NOT_THERE: Final = {"Reserved"}
AFTER_BOOT_SERVICES: Final = {"SetVirtualAddressMap", "ConvertPointer"}  # tested with the kernel that calls them
ENDS_THE_RUN: Final = {"ResetSystem"}
CALLS: Final[dict[str, tuple[tuple[int, ...], int]]] = {
    "RaiseTPL": ((TPL_APPLICATION,), TPL_APPLICATION),
    "RestoreTPL": ((TPL_APPLICATION,), SUCCESS),
    "Stall": ((1,), SUCCESS),
    "SetWatchdogTimer": ((0,), SUCCESS),
    "CopyMem": ((0, 0, 0), SUCCESS),
    "SetMem": ((0, 0, 0), SUCCESS),
    "SetWakeupTime": ((0, 0), SUCCESS),
}
"""What each service is called with, and what it says; a NULL pointer is EFI_INVALID_PARAMETER to all others."""


@pytest.mark.parametrize("name", sorted({*BOOT_SERVICES, *RUNTIME_SERVICES} - AFTER_BOOT_SERVICES - ENDS_THE_RUN))
def test_a_service_is_served_or_says_that_it_is_not_there_and_the_journal_names_it(name: str) -> None:
    arguments, expected = CALLS.get(name, ((0,) * 6, UNSUPPORTED if name in NOT_THERE else INVALID))
    with guest() as (firmware, _):
        caller = Caller(firmware)
        answer = (caller.boot if name in BOOT_SERVICES else caller.runtime)(name, *arguments)
        statuses = [record.status for record in firmware.machine.trace if record.service == name]
    assert answer == expected
    assert statuses == [SUCCESS if expected == TPL_APPLICATION else expected]
