"""What CPUID of the emulated processor says, asked of a processor of the same kind that does nothing else."""

from __future__ import annotations

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.lazy_typing import Any

_CODE = bytes.fromhex("0fa2")
_ADDRESS = 0x1000


class NativeCpuid:
    """CPUID leaves as the host's instruction returns them, each executed once.

    Args:
        model: Unicorn's number of the processor model.
    """

    def __init__(self, model: int) -> None:
        unicorn: Any = cpu_extra("unicorn")
        self._registers: Any = cpu_extra("unicorn.x86_const")
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self._uc.ctl_set_cpu_model(model)
        self._uc.mem_map(_ADDRESS, 0x1000)
        self._uc.mem_write(_ADDRESS, _CODE)
        self._known: dict[tuple[int, int], tuple[int, int, int, int]] = {}

    def __call__(self, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        """EAX, EBX, ECX, EDX."""
        key = leaf, subleaf
        if key not in self._known:
            uc, registers = self._uc, self._registers
            uc.reg_write(registers.UC_X86_REG_RAX, leaf)
            uc.reg_write(registers.UC_X86_REG_RCX, subleaf)
            uc.emu_start(_ADDRESS, _ADDRESS + len(_CODE))
            names = ("EAX", "EBX", "ECX", "EDX")
            a, b, c, d = (int(uc.reg_read(getattr(registers, f"UC_X86_REG_{name}"))) for name in names)
            self._known[key] = a, b, c, d
        return self._known[key]
