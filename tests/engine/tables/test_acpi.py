"""ACPI tables, read from the RSDP on as a kernel reads them, by a reader that knows nothing of how they are made."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tdvfsh.engine.tables import aml
from tdvfsh.engine.tables.acpi import AcpiTables, acpi_tables
from tdvfsh.engine.tables.pci_host import PciHost
from tdvfsh.units import PAGE_SIZE

BASE = 0x7F5E2000
HIGH_BASE = 0x1_2345_6000


class Reader:
    """Physical memory with nothing but the tables in it."""

    def __init__(self, tables: AcpiTables, base: int = BASE) -> None:
        self._data, self._base = tables.data, base
        self.rsdp = self.at(tables.rsdp, 36)
        xsdt = self.table(struct.unpack_from("<Q", self.rsdp, 24)[0])
        entries = struct.unpack_from(f"<{(len(xsdt) - 36) // 8}Q", xsdt, 36)
        self.tables = {table[:4]: table for table in (xsdt, *map(self.table, entries))}

    def at(self, address: int, size: int) -> bytes:
        offset = address - self._base
        assert 0 <= offset <= offset + size <= len(self._data)
        return self._data[offset : offset + size]

    def table(self, address: int) -> bytes:
        table = self.at(address, struct.unpack("<I", self.at(address + 4, 4))[0])
        assert sum(table) & 0xFF == 0
        return table

    def fadt(self, offset: int, form: str) -> int:
        value = struct.unpack_from("<" + form, self.tables[b"FACP"], offset)[0]
        assert isinstance(value, int)
        return value

    def madt_entries(self) -> list[bytes]:
        madt, found, at = self.tables[b"APIC"], [], 44
        while at < len(madt):
            found.append(madt[at : at + madt[at + 1]])
            at += madt[at + 1]
        assert at == len(madt)
        return found

    def facs(self) -> bytes:
        return self.at(self.fadt(132, "Q"), 64)

    def dsdt(self) -> bytes:
        return self.table(self.fadt(140, "Q"))


@pytest.fixture
def one() -> Reader:
    return Reader(acpi_tables(BASE))


@pytest.mark.parametrize("vcpus", [1, 2, 300, 4096])
def test_the_tables_are_whole_pages_and_every_checksum_holds(vcpus: int) -> None:
    tables = acpi_tables(BASE, vcpus)
    assert len(tables.data) % PAGE_SIZE == 0
    reader = Reader(tables)
    assert set(reader.tables) == {b"XSDT", b"FACP", b"APIC"}
    assert reader.dsdt()[:4] == b"DSDT"


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert acpi_tables(BASE, 4) == acpi_tables(BASE, 4)


def test_the_rsdp_is_of_revision_2_and_has_both_checksums(one: Reader) -> None:
    rsdp = one.rsdp
    assert rsdp[:8] == b"RSD PTR "
    assert (rsdp[15], struct.unpack_from("<I", rsdp, 20)[0]) == (2, 36)
    assert (sum(rsdp[:20]) & 0xFF, sum(rsdp) & 0xFF) == (0, 0)
    assert acpi_tables(BASE).rsdp % 16 == 0


def test_acpi_1_0_finds_the_same_tables_below_4_gib_and_none_above(one: Reader) -> None:
    tables = acpi_tables(BASE)
    first = one.at(tables.rsdp_1, 20)
    assert (first[:8], first[15], sum(first) & 0xFF) == (b"RSD PTR ", 0, 0)
    rsdt = one.table(struct.unpack_from("<I", first, 16)[0])
    assert rsdt[:4] == b"RSDT"
    assert rsdt[36:] == b"".join(one.tables[b"XSDT"][at : at + 4] for at in range(36, len(one.tables[b"XSDT"]), 8))
    assert struct.unpack_from("<I", one.rsdp, 16) == struct.unpack_from("<I", first, 16)
    assert acpi_tables(HIGH_BASE).rsdp_1 == 0
    assert struct.unpack_from("<I", Reader(acpi_tables(HIGH_BASE), HIGH_BASE).rsdp, 16) == (0,)


def test_the_fadt_has_the_registers_in_both_forms(one: Reader) -> None:
    assert (len(one.tables[b"FACP"]), one.tables[b"FACP"][8]) == (276, 6)
    for plain, extended, size_at, address, size in (
        (56, 148, 88, 0x600, 4),
        (64, 172, 89, 0x604, 2),
        (76, 208, 91, 0x608, 4),
    ):
        assert one.fadt(plain, "I") == one.fadt(extended + 4, "Q") == address
        assert one.fadt(size_at, "B") == size
        assert (one.fadt(extended, "B"), one.fadt(extended + 1, "B")) == (1, size * 8)


def test_the_fadt_says_how_to_reset_and_that_acpi_is_always_on(one: Reader) -> None:
    assert (one.fadt(116, "B"), one.fadt(120, "Q"), one.fadt(128, "B")) == (1, 0xCF9, 0x0F)
    assert one.fadt(112, "I") & 1 << 10
    assert (one.fadt(46, "H"), one.fadt(48, "I")) == (9, 0)


def test_fadt_and_madt_are_of_acpi_6_4_and_the_clock_is_a_device(one: Reader) -> None:
    assert (one.tables[b"FACP"][8], one.fadt(131, "B") & 0xF, one.tables[b"APIC"][8]) == (6, 4, 5)
    dsdt = one.dsdt()
    at = dsdt.index(b"RTC_")
    assert bytes.fromhex("0c41d00b00") in dsdt[at : at + 20]  # PNP0B00
    assert bytes.fromhex("4701700070000002") in dsdt[at : at + 48]  # its two ports


def test_every_processor_of_the_madt_is_a_device() -> None:
    dsdt = Reader(acpi_tables(BASE, 3)).dsdt()
    assert dsdt.count(b"ACPI0007") == 3
    assert all(name in dsdt for name in (b"C000", b"C001", b"C002"))


def test_general_events_have_their_registers_in_both_forms(one: Reader) -> None:
    assert (one.fadt(80, "I"), one.fadt(92, "B")) == (0x620, 16)
    assert (one.fadt(220, "B"), one.fadt(221, "B"), one.fadt(224, "Q")) == (1, 128, 0x620)


def test_the_fadt_denies_the_hardware_that_is_not_there(one: Reader) -> None:
    boot = one.fadt(109, "H")
    assert boot & 1 << 2  # no VGA
    assert not boot & 1 << 5  # the CMOS clock is there
    assert not boot & 1 << 1  # no 8042
    flags = one.fadt(112, "I")
    absent = 1 << 4 | 1 << 5 | 1 << 6  # power button, sleep button and clock in fixed registers
    assert flags & absent == absent
    assert not flags & 1 << 20  # the fixed registers exist


def test_the_facs_is_aligned_and_lies_in_what_firmware_and_os_share() -> None:
    tables = acpi_tables(BASE)
    reader = Reader(tables)
    address = reader.fadt(132, "Q")
    assert address % 64 == 0
    assert reader.facs()[:4] == b"FACS"
    assert struct.unpack_from("<I", reader.facs(), 4)[0] == 64
    assert reader.facs()[32] == 2
    assert address + 64 <= BASE + tables.nvs_size <= tables.rsdp


def test_addresses_above_4_gib_stand_in_the_64_bit_fields_alone() -> None:
    high = Reader(acpi_tables(HIGH_BASE), HIGH_BASE)
    assert (high.fadt(36, "I"), high.fadt(40, "I")) == (0, 0)
    assert (high.facs()[:4], high.dsdt()[:4]) == (b"FACS", b"DSDT")
    low = Reader(acpi_tables(BASE))
    assert (low.fadt(36, "I"), low.fadt(40, "I")) == (low.fadt(132, "Q"), low.fadt(140, "Q"))


def test_the_madt_of_one_vcpu_has_no_pic_and_no_mailbox(one: Reader) -> None:
    assert struct.unpack_from("<II", one.tables[b"APIC"], 36) == (0xFEE00000, 0)
    assert one.madt_entries() == [
        struct.pack("<BBBBI", 0, 8, 0, 0, 1),
        struct.pack("<BBBBII", 1, 12, 0, 0, 0xFEC00000, 0),
        struct.pack("<BBBBIH", 2, 10, 0, 9, 9, 0xD),
    ]


def test_several_vcpus_are_woken_through_the_mailbox_that_is_named() -> None:
    entries = Reader(acpi_tables(BASE, 4, 0x7F123000)).madt_entries()
    assert [entry[3] for entry in entries if entry[0] == 0] == [0, 1, 2, 3]
    assert entries[-1] == struct.pack("<BBHIQ", 0x10, 16, 0, 0, 0x7F123000)


def test_several_vcpus_that_are_started_by_messages_have_no_mailbox() -> None:
    kinds = [entry[0] for entry in Reader(acpi_tables(BASE, 4)).madt_entries()]
    assert kinds.count(0) == 4
    assert 0x10 not in kinds


def test_vcpus_from_255_on_are_x2apics() -> None:
    entries = Reader(acpi_tables(BASE, 300)).madt_entries()
    assert [entry[3] for entry in entries if entry[0] == 0] == list(range(255))
    large = [struct.unpack("<BBHIII", entry) for entry in entries if entry[0] == 9]
    assert [(identity, flags, uid) for _, _, _, identity, flags, uid in large] == [(n, 1, n) for n in range(255, 300)]


@pytest.mark.parametrize(("base", "vcpus"), [(BASE + 16, 1), (BASE, 0)])
def test_places_and_counts_that_cannot_be_are_refused(base: int, vcpus: int) -> None:
    with pytest.raises(ValueError, match="no tables"):
        acpi_tables(base, vcpus)


WITH_PCI = PciHost(0x80000000, 0xE0000000, 256)


def test_where_firmware_mapped_configuration_space_is_in_the_mcfg_table() -> None:
    assert b"MCFG" not in Reader(acpi_tables(BASE, pci=PciHost(0x80000000))).tables
    mcfg = Reader(acpi_tables(BASE, pci=WITH_PCI)).tables[b"MCFG"]
    assert struct.unpack("<8xQHBB4x", mcfg[36:]) == (0xE0000000, 0, 0, 255)


def disassembled(folder: Path, table: bytes) -> str:
    (folder / "table.dat").write_bytes(table)
    done = subprocess.run(["iasl", "-d", "table.dat"], cwd=folder, capture_output=True, text=True, check=True)
    said = done.stdout + done.stderr
    assert not {"error", "warning"} & set(said.lower().split()), said
    return (folder / "table.dsl").read_text()


@pytest.mark.skipif(shutil.which("iasl") is None, reason="iasl (acpica-tools) is not installed")
def test_iasl_disassembles_every_table(one: Reader, tmp_path: Path) -> None:
    for table in (*one.tables.values(), one.facs(), one.dsdt()):
        text = disassembled(tmp_path, table)
        assert not {"Unknown", "Invalid"} & set(text.split()), text


@pytest.mark.skipif(shutil.which("iasl") is None, reason="iasl (acpica-tools) is not installed")
def test_iasl_compiles_what_it_read_in_the_dsdt(one: Reader, tmp_path: Path) -> None:
    text = disassembled(tmp_path, one.dsdt())
    for part in (r"Name (\_S5, Package (0x04)", "Device (COM1)", 'EisaId ("PNP0501")', "IRQNoFlags ()", "{4}"):
        assert part in text
    done = subprocess.run(["iasl", "table.dsl"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "0 Errors, 0 Warnings" in done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("iasl") is None, reason="iasl (acpica-tools) is not installed")
def test_iasl_finds_the_host_bridge_s_windows_beside_what_it_takes_for_itself(tmp_path: Path) -> None:
    reader = Reader(acpi_tables(BASE, pci=WITH_PCI))
    text = disassembled(tmp_path, reader.dsdt())
    for part in (
        "Device (PCI0)",
        'EisaId ("PNP0A08")',
        "WordBusNumber",
        "0x0CF7",
        "0x0D00",
        "0xDFFFFFFF",
        "0xF0000000",
    ):
        assert part in text
    done = subprocess.run(["iasl", "table.dsl"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "0 Errors" in done.stdout + done.stderr
    assert "MCFG" in disassembled(tmp_path, reader.tables[b"MCFG"])


def test_pins_of_added_devices_and_memory_above_4_gib_are_described() -> None:
    before = acpi_tables(BASE, pci=PciHost(0x80000000)).data
    more = PciHost(0x80000000, devices=(1, 2), high_memory=(0x800000000, 0x800008000))
    dsdt = acpi_tables(BASE, pci=more).data
    window = struct.pack("<QQQQQ", 0, 0x800000000, 0x800007FFF, 0, 0x8000)
    assert window in dsdt
    assert window not in before
    for device in (1, 2):
        for pin in range(4):
            entry = aml.package(
                aml.integer(device << 16 | 0xFFFF),
                aml.integer(pin),
                aml.integer(0),
                aml.integer(20 + (device + pin) % 4),
            )
            assert entry in dsdt
            assert entry not in before
