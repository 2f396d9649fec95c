"""The nodes of device paths, one declaration each: name, type, subtype and fields.

Source: UEFI 2.10 10.3 and table 10.65; edk2 MdePkg/Library/UefiDevicePathLib/DevicePathToText.c for numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path_fields import (
    Addresses,
    Ascii,
    Bytes,
    EisaId,
    Field,
    GuidField,
    Hidden,
    Ipv4,
    Ipv6,
    LoginOptions,
    MacAddress,
    Number,
    Numbers,
    PartitionSignature,
    Quoted,
    SasTopology,
)
from tdvfsh.uefi.guids import Guid

_B, _W, _D, _Q = (Number(size) for size in (1, 2, 4, 8))
_GUID, _IP4, _IP6, _REST = GuidField(), Ipv4(), Ipv6(), Bytes()
_DECIMAL: Final = "{}"


@dataclass(frozen=True, slots=True)
class NodeForm:
    """Text form of a kind of node.

    Attributes:
        name: The word before the bracket.
        kind: Type and subtype.
        fields: In the order of the node's bytes.
        order: In which order of fields the words are; None for that of the bytes.
        fixed: Bytes by the field that must have them in this form, and which no word stands for.
        filled: Fields that are more than zeros in this form.
        shown: Words of the short form; None where it is as long as the other.
        shortcut: Whether the form is printed only where shortcuts are allowed.
        optional: How many fields at the end a shorter node lacks.
    """

    name: str
    kind: tuple[int, int]
    fields: tuple[Field, ...]
    order: tuple[int, ...] | None = None
    fixed: tuple[tuple[int, bytes], ...] = ()
    filled: tuple[int, ...] = ()
    shown: tuple[int, ...] | None = None
    shortcut: bool = False
    optional: int = 0

    def split(self, body: bytes) -> list[bytes] | None:
        """A node's bytes after its header by fields; None where they are not of this form."""
        for lacking in dict.fromkeys((0, self.optional)):
            parts = self._split(body, self.fields[: len(self.fields) - lacking])
            if parts is None or any(parts[at] != data for at, data in self.fixed):
                continue
            if all(parts[at].strip(b"\0") for at in self.filled):
                return parts
        return None

    @staticmethod
    def _split(body: bytes, fields: tuple[Field, ...]) -> list[bytes] | None:
        parts: list[bytes] = []
        for number, field in enumerate(fields):
            size = field.size
            if size is None:
                last = number == len(fields) - 1
                end = len(body) if last else body.find(b"\0") + 1
                size = end
            if len(body) < size or (not size and number < len(fields) - 1):
                return None
            parts.append(body[:size])
            body = body[size:]
        return None if body else parts

    def words_of(self, parts: list[bytes], display_only: bool) -> list[str]:
        """The words of a node's fields, as :meth:`split` has them."""
        order = self.order if self.order is not None else range(len(self.fields))
        if display_only and self.shown is not None:
            order = self.shown
        fixed = {at for at, _ in self.fixed}
        present = [at for at in order if at < len(parts) and at not in fixed]
        return [word for at in present for word in self.fields[at].to_words(parts[at])]

    def body(self, words: list[str]) -> bytes:
        """A node's bytes after its header, from its words; words that are missing are empty."""
        left = list(words)
        fixed = dict(self.fixed)
        parts: dict[int, bytes] = dict(fixed)
        for at in self.order if self.order is not None else range(len(self.fields)):
            field = self.fields[at]
            if at in fixed:
                continue
            count = len(left) if field.words is None else field.words
            taken = (left[:count] + [""] * count)[:count]
            left = left[count:]
            parts[at] = field.from_words(taken)
        return b"".join(parts[at] if at in parts else field.from_words(()) for at, field in enumerate(self.fields))


def _eisa(identifier: int) -> tuple[tuple[int, bytes], ...]:
    return ((0, (identifier << 16 | 0x41D0).to_bytes(4, "little")),)


def _vendor(guid: str) -> tuple[tuple[int, bytes], ...]:
    return ((0, Guid(guid).bytes_le),)


def _usb_class(name: str, device_class: int, subclass: int | None = None) -> NodeForm:
    fixed = ((2, bytes((device_class,))), *(() if subclass is None else ((3, bytes((subclass,))),)))
    return NodeForm(name, (3, 15), (_W, _W, _B, _B, _B), fixed=fixed)


def _ram_disk(name: str, guid: str) -> NodeForm:
    instance = Number(2, form=_DECIMAL)
    return NodeForm(name, (4, 9), (_Q, _Q, _GUID, instance), order=(0, 1, 3), fixed=((2, Guid(guid).bytes_le),))


_PROTOCOLS: Final = {6: "TCP", 17: "UDP"}
_ORIGINS: Final = {0: "Static", 1: "StatelessAutoConfigure", 2: "StatefulAutoConfigure"}
_BBS_TYPES: Final = {1: "Floppy", 2: "HD", 3: "CDROM", 4: "PCMCIA", 5: "USB", 0x80: "Network"}
_PARITIES: Final = {0: "D", 1: "N", 2: "E", 3: "O", 4: "M", 5: "S"}
_STOP_BITS: Final = {0: "D", 1: "1", 2: "1.5", 3: "2"}
_HEX8: Final = Number(8, form="0x{:016X}", big_endian=True)
_DEFAULT_RATE: Final = Number(8, {0: "DEFAULT"}, _DECIMAL, read={"DEFAULT": 115200})
_DEFAULT_BITS: Final = Number(1, {0: "DEFAULT"}, _DECIMAL, read={"DEFAULT": 8})
_TEXT: Final = Ascii(terminated=True)


FORMS: Final = (
    # hardware
    NodeForm("Pci", (1, 1), (_B, _B), order=(1, 0)),
    NodeForm("PcCard", (1, 2), (_B,)),
    NodeForm("MemoryMapped", (1, 3), (_D, _Q, _Q)),
    NodeForm("VenHw", (1, 4), (_GUID, _REST)),
    NodeForm("Ctrl", (1, 5), (_D,)),
    NodeForm("BMC", (1, 6), (_B, _Q)),
    # ACPI
    *(
        NodeForm(name, (2, 1), (EisaId(only_pnp=True), _D), fixed=_eisa(identifier))
        for name, identifier in (
            ("PciRoot", 0x0A03), ("PcieRoot", 0x0A08), ("Floppy", 0x0604), ("Keyboard", 0x0301), ("Serial", 0x0501),
            ("ParallelPort", 0x0401),
        )
    ),
    NodeForm("Acpi", (2, 1), (EisaId(only_pnp=True), _D)),
    NodeForm("AcpiExp", (2, 2), (EisaId(), Hidden(4), EisaId(may_be_none=True), _TEXT, _TEXT, _TEXT), order=(0, 2, 4),
             fixed=((3, b"\0"), (5, b"\0")), filled=(4,)),
    NodeForm("AcpiEx", (2, 2), (EisaId(), _D, EisaId(), _TEXT, _TEXT, _TEXT), order=(0, 2, 1, 3, 5, 4), optional=3),
    NodeForm("AcpiAdr", (2, 3), (Numbers(),)),
    # messaging
    NodeForm("Ata", (3, 1), (Number(1, {0: "Primary", 1: "Secondary"}), Number(1, {0: "Master", 1: "Slave"}), _W),
             shown=(2,)),
    NodeForm("Scsi", (3, 2), (_W, _W)),
    NodeForm("Fibre", (3, 3), (Hidden(4), _Q, _Q)),
    NodeForm("I1394", (3, 4), (Hidden(4), Number(8, form="{:016X}", base=16))),
    NodeForm("USB", (3, 5), (_B, _B)),
    NodeForm("I2O", (3, 6), (_D,)),
    NodeForm("Infiniband", (3, 9), (_D, _GUID, _Q, _Q, _Q)),
    NodeForm("VenPcAnsi", (3, 10), (_GUID,), fixed=_vendor("e0c14753-f9be-11d2-9a0c-0090273fc14d"), shortcut=True),
    NodeForm("VenVt100", (3, 10), (_GUID,), fixed=_vendor("dfa66065-b419-11d3-9a2d-0090273fc14d"), shortcut=True),
    NodeForm("VenVt100Plus", (3, 10), (_GUID,), fixed=_vendor("7baec70b-57e0-4c76-8e87-2f9e28088343"), shortcut=True),
    NodeForm("VenUtf8", (3, 10), (_GUID,), fixed=_vendor("ad15a0d6-8bec-4acf-a073-d01de77e2d88"), shortcut=True),
    NodeForm("UartFlowCtrl", (3, 10), (_GUID, Number(4, {0: "None", 1: "Hardware", 2: "XonXoff"})),
             fixed=_vendor("37499a9d-542f-4c89-a026-35da142094e4"), shortcut=True),
    NodeForm("SAS", (3, 10), (_GUID, _D, _Q, _Q, SasTopology(), _W), order=(2, 3, 5, 4, 1),
             fixed=_vendor("d487ddb4-008b-11d9-afdc-001083ffca4d"), shortcut=True),
    NodeForm("DebugPort", (3, 10), (_GUID,), fixed=_vendor("eba4e8d2-3858-41ec-a281-2647ba9660d0"), shortcut=True),
    NodeForm("VenMsg", (3, 10), (_GUID, _REST)),
    NodeForm("MAC", (3, 11), (MacAddress(),)),
    NodeForm("IPv4", (3, 12), (_IP4, _IP4, Hidden(2), Hidden(2), Number(2, _PROTOCOLS),
             Number(1, {0: "DHCP", 1: "Static"}, "Static"), _IP4, _IP4),
             order=(1, 4, 5, 0, 6, 7), shown=(1,), optional=2),
    NodeForm("IPv6", (3, 13), (_IP6, _IP6, Hidden(2), Hidden(2), Number(2, _PROTOCOLS),
             Number(1, _ORIGINS, "StatefulAutoConfigure", assumed=2), _B, _IP6),
             order=(1, 4, 5, 0, 6, 7), shown=(1,), optional=2),
    NodeForm("Uart", (3, 14), (Hidden(4), _DEFAULT_RATE, _DEFAULT_BITS, Number(1, _PARITIES, "x"),
             Number(1, _STOP_BITS, "x"))),
    *(
        _usb_class(name, device_class)
        for name, device_class in (
            ("UsbAudio", 1), ("UsbCDCControl", 2), ("UsbHID", 3), ("UsbImage", 6), ("UsbPrinter", 7),
            ("UsbMassStorage", 8), ("UsbHub", 9), ("UsbCDCData", 10), ("UsbSmartCard", 11), ("UsbVideo", 14),
            ("UsbDiagnostic", 0xDC), ("UsbWireless", 0xE0),
        )
    ),
    _usb_class("UsbDeviceFirmwareUpdate", 0xFE, 1),
    _usb_class("UsbIrdaBridge", 0xFE, 2),
    _usb_class("UsbTestAndMeasurement", 0xFE, 3),
    NodeForm("UsbClass", (3, 15), (_W, _W, _B, _B, _B)),
    NodeForm("UsbWwid", (3, 16), (_W, _W, _W, Quoted()), order=(1, 2, 0, 3)),
    NodeForm("Unit", (3, 17), (_B,)),
    NodeForm("Sata", (3, 18), (_W, _W, _W)),
    NodeForm("iSCSI", (3, 19), (Number(2, {0: "TCP"}, "reserved", assumed=1), LoginOptions(), _HEX8, _W, _TEXT),
             order=(4, 3, 2, 1, 0)),
    NodeForm("Vlan", (3, 20), (Number(2, form=_DECIMAL),)),
    NodeForm("FibreEx", (3, 21), (Hidden(4), _HEX8, _HEX8)),
    NodeForm("SasEx", (3, 22), (_HEX8, _HEX8, SasTopology(), _W), order=(0, 1, 3, 2)),
    NodeForm("NVMe", (3, 23), (_D, Bytes(8, between="-", backwards=True))),
    NodeForm("Uri", (3, 24), (Ascii(commas=True),)),
    NodeForm("UFS", (3, 25), (_B, _B)),
    NodeForm("SD", (3, 26), (_B,)),
    NodeForm("Bluetooth", (3, 27), (Bytes(6),)),
    NodeForm("Wi-Fi", (3, 28), (Ascii(32),)),
    NodeForm("eMMC", (3, 29), (_B,)),
    NodeForm("BluetoothLE", (3, 30), (Bytes(6), Number(1, form="0x{:02X}"))),
    NodeForm("Dns", (3, 31), (Addresses(),)),
    # media
    NodeForm("HD", (4, 1), (Number(4, form=_DECIMAL), _Q, _Q, PartitionSignature()), order=(0, 3, 1, 2), shown=(0, 3)),
    NodeForm("CDROM", (4, 2), (_D, _Q, _Q), shown=(0,)),
    NodeForm("VenMedia", (4, 3), (_GUID, _REST)),
    NodeForm("Media", (4, 5), (_GUID,)),
    NodeForm("FvFile", (4, 6), (_GUID,)),
    NodeForm("Fv", (4, 7), (_GUID,)),
    NodeForm("Offset", (4, 8), (Hidden(4), _Q, _Q)),
    _ram_disk("VirtualDisk", "77ab535a-45fc-624b-5560-f7b281d1f96e"),
    _ram_disk("VirtualCD", "3d5abd30-4175-87ce-6d64-d2ade523c4bb"),
    _ram_disk("PersistentVirtualDisk", "5cea02c9-4d07-69d3-269f-4496fbe096f9"),
    _ram_disk("PersistentVirtualCD", "08018188-42cd-bb48-100f-5387d53ded3d"),
    NodeForm("RamDisk", (4, 9), (_Q, _Q, _GUID, Number(2, form=_DECIMAL)), order=(0, 1, 3, 2)),
    # BIOS boot specification
    NodeForm("BBS", (5, 1), (Number(2, _BBS_TYPES), _W, _TEXT), order=(0, 2, 1), shown=(0, 2)),
)  # fmt: skip
"""Every form; where a kind has several, that with the most conditions comes first."""

GENERIC: Final = {1: "HardwarePath", 2: "AcpiPath", 3: "Msg", 4: "MediaPath", 5: "BbsPath"}
"""Names of nodes of no known subtype, by type."""


def forms_of(kind: tuple[int, int]) -> Iterator[NodeForm]:
    """The forms of a type and subtype."""
    return (form for form in FORMS if form.kind == kind)


BY_NAME: Final = {form.name: form for form in FORMS}
