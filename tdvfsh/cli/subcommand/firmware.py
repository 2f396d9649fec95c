"""``tdvfsh firmware``: real firmware, run from its reset vector."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.debug import Debugging, debugging
from tdvfsh.cli.output import print_json, print_lines, print_notes
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.options.uses import FIRMWARE_S_OWN

if TYPE_CHECKING:
    from tdvfsh.cli.saved_machine import MachineWords
    from tdvfsh.engine.console.serial_input import SerialInput
    from tdvfsh.engine.firmware.image import FirmwareImage
    from tdvfsh.engine.firmware.run import FirmwareRun
    from tdvfsh.engine.firmware.variable_store import VariableStoreFile
    from tdvfsh.loaders.files import BootFiles
    from tdvfsh.machine.options import TdOptions

_RECORDED_RAM: Final = ("2G", "4G")
_LOOKS_FOR_SERVER: Final = (
    "tdvfsh: with a network and neither --disk nor --kernel the firmware looks for a boot server, a second of which "
    "takes a minute here"
)
_HINT: Final = "tdvfsh: the firmware's serial console; Ctrl-\\ ends the run"


def run_firmware(arguments: Arguments) -> int:
    """The action that was asked for."""
    if arguments.flag("model"):
        return _accepts_of_model(arguments)
    from tdvfsh.engine.extra import cpu_extra

    cpu_extra("unicorn")
    refuse_model_options(arguments)
    return _ACTIONS[arguments.text("action")](arguments)


def firmware_path(arguments: Arguments) -> str:
    """Where the firmware lies."""
    from tdvfsh.cli.files import named_file
    from tdvfsh.images.named import FIRMWARE

    return named_file(arguments.text("file"), FIRMWARE).path


def refuse_model_options(arguments: Arguments) -> None:
    """Reject options of the model: real firmware decides these by itself."""
    for name in FIRMWARE_S_OWN:
        if arguments.is_given(name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option}: real firmware decides that by itself; the option is for the model")


def _accepts(arguments: Arguments) -> int:
    """SEC only: which vCPU accepted what. Exit status 1 where SEC did not reach its end."""
    from tdvfsh.cli.run_limits import time_limit
    from tdvfsh.cli.run_status import run_progress
    from tdvfsh.engine.board.limit import RunLimit
    from tdvfsh.engine.errors import EngineError
    from tdvfsh.engine.firmware.image import open_firmware
    from tdvfsh.engine.firmware.run import FirmwareRun
    from tdvfsh.report.firmware_accepts_text import accepts_lines, accepts_tsv
    from tdvfsh.report.firmware_run_text import accepts_dict, ending_lines
    from tdvfsh.whole_file import write_whole

    options = arguments.td_options()
    if not options.td:
        raise UsageError("--no-td: a plain VM accepts nothing")
    output, as_json = arguments.optional("output"), arguments.flag("json")
    if output is not None and as_json:
        raise UsageError("--json and -o: give one of them")
    error: EngineError | None = None
    with (
        open_firmware(firmware_path(arguments)) as image,
        RunLimit(time_limit(arguments)) as limit,
        FirmwareRun(image, options, limit=limit, real_code_only=arguments.flag("real_code_only")) as run,
    ):
        try:
            with run_progress(limit):
                run.run_sec()
        except EngineError as ended:
            error = ended
        if output is not None:
            write_whole(output, accepts_tsv(run.accepts).encode())
        elif as_json:
            print_json(accepts_dict(run, error))
        else:
            print_lines(accepts_lines(run.accepts))
        if error is None:
            return 0
        print_notes(ending_lines(run, run.ended(error)))
    return 1


def _accepts_of_model(arguments: Arguments) -> int:
    """What the model of this firmware accepts, everything below 4 GiB where ``--accept`` does not say otherwise."""
    from tdvfsh.machine.machine import Machine
    from tdvfsh.report.td_json import td_object

    chosen = {} if arguments.is_given("accept") else {"accept": "below-4g"}
    machine = Machine(arguments.td_options(**chosen, firmware=firmware_path(arguments)))
    if machine.boot_accept is None:
        raise UsageError("--model: this machine accepts nothing at boot")
    output, as_json = arguments.optional("output"), arguments.flag("json")
    if output is not None and as_json:
        raise UsageError("--json and -o: give one of them")
    calls = list(machine.boot_accept.accept_calls())
    if output is not None:
        from tdvfsh.report.firmware_accepts_text import accepts_tsv
        from tdvfsh.whole_file import write_whole

        write_whole(output, accepts_tsv(calls).encode())
    elif as_json:
        print_json(td_object(machine))
    else:
        from tdvfsh.report.firmware_accepts_text import accepts_lines

        print_lines(accepts_lines(calls))
    if machine.broken is not None:
        print_notes([f"tdvfsh: {machine.broken}"])
    return 0


def _run(arguments: Arguments) -> int:
    """Run it to its end. Exit status 0 where the guest switched off, reset or reached what it was to reach, else 1."""
    from tdvfsh.cli.saved_machine import machine_words
    from tdvfsh.engine.firmware.image import open_firmware

    nvram = arguments.optional("nvram")
    with (
        machine_words(arguments) as words,
        files_to_boot(words.kernel, words.initrds, words.cmdline) as files,
        open_firmware(words.firmware) as image,
        debugging(arguments) as debug,
    ):
        refused = "" if nvram is None else "the run changes its --nvram file"
        store = None if nvram is None else _variable_store(nvram, image, words.options, arguments)
        try:
            return debug.repeated(lambda: _run_once(arguments, words, files, image, debug, store), refused)
        finally:
            if store is not None:
                store.save()


def _variable_store(path: str, image: FirmwareImage, options: TdOptions, arguments: Arguments) -> VariableStoreFile:
    """The variable store of a plain VM; raises UsageError, FormatError and HostError."""
    from tdvfsh.engine.firmware.variable_store import VariableStoreFile

    if options.td:
        raise UsageError("--nvram: a TD's firmware has no flash to write to; its variables go with the run")
    for name in ("save", "resume"):
        if arguments.optional(name) is not None:
            raise UsageError(f"--nvram: not with --{name}")
    return VariableStoreFile(path, image)


def _run_once(
    arguments: Arguments, words: MachineWords, files: BootFiles | None, image: FirmwareImage, debug: Debugging,
    store: VariableStoreFile | None,
) -> int:  # fmt: skip
    from tdvfsh.cli.drives import opened_drives
    from tdvfsh.cli.run_limits import time_limit, until_pattern
    from tdvfsh.cli.run_status import run_progress
    from tdvfsh.cli.saved_machine import save_firmware_run
    from tdvfsh.cli.saving import Saving
    from tdvfsh.cli.serial_console import SerialOutput, serial_input
    from tdvfsh.cli.virtio import refuse_unsaved, virtio_parts
    from tdvfsh.engine.board.limit import RunLimit
    from tdvfsh.engine.console.serial_input import LinesAtPrompts, TypedAtTerminal
    from tdvfsh.engine.firmware.run import FirmwareRun
    from tdvfsh.engine.firmware.saved_run import restore_run
    from tdvfsh.engine.runs.os_run import GIVEN_UP
    from tdvfsh.measure.quote_key import read_quote_key
    from tdvfsh.report.firmware_run_text import ending_lines, run_dict, run_lines

    options, until, seconds = words.options, until_pattern(arguments), time_limit(arguments)
    save_to = arguments.optional("save")
    if save_to is not None or words.saved is not None:
        refuse_unsaved(arguments)
    out = sys.stderr if arguments.flag("json") else sys.stdout  # standard output is for machines then
    console, quote_key = arguments.flag("console"), arguments.optional("quote_key")
    if arguments.optional("net") is not None and files is None and not words.disks and not debug.repeats:
        print_notes([_LOOKS_FOR_SERVER])
    nothing: SerialInput = LinesAtPrompts("")
    with (
        opened_drives(arguments, debug, words.disks) as drives,
        serial_input(out, LinesAtPrompts, _HINT, debug.typed) if console else nullcontext(nothing) as typed,
        RunLimit(seconds) as limit,
        run_progress(limit, shown=debug.session is None and not isinstance(typed, TypedAtTerminal)) as status,
    ):
        at_terminal = isinstance(typed, TypedAtTerminal)
        if at_terminal:
            debug.repeats_not("a user types at its console")
        serial = SerialOutput(status.beside(debug.shown(out), out.isatty()), raw=at_terminal, plain=True)
        with (
            virtio_parts(words.arguments, drives, serial.write, until, debug) as virtio,
            FirmwareRun(
                image,
                options,
                files,
                output=serial.write,
                typed=typed,
                until=until,
                limit=limit,
                real_code_only=words.real_code_only,
                quote_signer=None if quote_key is None else read_quote_key(quote_key),
                virtio=virtio,
                keep=save_to is not None,
                flash=None if store is None else store.flash,
            ) as run,
        ):
            if words.saved is not None:
                restore_run(run, words.saved, options)
            debug.attach_to_firmware(run)
            try:
                outcome = run.run_to_end(console)
            finally:
                status.end()
                serial.close()
                _write_trace(arguments.optional("trace"), run, options)
            saving = None if save_to is None or debug.repeats else Saving(save_to, drives)
            if saving is not None:
                save_firmware_run(saving, run, words, outcome.ending)
            succeeded = outcome.succeeded if saving is None else saving.done
            debug.exited(0 if succeeded else 1)
            print_notes([*ending_lines(run, outcome), *run_lines(run), *([] if saving is None else saving.lines)])
            print_notes(drives.close(outcome.ending == GIVEN_UP, saving is not None and saving.done))
            if arguments.flag("json") and not debug.repeats:
                print_json(run_dict(run, outcome))
    return 0 if succeeded else 1


def _write_trace(path: str | None, run: FirmwareRun, options: TdOptions) -> None:
    """The journal, however the run ended."""
    if path is not None:
        from tdvfsh.report.trace_file import trace_of_firmware
        from tdvfsh.trace.file import write_trace_file

        write_trace_file(path, trace_of_firmware(run, options))


@contextmanager
def boot_files(arguments: Arguments) -> Iterator[BootFiles | None]:
    """Kernel, initrds and command line, if a kernel was given."""
    with files_to_boot(arguments.optional("kernel"), arguments.words("initrd"), arguments.text("cmdline")) as files:
        yield files


@contextmanager
def files_to_boot(kernel: str | None, initrds: list[str], cmdline: str) -> Iterator[BootFiles | None]:
    """These files, if there is a kernel among them."""
    if kernel is None:
        for given, option in ((bool(initrds), "--initrd"), (bool(cmdline), "--cmdline")):
            if given:
                raise UsageError(f"{option}: needs --kernel")
        yield None
        return
    from tdvfsh.cli.files import opened_files

    with opened_files(kernel, initrds, cmdline) as (_, opened):
        yield opened.boot


def _record(arguments: Arguments) -> int:
    """A footprint model of this binary: of the TD that --memory asks for, else of one with RAM above 4 GiB and of one
    without, whose footprints differ.
    """
    from tdvfsh.cli.run_limits import time_limit
    from tdvfsh.cli.run_status import run_progress
    from tdvfsh.engine.board.limit import RunLimit
    from tdvfsh.engine.firmware.image import open_firmware
    from tdvfsh.engine.firmware.record import record_footprint
    from tdvfsh.machine.firmware_file import read_firmware
    from tdvfsh.report.schema import document
    from tdvfsh.td.footprint_text import footprint_text
    from tdvfsh.units import ram_size
    from tdvfsh.whole_file import write_whole

    output, path = arguments.text("output"), firmware_path(arguments)
    if arguments.is_given("memory"):
        machines = [arguments.td_options()]
    else:
        machines = [arguments.td_options(memory=memory) for memory in _RECORDED_RAM]
    if not machines[0].td:
        raise UsageError("--no-td: what a TD's firmware occupies is recorded from a TD")
    if not output.endswith(".toml"):
        raise UsageError(f"-o {output}: a model's name ends in .toml, by which --firmware-model knows it")
    with (
        boot_files(arguments) as files,
        open_firmware(path) as image,
        RunLimit(time_limit(arguments)) as limit,
        run_progress(limit),
    ):
        print_notes([f"tdvfsh: {path} runs {2 * len(machines)} times, which takes a minute or more"])
        model = record_footprint(image, read_firmware(path), machines, Path(output).stem, limit, files)
        kernel = "a made kernel" if files is None else f"{Path(files.kernel.path).name} of {files.kernel.size:,} bytes"
    sizes = " and one of ".join(ram_size(machine.memory) for machine in machines)
    how = [
        f"firmware   {Path(path).name}",
        f"machine    a TD of {sizes}, vCPUs: {machines[0].vcpus}, without disks and network",
        f"direct     {kernel}",
        "how        tdvfsh firmware record: the DXE core's own list of memory descriptors, read at each change of it",
    ]
    write_whole(output, footprint_text(model, how).encode())
    stages = {name: len(stage.fixed) + len(stage.top) for name, stage in model.stages.items()}
    if arguments.flag("json"):
        print_json(document("firmware-record", {"firmware": path, "file": output, "descriptors": stages}))
    else:
        shown = ", ".join(f"{name} {count}" for name, count in stages.items())
        print_lines([f"{output}: descriptors by stage: {shown}"])
    return 0


_ACTIONS: Final = {"accepts": _accepts, "record": _record, "run": _run}
