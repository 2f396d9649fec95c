"""``tdvfsh diagnose``."""

from __future__ import annotations

from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.files import opened_files
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.diagnosis.boot_log import BootLog, read_boot_log
from tdvfsh.diagnosis.known_faults import MetFault, met_faults
from tdvfsh.diagnosis.of_boot import faults_of
from tdvfsh.errors import UsageError
from tdvfsh.formats.mapped import ByteSource, open_mapped
from tdvfsh.machine.imported import SHOWN_INPUT, STANDARD_INPUT, standard_input


def run_diagnose(arguments: Arguments) -> int:
    """A log's machine, the known faults that fit it, and what the model makes of the kernels on it; exit status 0."""
    log = _read(arguments.text("log"))
    met = met_faults(log.facts, log.lines)
    kernels = arguments.words("kernels")
    if kernels and log.map is None:
        raise UsageError(
            f"{log.path}: no memory map in it, so no kernel can be booted on that machine: {log.map_error}"
        )
    boots = [_boot(arguments, log, kernel) for kernel in kernels]
    if arguments.flag("json"):
        _print_json(log, met, boots)
        return 0
    from tdvfsh.report.diagnosis_text import boot_lines, fault_lines, log_lines

    print_lines([*log_lines(log), "", *(fault_lines(met) or ["no known fault fits"])])
    for result in boots:
        print_lines([*boot_lines(result), *fault_lines(faults_of(result))])
    return 0


def _read(path: str) -> BootLog:
    if path == STANDARD_INPUT:
        return read_boot_log(ByteSource(standard_input(), SHOWN_INPUT))
    with open_mapped(path) as file:
        return read_boot_log(file.source)


def _boot(arguments: Arguments, log: BootLog, kernel: str) -> BootResult:
    """A kernel on the log's machine, with its command line and vCPUs where no others are given."""
    chosen = {"map": arguments.text("log")}
    if log.facts.td is not None and not arguments.is_given("td"):
        chosen["td"] = "on" if log.facts.td else "off"
    if log.facts.vcpus is not None and not arguments.is_given("vcpus"):
        chosen["vcpus"] = str(log.facts.vcpus)
    cmdline = arguments.text("cmdline") or log.cmdline
    initrds = arguments.words("initrd")
    with opened_files(
        kernel, initrds, cmdline, arguments.unpack_limits(), own_initrd=False, paths=arguments.flag("json")
    ) as (_, opened):
        return boot(arguments.td_options(**chosen), opened.boot)


def _print_json(log: BootLog, met: list[MetFault], boots: list[BootResult]) -> None:
    from tdvfsh.report.boots.boot_json import boot_dict
    from tdvfsh.report.diagnosis_text import fault_dicts, log_dict
    from tdvfsh.report.schema import document

    members = {
        **log_dict(log),
        "known_faults": fault_dicts(met),
        "boots": [boot_dict(result, ()) for result in boots],
    }
    print_json(document("diagnose", members))
