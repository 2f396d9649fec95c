"""A front without gdb: each stop is reported, and the user may look at the machine at a prompt."""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.debug.debugger import Debugger
from tdvfsh.engine.debug.gdb.server import KilledByDebugger
from tdvfsh.engine.debug.halt import Cause, Halt, Resume
from tdvfsh.engine.debug.instruction_trace import InstructionTrace
from tdvfsh.engine.debug.names import find
from tdvfsh.engine.debug.scene import Scene
from tdvfsh.lazy_typing import Final, Protocol

CONTROL: Final = {
    "continue": "run on to the next stop",
    "step": "execute one instruction",
    "break PLACE": "stop at a symbol, an address or service:NAME",
    "delete PLACE": "no longer stop there",
    "quit": "end the run",
}
"""What a prompt at a stop understands besides the commands of its shell."""


class StopShell(Protocol):
    """The shell at a prompt.

    Attributes:
        vcpu: The vCPU that has halted.
    """

    vcpu: int

    def run_line(self, text: str, /) -> object:
        """Run a line, and print what it says."""
        ...


class StopReports:
    """The front.

    Args:
        note: Takes lines for the user.
        ask: Returns a line that the user types at a prompt, None at the end of input.
    """

    def __init__(self, note: Callable[[str], None], ask: Callable[[str], str | None]) -> None:
        self._note = note
        self._ask = ask
        self._scene: Scene | None = None
        self._debugger: Debugger | None = None
        self._shell: StopShell | None = None
        self._trace: InstructionTrace | None = None

    def serve(self, scene: Scene, debugger: Debugger, shell: StopShell | None, trace: InstructionTrace | None) -> None:
        """What is debugged.

        Args:
            scene: The machine.
            debugger: Its debugger.
            shell: The shell of a prompt at each stop; None for no prompts.
            trace: Takes the instructions between the first two stops; None for none.
        """
        self._scene, self._debugger, self._shell, self._trace = scene, debugger, shell, trace

    def halted(self, halt: Halt) -> Resume:
        """Report the stop, and ask the user what is next.

        Raises:
            KilledByDebugger: The user ends the run.
        """
        assert self._scene is not None
        if halt.cause is Cause.END and self._shell is None:
            return Resume()
        for line in self._report(halt):
            self._note(line)
        if self._trace is not None and halt.cause in (Cause.BREAKPOINT, Cause.EVENT, Cause.WATCHPOINT):
            self._trace.stopped(self._scene)
        return Resume() if self._shell is None else self._prompt(halt, self._shell)

    def interrupts(self) -> bool:
        """Nothing interrupts it."""
        return False

    def _report(self, halt: Halt) -> list[str]:
        assert self._scene is not None
        board, code = self._scene.board, self._scene.code
        several = f"vCPU {halt.vcpu}, " if len(board.vcpus.all) > 1 else ""
        what = f"{halt.cause.value}: {halt.text}" if halt.text else halt.cause.value
        lines = [f"stop: {several}{what}, at {code.place(board.cpu.read('RIP'))}"]
        if halt.cause not in (Cause.STEP, Cause.START):
            lines += [f"  called by {place}" for place in code.call_stack(board.cpu, board.ram)[:4]]
        return lines

    def _prompt(self, halt: Halt, shell: StopShell) -> Resume:
        shell.vcpu = halt.vcpu
        while True:
            line = self._ask("stopped> ")
            words = (line or "").split()
            if line is None or (words and words[0] in ("continue", "c")):
                return Resume()
            if not words:
                continue
            if words[0] in ("quit", "exit", "q"):
                if halt.cause is Cause.END:
                    return Resume()
                raise KilledByDebugger("ended at the prompt")
            if words[0] in ("step", "s") and halt.cause is not Cause.END:
                return Resume(step=halt.vcpu)
            if words[0] in ("break", "delete") and len(words) == 2:
                self._change(words[0], words[1])
            else:
                shell.run_line(line)

    def _change(self, what: str, place: str) -> None:
        assert self._debugger is not None
        assert self._scene is not None
        address = find(self._scene, place)
        if address is None:
            self._note(f"{place}: no such address or symbol is known here")
        elif what == "break":
            self._debugger.breakpoints.add(address, "prompt")
            self._note(f"break at {self._scene.code.place(address)}")
        else:
            self._debugger.breakpoints.remove(address, "prompt")
