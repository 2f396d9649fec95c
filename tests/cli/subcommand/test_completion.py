"""What shells complete, and the manual page: both made from the grammar."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.cli.subcommands import SUBCOMMANDS
from tdvfsh.options.td import OPTIONS

COMPLETE = """
source "$1"; shift
COMP_WORDS=(tdvfsh "$@"); COMP_CWORD=$#
_shtab_tdvfsh tdvfsh "${COMP_WORDS[$COMP_CWORD]}" "${COMP_WORDS[$((COMP_CWORD - 1))]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "tdvfsh.bash"
    done = subprocess.run(
        [sys.executable, "-m", "tdvfsh", "completion", "bash"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "60"},
    )
    path.write_text(done.stdout)
    return path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["bo"], {"boot"}),
        (["boot", "instal"], {"installer", "installer-13", "installer-12-gtk"}),
        (["boot", "x", "--loader", "grub2.1"], {"grub2.12", "grub2.14"}),
        (["boot", "x", "--initrd", "ini"], {"init"}),
        (["firmware", "ru"], {"run"}),
        (["firmware", "run", "ov"], {"ovmf", "ovmf-inteltdx"}),
        (["exec", "she"], {"shell"}),
        (["boot", "--on-d"], {"--on-demand"}),
    ],
)
def test_bash_offers_what_may_stand_there(script: Path, tmp_path: Path, words: list[str], offered: set[str]) -> None:
    done = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", str(script), *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = set(done.stdout.split())
    assert offered <= found
    assert all(each.startswith(words[-1]) for each in found)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_knows_every_subcommand(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    printed = capsys.readouterr().out
    assert [name for name in SUBCOMMANDS if name not in printed] == []


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'tdvfsh[completion]'" in capsys.readouterr().err


def test_the_manual_has_every_subcommand_and_option_and_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["man"]) == 0
    page = capsys.readouterr().out
    assert [name for name in SUBCOMMANDS if f"\n.SS {name}\n" not in page] == []
    assert [name for name, option in OPTIONS.items() if option.spelling.replace("-", "\\-") not in page] == []
    if shutil.which("groff") is None:
        return
    done = subprocess.run(
        ["groff", "-k", "-ww", "-man", "-Tutf8"], input=page, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
