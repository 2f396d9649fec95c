"""``boot``, ``compare``, ``explain`` and ``ladder`` on files of a host folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.shell.drives.hostfolder import HostFolder
from tests.boots.made_files import CLOUD_6_12
from tests.shell.under_test import ShellUnderTest

RECORDED = Path(__file__).parents[2] / "recordings" / "memmap" / "trixie-512M.txt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel, two initrds and a recorded map."""
    path = tmp_path_factory.mktemp("files")
    make_kernel(
        path / "linux",
        CLOUD_6_12["size"],
        CLOUD_6_12["init_size"],
        size_of_image=CLOUD_6_12["size_of_image"],
        output_len=CLOUD_6_12["output_len"],
    )
    make_initrd(path / "small.cpio", 40 << 20, None)
    make_initrd(path / "large.cpio", 360 << 20, None)
    (path / "map.txt").write_bytes(RECORDED.read_bytes())
    return path


@pytest.fixture
def shell(under_test: ShellUnderTest, folder: Path) -> ShellUnderTest:
    """A shell in a TD of 2 GiB, with the files on FS1:."""
    under_test.shell.mount(HostFolder(str(folder)))
    under_test.run("td new -memory 2G -accept 512M")
    return under_test


def _lasterror(shell: ShellUnderTest) -> str:
    return shell.run("echo %lasterror%").strip()


def test_boot_takes_the_shells_td_where_no_option_says_other(shell: ShellUnderTest) -> None:
    text = shell.run("boot -cmdline nokaslr fs1:\\linux fs1:\\small.cpio")
    assert "2 GiB RAM, 1 vCPU, firmware inteltdx, loader direct, accept 512M at boot" in text
    assert "EFI_SUCCESS" in text
    assert _lasterror(shell) == "0x0"


def test_options_of_the_machine_reach_the_boot(shell: ShellUnderTest) -> None:
    text = shell.run(
        "boot -vcpus 4 -cost kvm-2m,accept_2m=90us -host-page-size 4K -firmware-model ovmf-2025.02 -loader grub2.12 "
        "-memory 8G -os-workload 1G -accept-at-exit unless-objected fs1:\\linux"
    )
    assert "8 GiB RAM, 4 vCPUs, firmware ovmf-2025.02, loader grub2.12" in text
    assert "cost kvm-2m, accept_2m=90us, host maps 4 KiB pages" in " ".join(text.split())
    assert "SEC       4 vCPUs in chunks of 32 MiB" in text
    assert "unless the OS objects" in text
    assert "1 GiB used by 4 vCPUs" in text


def test_a_boot_can_start_from_an_imported_map(shell: ShellUnderTest) -> None:
    text = shell.run("boot -map fs1:\\map.txt fs1:\\linux")
    assert "accepted as the map says" in text
    assert "memory map of ovmf-2025.02 firmware" in text.replace("\n          ", " ")
    assert shell.run("boot -map fs1:\\linux fs1:\\linux").startswith("boot: ")
    assert _lasterror(shell) != "0x0"


def test_a_fault_of_a_boot_is_its_own(shell: ShellUnderTest) -> None:
    text = shell.run("boot -q -fault LoadImage:1=ACCESS_DENIED fs1:\\linux")
    assert "result    EFI_ACCESS_DENIED at load_image" in text
    assert _lasterror(shell) == "0xF"
    assert shell.run("fault") == "no fault is to come\n"
    assert "the TD does not start" in shell.run("boot -fault sec-accept:1=OPERAND_BUSY fs1:\\linux")


def test_explain_tells_of_the_last_boot_with_its_options(shell: ShellUnderTest) -> None:
    assert "nothing has been booted" in shell.run("explain")
    shell.run("boot -q -on-demand allocator -cmdline nokaslr fs1:\\linux fs1:\\large.cpio")
    text = " ".join(shell.run("explain").split())
    assert "OUT_OF_RESOURCES at load_kernel" in text
    assert "* allocator OUT_OF_RESOURCES at load_kernel: the allocator is never asked" in text
    assert "service boots, 416 MiB on demand" in text


def test_compare_takes_lists_for_every_axis(shell: ShellUnderTest) -> None:
    rows = shell.run(
        "compare -memory 1G,2G -accept 256M,eager -on-demand none,service -loader direct,grub2.12 "
        "-firmware-model inteltdx,ovmf-2022.11 -cmdline nokaslr -sfo fs1:\\linux fs1:\\small.cpio"
    ).splitlines()
    assert len(rows) == 1 + 32
    assert '"2147483648","ovmf-2022.11","0.0133' in rows[-1]
    low, likely, high = (float(rows[-1].split(",")[at].strip('"')) for at in (15, 9, 16))
    assert 0 < low < likely < high
    assert "--on-demand never: unknown" in shell.run("compare -on-demand never fs1:\\linux")


def test_ladder_finds_the_rungs_and_its_rows_can_be_parsed(shell: ShellUnderTest) -> None:
    lines = shell.run("ladder -cmdline nokaslr fs1:\\linux fs1:\\small.cpio").splitlines()
    assert lines[0].split() == ["stage", "accepted"]
    assert lines[-1].split()[:3] == ["boots", "239", "MiB"]
    values = shell.run("ladder -cmdline nokaslr -sfo fs1:\\linux fs1:\\small.cpio | parse Rung 3").split()
    assert values[-1] == str(239 << 20)
    assert _lasterror(shell) == "0x0"


def test_a_ladder_that_cannot_be_is_refused(shell: ShellUnderTest) -> None:
    assert "multiple of 4 KiB" in shell.run("ladder -step 1000 fs1:\\linux")
    assert _lasterror(shell) == "0x2"
    assert "no such file" in shell.run("ladder fs1:\\nothing")
