"""What of an event is the VMM's choice, so that another VMM or another machine makes another digest.

Source: edk2 OvmfPkg/IntelTdx/TdxHelperLib/SecTdxHelper.c (TD HOB and CFV),
OvmfPkg/AcpiPlatformDxe/QemuFwCfgAcpi.c (ACPI DATA), OvmfPkg/Library/QemuBootOrderLib; QEMU hw/i386/x86-common.c (setup
header).
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.formats.tcg.event_log import TcgEvent
from tdvfsh.formats.tcg.event_types import TcgEventType as Type
from tdvfsh.formats.tcg.event_words import event_words
from tdvfsh.lazy_typing import Final

TD_HOB: Final = "the TD HOB: RAM size, and where the VMM's RAM and its hole below 4 GiB lie"
ACPI_TABLES: Final = "the VMM's ACPI tables: its version, vCPUs, RAM size and devices (--acpi takes a real VMM's)"
BOOT_ORDER: Final = "the boot options that firmware makes of the VMM's devices and boot order"
KERNEL_HEADER: Final = "the kernel's setup header, into which QEMU before 10.2 writes (--kernel-header patched)"
ADD_ORDER: Final = "the order in which the VMM adds and extends pages (--add-order)"
FW_CFG: Final = "a fw_cfg item of the VMM"
_BOOT_PREFIX: Final = "Boot"


def depends_on(event: TcgEvent) -> str:
    """What of the VMM's an event's digest depends on, one sentence fragment; empty where on nothing of it."""
    kind, words = event.event_type, event_words(event)
    if kind in (Type.EV_EFI_HANDOFF_TABLES, Type.EV_EFI_HANDOFF_TABLES2):
        return TD_HOB if event.mr_index == 1 and "TdxTable" in words else ""
    if kind == Type.EV_PLATFORM_CONFIG_FLAGS:
        return ACPI_TABLES if "ACPI DATA" in words else FW_CFG
    if kind in (Type.EV_EFI_VARIABLE_BOOT, Type.EV_EFI_VARIABLE_BOOT2):
        return BOOT_ORDER
    if kind == Type.EV_EFI_BOOT_SERVICES_APPLICATION and words.partition(",")[0].endswith("/kernel"):
        return KERNEL_HEADER
    return ""


def register_dependencies(events: Sequence[TcgEvent]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The VMM's choices that events of one register depend on, each with the numbers of these events."""
    found: dict[str, list[int]] = {}
    for event in events:
        what = depends_on(event)
        if what:
            found.setdefault(what, []).append(event.number)
    return tuple((what, tuple(numbers)) for what, numbers in found.items())
