"""EFI_ACPI_TABLE_PROTOCOL, called as a program would."""

from __future__ import annotations

import struct

import pytest

from tdvfsh.uefi.guids import EFI_ACPI_20_TABLE_GUID, EFI_ACPI_TABLE_GUID, EFI_ACPI_TABLE_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.client import Client

INVALID, NOT_FOUND = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_NOT_FOUND
FACS_KEY, DSDT_KEY, FADT_KEY, OWN_TABLES = 1, 2, 3, 4


def table(signature: bytes, body: bytes = b"", names: bytes = b"OTHER TABLE ID") -> bytes:
    return struct.pack("<4sIBB14sI4sI", signature, 36 + len(body), 1, 0x55, names, 7, b"TEST", 1) + body


class Acpi:
    """The protocol, and what an operating system would find."""

    def __init__(self, client: Client) -> None:
        self.client, self.ram = client, client.ram
        self.protocol = client.protocol(EFI_ACPI_TABLE_PROTOCOL_GUID)
        self.key = client.put(bytes(8))

    def install(self, data: bytes) -> int:
        return self.client.member(self.protocol, 0, self.protocol, self.client.put(data), len(data), self.key)

    def installed(self, data: bytes) -> int:
        assert self.install(data) == SUCCESS
        return self.ram.u64(self.key)

    def uninstall(self, key: int) -> int:
        return self.client.member(self.protocol, 1, self.protocol, key)

    @property
    def rsdp(self) -> int:
        return self.client.firmware.core.configuration_tables[EFI_ACPI_20_TABLE_GUID]

    def listed(self) -> list[int]:
        """Addresses in the XSDT, and in the RSDT, after all checksums."""
        ram = self.ram
        assert [sum(ram.read(self.rsdp, size)) & 0xFF for size in (20, 36)] == [0, 0]
        xsdt = ram.u64(self.rsdp + 24)
        data = ram.read(xsdt, ram.u32(xsdt + 4))
        assert data[:4] == b"XSDT"
        found = [address for (address,) in struct.iter_unpack("<Q", data[36:])]
        first = self.client.firmware.core.configuration_tables[EFI_ACPI_TABLE_GUID]
        rsdt = ram.u32(first + 16)
        assert (sum(ram.read(first, 20)) & 0xFF, ram.u8(first + 15), ram.u32(self.rsdp + 16)) == (0, 0, rsdt)
        data = ram.read(rsdt, ram.u32(rsdt + 4))
        assert data[:4] == b"RSDT"
        assert [address for (address,) in struct.iter_unpack("<I", data[36:])] == found
        for address in (xsdt, rsdt, *found):
            assert not address or sum(ram.read(address, ram.u32(address + 4))) & 0xFF == 0
        return found

    def names(self) -> list[bytes]:
        return [self.ram.read(address, 4) if address else b"" for address in self.listed()]

    def kind(self, address: int) -> int:
        entry = self.client.firmware.core.memory_map.find(address)
        assert entry is not None
        return entry.memory_type


@pytest.fixture
def acpi(client: Client) -> Acpi:
    return Acpi(client)


def test_a_table_is_copied_summed_and_listed_until_its_key_takes_it_off(acpi: Acpi) -> None:
    assert acpi.names() == [b"FACP", b"APIC"]
    event = acpi.client.firmware.core.events.create_event(group=EFI_ACPI_20_TABLE_GUID)
    key = acpi.installed(table(b"SSDT", b"body"))
    assert key == OWN_TABLES + 1
    assert acpi.client.firmware.core.events.check_event(event) is SUCCESS
    assert acpi.names() == [b"FACP", b"APIC", b"SSDT"]
    address = acpi.listed()[-1]
    assert acpi.ram.read(address + 36, 4) == b"body"
    assert address % 4096 == 0
    assert address < 1 << 32
    assert acpi.kind(address) == EfiMemoryType.EfiACPIReclaimMemory
    assert acpi.uninstall(key) == SUCCESS
    assert acpi.kind(address) == EfiMemoryType.EfiConventionalMemory
    assert acpi.names() == [b"FACP", b"APIC"]
    assert acpi.uninstall(key) == NOT_FOUND
    assert acpi.uninstall(0) == NOT_FOUND


def test_a_table_may_come_twice_and_each_has_its_key(acpi: Acpi) -> None:
    first, second = acpi.installed(table(b"SSDT", b"1")), acpi.installed(table(b"SSDT", b"2"))
    assert first != second
    assert acpi.uninstall(first) == SUCCESS
    assert acpi.ram.read(acpi.listed()[-1] + 36, 1) == b"2"


def test_what_is_not_a_table_is_invalid(acpi: Acpi) -> None:
    data = table(b"SSDT")
    where, call = acpi.client.put(data), acpi.client.member
    for arguments in ((0, len(data), acpi.key), (where, len(data), 0), (where, len(data) + 1, acpi.key)):
        assert call(acpi.protocol, 0, acpi.protocol, *arguments) == INVALID
    acpi.ram.put_u32(where + 4, 0)
    assert call(acpi.protocol, 0, acpi.protocol, where, 0, acpi.key) == EfiStatus.EFI_OUT_OF_RESOURCES
    assert acpi.names() == [b"FACP", b"APIC"]


@pytest.mark.parametrize("signature", [b"FACP", b"FACS", b"DSDT"])
def test_there_is_one_fadt_facs_and_dsdt(acpi: Acpi, signature: bytes) -> None:
    assert acpi.install(table(signature, bytes(240))) == EfiStatus.EFI_ACCESS_DENIED
    assert acpi.names() == [b"FACP", b"APIC"]


def test_the_fadt_follows_the_dsdt_and_the_facs(acpi: Acpi) -> None:
    ram, fadt = acpi.ram, acpi.listed()[0]
    assert acpi.uninstall(DSDT_KEY) == SUCCESS
    assert acpi.uninstall(FACS_KEY) == SUCCESS
    acpi.listed()
    assert (ram.u32(fadt + 36), ram.u32(fadt + 40), ram.u64(fadt + 132), ram.u64(fadt + 140)) == (0, 0, 0, 0)
    acpi.installed(table(b"DSDT"))
    facs = struct.pack("<4sI56x", b"FACS", 64)
    acpi.installed(facs)
    assert acpi.names() == [b"FACP", b"APIC"]
    dsdt = ram.u32(fadt + 40)
    assert (ram.read(dsdt, 4), ram.u64(fadt + 140), ram.u64(fadt + 132)) == (b"DSDT", dsdt, 0)
    assert ram.read(ram.u32(fadt + 36), 64) == facs
    assert acpi.kind(ram.u32(fadt + 36)) == EfiMemoryType.EfiACPIMemoryNVS


def test_the_fadt_has_the_first_entry_and_says_whose_the_tables_are(acpi: Acpi) -> None:
    old = acpi.listed()[0]
    body = acpi.ram.read(old + 36, acpi.ram.u32(old + 4) - 36)
    assert acpi.uninstall(FADT_KEY) == SUCCESS
    assert acpi.names() == [b"", b"APIC"]
    acpi.installed(table(b"FACP", bytes(len(body))))
    assert acpi.names() == [b"FACP", b"APIC"]
    assert acpi.ram.read(acpi.rsdp + 9, 6) == b"OTHER "
    first = acpi.client.firmware.core.configuration_tables[EFI_ACPI_TABLE_GUID]
    assert acpi.ram.read(first + 9, 6) == b"OTHER "
    assert acpi.ram.read(acpi.ram.u32(first + 16) + 10, 18) == b"OTHER TABLE ID" + struct.pack("<I", 7)
    assert acpi.ram.read(acpi.ram.u64(acpi.rsdp + 24) + 10, 18) == b"OTHER TABLE ID" + struct.pack("<I", 7)
    assert acpi.ram.read(acpi.ram.u64(acpi.listed()[0] + 140), 4) == b"DSDT"


def test_the_list_grows_past_its_page(acpi: Acpi) -> None:
    keys = [acpi.installed(table(b"SSDT")) for _ in range(600)]
    assert acpi.names() == [b"FACP", b"APIC", *[b"SSDT"] * 600]
    for key in keys:
        assert acpi.uninstall(key) == SUCCESS
    assert acpi.names() == [b"FACP", b"APIC"]
