"""``fault`` in the shell's own TD."""

from __future__ import annotations

import pytest

from tests.shell.under_test import ShellUnderTest

ALLOCATE = "bs AllocatePages AnyPages LoaderData 1"


def _lasterror(under_test: ShellUnderTest) -> str:
    return under_test.run("echo %lasterror%").strip()


def test_faults_to_come_are_shown_numbered_from_now(under_test: ShellUnderTest) -> None:
    assert under_test.run("fault") == "no fault is to come\n"
    assert under_test.run("fault AllocatePages:2=NOT_FOUND accept:1=OPERAND_BUSY") == ""
    assert under_test.run("fault") == "accept:1=OPERAND_BUSY\nAllocatePages:2=EFI_NOT_FOUND\n"
    under_test.run(ALLOCATE)
    assert under_test.run("fault") == "accept:1=OPERAND_BUSY\nAllocatePages:1=EFI_NOT_FOUND\n"


def test_the_call_fails_as_it_was_told_and_the_next_one_does_not(under_test: ShellUnderTest) -> None:
    under_test.run("fault AllocatePages:1=OUT_OF_RESOURCES")
    assert "Status: Out of Resources" in under_test.run(ALLOCATE)
    assert "Status: Success" in under_test.run(ALLOCATE)
    assert under_test.run("fault") == "no fault is to come\n"


def test_an_accept_that_fails_leaves_the_memory_unaccepted(under_test: ShellUnderTest) -> None:
    under_test.run("td new -memory 1G -accept 512M", "fault accept:1=OPERAND_BUSY")
    assert "OPERAND_BUSY" in under_test.run("accept 512M 4M")
    assert _lasterror(under_test) == "0x7"
    assert "newly accepted" in under_test.run("accept 512M 4M")


def test_d_forgets_them(under_test: ShellUnderTest) -> None:
    under_test.run("fault AllocatePages:1=OUT_OF_RESOURCES mapgpa:1-3=RETRY", "fault -d")
    assert under_test.run("fault") == "no fault is to come\n"
    assert "Status: Success" in under_test.run(ALLOCATE)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("AllocatePages", "write WHAT:N=HOW"),
        ("AllocatePages:1=TOO_BAD", "give an error status"),
        ("sec-accept:1=OPERAND_BUSY", "this TD has started already"),
    ],
)
def test_a_fault_that_cannot_be_sets_none(under_test: ShellUnderTest, spec: str, why: str) -> None:
    text = under_test.run(f"fault AllocatePool:1=NOT_FOUND {spec}")
    assert text.startswith("fault: ")
    assert why in text
    assert text.count("\n") == 1
    assert _lasterror(under_test) == "0x2"
    assert under_test.run("fault") == "no fault is to come\n"
