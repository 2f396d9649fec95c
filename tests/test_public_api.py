"""tdvfsh as a library: its names, what importing it costs, its examples."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import subprocess
import sys
import typing
from contextlib import suppress
from pathlib import Path

import pytest

import tdvfsh
from tdvfsh.shell.command import registry

SCRIPTS = sorted(Path(__file__).parents[1].glob("scripts/*.py"))
DOCUMENTED = ("tdvfsh", "tdvfsh.extend", "tdvfsh.machine.asking")


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import tdvfsh; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - {"tdvfsh._version"} == {"__future__", "tdvfsh"}


def test_types_of_the_public_names_reach_a_type_checker(tmp_path: Path) -> None:
    user = tmp_path / "user.py"
    user.write_text("from tdvfsh import Machine, td_options\nreveal_type(Machine(td_options('2G')).boot_bytes)\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path), str(user)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.endswith(('note: Revealed type is "int"\n', 'note: Revealed type is "builtins.int"\n'))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_examples_in_docstrings_run(name: str) -> None:
    before = dict(registry._LOADED)
    result = doctest.testmod(importlib.import_module(name))
    for added in registry._LOADED.keys() - before.keys() - registry.MODULES.keys():
        del registry._LOADED[added]
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_an_example_runs_offline_and_prints_the_same_each_time(script: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    outputs = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-W", "error", str(script)], capture_output=True, text=True, env=environment, check=True
        )
        assert done.stderr == ""
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1] != ""


@pytest.mark.parametrize("name", [name for name in tdvfsh.__all__ if callable(getattr(tdvfsh, name))])
def test_type_hints_of_public_names_can_be_asked_for(name: str) -> None:
    thing = getattr(tdvfsh, name)
    methods = vars(thing).values() if inspect.isclass(thing) else ()
    for each in (thing, *filter(inspect.isfunction, methods)):
        with suppress(NameError):  # names that only a type checker imports
            typing.get_type_hints(each)


def test_there_are_three_examples() -> None:
    assert len(SCRIPTS) >= 3


def test_an_example_says_what_is_wrong_with_its_files(tmp_path: Path) -> None:
    script = next(path for path in SCRIPTS if path.name == "who_accepts.py")
    command = [sys.executable, str(script), str(tmp_path / "none"), str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("who_accepts: ")
    assert done.stderr.count("\n") == 1
