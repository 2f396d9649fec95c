"""A program under a debugger, asked as gdb asks: breakpoints, steps, watchpoints, registers, memory, reverse steps."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from tdvfsh.engine.debug.session import DebugOptions, DebugSession
from tests.engine.assembler import Program
from tests.engine.debug.client import Client, debugged
from tests.engine.programs import guest, load

RAX, RBX, RSP, FLAGS = 0, 1, 7, 17
END = b"W00"


def program() -> Program:
    """RAX counts: 1, 2, 3; then a store, a store that reads, PUSHF, and RAX is 0."""
    return (
        Program()
        .raw("B801000000 FFC0 FFC0")  # mov eax, 1; inc eax; inc eax
        .raw("4889442440 4801442440")  # mov [rsp+0x40], rax; add [rsp+0x40], rax
        .raw("9C 5A")  # pushf; pop rdx
        .ret(0)
    )


def prologue_size() -> int:
    return len(Program().code())


def test_it_halts_before_the_first_instruction_and_runs_to_its_end(tmp_path: Path) -> None:
    with debugged(program().image(), tmp_path) as (client, _):
        assert client.ask(b"?") == b"T05thread:1;"
        assert client.memory(client.pointer, 3) == bytes.fromhex("535657")
        assert client.ask(b"vCont;c") == END


def test_a_breakpoint_halts_each_time_and_no_more_once_removed(tmp_path: Path) -> None:
    loop = Program(prologue=False).raw("31C0 FFC0 83F805 75F9 31C0 C3")  # xor; again: inc eax; cmp eax, 5; jne again
    with debugged(loop.image(), tmp_path) as (client, _):
        again = client.pointer + 2
        assert client.ask(b"Z0,%x,1" % again) == b"OK"
        for count in range(3):
            assert client.ask(b"vCont;c") == b"T05thread:1;swbreak:;"
            assert (client.pointer, client.register(RAX)) == (again, count)
        assert client.ask(b"z0,%x,1" % again) == b"OK"
        assert client.ask(b"vCont;c") == END


def test_a_step_is_one_instruction_and_the_guest_does_not_see_the_trap_flag(tmp_path: Path) -> None:
    with debugged(program().image(), tmp_path) as (client, _):
        at = client.pointer + prologue_size()
        client.ask(b"Z0,%x,1" % at)
        client.ask(b"vCont;c")
        places = []
        for _ in range(7):
            assert client.ask(b"vCont;s:1;c") == b"T05thread:1;"
            places.append(client.pointer - at)
        assert places == [5, 7, 9, 14, 19, 20, 21]
        assert client.register(RAX) == 3
        assert not client.register(2 + 1) & 1 << 8  # RDX: what PUSHF stored
        assert not client.register(FLAGS) & 1 << 8
        assert client.ask(b"vCont;c") == END


def test_a_watched_store_is_done_once_and_halts_after_its_instruction(tmp_path: Path) -> None:
    with debugged(program().image(), tmp_path) as (client, _):
        at = client.pointer + prologue_size()
        client.ask(b"Z0,%x,1" % at)
        client.ask(b"vCont;c")
        cell = client.register(RSP) + 0x40
        assert client.ask(b"Z2,%x,8" % cell) == b"OK"
        assert client.ask(b"vCont;c") == b"T05thread:1;watch:%x;" % cell
        assert (client.pointer - at, client.memory(cell, 1)) == (14, b"\x03")
        assert client.ask(b"vCont;c") == b"T05thread:1;watch:%x;" % cell
        assert (client.pointer - at, client.memory(cell, 1)) == (19, b"\x06")  # once, though it reads and writes
        client.ask(b"z2,%x,8" % cell)
        assert client.ask(b"vCont;c") == END


def test_a_read_watchpoint_does_not_halt_for_plain_writes(tmp_path: Path) -> None:
    with debugged(program().image(), tmp_path) as (client, _):
        at = client.pointer + prologue_size()
        client.ask(b"Z0,%x,1" % at)
        client.ask(b"vCont;c")
        cell = client.register(RSP) + 0x44
        assert client.ask(b"Z3,%x,1" % cell) == b"OK"
        assert client.ask(b"vCont;c") == b"T05thread:1;rwatch:%x;" % cell
        assert client.pointer - at == 19
        client.ask(b"z3,%x,1" % cell)
        client.ask(b"vCont;c")


def test_steps_are_taken_back_with_what_they_wrote(tmp_path: Path) -> None:
    with debugged(program().image(), tmp_path) as (client, _):
        at = client.pointer + prologue_size()
        client.ask(b"Z0,%x,1" % at)
        client.ask(b"vCont;c")
        cell = client.register(RSP) + 0x40
        before = client.memory(cell, 8), client.ask(b"g")
        for _ in range(5):
            client.ask(b"vCont;s:1")
        assert client.memory(cell, 1) == b"\x06"
        assert client.ask(b"bs") == b"T05thread:1;"
        assert (client.pointer - at, client.memory(cell, 1)) == (14, b"\x03")
        assert client.ask(b"bc") == b"T05thread:1;swbreak:;"
        assert (client.memory(cell, 8), client.ask(b"g")) == before
        assert client.ask(b"vCont;c") == END


def test_registers_and_memory_can_be_changed(tmp_path: Path) -> None:
    with debugged(Program(prologue=False).raw("B807000000 C3").image(), tmp_path) as (client, _):
        at = client.pointer
        assert client.ask(b"M%x,1:09" % (at + 1)) == b"OK"  # mov eax, 9
        client.ask(b"vCont;s:1")
        assert client.register(RAX) == 9
        assert client.ask(b"P0=" + (0).to_bytes(8, "little").hex().encode()) == b"OK"
        everything = client.ask(b"g")
        assert client.ask(b"G" + everything) == b"OK"
        assert client.ask(b"g") == everything
        assert client.ask(b"vCont;c") == END


def test_memory_that_is_not_accepted_is_an_error_and_not_zeros(tmp_path: Path) -> None:
    with debugged(program().image(), tmp_path) as (client, _):
        assert client.ask(b"m40000000,8") == b"E14"
        assert client.ask(b"M40000000,1:00") == b"E14"
        assert client.ask(b"Z2,%x,8" % (1 << 62)) == b"E14"
        assert client.monitor("accepted 0x40000000") == "0x40000000-0x40000001: FREE\n"
        assert client.monitor("phys 0x40000000") == "0x40000000: not all accepted: FREE (2M)\n"
        client.ask(b"vCont;c")


def test_a_guest_that_was_stopped_stands_still_for_its_debugger(tmp_path: Path) -> None:
    touch = Program(prologue=False).raw("48A1 0000004000000000 C3")  # mov rax, [0x40000000]
    with debugged(touch.image(), tmp_path) as (client, guest):
        at = client.pointer
        assert client.ask(b"vCont;c") == b"T0bthread:1;"
        assert client.console.startswith("read of memory that is not accepted, 0x40000000 at test.efi .text")
        assert client.pointer == at
        assert client.monitor("bt").startswith("#0  test.efi")
        assert client.ask(b"vCont;c") == END
    assert "not accepted" in str(guest.error)


def test_an_endless_loop_is_interrupted_and_can_run_on(tmp_path: Path) -> None:
    # xor ecx, ecx; xor eax, eax; push rax; again: add qword [rsp], 1; inc ecx; cmp ecx, -1; jne again; pop rax
    counting = Program(prologue=False).raw("31C9 31C0 50 4883042401 FFC1 83F9FF 75F4 58 31C0 C3")
    with debugged(counting.image(), tmp_path) as (client, _):
        for _ in range(3):
            client.ask(b"vCont;s:1")
        for _ in range(20):
            client.tell(b"vCont;c")
            client.socket.sendall(b"\x03")
            assert client.answer() == b"T02thread:1;"
            counted = int.from_bytes(client.memory(client.register(RSP), 8), "little")
            assert client.register(2) == counted  # each addition was done once
        client.ask(b"P2=" + (0xFFFFFFF0).to_bytes(8, "little").hex().encode())
        assert client.ask(b"vCont;c") == END


def test_services_accepts_and_the_console_halt_it(tmp_path: Path) -> None:
    with debugged(Program().mov("rcx", 10).boot("Stall").ret(0).image(), tmp_path) as (client, _):
        assert "service Stall" in client.monitor("break-on service Stall")
        assert client.ask(b"vCont;c").startswith(b"T05thread:1;")
        assert client.register(2) == 10  # RCX
        assert client.monitor("break-on service Nonsense").startswith("break-on: Nonsense: not a boot")
        assert client.monitor("break-on none") == "none\n"
        assert client.ask(b"vCont;c") == END


def test_nothing_stands_in_the_way_without_a_debugger() -> None:
    with guest() as (firmware, _):
        assert firmware.cpu.debugger is None
        runs = []
        run_on = firmware.cpu.run_on
        firmware.cpu.run_on = lambda address: runs.append(address) or run_on(address)  # type: ignore[method-assign, func-returns-value]
        firmware.services.start_image(load(firmware, program().image()))
        turns = len(runs)
    with guest() as (firmware, _):
        session = DebugSession(DebugOptions(breaks=("0x10",)), lambda line: None)
        from tdvfsh.engine.debug.guest_scene import GuestScene

        session.attach(GuestScene(firmware))
        runs.clear()
        run_on = firmware.cpu.run_on
        firmware.cpu.run_on = lambda address: runs.append(address) or run_on(address)  # type: ignore[method-assign, func-returns-value]
        firmware.services.start_image(load(firmware, program().image()))
        assert len(runs) == turns  # a breakpoint that is not reached costs no turn


def test_a_second_client_halts_a_guest_that_runs_on_after_the_first(tmp_path: Path) -> None:
    endless = Program(prologue=False).raw("B901000000 0F31 83F901 74F9 31C0 C3")  # mov ecx, 1; again: rdtsc; je again
    with debugged(endless.image(), tmp_path) as (client, guest):
        after_the_loop = client.pointer + 12
        assert client.ask(b"D") == b"OK"
        with Client(guest.path) as second:
            assert second.ask(b"?") == b"T02thread:1;"
            second.ask(b"P10=" + after_the_loop.to_bytes(8, "little").hex().encode())  # RIP: it may not have begun yet
            assert second.ask(b"vCont;c") == END


def test_a_write_of_a_physical_address_halts_it(tmp_path: Path) -> None:
    with debugged(program().image(), tmp_path) as (client, _):
        at = client.pointer + prologue_size()
        client.ask(b"Z0,%x,1" % at)
        client.ask(b"vCont;c")
        cell = client.register(RSP) + 0x40
        assert f"write {cell:#x}" in client.monitor(f"break-on write {cell:#x}")
        assert client.ask(b"vCont;c") == b"T05thread:1;"
        assert (client.pointer - at, client.console) == (14, f"write of physical {cell:#x}\n")
        client.monitor("break-on none")
        assert client.ask(b"vCont;c") == END


def allocates() -> bytes:
    """AllocatePool with its result on the stack, twice."""
    code = Program()
    for _ in range(2):
        code.mov("rcx", 4).mov("rdx", 0x100).raw("4C8D442460").boot("AllocatePool")  # lea r8, [rsp+0x60]
    return code.ret(0).image()


def test_what_a_service_of_ours_writes_halts_it_and_says_who_wrote(tmp_path: Path) -> None:
    with debugged(allocates(), tmp_path) as (client, _):
        at = client.pointer + prologue_size()
        client.ask(b"Z0,%x,1" % at)
        client.ask(b"vCont;c")
        cell = client.register(RSP) + 0x60
        assert client.ask(b"Z2,%x,8" % cell) == b"OK"
        before = client.memory(cell, 8)
        assert client.ask(b"vCont;c").startswith(b"T05thread:1;watch:%x" % (cell >> 4))
        assert client.memory(cell, 8) != before
        assert "was written by AllocatePool, called by test.efi" in client.console
        client.ask(b"z2,%x,8" % cell)
        client.console = ""
        client.monitor(f"break-on write {cell:#x}")
        assert client.ask(b"vCont;c") == b"T05thread:1;"
        assert client.console.startswith(f"physical {cell:#x} was written by AllocatePool")
        client.monitor("break-on none")
        assert client.ask(b"vCont;c") == END


def test_a_guid_has_its_name_and_a_register_is_an_address(tmp_path: Path) -> None:
    loaded_image = "5B1B31A1-9562-11D2-8E3F-00A0C969723B"
    with debugged(program().image(), tmp_path) as (client, _):
        at = client.register(RSP)
        client.ask(b"M%x,10:%b" % (at, UUID(loaded_image).bytes_le.hex().encode()))
        assert client.monitor(f"guid {loaded_image}") == f"{loaded_image} EFI_LOADED_IMAGE_PROTOCOL_GUID\n"
        assert client.monitor("guid $rsp") == f"{loaded_image} EFI_LOADED_IMAGE_PROTOCOL_GUID\n"
        assert client.monitor("guid $nothing").startswith("guid: $nothing: not an address")
        assert client.monitor("who $rip").splitlines()[0] == "page      MAPPED (4K)"
        client.ask(b"vCont;c")
