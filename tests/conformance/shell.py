"""``python -m tests.conformance.shell --tree DIR TRANSCRIPT...``: recorded commands, one by one.

Two forms are known: *redirected* (``=== lasterror=0x.. | command``, then the bytes of the file it was redirected to)
and *console* (the line typed, its output, the next prompt). Each transcript runs in one shell on one copy of the tree,
as it did on firmware. A command agrees where its output and its lasterror are the recorded ones, byte for byte.

Differences that remain stand in ``REASONS``: those marked skip depend on what the recording does not hold (the
recording machine's memory, files that are not in the tree), the others count as differing.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tdvfsh.script.streams import MemorySink, low_bytes
from tdvfsh.shell.shell import Shell
from tests.conformance.inputs import recording
from tests.conformance.sandbox import masked, sandbox
from tests.conformance.scripts import Tally

_HEADER = re.compile(r"^=== lasterror=(0x[0-9A-F]+) \| (.*?)\r?$")


class Recorded(NamedTuple):
    """One command of a transcript, with the line of its header."""

    line: int
    command: str
    last_error: int
    output: str


class Reason(NamedTuple):
    """Why a command cannot agree: a pattern for the command, one for its recorded output, and whether it is skipped."""

    command: str
    output: str
    skip: bool
    why: str


REASONS = (
    Reason(r"memmap( -b| -sfo)?$", r"Available|MemoryMap", True, "the memory map of the recording's machine"),
    Reason(r"(dmem|mem)$", r"IBI SYSTF", True, "the system table of the recording's machine"),
    Reason(r"dmem -mmio|mm .*-mmio", r"", True, "memory-mapped devices of the recording's machine"),
    Reason(r"ls|dir|attrib|s\\for\.nsh", r"grubx64\.efi", True, "lists files that are not in the tree"),
    Reason(r"ls( -ad)?$|dir$", r"<DIR> .* o\r?$", True, "lists the recording's own output folder"),
    Reason(r"load .*", r"loaded at|\.efi' is not a", True, "loads files that are not in the tree"),
    Reason(r"exit .*", r"BdsDxe", True, "the firmware starts again"),
    Reason(r"script\.nsh$", r"script BLK0", False, "lasterror was set by something between two recorded commands"),
)


def read_transcript(path: Path) -> list[Recorded]:
    """The commands of a transcript."""
    text = path.read_bytes().decode("latin-1")
    found: list[Recorded] = []
    header: re.Match[str] | None = None
    start, body = 0, []
    for number, line in enumerate(text.split("\n"), 1):
        match = _HEADER.match(line)
        if match is None:
            body.append(line)
            continue
        if header is not None:
            found.append(Recorded(start, header[2], int(header[1], 16), "\n".join([*body, ""])))
        header, start, body = match, number, []
    if header is not None:
        found.append(Recorded(start, header[2], int(header[1], 16), "\n".join(body)))
    return found


def is_console(commands: list[Recorded]) -> bool:
    """Whether the transcript is of the console form: every output begins with the line typed."""
    return all(one.output.split("\r\n")[0].rstrip("\r") == one.command for one in commands[:5])


def run_command(shell: Shell, command: str, *, console: bool) -> str:
    """Run one command as it was recorded; its output with CR LF."""
    sink = MemorySink()
    shell.stdout = shell.stderr = sink
    if console:
        shell.run_line(command)
        return f"{command}\r\n" + sink.text.replace("\n", "\r\n") + shell.prompt() + "\r\n"
    echo, shell.interpreter.echo = shell.interpreter.echo, False
    shell.run_text("FS0:\\startup.nsh", command)
    shell.interpreter.echo = echo
    return low_bytes(sink.text.replace("\n", "\r\n")).decode("latin-1")


def _missing_files(shell: Shell, command: str) -> bool:
    """Whether a command names a file that is not in the tree; only asked where the recording found it."""
    words = [word.strip('"') for word in command.split()]
    named = [word for word in words if re.search(r"\.(efi|txt|bin)$|^vmlinuz$", word, re.IGNORECASE)]
    return any(shell.find_executable(word) is None for word in named)


def judge(shell: Shell, recorded: Recorded, got: str, missing: bool) -> tuple[str, str]:
    """``agree``, ``skip`` or ``differ``, and why."""
    same_error = shell.last_error_code == recorded.last_error
    expected = recorded.output
    nothing = not got and expected == "\r\n"  # how the recording shows an empty file
    if (expected == got or nothing) and same_error:
        return "agree", ""
    lines, got_lines = expected.split("\n"), got.split("\n")
    if len(lines) == len(got_lines) and same_error:
        whys = [masked(a, b)[2] for a, b in zip(lines, got_lines, strict=True) if a != b]
        if all(whys):
            return "skip", str(whys[0])
    for reason in REASONS:
        if re.match(reason.command, recorded.command) and re.search(reason.output, expected, re.MULTILINE):
            return ("skip" if reason.skip else "differ"), reason.why
    not_found = re.search(r"not found|not recognized|Cannot open|Invalid argument", expected, re.IGNORECASE)
    if missing and not not_found:
        return "skip", "names a file that is not in the tree"
    return "differ", ""


def verdicts(shell: Shell, commands: list[Recorded]) -> Iterator[tuple[Recorded, str, str]]:
    """Run the commands of a transcript in order: each with its verdict and a report of what was got."""
    console = is_console(commands)
    shell.interpreter.echo = console
    if console:
        shell.environment.set_internal("homefilesystem", "")  # that recording booted from firmware, not from the disk
    for recorded in commands:
        missing = _missing_files(shell, recorded.command)
        got = run_command(shell, recorded.command, console=console)
        verdict, why = judge(shell, recorded, got, missing)
        yield (
            recorded,
            verdict,
            f"{recorded.command!r} expected 0x{recorded.last_error:X} {recorded.output!r} "
            f"got 0x{shell.last_error_code:X} {got!r}{f' ({why})' if why else ''}",
        )
        if shell.last_error_code != recorded.last_error:
            shell.interpreter.set_last_error(recorded.last_error)  # one difference is one, not a chain


def compare(tree: Path, path: Path, verbose: bool = False) -> Tally:
    """Run one transcript and print its differences; if ``verbose``, what was skipped too."""
    tally = Tally()
    with sandbox(tree, path.read_bytes().decode("latin-1")) as (shell, _):
        for recorded, verdict, report in verdicts(shell, read_transcript(path)):
            if verdict == "agree":
                tally.agree += 1
            elif verdict == "skip":
                tally.skip += 1
                if verbose:
                    print(f"{path.name}:{recorded.line} skipped: {report}")
            else:
                tally.differ += 1
                print(f"{path.name}:{recorded.line} {report}")
    print(tally.line(path.name))
    return tally


def main(arguments: list[str]) -> int:
    """Exit status 1 where anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.shell")
    parser.add_argument("--tree", type=Path, required=True)
    parser.add_argument("-v", "--verbose", action="store_true", help="say which commands were skipped")
    parser.add_argument("transcript", type=recording, nargs="+")
    options = parser.parse_args(arguments)
    if not options.tree.is_dir():
        parser.error(f"argument --tree: {options.tree}: no such folder")
    return 1 if sum(compare(options.tree, path, options.verbose).differ for path in options.transcript) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
