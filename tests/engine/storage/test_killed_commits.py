"""``--commit`` of a process that is killed: the image is the old one or the new one, and nothing else."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tdvfsh.engine.storage.drive import Drive
from tdvfsh.units import MIB

SIZE = 24 * MIB
COMMITS = """\
import sys
from tdvfsh.engine.storage.drive import Drive
with Drive(sys.argv[1], writable=True) as drive:
    for offset in range(0, drive.disk_size, 1 << 16):
        drive.write_disk(offset, b"new!" * (1 << 14))
    print("commits", flush=True)
    drive.commit()
    print("done", flush=True)
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("milliseconds", [0, 1, 3, 8, 20, 60])
def test_an_image_is_whole_whenever_its_writer_is_killed(tmp_path: Path, milliseconds: int) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"old." * (SIZE // 4))
    old, new = digest(path), hashlib.sha256(b"new!" * (SIZE // 4)).hexdigest()
    with subprocess.Popen([sys.executable, "-c", COMMITS, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "commits\n"
        time.sleep(milliseconds / 1000)
        process.kill()
        rest = process.stdout.read()
    assert process.returncode in (-signal.SIGKILL, 0)
    assert digest(path) in ((new,) if "done" in rest else (old, new))
    with Drive(str(path), writable=True) as drive:  # and what was left half-written is cleared by the next commit
        drive.write_disk(0, b"then")
        drive.commit()
    assert path.read_bytes()[:4] == b"then"
    assert [each.name for each in tmp_path.iterdir()] == ["disk.img"]


def test_a_run_that_is_killed_leaves_its_image_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"old." * (SIZE // 4))
    writes = COMMITS.replace("    drive.commit()\n", "    import time; time.sleep(60)\n")
    with subprocess.Popen([sys.executable, "-c", writes, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert path.read_bytes() == b"old." * (SIZE // 4)
    assert [each.name for each in tmp_path.iterdir()] == ["disk.img"]
