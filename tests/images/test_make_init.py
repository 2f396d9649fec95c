"""The initrd with a program: accepted by every tool that reads such files, and the program does what it says.

The program runs twice: natively, where all it does is write and exit, and on an emulated processor whose system calls
are answered here, where it may also switch off.
"""

from __future__ import annotations

import platform
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import unicorn
from unicorn import x86_const as x86

from tdvfsh.errors import UsageError
from tdvfsh.formats.cpio import cpio_entries
from tdvfsh.formats.elf import ELF64_HEADER, ELF64_PROGRAM_HEADER, load_span
from tdvfsh.formats.initrd import parse_initrd
from tdvfsh.formats.mapped import ByteSource, open_mapped
from tdvfsh.images.init_program import ENDINGS, init_program
from tdvfsh.images.make_init import make_init

WRITE, OPEN, IOCTL, PAUSE, EXIT, FCNTL, SYNC, REBOOT = 1, 2, 16, 34, 60, 72, 162, 169
BAD_DESCRIPTOR, IO_ERROR, NOT_PERMITTED = -9, -5, -1
POWER_OFF, HALT, RESTART = 0x4321FEDC, 0xCDEF0123, 0x01234567
NATIVE = sys.platform == "linux" and platform.machine() == "x86_64"
Call = tuple[int, ...]


class Kernel:
    """Loads the program as Linux does and answers its system calls."""

    def __init__(self, program: bytes, stdout: bool = True, largest_write: int = 1 << 20, console: int = 0) -> None:
        self.calls: list[Call] = []
        self.written: dict[int, bytes] = {}
        self._stdout, self._largest_write, self._console = stdout, largest_write, console
        entry = ELF64_HEADER.unpack_from(program)[4]
        kind, flags, offset, address, _, size, in_memory, _ = ELF64_PROGRAM_HEADER.unpack_from(program, 64)
        assert (kind, flags, offset, size, in_memory) == (1, 5, 0, len(program), len(program))
        self._cpu: Any = vars(unicorn)["Uc"](unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self._cpu.mem_map(address, -(-size // 4096) * 4096, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        self._cpu.mem_write(address, program)
        self._cpu.hook_add(unicorn.UC_HOOK_INSN, self._system_call, None, 1, 0, x86.UC_X86_INS_SYSCALL)
        self._cpu.emu_start(entry, 0, count=10_000)

    def _get(self, register: int) -> int:
        value = self._cpu.reg_read(register)
        assert isinstance(value, int)
        return value

    def _system_call(self, _cpu: object, _data: object) -> None:
        number = self._get(x86.UC_X86_REG_RAX)
        arguments = tuple(map(self._get, (x86.UC_X86_REG_RDI, x86.UC_X86_REG_RSI, x86.UC_X86_REG_RDX)))
        result = self._answer(number, *arguments)
        self._cpu.reg_write(x86.UC_X86_REG_RAX, result & (1 << 64) - 1)
        self._cpu.reg_write(x86.UC_X86_REG_RCX, 0xBAD)  # as the instruction and the kernel leave them
        self._cpu.reg_write(x86.UC_X86_REG_R11, 0xBAD)

    def _answer(self, number: int, first: int, second: int, third: int) -> int:
        if number == WRITE:
            self.calls.append((WRITE, first, third))
            size = min(third, self._largest_write)
            if first & 1 << 31 or size == 0:
                return IO_ERROR
            self.written[first] = self.written.get(first, b"") + bytes(self._cpu.mem_read(second, size))
            return size
        if number == OPEN:
            path = bytes(self._cpu.mem_read(first, 13))
            assert path == b"/dev/console\0"
            self.calls.append((OPEN, second, third))
            return self._console
        if number == FCNTL:
            self.calls.append((FCNTL, first, second))
            return 0 if self._stdout else BAD_DESCRIPTOR
        self.calls.append((number, first, second, third) if number in (IOCTL, REBOOT) else (number,))
        if number in (PAUSE, EXIT):
            if number == EXIT or self.calls.count((PAUSE,)) == 3:
                self._cpu.emu_stop()
            return -4
        return NOT_PERMITTED if number == REBOOT else 0


def test_it_writes_drains_syncs_and_switches_off() -> None:
    kernel = Kernel(init_program("hello"))
    assert kernel.written == {1: b"hello\n"}
    assert kernel.calls == [
        (FCNTL, 1, 1),
        (WRITE, 1, 6),
        (IOCTL, 1, 0x5409, 1),
        (SYNC,),
        (REBOOT, 0xFEE1DEAD, 672274793, POWER_OFF),
        *[(PAUSE,)] * 3,  # a kernel that does not switch off has no busy /init
    ]


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ("power-off", [(SYNC,), (REBOOT, 0xFEE1DEAD, 672274793, POWER_OFF)]),
        ("halt", [(SYNC,), (REBOOT, 0xFEE1DEAD, 672274793, HALT)]),
        ("restart", [(SYNC,), (REBOOT, 0xFEE1DEAD, 672274793, RESTART)]),
        ("loop", []),
        ("exit", [(EXIT,)]),
    ],
)
def test_each_ending_does_nothing_but_what_it_says(then: str, expected: list[Call]) -> None:
    after_output = Kernel(init_program("x", then)).calls[3:]
    assert [call for call in after_output if call != (PAUSE,)] == expected
    assert after_output.count((PAUSE,)) == (0 if then == "exit" else 3)


def test_every_ending_is_tested() -> None:
    assert set(ENDINGS) == {"power-off", "halt", "restart", "loop", "exit"}


@pytest.mark.parametrize("descriptor", [0, 5])
def test_without_standard_output_it_opens_the_console(descriptor: int) -> None:
    kernel = Kernel(init_program("hello", "exit"), stdout=False, console=descriptor)
    assert kernel.written == {descriptor: b"hello\n"}
    assert kernel.calls == [
        (FCNTL, 1, 1), (OPEN, 2, 0), (WRITE, descriptor, 6), (IOCTL, descriptor, 0x5409, 1), (EXIT,)
    ]  # fmt: skip


def test_without_any_console_it_still_switches_off() -> None:
    kernel = Kernel(init_program("hello"), stdout=False, console=-19)
    assert kernel.written == {}
    assert kernel.calls[-4] == (REBOOT, 0xFEE1DEAD, 672274793, POWER_OFF)


def test_a_console_that_takes_little_at_a_time_gets_everything_once() -> None:
    kernel = Kernel(init_program("0123456789", "exit"), largest_write=4)
    assert kernel.written == {1: b"0123456789\n"}
    assert [call[2] for call in kernel.calls if call[0] == WRITE] == [11, 7, 3]


def test_a_console_that_takes_nothing_does_not_hold_it_up() -> None:
    assert Kernel(init_program("hello", "exit"), largest_write=0).calls[-1] == (EXIT,)


@pytest.mark.skipif(not NATIVE, reason="not an x86-64 Linux")
@pytest.mark.parametrize("message", ["", "user space runs", "two\nlines, ünïcode", "x" * 5000])
def test_on_a_real_kernel_it_says_its_line_and_exits(message: str, tmp_path: Path) -> None:
    program = tmp_path / "init"
    program.write_bytes(init_program(message, "exit"))
    program.chmod(0o755)
    done = subprocess.run([program], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, message.encode() + b"\n", b"")


@pytest.mark.skipif(not NATIVE, reason="not an x86-64 Linux")
@pytest.mark.parametrize("size", [0, 1, 4096, 10_000])
def test_on_a_real_kernel_it_shows_files_one_after_another_and_passes_over_what_is_not_there(
    size: int, tmp_path: Path
) -> None:
    program, shown, last = tmp_path / "init", tmp_path / "shown", tmp_path / "last"
    content = bytes(number % 251 for number in range(size))
    shown.write_bytes(content)
    last.write_bytes(b"the end")
    program.write_bytes(init_program("first", "exit", [str(shown), str(tmp_path / "missing"), str(last)]))
    program.chmod(0o755)
    done = subprocess.run([program], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, b"first\n" + content + b"the end")


def test_an_initrd_that_shows_files_of_the_kernel_has_the_folders_to_mount_them_in(tmp_path: Path) -> None:
    path = tmp_path / "init.cpio"
    make_init(path, show=["/proc/meminfo", "/proc/cpuinfo", "/sys/kernel/uevent_seqnum"])
    with open_mapped(path) as file:
        names = [entry.name for entry in cpio_entries(ByteSource(file.view, file.path), 0)]
    assert names == [b"dev", b"dev/console", b"proc", b"sys", b"init", b"TRAILER!!!"]


@pytest.mark.parametrize("path", ["proc/meminfo", "", "/a\0b"])
def test_a_path_that_is_not_absolute_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="not an absolute path"):
        init_program("hello", "exit", [path])


@pytest.mark.parametrize("then", ENDINGS)
def test_the_initrd_is_one_that_we_read_and_always_the_same(then: str, tmp_path: Path) -> None:
    path, again = tmp_path / "init.cpio", tmp_path / "again.cpio"
    assert make_init(path, "hello", then) == make_init(again, "hello", then) == path.stat().st_size
    assert path.read_bytes() == again.read_bytes()
    with open_mapped(path) as file:
        parsed = parse_initrd(file.view, file.path)
        assert [(each.format, each.size) for each in parsed.segments] == [("cpio", path.stat().st_size)]
        entries = list(cpio_entries(ByteSource(file.view, file.path), 0))
    names = [entry.name for entry in entries]
    assert names == [b"dev", b"dev/console", b"init", b"TRAILER!!!"]
    data = path.read_bytes()
    modes = [int(data[entry.offset + 14 : entry.offset + 22], 16) for entry in entries[:3]]
    assert modes == [stat.S_IFDIR | 0o755, stat.S_IFCHR | 0o600, stat.S_IFREG | 0o755]
    device = data[entries[1].offset + 78 : entries[1].offset + 94]
    assert device == b"0000000500000001"
    init = entries[2]
    assert data[init.data_offset : init.data_offset + init.filesize] == init_program("hello", then)


def test_the_program_is_one_segment_of_its_own_size() -> None:
    program = init_program("hello")
    assert load_span(program) == len(program) < 400


@pytest.mark.skipif(shutil.which("file") is None, reason="file is not installed")
def test_file_knows_program_and_initrd(tmp_path: Path) -> None:
    program, initrd = tmp_path / "init", tmp_path / "init.cpio"
    program.write_bytes(init_program("hello"))
    make_init(initrd)
    said = subprocess.run(["file", "-b", program, initrd], capture_output=True, text=True, check=True).stdout
    assert "ELF 64-bit LSB executable, x86-64" in said
    assert "statically linked" in said
    assert "ASCII cpio archive (SVR4 with no CRC)" in said


def test_what_cannot_be_made_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "init.cpio"
    with pytest.raises(UsageError, match="'sleep' is not a way for /init to end"):
        make_init(path, "hello", "sleep")
    with pytest.raises(UsageError, match="more than 65536"):
        make_init(path, "x" * 65536)
    assert not path.exists()
