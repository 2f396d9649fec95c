"""``assert``: what it can check, and how it fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.cli.main import main
from tdvfsh.commands.boot.boot import last_boot
from tdvfsh.commands.session.assert_ import check
from tdvfsh.commands.session.expression import Value, evaluate, shown
from tdvfsh.commands.session.facts import FACTS
from tdvfsh.errors import UsageError
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.script.streams import MemorySink
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.shell import Shell
from tests.shell.under_test import ShellUnderTest

HOLD = (
    "unaccepted == 3.5G", "accepted == 512M and unaccepted + accepted == ram", "unaccepted > 3G", "accepted<1G",
    "type(0x100000000) == EfiUnacceptedMemory", "type(0x100000000) == Unaccepted",
    "type(4G) == EfiUnacceptedMemoryType",
    "type(0x600000000000) == none", "sept(0) == MAPPED", "sept(600M) == FREE", "gcd(600M) == Unaccepted",
    "gcd(0) == SystemMemory", "gcd(0x600000000000) == NonExistent", "attribute(4G) eq 0",
    "bytes(Unaccepted) == unaccepted",
    "bytes(EfiConventionalMemory) == available or bytes(LoaderData) == 0", "largest le available", "vcpus == 1",
    "gpaw ne 52", "not runtime", "runtime == false", "ondemand == 0", "atboot == accepted", "handles ge 3",
    "clock > 0", "tdcalls == 131301 and tdexits == tdcalls - 255", "calls(AllocatePages) == 0", "shared == 0",
    "mapkey != 0",
    "lasterror == 0", "lasterror == SUCCESS", "not (accepted == 1 or accepted == 2)", "accepted - 1 lt 512M",
    "var(uefishellversion) == '2.2'", "var(nosuch) == none", "exists(there.txt)", "not exists(gone.txt)", "true",
    "descriptors gt 10 and (false or true)",
)  # fmt: skip


@pytest.mark.parametrize("expression", HOLD)
def test_what_holds_prints_nothing_and_its_opposite_fails(under_test: ShellUnderTest, expression: str) -> None:
    under_test.put("there.txt", "")
    assert under_test.run(f"assert {expression}") == ""
    assert under_test.shell.last_error_code == 0
    assert "does not hold" in under_test.run(f"assert not ({expression})")
    assert under_test.shell.last_error_code == 21


def test_a_failure_says_both_values(under_test: ShellUnderTest) -> None:
    assert under_test.run("assert unaccepted == 3G") == (
        "assert: unaccepted == 3G does not hold: 3758096384 (0xE0000000, 3.50 GiB), 3221225472 (0xC0000000, 3 GiB)\n"
    )
    assert under_test.run("assert vcpus == 1 and gpaw == 52 and sept(0) == FREE") == (
        "assert: vcpus == 1 and gpaw == 52 and sept(0) == FREE does not hold\n"
        "  gpaw == 52 does not hold: 48 (0x30), 52 (0x34)\n"
        "  sept(0) == FREE does not hold: MAPPED, FREE\n"
    )


def test_it_leaves_lasterror_to_the_next_assert(under_test: ShellUnderTest) -> None:
    under_test.run("ls nowhere", "assert lasterror == 14", "assert lasterror == NOT_FOUND")
    assert under_test.shell.last_error_code == 14


def test_a_failure_ends_a_script_and_success_does_not(under_test: ShellUnderTest) -> None:
    text = under_test.script("assert vcpus == 1\necho one\nassert vcpus == 2\necho two\n")
    assert "one\n" in text
    assert "two\n" not in text
    assert "Script Error Status: Aborted (line number 3)" in text
    assert under_test.shell.last_error_code == 21


def test_a_comparison_writes_no_file(under_test: ShellUnderTest) -> None:
    assert under_test.run("assert unaccepted > 3G", "assert 1 < 2") == ""
    assert not under_test.shell.find_files("3G")
    assert under_test.run("echo x > f.txt") == ""
    assert under_test.shell.find_files("f.txt")


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "nothing to check"),
        ("accepted ==", "ends too early"),
        ("(accepted == 1", "a ')' is missing"),
        ("accepted == 1)", "')' is unexpected"),
        ("accepted", "compare it with something"),
        ("foo == 1", "'foo' is not a known name"),
        ("type == 1", "wants its address in parentheses"),
        ("placement == 1", "wants its name in parentheses"),
        ("type(MAPPED) == 1", "not a number"),
        ("bytes(rubbish) == 1", "not a memory type"),
        ("1 < MAPPED", "only numbers have an order"),
        ("1 + MAPPED == 2", "only numbers can be added"),
        ("= 3", "'=' is not valid in an expression"),
        ("and", "'and' is not a known name"),
        ("== 4", "'==' is not valid there"),
        ("booted", "nothing has been booted yet"),
        ("1 == 12x", "'12x' is not valid"),
        ("not " * 100 + "true", "more than 64"),
        ("(" * 100 + "true" + ")" * 100, "more than 64"),
    ],
)
def test_what_makes_no_sense_fails_too_with_the_reason(under_test: ShellUnderTest, expression: str, why: str) -> None:
    text = under_test.run(f"assert {expression}".rstrip())
    assert why in text
    assert text.count("\n") == 1
    assert under_test.shell.last_error_code == 21


def test_facts_of_a_boot(tmp_path: Path) -> None:
    make_kernel(tmp_path / "k", 12 << 20, 60 << 20)
    make_initrd(tmp_path / "i", 8 << 20, None)
    shell = Shell(sink := MemorySink())
    shell.mount(HostFolder(str(tmp_path)))
    shell.run_line("boot -q -memory 2G -accept 512M -cmdline nokaslr k i")
    result = last_boot(shell)
    assert result is not None
    kernel = next(entry for entry in result.placements if entry.what == "kernel" and not entry.freed)
    before = len(sink.text)
    shell.run_line(f"assert booted and placement(kernel) == {kernel.start} and size(kernel) == {kernel.size}")
    shell.run_line("assert status == SUCCESS and stage == exit_boot_services and end(kernel) gt placement(kernel)")
    shell.run_line("assert bootaccepted + bootondemand + bootleft == 2G and placement(nothing) == none")
    assert sink.text[before:] == ""


def test_help_names_every_fact() -> None:
    assert check.__doc__ is not None
    words = set(check.__doc__.replace("(", " ").replace(",", " ").replace(";", " ").replace(".", " ").split())
    assert set(FACTS) <= words


def test_the_exit_status_of_a_script_tells_ci(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "s.nsh"
    script.write_text("@echo -off\nassert unaccepted > 3G\nassert unaccepted > 4G\n")
    assert main(["run", str(script)]) == 21
    assert "assert: unaccepted > 4G does not hold" in capfd.readouterr().out


class NoFacts:
    """Only numbers and truths."""

    def takes(self, name: str) -> str | None:
        return None

    def fact(self, name: str, argument: Value) -> Value:
        raise AssertionError

    def constant(self, word: str) -> Value:
        if word in ("true", "false"):
            return word == "true"
        raise UsageError(word)

    def alike(self, one: Value, other: Value) -> bool:
        return False


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> tuple[str, bool]:
    """An expression and whether it holds, by Python's own rules of and, or, not."""
    kind = draw(st.sampled_from(["truth", "compare", "and", "or", "not"])) if depth else "truth"
    if kind == "truth":
        value = draw(st.booleans())
        return ("true" if value else "false"), value
    if kind == "compare":
        one, other = draw(st.integers(0, 4)), draw(st.integers(0, 4))
        sign = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
        return f"{one}{sign}{other}", bool(eval(f"{one}{sign}{other}"))
    left = draw(expressions(depth - 1))
    if kind == "not":
        return f"not ({left[0]})", not left[1]
    right = draw(expressions(depth - 1))
    value = left[1] and right[1] if kind == "and" else left[1] or right[1]
    return f"({left[0]}) {kind} ({right[0]})", value


@given(expressions())
def test_truths_join_as_in_any_language(case: tuple[str, bool]) -> None:
    text, holds = case
    outcome = evaluate(text, NoFacts())
    assert outcome.holds is holds


@given(st.text(st.sampled_from("ab01(). ==<>'and not or,+-xG")))
def test_any_text_is_answered(text: str) -> None:
    try:
        evaluate(text, NoFacts())
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either is fine


def test_values_are_shown_as_people_read_them() -> None:
    assert [shown(value) for value in (3, 10, 4096, None, True, "x")] == [
        "3", "10 (0xA)", "4096 (0x1000, 4 KiB)", "nothing", "true", "x",
    ]  # fmt: skip
