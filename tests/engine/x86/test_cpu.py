"""What stops the processor, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.engine.x86.stop import StopKind
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.units import MIB

unicorn: Any = pytest.importorskip("unicorn", reason="the CPU engine is not installed: extra [cpu]")


class FailingLibrary:
    """Unicorn as it is when another thread stops it at an instruction that it does not know: no hook is called.

    Seen at a TDCALL of real firmware when Ctrl-C came.
    """

    def __init__(self, real: Any, meanwhile: Callable[[], None]) -> None:
        self._real = real
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def uc_emu_start(self, *arguments: object) -> int:
        self._meanwhile()
        return int(unicorn.UC_ERR_INSN_INVALID)


@pytest.fixture
def cpu() -> Iterator[Cpu]:
    ram = GuestRam(TrustDomain(RamLayout.q35(128 * MIB), td=False))
    made = Cpu(ram, lambda: 0)
    yield made
    made.close()


def test_a_run_that_the_limit_stops_ends_so_whatever_instruction_it_was_at(cpu: Cpu) -> None:
    def tick() -> None:
        cpu._ticked = True

    cpu._library = FailingLibrary(cpu._library, tick)
    assert cpu.run(0x1000).kind is StopKind.LIMIT


def test_a_device_s_failure_is_told_and_not_the_emulator_s_that_it_leads_to(cpu: Cpu) -> None:
    cpu._library = FailingLibrary(cpu._library, lambda: cpu._fail(OSError("the disk is gone")))
    with pytest.raises(OSError, match="the disk is gone"):
        cpu.run(0x1000)


def test_the_emulator_s_own_failure_is_told_with_its_place(cpu: Cpu) -> None:
    cpu._library = FailingLibrary(cpu._library, lambda: cpu.write("RIP", 0x1234))
    with pytest.raises(EngineError, match="the emulator gave up at 0x1234: Invalid instruction"):
        cpu.run(0x1000)
