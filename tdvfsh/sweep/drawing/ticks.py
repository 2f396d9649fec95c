"""Round numbers for axes."""

from __future__ import annotations

from math import ceil, floor, log10

from tdvfsh.lazy_typing import Final

_NEARLY: Final = 1 + 1e-9


def round_sizes(low: int, high: int, most: int) -> list[int]:
    """At most ``most`` sizes from ``low`` to ``high`` bytes, multiples of a power of two."""
    step = 1
    while high // step - (low - 1) // step > most:
        step *= 2
    return list(range(-(-low // step) * step, high + 1, step))


def decade_steps(low: float, high: float, most: int) -> list[float]:
    """1, 2 and 5 times powers of ten that enclose ``low`` to ``high``, for a logarithmic axis; powers alone where those
    are more than ``most``.

    Args:
        low: The lowest value, above 0.
        high: The highest.
        most: Steps.
    """
    first, last = floor(log10(low)), ceil(log10(high))
    steps = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    begin = max(index for index, step in enumerate(steps) if step <= low * _NEARLY)
    end = min(index for index, step in enumerate(steps) if step * _NEARLY >= high and index > begin)
    inside = steps[begin : end + 1]
    if len(inside) <= most:
        return inside
    every = max(1, ceil((last - first) / (most - 1)))
    return [10.0**power for power in range(first, last + every, every)]
