"""The CPU engine, where unicorn is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from tests.bench.measure import Figure

GROUP: Final = "engine"


def figures() -> list[Figure]:
    """Instructions a second beside bare Unicorn; service calls, beside Qiling's; a boot whose stub really runs."""
    if find_spec("unicorn") is None:
        return [Figure(GROUP, "guest code", "Unicorn", skipped="unicorn is not installed: extra [cpu]")]
    from tests.bench import guest_accepts, guest_code, guest_pages

    return guest_code.figures() + guest_pages.figures() + guest_accepts.figures()
