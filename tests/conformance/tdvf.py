"""``python -m tests.conformance.tdvf LIST.tsv --firmware FILE --memory M --vcpus N``: accepts of SEC, call by call.

A list whose name tells RAM and vCPUs (``sec-t-2G-2.accepts.tsv``) needs neither option.

A list has the columns number, vCPU, guest physical address, level and status of every TDG.MEM.PAGE.ACCEPT of SEC, as
``tdvfsh firmware accepts FILE -o LIST.tsv`` writes it. The firmware runs on the engine and its calls are compared line
by line, in order. With ``--model`` it is the model's accepts that are compared, each vCPU's in its order: which of two
vCPUs that work at the same time comes first is a matter of the machine that was recorded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.firmware.image import open_firmware
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.errors import TdvfshError
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.firmware_accepts_text import accepts_tsv
from tdvfsh.units import parse_size
from tests.conformance.inputs import machine_of_name, recording
from tests.conformance.tally import Tally


def accepts_of_engine(options: TdOptions, firmware: str) -> list[str]:
    """Lines of the list of the real firmware."""
    with open_firmware(firmware) as image, RunLimit() as limit, FirmwareRun(image, options, limit=limit) as run:
        run.run_sec()
        return accepts_tsv(run.accepts).splitlines()


def accepts_of_model(options: TdOptions) -> list[str]:
    """Lines of the list of the model, one vCPU after the other."""
    accepted = Machine(options).boot_accept
    return _by_vcpu(accepts_tsv([] if accepted is None else list(accepted.accept_calls())).splitlines())


def compare(path: Path, got: Sequence[str], by_vcpu: bool = False) -> Tally:
    """Count the lines of a list that are the same."""
    tally = Tally(path.stem)
    expected = path.read_text().splitlines()
    if by_vcpu:
        expected = _by_vcpu(expected)
    for line, (first, second) in enumerate(zip_longest(expected[1:], got[1:], fillvalue="nothing"), 2):
        tally.compare(line, first.replace("\t", " "), second.replace("\t", " "))
    return tally


def host_of_lists(paths: Sequence[Path]) -> str:
    """The preset of the host that the lists were recorded on: one of 2 MiB pages answers none with a mismatch."""
    return "kvm-4k" if any("PAGE_SIZE_MISMATCH" in path.read_text() for path in paths) else "kvm-2m"


def _by_vcpu(lines: Sequence[str]) -> list[str]:
    """The heading and the calls of each vCPU, without their numbers."""
    cells = [line.split("\t", 1)[1] for line in lines]
    return [cells[0], *sorted(cells[1:], key=lambda line: int(line.partition("\t")[0]))]


def _compare_list(path: Path, given: argparse.Namespace) -> Tally:
    """One list against its own machine."""
    named = machine_of_name(path)
    memory, vcpus = parse_size(given.memory or named.memory), given.vcpus or int(named.vcpus or 1)
    options = TdOptions(memory=memory, vcpus=vcpus, cost=host_of_lists([path]))
    if not given.model:
        return compare(path, accepts_of_engine(options, given.firmware))
    policy = parse_boot_accept(given.accept or named.accept or "below-4g")
    options = replace(options, accept=policy, profile=given.profile, firmware=given.firmware)
    return compare(path, accepts_of_model(options), by_vcpu=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where any line differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.tdvf", description=__doc__)
    parser.add_argument("lists", nargs="+", type=recording, metavar="LIST.tsv")
    parser.add_argument("--firmware", metavar="FILE")
    parser.add_argument("--memory", metavar="SIZE", help="RAM, where the list's name does not tell it")
    parser.add_argument("--vcpus", type=int, metavar="N", help="vCPUs, where the list's name does not tell them")
    parser.add_argument("--model", action="store_true", help="compare the model's accepts, not the firmware's")
    parser.add_argument("--accept", metavar="POLICY", help="with --model: what is accepted at boot")
    parser.add_argument("--profile", default="auto", metavar="NAME", help="with --model: the firmware generation")
    parser.add_argument("-v", "--verbose", action="store_true", help="say why lines were skipped")
    given = parser.parse_args(arguments)
    nameless = [path for path in given.lists if not (given.memory or machine_of_name(path).memory)]
    if nameless:
        parser.error(f"{nameless[0]}: its name does not tell the RAM; --memory is needed")
    if given.firmware is None and not given.model:
        parser.error("--firmware is needed where the firmware itself runs")
    try:
        tallies = [_compare_list(path, given) for path in given.lists]
    except (TdvfshError, OSError) as error:
        print(f"tests.conformance.tdvf: {error}", file=sys.stderr)
        return 2
    for tally in tallies:
        tally.print(given.verbose)
    return 1 if any(tally.differences for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
