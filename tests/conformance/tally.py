"""Counting what agrees, what differs and what a recording cannot decide."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """The score of one input.

    Attributes:
        name: As printed.
        agree: Compared and equal.
        differences: One text a line that differs.
        skipped: Lines that were not compared, by category.
        aside: Lines that stand outside the comparison, by category.
    """

    name: str
    agree: int = 0
    differences: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    aside: Counter[str] = field(default_factory=Counter)

    def compare(self, line: int, expected: object, got: object) -> bool:
        """Count a comparison; a difference is kept as text."""
        if expected == got:
            self.agree += 1
            return True
        self.differences.append(f"{self.name}:{line} expected {expected} got {got}")
        return False

    def skip(self, category: str) -> None:
        """Count a line that is not compared."""
        self.skipped[category] += 1

    def print(self, verbose: bool = False) -> None:
        """Every difference, then the line that the contract asks for."""
        for difference in self.differences:
            print(difference)
        if verbose:
            for category, count in sorted(self.skipped.items()):
                print(f"{self.name}: {count} skipped: {category}")
            for category, count in sorted(self.aside.items()):
                print(f"{self.name}: {count} aside: {category}")
        print(f"{self.name} agree={self.agree} differ={len(self.differences)} skip={self.skipped.total()}")
