"""kill -9 at random moments of what writes to the host: nothing is torn, nothing lost.

Each kind is a function that starts the work, kills it after ``delay`` seconds, and then holds what is on the disk
against what may be there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from tdvfsh.engine.storage.drive import Drive
from tdvfsh.images.make import make_kernel
from tdvfsh.script.streams import MemorySink
from tdvfsh.session.transcript import parse_transcript
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.shell import Shell
from tdvfsh.ui import history_file
from tdvfsh.ui.history_file import HistoryFile
from tdvfsh.units import MIB
from tdvfsh.whole_file import write_whole
from tests.images.packages import deb_of

_KERNEL_NAME: Final = "kernel-6.12-cloud"
_KERNEL_PACKAGE: Final = "linux-image-6.12.1-cloud-amd64"
_LONGEST: Final = 2.0
"""Seconds of work that is not waited for to end."""
_STEPS: Final = [f"echo step {number} of the recording" for number in range(400)]
_SPEC: Final = """
[[image]]
kernel = "linux"

[[grid]]
memory = ["1G", "2G", "4G"]
accept = ["64M", "128M", "256M", "512M"]
loader = ["direct", "grub2.12"]
on_demand = ["none", "allocator", "service", "loader"]
"""
_APPENDER: Final = """
import sys
from pathlib import Path
from tdvfsh.ui import history_file
history_file.MOST_BYTES = 1 << 14
history = history_file.HistoryFile(Path(sys.argv[1]), sys.exit)
for number in range(1_000_000):
    history.append(f"echo {number} " + "x" * (number % 600))
    print(number, flush=True)
"""
_COMMITTER: Final = """
import sys
from tdvfsh.engine.storage.drive import Drive
for number in range(1, 256):
    with Drive(sys.argv[1], writable=True) as drive:
        drive.write_disk(0, bytes((number,)) * drive.disk_size)
        drive.commit()
    print(number, flush=True)
"""


class Killed(NamedTuple):
    """A process that was killed, or ended before.

    Attributes:
        at_work: Whether it was killed.
        output: Its standard output.
        seconds: How long it ran.
    """

    at_work: bool
    output: str
    seconds: float


def _killed(command: Sequence[str], delay: float, cwd: Path, environment: Mapping[str, str] | None = None) -> Killed:
    """Run a command and kill it after ``delay`` seconds."""
    began = time.perf_counter()
    child = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                             stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})})  # fmt: skip
    try:
        output, _ = child.communicate(timeout=delay)
    except subprocess.TimeoutExpired:
        child.kill()
        output, _ = child.communicate()
    return Killed(child.returncode == -9, output, time.perf_counter() - began)


def _tdvfsh(*words: str) -> list[str]:
    return [sys.executable, "-m", "tdvfsh", *words]


def _clean(folder: Path) -> None:
    """Nothing half-written is left once the next save is over."""
    assert not list(folder.rglob(".tdvfsh-*.part")), folder


def _package(folder: Path, version: str) -> Path:
    path = folder / f"{version}.deb"
    content = (b"kernel " + version.encode()) * 400_000
    path.write_bytes(deb_of({f"boot/vmlinuz-{version}-cloud-amd64": content}, _KERNEL_PACKAGE, version, suffix=""))
    return path


def fetch(folder: Path, delay: float) -> Killed:
    """A fetch that replaces an entry: the old one or the new one is there, and the next fetch ends well."""
    environment = {"XDG_CACHE_HOME": str(folder / "cache")}
    debs = [_package(folder, version) for version in ("6.12.1", "6.12.2")]
    words = [_tdvfsh("images", "fetch", _KERNEL_NAME, "--deb", str(deb)) for deb in debs]
    assert not _killed(words[0], 60, folder, environment).at_work
    found = _killed(words[1], delay, folder, environment)
    listed = subprocess.run(_tdvfsh("images", "list", "--json"), cwd=folder, capture_output=True, text=True, check=True,
                            env={**os.environ, **environment})  # fmt: skip
    (entry,) = [one for one in json.loads(listed.stdout)["images"] if one["name"] == _KERNEL_NAME]
    assert entry["state"] == "fetched", entry
    (kernel,) = (folder / "cache/tdvfsh/images" / _KERNEL_NAME).glob("[!.m]*")
    assert kernel.read_bytes() in [(b"kernel " + deb.stem.encode()) * 400_000 for deb in debs]
    assert not _killed(words[1], 60, folder, environment).at_work
    assert kernel.read_bytes() == (b"kernel 6.12.2") * 400_000
    assert {path.name for path in (folder / "cache/tdvfsh/staging").iterdir()} <= {"lock", "apt", "downloads"}
    return found


def record(folder: Path, delay: float) -> Killed:
    """A recording: it is read back, its steps are whole, and all are there whose output was printed."""
    words = [word for line in _STEPS for word in ("-c", line)]
    found = _killed(_tdvfsh("--record", "session.tdt", *words), delay, folder)
    path = folder / "session.tdt"
    printed = found.output.count("\n")
    if not path.exists():
        assert not printed
        return found
    steps = parse_transcript(path.read_text(), str(path)).steps
    assert [(step.line, step.output) for step in steps] == [
        (line, f"{line.removeprefix('echo ')}\n") for line in _STEPS[: len(steps)]
    ]
    assert len(steps) >= printed - 1, (len(steps), printed)
    return found


@cache
def _snapshots() -> tuple[bytes, ...]:
    """What two machines look like as files."""
    with TemporaryDirectory() as folder:
        sink = MemorySink()
        shell = Shell(sink)
        shell.mount(HostFolder(folder, writable=True))
        for line in _SNAPS:
            shell.run_line(line)
        return tuple((Path(folder) / name).read_bytes() for name in ("a.snap", "b.snap"))


_SNAPS: Final = (
    "fs0:",
    "td new -memory 1G",
    "snap save a -file a.snap",
    "td new -memory 2G",
    "snap save b -file b.snap",
)


def snap(folder: Path, delay: float) -> Killed:
    """One file over which two machines are saved by turns: it holds one of them, and loads."""
    script = [
        "@echo -off",
        "fs0:",
        "for %i run (1 500)",
        "td new -memory 1G",
        "snap save a%i -file f.snap",
        "td new -memory 2G",
        "snap save b%i -file f.snap",
        "endfor",
    ]
    (folder / "s.nsh").write_text("\n".join(script) + "\n")
    found = _killed(_tdvfsh("--fs0-write", "run", "s.nsh"), delay, folder)
    sink = MemorySink()
    shell = Shell(sink)
    shell.mount(HostFolder(str(folder), writable=True))
    shell.run_line("fs0:")
    if (folder / "f.snap").exists():
        shell.run_line("snap load f.snap")
        shell.run_line("assert ram == 1G" if b'"1G"' in (folder / "f.snap").read_bytes() else "td")
        assert shell.last_error_code == 0, sink.text
    shell.run_line("td new -memory 1G")
    shell.run_line("snap save z -file z.snap")
    assert (folder / "z.snap").stat().st_size > 1000, sink.text
    _clean(folder)
    return found


@cache
def _whole_sweep() -> tuple[bytes, bytes]:
    """Results and table of the sweep when nothing stops it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        _sweep_folder(folder)
        subprocess.run(_tdvfsh("sweep", "spec.toml", "-o", "out"), cwd=folder, check=True, capture_output=True)
        return _sorted(folder / "out/results.jsonl"), (folder / "out/results.csv").read_bytes()


def _sweep_folder(folder: Path) -> None:
    make_kernel(folder / "linux", 12 * MIB, 56 * MIB)
    (folder / "spec.toml").write_text(_SPEC)


def _sorted(path: Path) -> bytes:
    return b"".join(sorted(path.read_bytes().splitlines(keepends=True)))


def sweep(folder: Path, delay: float) -> Killed:
    """A sweep that is killed and continued: what was done is kept, and its results are those of an unbroken one."""
    _sweep_folder(folder)
    words = _tdvfsh("sweep", "spec.toml", "-o", "out", "--jobs", "2")
    found = _killed(words, delay, folder)
    results = folder / "out/results.jsonl"
    before = results.read_bytes() if results.exists() else b""
    for _ in range(50):  # the workers of the killed one end by themselves, and hold no lock
        again = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        if again.returncode == 0:
            break
        assert "another sweep is at work" in again.stderr, again.stderr
    whole, table = _whole_sweep()
    assert results.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    assert _sorted(results) == whole
    assert (folder / "out/results.csv").read_bytes() == table
    _clean(folder)
    return found


def history(folder: Path, delay: float) -> Killed:
    """The history: every line whose append had returned is there, up to its bounds, and none that was never typed."""
    path = folder / "history"
    found = _killed([sys.executable, "-c", _APPENDER, str(path)], delay, folder)
    numbers = [int(line) for line in found.output.split("\n")[:-1]]
    warned: list[str] = []
    lines = HistoryFile(path, warned.append).entries if path.exists() else []
    kept = [int(line.split()[1]) for line in lines]
    assert lines == [f"echo {number} " + "x" * (number % 600) for number in kept]
    assert kept == list(range(kept[0], kept[-1] + 1)) if kept else not numbers
    assert not numbers or kept[-1] >= numbers[-1]
    assert len(path.read_bytes() if path.exists() else b"") <= history_file.MOST_BYTES
    after = HistoryFile(path, warned.append)
    after.append("echo after")
    assert HistoryFile(path, warned.append).entries == [*lines, "echo after"]
    assert not warned
    write_whole(folder / "other", b"")
    _clean(folder)
    return found


def commit(folder: Path, delay: float) -> Killed:
    """Commits to a disk image: it is the last one, or the one that was being made, and never a mixture."""
    path, size = folder / "disk.img", 4 * MIB
    path.write_bytes(bytes(size))
    found = _killed([sys.executable, "-c", _COMMITTER, str(path)], delay, folder)
    printed = [int(line) for line in found.output.split("\n")[:-1]]
    data = path.read_bytes()
    assert data == data[:1] * size
    assert data[0] in (len(printed), len(printed) + 1)
    with Drive(str(path), writable=True) as drive:
        drive.write_disk(0, b"\xff" * size)
        drive.commit()
    assert path.read_bytes() == b"\xff" * size
    _clean(folder)
    return found


KINDS: Final[dict[str, Callable[[Path, float], Killed]]] = {
    "fetch": fetch,
    "record": record,
    "snap save": snap,
    "sweep": sweep,
    "history": history,
    "commit": commit,
}


def kill_often(kind: str, tries: int, seed: int) -> tuple[int, float]:
    """Kill one kind of work at ``tries`` random moments.

    Returns:
        How many tries met it at work, and the seconds within which they came.
    """
    random, work = Random(f"{kind} {seed}"), KINDS[kind]
    with TemporaryDirectory() as name:
        window = work(Path(name), _LONGEST).seconds
    met = 0
    for _ in range(tries):
        with TemporaryDirectory() as name:
            met += work(Path(name), random.uniform(window / 5, window)).at_work
    return met, window
