"""``python -m tests.conformance.scripts DIR [NN...]``: the recorded scripts, line by line.

Each script of ``INDEX.tsv`` runs with its arguments on a copy of ``tree/`` as it did on firmware: from ``fs0:\\s``, in
``\\w``, with echo off, its output caught by ``>a``. Lines of ``NAME.out`` and ``lasterror`` are compared byte for byte.
A line whose content depends on what the recording does not hold (see ``sandbox._MASKS``: the hour of the recording,
free space, addresses) counts as ``skip`` where nothing else differs.

Where the extra ``cpu`` is installed the recordings' own EFI program runs; ``REASONS`` names the differences that remain
without it, and they count as differing all the same.
"""

from __future__ import annotations

import argparse
import sys
from difflib import SequenceMatcher
from pathlib import Path

from tests.conformance.sandbox import masked, sandbox

REASONS = {
    "0x15": "child.efi returns EFI_ABORTED; without the CPU engine no program runs, which is UNSUPPORTED (0x3)",
}


class Tally:
    """Counts of one input."""

    def __init__(self) -> None:
        self.agree = 0
        self.differ = 0
        self.skip = 0

    def line(self, name: str) -> str:
        """The line of the contract."""
        return f"{name} agree={self.agree} differ={self.differ} skip={self.skip}"


def compare_lines(name: str, expected: list[str], got: list[str], tally: Tally) -> list[str]:
    """Compare two outputs; the report of each difference."""
    reports: list[str] = []
    keys = [_key(line) for line in expected], [_key(line) for line in got]
    for _, start, end, got_start, got_end in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        for offset in range(max(end - start, got_end - got_start)):
            wanted = expected[start + offset] if start + offset < end else None
            have = got[got_start + offset] if got_start + offset < got_end else None
            if wanted == have:
                tally.agree += 1
                continue
            if wanted is not None and have is not None and masked(wanted, have)[2] is not None:
                tally.skip += 1
                continue
            tally.differ += 1
            why = next((f" ({reason})" for text, reason in REASONS.items() if wanted and text in wanted), "")
            reports.append(f"{name}:{start + offset + 1} expected {wanted!r} got {have!r}{why}")
    return reports


def _key(line: str) -> str:
    return masked(line, line)[0]


def run_script(folder: Path, name: str, arguments: str) -> tuple[str, int]:
    """Output (CR LF) and lasterror of one script on a fresh copy of the tree."""
    recorded = "".join(path.read_bytes().decode("latin-1") for path in sorted(folder.glob("*.out")))
    with sandbox(folder / "tree", recorded) as (shell, root):
        for extra in ("s", "o"):
            (root / extra).mkdir(exist_ok=True)
        (root / "s" / f"{name}.nsh").write_bytes((folder / f"{name}.nsh").read_bytes())
        shell.interpreter.echo = False
        shell.run_line("cd w")
        shell.run_line(f"fs0:\\s\\{name}.nsh {arguments} >a fs0:\\o\\out.txt")
        return (root / "o" / "out.txt").read_bytes().decode("latin-1"), shell.last_error_code


def compare_script(folder: Path, row: dict[str, str]) -> tuple[list[str], Tally]:
    """Run one row of the index."""
    name = row["script"]
    tally = Tally()
    got, last_error = run_script(folder, name, row["args"])
    expected = (folder / f"{name}.out").read_bytes().decode("latin-1")
    reports = compare_lines(name, expected.split("\n"), got.split("\n"), tally)
    wanted = row["lasterror_redirected"]
    if not wanted:
        tally.skip += 1  # the script left the Shell: nothing was there to ask for it
    elif last_error == int(wanted, 16):
        tally.agree += 1
    else:
        tally.differ += 1
        reports.append(f"{name}:lasterror expected {wanted} got 0x{last_error:X}")
    return reports, tally


def read_index(folder: Path) -> list[dict[str, str]]:
    """Rows of INDEX.tsv."""
    lines = (folder / "INDEX.tsv").read_text().splitlines()
    heads = lines[0].split("\t")
    return [dict(zip(heads, line.split("\t"), strict=False)) for line in lines[1:] if line]


def main(arguments: list[str]) -> int:
    """Exit status 1 where anything differs, 2 where there is nothing to compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.scripts")
    parser.add_argument("folder", type=Path, metavar="DIR", help="with INDEX.tsv, the scripts and tree/")
    parser.add_argument("chosen", nargs="*", metavar="NN", help="only scripts whose names begin so")
    parser.add_argument("-v", "--verbose", action="store_true", help="say why lines were skipped")
    given = parser.parse_args(arguments)
    folder, chosen = given.folder, given.chosen
    if not (folder / "INDEX.tsv").is_file():
        parser.error(f"{folder}: no INDEX.tsv in it")
    total = Tally()
    for row in read_index(folder):
        if chosen and not any(row["script"].startswith(prefix) for prefix in chosen):
            continue
        reports, tally = compare_script(folder, row)
        for report in reports:
            print(report)
        print(tally.line(row["script"]))
        total.agree += tally.agree
        total.differ += tally.differ
        total.skip += tally.skip
        if given.verbose and tally.skip:
            print(f"{row['script']}: {tally.skip} skipped: what only the recording's machine knows, see sandbox._MASKS")
    print(total.line("total"))
    return 1 if total.differ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
