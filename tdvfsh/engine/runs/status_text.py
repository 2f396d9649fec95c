"""What a run under way says of itself."""

from __future__ import annotations

from tdvfsh.lazy_typing import Final
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.units import human_size

_SHOWN_OF_LINE: Final = 60


def status_text(td: TrustDomain, last_line: str) -> str:
    """How far it has come: virtual time, what is accepted, and what its console showed last.

    It may be asked for on another thread: what is read here only ever grows.
    """
    parts = [f"virtual {td.clock.now_ns / 1e9:.1f} s"]
    if td.is_td:
        parts.append(f"{human_size(td.accepted_bytes)} accepted")
    return ", ".join([*parts, last_line[:_SHOWN_OF_LINE]]).rstrip(", ")
