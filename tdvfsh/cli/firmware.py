"""``tdvfsh firmware``: real firmware, run from its reset vector."""

from __future__ import annotations

import sys
from typing import Final

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.errors import UsageError

_FIRMWARE_S_OWN: Final = (
    "accept", "on_demand", "profile", "loader", "firmware_model", "accept_at_exit", "os_workload", "kaslr_seed", "map",
    "firmware", "fault",
)  # fmt: skip


def run_firmware(arguments: Arguments) -> int:
    """The action that was asked for."""
    if arguments.flag("model"):
        return _accepts_of_model(arguments)
    from tdvfsh.engine.extra import cpu_extra

    cpu_extra("unicorn")
    _refuse_model_options(arguments)
    return _ACTIONS[arguments.text("action")](arguments)


def _refuse_model_options(arguments: Arguments) -> None:
    """Real firmware decides by itself what the model is told."""
    for name in _FIRMWARE_S_OWN:
        if arguments.is_given(name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option}: real firmware decides that by itself; the option is for the model")


def _accepts(arguments: Arguments) -> int:
    """SEC only: who accepted what. Exit status 1 where SEC did not come to its end."""
    from tdvfsh.cli.exec import time_limit
    from tdvfsh.engine.board.limit import RunLimit
    from tdvfsh.engine.errors import EngineError
    from tdvfsh.engine.firmware.image import open_firmware
    from tdvfsh.engine.firmware.run import FirmwareRun
    from tdvfsh.report.firmware_accepts_text import accepts_lines, accepts_list, accepts_tsv
    from tdvfsh.whole_file import write_whole

    options = arguments.td_options()
    if not options.td:
        raise UsageError("--no-td: a plain VM accepts nothing")
    output, as_json = arguments.optional("output"), arguments.flag("json")
    if output is not None and as_json:
        raise UsageError("--json and -o: give one of them")
    error: EngineError | None = None
    with (
        open_firmware(arguments.text("file")) as image,
        RunLimit(time_limit(arguments)) as limit,
        FirmwareRun(image, options, limit=limit) as run,
    ):
        try:
            run.run_sec()
        except EngineError as ended:
            error = ended
    if output is not None:
        write_whole(output, accepts_tsv(run.accepts).encode())
    elif as_json:
        print_json(
            {
                "schema": "tdvfsh/firmware-accepts",
                "schema_version": 1,
                "firmware": image.path,
                "td": run.machine_dict(),
                "accepts": accepts_list(run.accepts),
                "added_bytes": run.td.added_bytes,
                "unaccepted_bytes": run.td.unaccepted_bytes,
                "ended": None if error is None else str(error),
            }
        )
    else:
        print_lines(accepts_lines(run.accepts))
    if error is None:
        return 0
    print(f"tdvfsh: SEC did not come to its end: {error}", file=sys.stderr)
    return 1


def _accepts_of_model(arguments: Arguments) -> int:
    """What the model of this firmware accepts, everything below 4 GiB where ``--accept`` does not say otherwise."""
    from tdvfsh.machine.machine import Machine
    from tdvfsh.report.td_json import td_object

    chosen = {} if arguments.is_given("accept") else {"accept": "below-4g"}
    machine = Machine(arguments.td_options(**chosen, firmware=arguments.text("file")))
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
        print(f"tdvfsh: {machine.broken}", file=sys.stderr)
    return 0


_ACTIONS: Final = {"accepts": _accepts}
