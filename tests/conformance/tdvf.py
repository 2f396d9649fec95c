"""``python -m tests.conformance.tdvf LIST.tsv --firmware FILE --memory M --vcpus N``: accepts of SEC, call by call.

A list has the columns number, vCPU, guest physical address, level and status of every TDG.MEM.PAGE.ACCEPT of SEC, as
``tdvfsh firmware accepts FILE -o LIST.tsv`` writes it. The firmware runs on the engine and its calls are compared line
by line, in order.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.firmware.image import open_firmware
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.errors import TdvfshError
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.firmware_accepts_text import accepts_tsv
from tdvfsh.units import parse_size
from tests.conformance.tally import Tally


def accepts_of_engine(options: TdOptions, firmware: str) -> list[str]:
    """Lines of the list that the real firmware gives."""
    with open_firmware(firmware) as image, RunLimit() as limit, FirmwareRun(image, options, limit=limit) as run:
        run.run_sec()
        return accepts_tsv(run.accepts).splitlines()


def compare(path: Path, got: Sequence[str]) -> Tally:
    """Count the lines of a list that are the same."""
    tally = Tally(path.stem)
    expected = path.read_text().splitlines()
    for line, (first, second) in enumerate(zip_longest(expected[1:], got[1:], fillvalue="nothing"), 2):
        tally.compare(line, first.replace("\t", " "), second.replace("\t", " "))
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where any line differs."""
    parser = argparse.ArgumentParser(prog="tests.conformance.tdvf", description=__doc__)
    parser.add_argument("lists", nargs="+", type=Path, metavar="LIST.tsv")
    parser.add_argument("--firmware", required=True, metavar="FILE")
    parser.add_argument("--memory", required=True, metavar="SIZE")
    parser.add_argument("--vcpus", type=int, default=1, metavar="N")
    given = parser.parse_args(arguments)
    try:
        options = TdOptions(memory=parse_size(given.memory), vcpus=given.vcpus)
        got = accepts_of_engine(options, given.firmware)
        tallies = [compare(path, got) for path in given.lists]
    except (TdvfshError, OSError) as error:
        print(f"tests.conformance.tdvf: {error}", file=sys.stderr)
        return 2
    for tally in tallies:
        tally.print()
    return 1 if any(tally.differences for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
