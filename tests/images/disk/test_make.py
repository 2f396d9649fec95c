"""A disk that boots, made by the host's tools of any parts: what is on it, and that it is the same every time."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.errors import FormatError, HostError, MissingError, UsageError
from tdvfsh.formats.initrd import parse_initrd
from tdvfsh.images.disk import roots
from tdvfsh.images.disk.contents import DiskParts, disk_initrd
from tdvfsh.images.disk.make import make_disk
from tdvfsh.images.disk.tools import run_tool
from tdvfsh.images.sources import Archive

TOOLS = ("sfdisk", "mke2fs", "debugfs", "e2fsck", "mcopy", "mdir")
PATH = "/usr/sbin:/sbin"
ESP, ROOT = 1 << 20, 17 << 20

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool, path=f"{os.environ['PATH']}:{PATH}") for tool in TOOLS),
    reason="needs fdisk, e2fsprogs and mtools",
)


@pytest.fixture
def parts(tmp_path: Path) -> DiskParts:
    """Parts with recognizable contents."""
    files = {
        "vmlinuz": b"kernel" * 100_000,
        "busybox": b"busybox" * 1000,
        "grub": b"MZ" + bytes(5000),
        "virtio_blk.ko.xz": lzma.compress(b"module"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    kernel, busybox, grub, module = (tmp_path / name for name in files)
    return DiskParts(kernel, (module,), busybox, grub)


def tool(*words: str) -> str:
    path = f"{os.environ['PATH']}:{PATH}"
    found = shutil.which(words[0], path=path)
    assert found is not None
    ended = subprocess.run([found, *words[1:]], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_disk_has_an_esp_with_grub_and_a_clean_ext4_root_with_the_kernel(tmp_path: Path, parts: DiskParts) -> None:
    image = tmp_path / "disk.img"
    assert make_disk(image, parts, tmp_path / "initrd") == image.stat().st_size <= 64 << 20
    table = tool("sfdisk", "--dump", str(image))
    assert "label: gpt" in table
    assert "start=        2048, size=       32768, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B" in table
    assert "start=       34816, size=       90112, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4" in table
    tool("mcopy", "-n", "-i", f"{image}@@{ESP}", "::EFI/BOOT/BOOTX64.EFI", "::EFI/debian/grub.cfg", str(tmp_path))
    assert (tmp_path / "BOOTX64.EFI").read_bytes() == parts.grub.read_bytes()
    assert "linux /boot/vmlinuz root=/dev/vda2" in (tmp_path / "grub.cfg").read_text()
    root = f"{image}?offset={ROOT}"
    tool("e2fsck", "-fn", root)
    for inner, expected in (("/boot/vmlinuz", parts.kernel.read_bytes()), ("/boot/initrd.img", disk_initrd(parts))):
        out = tmp_path / "out"
        tool("debugfs", "-R", f"dump {inner} {out}", root)
        assert out.read_bytes() == expected
    assert (tmp_path / "initrd").read_bytes() == disk_initrd(parts)
    status = tool("debugfs", "-R", "stat /etc/rc", root)
    assert "Mode:  0755" in status
    assert "User:     0   Group:     0" in status
    assert all(f"{field}: 0x67748580" in status for field in (" ctime", " atime", " mtime", "crtime"))


def test_with_shim_firmware_starts_it_and_it_finds_grub_beside_it(tmp_path: Path, parts: DiskParts) -> None:
    shim, image = tmp_path / "shimx64.efi", tmp_path / "disk.img"
    shim.write_bytes(b"MZ" + b"shim" * 1000)
    make_disk(image, parts._replace(shim=shim))
    tool("mcopy", "-n", "-i", f"{image}@@{ESP}", "::EFI/BOOT/BOOTX64.EFI", "::EFI/BOOT/grubx64.efi", str(tmp_path))
    assert (tmp_path / "BOOTX64.EFI").read_bytes() == shim.read_bytes()
    assert (tmp_path / "grubx64.efi").read_bytes() == parts.grub.read_bytes()


def test_the_initrd_has_the_unpacked_modules_and_an_init(parts: DiskParts) -> None:
    data = disk_initrd(parts)
    (segment,) = parse_initrd(memoryview(data), "initrd").segments
    assert segment.format == "gzip"
    archive = gzip.decompress(data)
    assert b"lib/0-virtio_blk.ko\0" in archive
    assert b"module" in archive
    assert b"#!/bin/busybox sh" in archive


def test_the_same_parts_make_the_same_bytes_whenever_and_wherever(
    tmp_path: Path, parts: DiskParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a.img", tmp_path / "b.img"
    make_disk(first, parts)
    for path in (parts.kernel, parts.busybox):
        os.utime(path, (1, 1))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("MTOOLSRC", "/dev/null")
    before = os.umask(0o077)
    try:
        make_disk(second, parts)
    finally:
        os.umask(before)
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_blocks * 512 < first.stat().st_size


def test_a_missing_tool_is_named_with_its_package_and_is_misuse(
    tmp_path: Path, parts: DiskParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None if name == "mmd" else which(name, path=path))
    with pytest.raises(MissingError, match=r"mmd: .* Debian's mtools") as missing:
        make_disk(tmp_path / "disk.img", parts)
    assert missing.value.exit_status == 2
    assert not (tmp_path / "disk.img").exists()


def test_parts_that_are_too_large_or_damaged_leave_no_disk(tmp_path: Path, parts: DiskParts) -> None:
    parts.modules[0].write_bytes(b"not xz")
    with pytest.raises(FormatError, match="not packed with xz"):
        make_disk(tmp_path / "disk.img", parts)
    parts.modules[0].write_bytes(lzma.compress(b"m" * 100)[:-20])
    with pytest.raises(FormatError, match="cut"):
        make_disk(tmp_path / "disk.img", parts)
    parts.modules[0].write_bytes(lzma.compress(b"m"))
    with parts.kernel.open("wb") as file:
        file.write(os.urandom(50 << 20))
    with pytest.raises(HostError, match="mke2fs failed"):
        make_disk(tmp_path / "disk.img", parts)
    assert not (tmp_path / "disk.img").exists()


def test_what_is_no_place_for_a_disk_is_refused_by_its_own_name_and_nothing_is_left(
    tmp_path: Path, parts: DiskParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, pipe = tmp_path / "disk.img", tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(HostError, match="pipe: not a file"):
        make_disk(pipe, parts)
    with pytest.raises(UsageError, match="is the disk's own file"):
        make_disk(image, parts, tmp_path / "." / "disk.img")
    with pytest.raises(HostError, match="none/initrd: no such file"):
        make_disk(image, parts, tmp_path / "none" / "initrd")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(HostError, match=r"gone, where the disk is made \(TMPDIR\): no such file"):
        make_disk(image, parts)
    assert not image.exists()


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, parts: DiskParts) -> None:
    with pytest.raises(HostError):
        make_disk(tmp_path / "none" / "disk.img", parts)
    assert main(["images", "make", "disk"]) == 2


# ---- Debian's system ------------------------------------------------------------------------------------------------

_MMDEBSTRAP = """\
#!/bin/sh
# stands in for mmdebstrap: a system of four files, finished by the hook
set -e
root=$(mktemp -d)
mkdir -p $root/boot $root/etc $root/usr/bin $root/proc/1
touch $root/proc/1/auxv; chmod 755 $root
echo 'root:*:20000:0:99999:7:::' > $root/etc/shadow
echo program > $root/usr/bin/program
for word; do
  echo "$word" >> {folder}/words
  case $word in
    "--customize-hook=upload "*) set -- ${{word#*=}}; cp "$2" "$root$3" ;;
    "--customize-hook=download "*) set -- ${{word#*=}}; cp "$root$2" "$3" ;;
    --customize-hook=*) sh -c "${{word#*=}}" exec $root ;;
  esac
done
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the path with a stand-in, which writes the words it is called with into ``words``."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "mmdebstrap").write_text(_MMDEBSTRAP.format(folder=folder))
    (folder / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(roots, "debian_archives", lambda folder: [Archive("file:/archive/debian", "/keys/debian.gpg")])
    return folder


def test_a_full_disk_has_the_system_that_mmdebstrap_made_with_the_disk_s_kernel(
    tmp_path: Path, parts: DiskParts, stand_in: Path
) -> None:
    image = tmp_path / "disk.img"
    assert make_disk(image, parts, root=roots.DebianRoot()) == image.stat().st_size
    words = (stand_in / "words").read_text().splitlines()
    assert "--variant=minbase" in words
    assert "--format=null" in words
    # in a namespace the caller's folder cannot be reached: mmdebstrap itself carries files in and out
    assert [word for word in words if "tdvfsh-disk-" in word and " /boot/" not in word] == [
        word for word in words if word.startswith("--customize-hook=download /tdvfsh-root.ext4 ")
    ]
    assert words[-1] == "deb [arch=amd64 signed-by=/keys/debian.gpg] file:/archive/debian trixie main"
    root, out = f"{image}?offset={ROOT}", tmp_path / "out"
    tool("e2fsck", "-fn", root)
    expected = {
        "/boot/vmlinuz": parts.kernel.read_bytes(),
        "/boot/initrd.img": disk_initrd(parts),
        "/usr/bin/program": b"program\n",
        "/etc/shadow": b"root::20000:0:99999:7:::\n",
        "/etc/fstab": b"/dev/vda2 / ext4 defaults 0 1\n",
        "/etc/machine-id": b"",
    }
    for inner, data in expected.items():
        tool("debugfs", "-R", f"dump {inner} {out}", root)
        assert out.read_bytes() == data
    assert "proc" in tool("debugfs", "-R", "ls -p /", root)
    assert [line.split("/")[5] for line in tool("debugfs", "-R", "ls -p /proc", root).splitlines() if line] == [
        ".",
        "..",
    ]


def test_packages_that_are_named_are_installed_too_and_get_room(
    tmp_path: Path, parts: DiskParts, stand_in: Path
) -> None:
    image = tmp_path / "disk.img"
    plain = roots.DebianRoot()
    assert make_disk(image, parts, root=roots.DebianRoot(["fio", "g++-12"])) > plain.size + (1 << 30)
    (include,) = [word for word in (stand_in / "words").read_text().splitlines() if word.startswith("--include=")]
    assert include.endswith(",util-linux,fio,g++-12")
    assert image.stat().st_blocks * 512 < image.stat().st_size // 4


def test_who_is_not_root_and_has_no_range_of_users_is_told_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert roots.DebianRoot().packages["newuidmap"] == "uidmap"
    (tmp_path / "subuid").write_text("nobody:100000:65536\n")
    (tmp_path / "subgid").write_text("nobody2:100000:65536\n")
    with pytest.raises(HostError, match=r"nobody has no range .*; as root: usermod --add-subuids .* nobody$"):
        roots.check_ids(tmp_path)
    (tmp_path / "subgid").write_text("65534:100000:65536\n")
    roots.check_ids(tmp_path)


def test_a_tool_that_quotes_screens_of_its_own_is_cut_short(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\necho 'E: {'x' * 5000}' >&2\nexit 3\n")
    tool.chmod(0o755)
    with pytest.raises(HostError, match=r"tool failed with status 3: E: x+…$") as failed:
        run_tool([str(tool)])
    assert len(str(failed.value)) < 300


@pytest.mark.parametrize("name", ["", "a,b", "--x", "Upper", "a b", "?essential"])
def test_what_is_no_package_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not the name of a Debian package"):
        roots.DebianRoot([name])


def test_packages_need_a_full_disk(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["images", "make", "disk", "-o", "disk.img", "--package", "fio"]) == 2
    assert capsys.readouterr().err == "tdvfsh: --package: needs --full, whose system can install packages\n"


def test_an_mmdebstrap_that_fails_or_is_missing_leaves_no_disk(
    tmp_path: Path, parts: DiskParts, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stand_in / "mmdebstrap").write_text("#!/bin/sh\necho 'E: cannot reach the archive' >&2\nexit 100\n")
    with pytest.raises(HostError, match="mmdebstrap failed with status 100: E: cannot reach the archive"):
        make_disk(tmp_path / "disk.img", parts, root=roots.DebianRoot())
    (stand_in / "mmdebstrap").unlink()
    which = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, path=None: None if name == "mmdebstrap" else which(name, path=path)
    )
    with pytest.raises(MissingError, match="it is in Debian's mmdebstrap"):
        make_disk(tmp_path / "disk.img", parts, root=roots.DebianRoot())
    assert not (tmp_path / "disk.img").exists()
