"""``--save`` and ``--resume``: a machine of real firmware in a file, and the run that continues it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

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
from tdvfsh.errors import UsageError
from tdvfsh.units import human_size

if TYPE_CHECKING:
    from tdvfsh.cli.drives import Drives
    from tdvfsh.engine.firmware.run import FirmwareRun
    from tdvfsh.machine.options import TdOptions

_WRITABLE: Final = ",rw"
_ITS_OWN: Final = ("kernel", "initrd", "cmdline", "real_code_only", *DEVICES)
_ENDINGS: Final = ("matched", "input ended", "waits for input")


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
        for text in self.disks:
            found.append(SavedFile.of(DISK, text.removesuffix(_WRITABLE), text.endswith(_WRITABLE)))
        return found


@contextmanager
def machine_words(arguments: Arguments) -> Iterator[MachineWords]:
    """What the command line asks for; the file of a saved machine is open meanwhile.

    Raises:
        UsageError: Options that do not belong together.
        HostError, FormatError: A file cannot be read, is damaged, or was changed since the machine was saved.
    """
    resume = arguments.optional("resume")
    if arguments.optional("save") is not None and arguments.flag("commit"):
        raise UsageError("--commit: not with --save, whose machine continues on the images as they are")
    if resume is None:
        if arguments.optional("file") is None:
            raise UsageError("firmware run: needs FILE, the firmware, or --resume")
        yield _of_command_line(arguments)
        return
    for name in _ITS_OWN:
        if arguments.flag(name):
            raise UsageError(f"--{name.replace('_', '-')}: the machine in {resume} has its own; leave it out")
    if arguments.flag("commit") and not arguments.words("disk"):
        raise UsageError("--commit: name the image again, with --disk FILE,rw")
    _refuse_td_options(arguments, resume)
    with open_machine_file(resume) as machine:
        yield _of_file(arguments, machine)


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
    files = {role: [file for file in machine.files if file.role == role] for role in (FIRMWARE, KERNEL, INITRD, DISK)}
    if len(files[FIRMWARE]) != 1 or len(files[KERNEL]) > 1:
        raise machine.damaged("it has not one firmware, or more than one kernel")
    firmware = firmware_path(arguments) if arguments.optional("file") is not None else files[FIRMWARE][0].path
    disks = arguments.words("disk") or [file.path + _WRITABLE * file.writable for file in files[DISK]]
    if [text.endswith(_WRITABLE) for text in disks] != [file.writable for file in files[DISK]]:
        wanted = " ".join(f"--disk FILE{_WRITABLE * file.writable}" for file in files[DISK]) or "none"
        raise UsageError(f"--disk: the machine in {machine.path} has other disks: {wanted}")
    paths = [firmware, *(file.path for file in files[KERNEL] + files[INITRD])]
    paths += [text.removesuffix(_WRITABLE) for text in disks]
    for file, path in zip(files[FIRMWARE] + files[KERNEL] + files[INITRD] + files[DISK], paths, strict=True):
        file.check(path)
    for file in machine.files:
        if file.role == SHIM:
            file.check(file.path)
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


def can_be_saved(ending: str) -> bool:
    """Whether a run ended where its machine can go on."""
    return ending in _ENDINGS


def save(path: str, run: FirmwareRun, words: MachineWords, ending: str, drives: Drives) -> list[str]:
    """Save the machine where :func:`can_be_saved` says so; returns lines that say what became of it.

    Raises:
        FormatError: A disk image was changed while the guest used it.
        EngineError, HostError: It cannot be saved.
    """
    from tdvfsh.engine.firmware.saved_run import machine_header, save_run

    if not can_be_saved(ending):
        return [f"tdvfsh: not saved: only --until and the end of the input leave a machine that can go on ({ending})"]
    for drive in drives.drives:
        drive.check_unchanged()
    header = machine_header(
        words.options,
        words.cmdline,
        words.files(),
        real_code_only=words.real_code_only,
        devices=[name for name in DEVICES if words.arguments.flag(name)],
    )
    written = save_run(run, path, header)
    size, unpacked = human_size(written.size), human_size(written.unpacked)
    return [f"tdvfsh: the machine is saved in {path}, {size}: {unpacked} of memory and disks; --resume continues it"]
