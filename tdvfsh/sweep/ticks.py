"""Round numbers for axes."""

from __future__ import annotations

from math import floor, log10


def round_sizes(low: int, high: int, most: int) -> list[int]:
    """At most ``most`` sizes from ``low`` to ``high`` bytes, multiples of a power of two."""
    step = 1
    while high // step - (low - 1) // step > most:
        step *= 2
    return list(range(-(-low // step) * step, high + 1, step))


def round_steps(high: float, most: int) -> list[float]:
    """From 0 to ``high`` or a little more, in at most ``most`` steps of 1, 2 or 5 times a power of ten."""
    if high <= 0:
        return [0.0, 1.0]
    power = floor(log10(high / most))
    step = next(size * 10.0**power for size in (1, 2, 5, 10, 20) if size * 10.0**power * most >= high)
    count = 0
    while count * step < high * (1 - 1e-9):
        count += 1
    return [number * step for number in range(count + 1)]
