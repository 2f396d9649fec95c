"""``python -m tests.conformance.dxe LOG...``: a recording of boot-service calls, call by call.

A machine starts from the log's first map, repeats every call and compares status, addresses, the descriptors that
``AT`` names, map keys and whole maps. What the log does not hold is skipped, by the categories at the head of
:mod:`tests.conformance.replay` and :mod:`tests.conformance.image_replay`; ``-v`` counts them.

``--profile`` names the firmware generation; without it the log's own answers decide. ``r-*`` images are a
distribution's own files, which stand aside.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tdvfsh.dxe.profile import profile_named
from tests.conformance.image_replay import ImageReplay
from tests.conformance.recording import first_map, read_events
from tests.conformance.replay_command import replay_command
from tests.conformance.setup import choose_profile, machine_from
from tests.conformance.tally import Tally

IMAGES: Final = Path(__file__).resolve().parents[1] / "recordings" / "dxe" / "images"


def replay_log(path: Path, profile_name: str | None = None) -> Tally:
    """Repeat one log and count."""
    tally = Tally(path.stem)
    events = read_events(path)
    start = first_map(events)
    if start is None:
        tally.compare(1, "a MAP block", "none")
        return tally
    profile = profile_named(profile_name) if profile_name else choose_profile(events, start.descriptors)
    events = events[events.index(start) :]
    services = machine_from(events, start.descriptors, profile)
    ImageReplay(services, tally, (path.parent / "images", IMAGES)).run(events)
    return tally


def main(arguments: Sequence[str]) -> int:
    """The command; 1 where any line differs."""
    return replay_command("tests.conformance.dxe", __doc__, "LOG", replay_log, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
