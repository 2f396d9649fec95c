"""Transcripts that others wrote: what they may read and write, and what a small one may cost."""

from __future__ import annotations

import base64
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.hostile.program import refused, run

EVIL = """# tdvfsh transcript 1
# version: 0.1.0
# options: {}
# fs0: rw victim
FS0:\\> echo touch /tmp/owned >a fs0:\\.bashrc
FS0:\\> rm -q fs0:\\keep.txt
FS0:\\> mkimage initrd x.cpio -size 1M
"""


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "keep.txt").write_text("kept")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_transcript_writes_to_a_copy_and_never_to_the_folder_that_its_header_names(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    transcript = tmp_path / "evil.tdt"
    transcript.write_text(EVIL)
    run("replay", "--update", str(transcript))
    assert files(victim) == {"keep.txt": b"kept"}
    assert not (tmp_path / "cache").exists()
    assert "rm -q" in transcript.read_text()


def test_the_user_may_let_a_transcript_write_where_its_header_says(tmp_path: Path, victim: Path) -> None:
    transcript = tmp_path / "evil.tdt"
    transcript.write_text(EVIL)
    run("replay", "--fs0-write", str(transcript))
    assert set(files(victim)) == {".bashrc"}


def test_pytest_writes_nowhere_but_into_its_own_temporary_folder(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "evil.tdt").write_text(EVIL)
    words = ["-p", "tdvfsh.session.pytest_plugin", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'own'}"]
    command = [sys.executable, "-m", "pytest", *words, str(tmp_path / "evil.tdt"), "-c", "/dev/null"]
    root = str(Path(__file__).parents[2])
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": root, "HOME": str(tmp_path)}
    subprocess.run(command, env=environment, capture_output=True, check=False)
    assert files(victim) == {"keep.txt": b"kept"}
    assert {path.name for path in tmp_path.iterdir()} <= {"victim", "own", "evil.tdt", ".cache"}
    assert not (tmp_path / ".cache").exists()


def test_a_transcript_reads_no_folder_outside_its_own_unless_the_user_lets_it(tmp_path: Path, victim: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    transcript = inner / "s.tdt"
    for folder in ("../victim", str(victim), "link"):
        (inner / "link").unlink(missing_ok=True)
        (inner / "link").symlink_to(victim)
        transcript.write_text(f"# tdvfsh transcript 1\n# fs0: {folder}\nFS0:\\> type keep.txt\n")
        assert "is outside the transcript's folder; --outside" in refused(run("replay", str(transcript)))
    assert "+kept" in run("replay", "--outside", str(transcript)).stdout


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (b"[" + b"[]," * 50_000_000 + b"[]]", "its state unpacks to more than 64 MiB"),
        (b"[" + b"[]," * 5_000_000 + b"[]]", "its state: more than 1000000 values"),
        (b'"' + b"a" * 60_000_000 + b'"', "not a snapshot"),
    ],
)
def test_a_small_transcript_does_not_become_gigabytes(tmp_path: Path, state: bytes, why: str) -> None:
    packed = base64.b64encode(zlib.compress(state, 9)).decode()
    transcript = tmp_path / "state.tdt"
    transcript.write_text(f"# tdvfsh transcript 1\n# options: {{}}\n# state: {packed}\n")
    assert why in refused(run("replay", str(transcript), memory=350 << 20))


@pytest.mark.parametrize(
    "line", ["# options: " + "[" * 100_000, "= run " + "[" * 100_000 + "]", "FS0:\\> a\n? " + "[" * 100_000]
)
def test_nesting_is_one_line_wherever_it_stands(tmp_path: Path, line: str) -> None:  # fmt: skip
    transcript = tmp_path / "deep.tdt"
    transcript.write_text(f"# tdvfsh transcript 1\n{line}\n")
    assert "nested too deeply" in refused(run("replay", str(transcript)))
