"""A disk that fills up, here by a limit on the size of files; folders that cannot be written; files half written."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from types import MappingProxyType

import pytest

from tdvfsh.errors import HostError
from tdvfsh.images import cache
from tdvfsh.images.make import make_kernel
from tdvfsh.session.transcript import parse_transcript
from tdvfsh.ui.history_file import HistoryFile
from tests.images.packages import deb_of

LIMIT = 4096


def limited(
    *words: str, cwd: Path, limit: int = LIMIT, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """The program where no file may grow past ``limit`` bytes."""

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run([sys.executable, "-m", "tdvfsh", *words], cwd=cwd, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, preexec_fn=full, check=False,
                          env={**os.environ, **environment})  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("images", "make", "initrd", "--size", "1M", "-o", "out"),
        ("images", "make", "initrd", "--size", "1M", "--compress", "zstd", "-o", "out"),
        ("images", "make", "kernel", "--size", "1M", "--init-size", "8M", "-o", "out"),
    ],
    ids=" ".join,
)
def test_a_made_file_that_does_not_fit_is_one_line_and_leaves_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = limited(*words, cwd=tmp_path, limit=64)
    assert done.returncode == 1
    assert "too large" in done.stderr.lower()
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_fills_the_disk_is_told_and_keeps_the_steps_that_fitted(tmp_path: Path) -> None:
    words = [word for _ in range(60) for word in ("-c", "ver")]
    done = limited("--record", "session", *words, cwd=tmp_path)
    assert done.returncode == 1
    assert "session: file too large" in done.stderr.lower()
    kept = parse_transcript((tmp_path / "session").read_text(), "session").steps
    assert 0 < len(kept) < 60
    assert {step.output for step in kept} == {kept[0].output}


def test_a_redirection_that_fills_the_disk_is_an_error_of_the_command_and_the_shell_goes_on(tmp_path: Path) -> None:
    done = limited("--fs0-write", "-c", "fs0:", "-c", "memmap > a.txt", "-c", "echo after", cwd=tmp_path, limit=500)
    assert done.stdout.endswith("Unable to redirect file.\nCommand Error Status: Volume Full\nafter\n")
    assert "internal error" not in done.stderr
    assert not (tmp_path / "a.txt").exists() or (tmp_path / "a.txt").stat().st_size <= 500


def test_a_fetch_that_fills_the_disk_leaves_no_entry(tmp_path: Path) -> None:
    deb = tmp_path / "linux.deb"
    deb.write_bytes(deb_of({"boot/vmlinuz-6.12.1-cloud-amd64": bytes(100_000)}, "linux-image-cloud-amd64", suffix=""))
    done = limited("images", "fetch", "kernel-6.12-cloud", "--deb", str(deb), cwd=tmp_path,
                   environment={"XDG_CACHE_HOME": str(tmp_path / "cache")})  # fmt: skip
    assert done.returncode != 0
    assert done.stderr.startswith("tdvfsh: ")
    assert not (tmp_path / "cache/tdvfsh/images/kernel-6.12-cloud").exists()


@pytest.mark.parametrize("bad", ["file in the way", "folder in the way of a file"])
def test_a_cache_that_cannot_be_written_is_one_line_for_fetch_and_nothing_for_the_rest(
    tmp_path: Path, bad: str
) -> None:
    base = tmp_path / "cache"
    if bad == "file in the way":
        base.write_text("")
    else:
        (base / "tdvfsh").mkdir(parents=True)
        (base / "tdvfsh" / "images").write_text("")
    where = {"XDG_CACHE_HOME": str(base), "XDG_STATE_HOME": str(base)}
    done = limited("-c", "ver", "-c", "ls fs1:", cwd=tmp_path, environment=where)
    assert "UEFI Interactive Shell" in done.stdout
    assert "internal error" not in done.stderr
    assert limited("images", "list", cwd=tmp_path, environment=where).returncode == 0


MANIFESTS: dict[str, Callable[[str], str]] = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "noise": lambda text: "\x00\xff" * 50,
    "a list": lambda text: "[]",
    "another version": lambda text: text.replace('"manifest": 1', '"manifest": 99'),
    "a name that leads out": lambda text: text.replace('"name": "vmlinuz"', '"name": "../../victim"'),
    "another checksum": lambda text: text.replace('"sha256": "', '"sha256": "00'),
}


@pytest.mark.parametrize("how", MANIFESTS)
def test_an_entry_that_was_tampered_with_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache.cache_dir() / "entry"
    folder.mkdir(parents=True)
    make_kernel(folder / "vmlinuz", 0x8000, 0x900000)
    digest = hashlib.sha256((folder / "vmlinuz").read_bytes()).hexdigest()
    manifest = cache.Manifest("linux", "1", "0" * 64, {"kernel": cache.stamp(folder / "vmlinuz", digest)})
    cache._write(folder, manifest)
    assert cache.load("entry") == manifest
    path = folder / cache.MANIFEST
    path.write_text(MANIFESTS[how](path.read_text()), encoding="latin-1")
    if how == "another checksum":
        os.utime(folder / "vmlinuz", (1, 1))
    with pytest.raises(HostError, match="fetch it again"):
        cache.load("entry")


def test_an_entry_whose_file_was_exchanged_for_one_of_the_same_size_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache.cache_dir() / "entry"
    folder.mkdir(parents=True)
    (folder / "vmlinuz").write_bytes(b"good" * 100)
    digest = hashlib.sha256(b"good" * 100).hexdigest()
    cache._write(folder, cache.Manifest("linux", "1", "0" * 64, {"kernel": cache.stamp(folder / "vmlinuz", digest)}))
    (folder / "vmlinuz").write_bytes(b"evil" * 100)
    with pytest.raises(HostError, match="damaged"):
        cache.load("entry")
    assert json.loads((folder / cache.MANIFEST).read_text())["files"]["kernel"]["sha256"] == digest


WRITER = """
import sys
from pathlib import Path
from tdvfsh.session.transcript import parse_transcript
from tdvfsh.ui.history_file import HistoryFile
history = HistoryFile(Path(sys.argv[1]), lambda why: sys.exit(why))
for number in range(200):
    history.append(f"echo {sys.argv[2]} {number}")
"""


def test_processes_that_share_a_history_lose_no_line_even_if_one_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "history"

    def write(name: str) -> int:
        return subprocess.run([sys.executable, "-c", WRITER, str(path), name], timeout=60, check=False).returncode

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(write, "abc")) == [0, 0, 0]
    victim = subprocess.Popen([sys.executable, "-c", WRITER.replace("200", "200000"), str(path), "d"])
    while not path.read_text().count("echo d "):
        assert victim.poll() is None
    victim.kill()
    victim.wait()
    lines = HistoryFile(path, pytest.fail).entries
    for name in "abc":
        assert [line for line in lines if line.startswith(f"echo {name} ")] == [
            f"echo {name} {number}" for number in range(200)
        ]
    assert all(line.startswith("echo ") for line in lines)


def test_a_line_waits_while_another_process_shortens_the_file_and_goes_into_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "history"
    history = HistoryFile(path, pytest.fail)
    history.append("old")
    with path.open("a") as held:  # a lock belongs to an open file, so this thread stands for another process
        fcntl.flock(held, fcntl.LOCK_EX)
        writer = Thread(target=history.append, args=("new",))
        writer.start()
        writer.join(0.2)
        assert writer.is_alive()
        assert path.read_text() == "old\n"
        (tmp_path / "shorter").write_text("kept\n")
        (tmp_path / "shorter").replace(path)
    writer.join(10)
    assert not writer.is_alive()
    assert path.read_text() == "kept\nnew\n"
