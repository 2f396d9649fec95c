"""What ``str.isdigit`` takes for a number and ``int`` does not, and numbers with more digits than ``int`` reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.errors import FormatError, UsageError
from tdvfsh.formats.maps.memory_maps import parse_memory_map
from tdvfsh.machine.faults import parse_fault
from tdvfsh.script.numbers import parse_number
from tdvfsh.units import parse_decimal
from tests.hostile.program import refused, run

MANY = "9" * 5000
SUPERSCRIPT = "1\u00b9"
COMMANDS = (
    "date {}/1/2000", "date 1/1/{}", "time {}:1", "stall {}", "accept {} 2M", "accept 2M {}M", "undo {}", "redo {}",
    "mode {} {}", "mm {}", "dmem {}", "trace -n {}", "unload -n {}", "for %i run ({} 2)", "bs AllocatePages {} {} {}",
    "bs FreePages {}", "tdcall accept {}", "fault accept:{}=OPERAND_BUSY", "assert ram == {}", "td new -memory {}",
    "td new -vcpus {}", "timezone -s {}:1", "setsize {} a", "set a {}", "if {} gt 2 then", "shift {}", "cls {}",
)  # fmt: skip


@pytest.mark.parametrize("number", [MANY, SUPERSCRIPT], ids=["many digits", "superscript"])
def test_a_command_is_told_what_is_no_number(number: str) -> None:
    """``date 1/1/1¹`` ended the shell (found by the soak)."""
    words = [word for command in COMMANDS for word in ("-c", command.replace("{}", number))]
    done = run(*words, "-c", "echo alive")
    assert done.stderr == ""
    assert done.stdout.endswith("\nalive\n")


@pytest.mark.parametrize("number", [MANY, SUPERSCRIPT], ids=["many digits", "superscript"])
@pytest.mark.parametrize(
    "words",
    [
        ("boot", "kernel", "--fault", "accept:{}=OPERAND_BUSY"),
        ("boot", "kernel", "--memory", "{}"),
        ("boot", "kernel", "--vcpus", "{}"),
        ("sweep", "spec.toml", "-o", "out", "--jobs", "{}"),
        ("images", "make", "kernel", "--size", "1M", "--init-size", "8M", "--protocol", "{}.1", "-o", "k"),
        ("replay", "session.tdt", "session.tdt"),
    ],
    ids=lambda words: words[0] + words[2],
)
def test_a_subcommand_refuses_it_in_one_line(tmp_path: Path, words: tuple[str, ...], number: str) -> None:
    (tmp_path / "spec.toml").write_text("")
    (tmp_path / "session.tdt").write_text(f"# tdvfsh transcript {number}\n")
    refused(run(*(word.replace("{}", number) for word in words), cwd=tmp_path))


def test_a_map_with_such_numbers_is_read_or_refused() -> None:
    row = "efi: mem{}: [{}|   |WB] range=[0x000000000000{}000-0x000000000000{}fff] (0MB)\n"
    known = "Conventional Memory"
    text = row.format("00", known, 0, 0) + row.format(MANY, known, 2, 2)
    assert len(parse_memory_map(text.encode(), "map")) == 2
    with pytest.raises(FormatError, match="unknown memory type"):
        parse_memory_map(row.format("00", f"type {MANY}", 0, 0).encode(), "map")


def test_a_number_is_read_where_it_is_one() -> None:
    assert [parse_decimal(text) for text in ("0", "007", str(2**64 - 1))] == [0, 7, 2**64 - 1]
    assert [parse_decimal(text) for text in ("", "-1", "0x1", SUPERSCRIPT, "9" * 21, "1 ")] == [None] * 6
    assert [parse_number(text) for text in ("0" * 5000 + "7", MANY, "0x" + "f" * 16, "0x" + "f" * 17)] == [
        7, None, 2**64 - 1, None,
    ]  # fmt: skip
    with pytest.raises(UsageError):
        parse_fault(f"accept:{MANY}=OPERAND_BUSY")
