"""A copy of a recording's file tree with a shell on it, and what both shell runners share."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.identity import Firmware
from tdvfsh.shell.processor import choose_engine
from tdvfsh.shell.shell import Shell

FILE_TIME = 1_700_000_000  # 11/14/2023 22:13:20, the time of the recordings' own files
GUEST_TIME = 1_704_164_645  # 01/02/2024 03:04:05, the clock of the recordings' guest
DEBIAN = Firmware(vendor="Debian distribution of EDK II", revision=0x10000)
PROFILES = ("Driver1", "Debug1", "network1", "network2")


class RecordedDisk(HostFolder):
    """The tree as the disk of the recording: its label and its size, where the recording tells them."""

    def __init__(self, root: str, label: str, size: int | None) -> None:
        super().__init__(root, writable=True, label=label)
        self._size = size

    def space(self) -> tuple[int, int]:
        """The recorded size; the free space is a guess that is never compared."""
        total, free = super().space()
        return (total, free) if self._size is None else (self._size, self._size)


def recorded_volume(text: str) -> tuple[str, int | None]:
    """Label and size of the volume, from any listing in a recording."""
    match = re.search(r'VolumeInfo,"([^"]*)","(\d+)"', text)
    if match is not None:
        return match[1], int(match[2])
    match = re.search(r"Volume (\S+) \(rw\)\r?\n(\d+) bytes total", text)
    return (match[1], int(match[2])) if match is not None else ("TESTVOL", None)


@contextmanager
def sandbox(tree: Path, recording: str) -> Iterator[tuple[Shell, Path]]:
    """A shell of the recordings' firmware on a writable copy of a tree; its programs run where there is a processor.

    Args:
        tree: The folder to copy.
        recording: Text of the recording, for the volume's label and size.
    """
    folder = Path(tempfile.mkdtemp(prefix="tdvfsh-conformance-"))
    try:
        root = folder / "fs0"
        shutil.copytree(tree, root)
        for path in (root, *root.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
            if path.is_file():
                os.utime(path, (FILE_TIME, FILE_TIME))
        shell = Shell(firmware=DEBIAN, profiles=PROFILES, start_time=GUEST_TIME)
        label, size = recorded_volume(recording)
        shell.mount(RecordedDisk(str(root), label, size), port=5)
        shell.ask = lambda prompt: "y"
        if find_spec("unicorn") is not None:
            choose_engine(shell, "cpu")
        yield shell, root
    finally:
        shutil.rmtree(folder)


_MASKS = (
    # folders, and scripts copied late, carry the hour of the recording
    (re.compile(r"11/23/\d{4}  \d\d:\d\d"), "<recorded date>", "hour of the recording"),
    (re.compile(r"01/02/2024  03:\d\d"), "<recorded date>", "hour of the recording"),
    (re.compile(r'"\d\d:\d\d:\d\d","23\.11\.2026"'), "<recorded date>", "hour of the recording"),
    (re.compile(r"^\d+ bytes available on disk"), "<free> bytes available on disk", "free space of the recorded disk"),
    (re.compile(r'^(VolumeInfo,"[^"]*","\d+","\w+"),"\d+"'), r'\1,"<free>"', "free space of the recorded disk"),
    (re.compile(r"loaded at [0-9A-F]+"), "loaded at <address>", "address of an image"),
    (re.compile(r"Line: \d{6,}(?=\r?$)"), "Line: <pointer>", "edk2 prints a pointer where the line number belongs"),
    (re.compile(r"^\d\d:\d\d:\d\d \(LOCAL\)"), "<time> (LOCAL)", "second of the recording"),
)
_DATE = re.compile(r"\d\d/\d\d/\d{4}  \d\d:\d\d")
_SFO_DATE = re.compile(r'"\d\d:\d\d:\d\d","\d\d\.\d\d\.\d{4}"')


def masked(expected: str, got: str) -> tuple[str, str, str | None]:
    """Both lines with what the recording does not hold taken out, and why; unchanged where nothing had to be."""
    for pattern, replacement, reason in _MASKS:
        if not pattern.search(expected):
            continue
        wanted = pattern.sub(replacement, expected)
        have = got
        if replacement == "<recorded date>":
            have = _DATE.sub(replacement, got) if _DATE.search(expected) else _SFO_DATE.sub(replacement, got)
            wanted = _DATE.sub(replacement, wanted) if _DATE.search(expected) else _SFO_DATE.sub(replacement, wanted)
        else:
            have = pattern.sub(replacement, got)
            if "Line: <pointer>" in wanted:
                have = re.sub(r"Line: \d+(?=\r?$)", "Line: <pointer>", got)
        if wanted == have:
            return wanted, have, reason
    return expected, got, None
