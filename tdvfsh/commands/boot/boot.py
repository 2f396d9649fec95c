"""``boot``, ``compare`` and ``explain``: real files through the loaders, in a TD of their own."""

from __future__ import annotations

from contextlib import ExitStack

from tdvfsh.commands.boot.common import InitrdName, Initrds, KernelName, opened_files, print_json, refuse
from tdvfsh.errors import TdvfshError
from tdvfsh.lazy_typing import TYPE_CHECKING, NamedTuple
from tdvfsh.options.uses import use_of
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import NO_VALUES, Flag, TdValues, Text
from tdvfsh.shell.host_files import options_with

if TYPE_CHECKING:
    from tdvfsh.boots.modelled_boot import BootResult
    from tdvfsh.shell.shell import Shell

_STATE = "boot"
_BOOT_CMDLINE = use_of("boot").cmdline
_COMPARE_CMDLINE = use_of("compare").cmdline


@command("boot", profile="td")
def boot(
    shell: Shell,
    kernel: KernelName,
    *initrds: InitrdName,
    initrd: Initrds = (),
    cmdline: Text = _BOOT_CMDLINE,
    options: TdValues = NO_VALUES,
    memmap: Flag = False,
    q: Flag = False,
    json: Flag = False,
) -> ShellStatus:
    """Boot a kernel in a TD of its own, and tell what happened.

    SYNOPSIS:
        boot kernel [initrd...] [-initrd file]... [-cmdline text] [-memmap] [-q] [-json] [TD options]

    OPTIONS:
        kernel: A Linux kernel, or an image's name as 'tdvfsh images list' shows them.
        initrd: Its initrds, joined in this order; an image that has one needs none.
        -initrd file: Its initrd; several are joined in order.
        -cmdline text: The kernel's command line.
        -memmap: Show the memory map that the kernel got, too.
        -q: Only the outcome.
        -json: Print JSON, as the command line does.
        [TD options]

    DESCRIPTION:
        The shell's own TD is not changed; what no option says is as in that TD. 'explain' tells more of the boot,
        'trace -boot' shows every call it made. Options may have two dashes, as on the command line.

    EXAMPLES:
        boot installer-13 --memory 2G --accept 224M
        boot kernel-6.12-cloud --initrd init --memory 2G
        boot -memory 2G -accept 224M fs1:\\installer-13\\linux fs1:\\installer-13\\initrd.gz

    RETURNVALUES:
        SUCCESS: The kernel left boot services.
        Otherwise: The status that the boot ended with.
    """
    from tdvfsh.boots.explanation import cures_of
    from tdvfsh.boots.modelled_boot import boot as boot_files
    from tdvfsh.diagnosis.of_boot import faults_of
    from tdvfsh.report.boots.boot_text import after_boot_lines, story_lines
    from tdvfsh.report.boots.cure import cure_lines
    from tdvfsh.report.diagnosis_text import fault_lines

    try:
        chosen = options_with(shell, "boot", options)
        with ExitStack() as stack:
            opened = stack.enter_context(opened_files(shell, kernel, (*initrds, *initrd), cmdline))
            result = boot_files(chosen, opened.boot)
            _remember(shell, result, stack.pop_all())
    except TdvfshError as error:
        return refuse(shell, "boot", error)
    if json:
        from tdvfsh.report.boots.boot_json import boot_dict

        print_json(shell, boot_dict(result, opened.initrds, cures_of(result)))
        return ShellStatus.SUCCESS if result.booted else ShellStatus(result.status.code)
    lines = after_boot_lines(result) if q else story_lines(result, opened.initrds)
    for line in [*lines, *cure_lines(cures_of(result)), *fault_lines(faults_of(result))]:
        shell.print(f"{line}\n")
    if memmap:
        from tdvfsh.report.memmap_text import memmap_table

        for line in memmap_table(result.memory_map):
            shell.print(f"{line}\n")
    return ShellStatus.SUCCESS if result.booted else ShellStatus(result.status.code)


@command("compare", profile="td")
def compare(
    shell: Shell,
    kernel: KernelName,
    *initrds: InitrdName,
    initrd: Initrds = (),
    cmdline: Text = _COMPARE_CMDLINE,
    options: TdValues = NO_VALUES,
    sfo: Flag = False,
    json: Flag = False,
) -> ShellStatus:
    """Boot the same files under every policy, option and loader, side by side.

    SYNOPSIS:
        compare kernel [initrd...] [-initrd file]... [-cmdline text] [-sfo] [-json] [TD options]

    OPTIONS:
        kernel: A Linux kernel, or an image's name as 'tdvfsh images list' shows them.
        initrd: Its initrds, joined in this order; an image that has one needs none.
        -initrd file: Its initrd; several are joined in order.
        -cmdline text: The kernel's command line.
        -sfo: Standard format output, one row a boot, sizes in bytes.
        -json: Print JSON, as the command line does.
        [TD options]

    DESCRIPTION:
        Without them, four policies, every on-demand option and two loaders are compared; what no option says is as in
        the shell's TD.

    EXAMPLES:
        compare -memory 2G -accept eager,224M fs1:\\installer-13\\linux fs1:\\installer-13\\initrd.gz

    RETURNVALUES:
        SUCCESS: Compared.
        INVALID_PARAMETER: A policy or loader that does not exist.
    """
    from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
    from tdvfsh.boots.compare import COMPARED_ACCEPTS, COMPARED_LOADERS, compared_boots
    from tdvfsh.report.boots.compare_text import compare_dict, compare_lines, compare_sfo, compared_rows
    from tdvfsh.units import parse_size

    axes = {name: str(options[name]).split(",") if name in options else [] for name in use_of("compare").several}
    first = {name: values[0] for name, values in axes.items() if values}
    try:
        chosen = options_with(shell, "compare", {**options, **first})
        with opened_files(shell, kernel, (*initrds, *initrd), cmdline) as opened:
            boots = compared_boots(
                chosen,
                opened.boot,
                axes["accept"] or COMPARED_ACCEPTS,
                axes["on_demand"] or ON_DEMAND_NAMES,
                axes["loader"] or COMPARED_LOADERS,
                lambda done, total: shell.checkpoint(),
                [parse_size(size) for size in axes["memory"]],
                axes["firmware_model"],
            )
            rows = compared_rows(boots)
    except TdvfshError as error:
        return refuse(shell, "compare", error)
    if json:
        print_json(shell, compare_dict(rows))
        return ShellStatus.SUCCESS
    for line in compare_sfo(rows) if sfo else compare_lines(rows):
        shell.print(f"{line}\n")
    return ShellStatus.SUCCESS


@command("explain", profile="td")
def explain(shell: Shell) -> ShellStatus:
    """Tell why the last boot ended as it did, and what the other options would have made of it.

    SYNOPSIS:
        explain

    DESCRIPTION:
        Says what each step asked for and got, the largest hole that the last one could have used, what accepting would
        have changed, and the smallest boot-time accept that is enough. Then the same boot is made under each accept
        option: what it did, or why it could not help.

    EXAMPLES:
        explain

    RETURNVALUES:
        SUCCESS: Explained.
        NOT_FOUND: Nothing has been booted.
    """
    from tdvfsh.boots.explanation import explain as explain_boot
    from tdvfsh.report.boots.explain import explain_lines

    result = last_boot(shell)
    if result is None:
        shell.print("explain: nothing has been booted yet; 'help boot' tells how\n")
        return ShellStatus.NOT_FOUND
    for line in explain_lines(explain_boot(result)):
        shell.print(f"{line}\n")
    return ShellStatus.SUCCESS


def last_boot(shell: Shell) -> BootResult | None:
    """The last ``boot`` of this shell, for commands that look into it; its files are still open."""
    known = shell.state.get(_STATE)
    return known.result if isinstance(known, _LastBoot) else None


class _LastBoot(NamedTuple):
    result: BootResult


def _remember(shell: Shell, result: BootResult, files: ExitStack) -> None:
    """Keep the boot; its files are closed when nothing, not even ``undo``, can return to it."""
    from weakref import finalize

    finalize(result, files.close)
    shell.state[_STATE] = _LastBoot(result)
