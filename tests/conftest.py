"""How the whole suite runs: the same examples every time where a change is judged, new ones everywhere else.

A shell starts what runs in its background with SIGINT ignored, ``nohup`` ignores SIGHUP, and children inherit that:
the suite takes signals as a user's terminal would have them, so that the programs it starts do.
"""

from __future__ import annotations

import os
import signal

from hypothesis import settings

settings.register_profile("busy", deadline=None)  # the machine may have other things to do
settings.load_profile("busy")
settings.register_profile("judged", settings.get_profile("busy"), derandomize=True, database=None)
if os.environ.get("CI"):
    settings.load_profile("judged")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

os.environ.pop("COLUMNS", None)  # pytest-xdist hands its terminal's width to its workers, and our output would fit it
