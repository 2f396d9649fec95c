"""``td measure``: what the TD that the shell would start measures to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from tdvfsh.commands.boot.common import opened_files, print_json
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.host_files import options_with

if TYPE_CHECKING:
    from tdvfsh.engine.firmware.measure import TdMeasurement
    from tdvfsh.shell.shell import Shell

_STATE: Final = "measured"


class LastMeasurement:
    """The last measurement of a shell.

    Args:
        measured: It.
    """

    def __init__(self, measured: TdMeasurement) -> None:
        self.measured = measured


def last_measurement(shell: Shell) -> TdMeasurement | None:
    """The last measurement whose firmware was run; None where there was none."""
    last = shell.state.get(_STATE)
    return last.measured if isinstance(last, LastMeasurement) else None


def measure_td(
    shell: Shell,
    given: Mapping[str, object],
    kernel: str | None,
    initrds: Sequence[str],
    cmdline: str,
    *,
    run: bool,
    json: bool,
) -> ShellStatus:
    """MRTD of the TD's firmware; RTMRs and events of a run of it, where a kernel is booted or ``run`` says so.

    Raises:
        TdvfshError: There is no firmware, or a file cannot be read.
    """
    from tdvfsh.engine.firmware.image import open_firmware
    from tdvfsh.measure.mrtd import measure_build
    from tdvfsh.report.measure_text import build_lines, measure_dict, measure_lines

    options = options_with(shell, "td", given)
    if options.firmware is None:
        raise UsageError("this TD has no firmware file; give -firmware FILE")
    if not options.td:
        raise UsageError("a plain VM has no measurement registers")
    if kernel is None and (initrds or cmdline):
        raise UsageError("-initrd and -cmdline need -kernel")
    measured = None
    with ExitStack() as stack:
        image = stack.enter_context(open_firmware(options.firmware))
        if image.metadata is None:
            raise UsageError(f"{image.path}: no TDX metadata: the firmware does not support TDX")
        build = measure_build(image.data, image.metadata)
        if not json:
            shell.print("".join(f"{line}\n" for line in build_lines(build)))
        if kernel is not None or run:
            from tdvfsh.engine.board.limit import RunLimit
            from tdvfsh.engine.extra import cpu_extra
            from tdvfsh.engine.firmware.measure import measure_firmware

            cpu_extra("unicorn")
            files = None if kernel is None else stack.enter_context(opened_files(shell, kernel, initrds, cmdline)).boot
            measured = measure_firmware(image, options, files, limit=stack.enter_context(RunLimit()))
            shell.state[_STATE] = LastMeasurement(measured)
    if json:
        print_json(shell, measure_dict(image.path, options, build, measured))
    elif measured is not None:
        shell.print("".join(f"{line}\n" for line in measure_lines(measured)))
    return ShellStatus.SUCCESS if measured is None or measured.succeeded else ShellStatus.ABORTED
