"""``tdvfsh boot``."""

from __future__ import annotations

from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.boots.open_files import OpenedFiles
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.files import named_files, opened_files
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tdvfsh.boots.explanation import Cures
    from tdvfsh.cli.subcommand.cpu_boot import RealCodeReport

_ONLY_REAL_CODE: Final = (
    "grub", "until", "drop_accept", "time_limit", "gdb", "trace_instructions", "nvram", "share", "net", "save",
)  # fmt: skip
_ONLY_REAL_CODE_FLAGS: Final = ("through_os", "console", "fast_decompress", "commit", "rng", "virtio_console")


def run_boot(arguments: Arguments) -> int:
    """One boot: a story, or the contract's JSON. Exit status 0 where the operating system was reached, else 1."""
    if arguments.optional("resume") is not None:
        return _continued(arguments)
    if arguments.optional("kernel") is None:
        if not arguments.words("disk"):
            raise UsageError("boot: needs KERNEL, a --disk to boot from, or --resume (see 'tdvfsh boot --help')")
        return _from_disk(arguments)
    model = arguments.text("engine") == "model"
    if model:
        _refuse_engine_options(arguments)
    options = arguments.td_options()
    with named_files(arguments) as (_, opened):
        if model:
            return _tell(arguments, boot(options, opened.boot), None, opened)
        from tdvfsh.cli.subcommand.cpu_boot import boot_on_processor

        return _tell(arguments, *boot_on_processor(arguments, opened.boot), opened)


def _continued(arguments: Arguments) -> int:
    """A machine that was saved while its operating system ran."""
    from tdvfsh.cli.saved_boot import resumed_boot
    from tdvfsh.cli.subcommand.cpu_boot import boot_on_processor

    arguments = arguments.with_values(engine="cpu", through_os=True)
    with (
        resumed_boot(arguments) as words,
        opened_files(
            words.kernel, words.initrds, words.cmdline, arguments.unpack_limits(), own_initrd=False,
            paths=arguments.flag("json"),
        ) as (_, opened),
    ):  # fmt: skip
        return _tell(arguments, *boot_on_processor(words.arguments, opened.boot, words), opened)


def _from_disk(arguments: Arguments) -> int:
    """What the boot loader on the user's disk boots."""
    if arguments.text("engine") == "model":
        _refuse_engine_options(arguments)
    from tdvfsh.cli.disk_boot import disk_boot
    from tdvfsh.cli.subcommand.cpu_boot import boot_on_processor

    opened, words = disk_boot(arguments)
    return _tell(arguments, *boot_on_processor(arguments, opened.boot, words), opened)


def _tell(arguments: Arguments, result: BootResult, ran: RealCodeReport | None, opened: OpenedFiles) -> int:
    cures = None
    if not result.booted and ran is None:
        from tdvfsh.boots.explanation import cures_of

        cures = cures_of(result)
    if arguments.optional("trace") is not None:
        _write_trace(arguments, result, opened, cures)
    if arguments.flag("json"):
        from tdvfsh.report.boots.boot_json import boot_dict

        print_json(boot_dict(result, opened.initrds, cures) | (ran.data if ran is not None else {}))
    else:
        from tdvfsh.diagnosis.of_boot import faults_of
        from tdvfsh.report.boots.boot_text import story_lines
        from tdvfsh.report.boots.cure import cure_lines
        from tdvfsh.report.diagnosis_text import fault_lines

        print_lines(
            [
                *story_lines(result, opened.initrds),
                *(ran.lines if ran is not None else cure_lines(cures)),
                *fault_lines(faults_of(result)),
            ]
        )
    return 0 if result.booted and (ran is None or ran.succeeded) else 1


def _refuse_engine_options(arguments: Arguments) -> None:
    given = [name for name in _ONLY_REAL_CODE if arguments.optional(name) is not None]
    given += [name for name in _ONLY_REAL_CODE_FLAGS if arguments.flag(name)]
    given += ["disk"] if arguments.words("disk") else []
    given += ["break"] if arguments.words("break") else []
    given += ["on_stop"] if arguments.text("on_stop") != "report" else []
    given += ["violation"] if arguments.text("violation") != "stop" else []
    if given:
        why = ", as a modelled loader reads no disk" if given[0] == "disk" else ""
        raise UsageError(f"--{given[0].replace('_', '-')}: needs --engine cpu{why}")


def _write_trace(arguments: Arguments, result: BootResult, opened: OpenedFiles, cures: Cures | None) -> None:
    from tdvfsh.report.trace_file import trace_of_boot
    from tdvfsh.trace.file import write_trace_file

    file = trace_of_boot(result, opened.initrds, cures, arguments.command)
    write_trace_file(arguments.text("trace"), file)
