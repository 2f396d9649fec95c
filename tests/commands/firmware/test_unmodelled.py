"""Commands of firmware for parts that the machine lacks: they read their words as firmware does."""

from __future__ import annotations

import pytest

from tests.shell.under_test import ShellUnderTest


@pytest.mark.parametrize(
    ("line", "said", "status"),
    [
        ("http", "http: Too few arguments. Try help http.", 2),
        ("ping", "ping: Too few arguments.", 2),
        ("ping a b", "ping: Too many arguments.", 2),
        ("ifconfig", "Flags lack. Please type 'ifConfig -?' for help info.", 2),
        ("ifconfig6 x", "Flags lack. Please type 'IfConfig6 -?' for help info.", 2),
        ("tftp x", "tftp: Too few arguments", 2),
        ("eficompress x", "eficompress: Too few arguments.", 2),
        ("dblk nosuch", "dblk: Invalid argument - 'nosuch'", 2),
        ("sermode x", "sermode: No serial port or specified serial port found.", 0xE),
        ("edit a b", "edit: Too many arguments.", 2),
        ("ping 10.0.2.2", "ping: Not modelled: this machine has no network.", 3),
        ("dblk fs0:", "dblk: Not modelled: this machine has no block devices.", 3),
    ],
)
def test_words_are_read_before_the_machine_is_asked(
    under_test: ShellUnderTest, line: str, said: str, status: int
) -> None:
    assert under_test.run(line) == f"{said}\n"
    assert under_test.shell.last_error_code == status


def test_acpiview_is_not_in_the_shell_that_we_follow(under_test: ShellUnderTest) -> None:
    assert under_test.run("acpiview").startswith("'acpiview' is not recognized")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bcfg boot", "bcfg: Too few arguments."),
        ("bcfg boot dump x", "bcfg: Too many arguments"),
        ("bcfg x dump", "bcfg: Driver or Boot must be selected."),
        ("bcfg boot rm 9", "bcfg: Numbers must be under 0."),
        ("bcfg boot add", "bcfg: Too few arguments.\nbcfg: Invalid argument - '<null string>'"),
    ],
)
def test_bcfg_says_what_firmware_says(under_test: ShellUnderTest, line: str, said: str) -> None:
    assert under_test.run(line) == f"{said}\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("devices a", "devices: Too many arguments"),
        ("pci a b c d", "pci: Too many arguments."),
        ("loadpcirom nosuch", "loadpcirom: Cannot open file - 'nosuch'"),
        ("dmem 1000 0", "Memory Address 0000000000001000 0 Bytes"),
        ("attrib no1 no2", "attrib: Cannot open file - 'no1'\nattrib: Cannot open file - 'no2'"),
    ],
)
def test_more_that_the_real_shell_says(under_test: ShellUnderTest, line: str, said: str) -> None:
    assert under_test.run(line) == f"{said}\n"


def test_an_instance_that_is_not_a_number_means_all(under_test: ShellUnderTest) -> None:
    under_test.put("t.sfo", 'ShellCommand,"x"\nT,"1"\nT,"2"\n')
    assert under_test.run("parse t.sfo T 2 -i x") == "1\n2\n"
    assert under_test.run("parse t.sfo T 2 -i 2") == "2\n"
