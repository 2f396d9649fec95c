"""Calls in both directions: the host calls guest code, and guest code calls services through their stubs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from operator import and_

from tdvfsh.engine.abi.journal import CallJournal
from tdvfsh.engine.abi.service_table import Answer, Service
from tdvfsh.engine.abi.stubs import RETURN, Stubs
from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.limit import check_count
from tdvfsh.engine.errors import EngineError, GuestStopped, InaccessibleMemory, ReachedOperatingSystem
from tdvfsh.engine.introspect.kernel_symbols import KernelSymbols
from tdvfsh.engine.introspect.loaded_code import LoadedCode
from tdvfsh.engine.runs.observer import RunObserver
from tdvfsh.engine.runs.rest import RestingPlace
from tdvfsh.engine.services.waiting import Idleness
from tdvfsh.engine.x86.stop import Stop, StopKind
from tdvfsh.lazy_typing import Final, NoReturn
from tdvfsh.machine.machine import Machine

_KERNEL: Final = "kernel"
MOST_NESTED: Final = 40
"""Calls of guest code inside each other. Firmware has no such bound; its stack of 128 KiB ends it some hundred deep."""
MOST_CALL_RECORDS: Final = 1_000_000
"""Journal records of one program that calls services, half a kilobyte each."""
_SHOWN: Final = 4


class GuestCalls:
    """Executor of guest code until it returns, which serves what it calls.

    Args:
        machine: The machine; its journal names the caller of each service.
        board: The board; it handles stops that are not calls.
        stubs: The services.
        code: Names for callers; it learns of the kernel.
        observer: Notified of services and of an operating system.
        runs_systems: Whether an operating system is run on; without that the run ends at its first instruction.
        protect: Brings the page tables up to date with what services have changed.

    Attributes:
        idleness: How long guest code has done nothing but wait.
        rest: Where the run ends if its machine is to be saved; None where it is not.
    """

    def __init__(
        self,
        *,
        machine: Machine,
        board: Board,
        stubs: Stubs,
        code: LoadedCode,
        observer: RunObserver,
        runs_systems: bool,
        protect: Callable[[], None],
    ) -> None:
        self._machine = machine
        self._board = board
        self._ram, self._cpu = board.ram, board.cpu
        self._stubs = stubs
        self._code = code
        self._observer = observer
        self._runs_systems = runs_systems
        self._protect = protect
        self._journal = CallJournal(machine, board.ram)
        self._serving: list[str] = []
        self._depth = 0
        self._first_record = 0
        self.idleness = Idleness()
        self.rest: RestingPlace | None = None

    def call(self, function: int, *arguments: int) -> int:
        """Call guest code with up to any number of 64-bit arguments; returns RAX.

        Raises:
            GuestStopped: It touched what it must not, or is the last of too many calls inside each other.
        """
        if self._depth == MOST_NESTED:
            self._refuse_nesting(function)
        self._board.map_accepted()  # the shell, too, accepts
        self._protect()
        cpu = self._cpu
        outer = cpu.read("RSP")
        rest = arguments[4:]
        stack = (outer - 8 * (4 + len(rest))) & ~0xF
        if rest:
            self._ram.write(stack + 32, struct.pack(f"<{len(rest)}Q", *rest))
        for register, value in zip(("RCX", "RDX", "R8", "R9"), arguments, strict=False):
            cpu.write(register, value)
        self._ram.put_u64(stack - 8, self._stubs.return_address)
        cpu.write("RSP", stack - 8)
        caller = self._machine.trace.caller
        if not self._depth:
            self._board.begin_journal()
            self._first_record = len(self._machine.trace)
        self._depth += 1
        try:
            answer = self._run(function)
        finally:
            self._depth -= 1
        self._machine.trace.caller = caller
        cpu.write("RSP", outer)
        return answer

    def _refuse_nesting(self, function: int) -> None:
        """Stop at what would use up firmware's stack, with the services that brought it so far."""
        names = ", ".join(list(dict.fromkeys(reversed(self._serving)))[:_SHOWN])
        what = f"no stack left: {MOST_NESTED} calls of guest code inside each other, by {names}"
        raise GuestStopped(self._board.describe(what, function, "exception", service=self._serving[-1]))

    def _run(self, address: int) -> int:
        """Run until the callback's return stub is reached, serving what is asked."""
        cpu, stubs = self._cpu, self._stubs
        while True:
            stop = cpu.run(address)
            number = 0 if stop.kind is StopKind.BLOCKS else stubs.take_number()
            if number == RETURN:
                return stubs.answer
            if number:
                address = stubs.answer_with(number, self._serve(number, stubs.stack))
            elif stop.kind is StopKind.WATCHED:
                address = self._entered_system(stop)
            else:
                address = self._board.after(stop) if self.rest is None else self.rest.after(stop)

    def _entered_system(self, stop: Stop) -> int:
        """The operating system's first instruction."""
        if not self._runs_systems:
            raise ReachedOperatingSystem
        self.system_runs(self._observer.entering_system())
        if self.rest is not None:
            self.rest.begin()
        return stop.address

    def system_runs(self, kernel: KernelSymbols | None) -> None:
        """An operating system has the machine from here on; ``kernel`` is None for no Linux kernel."""
        self._code.kernel = kernel
        self._code.other = _KERNEL
        self._board.entered_system(is_linux=kernel is not None)

    def continue_system(self, waits: bool) -> NoReturn:
        """Run an operating system on that was saved and whose state was restored, until its run ends.

        Args:
            waits: Whether it was saved where all vCPUs waited for input.

        Raises:
            EngineError: Its run has ended.
        """
        self._board.begin_journal()
        self._depth = 1
        self._first_record = len(self._machine.trace)
        if self.rest is not None:
            self.rest.begin()
        self._run(self._board.resume(waits))
        raise EngineError("the operating system has returned to the firmware")

    def _serve(self, number: int, stack: int) -> int:
        """Serve the call of stub ``number``; returns RAX."""
        services = self._stubs.services
        service = services[number] if number < len(services) else None
        if service is None:
            raise EngineError(f"the program has overwritten the firmware's own memory: there is no service {number:#x}")
        caller = self._ram.u64(stack) if self._ram.accessible(stack, 8) else 0
        self.idleness.served(service.name)
        self._board.check_limit()
        check_count(len(self._machine.trace) - self._first_record, "journal records of a program", MOST_CALL_RECORDS)
        self._machine.trace.caller = self._code.name(caller)
        self._serving.append(service.name)
        try:
            answer = self._answer(service, stack)
        except InaccessibleMemory as bad:
            kind = "write" if bad.write else "read"
            what = f"{kind} of memory that is not accepted, {bad.address:#x}, by the firmware for its caller"
            raise GuestStopped(
                self._board.describe(what, bad.address, kind, service=service.name, pointer=caller)
            ) from None
        finally:
            self._serving.pop()
        self._board.map_accepted()
        self._protect()
        self._observer.served(service.name, caller)
        return int(answer) if answer is not None else 0

    def _answer(self, service: Service, stack: int) -> Answer:
        arguments = stack + 8
        if service.variadic:
            return self._journal.serve_variadic(service, arguments)
        values = service.form.unpack(self._ram.read(arguments, service.form.size))
        return self._journal.serve(service, tuple(map(and_, values, service.masks)))
