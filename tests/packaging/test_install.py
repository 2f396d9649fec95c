"""Build wheel and source archive, install each in a clean environment, and run the program there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUPPORTED = ((3, 11), (3, 12), (3, 13), (3, 14))
_PARTS = (
    "tdvfsh",
    "images",
    "scripts",
    "tests",
    "docs",
    "mkdocs.yml",
    "conftest.py",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "pyproject.toml",
)


def command(*words: str, cwd: Path | None = None) -> str:
    """Run, without this environment's own Python settings; returns the output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _candidates(version: tuple[int, int]) -> Iterator[str]:
    """Where a Python of that version may be: on PATH, or where pyenv and uv keep those that are not."""
    name = f"python{version[0]}.{version[1]}"
    on_path = shutil.which(name)
    if on_path is not None:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    uv = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "uv/python"
    for folder, pattern in ((pyenv / "versions", "*"), (uv, "cpython-*")):
        yield from map(str, sorted(folder.glob(f"{pattern}/bin/{name}")))


def interpreters() -> list[str]:
    """The Pythons on this machine that the package supports, oldest first; one for each version."""
    found: dict[tuple[int, ...], str] = {sys.version_info[:2]: sys.executable}
    for version in SUPPORTED:
        for path in _candidates(version):
            if version in found:
                break
            works = subprocess.run([path, "-c", "import venv, ensurepip"], capture_output=True, timeout=60, check=False)
            if works.returncode == 0:
                found[version] = path
    return [found[version] for version in sorted(found)]


def pip(python: Path | str, *words: str) -> str:
    """``pip`` of an environment; skips the test where no registry can be reached."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(python), "-m", "pip", "--disable-pip-version-check", *words], capture_output=True,
                          text=True, env=environment, timeout=600, check=False)  # fmt: skip
    if done.returncode and re.search(r"Could not find a version|connection|Temporary failure|retry", done.stderr, re.I):
        pytest.skip(f"no package registry within reach: {done.stderr.strip().splitlines()[-1][:200]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel and a source archive, built from a copy of the source."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"
    source.mkdir()
    for name in _PARTS:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__", "recordings"))
        else:
            shutil.copy(path, source / name)
    builder = folder / "builder"
    command(sys.executable, "-m", "venv", str(builder))
    python = builder / "bin" / "python"
    pip(python, "install", "-q", "build", "hatchling", "versioningit")
    command(str(python), "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(source))
    (wheel,) = (folder / "dist").glob("*.whl")
    (archive,) = (folder / "dist").glob("*.tar.gz")
    return {"wheel": wheel, "sdist": archive}


def test_the_wheel_has_the_program_its_data_and_nothing_else(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        names = wheel.namelist()
    assert {"tdvfsh/images/catalogue.toml", "tdvfsh/scripts/tour.nsh"} <= set(names)
    models = {Path(name).name for name in names if name.startswith("tdvfsh/td/firmware_models/")}
    assert models >= {path.name for path in (ROOT / "tdvfsh/td/firmware_models").iterdir() if path.is_file()}
    data = [path for path in (ROOT / "tdvfsh").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert {str(path.relative_to(ROOT)) for path in data} <= set(names)
    assert all(name.startswith(("tdvfsh/", "tdvfsh-")) for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_source_archive_can_run_its_own_tests(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    top = {"README.md", "CHANGELOG.md", "conftest.py", "mkdocs.yml", "SECURITY.md", "LICENSE", "pyproject.toml"}
    assert top | {"images/catalogue.toml", "tests/test_units.py"} <= names


def _versions() -> Sequence[str]:
    found = interpreters()
    return [found[0], found[-1]] if len(found) > 1 else found


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
@pytest.mark.parametrize("which", [0, 1], ids=["oldest", "newest"])
def test_it_installs_in_a_clean_environment_and_works_there(
    tmp_path: Path, built: dict[str, Path], kind: str, which: int
) -> None:
    versions = _versions()
    if which >= len(versions):
        pytest.skip(f"of Python 3.11 to 3.14 only {versions[0]} is on PATH, and none other of pyenv or uv")
    command(versions[which], "-m", "venv", str(tmp_path / "env"))
    python = tmp_path / "env" / "bin" / "python"
    pip(python, "install", "-q", str(built[kind]))
    program = str(python.with_name("tdvfsh"))
    here = tmp_path / "elsewhere"
    here.mkdir()
    assert "UEFI Interactive Shell" in command(program, "-c", "ver", cwd=here)
    command(program, "images", "make", "kernel", "--size", "1M", "--init-size", "8M", "-o", "kernel", cwd=here)
    command(program, "images", "make", "initrd", "--size", "1M", "--compress", "zstd", "-o", "initrd", cwd=here)
    told = json.loads(command(program, "boot", "kernel", "--initrd", "initrd", "--json", cwd=here))
    assert told["status"] == "EFI_SUCCESS"
    assert "installer-13" in command(program, "images", "list", cwd=here)
    installed = {line.split("==")[0].lower() for line in pip(python, "list", "--format", "freeze").splitlines()}
    assert not installed & {"unicorn", "pytest", "plotly", "jinja2", "distributed", "atheris"}


def test_pythons_that_are_not_on_path_are_found_where_pyenv_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = next(version for version in SUPPORTED if version != sys.version_info[:2])
    name = f"python{other[0]}.{other[1]}"
    folder = tmp_path / "versions" / "some" / "bin"
    folder.mkdir(parents=True)
    (folder / name).symlink_to("/bin/true")
    broken = tmp_path / "shims"
    broken.mkdir()
    (broken / name).write_text("#!/bin/sh\nexit 127\n")
    (broken / name).chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(broken))
    assert str(folder / name) in interpreters()


def test_every_dependency_has_a_lower_bound_that_is_written_down() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        assert re.match(r"[\w.-]+>=[\d.]+", requirement), requirement
    assert project["requires-python"] == ">=3.11"
