"""Processor exceptions by name.

Source: Intel SDM volume 3, table 6-1.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final

_NAMES: Final = {
    0: "#DE", 1: "#DB", 2: "NMI", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 8: "#DF", 10: "#TS", 11: "#NP",
    12: "#SS", 13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC", 18: "#MC", 19: "#XM", 20: "#VE", 21: "#CP",
}  # fmt: skip
_WITH_ERROR_CODE: Final = frozenset((8, 10, 11, 12, 13, 14, 17, 21))


def exception_name(vector: int) -> str:
    """``#UD`` and the like, or the number."""
    return _NAMES.get(vector, f"{vector:#x}")


def takes_error_code(vector: int) -> bool:
    """Whether the processor pushes an error code."""
    return vector in _WITH_ERROR_CODE
