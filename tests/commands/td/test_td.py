"""td, accept, sept and tdcall."""

from __future__ import annotations

import pytest

from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.td.faults import FaultPlan
from tdvfsh.uefi.tdx import TdcallStatus
from tests.shell.under_test import ShellUnderTest


@pytest.fixture
def small(under_test: ShellUnderTest) -> ShellUnderTest:
    """A TD of 1 GiB, half of it accepted, on a host that maps 2 MiB pages."""
    under_test.run("td new -memory 1G -accept 512M -cost kvm-2m")
    return under_test


def column(shell: ShellUnderTest, number: int) -> str:
    """One column of ``td -sfo``."""
    return shell.run(f"td -sfo | parse TrustDomain {number}").strip()


def map_key(shell: ShellUnderTest) -> int:
    """The key that GetMemoryMap returns."""
    return machine_of(shell.shell).services.core.memory_map.key


def test_td_shows_ram_policy_and_what_is_accepted(small: ShellUnderTest) -> None:
    text = small.run("td")
    assert "RAM         1 GiB       0x0-0x3fffffff 1 GiB\n" in text
    assert "Accept      512M at boot, on demand: none\n" in text
    assert "Unaccepted  512 MiB      50.0 % (536,870,912 bytes)\n" in text
    assert "modelled" in text


def test_td_without_options_is_the_default_one(under_test: ShellUnderTest) -> None:
    assert [column(under_test, number) for number in (2, 7, 8, 9, 10, 11, 12, 13)] == [
        "4294967296", "1", "48", "512M", "none", "upstream", "direct", "inteltdx",
    ]  # fmt: skip


def test_accepted_and_unaccepted_make_the_ram(small: ShellUnderTest) -> None:
    small.run("accept 512M 4M")
    assert int(column(small, 3)) + int(column(small, 4)) == int(column(small, 2)) == 1 << 30


def test_td_new_keeps_what_is_not_given(small: ShellUnderTest) -> None:
    small.run("td new -vcpus 4 -on-demand service")
    assert [column(small, number) for number in (2, 7, 9, 10)] == ["1073741824", "4", "512M", "service"]


def test_td_new_takes_every_option(under_test: ShellUnderTest) -> None:
    under_test.run(
        "td new -memory 2G -accept eager -on-demand allocator -profile rfc2021 -loader grub2.12 -vcpus 2 -gpaw 52 "
        "-firmware-model ovmf-2025.02"
    )
    assert [column(under_test, number) for number in (2, 4, 7, 8, 9, 10, 11, 12, 13)] == [
        "2147483648", "0", "2", "52", "eager", "allocator", "rfc2021", "grub2.12", "ovmf-2025.02",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("-memory 100T", "memory of 100 TiB is out of range"),
        ("-memory 1x", "--memory 1x: not a size"),
        ("-accept 16M", "does not start"),
        ("-accept bogus", "--accept bogus: unknown"),
        ("-on-demand bogus", "--on-demand bogus: unknown"),
        ("-profile bogus", "--profile bogus: unknown"),
        ("-loader bogus", "--loader bogus: unknown"),
        ("-firmware-model bogus", "--firmware-model bogus: unknown"),
        ("-gpaw 50", "--gpaw 50: give 48 or 52"),
        ("-vcpus 0", "--vcpus 0: give 1 to 4096"),
    ],
)
def test_a_td_that_cannot_be_is_one_line_and_the_old_one_stays(small: ShellUnderTest, options: str, why: str) -> None:
    before, asked = machine_of(small.shell), small.shell.td_options
    text = small.run(f"td new {options}")
    assert text.startswith("td: ")
    assert why in text
    assert text.count("\n") == 1
    assert small.shell.last_error_code == 2
    assert machine_of(small.shell) is before
    assert small.shell.td_options is asked


def test_options_without_new_change_nothing(small: ShellUnderTest) -> None:
    assert small.run("td -memory 2G") == "td: these options apply only to 'td new'\n"
    assert column(small, 2) == "1073741824"


def test_the_clock_goes_on_into_the_first_machine_and_the_date_into_the_next(under_test: ShellUnderTest) -> None:
    under_test.run("stall 5000000")
    assert machine_of(under_test.shell).clock.now_ns > 5_000_000_000
    assert under_test.shell.clock is machine_of(under_test.shell).clock
    under_test.run("td new")
    assert machine_of(under_test.shell).clock.now_ns < 2_000_000_000
    assert under_test.run("time").startswith("03:04:08")  # 5 s, and what two machines accepted at boot


def test_accept_moves_memory_from_unaccepted_to_available_and_the_key_rises(small: ShellUnderTest) -> None:
    key = map_key(small)
    assert small.run("accept 20000000 10000000") == (
        "Accepted 0x20000000-0x2fffffff: Success\n"
        "  256 MiB newly accepted in 128 TDCALLs (0 x 4K, 128 x 2M), modelled 7.2-65 ms, likely 27 ms, placeholder\n"
    )
    assert small.shell.last_error_code == 0
    assert map_key(small) > key
    lines = small.run("memmap").splitlines()
    assert "Available  0000000020000000-000000002FFFFFFF 0000000000010000 0000000000080000" in lines
    assert "Unaccepted 0000000030000000-000000003FFFFFFF 0000000000010000 0000000000000000" in lines


def test_accepting_twice_succeeds_and_does_nothing(small: ShellUnderTest) -> None:
    small.run("accept 512M 2M")
    key, calls = map_key(small), column(small, 15)
    assert small.run("accept 512M 2M").endswith("nothing to do: all of it was accepted before\n")
    assert (small.shell.last_error_code, map_key(small), column(small, 15)) == (0, key, calls)


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        ("20000001 1000", 2, "multiples of 4 KiB"),
        ("20000000 800", 2, "multiples of 4 KiB"),
        ("20000000 0", 2, "size is not 0"),
        ("FFFFFFFFFFFFF000 2000", 2, "the end fits 64 bits"),
        ("3FFFF000 2000", 14, "some of the range is not RAM"),
        ("zz 1000", 2, "Invalid argument - 'zz'"),
        ("20000000 10000000000000000", 2, "Invalid argument - '10000000000000000'"),
    ],
)
def test_accept_says_what_is_wrong_in_one_line(small: ShellUnderTest, words: str, status: int, why: str) -> None:
    text = small.run(f"accept {words}")
    assert why in text
    assert text.count("\n") == 1
    assert small.shell.last_error_code == status
    assert column(small, 4) == "536870912"


def test_a_plain_vm_has_nothing_to_accept(under_test: ShellUnderTest) -> None:
    under_test.run("td new -memory 1G -no-td")
    assert under_test.run("accept 0 1000").startswith("accept: Unsupported - there is no accept protocol: a plain VM")
    assert under_test.shell.last_error_code == 3
    assert under_test.run("sept") == "sept: A plain VM has no secure EPT.\n"
    assert under_test.run("tdcall accept 0") == "tdcall: A plain VM has no TDX module.\n"
    under_test.run("td new -td")
    assert column(under_test, 4) == "536870912"


def test_an_injected_tdcall_fault_is_named(small: ShellUnderTest) -> None:
    td = machine_of(small.shell).td
    td.faults = FaultPlan(tdcalls={td.tdcall.calls + 2: TdcallStatus.EPT_WALK_FAILED})
    assert small.run("accept 512M 16M") == (
        "accept: Device Error - TDCALL ended with EPT_WALK_FAILED; what came before it stays accepted\n"
    )
    assert small.shell.last_error_code == 7
    assert "Available  0000000020000000-00000000201FFFFF" in small.run("memmap")


def test_sept_shows_ranges_of_like_pages(small: ShellUnderTest) -> None:
    small.run("accept 512M 4M", "tdcall accept 20600000 2M")
    assert small.run("sept 512M 8M") == (
        "State           Level Range                       Size\n"
        "MAPPED          2M    0x20000000-0x203fffff       4 MiB\n"
        "FREE            2M    0x20400000-0x205fffff       2 MiB\n"
        "MAPPED          2M    0x20600000-0x207fffff       2 MiB\n"
    )


def test_sept_of_an_address_shows_the_range_around_it(small: ShellUnderTest) -> None:
    assert small.run("sept 20400123").splitlines()[1:] == ["FREE            2M    0x20000000-0x3fffffff       512 MiB"]


def test_touched_memory_becomes_pending(small: ShellUnderTest) -> None:
    small.run("mm 20000000")
    assert small.run("sept 512M -sfo | parse SecureEpt 2") == "PENDING\n"


@pytest.mark.parametrize("words", ["FFFFFFFFFFFFFFFF", "0 0", "800000000000", "7FFFFFFFFFFF 2"])
def test_sept_refuses_what_is_no_private_memory(small: ShellUnderTest, words: str) -> None:
    shown = " ".join(f"{int(word, 16):#x}" for word in words.split())
    assert small.run(f"sept {words}") == f"sept: '{shown}' is not private memory of this TD\n"
    assert small.shell.last_error_code == 2


@pytest.mark.parametrize(
    ("words", "text", "status"),
    [
        ("accept 20000000", "RCX=0x20000000\n  RAX=0x0 SUCCESS, 1 TD exit\n", 0),
        ("accept 20000000 2M", "RCX=0x20000001\n  RAX=0x0 SUCCESS, 1 TD exit\n", 0),
        ("accept 0 1", "RCX=0x1\n  RAX=0xb0a00000001 PAGE_ALREADY_ACCEPTED, 0 TD exits\n", 0),
        ("accept 20001000 1", "RCX=0x20001001\n  RAX=0xc000010000000001 OPERAND_INVALID, 0 TD exits\n", 2),
        ("accept 20000000 7", "RCX=0x20000007\n  RAX=0xc000010000000001 OPERAND_INVALID, 0 TD exits\n", 2),
    ],
)
def test_tdcall_shows_operand_and_completion(small: ShellUnderTest, words: str, text: str, status: int) -> None:
    assert small.run(f"tdcall {words}") == f"TDG.MEM.PAGE.ACCEPT {text}"
    assert small.shell.last_error_code == status


def test_a_large_accept_of_a_page_table_is_a_size_mismatch(small: ShellUnderTest) -> None:
    small.run("tdcall accept 20000000 4K")
    assert "PAGE_SIZE_MISMATCH" in small.run("tdcall accept 20000000 2M")
    assert small.shell.last_error_code == 4


def test_a_tdcall_where_no_memory_is_does_not_return(small: ShellUnderTest) -> None:
    assert "does not return" in small.run("tdcall accept 3G")
    assert small.shell.last_error_code == 7


def test_the_firmware_does_not_learn_of_a_raw_tdcall(small: ShellUnderTest) -> None:
    key = map_key(small)
    small.run("tdcall accept 20000000 2M")
    assert map_key(small) == key
    assert "Unaccepted 0000000020000000-000000003FFFFFFF" in small.run("memmap")


def test_a_raw_tdcall_takes_as_long_as_the_firmwares_own(small: ShellUnderTest) -> None:
    td = machine_of(small.shell).td
    before = td.clock.now_ns
    small.run("tdcall accept 20000000")
    raw = td.clock.now_ns - before
    before = td.clock.now_ns
    small.run("accept 20001000 4K")
    assert raw == td.clock.now_ns - before > 0
