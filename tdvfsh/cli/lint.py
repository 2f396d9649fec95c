"""``tdvfsh lint``."""

from __future__ import annotations

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.cli.shell import read_script
from tdvfsh.commands.lint_facts import lint


def run_lint(arguments: Arguments) -> int:
    """Check scripts without running them: one line a finding; exit status 1 if there is any."""
    findings = [finding for path in arguments.words("scripts") for finding in lint(read_script(path), path)]
    if arguments.flag("json"):
        print_json([finding._asdict() for finding in findings])
    elif findings:
        print_lines(f"{found.file}:{found.line}:{found.column}: {found.message}" for found in findings)
    return 1 if findings else 0
