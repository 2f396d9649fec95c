"""``boot``, ``compare`` and ``explain``: real files through the loaders, in a TD of their own."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

from tdvfsh.commands.machine import options_of, status_of_error
from tdvfsh.commands.registry import command
from tdvfsh.commands.types import FilePath, Flag, Option, Text
from tdvfsh.errors import HostError, TdvfshError, UsageError
from tdvfsh.script.status import ShellStatus

if TYPE_CHECKING:
    from tdvfsh.commands.shell import Shell
    from tdvfsh.machine.boot import BootResult
    from tdvfsh.machine.options import TdOptions

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
    map_: Annotated[Flag, Option("-map")] = False,
    q: Flag = False,
) -> ShellStatus:
    """Boot a kernel in a TD of its own, and tell what happened.

    SYNOPSIS:
        boot [-memory size] [-accept policy] [-on-demand option] [-loader flow]
             [-cmdline text] [-map] [-q] kernel [initrd...]

    OPTIONS:
        -memory: RAM; else as the shell's TD.
        -accept: eager, a size, presize, below-4g; else as the shell's TD.
        -on-demand: none, allocator, loader, loader-literal, service; else as the shell's TD.
        -loader: The flow: direct, direct-legacy, grub2.06, grub2.12, grub-rh, sd-boot …; else as the shell's TD.
        -cmdline: The kernel's command line.
        -map: Show the memory map that the kernel got, too.
        -q: Only the outcome.
        kernel: A Linux kernel.
        initrd: Its initrds, joined in this order.

    DESCRIPTION:
        The shell's own TD is not touched. 'explain' tells more of the boot, 'trace' shows every call it made.

    EXAMPLES:
        boot -memory 2G -accept 224M fs1:\\installer-13\\linux fs1:\\installer-13\\initrd.gz

    RETURNVALUES:
        SUCCESS: The kernel left boot services.
        Otherwise: The status that the boot ended with.
    """
    from tdvfsh.machine.boot import boot as boot_files
    from tdvfsh.machine.files import open_boot_files
    from tdvfsh.report.boot_text import account_lines, outcome_lines, story_lines

    try:
        options = _options(shell, memory, accept, on_demand, loader)
        names = (kernel, *initrds)
        paths = [_host_path(shell, path) for path in names]
        with ExitStack() as stack:
            opened = stack.enter_context(open_boot_files(paths[0], paths[1:], cmdline, names=names))
            result = boot_files(options, opened.boot)
            _remember(shell, result, stack.pop_all())
    except TdvfshError as error:
        return _refuse(shell, "boot", error)
    lines = [*outcome_lines(result), *account_lines(result)] if q else story_lines(result, opened.initrds)
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
    loader: Annotated[Text, Option("-loader")] = "",
    sfo: Flag = False,
) -> ShellStatus:
    """Boot the same files under every policy, option and loader, side by side.

    SYNOPSIS:
        compare [-memory size] [-accept policies] [-loader flows] [-cmdline text] [-sfo] kernel [initrd...]

    OPTIONS:
        -memory: RAM; else as the shell's TD.
        -accept: Policies to compare, with commas between them.
        -loader: Loaders to compare, with commas between them.
        -cmdline: The kernel's command line.
        -sfo: Standard format output, one row a boot, sizes in bytes.

    EXAMPLES:
        compare -memory 2G -accept eager,224M fs1:\\installer-13\\linux fs1:\\installer-13\\initrd.gz

    RETURNVALUES:
        SUCCESS: Compared.
        INVALID_PARAMETER: A policy or loader that does not exist.
    """
    from tdvfsh.machine.compare import COMPARED_ACCEPTS, COMPARED_LOADERS
    from tdvfsh.machine.compare import compare as compare_files
    from tdvfsh.machine.files import open_boot_files
    from tdvfsh.report.compare_text import compare_lines, compare_sfo, compared_rows

    try:
        options = _options(shell, memory, "", "", "")
        accepts = accept.split(",") if accept else COMPARED_ACCEPTS
        loaders = loader.split(",") if loader else COMPARED_LOADERS
        names = (kernel, *initrds)
        paths = [_host_path(shell, path) for path in names]
        with open_boot_files(paths[0], paths[1:], cmdline, names=names) as opened:
            boots = compare_files(
                options, opened.boot, accepts, loaders=loaders, progress=lambda done, total: shell.checkpoint()
            )
            rows = compared_rows(boots)
    except TdvfshError as error:
        return _refuse(shell, "compare", error)
    for line in compare_sfo(rows) if sfo else compare_lines(rows):
        shell.print(f"{line}\n")
    return ShellStatus.SUCCESS


@command("explain", profile="td")
def explain(shell: Shell) -> ShellStatus:
    """Tell why the last boot ended as it did, and what the other options would have made of it.

    SYNOPSIS:
        explain

    DESCRIPTION:
        Says what the last step asked for, the largest free piece in its reach, and what was still unaccepted. Then the
        same boot is made under each other accept option.

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


def _options(shell: Shell, memory: str, accept: str, on_demand: str, loader: str) -> TdOptions:
    from tdvfsh.accept.boot_time import parse_boot_accept
    from tdvfsh.units import parse_size

    options = options_of(shell)
    return replace(
        options,
        memory=parse_size(memory) if memory else options.memory,
        accept=parse_boot_accept(accept) if accept else options.accept,
        on_demand=on_demand or options.on_demand,
        loader=loader or options.loader,
    )


def _host_path(shell: Shell, path: str) -> str:
    """Where a file of a mounted drive lies on the host.

    Raises:
        HostError: There is no such file, or its drive is not a folder of the host.
    """
    from tdvfsh.commands.hostfolder import HostFolder

    located = shell.locate(path)
    if located is None:
        raise UsageError(f"{path}: there is no such drive, and no current one")
    mapping, parts = located
    filesystem = mapping.drive.filesystem
    if not isinstance(filesystem, HostFolder):
        raise HostError(f"{path}: only files on a host folder can be booted")
    host_path = filesystem.host_path(parts)
    if host_path is None:
        raise HostError(f"{path}: no such file")
    return host_path


def _refuse(shell: Shell, name: str, error: TdvfshError) -> ShellStatus:
    shell.print(f"{name}: {error}\n")
    return status_of_error(error)
