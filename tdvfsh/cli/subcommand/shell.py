"""``tdvfsh``, ``tdvfsh -c`` and ``tdvfsh run``: the shell at a prompt, on standard input, or from a file."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from time import monotonic

from tdvfsh.cli.arguments import Arguments
from tdvfsh.errors import FormatError, HostError, MissingError, UsageError, host_error
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.script.program import decode_text
from tdvfsh.session.recording import recording
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.shell import Shell
from tdvfsh.ui.exit_status import exit_status
from tdvfsh.ui.output import sink_for
from tdvfsh.ui.terminal import is_terminal, size_of

if TYPE_CHECKING:
    from tdvfsh.images.catalogue import CatalogueEntry
    from tdvfsh.images.fetch import FetchedImage

_MAXIMUM_SCRIPT: Final = 64 << 20


def run_shell(arguments: Arguments) -> int:
    """Commands of ``-c``; else the prompt on a terminal; else standard input as a script."""
    if arguments.flag("td_json"):
        return _print_td(arguments)
    shell = make_shell(arguments)
    at_terminal = not arguments.words("commands") and sys.stdin is not None and sys.stdin.isatty()
    with recording(shell, arguments.optional("record"), arguments.optional("cast"), monotonic if at_terminal else None):
        return _run_shell(shell, arguments.words("commands"), at_terminal=at_terminal)


def _print_td(arguments: Arguments) -> int:
    from tdvfsh.cli.output import print_json
    from tdvfsh.machine.machine import Machine
    from tdvfsh.report.td_json import td_object

    if arguments.words("commands"):
        raise UsageError("--json and -c: give one of them")
    print_json(td_object(Machine(arguments.td_options())))
    return 0


def _run_shell(shell: Shell, commands: list[str], *, at_terminal: bool) -> int:
    if commands:
        for text in commands:
            shell.run_line(text)
            if shell.exiting or shell.was_interrupted:
                break
        return exit_status(shell)
    if at_terminal:
        from tdvfsh.ui.repl import run_repl

        return run_repl(shell)
    from tdvfsh.ui.stdin import run_stdin

    return run_stdin(shell)


def run_script_file(arguments: Arguments) -> int:
    """A script of the host; the exit status is its ``%lasterror%``."""
    path = find_script(arguments.text("script"))
    text = read_script(path)
    shell = make_shell(arguments)
    with recording(shell, arguments.optional("record"), arguments.optional("cast")):
        shell.run_text(path, text, arguments.words("script_arguments"))
        status = exit_status(shell)
    if arguments.flag("json"):
        from tdvfsh.cli.output import print_json
        from tdvfsh.report.schema import document

        lasterror = shell.last_error_code
        print_json(document("run", {"script": path, "lasterror": lasterror, "exit_status": status}))
    return status


def make_shell(arguments: Arguments) -> Shell:
    """A shell with its file systems mounted; its machine is made when a command needs it.

    Raises:
        UsageError: An invalid TD option or folder.
    """
    out = sys.stderr if arguments.flag("json") else sys.stdout  # standard output is for machines then
    shell = Shell(sink_for(out))
    if is_terminal(out):
        shell.screen_columns = lambda: size_of(out).columns
    shell.td_options = arguments.td_options_or_none()
    shell.fetch_image = _fetch_image
    named = arguments.file_systems()
    folders = {0: ".", **_images_folder(), **named}
    for number in range(max(folders) + 1):
        folder = folders.get(number)
        if folder is None:
            raise UsageError(f"--fs{number} is missing: file systems are numbered without gaps")
        if number in named and os.path.isfile(folder) and not (number == 0 and arguments.flag("fs0_write")):
            _mount_image(shell, number, folder)
            continue
        if number in named and not os.path.isdir(folder):
            raise UsageError(f"--fs{number} {folder}: not a folder and not a disk image that is only read")
        shell.mount(HostFolder(folder, writable=number == 0 and arguments.flag("fs0_write")))
    if arguments.optional("engine") == "cpu":
        from tdvfsh.shell.processor import choose_engine

        choose_engine(shell, "cpu")
    return shell


def _mount_image(shell: Shell, port: int, path: str) -> None:
    """The FAT volumes of a disk image, one after the other, read-only; the image stays open for as long as the shell.

    Raises:
        UsageError: It has none.
        HostError, FormatError: It cannot be read.
    """
    from tdvfsh.engine.storage.drive import Drive as DiskImage
    from tdvfsh.engine.storage.partitions import fat_volumes

    found = fat_volumes(DiskImage(path))
    if not found:
        raise UsageError(f"{path}: a disk image without a FAT volume that can be read")
    for partition, volume in found:
        shell.mount(volume, port=port, partition=None if partition is None else partition.node)


def _fetch_image(entry: CatalogueEntry) -> FetchedImage:
    """Bring an image that a command names, with a bar at a terminal."""
    from tdvfsh.cli.files import fetch_with
    from tdvfsh.cli.progress import unpack_progress

    with unpack_progress() as progress:
        return fetch_with(progress)(entry)


def _images_folder() -> dict[int, str]:
    from tdvfsh.images.folders import cache_path

    return {1: cache_path()}


def find_script(word: str) -> str:
    """The path of a script: a file of that name, else one that comes with tdvfsh, such as ``tour``.

    Raises:
        MissingError: There is neither.
    """
    if os.path.lexists(word) or os.sep in word:
        return word
    own = own_scripts()
    found = own.get(word.removesuffix(".nsh"))
    if found is None:
        raise MissingError(f"{word}: no such file; scripts that come with tdvfsh: {', '.join(own)}")
    return found


def own_scripts() -> dict[str, str]:
    """Paths of the scripts that come with tdvfsh, by name: of the wheel, or of the checkout."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for folder in (os.path.join(package, "scripts"), os.path.join(os.path.dirname(package), "scripts")):
        with suppress(OSError):
            names = sorted(name for name in os.listdir(folder) if name.endswith(".nsh"))
            return {name.removesuffix(".nsh"): os.path.join(folder, name) for name in names}
    return {}


def read_script(path: str) -> str:
    """The text of a host's script.

    Raises:
        HostError, FormatError: It cannot be read, or is not text.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
            raise HostError(f"{path}: {kind}")
        if found.st_size > _MAXIMUM_SCRIPT:
            raise FormatError(path, f"too large for a script ({found.st_size} bytes)")
        with open(path, "rb") as file:
            data = file.read(_MAXIMUM_SCRIPT)
    except FileNotFoundError:
        raise MissingError(f"{path}: no such file") from None
    except OSError as error:
        raise host_error(path, error) from None
    if b"\0" in data and not data.startswith(b"\xff\xfe"):
        raise FormatError(path, "a binary file, not a script", data.index(b"\0"))
    return decode_text(data)
