"""Guest code on the CPU engine beside the same bytes on bare Unicorn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

import unicorn

from tdvfsh.boots.modelled_boot import boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
from tdvfsh.machine.options import TdOptions
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.units import GIB
from tests.bench.images import pair
from tests.bench.measure import Figure, interleave
from tests.engine.assembler import Program
from tests.engine.programs import guest, load

GROUP: Final = "engine"
_TURNS: Final = 20_000_000
_CALLS: Final = 1000
_TPL_APPLICATION: Final = 4
_CODE: Final = 0x1000


def figures() -> list[Figure]:
    """A counting loop of 40 million instructions; a boot service called a thousand times."""
    loop = f"48C7C1{_TURNS.to_bytes(4, 'little').hex()}48FFC975FB"  # mov rcx, turns; dec rcx; jnz back
    with ExitStack() as stack:
        counting = _starter(stack, Program().raw(loop).ret(0))
        nothing = _starter(stack, Program().ret(0))
        program = Program()
        for _ in range(_CALLS):
            program.mov("rcx", _TPL_APPLICATION).boot("RestoreTPL")
        calling = _starter(stack, program.ret(0))
        code = bytes.fromhex(loop)
        medians = interleave(
            {
                "counting": counting,
                "bare": _bare(code),
                "calling": calling,
                "nothing": nothing,
            },
            rounds=5,
        )
    with pair() as files, open_boot_files(files.kernel, [files.initrd], "nokaslr") as opened:
        options = TdOptions(memory=2 * GIB)
        boots = interleave(
            {"real": lambda: boot_on_cpu(options, opened.boot), "model": lambda: boot(options, opened.boot)}, rounds=3
        )
        real = files.real
    call = (medians["calling"] - medians["nothing"]) / _CALLS
    return [
        Figure(GROUP, "40 million instructions", "Unicorn alone", medians["counting"], medians["bare"]),
        Figure(GROUP, "start and end of a program", "", medians["nothing"]),
        Figure(GROUP, "one service call of guest code", "", call),
        Figure(GROUP, "a boot whose EFI stub really runs", "modelled stub", boots["real"], boots["model"])
        if real
        else Figure(GROUP, "a boot whose EFI stub really runs", "modelled stub", skipped="a made kernel has no code"),
    ]


def _starter(stack: ExitStack, program: Program) -> Callable[[], object]:
    firmware, _ = stack.enter_context(guest())
    image = program.image()

    def run() -> None:
        assert firmware.services.start_image(load(firmware, image)).status is SUCCESS

    return run


def _bare(code: bytes) -> Callable[[], object]:
    engine: Any = vars(unicorn)["Uc"](unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    engine.mem_map(_CODE, 0x2000)
    engine.mem_write(_CODE, code)
    return lambda: engine.emu_start(_CODE, _CODE + len(code))
