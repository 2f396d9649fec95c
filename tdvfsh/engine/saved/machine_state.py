"""What every saved machine has in common: its description, the board, memory, disks and the serial console."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tdvfsh import __version__
from tdvfsh.engine.board.board import Board
from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.saved import board as board_state
from tdvfsh.engine.saved.disks import CHUNKS, read_chunks, write_chunks
from tdvfsh.engine.saved.machine_file import ByteWriter, OpenedMachine, SavedFile
from tdvfsh.engine.saved.memory import PAGES, read_pages, write_pages
from tdvfsh.errors import FormatError
from tdvfsh.formats import shapes
from tdvfsh.formats.typed_json import FieldError
from tdvfsh.lazy_typing import Any, Final, NamedTuple
from tdvfsh.machine.options import TdOptions
from tdvfsh.machine.options_file import options_to_dict
from tdvfsh.uefi.disk import Disk

Json = dict[str, Any]

FIRMWARE_RUN: Final = "firmware run"
BOOT: Final = "boot"
SHAPES: Final = {
    "waits": shapes.flag, "board": board_state.SHAPE, "pages": PAGES, "disks": shapes.items(shapes.maybe(CHUNKS)),
    "last_line": shapes.text, "line": shapes.text, "sent_ns": shapes.whole(1 << 80),
}  # fmt: skip
"""The shapes of what :func:`state_to_dict` returns."""


class ConsoleState(NamedTuple):
    """What a serial console has shown: its last line, the one that it is writing, and when its last byte was sent."""

    last_line: str
    line: bytes
    sent_ns: int


def machine_header(
    options: TdOptions,
    cmdline: str,
    files: Sequence[SavedFile],
    *,
    run: str = FIRMWARE_RUN,
    real_code_only: bool = False,
    violation_ve: bool = False,
    grub: bool = False,
    devices: Sequence[str] = (),
) -> Json:
    """What a machine is, for its file.

    Args:
        options: The TD or plain VM.
        cmdline: Command line of the kernel.
        files: The files that the machine uses.
        run: The subcommand that continues it.
        real_code_only: Whether the host does nothing in place of the firmware.
        violation_ve: Whether #VE is delivered for pages that are not accepted, whatever SEPT_VE_DISABLE says.
        grub: Whether a real GRUB has loaded the kernel.
        devices: Virtio devices beside disks, by their options.
    """
    unicorn: Any = cpu_extra("unicorn")
    return {
        "tdvfsh": __version__,
        "unicorn": str(unicorn.__version__),
        "run": run,
        "options": options_to_dict(options),
        "cmdline": cmdline,
        "real_code_only": real_code_only,
        "violation_ve": violation_ve,
        "grub": grub,
        "devices": list(devices),
        "files": [file._asdict() for file in files],
    }


def state_to_dict(board: Board, disks: Sequence[Disk], console: ConsoleState, waits: bool, out: ByteWriter) -> Json:
    """The state of a machine that stands at a stop; pages and chunks are written.

    Args:
        board: The machine.
        disks: Its disks.
        console: Its serial console.
        waits: Whether all vCPUs wait for input, within that stop.
        out: Takes the pages and chunks.

    Raises:
        EngineError: The machine cannot be saved as it is.
    """
    if not waits:
        board.cpu.state.load()
    return {
        "waits": waits,
        "board": board_state.board_to_dict(board),
        "last_line": console.last_line,
        "line": console.line.hex(),
        "sent_ns": console.sent_ns,
        "pages": write_pages(board.ram, out),
        "disks": [write_chunks(disk, out) for disk in disks],
    }


def restore_state(
    machine: OpenedMachine,
    shape: shapes.Shape,
    options: TdOptions,
    board: Board,
    disks: Sequence[Disk],
    rest: Callable[[Json], None],
) -> bool:
    """Set a machine that was made anew, with the arguments of the saved one, to its state.

    Args:
        machine: The file.
        shape: Of the whole state.
        options: What the machine was made with.
        board: The machine.
        disks: Its disks.
        rest: Restores what is not the board's, from the state.

    Returns:
        Whether all vCPUs wait for input.

    Raises:
        FormatError: The file is damaged, or is of another machine.
    """
    if machine.header["options"] != options_to_dict(options):
        raise FormatError(machine.path, "a saved machine that was made with other TD options")
    state = machine.state(shape)
    unicorn: Any = cpu_extra("unicorn")
    try:
        with machine.bytes() as source:
            read_pages(board.ram, state["pages"], source)
            if len(state["disks"]) != len(disks):
                raise FieldError("disks", "are not the machine's")
            for disk, chunks in zip(disks, state["disks"], strict=True):
                read_chunks(disk, chunks, source)
            if source.read(1):
                raise FieldError("pages", "are fewer than the file has")
        board_state.restore_board(board, state["board"])
        rest(state)
    except (FieldError, ValueError, KeyError, TypeError, unicorn.UcError) as error:
        raise machine.damaged(error) from None
    return bool(state["waits"])
