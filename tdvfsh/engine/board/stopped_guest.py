"""The guest as it stands at a stop: its code, its memory, and the exceptions that it is given.

Source: Intel TDX module 1.5 base specification (#VE); Intel SDM volume 3, chapter 6.
"""

from __future__ import annotations

from collections import Counter

from tdvfsh.engine.board.hardware import Hardware
from tdvfsh.engine.board.host import BoardHost
from tdvfsh.engine.board.vcpus import Vcpus
from tdvfsh.engine.errors import GuestStopped
from tdvfsh.engine.introspect.describe import StopScene
from tdvfsh.engine.tdx.vcpu import VirtualizationInfo
from tdvfsh.engine.violation import Violation
from tdvfsh.engine.x86.delivery import deliver
from tdvfsh.engine.x86.exceptions import exception_name
from tdvfsh.engine.x86.instructions import intercepts
from tdvfsh.engine.x86.page_walk import walk
from tdvfsh.engine.x86.processor_state import CODE_64, CS
from tdvfsh.lazy_typing import Final
from tdvfsh.units import PAGE_SIZE

DOUBLE_FAULT: Final = 8
GENERAL_PROTECTION: Final = 13
VIRTUALIZATION: Final = 20
_RSP: Final = 4
_PROCESSOR_KEEPS: Final = 0xCD5  # OF DF SF ZF AF PF CF
_LONGEST_INSTRUCTION: Final = 15
_PAGING: Final = 1 << 31


class RunningGuest:
    """The guest as what answers a stop sees it: its processor, memory and exceptions.

    Args:
        hardware: Its processor and memory.
        host: What it was started for.
        vcpus: The vCPUs, of which one runs.

    Attributes:
        is_linux: Whether a Linux kernel runs, which asks what TD it is in before it handles any #VE.
        counts: How often it left for the module, the VMM and devices, by what it wanted.
    """

    def __init__(self, hardware: Hardware, host: BoardHost, vcpus: Vcpus) -> None:
        self.hardware = hardware
        self.host = host
        self.vcpus = vcpus
        self.cpu = hardware.cpu
        self.state = hardware.cpu.state
        self.ram = hardware.ram
        self.td = hardware.td
        self.clock = hardware.clock
        self.is_linux = False
        self.counts: Counter[str] = Counter()
        self._loaded = False
        self._translations: dict[int, int | None] = {}

    @property
    def in_firmware(self) -> bool:
        """Whether the interrupt table is still the host's, whose own handler answers every #VE."""
        return self.state.interrupt_table.base == self.host.interrupt_table

    # ---- memory and code ----------------------------------------------------------------------------------------

    def load(self) -> None:
        """A stop begins: take the processor's state."""
        self.state.load()
        self._loaded = True
        self._translations.clear()

    def store(self) -> None:
        """The stop is over: release it."""
        self.state.store()
        self._loaded = False

    def translate(self, page: int) -> int | None:
        """Physical address of a linear one, for reads of guest memory; during a stop each is looked up once."""
        if not self._loaded:
            return self._walk(page, self.cpu.read("CR3"), self.cpu.read("CR4"))
        known = self._translations
        if page not in known:
            known[page] = self._walk(page, self.state.control(3), self.state.control(4))
        return known[page]

    def turned(self) -> None:
        """Another vCPU's state was loaded."""
        self._translations.clear()

    @property
    def _paged(self) -> bool:
        return bool((self.state.control(0) if self._loaded else self.cpu.read("CR0")) & _PAGING)

    def _walk(self, page: int, table: int, mode: int) -> int | None:
        if not self._paged:
            return page
        found = walk(self.ram.view, table, page, self.td.shared_mask, mode)
        return None if found is None else found.physical & ~self.td.shared_mask

    def code(self) -> bytes:
        """What stands at the instruction pointer, as far as it can be read."""
        at, read = self.state.instruction_pointer, self.cpu.memory.read
        if not self.state.hidden_flags & CODE_64:
            at += self.state.segment(CS).base
        first = min(_LONGEST_INSTRUCTION, PAGE_SIZE - at % PAGE_SIZE)
        if first == _LONGEST_INSTRUCTION and (code := self.cpu.fetched(at, first)):
            return code
        code = read(at, first) or b""
        rest = read(at + first, _LONGEST_INSTRUCTION - first) if code and first < _LONGEST_INSTRUCTION else None
        return code + (rest or b"")

    def skip(self) -> None:
        """Continue after the instruction that exited."""
        self.state.instruction_pointer += intercepts.instruction_length(self.code())

    # ---- exceptions ---------------------------------------------------------------------------------------------

    def flags(self) -> int:
        """RFLAGS: the arithmetic ones from the processor, the others from the state as it is now."""
        return self.cpu.read("EFLAGS") & _PROCESSOR_KEEPS | self.state.system_flags & ~_PROCESSOR_KEEPS | 2

    def deliver(self, vector: int, error_code: int | None = None) -> bool:
        """Begin a handler of the guest's; False where it has none."""
        self.vcpus.current.interrupts.give_up_stepping()
        return deliver(self.state, self.cpu.memory, self.flags(), vector, error_code)

    def raise_exception(self, vector: int, error_code: int | None = None) -> None:
        """Deliver an exception or interrupt.

        Raises:
            GuestStopped: No handler, or no stack for it.
        """
        if not self.deliver(vector, error_code):
            what, address, kind = f"exception {exception_name(vector)}", self.state.instruction_pointer, "exception"
            stack = self._unaccepted_stack()
            if stack is not None:
                what, address, kind = f"write of memory that is not accepted, {stack:#x}, for {what}", stack, "write"
            self.stop(what, address, kind)

    def stop(self, what: str, address: int, kind: str) -> None:
        """End the run at an address that is not memory of the guest, or at an exception without a handler.

        Raises:
            GuestStopped: Always.
        """
        self.state.store()
        raise GuestStopped(self.describe(what, address, kind))

    def describe(
        self, what: str, address: int, kind: str, *, service: str = "", pointer: int | None = None
    ) -> Violation:
        """The present stop; for an access that a service of the host made, its name and where it was called from."""
        scene = StopScene(self.cpu, self.ram, self.td, self.host.code)
        vcpu = self.vcpus.current.number if self.vcpus.running > 1 else None
        return scene.describe(what, address, kind, service=service, pointer=pointer, vcpu=vcpu)

    def _unaccepted_stack(self) -> int | None:
        """The page below the stack pointer, if it is RAM that is not accepted."""
        linear = (self.state.register(_RSP) & ~0xF) - 8
        physical = self.translate(linear) if self.ram.paging is not None else linear
        if physical is None or not self.td.ram.contains(physical, physical + 1):
            return None
        return None if self.ram.accessible(linear, 8) else physical

    def virtualization_exception(self, info: VirtualizationInfo) -> None:
        """#VE; a second one before the guest has asked about the first is a double fault."""
        vcpu = self.vcpus.current.td
        if vcpu.virtualization is not None:
            self.raise_exception(DOUBLE_FAULT, 0)
            return
        self.counts["#VE"] += 1
        vcpu.virtualization = info
        self.raise_exception(VIRTUALIZATION)

    def exit_to_vmm(self, reason: int, qualification: int = 0, length: int | None = None) -> None:
        """#VE for the instruction at the instruction pointer, of ``length`` bytes where that is known."""
        if length is None:
            length = intercepts.instruction_length(self.code())
        self.virtualization_exception(VirtualizationInfo(reason, qualification, instruction_length=length))
