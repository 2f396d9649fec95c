"""What a TD measures to: MRTD from its firmware file, RTMRs from a run of that firmware up to ExitBootServices.

ExitBootServices itself is run to its return: firmware measures that it is called and that it succeeded.

Source: edk2 OvmfPkg/Tcg/TdTcg2Dxe (events of ExitBootServices).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.console.serial_input import LinesAtPrompts
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.firmware.boot_services import BootService, find_system_table
from tdvfsh.engine.firmware.event_log import read_event_log
from tdvfsh.engine.firmware.image import FirmwareImage, open_firmware
from tdvfsh.engine.firmware.outcome import WAITS, FirmwareOutcome
from tdvfsh.engine.firmware.rtmr_extends import RtmrExtend
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.engine.firmware.vmm_tables import read_vmm_tables
from tdvfsh.errors import FormatError, UsageError
from tdvfsh.formats.tcg.event_log import TcgEventLog, parse_event_log
from tdvfsh.formats.tcg.registers import after_extensions
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.options import TdOptions
from tdvfsh.measure.mrtd import AddOrder, BuildMeasurement
from tdvfsh.measure.replay import Replay, replay

EXITED: Final = "left boot services"
_LOG_NAME: Final = "CCEL"


@dataclass(frozen=True, slots=True, repr=False)
class TdMeasurement:
    """The measurements of a TD.

    Attributes:
        firmware: The firmware file.
        options: The TD.
        files: What was booted, in words; empty for nothing.
        build: MRTD.
        rtmrs: RTMR0 to RTMR3 where the run ended.
        extends: Every extension, in order.
        log_data: The event log's area as it lay in guest memory; None where firmware keeps none.
        log: The same decoded; None where there is none, or it cannot be.
        replay: The log against the extensions; None without a log.
        log_error: Why the log cannot be decoded; empty where it can.
        ending: Where the run ended: ``left boot services``, or as :class:`FirmwareOutcome` has it.
        why: One sentence.
        reached: Whether the run went as far as it was to: to ExitBootServices with a kernel, without one as far as the
            firmware goes by itself.
        notes: What a user should know of this run, one sentence each.
    """

    firmware: str
    options: TdOptions
    files: str
    build: BuildMeasurement
    rtmrs: tuple[bytes, ...]
    extends: tuple[RtmrExtend, ...]
    log_data: bytes | None
    log: TcgEventLog | None
    replay: Replay | None
    log_error: str
    ending: str
    why: str
    reached: bool
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        registers = ", ".join(f"RTMR{number} {value.hex()[:12]}…" for number, value in enumerate(self.rtmrs))
        return f"<TdMeasurement MRTD {self.build.mrtd.hex()[:12]}…, {registers}>"

    @property
    def succeeded(self) -> bool:
        """Whether the run went as far as it was to, and the log tells all that was measured."""
        return self.reached and not self.log_error and (self.replay is None or self.replay.fits)


def measure_td(
    firmware: str | Path,
    options: TdOptions,
    files: BootFiles | None = None,
    *,
    variables: str | Path | None = None,
    add_order: str = AddOrder.PAGE,
    acpi: str | None = None,
    patch_header: bool = False,
    real_code_only: bool = False,
    time_limit: float | None = None,
    started: Callable[[], None] = lambda: None,
    progress: Callable[[str], None] | None = None,
) -> TdMeasurement:
    """What a TD measures to: MRTD of a firmware file, RTMRs and event log of running it.

    Args:
        firmware: The file.
        options: The TD.
        files: Kernel, initrds and command line, as :func:`open_boot_files` opens them; None for none.
        variables: The variable store that the file is joined to; None where it has its own.
        add_order: ``page`` or ``section``: when the VMM extends the pages that it adds.
        acpi: ACPI tables of a real VMM: its fw_cfg file ``etc/acpi/tables``, or a folder with that, ``rsdp`` and
            ``table-loader``.
        patch_header: Whether the VMM writes into the kernel's setup header, as QEMU did before 10.2.
        real_code_only: Let the host do nothing in place of the firmware, which takes much longer.
        time_limit: Real seconds after which the run is aborted; None for no limit.
        started: Called when all files have been read and the run begins.
        progress: Called now and then, on another thread, with how far the run has come.

    Raises:
        MissingError: The extra ``cpu`` is not installed.
        UsageError: A plain VM, or a kernel that QEMU does not take.
        HostError, FormatError: A file that cannot be read, or firmware that does not start as a TD.
        KeyboardInterrupt: The user has given it up.
    """
    cpu_extra("unicorn")
    vmm_files = None if acpi is None else read_vmm_tables(acpi)
    with open_firmware(firmware, variables) as image, RunLimit(time_limit) as limit:
        started()
        limit.progress = progress
        return measure_firmware(
            image, options, files, limit=limit, add_order=AddOrder(add_order), vmm_files=vmm_files,
            patch_header=patch_header, real_code_only=real_code_only,
        )  # fmt: skip


def measure_firmware(
    image: FirmwareImage,
    options: TdOptions,
    files: BootFiles | None = None,
    *,
    limit: RunLimit | None = None,
    add_order: AddOrder = AddOrder.PAGE,
    vmm_files: Mapping[str, bytes] | None = None,
    patch_header: bool = False,
    real_code_only: bool = False,
    output: Callable[[bytes], None] | None = None,
) -> TdMeasurement:
    """Run ``image`` up to the return of ExitBootServices, or without a kernel as far as it goes by itself.

    Args:
        image: The firmware.
        options: The TD.
        files: Kernel, initrds and command line; None for none.
        limit: When to abort.
        add_order: When the VMM extends the pages that it adds.
        vmm_files: fw_cfg files of another VMM, by name, such as its ACPI tables.
        patch_header: Whether the VMM writes into the kernel's setup header, as QEMU did before 10.2.
        real_code_only: Let the host do nothing in place of the firmware, which takes much longer.
        output: Takes the serial console's bytes as they come.

    Raises:
        UsageError: A plain VM, or a kernel that QEMU does not take.
        FormatError: The firmware does not start as a TD.
        KeyboardInterrupt: The user has given it up.
    """
    if not options.td:
        raise UsageError("--no-td: a plain VM has no measurement registers")
    with FirmwareRun(
        image, options, files, output=output, typed=LinesAtPrompts(""), limit=limit, real_code_only=real_code_only,
        add_order=add_order, vmm_files=vmm_files or {}, patch_header=patch_header,
    ) as run:  # fmt: skip
        ending, system_table = _run(run)
        extends = tuple(run.extends.made)
        rtmrs = tuple(run.board.module.measurements.rtmrs)
        assert rtmrs == after_extensions(each.extension for each in extends)
        data = None if system_table is None else read_event_log(run.board, system_table)
        log, error = _decoded(data)
        notes = []
        if not extends:
            notes.append("this firmware measures nothing: it was built without CC measurement")
        elif data is None:
            notes.append("the firmware has no event log yet: no CCEL table is installed where the run ended")
        return TdMeasurement(
            firmware=image.path,
            options=options,
            files="" if files is None else files.summary,
            build=run.build,
            rtmrs=rtmrs,
            extends=extends,
            log_data=data,
            log=log,
            replay=None if log is None else replay(log, [each.extension for each in extends]),
            log_error=error,
            ending=EXITED if ending is None else ending.ending,
            why="ExitBootServices has returned" if ending is None else ending.why,
            reached=ending is None or (files is None and (ending.succeeded or ending.ending == WAITS)),
            notes=tuple(notes),
        )


def _run(run: FirmwareRun) -> tuple[FirmwareOutcome | None, int | None]:
    """How the run ended, None after ExitBootServices, and where the system table is."""
    try:
        while True:
            run.run_to_service(BootService.EXIT_BOOT_SERVICES)
            system_table = find_system_table(run.board)
            if not run.run_through_service():
                return None, system_table
    except EngineError as error:
        return run.ended_unattended(error), find_system_table(run.board)


def _decoded(data: bytes | None) -> tuple[TcgEventLog | None, str]:
    if data is None:
        return None, ""
    try:
        return parse_event_log(data, _LOG_NAME), ""
    except FormatError as error:
        return None, str(error)
