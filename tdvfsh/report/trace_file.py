"""The journal of a machine or a boot, as the file that views and other tools read."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.boots.explanation import Cures
from tdvfsh.boots.modelled_boot import BootResult, fw_cfg_bytes
from tdvfsh.formats.initrd import Initrd
from tdvfsh.lazy_dataclass import replace
from tdvfsh.lazy_typing import TYPE_CHECKING, Any
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.boots.boot_json import boot_dict
from tdvfsh.trace.file import TraceFile

if TYPE_CHECKING:
    from tdvfsh.engine.firmware.run import FirmwareRun


def trace_of_machine(machine: Machine, image_bytes: int = 0, boot: dict[str, Any] | None = None) -> TraceFile:
    """The journal of a machine; the first map is that of a twin, which starts as the machine did.

    Args:
        machine: The machine as it is now.
        image_bytes: Sizes of the boot blobs, as the machine was made with.
        boot: The boot as plain values.
    """
    twin = Machine(machine.options, image_bytes, at_shell=machine.at_shell)
    return TraceFile(
        machine.options.as_dict(),
        tuple((span.start, span.end) for span in machine.td.ram.spans),
        tuple(twin.services.memory_map_view().descriptors),
        machine.trace.records,
        boot,
    )


def trace_of_firmware(run: FirmwareRun, options: TdOptions) -> TraceFile:
    """The journal of real firmware from its reset vector, which finds no map of anybody's.

    Args:
        run: The run as it is now.
        options: The TD or plain VM.
    """
    own = dict.fromkeys(("accept", "on_demand"), "the firmware's own")
    return TraceFile(
        options.as_dict() | own | {"firmware_model": run.image.path},
        tuple((span.start, span.end) for span in run.td.ram.spans),
        (),
        run.trace.records,
    )


def trace_of_boot(
    result: BootResult, initrds: Sequence[Initrd] = (), cures: Cures | None = None, command: Sequence[str] = ()
) -> TraceFile:
    """The journal of one boot, and how it ended.

    Args:
        result: The boot.
        initrds: Its initrds, as they were read.
        cures: What would make it boot, where that was looked for.
        command: The command line that makes it again, word by word.
    """
    boot = boot_dict(result, initrds, cures)
    return replace(trace_of_machine(result.machine, fw_cfg_bytes(result.files), boot), command=tuple(command))
