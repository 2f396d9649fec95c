"""``tdvfsh boot --engine cpu``: the kernel's real stub, a real GRUB, and with ``--through-os`` the real kernel."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.cli.arguments import Arguments
from tdvfsh.engine.console.screen import Screen, TranscriptDisplay
from tdvfsh.engine.console.serial_input import SerialInput, TypedAtTerminal, TypedLines
from tdvfsh.engine.runs.cpu_boot import CpuBootResult, boot_on_cpu
from tdvfsh.engine.runs.os_run import SystemOptions
from tdvfsh.errors import UsageError
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.loaders.files import BootFiles
from tdvfsh.report.table import printable


class RealCodeReport(NamedTuple):
    """What only real code has to tell: whether its operating system ended well, lines, and members of the JSON."""

    succeeded: bool
    lines: list[str]
    data: dict[str, Any]


class SerialOutput:
    """A guest's serial console on standard error, as it comes.

    Args:
        raw: A person sits at it: the terminal is to obey what it is sent. Otherwise that is shown instead.
    """

    def __init__(self, raw: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_line_start = True
        self._raw = raw

    def write(self, data: bytes) -> None:
        """Some bytes; carriage returns are left out, but for a terminal that obeys."""
        text = self._decoder.decode(data)
        if self._raw:
            sys.stderr.write(text)
            sys.stderr.flush()
            self._at_line_start = text.endswith("\n") if text else self._at_line_start
            return
        shown = "".join(each if each in "\n\t" else printable(each) for each in text if each != "\r")
        sys.stderr.write(shown)
        if shown:
            self._at_line_start = shown.endswith("\n")
        if "\n" in shown:
            sys.stderr.flush()

    def close(self) -> None:
        """End the last line."""
        if not self._at_line_start:
            sys.stderr.write("\n")
            self._at_line_start = True


def boot_on_processor(arguments: Arguments, files: BootFiles) -> tuple[BootResult, RealCodeReport]:
    """Boot; what the programs print goes to standard error, as it comes.

    Raises:
        UsageError: Options that do not belong together.
    """
    from tdvfsh.cli.exec import time_limit

    grub = arguments.optional("grub")
    screen = Screen(TranscriptDisplay(sys.stderr))
    with _system_options(arguments) as through_os:
        result = boot_on_cpu(
            arguments.td_options(),
            files,
            open_mapped(grub).view if grub is not None else None,
            screen,
            violation_ve=arguments.text("violation") == "ve",
            time_limit=time_limit(arguments),
            through_os=through_os,
            fast_decompress=arguments.flag("fast_decompress"),
        )
        screen.close()
    if result.violation is not None and not arguments.flag("json"):
        print("\n".join(result.violation.lines()), file=sys.stderr)
    return result, _report(result)


def _report(result: CpuBootResult) -> RealCodeReport:
    lines: list[str] = []
    data: dict[str, Any] = {}
    if result.shortcut is not None:
        from tdvfsh.report.shortcut_text import shortcut_dict, shortcut_lines

        lines += shortcut_lines(result.shortcut)
        data["shortcut"] = shortcut_dict(result.shortcut)
    if result.os_run is not None:
        from tdvfsh.report.os_run_text import os_run_dict, os_run_lines

        lines += os_run_lines(result)
        data["os"] = os_run_dict(result)
    return RealCodeReport(result.os_run is None or result.os_run.succeeded, lines, data)


@contextmanager
def _system_options(arguments: Arguments) -> Iterator[SystemOptions | None]:
    until, drop = arguments.optional("until"), arguments.optional("drop_accept")
    typed = arguments.flag("console")
    if not arguments.flag("through_os"):
        given = ((until is not None, "--until"), (drop is not None, "--drop-accept"), (typed, "--console"))
        for is_given, name in given:
            if is_given:
                raise UsageError(f"{name}: needs --through-os")
        yield None
        return
    if drop is not None and not (drop.isdecimal() and int(drop)):
        raise UsageError(f"--drop-accept {drop}: not a number from 1")
    pattern, number = until_pattern(arguments), None if drop is None else int(drop)
    with _serial_input() if typed else nullcontext() as source:
        serial = SerialOutput(raw=isinstance(source, TypedAtTerminal))
        try:
            yield SystemOptions(serial.write, pattern, number, source)
        finally:
            serial.close()


@contextmanager
def _serial_input() -> Iterator[SerialInput]:
    """The terminal where there is one at both ends, else the lines of standard input."""
    from tdvfsh.cli.exec import standard_input_text

    if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        from tdvfsh.engine.console.raw_terminal import RawTerminal

        with RawTerminal(sys.stdin.fileno()) as terminal:
            yield TypedAtTerminal(terminal)
    else:
        yield TypedLines(standard_input_text())


def until_pattern(arguments: Arguments) -> re.Pattern[str] | None:
    """``--until``, compiled.

    Raises:
        UsageError: It is no regular expression.
    """
    until = arguments.optional("until")
    try:
        return None if until is None else re.compile(until)
    except re.error as error:
        raise UsageError(f"--until {until}: not a regular expression: {error}") from None
