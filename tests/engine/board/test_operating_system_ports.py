"""IN and OUT of a running system: #VE in a TD, #GP in user space, the devices in a plain VM."""

from __future__ import annotations

import pytest

from tdvfsh.machine import TdOptions
from tests.engine.operating_system import USER_CODE, Kernel
from tests.engine.system_run import powered_off

PLAIN = TdOptions(td=False)
SERIAL = 0x3F8
IO = 30
IN = 1 << 3
STRING = 1 << 4
REPEATED = 1 << 5
IMMEDIATE = 1 << 6
IOPL_3 = 3 << 12


@pytest.mark.parametrize(
    ("code", "length", "qualification"),
    [
        ("EC", 1, SERIAL << 16 | IN),
        ("66ED", 2, SERIAL << 16 | IN | 1),
        ("ED", 1, SERIAL << 16 | IN | 3),
        ("48EE", 2, SERIAL << 16),
        ("E470", 2, 0x70 << 16 | IN | IMMEDIATE),
        ("E771", 2, 0x71 << 16 | IMMEDIATE | 3),
        ("6E", 1, SERIAL << 16 | STRING),
        ("F36C", 2, SERIAL << 16 | IN | STRING | REPEATED),
    ],
)
def test_a_port_is_a_virtualization_exception_that_names_it_before_the_instruction_is_carried_out(
    code: str, length: int, qualification: int
) -> None:
    kernel = (
        Kernel().mov("rdx", SERIAL).mov("rax", 0x41).label("there").raw(code).keep("rax", "accumulator").power_off()
    )
    kernel.label("#VE").gate(20, "#VE").keep("rax", "before").keep_frame("came from").tdcall(3).keep("rcx", "reason")
    kernel.keep("rdx", "qualification").keep("r10", "length").raw("458BD2 4C011424 48CF")  # skip it; iretq
    ran = powered_off(kernel)
    assert ran.cells["reason"] == IO
    assert ran.cells["qualification"] == qualification
    assert ran.cells["length"] == length
    assert ran.cells["before"] == 0x41
    assert ran.cells["came from"] == kernel.place("there")
    assert ran.console == ""


def test_every_pass_over_the_same_instruction_is_an_exception() -> None:
    kernel = Kernel().mov("rdx", SERIAL).mov("rbp", 5).label("again").raw("EE 48FFCD")  # out; dec rbp
    kernel.raw("0F85")._to("again")  # jnz
    ran = powered_off(kernel.power_off().handle_virtualization("reason"))
    assert ran.counts["#VE"] == 5
    assert ran.counts["OUT"] == 5
    assert ran.console == ""


def test_code_that_was_written_over_with_an_out_is_stopped_before_it() -> None:
    kernel = Kernel().mov("rdx", SERIAL).mov("rbp", 1).label("again").raw("90 48FFCD").raw("0F88")._to("end")  # dec; js
    kernel.lea("rax", "again").raw("C600EE").jump("again")  # mov byte [rax], OUT
    assert powered_off(kernel.label("end").power_off().handle_virtualization("reason")).cells["reason"] == IO


@pytest.mark.parametrize("options", [TdOptions(), PLAIN])
def test_user_space_has_no_ports(options: TdOptions) -> None:
    kernel = (
        Kernel().enter_user("user").label("user").mov("rdx", SERIAL).mov("rax", 0x41).label("there").raw("EE").spin()
    )
    kernel.label("#GP").gate(13, "#GP").keep_frame("error", "instruction", "code segment").power_off()
    ran = powered_off(kernel, options)
    assert ran.console == ""
    assert (ran.cells["error"], ran.cells["instruction"]) == (0, kernel.place("there"))
    assert ran.cells["code segment"] == USER_CODE


def test_user_space_with_the_i_o_privilege_level_reaches_the_port_of_a_plain_vm() -> None:
    kernel = Kernel().enter_user("user", flags=2 | IOPL_3).label("user").mov("rdx", SERIAL).mov("rax", 0x41)
    kernel.raw("EE EE 0F0B").label("#UD").gate(6, "#UD").power_off()  # out, twice; ud2
    assert powered_off(kernel, PLAIN).console == "AA"


def test_user_space_with_the_i_o_privilege_level_of_a_td_is_a_virtualization_exception() -> None:
    kernel = Kernel().enter_user("user", flags=2 | IOPL_3).label("user").mov("rdx", SERIAL).raw("EE").spin()
    assert powered_off(kernel.handle_virtualization("reason", end=True)).cells["reason"] == IO


def test_a_plain_vm_s_kernel_reaches_its_devices_without_any_exception() -> None:
    kernel = Kernel().mov("rdx", SERIAL + 5).raw("EC").keep("rax", "line status").power_off()
    ran = powered_off(kernel, PLAIN)
    assert ran.cells["line status"] & 0x60 == 0x60
    assert "#VE" not in ran.counts
