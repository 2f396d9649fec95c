"""Virtio devices of the command line: which runs a debugger may repeat, and what is open for how long."""

from __future__ import annotations

from ctypes.util import find_library
from pathlib import Path
from typing import cast

import pytest

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.debug import Debugging
from tdvfsh.cli.drives import Drives
from tdvfsh.cli.virtio import virtio_parts
from tdvfsh.engine.debug.session import DebugSession
from tdvfsh.engine.virtio.parts import VirtioParts


class Session:
    def __init__(self) -> None:
        self.refused: list[str] = []

    def refuse_repetition(self, why: str) -> None:
        self.refused.append(why)


def made(values: dict[str, object]) -> tuple[VirtioParts, list[str]]:
    session = Session()
    debug = Debugging(cast(DebugSession, session), prompts=False)
    with virtio_parts(
        Arguments({"subcommand": "boot", **values}), Drives([], False), lambda data: None, None, debug
    ) as parts:
        return parts, session.refused


def test_there_are_no_devices_that_were_not_asked_for() -> None:
    parts, refused = made({})
    assert (parts.entropy, parts.console, parts.share, parts.network, refused) == (False, None, None, None, [])


def test_a_run_that_writes_into_a_folder_is_not_repeated_and_one_that_reads_may_be(tmp_path: Path) -> None:
    parts, refused = made({"share": str(tmp_path), "virtio_console": True})
    assert parts.share is not None
    assert parts.console is not None
    assert (parts.share.writable, refused) == (False, [])
    parts, refused = made({"share": f"{tmp_path},rw"})
    assert parts.share is not None
    assert parts.share.writable
    assert "--share" in refused[0]


@pytest.mark.skipif(find_library("slirp") is None, reason="needs Debian's libslirp0")
def test_a_run_with_a_network_is_not_repeated() -> None:
    parts, refused = made({"net": "user"})
    assert parts.network is not None
    assert "--net" in refused[0]
