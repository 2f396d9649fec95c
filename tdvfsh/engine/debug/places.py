"""Breakpoints and watchpoints: hooks at their own addresses only, so that all other code runs as fast as ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tdvfsh.engine.debug.halt import Access
from tdvfsh.engine.debug.target import Target
from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.x86.cpu import Stop, StopKind
from tdvfsh.units import PAGE_SIZE

_LARGEST_WATCH: Final = 1 << 20


class Seen(NamedTuple):
    """An access to watched memory, while its instruction has not ended.

    Attributes:
        watch: The watchpoint.
        address: Linear address that was touched first.
        pointer: The instruction.
        physical: Physical address of the access.
        before: What stood there.
        wrote: Whether it was a write.
    """

    watch: Watch
    address: int
    pointer: int
    physical: int
    before: bytes
    wrote: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """A watchpoint.

    Attributes:
        address: Linear address, or a physical one.
        size: Bytes.
        access: What it waits for.
        physical: Whether the address is physical.
    """

    address: int
    size: int
    access: Access
    physical: bool = False


class Breakpoints:
    """Breakpoints by linear address, for all vCPUs. Changed only while the machine stands still.

    Args:
        target: The machine.

    Attributes:
        passing: The address of a breakpoint to be passed once, since the machine has halted there.
        quiet: Whether breakpoints are off.
    """

    def __init__(self, target: Target) -> None:
        self._cpu = target.board.cpu
        self._hooks: dict[int, object] = {}
        self._owners: dict[int, dict[str, str]] = {}
        self.passing: int | None = None
        self.quiet = False

    def __contains__(self, address: int) -> bool:
        return address in self._hooks

    def owners(self, address: int) -> dict[str, str]:
        """Who has set a breakpoint at an address, and what each says of it."""
        return self._owners.get(address, {})

    def add(self, address: int, owner: str, text: str = "") -> None:
        """Set a breakpoint; each owner has its own, of which ``text`` is said where it is reached."""
        self._owners.setdefault(address, {})[owner] = text
        if address not in self._hooks:
            self._hooks[address] = self._cpu.stop_at(address, lambda: self._reached(address), StopKind.DEBUG)
            self._cpu.uc.ctl_flush_tb()

    def remove(self, address: int, owner: str) -> None:
        """Remove an owner's breakpoint."""
        owners = self._owners.get(address, {})
        owners.pop(owner, None)
        if not owners and address in self._hooks:
            self._cpu.no_stop_at(self._hooks.pop(address))
            self._owners.pop(address, None)
            self._cpu.uc.ctl_flush_tb()

    def remove_all(self, owner: str) -> None:
        """Remove all of an owner."""
        for address in list(self._hooks):
            self.remove(address, owner)

    def _reached(self, address: int) -> bool:
        if self.passing == address:
            self.passing = None
            return False
        return not self.quiet


class Watchpoints:
    """Watchpoints on memory. The processor stops within the instruction that touched it.

    The emulator knows physical addresses here, so that what is watched is the memory that the linear address leads to
    when the watchpoint is set. What the host writes (devices, the TDX module, exception frames) is not seen.

    Args:
        target: The machine.

    Attributes:
        seen: The first access since it was last taken; None where there was none.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._cpu = target.board.cpu
        self._hooks: dict[Watch, list[object]] = {}
        self.seen: Seen | None = None

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self._hooks)

    def add(self, vcpu: int, watch: Watch) -> bool:
        """Watch memory; returns False where it is not mapped or is too large."""
        if watch in self._hooks:
            return True
        if not 0 < watch.size <= _LARGEST_WATCH:
            return False
        pieces: list[tuple[int, int, int]] = []
        at, end = watch.address, watch.address + watch.size
        while at < end:
            length = min(end - at, PAGE_SIZE - at % PAGE_SIZE)
            physical = at if watch.physical else self._target.translate(vcpu, at)
            if physical is None:
                return False
            pieces.append((physical, length, at))
            at += length
        unicorn: Any = cpu_extra("unicorn")
        kinds = {
            Access.WRITE: unicorn.UC_HOOK_MEM_WRITE,
            Access.READ: unicorn.UC_HOOK_MEM_READ,
            Access.EITHER: unicorn.UC_HOOK_MEM_WRITE | unicorn.UC_HOOK_MEM_READ,
        }
        uc = self._cpu.uc
        self._hooks[watch] = [
            uc.hook_add(
                kinds[watch.access],
                self._touched(watch, linear - physical, unicorn.UC_MEM_WRITE),
                begin=max(0, physical - 7),  # an access may begin before what is watched
                end=physical + length - 1,
            )
            for physical, length, linear in pieces
        ]
        uc.ctl_flush_tb()
        return True

    def _touched(self, watch: Watch, shift: int, write: int) -> Callable[..., None]:
        cpu, view = self._cpu, self._target.board.ram.view

        def touched(uc: object, access: int, address: int, size: int, value: int, data: object) -> None:
            linear = address + shift
            if self.seen is not None or not linear < watch.address + watch.size or linear + size <= watch.address:
                return
            before = bytes(view[address : address + size])
            where = max(linear, watch.address)
            self.seen = Seen(
                watch, where, pointer=cpu.read("RIP"), physical=address, before=before, wrote=access == write
            )
            cpu.stop_now(Stop(StopKind.DEBUG, address, size))

        return touched

    def remove(self, watch: Watch) -> None:
        """No longer watch."""
        for hook in self._hooks.pop(watch, []):
            self._cpu.no_stop_at(hook)
        self._cpu.uc.ctl_flush_tb()

    def remove_all(self, *, physical: bool) -> None:
        """Remove all of linear addresses, or all of physical ones."""
        for watch in [each for each in self._hooks if each.physical is physical]:
            self.remove(watch)
