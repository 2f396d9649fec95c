r"""ACPI tables of a TD on q35, as few as a kernel needs: RSDP, XSDT, RSDT, FADT, FACS, MADT and a DSDT.

They describe only what the engine has: the power management registers, the local APICs, one I/O APIC, the CMOS clock
and COM1, and under real firmware the PCI host bridge. No PIC, HPET, VGA or buttons, so that a kernel looks for none of
them; nor keyboard controller, which only firmware uses. FADT and MADT say the same version of ACPI, 6.4.

Source: ACPI 6.4 chapter 5 (tables), 5.2.12.19 (Multiprocessor Wakeup), 4.8.3 (registers); the register addresses are
those of QEMU's q35 under OVMF (QEMU hw/i386/acpi-build.c, hw/isa/lpc_ich9.c; edk2 OvmfPkg/Include/IndustryStandard/
Q35MchIch9.h); edk2 OvmfPkg/TdxDxe keeps the wakeup mailbox in ACPI NVS memory.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.devices.cmos import INDEX as CMOS_PORT
from tdvfsh.engine.devices.cmos import PORTS as CMOS_PORTS
from tdvfsh.engine.devices.io_apic import ADDRESS as IO_APIC_ADDRESS
from tdvfsh.engine.devices.pci import RESET as RESET_PORT
from tdvfsh.engine.devices.power_management import GENERAL_EVENTS, GENERAL_EVENTS_SIZE
from tdvfsh.engine.devices.power_management import PM1_CONTROL as PM1A_CONTROL_PORT
from tdvfsh.engine.devices.power_management import PM1_EVENT as PM1A_EVENT_PORT
from tdvfsh.engine.devices.power_management import PM_TIMER as PM_TIMER_PORT
from tdvfsh.engine.devices.serial_port import COM1 as SERIAL_PORT
from tdvfsh.engine.devices.serial_port import COM1_LINE as SERIAL_IRQ
from tdvfsh.engine.tables import aml
from tdvfsh.engine.tables.pci_host import PciHost
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.units import PAGE_SIZE, align_up

SCI_INTERRUPT: Final = 9
RESET_VALUE: Final = 0x0F
SLEEP_TYPE_S5: Final = 0
LOCAL_APIC_ADDRESS: Final = 0xFEE00000
SERIAL_PORTS: Final = 8

_RSDP_SIZE: Final = 36
_FADT_SIZE: Final = 276
_FACS_SIZE: Final = 64
_TABLE_ALIGNMENT: Final = 16
_HEADER: Final = struct.Struct("<4sIBB6s8sI4sI")
_CHECKSUM_OFFSET: Final = 9
_OEM_ID: Final = b"TDVFSH"
_OEM_TABLE_ID: Final = b"TDVFSH  "
_CREATOR_ID: Final = b"TDVF"
_REVISION: Final = 1
_4_GIB: Final = 1 << 32
_ACPI_MAJOR, _ACPI_MINOR = 6, 4
_MADT_REVISION: Final = 5  # of ACPI 6.4
_CLOCK_IRQ: Final = 8

_SYSTEM_IO: Final = 1
_BYTE_ACCESS, _WORD_ACCESS, _DWORD_ACCESS = 1, 2, 3
_VGA_NOT_PRESENT = 1 << 2
_WBINVD, _PROC_C1, _TMR_VAL_EXT, _RESET_REG_SUP = 1 << 0, 1 << 2, 1 << 8, 1 << 10
_NO_FIXED_POWER_BUTTON, _NO_FIXED_SLEEP_BUTTON, _NO_FIXED_RTC = 1 << 4, 1 << 5, 1 << 6
_NO_C2_LATENCY, _NO_C3_LATENCY = 101, 1001

_ENABLED: Final = 1
_LEVEL_ACTIVE_HIGH: Final = 0xD
_FIRST_X2APIC_ID: Final = 0xFF  # no longer an ID but the broadcast address of an 8-bit local APIC ID
_LOCAL_APIC, _IO_APIC, _INTERRUPT_SOURCE_OVERRIDE, _LOCAL_X2APIC, _MULTIPROCESSOR_WAKEUP = 0, 1, 2, 9, 0x10


class AcpiTables(NamedTuple):
    """The tables as one piece of memory.

    Attributes:
        data: Whole pages, to stand at the ``base`` of :func:`acpi_tables`.
        rsdp: Address of the RSDP, for the ACPI 2.0 configuration table.
        rsdp_1: Address of ACPI 1.0's, which has the RSDT alone, for the other configuration table; 0 where the
            tables lie above 4 GiB, which an RSDT cannot list.
        nvs_size: How many bytes at the beginning (FACS) the OS and firmware share for good and belong in
            EfiACPIMemoryNVS; the rest is EfiACPIReclaimMemory.
    """

    data: bytes
    rsdp: int
    rsdp_1: int
    nvs_size: int


def acpi_tables(base: int, vcpus: int = 1, mailbox: int = 0, pci: PciHost | None = None) -> AcpiTables:
    """The tables of a TD or a plain VM, for a place in memory.

    Args:
        base: Physical address of the first byte: a multiple of 4 KiB.
        vcpus: Number of vCPUs, whose APIC IDs are 0, 1, 2 and so on.
        mailbox: Address of the page in which the OS wakes all but the first, as in a TD; 0 where they wait for
            start-up messages.
        pci: The PCI host bridge; None for none that the OS should know of.

    Raises:
        ValueError: ``base`` is in the middle of a page or there is no vCPU.
    """
    if base % PAGE_SIZE or vcpus < 1:
        raise ValueError(f"no tables for {vcpus} vCPUs at {base:#x}")
    data = bytearray(PAGE_SIZE)
    data[:_FACS_SIZE] = _facs()
    nvs_size = len(data)

    def add(table: bytes) -> int:
        address = base + len(data)
        data.extend(table.ljust(align_up(len(table), _TABLE_ALIGNMENT), b"\0"))
        return address

    dsdt = add(_table(b"DSDT", 2, _dsdt(vcpus, pci)))
    listed = [add(_fadt(base, dsdt)), add(_table(b"APIC", _MADT_REVISION, _madt(vcpus, mailbox)))]
    mcfg = None if pci is None else pci.mcfg()
    if mcfg is not None:
        listed.append(add(_table(b"MCFG", 1, mcfg)))
    xsdt = add(_table(b"XSDT", 1, struct.pack(f"<{len(listed)}Q", *listed)))
    rsdt = rsdp_1 = 0
    if base + len(data) < _4_GIB:
        rsdt = add(_table(b"RSDT", 1, struct.pack(f"<{len(listed)}I", *listed)))
        rsdp_1 = add(_rsdp_1(rsdt, revision=0))
    rsdp = add(_rsdp(rsdt, xsdt))
    data.extend(bytes(-len(data) % PAGE_SIZE))
    return AcpiTables(bytes(data), rsdp, rsdp_1, nvs_size)


def _table(signature: bytes, revision: int, body: bytes) -> bytes:
    header = _HEADER.pack(
        signature, _HEADER.size + len(body), revision, 0, _OEM_ID, _OEM_TABLE_ID, _REVISION, _CREATOR_ID, _REVISION
    )
    return _with_checksum(header + body, _CHECKSUM_OFFSET)


def _with_checksum(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([-sum(data) & 0xFF]) + data[offset + 1 :]


def _rsdp_1(rsdt: int, revision: int) -> bytes:
    return _with_checksum(struct.pack("<8sB6sBI", b"RSD PTR ", 0, _OEM_ID, revision, rsdt), 8)


def _rsdp(rsdt: int, xsdt: int) -> bytes:
    return _with_checksum(_rsdp_1(rsdt, revision=2) + struct.pack("<IQB3x", _RSDP_SIZE, xsdt, 0), 32)


def _facs() -> bytes:
    """Firmware Waking Vector 0, Global Lock free, version 2."""
    return struct.pack("<4sI24xB31x", b"FACS", _FACS_SIZE, 2)


def _port(address: int, width: int, access: int) -> bytes:
    """A Generic Address Structure for a port register of ``width`` bits."""
    return struct.pack("<BBBBQ", _SYSTEM_IO, width, 0, access, address)


def _fadt(facs: int, dsdt: int) -> bytes:
    flags = _WBINVD | _PROC_C1 | _TMR_VAL_EXT | _RESET_REG_SUP
    flags |= _NO_FIXED_POWER_BUTTON | _NO_FIXED_SLEEP_BUTTON | _NO_FIXED_RTC
    below_4g = max(facs, dsdt) < _4_GIB
    fields = {  # by offset; all others are zero: what they describe is not there
        36: struct.pack("<II", facs, dsdt) if below_4g else bytes(8),
        46: struct.pack("<H", SCI_INTERRUPT),
        56: struct.pack("<I", PM1A_EVENT_PORT),
        64: struct.pack("<I", PM1A_CONTROL_PORT),
        76: struct.pack("<I", PM_TIMER_PORT),
        80: struct.pack("<I", GENERAL_EVENTS),
        88: struct.pack("<BBBBB", 4, 2, 0, 4, GENERAL_EVENTS_SIZE),  # PM1 event, PM1 control, PM2 control, timer, GPE0
        96: struct.pack("<HH", _NO_C2_LATENCY, _NO_C3_LATENCY),
        109: struct.pack("<H", _VGA_NOT_PRESENT),
        112: struct.pack("<I", flags),
        116: _port(RESET_PORT, 8, _BYTE_ACCESS),
        128: bytes([RESET_VALUE]),
        131: bytes([_ACPI_MINOR]),
        132: struct.pack("<QQ", facs, dsdt),
        148: _port(PM1A_EVENT_PORT, 32, _WORD_ACCESS),
        172: _port(PM1A_CONTROL_PORT, 16, _WORD_ACCESS),
        208: _port(PM_TIMER_PORT, 32, _DWORD_ACCESS),
        220: _port(GENERAL_EVENTS, 8 * GENERAL_EVENTS_SIZE, _BYTE_ACCESS),
    }
    table = bytearray(_FADT_SIZE)
    for offset, field in fields.items():
        table[offset : offset + len(field)] = field
    return _table(b"FACP", _ACPI_MAJOR, bytes(table[_HEADER.size :]))


def _madt(vcpus: int, mailbox: int) -> bytes:
    entries = [struct.pack("<II", LOCAL_APIC_ADDRESS, 0)]  # flags 0: no pair of PICs
    for vcpu in range(vcpus):
        if vcpu < _FIRST_X2APIC_ID:
            entries.append(struct.pack("<BBBBI", _LOCAL_APIC, 8, vcpu, vcpu, _ENABLED))
        else:
            entries.append(struct.pack("<BBHIII", _LOCAL_X2APIC, 16, 0, vcpu, _ENABLED, vcpu))
    entries.append(struct.pack("<BBBBII", _IO_APIC, 12, 0, 0, IO_APIC_ADDRESS, 0))
    entries.append(
        struct.pack("<BBBBIH", _INTERRUPT_SOURCE_OVERRIDE, 10, 0, SCI_INTERRUPT, SCI_INTERRUPT, _LEVEL_ACTIVE_HIGH)
    )
    if mailbox:
        entries.append(struct.pack("<BBHIQ", _MULTIPROCESSOR_WAKEUP, 16, 0, 0, mailbox))
    return b"".join(entries)


def _dsdt(vcpus: int, pci: PciHost | None) -> bytes:
    sleep_type = aml.integer(SLEEP_TYPE_S5)
    bridge = b"" if pci is None else pci.device()
    return aml.named(r"\_S5", aml.package(sleep_type, sleep_type, aml.integer(0), aml.integer(0))) + aml.scope(
        r"\_SB",
        bridge,
        *(_processor(vcpu) for vcpu in range(vcpus)),
        aml.device(
            "RTC",
            aml.named("_HID", aml.eisa_id("PNP0B00")),
            aml.named("_CRS", aml.resource_template(aml.io_ports(CMOS_PORT, CMOS_PORTS), aml.irq(_CLOCK_IRQ))),
        ),
        aml.device(
            "COM1",
            aml.named("_HID", aml.eisa_id("PNP0501")),
            aml.named("_UID", aml.integer(1)),
            aml.named("_STA", aml.integer(0xF)),
            aml.named("_CRS", aml.resource_template(aml.io_ports(SERIAL_PORT, SERIAL_PORTS), aml.irq(SERIAL_IRQ))),
        ),
    )


def _processor(vcpu: int) -> bytes:
    """The device of a processor, whose number is the one of its local APIC."""
    return aml.device(f"C{vcpu:03X}", aml.named("_HID", aml.text("ACPI0007")), aml.named("_UID", aml.integer(vcpu)))
