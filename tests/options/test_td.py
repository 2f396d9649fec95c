"""The table of TD options, walked: each is the same on the command line, at the prompt, in the library, in sweeps."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.boots.loader_builds import flow_names
from tdvfsh.cli.arguments import parse_arguments
from tdvfsh.dxe.profile import PROFILES
from tdvfsh.errors import UsageError
from tdvfsh.loaders.flow import DEFAULT_KASLR_SEED
from tdvfsh.machine.asking import td_options
from tdvfsh.machine.options import TdOptions
from tdvfsh.options.kinds import Number, Switch
from tdvfsh.options.option import Option
from tdvfsh.options.td import AUTOMATIC, OPTIONS
from tdvfsh.options.uses import use_of
from tdvfsh.shell.command import registry
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.host_files import options_with
from tdvfsh.shell.machine_binding import options_of
from tdvfsh.sweep.axes import AXES, default_point, options_at, read_axes
from tdvfsh.td.footprint import FIRMWARE_MODEL_NAMES
from tests.formats.loader_builder import grub_file
from tests.formats.shim_builder import made_shim
from tests.formats.test_tdvf import firmware
from tests.shell.under_test import ShellUnderTest

RECORDED = Path(__file__).parents[1] / "recordings" / "memmap" / "trixie-512M.txt"
EVERY = pytest.mark.parametrize("name", OPTIONS)
WITH_VALUE = [name for name, option in OPTIONS.items() if option.takes_value and not option.is_file]


def some_value(option: Option[Any, Any]) -> str:
    """A valid value that is not the default."""
    values = list(option.proposals())
    if isinstance(option, Number) and not values:
        values = [str(option.most)]
    return next(value for value in reversed(values) if value != option.default)


@pytest.fixture
def files(under_test: ShellUnderTest, tmp_path: Path) -> dict[str, str]:
    """A file for each option that takes one, also on the shell's FS1:."""
    (tmp_path / "map").write_bytes(RECORDED.read_bytes())
    (tmp_path / "firmware").write_bytes(firmware())
    (tmp_path / "loader_file").write_bytes(grub_file())
    (tmp_path / "shim").write_bytes(made_shim(b""))
    under_test.shell.mount(HostFolder(str(tmp_path)))
    return {name: str(tmp_path / name) for name, option in OPTIONS.items() if option.is_file}


@EVERY
def test_every_option_means_the_same_at_every_door(
    under_test: ShellUnderTest, files: dict[str, str], name: str
) -> None:
    option = OPTIONS[name]
    value: Any
    if isinstance(option, Switch):
        value = option.default == "off"
        word = option.spelling if value else f"no-{option.spelling}"
        words, typed = [f"--{word}"], f"-{word}"
    else:
        text = files[name] if option.is_file else some_value(option)
        words, value = [f"--{option.spelling}", text], text
        typed = f"-{option.spelling} {f'fs1:{chr(92)}{name}' if option.is_file else text}"
    wanted = td_options(**{name: value})
    assert wanted != TdOptions()
    assert parse_arguments([*words, "boot", "k"]).td_options() == wanted
    assert parse_arguments(["boot", "k", *words]).td_options() == wanted
    under_test.run(f"td new {typed}")
    assert options_of(under_test.shell) == wanted

    if option.sweep:
        grid = {name: value, **({"profile": "upstream"} if name == "accept_at_exit" else {})}
        (values,) = [found for axis, found in zip(AXES, read_axes(grid, "spec"), strict=True) if axis.name == name]
        point = tuple(
            values[0] if axis.name == name else usual for axis, usual in zip(AXES, default_point(), strict=True)
        )
        assert options_at(point) == wanted


@EVERY
def test_every_default_is_the_one_that_help_tells(under_test: ShellUnderTest, name: str) -> None:
    option = OPTIONS[name]
    usual = getattr(TdOptions(), name)
    assert option.read(option.default if option.default is not None else option.unset) == usual
    assert getattr(td_options(), name) == getattr(options_of(under_test.shell), name) == usual
    assert option.default is None or f"(default {option.default})" in option.line()


def test_defaults_hold_where_nothing_is_given(under_test: ShellUnderTest) -> None:
    assert td_options() == TdOptions() == options_with(under_test.shell, "boot", {})
    assert parse_arguments(["boot", "k"]).td_options() == TdOptions()
    assert parse_arguments(["-c", "ver"]).td_options_or_none() is None
    assert options_at(default_point()) == TdOptions()
    assert TdOptions().kaslr_seed == DEFAULT_KASLR_SEED


@pytest.mark.parametrize("command", ["boot", "compare", "td"])
def test_help_says_the_same_of_every_option_at_every_door(
    under_test: ShellUnderTest, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["boot" if command == "td" else command, "--help"])
    on_the_command_line = " ".join(capsys.readouterr().out.split())
    at_the_prompt = " ".join(under_test.run(f"help {command}").split())
    for option in OPTIONS.values():
        line = option.line()
        assert f"--{option.spelling} " in on_the_command_line
        assert line in on_the_command_line
        assert f" - {line[0].upper()}{line[1:]}." in at_the_prompt
        assert f"    {option.name}: {line}.\n" in str(td_options.__doc__)


def test_the_usual_td_is_the_contracts() -> None:
    assert TdOptions().as_dict() == {
        "memory": 4 << 30, "vcpus": 1, "gpaw": 48, "accept": "512M", "on_demand": "none", "profile": "auto",
        "loader": "direct", "firmware_model": "auto", "td": True, "firmware": None, "map": None,
        "cost": ["kvm-4k"], "host_page_size": "auto", "sept_ve_disable": True, "accept_at_exit": "none",
        "protect": "ovmf", "faults": [],
        "loader_file": None, "shim": None, "measurement": "cc",
    }  # fmt: skip


def test_faults_are_given_repeatedly_or_with_commas() -> None:
    words = ["boot", "k", "--fault", "accept:1=OPERAND_BUSY", "--fault", "tdcall:1=OPERAND_BUSY,tdcall:2=OPERAND_BUSY"]
    faults = ("accept:1=OPERAND_BUSY", "tdcall:1=OPERAND_BUSY", "tdcall:2=OPERAND_BUSY")
    assert parse_arguments(words).td_options().fault == td_options(fault=faults).fault == faults


def test_the_function_shows_its_options() -> None:
    signature = inspect.signature(td_options)
    assert list(signature.parameters) == list(OPTIONS)
    assert signature.parameters["memory"].annotation == "int | str"
    assert signature.return_annotation == "TdOptions"
    assert [field.name for field in fields(TdOptions)] == list(OPTIONS)


@pytest.mark.parametrize("name", WITH_VALUE)
def test_every_choice_is_taken_and_what_is_none_is_refused_in_the_same_words(
    under_test: ShellUnderTest, name: str
) -> None:
    option = OPTIONS[name]
    for choice in option.proposals():
        assert td_options(**{name: choice}) is not None
    if option.repeats:
        return
    with pytest.raises(UsageError) as raised:
        td_options(**{name: "no such"})
    message = str(raised.value)
    assert message.startswith(f"--{option.spelling} no such: ")
    assert "\n" not in message
    with pytest.raises(UsageError, match=rf"^--{option.spelling} no such: "):
        parse_arguments([f"--{option.spelling}", "no such", "boot", "k"]).td_options()
    assert under_test.run(f'td new -{option.spelling} "no such"') == f"td: {message}\n"
    if option.sweep:
        with pytest.raises(UsageError, match=f"^spec: {name}: no such: "):
            read_axes({name: "no such"}, "spec")


def test_behind_every_name_stands_something() -> None:
    assert set(OPTIONS["on_demand"].choices()) == set(ON_DEMAND_NAMES)
    assert set(OPTIONS["profile"].choices()) == {AUTOMATIC, *PROFILES}
    assert set(OPTIONS["firmware_model"].choices()) == {AUTOMATIC, *FIRMWARE_MODEL_NAMES}
    assert set(OPTIONS["loader"].choices()) == set(flow_names())


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("vcpus", "9223372036854775808", "give 1 to 4096"),
        ("vcpus", 9999999, "give 1 to 4096"),
        ("vcpus", True, "not a number"),
        ("vcpus", "9" * 6000, "not a number"),
        ("memory", "9" * 60 + "T", "give 4K to 4096T"),
        ("memory", -4096, "give 4K to 4096T"),
        ("memory", 2.5, "not a size"),
        ("kaslr_seed", 1 << 32, "give 0 to 4294967295"),
        ("max_ram_below_4g", "5G", "give 1M to 4G"),
        ("host_page_size", "1G", "give auto or 4K or 2M"),
        ("gpaw", 50, "give 48 or 52"),
        ("accept", "z" * 600, "unknown; give eager"),
        ("accept", 4097, "multiple of 4 KiB"),
        ("sept_ve_disable", 1, "give on or off"),
        ("map", "", "not the name of a file"),
        ("fault", 3, "not words"),
        ("loader", ["direct"], "not a word"),
    ],
)
def test_values_out_of_bounds_are_one_short_line(name: str, value: Any, why: str) -> None:
    with pytest.raises(UsageError) as raised:
        td_options(**{name: value})
    assert str(raised.value).startswith(f"--{OPTIONS[name].spelling} ")
    assert why in str(raised.value)
    assert len(str(raised.value)) < 200


def test_an_option_of_some_commands_is_refused_and_not_shown_elsewhere(
    under_test: ShellUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(OPTIONS["gpaw"], "only", ("boot", "td"))
    assert parse_arguments(["--gpaw", "52", "boot", "k"]).td_options().gpaw == 52
    for words in (["--gpaw", "52", "compare", "k"], ["compare", "k", "--gpaw", "52"]):
        with pytest.raises(UsageError, match=r"^compare: --gpaw applies only to boot, td$"):
            parse_arguments(words)
    with pytest.raises(SystemExit):
        parse_arguments(["compare", "--help"])
    assert "--gpaw" not in capsys.readouterr().out
    assert "-gpaw" not in under_test.run("help compare")
    assert under_test.run("compare x -gpaw 52") == "compare: --gpaw applies only to boot, td\n"
    assert "-gpaw 48|52 " in under_test.run("help boot")


@pytest.mark.parametrize("command", ["boot", "compare", "ladder"])
def test_the_kernels_command_line_has_one_default_at_both_doors(command: str) -> None:
    found = registry.find(command)
    assert found is not None
    assert (found.function.__kwdefaults__ or {})["cmdline"] == use_of(command).cmdline
    assert parse_arguments([command, "k"]).text("cmdline") == use_of(command).cmdline
    assert use_of("ladder").cmdline == use_of("plot").cmdline == "nokaslr"


def test_options_are_values_that_are_compared_replaced_and_pickled() -> None:
    options = TdOptions(memory="2G", accept=1 << 28, fault="accept:1=OPERAND_BUSY,tdcall:2=OPERAND_BUSY")
    assert (options.memory, options.accept.size, len(options.fault)) == (1 << 31, 1 << 28, 2)
    assert pickle.loads(pickle.dumps(options)) == options
    assert hash(replace(options, memory="2048M")) == hash(options)
    with pytest.raises(AttributeError):
        options.memory = 3  # type: ignore[misc]


def test_the_table_is_read_without_heavy_modules() -> None:
    heavy = ["dataclasses", "inspect", "tdvfsh.dxe", "tdvfsh.accept", "tdvfsh.td", "tdvfsh.machine"]
    code = f"import sys, tdvfsh.options.uses; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_options_with_changes_are_those_made_anew_and_are_checked() -> None:
    options = TdOptions(memory="2G", vcpus=4, fault=("accept:1=OPERAND_BUSY",))
    changed = options.changed(memory="1G", loader="grub2.12")
    assert changed == replace(options, memory="1G", loader="grub2.12") != options
    assert hash(changed) == hash(replace(options, memory="1G", loader="grub2.12"))
    assert (options.memory, changed.vcpus) == (2 << 30, 4)
    with pytest.raises(UsageError, match="--loader lilo: unknown"):
        options.changed(loader="lilo")
    with pytest.raises(UsageError, match="no BeforeExitBootServices"):
        options.changed(accept_at_exit="unless-objected", profile="rfc2021")
