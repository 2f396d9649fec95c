"""tdvfsh: a UEFI shell over a virtual Intel TDX trust domain."""

from __future__ import annotations

__version__ = "0.1.0"
