"""Known faults: the data file, versions and conditions."""

from __future__ import annotations

import re

import pytest

from tdvfsh.diagnosis.conditions import CONDITIONS
from tdvfsh.diagnosis.facts import Facts, before, version_of
from tdvfsh.diagnosis.known_faults import KnownFault, known_faults, met_faults
from tdvfsh.units import GIB, MIB


def named(name: str) -> KnownFault:
    return next(fault for fault in known_faults() if fault.name == name)


def names(facts: Facts, *lines: str) -> list[str]:
    return [met.fault.name for met in met_faults(facts, lines)]


def test_every_entry_has_conditions_that_exist_or_a_message_and_says_what_helps() -> None:
    assert len({fault.name for fault in known_faults()}) == len(known_faults()) >= 10
    for fault in known_faults():
        assert set(fault.when) <= set(CONDITIONS)
        assert bool(fault.when) != bool(fault.message)
        re.compile(fault.message)
        assert fault.help
        assert fault.source
        assert fault.component in ("kernel", "edk2", "grub", "host")


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("6.4.9", False),
        ("6.5", True),
        ("6.6.129", True),
        ("6.6.130", False),
        ("6.8", True),
        ("6.12.74", True),
        ("6.12.107", False),
        ("6.18.5", True),
        ("6.18.13", True),
        ("6.18.14", False),
        ("6.18.20", False),
        ("6.19.3", True),
        ("6.19.4", False),
        ("7.0", False),
        ("7.2.13", False),
    ],
)
def test_a_fix_in_a_stable_branch_counts_for_that_branch_alone(text: str, has: bool) -> None:
    assert named("unaccepted table across two pages").has_version(version_of(text)) is has


@pytest.mark.parametrize(("text", "has"), [("5.18", False), ("5.19", True), ("6.5.13", True), ("6.6", False)])
def test_map_gpa_is_retried_since_6_6(text: str, has: bool) -> None:
    assert named("MapGPA retry is not honoured").has_version(version_of(text)) is has


def test_versions_compare_by_their_numbers() -> None:
    assert version_of("6.12.107+deb13-amd64") == (6, 12, 107)
    assert version_of("v6") == ()
    assert before((6, 5), (6, 5, 1))
    assert not before((6, 5, 0), (6, 5))


@pytest.mark.parametrize(
    ("memory", "crosses"),
    [(66816, False), (66817, True), (67000, True), (67200, True), (67201, False), (68608, False)],
)
def test_the_table_ends_in_a_page_of_its_own_between_66816_and_67200_mib(memory: int, crosses: bool) -> None:
    """The sizes of the report: 67000M panics, 68608M does not."""
    size = 24 + -(-(memory - 2048) // 16)
    facts = Facts(td=True, kernel=(6, 18, 5), unaccepted=(memory - 2048) * MIB, table=(0x18, size))
    assert ("unaccepted table across two pages" in names(facts)) is crosses


def test_an_odd_mib_is_lost_to_several_vcpus_of_the_releases_between() -> None:
    def met(edk2: tuple[int, ...], vcpus: int, low_end: int) -> list[bool]:
        facts = Facts(td=True, edk2=edk2, vcpus=vcpus, low_end=low_end)
        return [one.certain for one in met_faults(facts) if one.fault.name == "odd MiB never accepted"]

    assert met((2025, 2), 2, 2815 * MIB) == [True]
    assert met((), 2, 2815 * MIB) == [False]  # the release is not known
    assert not met((2025, 2), 1, 2815 * MIB)
    assert not met((2025, 2), 2, 2814 * MIB)
    assert not met((2022, 11), 2, 2815 * MIB)
    assert not met((2025, 11), 2, 2815 * MIB)


def test_conditions_that_are_not_known_name_no_fault() -> None:
    assert names(Facts()) == []
    assert "eager accept of a large TD" in names(Facts(td=True, memory=64 * GIB, unaccepted=0))
    assert "eager accept of a large TD" not in names(Facts(td=False, memory=64 * GIB, unaccepted=0))
    assert "accept storm of many vCPUs" in names(Facts(td=True, kernel=(6, 12), vcpus=248, unaccepted=GIB))


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("error: out of memory.", "GRUB runs out of memory"),
        ("error: ../../grub-core/kern/mm.c:552:out of memory.", "GRUB runs out of memory"),
        ("EFI stub: ERROR: Failed to load initrd: 0x8000000000000009", "no room for the initrd in the EFI stub"),
        ("[    0.0] RIP: 0010:_find_next_bit+0x1c/0x60", "panic in accept_memory()"),
        (
            "../src/boot/log.c:30@efi_assert: systemd-boot: Assertion 'BS->AllocatePages(type, memory_type, n_pages, "
            "&addr) == EFI_SUCCESS' failed at ../src/boot/util.h:95@xmalloc_pages, halting.",
            "systemd-boot halts without memory",
        ),
        ("systemd-boot: assertion in xmalloc_pages() failed, halting", "systemd-boot halts without memory"),
        ("qemu-system-x86_64: linux kernel too old to load a ram disk", "initrd refused by QEMU"),
    ],
)
def test_a_known_message_is_named_with_its_line(line: str, name: str) -> None:
    (met,) = met_faults(Facts(), ("booting", line))
    assert (met.fault.name, met.line, met.seen) == (name, 2, line)
