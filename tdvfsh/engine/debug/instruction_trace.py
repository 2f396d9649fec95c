"""Every instruction between two stops, a line each, in a file."""

from __future__ import annotations

from pathlib import Path

from tdvfsh.engine.debug.scene import Scene
from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.introspect.describe import disassembled
from tdvfsh.errors import HostError
from tdvfsh.lazy_typing import Any, TextIO


class InstructionTrace:
    """The trace: it begins at the first stop and ends at the next one.

    Args:
        path: The file.

    Raises:
        HostError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file: TextIO = path.open("w", encoding="utf-8")
        except OSError as error:
            raise HostError(f"{path}: {error.strerror}") from None
        self._hook: object = None
        self._over = False
        self._texts: dict[tuple[int, bytes], str] = {}

    def close(self) -> None:
        """The run is over."""
        self._file.close()

    def stopped(self, scene: Scene) -> None:
        """The machine has stopped once more."""
        cpu = scene.board.cpu
        if self._hook is not None:
            cpu.no_stop_at(self._hook)
            self._hook, self._over = None, True
            cpu.uc.ctl_flush_tb()
            self._file.flush()
        elif not self._over:
            unicorn: Any = cpu_extra("unicorn")
            self._hook = cpu.uc.hook_add(unicorn.UC_HOOK_CODE, self._writer(scene))
            cpu.uc.ctl_flush_tb()

    def _writer(self, scene: Scene) -> Any:
        cpu, vcpus, code = scene.board.cpu, scene.board.vcpus, scene.code

        def executed(uc: object, address: int, size: int, data: object) -> None:
            instruction = cpu.fetched(address, size)
            text = self._texts.get((address, instruction))
            if text is None:
                found = disassembled(instruction, address)
                what = found[0][1] if found else f"(bytes {instruction.hex(' ')})"
                text = self._texts[address, instruction] = f"{address:#x} {what}  ; {code.place(address)}"
            self._file.write(f"{vcpus.current.number} {text}\n")

        return executed
