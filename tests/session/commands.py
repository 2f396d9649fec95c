"""A session of two hundred commands, as a user might type them."""

from __future__ import annotations

from typing import Final

_SHORT: Final = ("assert accepted gt 512M", "ls nowhere", "tdcall accept 1G 2M", "mm 1000 -n", "getmtc")
_LOADERS: Final = ("direct", "grub2.12")
_OPTIONS: Final = ("none", "allocator", "loader", "loader-literal", "service")


def two_hundred(kernel: str, initrd: str) -> list[str]:
    """The lines; ``kernel`` and ``initrd`` as the shell names them."""
    lines = ["ver", "map", "td", "memmap", "sept", "dh", "set", "alias", "echo hello", "help undo"]
    for number in range(12):
        lines += [
            f"bs AllocatePages AnyPages LoaderData {number * 7 + 1:X}",
            f"bs AllocatePool BootServicesData {number * 300 + 10:X}",
            f"accept {512 + number * 16}M 16M",
            "diff",
            "memmap -sfo",
            f"set n{number} %lasterror%",
        ]
    lines += ["snap save middle", "undo 5", "redo 2", "snap", "diff middle", "snap restore middle", "diff middle"]
    lines += [f"inspect {kernel}", f"inspect {initrd}"]
    for loader in _LOADERS:
        for option in _OPTIONS:
            for accept in ("176M", "240M"):
                lines += [
                    f"boot -q -memory 2G -accept {accept} -on-demand {option} -loader {loader} {kernel} {initrd}",
                    "set status %lasterror%",
                ]
    lines += [f"boot -memory 2G -accept 240M -memmap {kernel} {initrd}", "explain", "undo", "explain"]
    lines += [f"load {kernel}", f"initrd {initrd}", "dh", "initrd -u", "trace -n 20 -tree", "trace -status error"]
    for number in range(200 - len(lines) - 3):
        lines.append(_SHORT[number % len(_SHORT)])
    return [*lines, "td new -memory 1G -accept eager", "memmap", "td"]
