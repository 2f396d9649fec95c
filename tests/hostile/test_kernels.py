"""Hostile kernels through the command line: headers that lie to each boot flow, code that does what no kernel does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tdvfsh.cli.main import main
from tests.engine.assembler import Program
from tests.engine.operating_system import Kernel
from tests.fuzz.mutate import mutate_bytes, mutate_pe
from tests.fuzz.seeds import images, kernels
from tests.hostile.program import run

MEMORY = 64 << 30
"""Address space; the processor's emulator reserves gigabytes of it."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

CODE: dict[str, Callable[[Program], Program]] = {
    "halts with interrupts off": lambda code: code.raw("FA F4"),
    "an invalid instruction": lambda code: code.raw("0F0B"),
    "no interrupt table": lambda code: code.raw("0F011C2500000000 CC"),
    "jumps to NULL": lambda code: code.mov("rax", 0).raw("FFE0"),
    "jumps out of canonical addresses": lambda code: code.mov("rax", 1 << 63).raw("FFE0"),
    "a stack at the end of the address space": lambda code: code.mov("rsp", 8).raw("50 50"),
    "page tables that are not there": lambda code: code.mov("rax", 0xFFFFF000).raw("0F22D8"),
    "writes to every port": lambda code: code.raw("31D2").label("port").raw("EE EC 42").jump("port"),
    "TDCALLs without end": lambda code: code.label("call").mov("rax", 6).raw("660F01CC").jump("call"),
    "escapes on the serial port": lambda code: code.label("out").raw("66BAF803 B01B EE B09B EE B07F EE").jump("out"),
    "loops": lambda code: code.raw("EBFE"),
}


def _harmless(output: str) -> None:
    assert "internal error" not in output
    assert "Traceback" not in output
    assert not _CONTROLS.search(output)


@pytest.mark.parametrize("what", CODE)
def test_code_of_a_stub_that_does_what_no_kernel_does_ends_the_boot_only(tmp_path: Path, what: str) -> None:
    (tmp_path / "kernel").write_bytes(CODE[what](Program()).ret(0).image())
    words = ("boot", "kernel", "--engine", "cpu", "--through-os", "--memory", "1G", "--time-limit", "2")
    done = run(*words, cwd=tmp_path, memory=MEMORY)
    assert done.returncode == 1
    assert "Could not allocate" not in done.stderr
    assert done.stdout + done.stderr
    _harmless(done.stdout + done.stderr)


def test_a_system_that_is_not_linux_is_left_at_its_first_instruction(tmp_path: Path) -> None:
    kernel = Kernel()
    (tmp_path / "kernel").write_bytes(kernel.raw("0F0B").image())
    done = run("boot", "kernel", "--engine", "cpu", "--through-os", "--memory", "1G", cwd=tmp_path, memory=MEMORY)
    assert done.returncode == 0
    _harmless(done.stdout + done.stderr)


@pytest.mark.parametrize("loader", ["direct", "grub2.12", "sd-boot"])
def test_headers_that_lie_are_an_answer_of_each_boot_flow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], loader: str
) -> None:
    random, statuses = Random(loader), set()
    for number in range(60):
        mutate, seeds = (mutate_pe, images()) if number % 2 else (mutate_bytes, kernels())
        data = mutate(random, random.choice(seeds), seeds, (b"HdrS",))
        (tmp_path / "kernel").write_bytes(data)
        statuses.add(main(["boot", str(tmp_path / "kernel"), "--loader", loader]))
        output = capsys.readouterr()
        _harmless(output.out + output.err)
        assert output.err.count("\n") <= 1
    assert statuses <= {0, 1, 2}
    assert len(statuses) > 1
