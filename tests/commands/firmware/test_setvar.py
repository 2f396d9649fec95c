"""UEFI variables and boot options."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.commands.firmware.bcfg import BootOption, decode, encode
from tdvfsh.commands.firmware.setvar import GLOBAL_VARIABLE
from tdvfsh.commands.firmware.varstore import pack, unpack
from tdvfsh.dxe.variables import Variable
from tdvfsh.shell.hexdump import hex_dump
from tests.shell.under_test import ShellUnderTest

OTHER = "0053D9D6-2659-4599-A26B-EF4536E631A9"
VARIABLES = st.builds(
    Variable,
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=8),
    st.uuids(),
    st.sampled_from([2, 3, 6, 7]),
    st.binary(min_size=1, max_size=40),
)


@given(st.lists(VARIABLES, max_size=5))
def test_saved_variables_read_back(variables: list[Variable]) -> None:
    assert unpack(pack(variables)) == variables


@given(VARIABLES, st.data())
def test_a_damaged_file_is_recognised(variable: Variable, data: st.DataObject) -> None:
    packed = bytearray(pack([variable]))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= 1 << data.draw(st.integers(0, 7))
    assert unpack(bytes(packed)) is None
    assert unpack(bytes(packed[:at])) in (None, [])


def test_attributes_of_a_variable_cannot_change(under_test: ShellUnderTest) -> None:
    assert under_test.run("setvar V -bs -nv =01") == ""
    assert "Invalid Parameter" in under_test.run("setvar V -bs -rt -nv =01")
    assert under_test.run("setvar V -bs -nv =", "setvar V").startswith("setvar: Unable to get")
    assert "Not Found" in under_test.run("setvar V -bs -nv =")


def test_setvar_sets_shows_and_deletes(under_test: ShellUnderTest) -> None:
    assert under_test.run('setvar Mine -bs -nv =S"hi" L"x" 00ff') == ""
    shown = "00000000: 68 69 78 00 00 FF"
    assert shown in under_test.run("setvar Mine")
    assert f"Variable NV+BS '{GLOBAL_VARIABLE}:Mine' DataSize = 0x06\n  {shown}" in under_test.run("dmpstore Mi*")
    assert under_test.run("setvar Mine =", "setvar Mine").startswith("setvar: Unable to get")
    assert under_test.run("setvar Mine =zz") == "setvar: Invalid argument - 'zz'\n"


def test_dmpstore_saves_deletes_and_loads(under_test: ShellUnderTest) -> None:
    under_test.run(f"setvar A -bs =01 -guid {OTHER}", "setvar B -bs =02")
    assert under_test.run("dmpstore -all ? -s vars.bin") == "Save 2 variables to file: vars.bin.\n"
    under_test.run("dmpstore -all ? -d")
    assert under_test.run("dmpstore -all ?") == "dmpstore: No matching variables found. Name ?\n"
    under_test.run("dmpstore -all -l vars.bin")
    assert "02" in under_test.run("setvar B")
    assert under_test.run("dmpstore ? -sfo | parse VariableInfo 2") == "B\n"
    under_test.put("bad.bin", "no variables here at all")
    assert "Incorrect file format" in under_test.run("dmpstore -l bad.bin")


@given(st.text("ab \\/:", max_size=12), st.text("FS0:\\ab", max_size=12))
def test_a_boot_option_reads_back(description: str, path: str) -> None:
    option = BootOption(3, description, path)
    assert decode(3, encode(option)) == option


def test_bcfg_adds_moves_and_removes(under_test: ShellUnderTest) -> None:
    under_test.put("a.efi", "MZ")
    under_test.put("b.efi", "MZ")
    assert under_test.run("bcfg boot dump") == "No options found.\n"
    under_test.run('bcfg boot add 0 a.efi "First"', "bcfg boot add 0 b.efi Second", "bcfg boot mv 0 1")
    dumped = under_test.run("bcfg boot dump")
    assert [line.split(" - ")[1] for line in dumped.splitlines() if "Desc" in line] == ["First", "Second"]
    assert "Sata(0x0,0xFFFF,0x0)/\\a.efi" in dumped
    under_test.run("bcfg boot rm 0")
    assert "First" not in under_test.run("bcfg boot dump")
    assert under_test.run("bcfg boot rm 9") == "bcfg: Numbers must be under 1.\n"
    assert under_test.run("bcfg boot add 0 none x") == "bcfg: File not found - 'none'\n"
    assert under_test.run("bcfg what dump") == "bcfg: Driver or Boot must be selected.\n"


def test_a_dump_has_sixteen_bytes_a_line_and_dots_for_the_rest() -> None:
    lines = hex_dump(bytes(range(0x78, 0x78 + 17)), offset=0x1000).splitlines()
    assert lines[0] == "  00001000: 78 79 7A 7B 7C 7D 7E 7F-80 81 82 83 84 85 86 87  *xyz{|}~.........*"
    assert lines[1] == "  00001010: 88" + " " * 47 + "*.*"
    assert hex_dump(bytes(8)) == "  00000000: 00 00 00 00 00 00 00 00-" + " " * 25 + "*........*\n"
