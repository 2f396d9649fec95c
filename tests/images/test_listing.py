from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.images.catalogue import find_entry
from tdvfsh.images.fetch import fetch
from tdvfsh.images.listing import find_pair
from tests.images.packages import deb_of


def boot_folder(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def test_the_installers_pair_is_taken_where_it_is_fetched(tmp_path: Path) -> None:
    kernel, initrd = (member.member for member in find_entry("installer-13").members)
    deb = tmp_path / "i.deb"
    deb.write_bytes(deb_of({kernel: b"k", initrd: b"i"}, package="debian-installer-13-netboot-amd64", version="7"))
    fetch("installer-13", deb=deb)
    pair = find_pair(etc_apt=tmp_path / "none", boot=boot_folder(tmp_path / "boot", "vmlinuz-1", "initrd.img-1"))
    assert pair is not None
    assert (pair.kernel.read_bytes(), pair.initrd.read_bytes()) == (b"k", b"i")
    assert "debian-installer-13-netboot-amd64 7" in pair.source


@pytest.mark.parametrize("initrd", ["initrd.img-6.10.1", "initramfs-6.10.1.img"])
def test_else_the_hosts_newest_pair_is_taken_and_the_reason_told(tmp_path: Path, initrd: str) -> None:
    boot = boot_folder(tmp_path / "boot", "vmlinuz-6.9.3", "initrd.img-6.9.3", "vmlinuz-6.10.1", initrd, "vmlinuz-7")
    pair = find_pair(etc_apt=tmp_path / "none", boot=boot)
    assert pair is not None
    assert (pair.kernel.name, pair.initrd.name) == ("vmlinuz-6.10.1", initrd)
    assert pair.source.startswith(f"this machine's own {boot / 'vmlinuz-6.10.1'}")
    assert "installer-13: " in pair.source


def test_else_there_is_none(tmp_path: Path) -> None:
    assert find_pair(etc_apt=tmp_path / "none", boot=boot_folder(tmp_path / "boot", "vmlinuz-7")) is None
    assert find_pair(allow_fetch=False, boot=tmp_path / "nowhere") is None
