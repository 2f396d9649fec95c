"""Options of ``boot --engine cpu``: which belong together, and what is said of those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.images.make import make_kernel
from tdvfsh.units import MIB


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A made kernel, whose code would not run; nothing here gets that far."""
    path = tmp_path_factory.mktemp("kernel") / "vmlinuz"
    make_kernel(path, 8 * MIB, 32 * MIB)
    return str(path)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--until x", "--until: needs --engine cpu"),
        ("--through-os", "--through-os: needs --engine cpu"),
        ("--drop-accept 2", "--drop-accept: needs --engine cpu"),
        ("--fast-decompress", "--fast-decompress: needs --engine cpu"),
        ("--grub grubx64.efi", "--grub: needs --engine cpu"),
        ("--time-limit 3", "--time-limit: needs --engine cpu"),
        ("--violation ve", "--violation: needs --engine cpu"),
        ("--engine model --through-os", "--through-os: needs --engine cpu"),
        ("--engine cpu --until x", "--until: needs --through-os"),
        ("--console", "--console: needs --engine cpu"),
        ("--loader grub2.12 --disk x", "--disk: needs --engine cpu, as a modelled loader reads no disk"),
        ("--engine cpu --console", "--console: needs --through-os"),
        ("--engine cpu --drop-accept 2", "--drop-accept: needs --through-os"),
        ("--engine cpu --through-os --drop-accept x", "--drop-accept x: not a number from 1"),
        ("--engine cpu --through-os --drop-accept 0", "--drop-accept 0: not a number from 1"),
        ("--engine cpu --through-os --drop-accept -1", "--drop-accept -1: not a number from 1"),
        ("--engine cpu --through-os --drop-accept 1.5", "--drop-accept 1.5: not a number from 1"),
        (
            "--engine cpu --through-os --until (",
            "--until (: not a regular expression: missing ), unterminated subpattern at position 0",
        ),
        ("--engine cpu --through-os --until *", "--until *: not a regular expression: nothing to repeat at position 0"),
    ],
)
def test_options_that_cannot_be_are_one_line_and_exit_status_2(
    words: str, line: str, kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["boot", kernel, *words.split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"tdvfsh: {line}\n"


def test_the_defaults_of_the_engine_s_options_are_no_options(kernel: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", kernel, "--violation", "stop"]) == 0
    assert "EFI_SUCCESS" in capsys.readouterr().out


@pytest.mark.parametrize("limit", ["0", "-3", "soon", "nan"])
def test_a_time_limit_is_a_number_of_seconds(limit: str, kernel: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", kernel, "--engine", "cpu", "--through-os", f"--time-limit={limit}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"tdvfsh: --time-limit {limit}")
    assert error.count("\n") == 1


def test_help_tells_which_options_go_with_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for option in ("--through-os", "--until REGEX", "--drop-accept N", "--time-limit S"):
        assert option in shown


def test_the_kernel_is_looked_for_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", str(tmp_path / "none"), "--engine", "cpu", "--through-os"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
