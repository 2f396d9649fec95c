"""The description of a stop: page, instruction, place and call stack, for :class:`Violation`."""

from __future__ import annotations

from functools import cache

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.introspect.known_code import KnownCode
from tdvfsh.engine.violation import Violation
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.td.trust_domain import TrustDomain

_LONGEST_INSTRUCTION: Final = 15


@dataclass(frozen=True, slots=True)
class StopScene:
    """What a description of a stop is made from.

    Attributes:
        cpu: The processor, with the registers of the vCPU that runs.
        ram: Its memory.
        td: The trust domain.
        code: Names for code.
    """

    cpu: Cpu
    ram: GuestRam
    td: TrustDomain
    code: KnownCode

    def describe(
        self,
        what: str,
        address: int,
        access: str,
        *,
        service: str = "",
        pointer: int | None = None,
        vcpu: int | None = None,
    ) -> Violation:
        """The present stop.

        Args:
            what: One sentence fragment: what happened.
            address: Guest physical address that was touched.
            access: ``read``, ``write``, ``fetch``, or ``exception``.
            service: The service that firmware touched it for.
            pointer: Where it happened; RIP where None.
            vcpu: Number of the vCPU, where others run too.
        """
        pointer = self.cpu.read("RIP") if pointer is None else pointer
        return Violation(
            what=what,
            address=address,
            access=access,
            page_state=page_state(self.td, address),
            instruction_pointer=pointer,
            instruction=disassemble(self.ram, pointer),
            place=self.code.place(pointer),
            call_stack=self.code.call_stack(self.cpu, self.ram),
            service=service,
            vcpu=vcpu,
        )


def page_state(td: TrustDomain, address: int) -> str:
    """The SEPT state of the page that holds ``address``, or what is there instead of private RAM."""
    if not td.ram.contains(address, address + 1):
        return "no RAM"
    if td.shared.get(address):
        return "shared"
    entry = td.sept.entry(address)
    return f"{entry.state.name} ({entry.level.name.removeprefix('LEVEL_')})"


def disassemble(ram: GuestRam, address: int) -> str:
    """The instruction at ``address``."""
    size = _LONGEST_INSTRUCTION
    while size and not ram.accessible(address, size):
        size -= 1
    if not size:
        return "no instruction can be read there"
    code = ram.read(address, size)
    found = disassembled(code, address, 1)
    return found[0][1] if found else f"(bytes {code[:4].hex(' ')})"


def disassembled(code: bytes, address: int, count: int = 0, bits: int = 64) -> list[tuple[int, str]]:
    """Address and text of each instruction of ``code``, ``count`` at most (0: all), as far as they can be read."""
    capstone: Any = cpu_extra("capstone")
    engine = capstone.Cs(capstone.CS_ARCH_X86, getattr(capstone, f"CS_MODE_{bits}"))
    return [(each.address, f"{each.mnemonic} {each.op_str}".strip()) for each in engine.disasm(code, address, count)]


def instruction_size(code: bytes, address: int) -> int:
    """Bytes of the 64-bit instruction that ``code`` begins with; 0 where it is not one."""
    found = next(_disassembler().disasm_lite(code, address, 1), None)
    return 0 if found is None else int(found[1])


@cache
def _disassembler() -> Any:
    capstone: Any = cpu_extra("capstone")
    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
