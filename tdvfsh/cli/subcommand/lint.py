"""``tdvfsh lint``."""

from __future__ import annotations

import os
from contextlib import suppress

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.cli.subcommand.shell import read_script
from tdvfsh.commands.lint_facts import lint
from tdvfsh.lazy_typing import Final
from tdvfsh.report.schema import document
from tdvfsh.script.lint import Severity

_ENDS: Final = (".efi", ".nsh")


def run_lint(arguments: Arguments) -> int:
    """Check scripts without running them: one line a finding; exit status 1 if there is an error among them."""
    named = {_bare(name) for name in arguments.words("program")}
    findings = [
        finding
        for path in arguments.words("scripts")
        for finding in lint(read_script(path), path, frozenset(named | _beside(path)))
    ]
    if arguments.flag("json"):
        print_json(document("lint", {"findings": [finding._asdict() for finding in findings]}))
    elif findings:
        print_lines(
            f"{found.file}:{found.line}:{found.column}: {found.severity}: {found.message}" for found in findings
        )
    return 1 if any(found.severity is Severity.ERROR for found in findings) else 0


def _beside(path: str) -> set[str]:
    """Programs and scripts in the script's folder, which the Shell finds without their ending."""
    with suppress(OSError):
        return {_bare(name) for name in os.listdir(os.path.dirname(path) or ".") if _is_program(name)}
    return set()


def _is_program(name: str) -> bool:
    return name.lower().endswith(_ENDS)


def _bare(name: str) -> str:
    return name.lower()[: -len(_ENDS[0])] if _is_program(name) else name.lower()
