"""``tdvfsh lazy``: which runs it makes and what it says of them; the runs themselves are made up."""

from __future__ import annotations

import importlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.engine.console.serial_input import InputEnded
from tdvfsh.engine.introspect.fast_decompress import Shortcut
from tdvfsh.engine.runs import cpu_boot as engine_boot
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
from tdvfsh.engine.runs.os_run import SystemOptions
from tdvfsh.engine.tdx.page_accepts import AcceptMoment, Acceptor
from tdvfsh.images.make import make_kernel
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.options import TdOptions
from tdvfsh.units import GIB, MIB
from tests.report.boots.test_os_run_text import result
from tests.schemas import check_json


@pytest.fixture
def kernel(tmp_path: Path) -> str:
    """A made kernel, which is never run."""
    path = tmp_path / "vmlinuz"
    make_kernel(path, 8 * MIB, 32 * MIB)
    return str(path)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str, str]]:
    """Memory, accept and command line of each run that was asked for; eager ones panic where ``panic`` is in it."""
    asked: list[tuple[int, str, str]] = []

    def ran(options: TdOptions, files: BootFiles, **more: object) -> CpuBootResult:
        asked.append((options.memory, options.accept.name, files.cmdline))
        made = result()
        if more["fast_decompress"]:
            taken = "partly" not in files.cmdline or "lazy" in files.cmdline
            why = None if taken else "no call met the contract"
            shortcut = Shortcut(
                taken, "zstd", "zstd_decompress_dctx" if taken else None, 0x1000, int(taken), 10, 70, why
            )
            made = replace(made, shortcut=shortcut)
        assert made.os_run is not None
        if "panic" in files.cmdline and "eager" in files.cmdline:
            return replace(made, os_run=replace(made.os_run, ending="panic", why="it panicked"))
        return made

    # imported under the patch, it would keep the made-up run for good
    importlib.import_module("tdvfsh.cli.subcommand.cpu_boot")
    monkeypatch.setattr(engine_boot, "boot_on_cpu", ran)
    return asked


def test_every_memory_and_accept_is_run_lazily_and_eagerly(
    kernel: str, runs: list[tuple[int, str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["lazy", kernel, "--cmdline", "quiet", "--memory", "2G,8G", "--accept", "512M,below-4g"]
    assert main(words) == 0
    policies = ("quiet accept_memory=lazy", "quiet accept_memory=eager")
    assert runs == [
        (memory, accept, line) for memory in (2 * GIB, 8 * GIB) for accept in ("512M", "below-4g") for line in policies
    ]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert lines[1].split()[:3] == ["2G", "512M", "lazy"]
    assert lines[1].endswith("power off")
    assert "180 MiB" in lines[1]  # what the kernel accepted


def test_a_system_that_does_not_end_well_is_exit_status_1_and_says_why(
    kernel: str, runs: list[tuple[int, str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lazy", kernel, "--cmdline", "panic"]) == 1
    assert capsys.readouterr().out.splitlines()[2].endswith("panic: it panicked")
    assert len(runs) == 2


def test_the_rows_for_machines_hold_each_run_s_accepts(
    kernel: str, runs: list[tuple[int, str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lazy", kernel, "--json"]) == 0
    rows = check_json(capsys.readouterr().out)["runs"]
    assert [row["accept_memory"] for row in rows] == ["lazy", "eager"]
    assert rows[0]["os"]["ending"] == "power off"
    assert runs[0][2] == "accept_memory=lazy"


def test_the_shortcut_is_named_with_how_many_runs_took_it(
    kernel: str, runs: list[tuple[int, str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lazy", kernel, "--fast-decompress"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "shortcut in 2 of 2 runs the host unpacked the kernel: zstd, 10 B to 70 B, in place of" in shown
    assert main(["lazy", kernel, "--fast-decompress", "--cmdline", "partly"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "shortcut in 1 of 2 runs the host unpacked the kernel" in shown
    assert "shortcut in 1 of 2 runs not taken: no call met the contract" in shown
    assert main(["lazy", kernel, "--fast-decompress", "--json"]) == 0
    assert [row["shortcut"]["taken"] for row in check_json(capsys.readouterr().out)["runs"]] == [True, True]
    assert main(["lazy", kernel]) == 0
    assert "shortcut" not in capsys.readouterr().out


def test_what_was_accepted_over_time_is_told_by_caller_and_vcpu_as_table_and_drawing(
    kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = Acceptor("kernel, memblock", 0), Acceptor("kernel, page allocator", 1)
    moments = (AcceptMoment(0, first, MIB), AcceptMoment(100, second, 2 * MIB), AcceptMoment(900, second, 4 * MIB))

    def ran(options: TdOptions, files: BootFiles, **more: object) -> CpuBootResult:
        made = result()
        assert made.os_run is not None
        return replace(made, os_run=replace(made.os_run, moments=moments, virtual_seconds=1.2))

    importlib.import_module("tdvfsh.cli.subcommand.cpu_boot")
    monkeypatch.setattr(engine_boot, "boot_on_cpu", ran)
    drawing = tmp_path / "lazy.svg"
    assert main(["lazy", kernel, "--timeline", "-o", str(drawing)]) == 0
    shown = capsys.readouterr().out
    heads, *rows = [" ".join(line.split()) for line in shown.split("accept_memory=lazy\n")[1].splitlines()][:12]
    assert heads == "after memblock, vCPU 0 page allocator, vCPU 1 together left"
    assert [row.split(" s ")[0] for row in rows[:2]] == ["0.07", "0.15"]  # nothing was accepted between
    assert rows[0].startswith("0.07 s 1 MiB 0 B 1 MiB")
    assert "0.90 s 1 MiB 6 MiB 7 MiB" in " ".join(rows)
    assert "1.20 s 1 MiB 6 MiB 7 MiB" in " ".join(rows)
    text = drawing.read_text()
    assert text.count("memblock, vCPU 0: 1 MiB after") > 100
    assert "page allocator, vCPU 1: 6 MiB after 0.90 s" in text
    assert main(["lazy", kernel, "--json"]) == 0
    (row, _) = check_json(capsys.readouterr().out)["runs"]
    assert row["timeline"][2] == {"milliseconds": 900, "by": "kernel, page allocator", "vcpu": 1, "bytes": 4 * MIB}


def test_a_plot_of_no_form_is_refused_before_anything_runs(
    kernel: str, runs: list[tuple[int, str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lazy", kernel, "-o", "plot.gif"]) == 2
    assert "-o plot.gif: a plot is an .svg or .png file" in capsys.readouterr().err
    assert not runs


@pytest.mark.parametrize(
    ("words", "line"),
    [("--no-td", "--no-td: a plain VM accepts nothing"), ("--until (", "--until (: not a regular expression")],
)
def test_what_cannot_be_run_is_one_line_and_exit_status_2(
    kernel: str, runs: list[tuple[int, str, str]], capsys: pytest.CaptureFixture[str], words: str, line: str
) -> None:
    assert main(["lazy", kernel, *words.split(" ")]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not runs


def test_a_command_is_typed_on_a_fresh_disk_each_time_and_the_kernel_is_asked_what_is_left(
    kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk, typed = tmp_path / "disk.img", bytearray()
    disk.write_bytes(bytes(1 << 20))

    def ran(options: TdOptions, files: BootFiles, **more: object) -> CpuBootResult:
        system = more["through_os"]
        assert isinstance(system, SystemOptions)
        assert system.typed is not None
        (drive,) = system.virtio.disks
        assert drive.read_disk(0, 512) == bytes(512)
        drive.write_disk(0, b"x" * 512)
        now = 0
        for _ in range(200):  # as a system that waits
            now += 1_000_000_000
            with suppress(InputEnded):
                system.typed.waits(now, None)
            typed.extend(system.typed.take())
        left = 1024 if "lazy" in files.cmdline else 0
        system.output(f"# grep\r\n\x1b[?2004l\rUnaccepted:    {left} kB\r\n".encode())
        return result()

    importlib.import_module("tdvfsh.cli.subcommand.cpu_boot")
    monkeypatch.setattr(engine_boot, "boot_on_cpu", ran)
    words = ["lazy", kernel, "--disk", f"{disk},rw", "--run", "stress", "--memory", "2G"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "kernel's Unaccepted" in shown
    assert bytes(typed) == b"stress\rgrep Unaccepted: /proc/meminfo\r" * 2
    assert disk.read_bytes() == bytes(1 << 20)
    assert main([*words, "--json"]) == 0
    assert [row["kernel_says_unaccepted_bytes"] for row in check_json(capsys.readouterr().out)["runs"]] == [1 << 20, 0]
