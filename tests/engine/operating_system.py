"""A tiny operating system for the engine: an EFI program that leaves boot services and starts it, and its parts.

The loader copies the system to :data:`BASE` and jumps there once ExitBootServices has succeeded. The system takes its
own page tables, descriptor tables, task state and interrupt table, and then does what a test wrote for it. What it
finds goes into named cells, which the test reads when the run has ended.

Memory is identity mapped to 4 GiB; pages of 4 KiB can be put into a window of linear addresses. A second set of page
tables maps the system's own block and everything at :data:`VIRTUAL`, and nothing else.
"""

from __future__ import annotations

import struct
from typing import Final, Self

from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.service_names import RUNTIME_SERVICES
from tests.engine.assembler import REGISTERS, SCRATCH, Program

BASE: Final = 0x10000000
SIZE: Final = 0x20000
WINDOW: Final = 1 << 39
VIRTUAL: Final = 1 << 40
USER_STACK: Final = BASE + 0x1B000
KERNEL_STACK: Final = BASE + 0x17000  # of the task state: where exceptions from ring 3 arrive
TABLES: Final = BASE + 0x7000
VIRTUAL_TABLES: Final = BASE + 0x10000
KERNEL_CODE: Final = 0x08
KERNEL_DATA: Final = 0x10
USER_DATA: Final = 0x23
USER_CODE: Final = 0x2B

VIRTUALIZATION: Final = 20
PAGE_FAULT: Final = 14
PRESENT_WRITABLE: Final = 3

VEINFO_GET: Final = 3
ACCEPT: Final = 6
VMCALL_CPUID: Final = 10
VMCALL_HLT: Final = 12
VMCALL_IO: Final = 30
VMCALL_RDMSR: Final = 31
VMCALL_WRMSR: Final = 32
VMCALL_MMIO: Final = 48
VMCALL_MAP_GPA: Final = 0x10001
VMCALL_QUOTE: Final = 0x10002
VMCALL_FATAL: Final = 0x10003

TIMER_VECTOR: Final = 0x41
TSC_DEADLINE: Final = 0x6E0
SPURIOUS: Final = 0x80F
END_OF_INTERRUPT: Final = 0x80B
COMMAND: Final = 0x830
TIMER: Final = 0x832
_DEADLINE_MODE: Final = 2 << 17

_EFER: Final = 0xC0000080
_STAR: Final = 0xC0000081
_LSTAR: Final = 0xC0000082
_SYSCALL_MASK: Final = 0xC0000084

_CODE_SIZE: Final = 0x4000
_CELLS: Final = BASE + 0x4000
_GDT: Final = BASE + 0x5000
_POINTERS: Final = BASE + 0x5700
_TSS: Final = BASE + 0x5800
_IDT: Final = BASE + 0x6000
_STACK: Final = BASE + 0x15000
DOUBLE_FAULT_STACK: Final = BASE + 0x19000  # IST1
ROOM: Final = BASE + 0x19000  # 4 KiB of scratch memory
SECOND_STACK: Final = BASE + 0x19F00  # in it, from its end
_MAP: Final = BASE + 0x1C000
_MAP_SIZE: Final = 0x4000
_TSS_SIZE: Final = 104
_TABLE: Final = 0x1000
_ALL: Final = 7  # present, writable, user
_LARGE: Final = 0x80
_PLAIN: Final = "plain VM"
_MAILBOX: Final = "mailbox"
_GIVEN: Final = ("system table", "map size", "descriptor size", "runtime services")
_TABLE_HEADER: Final = 24


def _descriptors() -> bytes:
    """Null, kernel code and data, a gap for SYSRET to 32-bit code, user data and code, the task state."""
    kernel_code, kernel_data, user_data, user_code = (
        0x00AF9A000000FFFF, 0x00CF92000000FFFF, 0x00CFF2000000FFFF, 0x00AFFA000000FFFF,
    )  # fmt: skip
    task = _TSS_SIZE - 1 | (_TSS & 0xFFFFFF) << 16 | 0x89 << 40 | (_TSS >> 24) << 56
    return struct.pack("<8Q", 0, kernel_code, kernel_data, 0, user_data, user_code, task, 0)


class Kernel(Program):
    """The system under construction; its code begins where the system's own tables are in force."""

    def __init__(self) -> None:
        super().__init__(prologue=False)
        self._slots = {name: slot for slot, name in enumerate(_GIVEN)}
        self._gates: dict[int, tuple[str, int]] = {}
        self._pages: dict[int, int] = {}
        self._labels_made = 0
        self.raw("FA")  # cli
        self.mov("rsp", _STACK).switch_tables(TABLES)
        self.raw("0F011425").word(_POINTERS)  # lgdt
        self.raw("0F011C25").word(_POINTERS + 16)  # lidt
        self.raw("6A08").lea("rax", "reloaded").raw("50 48CB").label("reloaded")  # retfq
        self.raw("B810000000 8ED8 8EC0 8ED0")  # ds, es, ss
        self.raw("66B83000 0F00D8")  # ltr

    # ---- instructions -------------------------------------------------------------------------------------------

    def word(self, value: int) -> Self:
        """Four bytes, as displacement or constant."""
        return self.raw(struct.pack("<I", value).hex())

    def new_label(self) -> str:
        """A name for a place that nothing else uses."""
        self._labels_made += 1
        return f"place {self._labels_made}"

    def jump_if_zero(self, label: str) -> Self:
        """Jump if RAX is 0."""
        self.raw("4885C0 0F84")._to(label)
        return self

    def jump_if_below(self, label: str) -> Self:
        """Jump if the last comparison of unsigned numbers said so."""
        return self.raw("0F82")._to(label)

    def keep_frame(self, *names: str) -> Self:
        """In a handler: keep the words on its stack, from the top; RBX is changed."""
        for number, name in enumerate(names):
            self.load("rbx", "rsp", 8 * number).keep("rbx", name)
        return self

    def switch_tables(self, tables: int) -> Self:
        """Load CR3."""
        self.mov("rax", tables)
        return self.raw("0F22D8")

    def cell(self, name: str) -> int:
        """Address of a named cell."""
        return _CELLS + 8 * self._slots.setdefault(name, len(self._slots))

    def keep(self, register: str, name: str) -> Self:
        """Store a register in a cell; no other is changed."""
        return self._absolute(0x89, register, name)

    def fetch(self, register: str, name: str) -> Self:
        """Load a register from a cell."""
        return self._absolute(0x8B, register, name)

    def _absolute(self, opcode: int, register: str, name: str) -> Self:
        number = REGISTERS[register]
        self._code += bytes((0x48 | number >> 3 << 2, opcode, (number & 7) << 3 | 4, 0x25))
        return self.word(self.cell(name))

    def out(self, port: int, value: int, size: int = 1) -> Self:
        """To a port: by OUT in a plain VM, by the hypercall in a TD, which has no ports. RAX and RDX are changed."""
        hypercall, done = self.new_label(), self.new_label()
        self.raw("803C25").word(self.cell(_PLAIN)).raw("00 0F84")._to(hypercall)  # cmp byte [cell], 0; jz
        self.out_instruction(port, value, size).jump(done)
        self.label(hypercall).raw("51 4152 4153 4154 4155 4156 4157")  # push rcx, r10 to r15
        self.vmcall(VMCALL_IO, r12=size, r13=1, r14=port, r15=value)
        return self.raw("415F 415E 415D 415C 415B 415A 59").label(done)

    def out_instruction(self, port: int, value: int, size: int = 1) -> Self:
        """OUT DX, AL / AX / EAX."""
        self.raw("BA").word(port).raw("B8").word(value)
        return self.raw({1: "EE", 2: "66EF", 4: "EF"}[size])

    def say(self, text: str) -> Self:
        """To the serial port."""
        for byte in text.encode():
            self.out(0x3F8, byte)
        return self

    def power_off(self) -> Self:
        """By ACPI's power management block."""
        return self.out(0x604, 1 << 13, 2).spin()

    def spin(self) -> Self:
        """For ever."""
        return self.raw("EBFE")

    def cpuid(self, leaf: int, subleaf: int = 0) -> Self:
        """CPUID."""
        self.mov("rax", leaf).mov("rcx", subleaf)
        return self.raw("0FA2")

    def hlt(self) -> Self:
        """HLT."""
        return self.raw("F4")

    def iretq(self) -> Self:
        """IRETQ."""
        return self.raw("48CF")

    def sti(self) -> Self:
        """STI, and the instruction after it that no interrupt comes before."""
        return self.raw("FB 90")

    def write_msr(self, number: int, value: int) -> Self:
        """WRMSR."""
        self.mov("rcx", number).mov("rax", value & 0xFFFFFFFF).mov("rdx", value >> 32)
        return self.raw("0F30")

    def tdcall(self, leaf: int, **registers: int) -> Self:
        """TDCALL with registers as given."""
        self.mov("rax", leaf)
        for name, value in registers.items():
            self.mov(name, value)
        return self.raw("660F01CC")

    def vmcall(self, number: int, **registers: int) -> Self:
        """TDG.VP.VMCALL."""
        return self.tdcall(0, rcx=0xFC00, r10=0, r11=number, **registers)

    def read_time_stamp(self) -> Self:
        """RAX: the time stamp counter."""
        return self.raw("0F31 48C1E220 4809D0")

    def arm_timer(self, cycles: int) -> Self:
        """Let the timer, in a TD, fire so many cycles from now; the cell ``deadline`` says when."""
        self.vmcall(VMCALL_WRMSR, r12=SPURIOUS, r13=0x1FF)
        self.vmcall(VMCALL_WRMSR, r12=TIMER, r13=TIMER_VECTOR | _DEADLINE_MODE)
        self.read_time_stamp().raw("48BB" + cycles.to_bytes(8, "little").hex()).raw("4801D8")  # add rax, rbx
        self.keep("rax", "deadline").copy("r13", "rax")
        self.mov("rax", 0).mov("rcx", 0xFC00).mov("r10", 0).mov("r11", VMCALL_WRMSR).mov("r12", TSC_DEADLINE)
        return self.raw("660F01CC")

    def handle_timer(self) -> Self:
        """A handler that counts in ``ticks``, and keeps the time in ``now`` where it came from in ``came from``

        and its frame's address in ``stack``."""
        self.label("timer").gate(TIMER_VECTOR, "timer").raw("50 51 52")  # push rax, rcx, rdx
        self.fetch("rax", "ticks").raw("48FFC0").keep("rax", "ticks")
        self.read_time_stamp().keep("rax", "now").load("rax", "rsp", 24).keep("rax", "came from")
        self.address("rax", "rsp", 24).keep("rax", "stack")
        self.write_msr(END_OF_INTERRUPT, 0)
        return self.raw("5A 59 58 48CF")

    def call_runtime(self, name: str, table: str = "rbp") -> Self:
        """A runtime service of the table that a register points to."""
        self.raw("4883EC30")  # sub rsp, 0x30
        self.call_at(table, _TABLE_HEADER + 8 * RUNTIME_SERVICES.index(name))
        return self.raw("4883C430")

    # ---- several processors -------------------------------------------------------------------------------------

    def wake(self, vcpu: int, label: str) -> Self:
        """Start a vCPU at a label by the mailbox, and wait until firmware has taken the command."""
        taken = self.new_label()
        self.command_wakeup(vcpu, label).label(taken).raw("F390 66833800 0F85")._to(
            taken
        )  # pause; cmp word [rax], 0; jne
        return self

    def command_wakeup(self, vcpu: int, label: str) -> Self:
        """Write the command into the mailbox, whose address is in RAX then."""
        self.fetch("rax", _MAILBOX).raw("C74004").word(vcpu).lea("rcx", label).store("rax", 8, "rcx")
        return self.raw("66C7000100")  # mov word [rax], wakeup

    def second(self, label: str) -> Self:
        """Where another vCPU begins: it takes the system's tables and a stack of its own."""
        self.label(label).raw("FA").mov("rsp", SECOND_STACK).switch_tables(TABLES)
        self.raw("0F011425").word(_POINTERS).raw("0F011C25").word(_POINTERS + 16)  # lgdt, lidt
        reloaded = self.new_label()
        self.raw("6A08").lea("rax", reloaded).raw("50 48CB").label(reloaded)
        return self.raw("B810000000 8ED8 8EC0 8ED0")

    def wait_for(self, name: str, value: int = 1) -> Self:
        """Spin with PAUSE until a cell has a value."""
        again = self.new_label()
        self.label(again).raw("F390").fetch("rax", name).raw("483D").word(value).raw("0F85")._to(again)
        return self

    def set(self, name: str, value: int = 1) -> Self:
        """A constant into a cell; RAX is changed."""
        return self.mov("rax", value).keep("rax", name)

    def send_interrupt(self, command: int) -> Self:
        """An interprocessor interrupt, by the VMM."""
        return self.vmcall(VMCALL_WRMSR, r12=COMMAND, r13=command)

    # ---- privilege and interrupts -------------------------------------------------------------------------------

    def gate(self, vector: int, label: str, stack: int = 0) -> Self:
        """Where an exception or interrupt goes, and the interrupt stack it wants."""
        self._gates[vector] = label, stack
        return self

    def enter_user(self, label: str, flags: int = 2) -> Self:
        """IRETQ to ring 3."""
        self.raw("6A23 68").word(USER_STACK).raw("68").word(flags).raw("6A2B").lea("rax", label)
        return self.raw("50 48CF")

    def handle_virtualization(self, *names: str, end: bool = False) -> Self:
        """A handler of #VE that keeps reason, qualification, linear and physical address and length, and goes on.

        Args:
            names: Cells for them, in this order, as many as are wanted.
            end: Power off instead.
        """
        self.label("#VE").gate(VIRTUALIZATION, "#VE").tdcall(VEINFO_GET).keep("rax", "VEINFO status")
        for register, name in zip(("rcx", "rdx", "r8", "r9", "r10"), names, strict=False):
            self.keep(register, name)
        if end:
            return self.power_off()
        self.raw("458BD2 4C011424")  # mov r10d, r10d; add [rsp], r10
        return self.raw("48CF")

    def enable_system_calls(self, entry: str, flag_mask: int) -> Self:
        """SYSCALL goes to a label; SYSRET comes back to ring 3."""
        self.mov("rcx", _EFER).raw("0F32 83C801 0F30")  # rdmsr; or eax, SCE; wrmsr
        self.write_msr(_STAR, (USER_DATA - 8) << 48 | KERNEL_CODE << 32).write_msr(_SYSCALL_MASK, flag_mask)
        self.lea("rax", entry).copy("rdx", "rax").raw("48C1EA20").mov("rcx", _LSTAR)  # shr rdx, 32
        return self.raw("0F30")

    # ---- memory -------------------------------------------------------------------------------------------------

    def page(self, index: int, entry: int) -> int:
        """Put a page into the window; returns its linear address."""
        self._pages[index] = entry
        return WINDOW + index * _TABLE

    def entry_of(self, linear: int) -> int:
        """Address of the page table entry of a page of the window."""
        return TABLES + 8 * _TABLE + (linear - WINDOW) // _TABLE * 8

    def blob(self, plain: bool, mailbox: int) -> bytes:
        """The whole block: code, cells and tables, for a plain VM or a TD."""
        code = self.code()
        assert len(code) <= _CODE_SIZE
        block = bytearray(SIZE)

        def put(address: int, data: bytes) -> None:
            block[address - BASE : address - BASE + len(data)] = data

        def entry(table: int, index: int, value: int) -> None:
            put(table + 8 * index, struct.pack("<Q", value))

        put(BASE, code)
        put(self.cell(_PLAIN), bytes((plain,)))
        put(self.cell(_MAILBOX), struct.pack("<Q", mailbox))
        put(_GDT, _descriptors())
        put(_POINTERS, struct.pack("<HQ", 63, _GDT).ljust(16, b"\0") + struct.pack("<HQ", 256 * 16 - 1, _IDT))
        put(_TSS + 4, struct.pack("<Q", KERNEL_STACK))
        put(_TSS + 0x24, struct.pack("<Q", DOUBLE_FAULT_STACK))
        for vector, (label, stack) in self._gates.items():
            at = BASE + self._labels[label]
            kind = 0xEE if vector == 3 else 0x8E  # ring 3 may call the breakpoint
            put(
                _IDT + 16 * vector,
                struct.pack("<HHBBHII", at & 0xFFFF, KERNEL_CODE, stack, kind, at >> 16 & 0xFFFF, at >> 32, 0),
            )
        identity, directories, window = TABLES + _TABLE, TABLES + 2 * _TABLE, TABLES + 6 * _TABLE
        entry(TABLES, 0, identity | _ALL)
        entry(TABLES, WINDOW >> 39, window | _ALL)
        for number in range(4):
            entry(identity, number, directories + number * _TABLE | _ALL)
        for number in range(4 * 512):
            entry(directories, number, number << 21 | _ALL | _LARGE)
        entry(window, 0, window + _TABLE | _ALL)
        entry(window + _TABLE, 0, window + 2 * _TABLE | _ALL)
        for index, value in self._pages.items():
            entry(window + 2 * _TABLE, index, value)
        entry(VIRTUAL_TABLES, 0, VIRTUAL_TABLES + _TABLE | _ALL)
        entry(VIRTUAL_TABLES, VIRTUAL >> 39, identity | _ALL)
        entry(VIRTUAL_TABLES + _TABLE, BASE >> 30, VIRTUAL_TABLES + 2 * _TABLE | _ALL)
        entry(VIRTUAL_TABLES + 2 * _TABLE, BASE >> 21 & 511, BASE | _ALL | _LARGE)
        return bytes(block)

    def virtual_address_map(self) -> Self:
        """The memory map that the loader left, with virtual addresses for what stays; SetVirtualAddressMap takes it.

        The status is kept in the cell ``SetVirtualAddressMap``; RBP points to the runtime services, where they are
        found from then on.
        """
        self.mov("rsi", _MAP).fetch("rcx", "map size").copy("rdi", "rsi").raw("4801CF")  # add rdi, rcx
        self.fetch("rbx", "descriptor size").mov("rdx", VIRTUAL).label("descriptor")
        self.raw("48837E2000 7D0B")  # cmp qword [rsi+32], 0; jge
        self.raw("488B4608 4801D0 48894610")  # mov rax, [rsi+8]; add rax, rdx; mov [rsi+16], rax
        self.raw("4801DE 4839FE").jump_if_below("descriptor")  # add rsi, rbx; cmp rsi, rdi
        self.fetch("rcx", "map size").fetch("rdx", "descriptor size").mov("r8", 1).mov("r9", _MAP)
        self.fetch("rbp", "runtime services").call_runtime("SetVirtualAddressMap").keep("rax", "SetVirtualAddressMap")
        self.mov("rax", VIRTUAL)
        return self.raw("4801C5")  # add rbp, rax

    def image(self, plain: bool = False, mailbox: int = 0) -> bytes:
        """The EFI program that loads and starts the system, in a TD or in a plain VM, with a mailbox for wakeups."""
        loader = Program()
        loader.mov("rax", BASE).store("rsp", SCRATCH, "rax")
        loader.mov("rcx", EfiAllocateType.AllocateAddress).mov("rdx", EfiMemoryType.EfiLoaderData)
        loader.mov("r8", SIZE // _TABLE).address("r9", "rsp", SCRATCH).boot("AllocatePages").jump_if_error("failed")
        loader.copy("r12", "rdi").copy("r13", "rsi")
        loader.lea("rsi", "system").mov("rdi", BASE).mov("rcx", SIZE).raw("FC F3A4").copy("rdi", "r12")
        loader.copy("rsi", "r13").mov("rax", _MAP_SIZE).store("rsp", SCRATCH, "rax")
        loader.address("rcx", "rsp", SCRATCH).mov("rdx", _MAP).address("r8", "rsp", SCRATCH + 8)
        loader.address("r9", "rsp", SCRATCH + 16).address("rax", "rsp", SCRATCH + 24).stack_argument(4, "rax")
        loader.boot("GetMemoryMap").jump_if_error("failed")
        loader.mov("r12", _CELLS).store("r12", 0, "rbx").load("rax", "rsp", SCRATCH).store("r12", 8, "rax")
        loader.load("rax", "rsp", SCRATCH + 16).store("r12", 16, "rax").load("rax", "rbx", 88).store("r12", 24, "rax")
        loader.copy("rcx", "rdi").load("rdx", "rsp", SCRATCH + 8).boot("ExitBootServices").jump_if_error("failed")
        loader.mov("rax", BASE).raw("FFE0")  # jmp rax
        return loader.label("failed").ret().data("system", self.blob(plain, mailbox)).image()

    def place(self, label: str) -> int:
        """Address of a label in the running system."""
        return BASE + self._labels[label]

    def cells(self, firmware: GuestFirmware) -> dict[str, int]:
        """What stands in the cells."""
        view = firmware.ram.view
        return {name: int(struct.unpack_from("<Q", view, _CELLS + 8 * slot)[0]) for name, slot in self._slots.items()}
