"""``tdvfsh measure``: what a TD measures to."""

from __future__ import annotations

import os

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines, print_notes
from tdvfsh.cli.subcommand.firmware import boot_files, firmware_path, refuse_model_options
from tdvfsh.errors import FormatError, UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tdvfsh.engine.firmware.measure import TdMeasurement
    from tdvfsh.measure.expected import Expected
    from tdvfsh.measure.mrtd import BuildMeasurement

_NEED_RUN: Final = ("kernel", "log", "acpi", "json", "run")


def run_measure(arguments: Arguments) -> int:
    """MRTD at once, RTMRs by running the firmware.

    Exit status 0 where the run went as far as it was to and nothing differs from what was expected, else 1.
    """
    from tdvfsh.measure.expected import differences, read_expected
    from tdvfsh.report.measure_text import build_lines, measure_dict, measure_lines

    if arguments.optional("make_test_key") is not None:
        return _make_test_key(arguments.text("make_test_key"), as_json=arguments.flag("json"))
    if arguments.optional("file") is None:
        raise UsageError("measure: needs a FIRMWARE, such as OVMF.fd")
    refuse_model_options(arguments)
    options = arguments.td_options()
    if not options.td:
        raise UsageError("--no-td: a plain VM has no measurement registers")
    path, as_json = firmware_path(arguments), arguments.flag("json")
    expected = None if arguments.optional("expect") is None else read_expected(arguments.text("expect"))
    build = _build(arguments, path)
    if not as_json:
        print_lines(build_lines(build))
    measured = _measured(arguments, path) if _wants_run(arguments, expected) else None
    if measured is not None:
        _write_log(arguments, measured)
    found = measure_dict(path, options, build, measured)
    if as_json:
        print_json(found)
    elif measured is not None:
        print_lines(measure_lines(measured))
    else:
        print_lines(["RTMR0  to RTMR3: by running the firmware, with --kernel K or --run"])
    if measured is not None and not measured.succeeded:
        print_notes([f"tdvfsh: {path}: {_failure(measured)}"])
        return 1
    if expected is None:
        return 0
    changed = differences(expected, found)
    if not changed:
        print_notes([f"tdvfsh: as {expected.path} expects"])
        return 0
    print_notes([f"tdvfsh: not as {expected.path} expects:", *(line for each in changed for line in each.split("\n"))])
    return 1


def _make_test_key(path: str, *, as_json: bool) -> int:
    """New keys in a file that only its owner reads; an existing file is kept."""
    from tdvfsh.measure.quote_key import make_quote_key

    data = make_quote_key()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"--make-test-key {path}: the file exists, and keys are not overwritten") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    print_notes([f"tdvfsh: {path}: an attestation key and certificates for tests, which are not Intel's"])
    if as_json:
        from tdvfsh.report.schema import document

        print_json(document("measure-key", {"file": path}))
    return 0


def _wants_run(arguments: Arguments, expected: Expected | None) -> bool:
    if arguments.flag("no_run"):
        for name in _NEED_RUN:
            if name != "json" and (arguments.optional(name) is not None if name != "run" else arguments.flag(name)):
                raise UsageError(f"--no-run: --{name} needs a run")
        return False
    if expected is not None and expected.needs_run:
        return True
    return any(arguments.flag(name) for name in _NEED_RUN)


def _build(arguments: Arguments, path: str) -> BuildMeasurement:
    """MRTD from the file alone, whichever VMM takes it."""
    from tdvfsh.formats.mapped import copy_of, open_mapped
    from tdvfsh.formats.tdvf import parse_tdvf
    from tdvfsh.measure.mrtd import AddOrder, measure_build

    order = AddOrder(arguments.text("add_order"))
    with open_mapped(path) as mapped:
        if not mapped.size:
            raise FormatError(path, "the file is empty")
        store = arguments.optional("vars")
        if store is None:
            return measure_build(mapped.view, parse_tdvf(mapped.view, path, any_vmm=True), order)
        with open_mapped(store) as variables:
            joined = copy_of(variables.view) + copy_of(mapped.view)
        return measure_build(joined, parse_tdvf(joined, path, any_vmm=True), order)


def _measured(arguments: Arguments, path: str) -> TdMeasurement:
    from tdvfsh.cli.run_limits import time_limit
    from tdvfsh.cli.run_status import run_status
    from tdvfsh.engine.firmware.measure import measure_td

    def started() -> None:
        print_notes([f"tdvfsh: {path} runs up to ExitBootServices, which takes half a minute or more"])

    with boot_files(arguments) as files, run_status() as status:
        return measure_td(
            path,
            arguments.td_options(),
            files,
            variables=arguments.optional("vars"),
            add_order=arguments.text("add_order"),
            acpi=arguments.optional("acpi"),
            patch_header=arguments.text("kernel_header") == "patched",
            real_code_only=arguments.flag("real_code_only"),
            time_limit=time_limit(arguments),
            started=started,
            progress=status,
        )


def _write_log(arguments: Arguments, measured: TdMeasurement) -> None:
    from tdvfsh.whole_file import write_whole

    output = arguments.optional("log")
    if output is None:
        return
    if measured.log_data is None:
        raise UsageError(f"--log {output}: this run has no event log: {measured.notes[0]}")
    write_whole(output, measured.log_data)


def _failure(measured: TdMeasurement) -> str:
    if not measured.reached:
        return measured.why
    if measured.log_error:
        return measured.log_error
    return "" if measured.replay is None else f"the log does not tell what was measured: {measured.replay.why}"
