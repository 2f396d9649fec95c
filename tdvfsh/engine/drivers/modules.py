"""Which drivers the firmware has: their modules, bindings and names, as the Shell's ``drivers`` prints them on OVMF.

Source: `drivers`, `drivers -sfo` and `dh -d -v` of OVMF 2025.02 on q35 (tests/recordings/drivers).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import Guid

FIRMWARE_VOLUME: Final = Guid("7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1")
"""Name of the firmware volume that OVMF's DXE drivers are in."""


class DriverModule(NamedTuple):
    """A driver's image.

    Attributes:
        name: Of its user interface section.
        file: Name of its file in the firmware volume.
        driver_name: What GetDriverName() returns.
        version: Of its driver bindings.
        bindings: How many it has; the first is on the image's handle.
    """

    name: str
    file: Guid
    driver_name: str
    version: int = 0x0A
    bindings: int = 1


PCI_BUS: Final = DriverModule("PciBusDxe", Guid("93b80004-9fb3-11d4-9a3a-0090273fc14d"), "PCI Bus Driver")
VIRTIO_PCI: Final = DriverModule(
    "VirtioPciDeviceDxe", Guid("83dd3b39-7caf-4fac-a542-e050b767e3a7"), "Virtio PCI Driver", 0x10
)
VIRTIO_10: Final = DriverModule("Virtio10", Guid("0170f60c-1d40-4651-956d-f0bd9879d527"), "Virtio 1.0 PCI Driver", 0x10)
VIRTIO_BLOCK: Final = DriverModule(
    "VirtioBlkDxe", Guid("11d92dfb-3ca9-4f93-ba2e-4780ed3e03b5"), "Virtio Block Driver", 0x10
)
CON_PLATFORM: Final = DriverModule(
    "ConPlatformDxe", Guid("51ccf399-4fdf-4e55-a45b-e123f84d456a"), "Platform Console Management Driver", bindings=2
)
CON_SPLITTER: Final = DriverModule(
    "ConSplitterDxe", Guid("408edcec-cf6d-477c-a5a8-b4844e3de281"), "Console Splitter Driver", bindings=5
)
TERMINAL: Final = DriverModule("TerminalDxe", Guid("9e863906-a40f-4875-977f-5b93ff237fc6"), "Serial Terminal Driver")
DISK_IO: Final = DriverModule("DiskIoDxe", Guid("6b38f7b4-ad98-40e9-9093-aca2b5a253c4"), "Generic Disk I/O Driver")
PARTITION: Final = DriverModule(
    "PartitionDxe", Guid("1fa1f39e-feff-4aae-bd7b-38a070a3b609"), "Partition Driver(MBR/GPT/El Torito)", 0x0B
)
SCSI_BUS: Final = DriverModule("ScsiBus", Guid("0167ccc4-d0f7-4f21-a3ef-9e64b7cdce8b"), "SCSI Bus Driver")
SATA_CONTROLLER: Final = DriverModule(
    "SataController", Guid("820c59bb-274c-43b2-83ea-dac673035a59"), "Sata Controller Init Driver"
)
ATA_PASS_THRU: Final = DriverModule(
    "AtaAtapiPassThruDxe", Guid("5e523cb4-d397-4986-87bd-a6dd8b22f455"), "AtaAtapiPassThru Driver", 0x10
)
ATA_BUS: Final = DriverModule("AtaBusDxe", Guid("19df145a-b1d4-453f-8507-38816676d7f6"), "ATA Bus Driver", 0x10)
SIO_BUS: Final = DriverModule("SioBusDxe", Guid("864e1ca8-85eb-4d63-9dcc-6e0fc90ffd55"), "OVMF Sio Bus Driver", 0x10)
SIO_SERIAL: Final = DriverModule(
    "PciSioSerialDxe", Guid("e2775b47-d453-4ee3-ada7-391a1b05ac17"), "PCI SIO Serial Driver"
)
PS2_KEYBOARD: Final = DriverModule(
    "Ps2KeyboardDxe", Guid("c4d1f932-821f-4744-bf06-6d30f7730f8d"), "PS/2 Keyboard Driver"
)
FAT: Final = DriverModule("Fat", Guid("961578fe-b6b7-44c3-af35-6bc705cd2b1f"), "FAT File System Driver")

MODULES: Final = (
    PCI_BUS, VIRTIO_PCI, VIRTIO_10, VIRTIO_BLOCK, CON_PLATFORM, CON_SPLITTER, TERMINAL, DISK_IO, PARTITION,
    SCSI_BUS, SATA_CONTROLLER, ATA_PASS_THRU, ATA_BUS, SIO_BUS, SIO_SERIAL, PS2_KEYBOARD, FAT,
)  # fmt: skip
"""In the order in which OVMF starts them."""
