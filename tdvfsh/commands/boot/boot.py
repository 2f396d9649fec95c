"""``boot``, ``compare`` and ``explain``: real files through the loaders, in a TD of their own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, NamedTuple

from tdvfsh.commands.boot.common import boot_options, host_path, refuse
from tdvfsh.errors import TdvfshError
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Flag, Option, Text
from tdvfsh.shell.machine_binding import options_of

if TYPE_CHECKING:
    from tdvfsh.boots.modelled_boot import BootResult
    from tdvfsh.shell.shell import Shell

_STATE = "boot"


@command("boot", profile="td")
def boot(
    shell: Shell,
    kernel: FilePath,
    *initrds: FilePath,
    cmdline: Annotated[Text, Option("-cmdline")] = "",
    memory: Annotated[Text, Option("-memory")] = "",
    accept: Annotated[Text, Option("-accept")] = "",
    on_demand: Annotated[Text, Option("-on-demand")] = "",
    loader: Annotated[Text, Option("-loader")] = "",
    vcpus: Annotated[Text, Option("-vcpus")] = "",
    host_page_size: Annotated[Text, Option("-host-page-size")] = "",
    firmware_model: Annotated[Text, Option("-firmware-model")] = "",
    firmware: Annotated[FilePath, Option("-firmware")] = "",
    import_: Annotated[FilePath, Option("-import")] = "",
    accept_at_exit: Annotated[Text, Option("-accept-at-exit")] = "",
    os_workload: Annotated[Text, Option("-os-workload")] = "",
    kaslr_seed: Annotated[Text, Option("-kaslr-seed")] = "",
    fault: Annotated[Text, Option("-fault")] = "",
    map_: Annotated[Flag, Option("-map")] = False,
    q: Flag = False,
) -> ShellStatus:
    """Boot a kernel in a TD of its own, and tell what happened.

    SYNOPSIS:
        boot [-memory size] [-accept policy] [-on-demand option] [-loader flow]
             [-vcpus n] [-host-page-size 4K|2M] [-firmware-model name]
             [-firmware file] [-import file] [-accept-at-exit policy]
             [-os-workload size] [-kaslr-seed n] [-fault spec[,spec...]]
             [-cmdline text] [-map] [-q] kernel [initrd...]

    OPTIONS:
        -memory: RAM; else as the shell's TD.
        -accept: eager, a size, presize, below-4g; else as the shell's TD.
        -on-demand: none, allocator, loader, loader-literal, service; else as the shell's TD.
        -loader: The flow: direct, direct-legacy, grub2.06, grub2.12, grub-rh, sd-boot …; else as the shell's TD.
        -vcpus: Number of vCPUs; several accept at boot together.
        -host-page-size: Largest page that the host maps.
        -firmware-model: Recorded firmware whose footprint it has.
        -firmware: An OVMF.fd whose TDX metadata makes the TD.
        -import: A memory map to start from.
        -accept-at-exit: none, or unless-objected: firmware accepts the rest at ExitBootServices.
        -os-workload: Memory that the OS uses after boot, for its modelled side.
        -kaslr-seed: Seed of the EFI stub's choice of a place for the kernel.
        -fault: Failures on purpose, as 'help fault' describes them.
        -cmdline: The kernel's command line.
        -map: Show the memory map that the kernel got, too.
        -q: Only the outcome.
        kernel: A Linux kernel.
        initrd: Its initrds, joined in this order.

    DESCRIPTION:
        The shell's own TD is not touched. 'explain' tells more of the boot, 'trace -boot' shows every call it made.

    EXAMPLES:
        boot -memory 2G -accept 224M fs1:\\installer-13\\linux fs1:\\installer-13\\initrd.gz

    RETURNVALUES:
        SUCCESS: The kernel left boot services.
        Otherwise: The status that the boot ended with.
    """
    from tdvfsh.boots.modelled_boot import boot as boot_files
    from tdvfsh.boots.open_files import open_boot_files
    from tdvfsh.report.boot_text import after_boot_lines, story_lines

    try:
        options = boot_options(
            shell,
            memory=memory,
            accept=accept,
            on_demand=on_demand,
            loader=loader,
            vcpus=vcpus,
            host_page_size=host_page_size,
            firmware_model=firmware_model,
            firmware=firmware,
            map_file=import_,
            accept_at_exit=accept_at_exit,
            os_workload=os_workload,
            kaslr_seed=kaslr_seed,
            faults=fault,
        )
        names = (kernel, *initrds)
        paths = [host_path(shell, path) for path in names]
        with ExitStack() as stack:
            opened = stack.enter_context(open_boot_files(paths[0], paths[1:], cmdline, names=names))
            result = boot_files(options, opened.boot)
            _remember(shell, result, stack.pop_all())
    except TdvfshError as error:
        return refuse(shell, "boot", error)
    lines = after_boot_lines(result, opened.initrds) if q else story_lines(result, opened.initrds)
    for line in lines:
        shell.print(f"{line}\n")
    if map_:
        from tdvfsh.report.memmap_text import memmap_table

        for line in memmap_table(result.memory_map):
            shell.print(f"{line}\n")
    return ShellStatus.SUCCESS if result.booted else ShellStatus(result.status.code)


@command("compare", profile="td")
def compare(
    shell: Shell,
    kernel: FilePath,
    *initrds: FilePath,
    cmdline: Annotated[Text, Option("-cmdline")] = "",
    memory: Annotated[Text, Option("-memory")] = "",
    accept: Annotated[Text, Option("-accept")] = "",
    on_demand: Annotated[Text, Option("-on-demand")] = "",
    loader: Annotated[Text, Option("-loader")] = "",
    firmware_model: Annotated[Text, Option("-firmware-model")] = "",
    sfo: Flag = False,
) -> ShellStatus:
    """Boot the same files under every policy, option and loader, side by side.

    SYNOPSIS:
        compare [-memory sizes] [-accept policies] [-on-demand options] [-loader flows]
                [-firmware-model names] [-cmdline text] [-sfo] kernel [initrd...]

    OPTIONS:
        -memory: RAM, with commas between sizes; else as the shell's TD.
        -accept: Policies to compare, with commas between them.
        -on-demand: Options to compare, with commas between them; else all.
        -loader: Loaders to compare, with commas between them.
        -firmware-model: Recorded firmwares to compare, with commas between them; else as the shell's TD.
        -cmdline: The kernel's command line.
        -sfo: Standard format output, one row a boot, sizes in bytes.

    EXAMPLES:
        compare -memory 2G -accept eager,224M fs1:\\installer-13\\linux fs1:\\installer-13\\initrd.gz

    RETURNVALUES:
        SUCCESS: Compared.
        INVALID_PARAMETER: A policy or loader that does not exist.
    """
    from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
    from tdvfsh.boots.compare import COMPARED_ACCEPTS, COMPARED_LOADERS
    from tdvfsh.boots.compare import compare as compare_files
    from tdvfsh.boots.open_files import open_boot_files
    from tdvfsh.report.compare_text import compare_lines, compare_sfo, compared_rows
    from tdvfsh.units import parse_size

    try:
        options = options_of(shell)
        axes = [text.split(",") if text else [] for text in (accept, on_demand, loader, memory, firmware_model)]
        names = (kernel, *initrds)
        paths = [host_path(shell, path) for path in names]
        with open_boot_files(paths[0], paths[1:], cmdline, names=names) as opened:
            boots = compare_files(
                options,
                opened.boot,
                axes[0] or COMPARED_ACCEPTS,
                axes[1] or ON_DEMAND_NAMES,
                axes[2] or COMPARED_LOADERS,
                lambda done, total: shell.checkpoint(),
                [parse_size(size) for size in axes[3]],
                axes[4],
            )
            rows = compared_rows(boots)
    except TdvfshError as error:
        return refuse(shell, "compare", error)
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
    from tdvfsh.report.explain import explain_lines

    result = last_boot(shell)
    if result is None:
        shell.print("explain: nothing has been booted yet; 'help boot' tells how\n")
        return ShellStatus.NOT_FOUND
    for line in explain_lines(result):
        shell.print(f"{line}\n")
    return ShellStatus.SUCCESS


def last_boot(shell: Shell) -> BootResult | None:
    """The last ``boot`` of this shell, for commands that look into it; its files are still open."""
    known = shell.state.get(_STATE)
    return known.result if isinstance(known, _LastBoot) else None


class _LastBoot(NamedTuple):
    result: BootResult


def _remember(shell: Shell, result: BootResult, files: ExitStack) -> None:
    """Keep the boot; its files are closed when nobody, not even ``undo``, can come back to it."""
    from weakref import finalize

    finalize(result, files.close)
    shell.state[_STATE] = _LastBoot(result)
