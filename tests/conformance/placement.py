"""Boots of real machines against boots of the model: where everything lay, and how it ended.

``python -m tests.conformance.placement TSV...``; each row has sizes, firmware, loader and RAM. A kernel and an initrd
of these sizes are made, booted with the row's firmware model, and every recorded cell is compared. The machine is a
plain VM of one vCPU unless columns say otherwise: ``td`` (yes or no), ``vcpus``, ``accept``, ``cmdline``.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.errors import TdvfshError
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.machine.options import TdOptions
from tdvfsh.units import parse_size
from tests.conformance.inputs import FIRST_WITH_UNACCEPTED, recording, version_of_package
from tests.conformance.tally import Tally

FIRMWARE: Final = {
    "bookworm": ("ovmf-2022.11", "bookworm"),
    "trixie": ("ovmf-2025.02", "trixie"),
    "sid": ("ovmf-2026.08", "sid"),
    "inteltdx": ("inteltdx", "upstream"),
}
"""Firmware model and profile of each firmware that was recorded."""

LOADERS: Final = {
    "direct": "direct",
    "grub-2.06": "grub2.06",
    "grub-2.12": "grub2.12-debian",
    "grub-2.14": "grub2.14-debian",
}
ADDRESSES: Final = ("kernel_file", "initrd_file", "image", "kernel", "initrd")
_COLUMNS: Final = (
    "case",
    "firmware",
    "loader",
    "ram",
    "kernel_package",
    "kernel_bytes",
    "init_size",
    "result",
    *ADDRESSES,
)
CMDLINE: Final = "console=ttyS0,115200 earlyprintk=ttyS0,115200 efi=debug nokaslr ignore_loglevel panic=-1"
"""What the recorded boots had, unless a column ``cmdline`` says otherwise: firmware's pools depend on its length."""

REACHED_LINUX: Final = ("linux-up", "panic")
"""What the kernel did afterwards is its own business: a panic over a timer is a boot that succeeded."""

NOT_RECORDED: Final = "a boot that failed left no address in the recording, which was read from the kernel's log"
NOT_MODELLED: Final = "a firmware or a loader that has no model"
NOT_THIS_LOADER: Final = "the loader makes no such copy, or keeps it in its own heap"


@dataclass(frozen=True, slots=True)
class Row:
    """One boot of a real machine."""

    line: int
    cells: dict[str, str]

    def number(self, name: str) -> int | None:
        """A cell as a number; None for ``-``."""
        text = self.cells.get(name, "-") or "-"
        return None if text == "-" else int(text, 0)

    def word(self, name: str, usual: str) -> str:
        """A cell as it stands, or what is usual where the table has no such column or the cell is empty."""
        text = self.cells.get(name) or "-"
        return usual if text == "-" else text

    @property
    def reached_linux(self) -> bool:
        """Whether a kernel ran in the end."""
        return self.cells["result"] in REACHED_LINUX


def read_rows(path: Path) -> list[Row]:
    """All rows, with their line numbers."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [Row(number, row) for number, row in enumerate(csv.DictReader(stream, delimiter="\t"), 2)]


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        return stream.readline().rstrip("\r\n").split("\t")


def boot_row(row: Row, folder: Path) -> BootResult:
    """Boot images of the row's sizes as its machine was set up; they are made below ``folder``."""
    kernel, initrds = _make_files(row, folder)
    model, profile = FIRMWARE[row.cells["firmware"]]
    options = TdOptions(
        memory=parse_size(row.cells["ram"]),
        td=row.word("td", "no").lower() in ("yes", "true", "td", "1"),
        vcpus=int(row.word("vcpus", "1")),
        accept=parse_boot_accept(row.word("accept", "512M")),
        firmware_model=model,
        profile=profile,
        loader=LOADERS[row.cells["loader"]],
    )
    with open_boot_files(kernel, initrds, cmdline=row.word("cmdline", CMDLINE)) as opened:
        return boot(options, opened.boot)


def compare_row(row: Row, result: BootResult, tally: Tally) -> None:
    """Count each cell of the row."""
    tally.compare(row.line, f"{row.cells['case']} {_outcome(row.reached_linux)}", _describe(row, result))
    placed = {placement.what: placement.start for placement in result.placements}
    if row.reached_linux:
        placed = {placement.what: placement.start for placement in result.placements if not placement.freed}
    for what in ADDRESSES:
        recorded = row.number(what)
        if recorded is None and not row.reached_linux:
            tally.skip(NOT_RECORDED)
        elif recorded is None and what != "initrd":
            tally.skip(NOT_THIS_LOADER)
        else:
            tally.compare(row.line, _cell(row, what, recorded), _cell(row, what, placed.get(what)))


def _make_files(row: Row, folder: Path) -> tuple[Path, list[Path]]:
    size, init_size = row.number("kernel_bytes") or 0, row.number("init_size") or 0
    image, output_len = row.number("size_of_image"), row.number("output_len")
    kernel = folder / f"kernel-{size:x}-{init_size:x}-{image or 0:x}-{output_len or 0:x}"
    if not kernel.exists():
        version = version_of_package(row.cells["kernel_package"])
        knows = version is None or version >= FIRST_WITH_UNACCEPTED
        make_kernel(kernel, size, init_size, image, output_len, unaccepted_memory=knows)
    initrd_size = row.number("initrd_bytes")
    if not initrd_size:
        return kernel, []
    initrd = folder / f"initrd-{initrd_size:x}"
    if not initrd.exists():
        make_initrd(initrd, initrd_size)
    return kernel, [initrd]


def _cell(row: Row, what: str, address: int | None) -> str:
    return f"{row.cells['case']} {what}={'-' if address is None else hex(address)}"


def _outcome(booted: bool) -> str:
    return "reaches Linux" if booted else "does not reach Linux"


def _describe(row: Row, result: BootResult) -> str:
    text = f"{row.cells['case']} {_outcome(result.booted)}"
    if result.booted == row.reached_linux or result.failure is None:
        return text
    return f"{text}: {result.failure.why}"


def run(path: Path) -> Tally:
    """Compare every row of one table."""
    tally = Tally(path.name)
    with tempfile.TemporaryDirectory() as folder:
        for row in read_rows(path):
            if row.cells["firmware"] not in FIRMWARE or row.cells["loader"] not in LOADERS:
                tally.skip(NOT_MODELLED)
                continue
            try:
                compare_row(row, boot_row(row, Path(folder)), tally)
            except TdvfshError as refusal:  # RAM that the firmware itself does not fit into
                got = f"{row.cells['case']} {_outcome(False)}"
                expected = f"{row.cells['case']} {_outcome(row.reached_linux)}"
                tally.compare(row.line, expected, f"{got}: {refusal}" if row.reached_linux else got)
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every table; 1 if any cell differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.placement", description=__doc__)
    parser.add_argument("tables", nargs="+", type=recording, metavar="TSV")
    parser.add_argument("-v", "--verbose", action="store_true", help="say why lines were skipped")
    given = parser.parse_args(arguments)
    for path in given.tables:
        missing = sorted(set(_COLUMNS) - set(_header(path)))
        if missing:
            parser.error(f"{path}: not a placement table: no column {', '.join(missing)}")
    tallies = [run(path) for path in given.tables]
    for tally in tallies:
        tally.print(given.verbose)
    return 1 if any(tally.differences for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
