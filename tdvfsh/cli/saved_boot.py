"""``boot --save`` and ``--resume``: the machine of a boot whose operating system runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.saved_machine import (
    disk_paths,
    refuse_commit_with_save,
    refuse_save_over,
    resumed,
    resumed_disks,
    saved_disks,
)
from tdvfsh.engine.saved.machine_file import DEVICES, DISK, INITRD, KERNEL, OpenedMachine, SavedFile
from tdvfsh.engine.saved.machine_state import BOOT
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tdvfsh.cli.saving import Saving
    from tdvfsh.engine.runs.boot_run import CpuBoot
    from tdvfsh.machine.options import TdOptions

_ITS_OWN: Final = ("kernel", "initrd", "cmdline", "grub", "fast_decompress", *DEVICES)


class BootWords(NamedTuple):
    """What a boot on the processor is made of, by the command line or by the file of a saved machine.

    Attributes:
        kernel: The kernel's file.
        initrds: Those of the initrds.
        cmdline: The kernel's command line.
        disks: The disks, as ``--disk`` names them.
        options: The TD or plain VM.
        violation_ve: Whether #VE is delivered for pages that are not accepted, whatever SEPT_VE_DISABLE says.
        grub: Whether a real GRUB loads the kernel.
        arguments: The command line, with the virtio devices.
        saved: The machine to continue; None where the run begins with the firmware.
        from_disk: Whether a disk's own boot loader is started, which loads what it finds.
    """

    kernel: str
    initrds: list[str]
    cmdline: str
    disks: list[str]
    options: TdOptions
    violation_ve: bool
    grub: bool
    arguments: Arguments
    saved: OpenedMachine | None = None
    from_disk: bool = False

    def files(self) -> list[SavedFile]:
        """All files, as they are now.

        Raises:
            UsageError: An option names a folder or standard input.
            HostError: One cannot be read.
        """
        found = [SavedFile.of(KERNEL, self.kernel), *(SavedFile.of(INITRD, path) for path in self.initrds)]
        found += [SavedFile.of(name, path) for name, path in option_files(self.options).items()]
        return found + saved_disks(self.disks)


def option_files(options: TdOptions) -> dict[str, str]:
    """The files that TD options name, by the option.

    Raises:
        UsageError: One is a folder or standard input, which a saved machine does not find again.
    """
    from tdvfsh.options.td import OPTIONS

    found = {}
    for name, option in OPTIONS.items():
        value = getattr(options, name)
        if value is None or not option.names_file(value):
            continue
        if value == "-" or os.path.isdir(value):
            raise UsageError(f"--{name.replace('_', '-')} {value}: not with --save, whose machine needs a file again")
        found[name] = str(value)
    return found


def check_saving(arguments: Arguments, options: TdOptions) -> None:
    """Reject what a saved boot cannot have.

    Raises:
        UsageError: An option that does not go with ``--save`` or ``--resume``.
    """
    for given in ("save", "resume"):
        if arguments.optional(given) is None:
            continue
        if arguments.optional("nvram") is not None:
            raise UsageError(f"--nvram: not with --{given}, as the saved machine keeps its variables itself")
        if arguments.optional("drop_accept") is not None:
            raise UsageError(f"--drop-accept: not with --{given}, as it counts from the kernel's first accept on")
    if arguments.optional("save") is None:
        return
    refuse_commit_with_save(arguments)
    if options.fault:
        raise UsageError("--fault: not with --save, as it counts from the machine's start on")
    option_files(options)


@contextmanager
def resumed_boot(arguments: Arguments) -> Iterator[BootWords]:
    """The machine that ``--resume`` names; its file is open meanwhile.

    Raises:
        UsageError: Options that do not belong together.
        HostError, FormatError: A file cannot be read, is damaged, or was changed since the machine was saved.
    """
    from tdvfsh.machine.options_file import options_from_dict

    with resumed(arguments, BOOT, _ITS_OWN) as machine:
        header, files = machine.header, machine.files_by_role()
        if len(files[KERNEL]) != 1:
            raise machine.damaged("it has not one kernel")
        options = options_from_dict(header["options"], machine.path)
        check_saving(arguments, options)
        for file in machine.files:
            if file.role != DISK:
                file.check(file.path)
        words = BootWords(
            kernel=files[KERNEL][0].path,
            initrds=[file.path for file in files[INITRD]],
            cmdline=header["cmdline"],
            disks=resumed_disks(arguments, machine),
            options=options,
            violation_ve=header["violation_ve"],
            grub=header["grub"],
            arguments=arguments.with_values(**dict.fromkeys(header["devices"], True)),
            saved=machine,
        )
        refuse_lost_files(words)
        yield words


def refuse_lost_files(words: BootWords) -> None:
    """Reject that ``--save`` takes the place of one of the boot's own files; raises UsageError."""
    options = option_files(words.options) if words.arguments.optional("save") is not None else {}
    own = [words.kernel, *words.initrds, *disk_paths(words.disks), *options.values()]
    refuse_save_over(words.arguments, own)


def save_boot_machine(saving: Saving, boot: CpuBoot, words: BootWords) -> None:
    """Save the machine of a boot that stands where it can go on.

    Raises:
        HostError, FormatError: As :meth:`Saving.save`.
    """
    from tdvfsh.engine.runs.saved_boot import save_boot
    from tdvfsh.engine.saved.machine_state import machine_header

    files = {name: os.path.abspath(path) for name, path in option_files(words.options).items()}
    header = machine_header(
        words.options.changed(**files),
        words.cmdline,
        words.files(),
        run=BOOT,
        violation_ve=words.violation_ve,
        grub=words.grub,
        devices=[name for name in DEVICES if words.arguments.flag(name)],
    )
    saving.save(lambda path: save_boot(boot, path, header))
