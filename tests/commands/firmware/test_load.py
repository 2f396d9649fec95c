"""load, unload, programs, initrd and dh on the shell's machine."""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path

import pytest

from tdvfsh.images.make import make_initrd
from tdvfsh.loaders.media import InitrdLoadFile2
from tdvfsh.script.streams import MemorySink
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.uefi.guids import EFI_LOAD_FILE2_PROTOCOL_GUID
from tests.shell.under_test import ShellUnderTest

IMAGES = Path(__file__).parents[2] / "recordings" / "dxe" / "images"
MEDIA_PATH = "VenMedia(5568E427-68FC-4F3D-AC74-CA555231CC68)"


@pytest.fixture
def small(under_test: ShellUnderTest, tmp_path: Path) -> ShellUnderTest:
    """A TD of 1 GiB, half of it accepted, with images in FS0: and a host folder as FS1:."""
    for name in ("S00-child", "m33-subsys-11", "m10-mach-ia32", "m10-mach-aa64", "n03-text", "n01-empty-mz"):
        under_test.files.write_file(f"{name}.efi", (IMAGES / f"{name}.efi").read_bytes())
    under_test.files.write_file("empty.efi", b"")
    under_test.shell.mount(HostFolder(str(tmp_path)))
    under_test.run("td new -memory 1G -accept 512M")
    return under_test


def free_bytes(shell: ShellUnderTest) -> int:
    """Available bytes."""
    return sum(high - low for low, high in machine_of(shell.shell).services.core.memory_map.free_ranges())


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("S00-child.efi", "is not a driver."),
        ("m10-mach-ia32.efi", "is not a driver."),
        ("m10-mach-aa64.efi", "is not an image."),
        ("n03-text.efi", "is not an image."),
        ("n01-empty-mz.efi", "is not an image."),
        ("empty.efi", "is not an image."),
    ],
)
def test_load_judges_as_loadimage_does_and_keeps_nothing(small: ShellUnderTest, name: str, answer: str) -> None:
    machine_of(small.shell)
    before = free_bytes(small)
    assert small.run(f"load {name}") == f"Image 'FS0:\\{name}' {answer}\n"
    assert small.shell.last_error_code == 7
    assert free_bytes(small) == before
    assert "LoadImage" in small.run("trace -service LoadImage")


def test_a_driver_is_loaded_but_its_code_needs_the_engine(small: ShellUnderTest) -> None:
    remarks = MemorySink()
    small.shell.stderr = remarks
    text = small.run("load m33-subsys-11.efi")
    assert text == "Image 'FS0:\\m33-subsys-11.efi' error in StartImage: Unsupported\n"
    assert "running real code needs the CPU engine" in remarks.text
    assert small.shell.last_error_code == 7
    assert len(machine_of(small.shell).services.handles) == 4


def test_a_program_is_loaded_and_the_shell_says_why_it_does_not_run(small: ShellUnderTest) -> None:
    remarks = MemorySink()
    small.shell.stderr = remarks
    assert small.run("S00-child.efi one two") == ""
    assert re.fullmatch(r"FS0:\\S00-child\.efi: Loaded at 0x[0-9a-f]+, not started: .*CPU engine.*\n", remarks.text)
    assert small.shell.last_error_code == 3
    assert small.run("dh -p LoadedImage") == "Handle dump by protocol 'LoadedImage'\n01: LoadedImage\n"


def test_a_program_of_another_machine_is_unsupported_without_a_word(small: ShellUnderTest) -> None:
    remarks = MemorySink()
    small.shell.stderr = remarks
    assert small.run("m10-mach-ia32.efi") + remarks.text == ""
    assert small.shell.last_error_code == 3
    assert small.run("m10-mach-aa64.efi") == "Command Error Status: Unsupported\n"
    assert small.shell.last_error_code == 3


def test_unload_takes_an_image_out_by_the_number_that_dh_shows(small: ShellUnderTest) -> None:
    small.run("bs LoadImage S00-child.efi")
    assert "05: LoadedImage(\\S00-child.efi)" in small.run("dh")
    assert small.run("unload -n 5") == "Unload - Handle [5].  [Result is Success.]\n"
    assert small.shell.last_error_code == 0
    assert small.run("unload -n 5") == "unload: Handle - '5' not found\n"
    assert small.run("unload -n 1") == "Unload - Handle [1].  [Result is Unsupported.]\n"
    assert small.shell.last_error_code == 2


def test_a_file_of_a_host_folder_is_mapped_not_copied(small: ShellUnderTest, tmp_path: Path) -> None:
    make_initrd(tmp_path / "initrd", 300 << 20)
    small.run("initrd fs1:\\initrd")
    interface = machine_of(small.shell).services.handles.protocols(5)[EFI_LOAD_FILE2_PROTOCOL_GUID]
    assert isinstance(interface, InitrdLoadFile2)
    ((offset, view),) = interface.pieces
    assert (offset, len(view)) == (0, 300 << 20)
    assert isinstance(view.obj, mmap.mmap)


def test_initrd_is_offered_by_loadfile2_where_linux_looks(small: ShellUnderTest, tmp_path: Path) -> None:
    make_initrd(tmp_path / "initrd", 1 << 20)
    small.run("initrd fs1:\\initrd")
    assert small.run("dh -p LoadFile2") == (
        f"Handle dump by protocol 'LoadFile2'\n05: DevicePath({MEDIA_PATH}) LoadFile2\n"
    )
    interface = machine_of(small.shell).services.handles.protocols(5)[EFI_LOAD_FILE2_PROTOCOL_GUID]
    assert isinstance(interface, InitrdLoadFile2)
    assert interface.size == 1 << 20
    assert re.search(r"^LoaderData .* 0000000000000100 ", small.run("memmap"), re.MULTILINE)


def test_another_initrd_takes_the_place_of_the_first_and_u_takes_it_back(small: ShellUnderTest, tmp_path: Path) -> None:
    make_initrd(tmp_path / "one", 1 << 20)
    make_initrd(tmp_path / "two", 2 << 20)
    machine_of(small.shell)
    before = free_bytes(small)
    small.run("initrd fs1:\\one", "initrd fs1:\\two")
    assert before - free_bytes(small) == 2 << 20
    assert small.run("initrd -u") == ""
    assert free_bytes(small) == before
    assert small.run("dh -p LoadFile2") == "dh: No handle has protocol LoadFile2.\n"
    assert small.run("initrd -u") == ""
    assert small.shell.last_error_code == 0


def test_an_initrd_without_room_is_not_found_as_ovmf_has_it(small: ShellUnderTest, tmp_path: Path) -> None:
    make_initrd(tmp_path / "big", 600 << 20)
    assert small.run("initrd fs1:\\big") == (
        "initrd: Cannot open file - 'fs1:\\big' (Out of Resources: no 600 MiB in one piece)\n"
    )
    assert small.shell.last_error_code == 0xE
    small.run("accept 512M 512M", "initrd fs1:\\big")
    assert small.shell.last_error_code == 0xE, "512 MiB accepted later do not join those accepted at boot"


@pytest.mark.parametrize(
    ("line", "text", "status"),
    [
        ("initrd", "initrd: Too few arguments.\n", 2),
        ("initrd a b", "initrd: Too many arguments.\n", 2),
        ("initrd nosuch", "initrd: File not found - 'nosuch'\n", 14),
        ("initrd empty.efi", "initrd: Cannot open file - 'empty.efi' (the file is empty)\n", 14),
        ("initrd fs1:\\fifo", "initrd: File not found - 'fs1:\\fifo'\n", 14),
        ("dh zz", "dh: Handle - 'zz' not found\n", 2),
        ("dh 99", "dh: Handle - '99' not found\n", 2),
        ("dh -p Foo", "Protocol Name 'Foo' could not be identified.\n", 14),
        ("dh -p LoadFile", "dh: No handle has protocol LoadFile.\n", 14),
        ("dh 1 2", "dh: Too many arguments\n", 2),
    ],
)
def test_what_cannot_be_is_one_line(small: ShellUnderTest, tmp_path: Path, line: str, text: str, status: int) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert small.run(line) == text
    assert small.shell.last_error_code == status


def test_somebody_elses_initrd_is_left_alone(small: ShellUnderTest, tmp_path: Path) -> None:
    from tdvfsh.commands.td.initrd import INITRD_MEDIA_PATH
    from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID

    make_initrd(tmp_path / "one", 1 << 20)
    services = machine_of(small.shell).services
    handle = services.install_protocol_interface(None, EFI_DEVICE_PATH_PROTOCOL_GUID, INITRD_MEDIA_PATH).handle
    services.install_protocol_interface(handle, EFI_LOAD_FILE2_PROTOCOL_GUID, InitrdLoadFile2(1, []))
    assert small.run("initrd fs1:\\one") == "initrd: Another driver offers an initrd already.\n"
    assert small.shell.last_error_code == 3


def test_dh_shows_disks_with_the_device_paths_that_map_shows(small: ShellUnderTest) -> None:
    text = small.run("dh -p SimpleFileSystem")
    assert "03: DevicePath(PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0)) SimpleFileSystem\n" in text
    assert "PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x1,0xFFFF,0x0)" in text
    assert "PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x1,0xFFFF,0x0)" in small.run("map")


def test_dh_v_shows_a_loaded_image(small: ShellUnderTest) -> None:
    base = re.search(r"ImageBase +0x(\w+)", small.run("bs LoadImage S00-child.efi"))
    assert base is not None
    lines = [line.strip() for line in small.run("dh 5 -v").splitlines()]
    assert lines[:2] == ["05:", "LoadedImage 5B1B31A1-9562-11D2-8E3F-00A0C969723B"]
    assert f"ImageBase.....: {base[1].upper()}" in lines
    assert "ImageSize.....: 3000" in lines
    assert "CodeType......: EfiLoaderCode" in lines
    assert "DeviceHandle..: 3" in lines


def test_dh_sfo_can_be_parsed(small: ShellUnderTest) -> None:
    assert small.run("dh 3 -sfo | parse HandlesInfo 6") == "DevicePath;SimpleFileSystem\n"
