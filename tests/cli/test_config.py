"""``config.toml``: defaults below the command line, refused in one line, and left out where they must be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.cli.arguments import config_path
from tdvfsh.cli.config import read_config
from tdvfsh.cli.main import main
from tdvfsh.errors import UsageError
from tdvfsh.images.make import make_kernel
from tdvfsh.options.td import OPTIONS
from tdvfsh.ui import colour
from tdvfsh.units import GIB, MIB


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file, which is not there yet; a kernel and a script are."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))
    monkeypatch.setattr(colour, "_chosen", "auto")
    monkeypatch.chdir(tmp_path)
    make_kernel("linux", 12 * MIB, 60 * MIB)
    Path("shown.nsh").write_text("td\n")
    (tmp_path / "tdvfsh").mkdir()
    return tmp_path / "tdvfsh" / "config.toml"


def _boot(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["boot", "linux", *words, "--json"]) == 0
    td: dict[str, object] = json.loads(capsys.readouterr().out)["td"]
    return td


def test_options_are_defaults_below_the_command_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text('[td]\nmemory = "8G"\non-demand = "service"\nmax_ram_below_4g = "1G"\nvcpus = 4\n')
    assert _boot(capsys)["memory"] == 8 * GIB
    assert _boot(capsys)["on_demand"] == "service"
    assert _boot(capsys)["vcpus"] == 4
    assert _boot(capsys, "--memory", "2G")["memory"] == 2 * GIB
    assert main(["--on-demand", "none", "boot", "linux", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["td"]["on_demand"] == "none"
    assert _boot(capsys, "--no-config")["memory"] == 4 * GIB


def test_the_shell_and_its_scripts_take_them_too(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text('[td]\nmemory = "8G"\n')
    for words in (["-c", "td"], ["run", "shown.nsh"]):
        assert main(words) == 0
        assert "8 GiB" in capsys.readouterr().out, words
    assert main(["--no-config", "-c", "td"]) == 0
    assert "8 GiB" not in capsys.readouterr().out


def test_a_replay_does_not_depend_on_them(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--record", "before.tdt", "-c", "memmap"]) == 0
    file.write_text('[td]\nmemory = "8G"\n')
    assert main(["--record", "after.tdt", "-c", "memmap"]) == 0
    assert main(["replay", "before.tdt", "after.tdt"]) == 0
    file.unlink()
    assert main(["replay", "before.tdt", "after.tdt"]) == 0


def test_options_that_a_subcommand_does_not_take_are_left_out_there(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text('[td]\naccept = "1G"\n')
    assert main(["ladder", "linux", "--step", "64M"]) == 0
    assert main(["ladder", "linux", "--accept", "1G"]) == 2
    assert "is what it finds out" in capsys.readouterr().err


def test_a_trace_has_the_command_line_that_makes_it_again_without_the_file(file: Path) -> None:
    file.write_text('[td]\nmemory = "8G"\ntd = false\ncost = ["kvm-2m", "accept_4k=9us"]\nsept_ve_disable = "off"\n')
    assert main(["boot", "linux", "--memory", "2G", "--trace", "one"]) == 0
    command = json.loads(Path("one").read_text().splitlines()[0])["command"]
    assert command[:8] == [
        "tdvfsh",
        "--no-td",
        "--cost",
        "kvm-2m",
        "--cost",
        "accept_4k=9us",
        "--sept-ve-disable",
        "off",
    ]
    assert command[8:] == ["boot", "linux", "--memory", "2G", "--trace", "one"]
    file.unlink()
    one = Path("one").read_text().splitlines()
    assert main([*command[1:-1], "two"]) == 0
    assert Path("two").read_text().splitlines()[1:] == one[1:]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("colour = 'never'\n", ":1: colour: unknown; did you mean color?; there are color and [td]"),
        ("\ncolor = 'red'\n", ":2: color: 'red': give one of auto, always, never"),
        ("color = 1\n", ":1: color: 1: give one of"),
        ("[td]\nmemroy = '2G'\n", ":2: td.memroy: unknown option; did you mean memory?"),
        ("[td]\nvcpus = 1\nmemory = '12x'\n", ":3: td.memory: 12x: not a size"),
        ("[td]\nmemory = 2\n", ':2: td.memory: 2: a size has a unit, and is text: "2G"'),
        ("[td]\non-demand = 'x'\n", ":2: td.on-demand: x: unknown; choose one of none"),
        ("[td]\ntd = 'maybe'\n", ":2: td.td: maybe: give on or off"),
        ("[td]\nvcpus = 1.5\n", ":2: td.vcpus: 1.5: not a number"),
        ("[td]\nmap = 3\n", ":2: td.map: 3: not the name of a file"),
        ("td = 3\n", ":1: td: not a table: write [td]"),
        ("[td\n", ": not TOML: "),
        (f"a = {'[' * 5000}\n", ": nested too deeply"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_line_and_key(
    file: Path, text: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text)
    for words in (["boot", "linux"], ["-c", "echo x"], ["images", "list"]):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert err.startswith(f"tdvfsh: {file}{why}")
        assert err.count("\n") == 1
        assert out == ""
    assert main(["--no-config", "-c", "echo x"]) == 0


def test_a_file_that_is_not_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        read_config()


def test_colours_are_chosen_there_and_by_the_option_first(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("color = 'always'\n")
    assert main(["boot", "linux"]) == 0
    assert "\x1b[" in capsys.readouterr().out
    assert main(["boot", "linux", "--color", "never"]) == 0
    assert "\x1b[" not in capsys.readouterr().out


def test_every_option_of_the_table_can_stand_there(file: Path) -> None:
    for option in OPTIONS.values():
        value = (*option.proposals(), option.default, "some.file")[0] or "some.file"
        file.write_text(f"[td]\n{option.spelling} = '{value}'\n")
        assert read_config().td == {option.name: value}


def test_the_path_is_that_of_the_xdg_specification(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert config_path() is None
    for below, base in (("", str(tmp_path)), ("home/.config", "relative")):
        monkeypatch.setenv("XDG_CONFIG_HOME", base)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        own = tmp_path / below / "tdvfsh" / "config.toml"
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text("")
        assert config_path() == str(own)
        own.unlink()
    assert (read_config().td, read_config().color) == ({}, None)


def test_the_library_does_not_read_it(file: Path) -> None:
    import tdvfsh

    file.write_text('[td]\nmemory = "8G"\n')
    assert tdvfsh.td_options().memory == 4 * GIB
