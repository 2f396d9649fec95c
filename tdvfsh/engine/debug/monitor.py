"""Commands for a person at a stopped machine: gdb's ``monitor``, and the prompt of ``--on-stop prompt``."""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.debug.debugger import Debugger
from tdvfsh.engine.debug.events import EventBreaks
from tdvfsh.engine.debug.names import find
from tdvfsh.engine.debug.scene import Scene
from tdvfsh.engine.debug.who import who_lines
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.introspect.describe import disassembled, page_state
from tdvfsh.engine.x86.processor_state import CODE_32, CODE_64
from tdvfsh.errors import TdvfshError, UsageError
from tdvfsh.formats.text import printable
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.trace.records import TraceRecord
from tdvfsh.uefi.guids import Guid, guid_name
from tdvfsh.uefi.memory import memory_type_name
from tdvfsh.uefi.tdx import SeptState
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE, human_size

_ROW: Final = 16
_GUID_SIZE: Final = 16
_MOST_BYTES: Final = 0x10000
_MOST_LINES: Final = 1000


class Command(NamedTuple):
    """A command: how it is called, what it is for, and what answers it."""

    usage: str
    summary: str
    answer: Callable[[list[str], int], list[str]]


class MonitorCommands:
    """The commands.

    Args:
        debugger: The debugger.
        scene: What is debugged.
        events: What it halts for besides breakpoints.
    """

    def __init__(self, debugger: Debugger, scene: Scene, events: EventBreaks) -> None:
        self._debugger = debugger
        self._target = debugger.target
        self._scene = scene
        self._events = events
        self._vcpu = 0
        self.commands: Final = {
            "accepted": Command("accepted ADDR [SIZE]", "whether memory is accepted", self._accepted),
            "break-on": Command(
                "break-on [EVENT]",
                "halt at accept [ADDR], write ADDR, convert, violation, service NAME, image [NAME], console REGEX",
                self._break_on,
            ),
            "bt": Command("bt", "the call stack, as far as the stack tells", self._stack),
            "dis": Command("dis [ADDR [COUNT]]", "instructions", self._disassemble),
            "dmem": Command("dmem ADDR [SIZE]", "memory by linear address", self._dump),
            "guid": Command("guid ADDR|GUID", "the name of a GUID, in memory or as text", self._guid),
            "images": Command("images", "what code is loaded where", self._images),
            "journal": Command("journal [N]", "the last N records of the journal (default 10)", self._journal),
            "map": Command("map", "the memory map", self._map),
            "phys": Command("phys ADDR [SIZE]", "memory by physical address", self._physical),
            "regs": Command("regs", "the registers", self._registers),
            "sept": Command("sept ADDR", "the state of a page", self._sept),
            "td": Command("td", "the TD: memory, vCPUs, time, exits", self._td),
            "translate": Command("translate ADDR", "the physical address of a linear one", self._translate),
            "who": Command("who ADDR", "what allocated, loaded or accepted a physical address", self._who),
        }

    def answer(self, line: str, vcpu: int) -> str:
        """The output of a command line; an error is a line of it."""
        words = line.split()
        name = words[0] if words else "help"
        if name == "help":
            return self.help()
        name = {"memmap": "map"}.get(name, name)
        command = self.commands.get(name)
        self._vcpu = vcpu
        if command is None:
            return f"{name}: unknown command; 'help' lists them\n"
        try:
            lines = command.answer(words[1:], vcpu)
        except TdvfshError as error:
            lines = [f"{name}: {error}"]
        except IndexError:
            lines = [f"usage: {command.usage}"]
        return "".join(f"{_harmless(each)}\n" for each in lines[:_MOST_LINES])

    def help(self) -> str:
        """All commands."""
        width = max(len(command.usage) for command in self.commands.values())
        return "".join(f"{command.usage:<{width}}  {command.summary}\n" for _, command in sorted(self.commands.items()))

    def _address(self, text: str) -> int:
        """An address; plain hexadecimal digits are taken for one, too, and ``$rdi`` for a register's value."""
        if text.startswith("$") and text[1:] in self._target.names:
            return self._target.register(self._vcpu, text[1:])
        found = find(self._scene, text)
        if found is None:
            try:
                found = int(text, 16)
            except ValueError:
                raise UsageError(f"{text}: not an address, and no symbol of that name is known") from None
        return found

    # ---- the TD -------------------------------------------------------------------------------------------------

    def _accepted(self, words: list[str], vcpu: int) -> list[str]:
        start = self._address(words[0])
        size = self._address(words[1]) if len(words) > 1 else 1
        ram = self._scene.board.ram
        if ram.accepted(start, size):
            return [f"{start:#x}: accepted"]
        td = self._scene.board.td
        end = start + max(1, size)
        pieces = [
            f"{max(low, start):#x}-{min(high, end):#x}: {_state_text(entry.state)}"
            for low, high, entry in td.sept.spans(start, end)
        ]
        return pieces or [f"{start:#x}: {page_state(td, start)}"]

    def _sept(self, words: list[str], vcpu: int) -> list[str]:
        address, td = self._address(words[0]), self._scene.board.td
        text = f"{address:#x}: {page_state(td, address)}"
        for start, end, _ in td.sept.spans(0, td.memory_end):
            if start <= address < end:
                text += f", like all from {start:#x} to {end:#x}"
        return [text]

    def _td(self, words: list[str], vcpu: int) -> list[str]:
        board, td = self._scene.board, self._scene.board.td
        kind = "TD" if td.is_td else "plain VM"
        lines = [
            f"{kind} of {human_size(td.ram.memory)}, GPAW {td.gpaw}, vCPUs: {td.vcpus}",
            f"accepted {human_size(td.accepted_bytes)}, not accepted {human_size(td.unaccepted_bytes)}, "
            f"shared {human_size(td.shared_bytes)}",
            f"virtual time {board.clock.now_ns / 1e6:.3f} ms",
        ]
        lines += [
            f"vCPU {number}: {self._target.state_of(number)}, at "
            f"{self._scene.code.place(self._target.register(number, 'rip'))}"
            for number in self._target.started
        ]
        counts = ", ".join(f"{name} {count}" for name, count in sorted(board.counts.items()))
        return [*lines, f"exits: {counts or 'none'}"]

    def _map(self, words: list[str], vcpu: int) -> list[str]:
        return [
            f"{entry.physical_start:012x}-{entry.physical_start + (entry.number_of_pages << PAGE_SHIFT) - 1:012x} "
            f"{entry.number_of_pages:>8x} {memory_type_name(entry.memory_type)}"
            for entry in self._scene.memory_map()
        ]

    def _journal(self, words: list[str], vcpu: int) -> list[str]:
        try:
            count = int(words[0]) if words else 10
        except ValueError:
            raise UsageError(f"{words[0]}: not a number of records") from None
        records = self._scene.trace.records
        return [record_line(record) for record in records[max(0, len(records) - max(0, count)) :]]

    def _who(self, words: list[str], vcpu: int) -> list[str]:
        return who_lines(self._scene, self._address(words[0]))

    def _break_on(self, words: list[str], vcpu: int) -> list[str]:
        if words:
            self._events.wait_for(words)
        return self._events.lines()

    # ---- code and memory ----------------------------------------------------------------------------------------

    def _images(self, words: list[str], vcpu: int) -> list[str]:
        return [f"{image.start:#x}-{image.end:#x} {image.name}" for image in self._scene.images()]

    def _guid(self, words: list[str], vcpu: int) -> list[str]:
        try:
            guid = Guid(words[0])
        except ValueError:
            address = self._address(words[0])
            data = self._target.read(vcpu, address, _GUID_SIZE)
            if len(data) < _GUID_SIZE:
                raise EngineError(f"{address:#x}: cannot be read") from None
            guid = Guid(bytes_le=data)
        name = guid_name(guid)
        text = str(guid).upper()
        return [text if name.upper() == text else f"{text} {name}"]

    def _registers(self, words: list[str], vcpu: int) -> list[str]:
        values = {
            register.name: value
            for register, value in zip(self._target.registers, self._target.read_all(vcpu), strict=True)
            if register.group in ("", "system") and register.bits in (32, 64)
        }
        cells = [f"{name:<9} {value:016x}" for name, value in values.items()]
        return ["  ".join(cells[at : at + 3]) for at in range(0, len(cells), 3)]

    def _stack(self, words: list[str], vcpu: int) -> list[str]:
        if vcpu != self._target.current:
            raise UsageError(f"the stack of vCPU {self._target.current}, which runs, is the only one that is read")
        board, code = self._scene.board, self._scene.code
        places = [code.place(board.cpu.read("RIP")), *code.call_stack(board.cpu, board.ram)]
        return [f"#{number}  {place}" for number, place in enumerate(places)]

    def _disassemble(self, words: list[str], vcpu: int) -> list[str]:
        address = self._address(words[0]) if words else self._target.register(vcpu, "rip")
        count = self._count(words[1]) if len(words) > 1 else 8
        data = self._target.read(vcpu, address, min(15 * count, PAGE_SIZE))
        if not data:
            raise EngineError(f"no instruction can be read at {address:#x}")
        return [f"{at:#x}  {text}" for at, text in disassembled(data, address, count, self._code_bits(vcpu))]

    def _code_bits(self, vcpu: int) -> int:
        """Whether a vCPU runs 16, 32 or 64-bit code; the running one's descriptor tells, others are in 64-bit code."""
        state = self._scene.board.cpu.state
        if vcpu != self._target.current:
            return 64
        state.load()
        return 64 if state.hidden_flags & CODE_64 else 32 if state.hidden_flags & CODE_32 else 16

    @staticmethod
    def _count(text: str) -> int:
        if not text.isdecimal() or not 0 < int(text) <= _MOST_LINES:
            raise UsageError(f"{text}: not a number from 1 to {_MOST_LINES}")
        return int(text)

    def _translate(self, words: list[str], vcpu: int) -> list[str]:
        address = self._address(words[0])
        physical = self._target.translate(vcpu, address)
        return [f"{address:#x}: " + ("not mapped" if physical is None else f"physical {physical:#x}")]

    def _dump(self, words: list[str], vcpu: int) -> list[str]:
        address, size = self._address(words[0]), self._size(words)
        data = self._target.read(vcpu, address, size)
        lines = _dump_lines(address, data)
        return lines if len(data) == size else [*lines, f"{address + len(data):#x}: cannot be read"]

    def _physical(self, words: list[str], vcpu: int) -> list[str]:
        address, size = self._address(words[0]), self._size(words)
        data = self._target.read_physical(address, size)
        if data is None:
            return [f"{address:#x}: not all accepted: {page_state(self._scene.board.td, address)}"]
        return _dump_lines(address, data)

    def _size(self, words: list[str]) -> int:
        size = self._address(words[1]) if len(words) > 1 else 0x40
        if not 0 < size <= _MOST_BYTES:
            raise UsageError(f"{size:#x}: not a size from 1 to {_MOST_BYTES:#x}")
        return size


def _harmless(text: str) -> str:
    """Names come from files of others, and go to a terminal."""
    return printable(text.encode("utf-8", "surrogatepass"))


def _state_text(state: SeptState) -> str:
    return "accepted" if state is SeptState.MAPPED else state.name


def _dump_lines(address: int, data: bytes) -> list[str]:
    lines: list[str] = []
    for at in range(0, len(data), _ROW):
        row = data[at : at + _ROW]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{address + at:012x}: {row.hex(' '):<47}  {text}")
    return lines


def record_line(record: TraceRecord) -> str:
    """A record of the journal in one line."""

    def values(of: dict[str, object]) -> str:
        return ", ".join(
            f"{name}={value:#x}" if isinstance(value, int) and not isinstance(value, bool) else f"{name}={value}"
            for name, value in of.items()
            if value is not None
        )

    status = "..." if record.status is None else record.status.name
    arguments, results = values(dict(record.arguments)), values(dict(record.results))
    return (
        f"{record.number:>6} {record.time_ns / 1e6:.3f} ms {record.caller}: {record.service}({arguments}) = {status}"
        + (f" {results}" if results else "")
    )
