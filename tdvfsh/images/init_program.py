"""A first program for user space: a static ELF file of a few hundred bytes that says a line and ends the machine.

It needs nothing but the kernel: no C library, and no stack or writable memory unless it shows files. In order it

1. takes standard output, or opens ``/dev/console`` where the kernel could not open one for it;
2. writes the message and a line feed, however many pieces the console takes them in;
3. shows the files that it was asked for, of which those of ``/proc`` and ``/sys`` need a mount first;
4. waits until the console has sent everything, because switching off does not wait;
5. does what it was asked to: ``sync`` and ``reboot``, ``exit``, or sleep for good.

Source: System V ABI, AMD64 supplement (ELF64); Linux arch/x86/entry/syscalls/syscall_64.tbl (numbers),
include/uapi/linux/reboot.h (magic numbers and commands), Intel SDM volume 2 (encodings).
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.errors import UsageError
from tdvfsh.formats.elf import ELF64_HEADER, ELF64_PROGRAM_HEADER, ELF_MAGIC, PT_LOAD
from tdvfsh.lazy_typing import Final

LOAD_ADDRESS: Final = 0x400000
MAX_MESSAGE_SIZE: Final = 0x10000

_READ, _WRITE, _OPEN, _IOCTL, _PAUSE, _EXIT, _FCNTL, _SYNC, _MOUNT, _REBOOT = 0, 1, 2, 16, 34, 60, 72, 162, 165, 169
_STDOUT: Final = 1
_F_GETFD: Final = 1
_O_RDWR: Final = 2
_TCSBRK: Final = 0x5409  # with an argument other than 0: tcdrain()
_REBOOT_MAGIC: Final = (0xFEE1DEAD, 0x28121969)
_REBOOT_COMMANDS: Final = {"power-off": 0x4321FEDC, "halt": 0xCDEF0123, "restart": 0x01234567}
ENDINGS: Final = (*_REBOOT_COMMANDS, "loop", "exit")

_CONSOLE: Final = b"/dev/console\0"
FILE_SYSTEMS: Final = {"/proc": "proc", "/sys": "sysfs"}
"""What is mounted where, for files that are shown."""
_BUFFER_SIZE: Final = 0x1000
_READ_AND_EXECUTE: Final = 5
_EXECUTABLE, _X86_64, _CURRENT = 2, 62, 1

_EAX, _EDX, _EBP, _ESI, _EDI = 0, 2, 5, 6, 7
_SYSCALL: Final = bytes.fromhex("0f05")
_TEST_EAX: Final = bytes.fromhex("85c0")
_KEEP_DESCRIPTOR: Final = bytes.fromhex("89c5")  # mov ebp, eax
_DESCRIPTOR: Final = bytes.fromhex("89ef")  # mov edi, ebp
_WHAT_IS_LEFT: Final = bytes.fromhex("4c89e6 4489ea")  # mov rsi, r12; mov edx, r13d
_MAKE_BUFFER: Final = bytes.fromhex("4881ec") + _BUFFER_SIZE.to_bytes(4, "little")  # sub rsp, size
_KEEP_FILE: Final = bytes.fromhex("4189c6")  # mov r14d, eax
_FILE_AND_BUFFER: Final = bytes.fromhex("4489f7 4889e6")  # mov edi, r14d; mov rsi, rsp
_READ_PIECE: Final = bytes.fromhex("4989e4 4989c5")  # mov r12, rsp; mov r13, rax
_NO_FLAGS_NO_DATA: Final = bytes.fromhex("4d31d2 4d31c0")  # xor r10, r10; xor r8, r8
_TEST_RAX: Final = bytes.fromhex("4885c0")
_SKIP_WRITTEN: Final = bytes.fromhex("4901c4 4929c5")  # add r12, rax; sub r13, rax
_JNS, _JLE, _JNZ, _JMP = 0x79, 0x7E, 0x75, 0xEB
_JUMP_SIZE: Final = 2


def init_program(message: str, then: str = "power-off", show: Sequence[str] = ()) -> bytes:
    """The program as an ELF file for x86-64; the same arguments always produce the same bytes.

    Args:
        message: What it writes, without the line feed at the end.
        then: One of :data:`ENDINGS`: how it ends. A kernel whose first program exits panics.
        show: Absolute paths of files that it writes after the message; missing ones are skipped.

    Raises:
        UsageError: An unknown ending, a message of more than 64 KiB, or an invalid path.
    """
    if then not in ENDINGS:
        raise UsageError(f"'{then}' is not a way for /init to end (one of {', '.join(ENDINGS)})")
    text = message.encode("utf-8", "surrogateescape") + b"\n"
    if len(text) > MAX_MESSAGE_SIZE:
        raise UsageError(f"a message of {len(text)} bytes is more than {MAX_MESSAGE_SIZE}, the limit")
    for path in show:
        if not path.startswith("/") or "\0" in path:
            raise UsageError(f"'{path}' is not an absolute path for /init to show")
    strings = _Strings(LOAD_ADDRESS + ELF64_HEADER.size + ELF64_PROGRAM_HEADER.size)
    console, line = strings.place(_CONSOLE), strings.place(text)
    shown = _show_all(show, strings)
    entry = strings.end
    code = _find_console(console) + _write(line, len(text)) + shown + _drain() + _end(then)
    return _elf_headers(entry, entry + len(code) - LOAD_ADDRESS) + bytes(strings.data) + code


class _Strings:
    """Data before the code, from ``start`` on."""

    def __init__(self, start: int) -> None:
        self._start = start
        self.data = bytearray()

    @property
    def end(self) -> int:
        """Address after the last one."""
        return self._start + len(self.data)

    def place(self, text: bytes) -> int:
        """Add one; returns its address."""
        address = self.end
        self.data += text
        return address

    def place_name(self, name: str) -> int:
        """Add a string that ends with NUL."""
        return self.place(name.encode("utf-8", "surrogateescape") + b"\0")


def file_systems(show: Sequence[str]) -> list[str]:
    """Mount points that files need which ``/init`` shows."""
    return [point for point in FILE_SYSTEMS if any(path.startswith(point + "/") for path in show)]


def _elf_headers(entry: int, size: int) -> bytes:
    """The headers of a file that is one segment."""
    identity = ELF_MAGIC + b"\x02\x01\x01"
    header = ELF64_HEADER.pack(
        identity, _EXECUTABLE, _X86_64, _CURRENT, entry, ELF64_HEADER.size, 0, 0,
        ELF64_HEADER.size, ELF64_PROGRAM_HEADER.size, 1, 0, 0, 0,
    )  # fmt: skip
    return header + ELF64_PROGRAM_HEADER.pack(
        PT_LOAD, _READ_AND_EXECUTE, 0, LOAD_ADDRESS, LOAD_ADDRESS, size, size, 0x1000
    )


def _load(register: int, value: int) -> bytes:
    """``mov register, value`` of 32 bits."""
    return bytes([0xB8 + register]) + value.to_bytes(4, "little")


def _call(number: int, *arguments: int | None) -> bytes:
    """A system call; an argument None is in its register already."""
    registers = (_EDI, _ESI, _EDX)[: len(arguments)]
    loads = (_load(where, value) for where, value in zip(registers, arguments, strict=True) if value is not None)
    return b"".join(loads) + _load(_EAX, number) + _SYSCALL


def _jump(opcode: int, distance: int) -> bytes:
    return bytes([opcode]) + distance.to_bytes(1, "little", signed=True)


def _find_console(path: int) -> bytes:
    """The descriptor to write to goes into ebp: 1, or what opening the console returns."""
    opening = _call(_OPEN, path, _O_RDWR, 0) + _KEEP_DESCRIPTOR
    asking = _load(_EBP, _STDOUT) + _call(_FCNTL, _STDOUT, _F_GETFD) + _TEST_EAX
    return asking + _jump(_JNS, len(opening)) + opening


def _write(address: int, size: int) -> bytes:
    """Write until nothing is left or the console refuses."""
    return b"\x41" + _load(4, address) + b"\x41" + _load(5, size) + _write_rest()  # mov r12d, address; mov r13d, size


def _write_rest() -> bytes:
    """Write the r13 bytes at r12."""
    piece = _DESCRIPTOR + _WHAT_IS_LEFT + _call(_WRITE) + _TEST_RAX
    count = _SKIP_WRITTEN
    piece += _jump(_JLE, len(count) + _JUMP_SIZE) + count
    piece += _jump(_JNZ, -len(piece) - _JUMP_SIZE)
    return piece


def _drain() -> bytes:
    """Wait until the console has sent everything."""
    return _DESCRIPTOR + _call(_IOCTL, None, _TCSBRK, 1)


def _show_all(show: Sequence[str], strings: _Strings) -> bytes:
    """Mount what the files need, and write each."""
    if not show:
        return b""
    mounts = b"".join(_mount(FILE_SYSTEMS[point], point, strings) for point in file_systems(show))
    return mounts + _MAKE_BUFFER + b"".join(_show(strings.place_name(path)) for path in show)


def _mount(kind: str, point: str, strings: _Strings) -> bytes:
    name = strings.place_name(kind)
    return _NO_FLAGS_NO_DATA + _call(_MOUNT, name, strings.place_name(point), name)


def _show(path: int) -> bytes:
    """Copy a file to the console by way of the stack; nothing where it cannot be opened."""
    read = _FILE_AND_BUFFER + _call(_READ, None, None, _BUFFER_SIZE) + _TEST_RAX
    copy = _READ_PIECE + _write_rest()
    read += _jump(_JLE, len(copy) + _JUMP_SIZE)
    again = _jump(_JMP, -len(read) - len(copy) - _JUMP_SIZE)
    return _call(_OPEN, path, 0, 0) + _KEEP_FILE + read + copy + again


def _end(then: str) -> bytes:
    """The end; whatever returns from it sleeps."""
    sleep = _call(_PAUSE)
    sleep += _jump(_JMP, -len(sleep) - _JUMP_SIZE)
    if then == "loop":
        return sleep
    if then == "exit":
        return _call(_EXIT, 0) + sleep
    return _call(_SYNC) + _call(_REBOOT, *_REBOOT_MAGIC, _REBOOT_COMMANDS[then]) + sleep
