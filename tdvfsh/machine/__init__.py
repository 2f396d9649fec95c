"""One trust domain with its firmware: everything below, composed."""

from __future__ import annotations

from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions

__all__ = ["Machine", "TdOptions"]
