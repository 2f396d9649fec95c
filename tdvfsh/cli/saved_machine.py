"""``--save`` and ``--resume``: a machine of real firmware in a file, and the run that continues it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from tdvfsh.cli.arguments import Arguments
from tdvfsh.engine.saved.machine_file import (
    DEVICES,
    DISK,
    FIRMWARE,
    INITRD,
    KERNEL,
    SHIM,
    OpenedMachine,
    SavedFile,
    open_machine_file,
)
from tdvfsh.engine.saved.machine_state import FIRMWARE_RUN
from tdvfsh.errors import FormatError, UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tdvfsh.cli.saving import Saving
    from tdvfsh.engine.firmware.run import FirmwareRun
    from tdvfsh.machine.options import TdOptions

WRITABLE: Final = ",rw"
_ITS_OWN: Final = ("kernel", "initrd", "cmdline", "real_code_only", *DEVICES)


class MachineWords(NamedTuple):
    """What a run of firmware is made of, by the command line or by the file of a saved machine.

    Attributes:
        firmware: The firmware's file.
        kernel: The kernel's, or None.
        initrds: Those of the initrds.
        cmdline: The kernel's command line.
        disks: The disks, as ``--disk`` names them.
        options: The TD or plain VM.
        real_code_only: Whether the host does nothing in place of the firmware.
        arguments: The command line, with the virtio devices.
        saved: The machine to continue; None where the run begins at reset.
    """

    firmware: str
    kernel: str | None
    initrds: list[str]
    cmdline: str
    disks: list[str]
    options: TdOptions
    real_code_only: bool
    arguments: Arguments
    saved: OpenedMachine | None = None

    def files(self) -> list[SavedFile]:
        """All files, as they are now; raises HostError."""
        found = [SavedFile.of(FIRMWARE, self.firmware)]
        found += [SavedFile.of(KERNEL, self.kernel)] if self.kernel is not None else []
        found += [SavedFile.of(INITRD, path) for path in self.initrds]
        found += [SavedFile.of(SHIM, self.options.shim)] if self.options.shim is not None else []
        return found + saved_disks(self.disks)


@contextmanager
def machine_words(arguments: Arguments) -> Iterator[MachineWords]:
    """What the command line asks for; the file of a saved machine is open meanwhile.

    Raises:
        UsageError: Options that do not belong together.
        HostError, FormatError: A file cannot be read, is damaged, or was changed since the machine was saved.
    """
    resume = arguments.optional("resume")
    refuse_commit_with_save(arguments)
    if resume is None:
        if arguments.optional("file") is None:
            raise UsageError("firmware run: needs FILE, the firmware, or --resume")
        words = _of_command_line(arguments)
        refuse_save_over(arguments, _paths(words))
        yield words
        return
    with resumed(arguments, FIRMWARE_RUN, _ITS_OWN) as machine:
        words = _of_file(arguments, machine)
        refuse_save_over(arguments, _paths(words))
        yield words


def refuse_commit_with_save(arguments: Arguments) -> None:
    """Reject that an image becomes what the machine continues on; raises UsageError."""
    if arguments.optional("save") is not None and arguments.flag("commit"):
        raise UsageError("--commit: not with --save, whose machine continues on the images as they are")


def refuse_save_over(arguments: Arguments, paths: Iterable[str | None]) -> None:
    """Reject that ``--save`` takes the place of a file that its machine needs again; raises UsageError."""
    save = arguments.optional("save")
    if save is None or not os.path.exists(save):
        return
    for path in paths:
        if path is not None and os.path.exists(path) and os.path.samefile(save, path):
            raise UsageError(f"--save {save}: is a file that the machine is made of, and would be lost")


def disk_paths(disks: Iterable[str]) -> list[str]:
    """The files of disks as ``--disk`` names them."""
    return [text.removesuffix(WRITABLE) for text in disks]


def _paths(words: MachineWords) -> list[str | None]:
    return [words.firmware, words.kernel, words.options.shim, *words.initrds, *disk_paths(words.disks)]


@contextmanager
def resumed(arguments: Arguments, run: str, its_own: Sequence[str]) -> Iterator[OpenedMachine]:
    """The file that ``--resume`` names, while it is open.

    Args:
        arguments: The command line.
        run: The subcommand that continues such a machine.
        its_own: Options that the machine brings itself, beside the TD options.

    Raises:
        UsageError: Options that do not belong together.
        HostError, FormatError: The file cannot be read, is damaged, or is for another subcommand.
    """
    resume = arguments.text("resume")
    for name in its_own:
        if arguments.flag(name):
            raise UsageError(f"--{name.replace('_', '-')}: the machine in {resume} has its own; leave it out")
    if arguments.flag("commit") and not arguments.words("disk"):
        raise UsageError("--commit: name the image again, with --disk FILE,rw")
    _refuse_td_options(arguments, resume)
    with open_machine_file(resume) as machine:
        made_by = machine.header["run"]
        if made_by != run:
            raise FormatError(resume, f"a machine of 'tdvfsh {made_by:.20}', which continues it with --resume")
        yield machine


def _of_command_line(arguments: Arguments) -> MachineWords:
    from tdvfsh.cli.subcommand.firmware import firmware_path

    return MachineWords(
        firmware=firmware_path(arguments),
        kernel=arguments.optional("kernel"),
        initrds=arguments.words("initrd"),
        cmdline=arguments.text("cmdline"),
        disks=arguments.words("disk"),
        options=arguments.td_options(),
        real_code_only=arguments.flag("real_code_only"),
        arguments=arguments,
    )


def _refuse_td_options(arguments: Arguments, resume: str) -> None:
    from tdvfsh.options.td import OPTIONS

    for name in OPTIONS:
        if arguments.is_given(name):
            raise UsageError(f"--{name.replace('_', '-')}: the machine in {resume} has its own; leave it out")


def _of_file(arguments: Arguments, machine: OpenedMachine) -> MachineWords:
    from tdvfsh.cli.subcommand.firmware import firmware_path
    from tdvfsh.machine.options_file import options_from_dict

    header = machine.header
    files = machine.files_by_role()
    if len(files[FIRMWARE]) != 1 or len(files[KERNEL]) > 1:
        raise machine.damaged("it has not one firmware, or more than one kernel")
    firmware = firmware_path(arguments) if arguments.optional("file") is not None else files[FIRMWARE][0].path
    files[FIRMWARE][0].check(firmware)
    for role in (KERNEL, INITRD, SHIM):
        for file in files[role]:
            file.check(file.path)
    disks = resumed_disks(arguments, machine)
    kernel = files[KERNEL][0].path if files[KERNEL] else None
    return MachineWords(
        firmware=firmware,
        kernel=kernel,
        initrds=[file.path for file in files[INITRD]],
        cmdline=header["cmdline"],
        disks=disks,
        options=options_from_dict(header["options"], machine.path),
        real_code_only=header["real_code_only"],
        arguments=arguments.with_values(**dict.fromkeys(header["devices"], True)),
        saved=machine,
    )


def resumed_disks(arguments: Arguments, machine: OpenedMachine) -> list[str]:
    """The disks of a saved machine, as ``--disk`` names them: where they were, or where the command line says.

    Raises:
        UsageError: The command line names other disks.
        HostError, FormatError: One cannot be read, or was changed since.
    """
    files = machine.files_by_role()[DISK]
    disks = arguments.words("disk") or [file.path + WRITABLE * file.writable for file in files]
    if [text.endswith(WRITABLE) for text in disks] != [file.writable for file in files]:
        wanted = " ".join(f"--disk FILE{WRITABLE * file.writable}" for file in files) or "none"
        raise UsageError(f"--disk: the machine in {machine.path} has other disks: {wanted}")
    for file, text in zip(files, disks, strict=True):
        file.check(text.removesuffix(WRITABLE))
    return disks


def saved_disks(disks: Sequence[str]) -> list[SavedFile]:
    """Disks as ``--disk`` names them, as they are now; raises HostError."""
    return [SavedFile.of(DISK, text.removesuffix(WRITABLE), text.endswith(WRITABLE)) for text in disks]


def save_firmware_run(saving: Saving, run: FirmwareRun, words: MachineWords, ending: str) -> None:
    """Save the machine of a run of firmware where it stands where it can go on.

    Raises:
        HostError, FormatError: As :meth:`Saving.save`.
    """
    from tdvfsh.engine.firmware.saved_run import save_run
    from tdvfsh.engine.saved.machine_state import machine_header

    if run.rest is None or not run.rest.reached:
        saving.not_saved(ending)
        return
    header = machine_header(
        words.options,
        words.cmdline,
        words.files(),
        real_code_only=words.real_code_only,
        devices=[name for name in DEVICES if words.arguments.flag(name)],
    )
    saving.save(lambda path: save_run(run, path, header))
