"""Device paths as text and back: every node of the specification."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.uefi.device_path import DevicePath, OtherNode
from tdvfsh.uefi.device_path_bytes import parse_node
from tdvfsh.uefi.device_path_fields import Ascii, Field, MacAddress, Number, Quoted
from tdvfsh.uefi.device_path_forms import FORMS, NodeForm
from tdvfsh.uefi.device_path_text import device_path_text, device_paths_from_text, node_from_text, node_text

GUID = "12345678-9ABC-DEF0-1234-56789ABCDEF0"
TEXTS = [
    "Pci(0x1F,0x2)",
    "PcCard(0x3)",
    "MemoryMapped(0xB,0xFEE00000,0xFEE00FFF)",
    f"VenHw({GUID})",
    f"VenHw({GUID},00FF)",
    "Ctrl(0x2)",
    "BMC(0x1,0xCA2)",
    "PciRoot(0x0)",
    "PcieRoot(0x1)",
    "Floppy(0x0)",
    "Keyboard(0x0)",
    "Serial(0x1)",
    "ParallelPort(0x0)",
    "Acpi(PNP0F03,0x0)",
    "Acpi(0x12345678,0x1)",
    "AcpiEx(PNP0C02,PNP0A05,0x7,HID,CID,UID)",
    "AcpiEx(ABC1234,@@@0000,0x0,,,)",
    "AcpiExp(PNP0C02,PNP0A05,UID)",
    "AcpiExp(PNP0C02,0,UID)",
    "AcpiAdr(0x80010100,0x80010400)",
    "Ata(Primary,Master,0x0)",
    "Ata(Secondary,Slave,0x2)",
    "Scsi(0x2,0x3)",
    "Fibre(0x1122334455667788,0x1)",
    "FibreEx(0x0011223344556677,0x0001020304050607)",
    "I1394(0011223344556677)",
    "USB(0x1,0x2)",
    "I2O(0x5)",
    f"Infiniband(0x1,{GUID},0x2,0x3,0x4)",
    f"VenMsg({GUID},AB)",
    "MAC(525400123456,0x1)",
    f"MAC({'AB' * 32},0x20)",
    "IPv4(10.0.2.2,TCP,DHCP,10.0.2.15,0.0.0.0,0.0.0.0)",
    "IPv4(192.168.0.1,UDP,Static,192.168.0.2,1.2.3.4,255.255.255.0)",
    "IPv4(192.168.0.1,0x11B,Static,192.168.0.2,1.2.3.4,255.255.255.0)",
    "IPv6(FE80:0000:0000:0000:0000:0000:0000:0001,TCP,StatelessAutoConfigure,"
    "2001:0DB8:0000:0000:0000:0000:0000:0002,0x40,FE80:0000:0000:0000:0000:0000:0000:00FF)",
    "Uart(115200,8,N,1)",
    "Uart(9600,7,E,1.5)",
    "Uart(9600,7,D,D)",
    "UsbAudio(0x1,0x2,0x3,0x4)",
    "UsbWireless(0x1,0x2,0x3,0x4)",
    "UsbDeviceFirmwareUpdate(0x1,0x2,0x3)",
    "UsbIrdaBridge(0x1,0x2,0x3)",
    "UsbTestAndMeasurement(0x1,0x2,0x3)",
    "UsbClass(0xFFFF,0xFFFF,0xFF,0xFF,0xFF)",
    'UsbWwid(0x1,0x2,0x3,"serial, number")',
    "Unit(0x3)",
    "Sata(0x0,0xFFFF,0x0)",
    "iSCSI(iqn.2001-04.com.example:a,0x1,0x0001000000000000,CRC32C,None,CHAP_BI,TCP)",
    "iSCSI(name,0x0,0x0000000000000000,None,CRC32C,None,reserved)",
    "Vlan(4094)",
    "SasEx(0x0011223344556677,0x0000000000000001,0x3,SATA,External,Expanded,0x10)",
    "SasEx(0x0011223344556677,0x0000000000000001,0x3,NoTopology,0,0,0)",
    "SasEx(0x0011223344556677,0x0000000000000001,0x3,SAS,Internal,Direct,0)",
    "NVMe(0xAB124BEF,AB-CD-EF-01-23-45-67-89)",
    "Uri(https://example.org/a,b?c=d)",
    "UFS(0x1,0x2)",
    "SD(0x0)",
    "eMMC(0x0)",
    "Bluetooth(112233445566)",
    "BluetoothLE(112233445566,0x01)",
    "Wi-Fi(network)",
    "Dns(8.8.8.8,1.1.1.1)",
    "Dns(2001:0DB8:0000:0000:0000:0000:0000:0002)",
    f"HD(1,GPT,{GUID},0x800,0x1000)",
    "HD(2,MBR,0xDEADBEEF,0x3F,0x1000)",
    "HD(3,0,0,0x1,0x2)",
    "CDROM(0x1,0x10,0x2000)",
    f"VenMedia({GUID})",
    "\\EFI\\BOOT\\BOOTX64.EFI",
    f"Media({GUID})",
    f"FvFile({GUID})",
    f"Fv({GUID})",
    "Offset(0x1000,0x1FFF)",
    "VirtualDisk(0x1000,0x1FFF,0)",
    "VirtualCD(0x1000,0x1FFF,1)",
    "PersistentVirtualDisk(0x1000,0x1FFF,2)",
    "PersistentVirtualCD(0x1000,0x1FFF,3)",
    f"RamDisk(0x1000,0x1FFF,4,{GUID})",
    "BBS(HD,a disk,0x3)",
    "BBS(0x7,other,0x0)",
    "HardwarePath(99,0011)",
    "AcpiPath(99)",
    "Msg(99,00FF)",
    "MediaPath(99,00)",
    "BbsPath(2,00)",
    "Path(17,2,00FF)",
]
SHORTCUTS = [
    "VenPcAnsi()",
    "VenVt100()",
    "VenVt100Plus()",
    "VenUtf8()",
    "DebugPort()",
    "UartFlowCtrl(None)",
    "UartFlowCtrl(XonXoff)",
    "SAS(0x1,0x2,0x3,SATA,External,Direct,0x1,0x0)",
    "SAS(0x1,0x2,0x3,NoTopology,0,0,0,0x4)",
    "SAS(0x1,0x2,0x3,0x83,0,0,0,0x0)",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_node_is_printed_as_it_was_read(text: str) -> None:
    node = node_from_text(text)
    assert node_text(node) == text
    assert node_text(node, allow_shortcuts=True) == text
    data = node.pack()
    assert int.from_bytes(data[2:4], "little") == len(data)


@pytest.mark.parametrize("text", SHORTCUTS)
def test_shortcuts_are_read_always_and_printed_where_they_are_allowed(text: str) -> None:
    node = node_from_text(text)
    assert node_text(node, allow_shortcuts=True) == text
    assert node_text(node).startswith("VenMsg(")
    assert node_from_text(node_text(node)) == node


def test_every_form_has_an_example() -> None:
    names = {text.split("(")[0] for text in (*TEXTS, *SHORTCUTS)}
    usb = {form.name for form in FORMS if form.kind == (3, 15)}
    assert {form.name for form in FORMS} - names - usb == set()


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("Ata(Primary,Master,0x1)", "Ata(0x1)"),
        ("IPv4(10.0.2.2,TCP,DHCP,10.0.2.15,0.0.0.0,0.0.0.0)", "IPv4(10.0.2.2)"),
        (f"HD(1,GPT,{GUID},0x800,0x1000)", f"HD(1,GPT,{GUID})"),
        ("CDROM(0x1,0x10,0x2000)", "CDROM(0x1)"),
        ("BBS(HD,a disk,0x3)", "BBS(HD,a disk)"),
        ("AcpiEx(PNP0C02,PNP0A05,0x7,HID,CID,UID)", "AcpiEx(HID,CID,UID)"),
        ("AcpiEx(PNP0A03,PNP0A05,0x7,HID,CID,UID)", "PciRoot(UID)"),
        ("AcpiEx(PNP0A08,PNP0A03,0x7,HID,CID,UID)", "PcieRoot(UID)"),
        ("AcpiEx(PNP0C02,PNP0A03,0x7,HID,CID,UID)", "PciRoot(UID)"),
        ("Sata(0x0,0xFFFF,0x0)", "Sata(0x0,0xFFFF,0x0)"),
    ],
)
def test_the_short_form_leaves_out_what_only_a_program_needs(text: str, short: str) -> None:
    assert node_text(node_from_text(text), display_only=True) == short


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Pci(1)", "Pci(0x1,0x0)"),
        ("Pci(31,2)", "Pci(0x1F,0x2)"),
        ("Pci(rubbish,0x102)", "Pci(0x0,0x2)"),
        ("Uart(DEFAULT,DEFAULT,D,D)", "Uart(115200,8,D,D)"),
        ("I1394(1)", "I1394(0000000000000001)"),
        ("FibreEx(0x1,2)", "FibreEx(0x0000000000000001,0x0000000000000002)"),
        ("IPv4(1.2.3.4)", "IPv4(1.2.3.4,0x0,DHCP,0.0.0.0,0.0.0.0,0.0.0.0)"),
        ("VenHw(not a GUID)", "VenHw(00000000-0000-0000-0000-000000000000)"),
        ("Unknown(1,2)", "Unknown(1,2)"),
        ("Ata(1,0,2)", "Ata(Secondary,Master,0x2)"),
    ],
)
def test_text_is_read_leniently(text: str, meant: str) -> None:
    assert node_text(node_from_text(text)) == meant


def test_a_node_without_a_gateway_or_without_strings_shows_what_it_has() -> None:
    short = node_from_text("IPv4(10.0.2.2,TCP,DHCP,10.0.2.15,9.9.9.9,0.0.0.0)").pack()[4:-8]
    assert node_text(parse_node(3, 12, short)) == "IPv4(10.0.2.2,TCP,DHCP,10.0.2.15)"
    assert node_text(parse_node(2, 2, bytes(12))) == "AcpiEx(@@@0000,@@@0000,0x0)"


@given(st.integers(0, 5), st.integers(0, 40), st.binary(max_size=60), st.booleans(), st.booleans())
def test_any_bytes_have_a_text(node_type: int, subtype: int, body: bytes, short: bool, shortcuts: bool) -> None:
    text = node_text(parse_node(node_type, subtype, body), display_only=short, allow_shortcuts=shortcuts)
    assert isinstance(text, str)


@given(st.text(max_size=60))
def test_any_text_is_a_path_of_nodes_that_can_be_packed(text: str) -> None:
    for path in device_paths_from_text(text.replace("\ud800", "")):
        for node in path.nodes:
            if not any(0xD800 <= ord(character) < 0xE000 for character in text):
                assert len(node.pack()) >= 4


def words_of(field: Field) -> st.SearchStrategy[bytes]:
    """Bytes of a field that text holds wholly."""
    if isinstance(field, MacAddress):
        return st.binary(min_size=6, max_size=6).map(lambda address: address.ljust(32, b"\0") + b"\x01")
    if isinstance(field, Ascii):
        letters = st.text("abcXYZ019 .:", min_size=1, max_size=field.size or 20)
        return letters.map(lambda text: field.from_words([text.strip() or "a"]))
    if isinstance(field, Quoted):
        return st.text("abc, 1", max_size=20).map(lambda text: text.strip().encode("utf-16-le"))
    if isinstance(field, Number) and "{" not in field.form:  # what has no name is printed as a letter
        return st.sampled_from(sorted(field.names)).map(lambda value: value.to_bytes(field.size, "little"))
    if isinstance(field, Number):
        highest = (1 << 8 * field.size) - 1
        lowest = int(0 in field.names and field.names[0] in field.read)  # DEFAULT is printed for 0 and read as another
        return st.integers(lowest, highest).map(lambda value: field.from_words([str(value)]))
    size = field.size
    raw = st.binary(min_size=size, max_size=size) if size is not None else st.binary(max_size=24)
    return raw.map(lambda data: field.from_words(([*field.to_words(data), "", "", "", ""])[: field.words]))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@given(data=st.data())
def test_text_comes_back_from_the_path_that_it_means(form: NodeForm, data: st.DataObject) -> None:
    fixed = dict(form.fixed)
    parts = [fixed[at] if at in fixed else data.draw(words_of(field)) for at, field in enumerate(form.fields)]
    node = OtherNode(*form.kind, b"".join(parts))
    text = node_text(parse_node(*form.kind, node.body), allow_shortcuts=True)
    again = device_paths_from_text(text)
    assert device_path_text(again, allow_shortcuts=True) == text
    assert again == [DevicePath(again[0].nodes)]
