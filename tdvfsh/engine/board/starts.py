"""How vCPUs begin that wait for the first one: by the mailbox of a TD, or by a start-up message.

Source: ACPI 6.5 5.2.12.19 (Multiprocessor Wakeup); Intel SDM volume 3, 8.4.4 (start-up).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tdvfsh.engine.board.vcpus import Vcpu, Vcpus
from tdvfsh.engine.board.wakeup import WakeupMailbox
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.real_mode import begin_in_real_mode


class VcpuStarts:
    """Starter of the vCPUs that were requested.

    Args:
        cpu: The processor, as after its reset with intercepts on: that is what a vCPU begins with.
        vcpus: The vCPUs.

    Attributes:
        new: The processor's state as it is after a reset.
        mailbox: Where the vCPUs of a TD wait; None where they wait for a message.
    """

    def __init__(self, cpu: Cpu, vcpus: Vcpus) -> None:
        self._cpu = cpu
        self._state = cpu.state
        self._vcpus = vcpus
        self.new = cpu.state.image()
        self.mailbox: WakeupMailbox | None = None

    def wake(self) -> None:
        """Start those that are asked for: by the mailbox, which they look at all the time, or by a message."""
        waiting = self._vcpus.waiting
        if not waiting:
            return
        if self.mailbox is not None:
            asked = self.mailbox.asked(waiting)
            if asked is not None:
                self.start(asked.vcpu, partial(self.mailbox.begin, self._cpu, asked.address))
            return
        for vcpu in waiting:
            page = vcpu.interrupts.apic.start_page
            if page is not None:
                self.start(vcpu, partial(begin_in_real_mode, self._cpu, page))

    def reset(self) -> None:
        """Set the running vCPU to the state after a reset."""
        self._state.set_image(self.new)
        self._state.store()

    def start(self, vcpu: Vcpu, begin: Callable[[], bytes]) -> None:
        """Start a vCPU with the state that ``begin`` makes of a new processor's."""
        now = self._state.image()
        self.reset()
        self._vcpus.start(vcpu, begin())
        self._state.set_image(now)
        self._state.store()
