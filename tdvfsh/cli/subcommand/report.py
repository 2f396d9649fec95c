"""``tdvfsh report``."""

from __future__ import annotations

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.report.boots.compare_text import ComparedRow, compared_rows, policies_around
from tdvfsh.report.report_file import check_form, report_text, wants_comparison
from tdvfsh.report.schema import document
from tdvfsh.report.trace_file import trace_of_boot
from tdvfsh.trace.file import TraceFile, is_trace_file, read_trace_file
from tdvfsh.whole_file import write_whole


def run_report(arguments: Arguments) -> int:
    """A trace, or a boot that is made for it, as a page or a drawing."""
    out = arguments.text("out")
    check_form(out)
    source = arguments.text("source")
    if is_trace_file(source):
        text = report_text(out, read_trace_file(source))
    else:
        file, compared = _boot(arguments, source, compare=wants_comparison(out) and not arguments.flag("no_compare"))
        text = report_text(out, file, compared)
    data = text.encode()
    write_whole(out, data)
    if arguments.flag("json"):
        print_json(document("report", {"source": source, "file": out, "bytes": len(data)}))
    else:
        print_lines([f"{out}: {len(data):,} bytes"])
    return 0


def _boot(arguments: Arguments, kernel: str, *, compare: bool) -> tuple[TraceFile, list[ComparedRow]]:
    from tdvfsh.boots.compare import compared_boots
    from tdvfsh.boots.explanation import cures_of
    from tdvfsh.boots.modelled_boot import boot
    from tdvfsh.cli.files import opened_files

    options = arguments.td_options()
    with opened_files(kernel, arguments.words("initrd"), arguments.text("cmdline")) as (progress, opened):
        result = boot(options, opened.boot)
        rows = []
        if compare:
            boots = compared_boots(
                options,
                opened.boot,
                policies_around(options.accept.name),
                progress=lambda done, total: progress.count("boots", done, total),
            )
            rows = compared_rows(boots)
        return trace_of_boot(result, opened.initrds, cures_of(result), arguments.command), rows
