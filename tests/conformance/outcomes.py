"""``python -m tests.conformance.outcomes TSV...``: direct boots of the RFC author's own firmware against the model.

Each row whose source is ``real`` says what an initrd of that size came to: outcome, six addresses, what the allocator
accepted on demand. An initrd of the size is made and booted. Where ``accepts-NAME-direct-SIZE.ranges.txt`` lies beside
the table, the ranges accepted on demand and the pages accepted again after DMA are compared, too; and where
``map-NAME-direct-SIZE-exit-boot-services.txt`` does, the memory map that the kernel got.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.errors import TdvfshError
from tdvfsh.formats.maps.memory_maps import parse_memmap
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.machine.options import TdOptions
from tdvfsh.trace.records import PageAccept
from tdvfsh.uefi.memory import MemoryDescriptor
from tdvfsh.units import LARGE_PAGE_SIZE, parse_size
from tests.conformance.tally import Tally

KERNEL: Final = {"size": 11_737_024, "init_size": 58_580_992, "size_of_image": 12_152_832, "output_len": 57_575_096}
"""Debian's Linux 6.12.117 for clouds, with which they were recorded."""
CMDLINE: Final = "console=ttyS0 earlyprintk=serial,ttyS0 nokaslr cryptomgr.notests"
SIZE: Final = "size"
ADDRESSES: Final = ("kernel_file", "initrd_file", "file_buffer", "image", "kernel", "initrd")
REACHED_LINUX: Final = ("Linux boots", "initrd loaded")
NOT_REAL: Final = "a row of an earlier model"
NO_ADDRESS: Final = "a boot that failed before"
NOT_BOOTED: Final = "firmware goes on after a boot that failed, with transfers that no model has"
NO_BINS: Final = "a memory map does not tell where its firmware keeps ACPI tables"
_RANGE: Final = re.compile(
    r"\s*(0x[0-9a-f]+) -\s+(0x[0-9a-f]+) (4K|2M) x\s*(\d+) vcpu \d+ SUCCESS by "
    r"(?P<who>.*?)(?P<again> \(made private again\))?"
)
RECORDED_ON = "kvm-2m"
"""The engine on which the tables were recorded maps 2 MiB pages."""


class Ranges(NamedTuple):
    """What a recording says of accepts between SEC and the kernel: on demand, and pages after DMA."""

    on_demand: list[str]
    dma_pages: int


def recorded_ranges(text: str) -> Ranges:
    """The lines of a ``ranges.txt``."""
    on_demand, dma = [], 0
    for found in filter(None, map(_RANGE.fullmatch, text.splitlines())):
        if found["again"]:
            dma += int(found[4])
        elif found["who"].startswith("TdxDxe"):
            on_demand.append(f"{found[1]}-{found[2]} {found[3]}")
    return Ranges(on_demand, dma)


def model_ranges(result: BootResult) -> Ranges:
    """The same of a boot of the model."""
    on_demand = []
    for record in result.machine.trace:
        if isinstance(record, PageAccept):
            on_demand += [f"{start:#x}-{end:#x} {level}" for start, end, level in _parts(record)]
    return Ranges(on_demand, result.dma_pages)


def _parts(record: PageAccept) -> Iterator[tuple[int, int, str]]:
    """Small pages up to the next large one, large pages, small pages."""
    large = record.pages_2m * LARGE_PAGE_SIZE
    head = min(-record.start % LARGE_PAGE_SIZE, record.size)
    at = record.start
    for size, level in ((head, "4K"), (large, "2M"), (record.size - head - large, "4K")):
        if size:
            yield at, at + size, level
            at += size


def compare_row(line: int, row: dict[str, str], result: BootResult, tally: Tally, ranges: Ranges | None) -> None:
    """Count each cell of one row."""
    size = row[SIZE]
    booted = row["outcome"].startswith(REACHED_LINUX)
    tally.compare(line, f"{size} boots={booted}", f"{size} boots={result.booted}")
    placed = {placement.what: placement.start for placement in result.placements}
    for what in ADDRESSES:
        if row[what].startswith("0x"):
            tally.compare(line, f"{size} {what}={row[what]}", f"{size} {what}={placed.get(what, 0):#x}")
        else:
            tally.skip(NO_ADDRESS)
    found = model_ranges(result)
    small = large = 0
    for record in result.machine.trace:
        if isinstance(record, PageAccept):
            small, large = small + record.pages_4k, large + record.pages_2m
    tally.compare(
        line,
        f"{size} on demand {row['accepts on demand 4K']} x 4K, {row['2M']} x 2M",
        f"{size} on demand {small} x 4K, {large} x 2M",
    )
    if ranges is None:
        return
    tally.compare(line, ranges.on_demand, found.on_demand)
    if booted:
        tally.compare(line, f"{size} after DMA {ranges.dma_pages}", f"{size} after DMA {found.dma_pages}")
    else:
        tally.skip(NOT_BOOTED)


def compare_last_map(path: Path, result: BootResult, tally: Tally) -> None:
    """Count each descriptor of the memory map with which ExitBootServices succeeded."""
    recorded = parse_memmap(path.read_text(encoding="utf-8").split("\n", 1)[1], str(path))  # after the line of its key
    found = result.machine.services.memory_map_view().descriptors
    for number in range(max(len(recorded), len(found))):
        expected, got = (
            _shown(entries[number]) if number < len(entries) else "nothing" for entries in (recorded, found)
        )
        tally.compare(number + 2, expected, got)


def _shown(entry: MemoryDescriptor) -> str:
    return f"type {int(entry.memory_type)} {entry.physical_start:#x}-{entry.physical_end:#x} {entry.attribute:#x}"


def run(path: Path, options: TdOptions) -> Tally:
    """Compare every row of one table."""
    tally = Tally(path.name)
    with tempfile.TemporaryDirectory() as name, path.open(encoding="utf-8", newline="") as stream:
        folder = Path(name)
        kernel = folder / "kernel"
        make_kernel(
            kernel, KERNEL["size"], KERNEL["init_size"], size_of_image=KERNEL["size_of_image"],
            output_len=KERNEL["output_len"],
        )  # fmt: skip
        names = [SIZE, *next(csv.reader(stream, delimiter="\t"))[1:]]  # the size and the last address have one name
        for line, row in enumerate(csv.DictReader(stream, names, delimiter="\t"), 2):
            if row["source"] != "real":
                tally.skip(NOT_REAL)
                continue
            initrd = folder / row[SIZE]
            make_initrd(initrd, parse_size(row[SIZE]))
            beside = next(path.parent.glob(f"accepts-*-direct-{row[SIZE]}.ranges.txt"), None)
            ranges = None if beside is None else recorded_ranges(beside.read_text(encoding="utf-8"))
            with open_boot_files(kernel, [initrd], cmdline=CMDLINE) as opened:
                result = boot(options, opened.boot)
                compare_row(line, row, result, tally, ranges)
                for last_map in path.parent.glob(f"map-*-direct-{row[SIZE]}-exit-boot-services.txt"):
                    if options.map is None:
                        compare_last_map(last_map, result, tally)
                    else:
                        tally.skip(NO_BINS)
            initrd.unlink()
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every table; 1 if any cell differs."""
    parser = argparse.ArgumentParser(prog="tests.conformance.outcomes", description=__doc__)
    parser.add_argument("tables", nargs="+", type=Path, metavar="TSV")
    parser.add_argument("--memory", default="2G", metavar="SIZE")
    parser.add_argument("--vcpus", type=int, default=1, metavar="N")
    parser.add_argument("--accept", default="512M", metavar="POLICY")
    parser.add_argument("--profile", default="lazy-v2", metavar="NAME")
    parser.add_argument("--map", metavar="FILE", help="start from this map")
    parser.add_argument("-v", "--verbose", action="store_true", help="say why cells were skipped")
    given = parser.parse_args(arguments)
    try:
        options = TdOptions(
            cost=RECORDED_ON,
            memory=parse_size(given.memory),
            vcpus=given.vcpus,
            accept=parse_boot_accept(given.accept),
            on_demand="allocator",
            profile=given.profile,
            map=given.map,
        )
        tallies = [run(path, options) for path in given.tables]
    except (TdvfshError, OSError) as error:
        print(f"tests.conformance.outcomes: {error}", file=sys.stderr)
        return 2
    for tally in tallies:
        tally.print(given.verbose)
    return 1 if any(tally.differences for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
