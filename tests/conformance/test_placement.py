"""Every recorded boot lands where it was recorded, but for the cells that are explained here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.conformance.placement import CMDLINE, Row, boot_row, main, run

BOOTS: Final = Path(__file__).parents[1] / "recordings" / "boot"


def test_the_57_boots_of_three_firmwares_and_three_loaders_land_where_they_did() -> None:
    tally = run(BOOTS / "placement.tsv")
    assert tally.differences == []
    assert tally.agree >= 247


def test_the_boots_of_the_second_round_land_where_they_did() -> None:
    tally = run(BOOTS.parent / "round2" / "boot" / "placement.tsv")
    assert tally.differences == []
    assert tally.agree == 44


def test_the_boots_of_the_tdx_firmware_land_where_they_did() -> None:
    tally = run(BOOTS / "placement-inteltdx.tsv")
    assert tally.differences == []
    assert tally.agree >= 66


def test_a_difference_is_printed_and_is_the_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (BOOTS / "placement-inteltdx.tsv").read_text(encoding="utf-8").splitlines()[:3]
    lines[2] = lines[2].replace("0x51C9000", "0x51C8000")
    table = tmp_path / "wrong.tsv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert main([str(table)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("wrong.tsv:3 expected ")
    assert out[-1].startswith("wrong.tsv agree=")


SMALL, LARGE = 5_558_272, 83_056_089


@pytest.mark.parametrize(
    ("ram", "initrd_bytes", "image", "initrd"),
    [
        ("512M", SMALL, 0x1ADB2000, 0x1CD2A000),
        ("768M", SMALL, 0x2ADB2000, 0x2CD2A000),
        ("768M", LARGE, 0x2BC83000, 0x21D09000),
        ("2G", SMALL, 0x7ADB2000, 0x7CD2A000),
        ("2G", LARGE, 0x7BC83000, 0x71D09000),
        ("5G", SMALL, 0x7ADB2000, 0x7CD29000),
        ("5G", LARGE, 0x7BC82000, 0x71D09000),
    ],
)
def test_bookworms_firmware_takes_a_page_more_with_ram_above_4_gib(
    tmp_path: Path, ram: str, initrd_bytes: int, image: int, initrd: int
) -> None:
    """QEMU 7.2 on 2026-11-30 with Debian's 6.1.176-1 cloud kernel, read from the kernel's log."""
    cells = {
        "case": "b", "firmware": "bookworm", "loader": "direct", "ram": ram, "result": "linux-up",
        "kernel_package": "linux-image-6.1.0-50-cloud-amd64", "kernel_bytes": "0xD7E7C0", "size_of_image": "0xDC3000",
        "init_size": "0x3378000", "output_len": "0x32C680C", "initrd_bytes": str(initrd_bytes),
    }  # fmt: skip
    placed = {entry.what: entry.start for entry in boot_row(Row(2, cells), tmp_path).placements if not entry.freed}
    assert (placed["image"], placed["initrd"]) == (image, initrd)


SHORT = "console=ttyS0,115200 efi=debug nokaslr panic=-1"
KERNELS = {
    "6.12": {
        "kernel_bytes": "0xB317C0",
        "size_of_image": "0xB97000",
        "init_size": "0x37DE000",
        "output_len": "0x36E86B8",
    },
    "6.18": {
        "kernel_bytes": "0xCFB680",
        "size_of_image": "0xCFB000",
        "init_size": "0x3A29000",
        "output_len": "0x392B830",
    },
}


@pytest.mark.parametrize(
    ("firmware", "ram", "kernel", "initrd_bytes", "cmdline", "image"),
    [
        ("trixie", "2G", "6.12", 0, SHORT, 0x7C80D000),
        ("trixie", "2G", "6.12", 1044, SHORT, 0x7C806000),
        ("trixie", "1G", "6.12", 0, CMDLINE, 0x3C80D000),
        ("trixie", "4G", "6.12", 0, CMDLINE, 0x7C80D000),
        ("trixie", "2600M", "6.12", 0, SHORT, 0x9F00D000),
        ("trixie", "2G", "6.12", 40 << 20, SHORT + " " + 700 * "x", 0x7C806000),
        ("bookworm", "1G", "6.12", 0, CMDLINE, 0x3C349000),
        ("bookworm", "4G", "6.12", 0, SHORT, 0x7C349000),
        ("bookworm", "2G", "6.12", 1044, SHORT + " " + 200 * "x", 0x7C348000),
        ("bookworm", "5G", "6.12", 40 << 20, CMDLINE, 0x7C348000),
        ("sid", "1G", "6.12", 0, SHORT, 0x3C501000),
        ("sid", "4G", "6.12", 0, CMDLINE, 0x7C501000),
        ("sid", "5G", "6.12", 40 << 20, CMDLINE, 0x7C4E1000),
        ("sid", "1G", "6.12", 40 << 20, SHORT, 0x3C4E0000),
        ("sid", "1G", "6.12", 40 << 20, CMDLINE, 0x3C4E1000),
        ("sid", "2G", "6.12", 40 << 20, SHORT, 0x7C4E0000),
        ("sid", "2G", "6.12", 40 << 20, CMDLINE, 0x7C4E0000),
        ("sid", "1536M", "6.18", 0xC803000, SHORT, 0x5BFE8000),
        ("sid", "1536M", "6.18", 0xC803000, CMDLINE, 0x5BFE9000),
    ],
)
def test_an_initrd_the_command_line_and_ram_move_the_image_by_pages_of_firmwares_pool(
    tmp_path: Path, firmware: str, ram: str, kernel: str, initrd_bytes: int, cmdline: str, image: int
) -> None:
    """QEMU 7.2 on 2026-11-30 with Debian's cloud kernels, read from the kernel's log."""
    cells = {
        "case": "p", "firmware": firmware, "loader": "direct", "ram": ram, "result": "linux-up", "cmdline": cmdline,
        "kernel_package": "linux-image-6.12.117+deb13-cloud-amd64", "initrd_bytes": str(initrd_bytes),
        **KERNELS[kernel],
    }  # fmt: skip
    placed = {entry.what: entry.start for entry in boot_row(Row(2, cells), tmp_path).placements if not entry.freed}
    assert placed["image"] == image
