"""Standard-Format Output: rows that the shell's ``parse`` reads back.

Source: UEFI Shell 2.2 section 5.1 (Standard-Format Output).
"""

from __future__ import annotations


def sfo_header(command: str) -> str:
    """The first row of a command's output."""
    return sfo_row("ShellCommand", command)


def sfo_row(table: str, *values: object) -> str:
    """One row: the table's name, then every value in quotes; a quote inside a value is escaped with ``^``."""
    return ",".join([table, *(f'"{_escaped(str(value))}"' for value in values)])


def _escaped(text: str) -> str:
    return text.replace("^", "^^").replace('"', '^"')
