"""Debian's own binaries, unmodified: the Shell, GRUB, systemd-boot and the kernels' EFI stubs."""

from __future__ import annotations

import sys
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from shutil import copyfile

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.cli.main import main
from tdvfsh.dxe.memory_services import MemoryMapResult
from tdvfsh.engine.console.keys import ScriptedKeys
from tdvfsh.engine.console.screen import Screen, TranscriptDisplay
from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.engine.runs.program import attach_disks, run_program
from tdvfsh.engine.runs.verify import verify
from tdvfsh.errors import TdvfshError
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.images.fetch import fetch
from tdvfsh.images.make import make_initrd
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.report.boots.boot_json import boot_dict
from tdvfsh.report.memmap_text import HEADING, memmap_table
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.units import GIB, MIB
from tests.engine.runs.test_program import hello

pytestmark = pytest.mark.images
INITRD_BYTES = 8 * MIB


def image(name: str, role: str) -> Path:
    """A file of a fetched image; skips where there is no archive to fetch it from."""
    try:
        return fetch(name).files[role]
    except TdvfshError as error:
        pytest.skip(f"{name} cannot be fetched: {error}")


@pytest.fixture
def initrd(tmp_path: Path) -> Path:
    """A valid initrd of a few MiB."""
    path = tmp_path / "initrd.img"
    make_initrd(path, INITRD_BYTES)
    return path


def run_shell(tmp_path: Path, *lines: str) -> tuple[list[MemoryMapResult], str]:
    """The real Shell with lines typed at its prompt; FS0: is ``tmp_path``. Returns the maps it read, and its output."""
    output = StringIO()
    machine = Machine(TdOptions(loader="grub2.12"))
    firmware = GuestFirmware(
        machine, Screen(TranscriptDisplay(output)), ScriptedKeys("".join(f"{line}\r" for line in lines))
    )
    maps: list[MemoryMapResult] = []
    get_memory_map = machine.services.get_memory_map

    def remember(size: int | None, has_buffer: bool, wants: tuple[bool, bool, bool]) -> MemoryMapResult:
        maps.append(get_memory_map(size, has_buffer, wants))
        return maps[-1]

    machine.services.get_memory_map = remember  # type: ignore[method-assign, assignment]
    try:
        attach_disks(firmware, [HostFolder(str(tmp_path), writable=True)])
        run_program(firmware, str(image("shell", "efi")), ["-nostartup"], (1, "\\shellx64.efi"))
    finally:
        firmware.close()
    return maps, output.getvalue()


def test_the_shell_runs_commands_and_a_nested_program(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("read me")
    (tmp_path / "hello.efi").write_bytes(hello())
    _, text = run_shell(
        tmp_path, "ver", "map", "fs0:", "ls", "type readme.txt", "hello.efi", "echo written > out.txt", "exit"
    )
    assert "UEFI v2.70 (tdvfsh, 0x00010000)" in text
    assert "FS0: Alias(s):" in text
    assert "PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0)" in text
    assert "readme.txt" in text
    assert "read me" in text
    assert "Hello from the TD" in text
    assert (tmp_path / "out.txt").read_bytes().decode("utf-16").strip() == "written"


def test_the_shell_s_memmap_is_our_own_line_for_line(tmp_path: Path) -> None:
    maps, text = run_shell(tmp_path, "memmap", "exit")
    shown = text[text.index(HEADING) : text.index("Shell> exit")]
    assert shown.split("\n")[:-1] == memmap_table(maps[-1].descriptors)


@pytest.mark.parametrize("name", ["kernel-6.12-cloud", "kernel-7-cloud"])
def test_the_model_agrees_with_the_real_stub_on_calls_placements_map_and_bitmap(name: str, initrd: Path) -> None:
    with open_boot_files(image(name, "kernel"), [initrd], "nokaslr") as opened:
        result = verify(TdOptions(memory=2 * GIB, vcpus=2), opened.boot, time_limit=120)
        assert boot_dict(result.real, opened.initrds) == boot_dict(result.model, opened.initrds)
    assert result.real.booted
    assert list(result.differences) == []
    placed = {placement.what for placement in result.real.placements}
    assert {"kernel", "initrd", "unaccepted_table"} <= placed
    assert result.real.unaccepted_bitmap.count(0xFF) == (2048 - 512) // 16


@pytest.mark.parametrize(("on_demand", "boots"), [("none", False), ("allocator", True)])
def test_real_grub_boots_an_initrd_with_the_allocator_that_it_cannot_load_without(
    on_demand: str, boots: bool, tmp_path: Path
) -> None:
    path = tmp_path / "large.img"
    make_initrd(path, 64 * MIB)
    options = TdOptions(memory=2 * GIB, accept=parse_boot_accept("244M"), on_demand=on_demand)
    grub = open_mapped(image("grub-2.12", "efi")).view
    with open_boot_files(image("kernel-6.12-cloud", "kernel"), [path], "nokaslr") as opened:
        result = boot_on_cpu(options, opened.boot, grub, time_limit=120)
    assert result.booted is boots
    assert (result.on_demand_bytes > 0) is boots
    if not boots:
        assert result.stage == "load_initrd"
        assert "EFI stub: ERROR: Failed to load initrd: 0x8000000000000009" in result.messages


def test_grub_shows_its_menu_on_the_screen_and_our_memory_map(tmp_path: Path) -> None:
    folder = tmp_path / "EFI" / "debian"
    folder.mkdir(parents=True)
    copyfile(image("grub-2.12", "efi"), folder / "grubx64.efi")
    (folder / "grub.cfg").write_text(
        "set timeout=5\nmenuentry 'one' { lsefimmap\nexit 1\n}\nmenuentry 'two' { true\n}\n"
    )
    screens: list[list[str]] = []
    output = StringIO()
    machine = Machine(TdOptions(loader="grub2.12"))
    screen = Screen(TranscriptDisplay(output))
    firmware = GuestFirmware(machine, screen, ScriptedKeys(""))
    clear = screen.clear

    def remember() -> None:
        screens.append(screen.lines())
        clear()

    screen.clear = remember  # type: ignore[method-assign]
    try:
        attach_disks(firmware, [HostFolder(str(tmp_path))])
        run_program(firmware, str(folder / "grubx64.efi"), (), (0, "\\EFI\\debian\\grubx64.efi"))
    finally:
        firmware.close()
    menu = next(lines for lines in screens if any("GNU GRUB" in line for line in lines))
    assert any("*one" in line for line in menu)
    assert any(line.strip("│ ").startswith("two") for line in menu)
    assert "Unk 0f    0000000020000000-000000007fffffff" in output.getvalue()


def test_a_grub_without_a_configuration_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "grubx64.efi"
    copyfile(image("grub-2.12", "efi"), program)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO()))
    assert main(["exec", "--fs0", str(tmp_path), str(program)]) == 1
    told = capsys.readouterr().err
    assert "it has found no configuration; it looks for /EFI/debian/grub.cfg on its own disk" in told


def test_systemd_boot_starts_the_kernel_of_its_entry(
    tmp_path: Path, initrd: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("EFI/BOOT", "loader/entries"):
        (tmp_path / folder).mkdir(parents=True)
    program = tmp_path / "EFI/BOOT/BOOTX64.EFI"
    copyfile(image("systemd-boot", "efi"), program)
    copyfile(image("kernel-6.12-cloud", "kernel"), tmp_path / "vmlinuz")
    (tmp_path / "loader/loader.conf").write_text("timeout 2\n")
    (tmp_path / "loader/entries/one.conf").write_text(
        "title One\nlinux /vmlinuz\ninitrd /initrd.img\noptions nokaslr\n"
    )
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO()))
    assert main(["exec", "--memory", "2G", "--fs0", str(tmp_path), str(program)]) == 0
    captured = capsys.readouterr()
    assert "Boot in 1 s." in captured.out
    assert "Loaded initrd from LINUX_EFI_INITRD_MEDIA_GUID" in captured.out
    assert "left boot services: an operating system takes over" in captured.err


def test_ipxe_runs_a_script_of_its_disk_and_its_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ipxe.efi"
    copyfile(image("ipxe", "efi"), program)
    (tmp_path / "autoexec.ipxe").write_text("#!ipxe\necho platform ${platform}\nshell\n")
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"echo typed ${version:string}\nexit\n")))
    assert main(["exec", "--fs0", str(tmp_path), str(program)]) == 0
    shown = capsys.readouterr().out
    assert "platform efi" in shown
    assert "typed 1." in shown
