"""``share``: MapGPA, its retries, and the accept that follows."""

from __future__ import annotations

import pytest

from tdvfsh.shell.machine_binding import machine_of
from tests.shell.under_test import ShellUnderTest


@pytest.fixture
def small(under_test: ShellUnderTest) -> ShellUnderTest:
    """A TD of 1 GiB, all of it accepted."""
    under_test.run("td new -memory 1G -accept eager")
    return under_test


def _lasterror(shell: ShellUnderTest) -> str:
    return shell.run("echo %lasterror%").strip()


def test_memory_is_shared_an_entry_of_2_mib_at_a_time_and_comes_back_accepted(small: ShellUnderTest) -> None:
    td = machine_of(small.shell).td
    assert small.run("share 512M 4M") == "4 MiB shared: 2 MapGPA\n"
    assert td.shared_bytes == 4 << 20
    assert small.run("share -private 512M 4M") == "4 MiB private: 2 MapGPA, 4 MiB accepted\n"
    assert (td.shared_bytes, td.unaccepted_bytes) == (0, 0)


def test_the_journal_has_it(small: ShellUnderTest) -> None:
    small.run("share 512M 2M")
    record = machine_of(small.shell).trace.records[-1]
    assert (record.service, record.results["calls"]) == ("MapGPA to shared", 1)


def test_retry_without_progress_is_borne_twice(small: ShellUnderTest) -> None:
    small.run("fault mapgpa:1-2=RETRY")
    assert small.run("share 512M 2M") == "2 MiB shared: 3 MapGPA, 2 RETRY\n"
    small.run("fault mapgpa:1-3=RETRY")
    assert small.run("share 768M 2M") == "share: Device Error - 3 MapGPA, 3 RETRY\n"
    assert _lasterror(small) == "0x7"


def test_converting_what_is_not_ram_succeeds_as_with_qemu_and_a_plain_vm_cannot(under_test: ShellUnderTest) -> None:
    under_test.run("td new -memory 1G -accept eager")
    assert under_test.run("share 3G 2M") == "2 MiB shared: 1 MapGPA\n"
    assert "MAPPED" not in under_test.run("sept 3G")
    under_test.run("td new -no-td")
    assert "Unsupported" in under_test.run("share 512M 2M")
