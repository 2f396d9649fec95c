"""Breakpoints and watchpoints: hooks at their own addresses only, so that all other code runs as fast as ever."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from tdvfsh.engine.debug.halt import Access, Watch
from tdvfsh.engine.debug.target import Target
from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.x86.stop import Stop, StopKind
from tdvfsh.lazy_typing import Any, Final, NamedTuple
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


class Breakpoints:
    """Breakpoints by linear address, for all vCPUs. Changed only while the machine stands still.

    Args:
        target: The machine.

    Attributes:
        passing: The address of a breakpoint to be passed once, since the machine has halted there.
        quiet: Whether breakpoints are off.
        arrived: Called with the address of each hook before its instruction, and whether it halts there; returns
            whether it is to halt. None while nobody counts.
    """

    def __init__(self, target: Target) -> None:
        self._cpu = target.board.cpu
        self._hooks: dict[int, object] = {}
        self._owners: dict[int, dict[str, str]] = {}
        self._observed: set[int] = set()
        self.passing: int | None = None
        self.quiet = False
        self.arrived: Callable[[int, bool], bool] | None = None

    def __contains__(self, address: int) -> bool:
        return address in self._owners

    def of_owner(self, owner: str) -> list[int]:
        """The addresses of an owner's breakpoints."""
        return [address for address, owners in self._owners.items() if owner in owners]

    @property
    def all(self) -> list[int]:
        """The addresses of all breakpoints."""
        return list(self._owners)

    def owners(self, address: int) -> dict[str, str]:
        """Who has set a breakpoint at an address, and what each says of it."""
        return self._owners.get(address, {})

    def add(self, address: int, owner: str, text: str = "") -> None:
        """Set a breakpoint; each owner has its own, of which ``text`` is said where it is reached."""
        self._owners.setdefault(address, {})[owner] = text
        self._hook(address)

    def remove(self, address: int, owner: str) -> None:
        """Remove an owner's breakpoint."""
        owners = self._owners.get(address, {})
        owners.pop(owner, None)
        if not owners:
            self._owners.pop(address, None)
            self._unhook(address)

    def remove_all(self, owner: str) -> None:
        """Remove all of an owner."""
        for address in list(self._owners):
            self.remove(address, owner)

    def observe(self, addresses: Iterable[int]) -> None:
        """Call :attr:`arrived` at these addresses, and at no others that have no breakpoint."""
        before, self._observed = self._observed, set(addresses)
        for address in before - self._observed:
            self._unhook(address)
        for address in self._observed:
            self._hook(address)

    def _hook(self, address: int) -> None:
        if address not in self._hooks:
            self._hooks[address] = self._cpu.stop_at(address, lambda: self._reached(address), StopKind.DEBUG)
            self._cpu.uc.ctl_flush_tb()

    def _unhook(self, address: int) -> None:
        if address in self._hooks and address not in self._owners and address not in self._observed:
            self._cpu.no_stop_at(self._hooks.pop(address))
            self._cpu.uc.ctl_flush_tb()

    def _reached(self, address: int) -> bool:
        halts = not self.quiet and address in self._owners
        if self.passing == address:
            self.passing = None
            halts = False
        if self.arrived is not None:
            halts = self.arrived(address, halts) or halts
        return halts


class Watchpoints:
    """Watchpoints on memory. The processor stops within the instruction that touched it.

    The emulator knows physical addresses here, so that what is watched is the memory that the linear address leads to
    when the watchpoint is set. What the host writes, :class:`tdvfsh.engine.debug.host_writes.HostWrites` sees.

    Args:
        target: The machine.

    Attributes:
        seen: The first access since it was last taken; None where there was none.
        accessed: Called with each access to what is observed; returns whether to halt within it. None while nobody
            counts.
        muted: Whether watchpoints are off; what is observed is not.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._cpu = target.board.cpu
        self._hooks: dict[Watch, list[object]] = {}
        self._physical: dict[Watch, list[Watch]] = {}
        self._observed: dict[Watch, list[object]] = {}
        self.seen: Seen | None = None
        self.accessed: Callable[[Watch], bool] | None = None
        self.muted = False

    @property
    def all(self) -> list[Watch]:
        """All of them."""
        return list(self._hooks)

    def add(self, vcpu: int, watch: Watch) -> bool:
        """Watch memory; returns False where it is not mapped or is too large."""
        if watch in self._hooks:
            return True
        hooks = self._hook(vcpu, watch, lambda: self.seen is None and not self.muted)
        if hooks is None:
            return False
        self._hooks[watch] = hooks
        self._physical[watch] = [
            Watch(physical, length, watch.access, physical=True, linear=None if watch.physical else linear)
            for physical, length, linear in self._pieces(vcpu, watch) or ()
        ]
        return True

    def observe(self, vcpu: int, watches: Iterable[Watch]) -> None:
        """Call :attr:`accessed` for each access to these, and no others; what is not mapped now is left out."""
        for hooks in self._observed.values():
            self._unhook(hooks)
        self._observed = {}
        for watch in watches:
            observed = self._hook(vcpu, watch, partial(self._observes, watch))
            if observed is not None:
                self._observed[watch] = observed

    def _observes(self, watch: Watch) -> bool:
        return self.accessed is not None and self.accessed(watch)

    def _hook(self, vcpu: int, watch: Watch, wanted: Callable[[], bool]) -> list[object] | None:
        pieces = self._pieces(vcpu, watch)
        if pieces is None:
            return None
        unicorn: Any = cpu_extra("unicorn")
        kinds = {
            Access.WRITE: unicorn.UC_HOOK_MEM_WRITE,
            Access.READ: unicorn.UC_HOOK_MEM_READ,
            Access.EITHER: unicorn.UC_HOOK_MEM_WRITE | unicorn.UC_HOOK_MEM_READ,
        }
        uc = self._cpu.uc
        hooks = [
            uc.hook_add(
                kinds[watch.access],
                self._touched(watch, linear - physical, unicorn.UC_MEM_WRITE, wanted),
                begin=max(0, physical - 7),  # an access may begin before what is watched
                end=physical + length - 1,
            )
            for physical, length, linear in pieces
        ]
        uc.ctl_flush_tb()
        return hooks

    def _pieces(self, vcpu: int, watch: Watch) -> list[tuple[int, int, int]] | None:
        """Physical address, size and linear address of each page's part; None where not all is mapped."""
        if not 0 < watch.size <= _LARGEST_WATCH:
            return None
        pieces: list[tuple[int, int, int]] = []
        at, end = watch.address, watch.address + watch.size
        while at < end:
            length = min(end - at, PAGE_SIZE - at % PAGE_SIZE)
            physical = at if watch.physical else self._target.translate(vcpu, at)
            if physical is None:
                return None
            pieces.append((physical, length, at))
            at += length
        return pieces

    @property
    def pieces(self) -> list[tuple[Watch, Watch]]:
        """Each watchpoint with each of its parts by physical address."""
        return [(watch, piece) for watch, pieces in self._physical.items() for piece in pieces]

    def _touched(self, watch: Watch, shift: int, write: int, wanted: Callable[[], bool]) -> Callable[..., None]:
        cpu, view = self._cpu, self._target.board.ram.view

        def touched(uc: object, access: int, address: int, size: int, value: int, data: object) -> None:
            linear = address + shift
            if not linear < watch.address + watch.size or linear + size <= watch.address or not wanted():
                return
            before = bytes(view[address : address + size])
            where = max(linear, watch.address)
            self.seen = Seen(
                watch, where, pointer=cpu.read("RIP"), physical=address, before=before, wrote=access == write
            )
            cpu.stop_now(Stop(StopKind.DEBUG, address, size))

        return touched

    def _unhook(self, hooks: list[object]) -> None:
        for hook in hooks:
            self._cpu.no_stop_at(hook)
        self._cpu.uc.ctl_flush_tb()

    def remove(self, watch: Watch) -> None:
        """No longer watch."""
        self._unhook(self._hooks.pop(watch, []))
        self._physical.pop(watch, None)

    def remove_all(self, *, physical: bool) -> None:
        """Remove all of linear addresses, or all of physical ones."""
        for watch in [each for each in self._hooks if each.physical is physical]:
            self.remove(watch)
