"""``python -m tests.conformance.memmap FILE...``: a recorded memory map goes in and must come out to the byte.

A machine is made from the map; what its GetMemoryMap answers is printed in the form of the recording: ``memmap``,
``memmap -sfo``, GRUB's ``lsefimmap`` or a raw GetMemoryMap log. Line ends count too. Where a recording of the same name
in the Shell's other form lies beside an input it is held to the same; the two were printed by different runs of a
program, whose own pages differ.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tdvfsh.dxe.memory.get_memory_map import build_memory_map
from tdvfsh.dxe.memory.import_map import core_from_descriptors
from tdvfsh.dxe.profile import PROFILES, FirmwareProfile, profile_named
from tdvfsh.formats.maps.loader_maps import read_lsefimmap
from tdvfsh.formats.maps.memory_maps import parse_memmap, parse_memmap_sfo
from tdvfsh.formats.maps.rows import clean_lines
from tdvfsh.report.memmap_text import memmap_sfo, memmap_table
from tdvfsh.uefi.memory import MemoryDescriptor
from tests.conformance.inputs import recording
from tests.conformance.recording import first_map, read_events
from tests.conformance.setup import choose_profile
from tests.conformance.tally import Tally

_SFO_IN_NAME: Final = "memmap-sfo-"


def compare_map(path: Path, profile: FirmwareProfile | None, tally: Tally) -> None:
    """Import one file, print it again and count its lines."""
    text = path.read_bytes().decode("utf-8", errors="replace")
    parse, printed = _form_of(text)
    descriptors = parse(text, path)
    if not descriptors:
        tally.compare(1, "a memory map", "none")
        return
    core = core_from_descriptors(descriptors, profile or choose_profile((), descriptors))
    answered = build_memory_map(core.memory_map, core.bins, core.gcd, core.profile).descriptors
    recorded = text.splitlines(keepends=True)
    if printed is None:
        for number, (expected, got) in enumerate(zip(descriptors, answered, strict=True), 1):
            tally.compare(number, expected, got)
        return
    ours = [line + "\r\n" for line in printed(list(answered))]
    for number in range(max(len(recorded), len(ours))):
        expected_line = recorded[number] if number < len(recorded) else "nothing"
        tally.compare(number + 1, repr(expected_line), repr(ours[number] if number < len(ours) else "nothing"))


def _form_of(
    text: str,
) -> tuple[Callable[[str, Path], list[MemoryDescriptor]], Callable[[list[MemoryDescriptor]], list[str]] | None]:
    """How a text is read, and how the like of it is printed (None: compared descriptor by descriptor)."""
    if text.startswith("ShellCommand,"):
        return (lambda given, path: parse_memmap_sfo(given, str(path))), memmap_sfo
    if text.lstrip("\ufeff").startswith("Type       Start"):
        return (lambda given, path: parse_memmap(given, str(path))), memmap_table
    if "Physical start" in text:
        return (lambda given, path: read_lsefimmap(clean_lines(given), str(path))), None
    return (lambda given, path: _parse_log(path)), None


def _parse_log(path: Path) -> list[MemoryDescriptor]:
    block = first_map(read_events(path))
    return [] if block is None else block.descriptors


def sibling_of(path: Path) -> Path | None:
    """The recording of the same name in the Shell's other form."""
    if path.suffix in (".sfo", ".txt") and path.name.startswith(_SFO_IN_NAME):
        other = path.with_name(path.name.replace(_SFO_IN_NAME, "memmap-"))
    elif path.suffix == ".sfo":
        other = path.with_suffix(".txt")
    else:
        return None
    return other if other.is_file() else None


def main(arguments: Sequence[str]) -> int:
    """The command; 1 where any line differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.memmap", description=__doc__)
    parser.add_argument("--profile", choices=sorted(PROFILES))
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("map", nargs="+", type=recording)
    options = parser.parse_args(arguments)
    profile = profile_named(options.profile) if options.profile else None
    differ = False
    for path in options.map:
        tally = Tally(path.name)
        compare_map(path, profile, tally)
        other = sibling_of(path)
        if other is not None and other not in options.map:
            compare_map(other, profile, tally)
        tally.print(options.verbose)
        differ |= bool(tally.differences)
    return int(differ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
