"""A guest of a plain VM that shows the time stamp counter, letter by letter, and switches off; and runs of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.engine.firmware.saved_run import restore_run, save_run
from tdvfsh.engine.saved.machine_file import open_machine_file
from tdvfsh.engine.saved.machine_state import machine_header
from tdvfsh.engine.storage.overlay import Overlay
from tdvfsh.engine.virtio.parts import VirtioParts
from tdvfsh.errors import TdvfshError
from tdvfsh.machine import TdOptions
from tdvfsh.units import MIB
from tests.engine.firmware.made_firmware import made_firmware, opened

OPTIONS: Final = TdOptions(cost="kvm-2m", memory=128 * MIB, td=False)
LETTERS: Final = 40
CODE: Final = bytes.fromhex(
    "31c0 8ed8"  # xor ax, ax; mov ds, ax
    "c706 0010 2800"  # mov word [0x1000], LETTERS
    "9b dbe3 d9eb"  # finit; fldpi
    "0f31"  # again: rdtsc
    "240f 0461"  # and al, 15; add al, 'a'
    "baf803 ee"  # mov dx, 0x3f8; out dx, al
    "b90000 e2fe"  # mov cx, 0; loop to itself, 65536 times
    "b90000 e2fe"
    "ff0e 0010 75e6"  # dec word [0x1000]; jnz again
    "b00a baf803 ee"  # mov al, '\n'; out
    "ba0406 b80020 ef"  # mov dx, 0x604; mov ax, 0x2000; out dx, ax: power off
    "f4"
)


@contextmanager
def made_machine(
    folder: Path,
    until: str | None = None,
    saved: str | None = None,
    options: TdOptions = OPTIONS,
    disks: bool = False,
    seconds: float = 60,
    shown: Callable[[bytearray], None] = lambda console: None,
) -> Iterator[tuple[FirmwareRun, bytearray]]:
    """A run of that guest and its console, which ``shown`` is called with: from reset, or from a file."""
    console = bytearray()

    def show(data: bytes) -> None:
        console.extend(data)
        shown(console)

    data = made_firmware(CODE)
    overlays = [Overlay(Zeros())] if disks else []
    with opened(folder, data) as image, RunLimit(seconds) as limit:
        pattern = None if until is None else re.compile(until)

        @contextmanager
        def machine() -> Iterator[FirmwareRun]:
            with FirmwareRun(
                image, options, output=show, until=pattern, limit=limit, keep=True,
                virtio=VirtioParts(overlays),
            ) as run:  # fmt: skip
                if saved is not None:
                    with open_machine_file(saved) as file:
                        restore_run(run, file, options)
                yield run

        with machine() as run:
            yield run, console


class Zeros:
    """An empty disk."""

    disk_size = 4 * MIB

    def read_disk(self, offset: int, size: int) -> bytes:
        """Zeros."""
        return bytes(size)


def end_of(run: FirmwareRun) -> str:
    """How a run ends."""
    return run.run_to_end().ending


def save_after(folder: Path, text: str, name: str = "machine", disks: bool = False) -> tuple[str, bytes]:
    """Run until the console shows a text, and save; returns the file and what was shown."""
    path = str(folder / name)
    with made_machine(folder, text, disks=disks) as (run, console):
        assert end_of(run) == "matched"
        save_run(run, path, machine_header(OPTIONS, "", [], real_code_only=False))
        return path, bytes(console)


def whole(folder: Path) -> tuple[bytes, int]:
    """What the guest shows without interruption, and the virtual time at its end."""
    with made_machine(folder) as (run, console):
        assert end_of(run) == "power off"
        return bytes(console), run.td.clock.now_ns


def error_of(path: str, folder: Path, options: TdOptions = OPTIONS, disks: bool = False) -> str:
    """What is said about a file that is refused, in one line."""
    with pytest.raises(TdvfshError) as refused, made_machine(folder, saved=path, options=options, disks=disks):
        pass
    assert "\n" not in str(refused.value)
    return str(refused.value)
