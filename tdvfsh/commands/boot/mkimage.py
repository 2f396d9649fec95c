"""``mkimage``: kernels and initrds of any size, where no real ones were fetched."""

from __future__ import annotations

from tdvfsh.errors import TdvfshError, UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Flag, Option, Text
from tdvfsh.shell.machine_binding import status_of_error

if TYPE_CHECKING:
    from pathlib import Path

    from tdvfsh.shell.shell import Shell

_FOLDER = "made"
_REAL_PAIR = "installer-13"
_KINDS = ("kernel", "initrd")


@command("mkimage", profile="td")
def mkimage(
    shell: Shell,
    kind: Text,
    name: Text = "",
    *,
    size: Annotated[Text, Option("-size")] = "",
    init_size: Annotated[Text, Option("-init-size")] = "",
    image_size: Annotated[Text, Option("-image-size")] = "",
    output_len: Annotated[Text, Option("-output-len")] = "",
    compress: Annotated[Text, Option("-compress")] = "",
    no_unaccepted: Annotated[Flag, Option("-no-unaccepted")] = False,
    kernel: Annotated[FilePath, Option("-kernel")] = "",
    initrd: Annotated[FilePath, Option("-initrd")] = "",
    cmdline: Annotated[Text, Option("-cmdline")] = "",
) -> ShellStatus:
    """Make a valid kernel, initrd or unified kernel image among the fetched images.

    SYNOPSIS:
        mkimage pair
        mkimage kernel name -size bytes -init-size bytes [-image-size bytes] [-output-len bytes]
                [-no-unaccepted]
        mkimage initrd name -size bytes [-compress format]
        mkimage uki name -kernel file [-initrd file] [-cmdline text]

    OPTIONS:
        pair: Set the variables 'kernel' and 'initrd' to Debian 13's installer where it was fetched, else to made files
            of its sizes.
        -size: Size of the file, such as 12M.
        -init-size: What the kernel wants for unpacking.
        -image-size: SizeOfImage of the kernel's PE header.
        -output-len: What the kernel's payload unpacks to.
        -no-unaccepted: The kernel knows nothing of unaccepted memory.
        -kernel, -initrd: Files that go into a unified kernel image.
        -cmdline: Its command line.
        -compress: gzip, bzip2, lzma, xz, lzo, lz4 or zstd; a plain cpio archive without it.

    DESCRIPTION:
        The file is made in the folder 'made' of the image cache, which is FS1: unless another folder was mounted there.
        It is mostly a hole, and always holds the same bytes for the same sizes. One that exists is left as it is.

    EXAMPLES:
        mkimage initrd big.cpio -size 600M

    RETURNVALUES:
        SUCCESS: It is there.
        INVALID_PARAMETER: An invalid size, or a name with a path in it.
    """
    from tdvfsh.images.make import make_initrd, make_kernel
    from tdvfsh.units import human_size, parse_size

    try:
        if kind == "pair":
            return _pair(shell)
        if kind == "uki":
            return _uki(shell, name, kernel, initrd, cmdline)
        if kind not in _KINDS:
            raise UsageError(f"'{kind}' is not one of pair, uki, {', '.join(_KINDS)}")
        _check_name(name)
        if not size:
            raise UsageError("-size is missing")
        path = _folder(shell) / name
        wanted = parse_size(size)
        if not (path.is_file() and path.stat().st_size == wanted):
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "initrd":
                make_initrd(path, wanted, compress or None)
            elif not init_size:
                raise UsageError("-init-size is missing")
            else:
                make_kernel(
                    path,
                    wanted,
                    parse_size(init_size),
                    size_of_image=parse_size(image_size) if image_size else None,
                    output_len=parse_size(output_len) if output_len else None,
                    unaccepted_memory=not no_unaccepted,
                )
    except TdvfshError as error:
        shell.print(f"mkimage: {error}\n")
        return status_of_error(error)
    except OSError as error:
        shell.print(f"mkimage: {name}: {error.strerror or error}\n")
        return ShellStatus.DEVICE_ERROR
    shell.print(f"{kind} {_FOLDER}\\{name}: {human_size(wanted)}\n")
    return ShellStatus.SUCCESS


def _folder(shell: Shell) -> Path:
    """Where images are made: the cache that FS1: shows, or what stands for it in a replay."""
    from pathlib import Path

    from tdvfsh.images.folders import cache_path

    return Path(shell.images_folder or cache_path()) / _FOLDER


def _check_name(name: str) -> None:
    if not name or any(character in name for character in "/\\:*?\0") or name.startswith("."):
        raise UsageError(f"'{name}' is not a plain file name")


def _uki(shell: Shell, name: str, kernel: str, initrd: str, cmdline: str) -> ShellStatus:
    """A unified kernel image out of files on the shell's drives; always made anew."""
    from tdvfsh.images.make import make_uki
    from tdvfsh.shell.host_files import host_path
    from tdvfsh.units import human_size

    _check_name(name)
    if not kernel:
        raise UsageError("-kernel is missing")
    path = _folder(shell) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    make_uki(path, host_path(shell, kernel), host_path(shell, initrd) if initrd else None, cmdline)
    shell.print(f"uki {_FOLDER}\\{name}: {human_size(path.stat().st_size)}\n")
    return ShellStatus.SUCCESS


def _pair(shell: Shell) -> ShellStatus:
    """Name a kernel and its initrd on FS1: in two variables, and say which they are."""
    from tdvfsh.images.fetch import fetched
    from tdvfsh.images.stand_in import stand_in_pair

    real = fetched(_REAL_PAIR)
    if real is not None:
        kernel, initrd = real.files["kernel"], real.files["initrd"]
        folder, source = _REAL_PAIR, f"{real.package} {real.version}"
    else:
        made = stand_in_pair(_folder(shell))
        kernel, initrd, folder, source = made.kernel, made.initrd, _FOLDER, made.source
    for name, path in (("kernel", kernel), ("initrd", initrd)):
        shell.environment.set_internal(name, f"fs1:\\{folder}\\{path.name}", volatile=True)
    shell.print(f"kernel and initrd: {source}\n")
    return ShellStatus.SUCCESS
