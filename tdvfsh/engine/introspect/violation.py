"""What is known about a place where the guest had to be stopped.

Source: PE sections of the loaded images; the call stack is read from the stack's own words, since EFI code is built
without frame pointers: a word counts as a return address where a call instruction stands right before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.introspect.coff_symbols import symbol_at
from tdvfsh.engine.x86.return_addresses import CALL_REACH, follows_call
from tdvfsh.units import PAGE_SIZE

if TYPE_CHECKING:
    from tdvfsh.engine.runs.guest import GuestFirmware

_STACK_WORDS: Final = 512
_FRAMES: Final = 8
_LONGEST_INSTRUCTION: Final = 15


@dataclass(frozen=True, slots=True)
class Violation:
    """A stop and its circumstances.

    Attributes:
        what: One sentence fragment: what happened.
        address: Guest physical address that was touched; the instruction's for an exception.
        access: ``read``, ``write``, ``fetch``, or ``exception``.
        page_state: SEPT state of the page, or what is there instead.
        instruction_pointer: RIP.
        instruction: Disassembly.
        place: Image, section and offset of the instruction.
        call_stack: Places that the stack says were called from, the innermost first.
        service: The service that the access was made in, if it was firmware's own.
        vcpu: Number of the vCPU, where others run as well.
    """

    what: str
    address: int
    access: str
    page_state: str
    instruction_pointer: int
    instruction: str
    place: str
    call_stack: tuple[str, ...]
    service: str = ""
    vcpu: int | None = None

    @property
    def summary(self) -> str:
        """One line."""
        inside = f" in {self.service}" if self.service else ""
        return f"{self.what}{inside} at {self.place}: {self.instruction}"

    def lines(self) -> list[str]:
        """The report; its first line says it all."""
        lines = [
            f"stopped: {self.what}",
            f"address   {self.address:#x} ({self.access}), page {self.page_state}",
            f"at        {self.place}: {self.instruction}",
        ]
        if self.vcpu is not None:
            lines.append(f"vCPU      {self.vcpu}")
        if self.service:
            lines.append(f"service   {self.service}")
        lines += [f"{'called by' if not number else '':<10}{place}" for number, place in enumerate(self.call_stack)]
        return lines


def page_state(firmware: GuestFirmware, address: int) -> str:
    """The SEPT state of the page that holds ``address``, or what is there instead of private RAM."""
    td = firmware.td
    if not td.ram.contains(address, address + 1):
        return "no RAM"
    if td.shared.get(address):
        return "shared"
    entry = td.sept.entry(address)
    return f"{entry.state.name} ({entry.level.name.removeprefix('LEVEL_')})"


def describe(firmware: GuestFirmware, what: str, address: int, access: str, service: str = "") -> Violation:
    """Everything about the present stop."""
    pointer = firmware.cpu.read("RIP") if not service else firmware.caller_address
    return Violation(
        what,
        address,
        access,
        page_state(firmware, address),
        pointer,
        disassemble(firmware, pointer),
        place(firmware, pointer),
        call_stack(firmware),
        service,
        firmware.system.vcpus.current.number if firmware.system.vcpus.running > 1 else None,
    )


def disassemble(firmware: GuestFirmware, address: int) -> str:
    """The instruction at ``address``."""
    ram = firmware.ram
    size = _LONGEST_INSTRUCTION
    while size and not ram.accessible(address, size):
        size -= 1
    if not size:
        return "no instruction can be read there"
    capstone: Any = cpu_extra("capstone")
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    code = ram.read(address, size)
    for instruction in engine.disasm(code, address):
        return f"{instruction.mnemonic} {instruction.op_str}".strip()
    return f"(bytes {code[:4].hex(' ')})"


def place(firmware: GuestFirmware, address: int) -> str:
    """Image, section and offset that an address lies in; in a running kernel its function."""
    found = firmware.image_at(address)
    if found is None:
        kernel = firmware.symbols
        if kernel is None or not kernel.contains(address):
            return f"{address:#x}"
        return f"kernel {kernel.name(address)} ({address:#x})"
    name, image = found
    offset = address - image.image_base
    section = _section(image, offset)
    symbol = symbol_at(image, offset)
    return f"{name}{section}+{offset:#x}{f' <{symbol}>' if symbol else ''} ({address:#x})"


def _section(image: LoadedImage, offset: int) -> str:
    if image.pe is None:
        return ""
    for section in image.pe.sections:
        size = max(section.virtual_size, section.size_of_raw_data)
        if section.virtual_address <= offset < section.virtual_address + size:
            return f" {section.name}" if section.name else ""
    return ""


def call_stack(firmware: GuestFirmware) -> tuple[str, ...]:
    """Return addresses on the stack that lie behind a call in a loaded image, or in the running kernel."""
    ram = firmware.ram
    at = firmware.cpu.read("RSP") & ~7
    kernel, pointer = firmware.symbols, firmware.cpu.read("RIP")
    if kernel is not None and kernel.contains(pointer):

        def read(address: int, size: int) -> bytes | None:
            return ram.read(address, size) if ram.accessible(address, size) else None

        return kernel.call_chain(at, read, pointer, _FRAMES + 1)[1:]
    places: list[str] = []
    for _ in range(_STACK_WORDS):
        if not ram.accessible(at, 8) or len(places) == _FRAMES:
            break
        word = ram.u64(at)
        if word >= PAGE_SIZE and firmware.image_at(word) is not None and _follows_call(firmware, word):
            places.append(place(firmware, word))
        at += 8
    return tuple(places)


def _follows_call(firmware: GuestFirmware, address: int) -> bool:
    ram = firmware.ram
    return ram.accessible(address - CALL_REACH, CALL_REACH) and follows_call(ram.read(address - CALL_REACH, CALL_REACH))
