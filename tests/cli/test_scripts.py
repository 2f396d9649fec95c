"""The demo scripts: they run without an archive, say what they should, and replay to the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tests.cli.test_main import run

SCRIPTS = sorted(Path(__file__).parents[2].glob("scripts/*.nsh"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image cache with nothing fetched."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_replays_to_the_same_bytes_with_nothing_fetched(script: Path, cache: str) -> None:
    first, second = (run("run", str(script), XDG_CACHE_HOME=cache) for _ in range(2))
    assert first.stderr == ""
    assert first.stdout == second.stdout
    assert first.returncode == second.returncode
    assert "not recognized" not in first.stdout
    assert "Unknown flag" not in first.stdout


def test_there_are_at_least_five_of_them() -> None:
    assert len(SCRIPTS) >= 5


def test_option_1_does_not_help_where_the_stub_searches_by_address_and_option_3_does(cache: str) -> None:
    script = next(path for path in SCRIPTS if path.name == "option1-cannot.nsh")
    out = run("run", str(script), XDG_CACHE_HOME=cache).stdout
    allocator, service = out.split("=== on demand: service")[0], out.split("=== on demand: service")[1]
    assert "EFI_OUT_OF_RESOURCES at load_kernel" in allocator
    assert "the kernel has left boot services: EFI_SUCCESS" in service.split("=== why")[0]


def test_the_demo_runs_offline_on_made_files_and_says_so(cache: str, tmp_path: Path) -> None:
    done = run("demo", "--offline", XDG_CACHE_HOME=cache, cwd=tmp_path)
    assert done.returncode == 0
    assert "38.84 MiB" in done.stdout or "/boot/" in done.stdout
    assert "2. A failure" in done.stdout
    assert "3. Its cures" in done.stdout


def test_a_script_that_comes_with_tdvfsh_runs_by_its_name_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "no-unaccepted-memory"]) == main(["run", "no-unaccepted-memory.nsh"])
    assert capsys.readouterr().out
    assert main(["run", "nosuch"]) == 2
    assert "nosuch: no such file; scripts that come with tdvfsh: " in capsys.readouterr().err
    (tmp_path / "tour").write_text("echo mine\n")
    assert main(["run", "tour"]) == 0
    assert capsys.readouterr().out.endswith("\nmine\n")
