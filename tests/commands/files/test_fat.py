"""What FAT keeps of files, labels, names of drives."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from tdvfsh.script.streams import MemorySink
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.drives.overlay import OverlayFolder
from tdvfsh.shell.shell import Shell
from tests.shell.under_test import ShellUnderTest


@pytest.fixture(params=["memory", "host"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> ShellUnderTest:
    """A shell in FS0:\\w, over a folder in memory or of the host."""
    shell = ShellUnderTest()
    if request.param == "host":
        (tmp_path / "w" / "t").mkdir(parents=True)
        (tmp_path / "w" / "t" / "a.txt").write_text("x")
        shell.shell = Shell()
        shell.shell.mount(HostFolder(str(tmp_path), writable=True))
        shell.shell.interpreter.echo = False
    else:
        shell.put("w\\t\\a.txt", "x")
        shell.run("attrib -a w", "attrib -a w\\t")
    shell.run("cd w")
    return shell


def test_attrib_without_a_file_changes_nothing(disk: ShellUnderTest) -> None:
    assert disk.run("attrib +r", "echo %lasterror%") == "attrib: Too few arguments.\n0x2\n"
    assert disk.run("attrib") == "Attrib: D     ..\nAttrib: D     .\nAttrib: D     t\n"


@pytest.mark.parametrize(
    "line", ["attrib +h t\\a.txt", "echo x >a t\\new.txt", "rm -q t\\a.txt", "mkdir t\\d", "cp -q t\\a.txt t\\b.txt"]
)
def test_a_directory_that_changes_gets_the_archive_attribute(disk: ShellUnderTest, line: str) -> None:
    assert disk.run("attrib t") == "Attrib: D     t\n"
    disk.run(line)
    assert disk.run("attrib t") == "Attrib: DA    t\n"
    assert disk.run("attrib fs0:\\w") == "Attrib: DA    w\n"
    assert "Attrib: D     .\n" in disk.run("attrib t\\*")


def test_attributes_of_a_directory_do_not_reach_its_own_entries(disk: ShellUnderTest) -> None:
    disk.run("attrib +h +r t")
    assert disk.run("attrib t\\*") == "Attrib: D     ..\nAttrib: D     .\nAttrib:  A    a.txt\n"


@pytest.mark.parametrize("overlay", [False, True])
def test_free_space_falls_with_every_block_that_is_written_whatever_the_host_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overlay: bool
) -> None:
    class Still:
        f_blocks, f_frsize, f_bavail = 1000, 4096, 500  # as where the host writes later, or another process frees some

    monkeypatch.setattr(os, "statvfs", lambda path: Still)
    (tmp_path / "w").mkdir()
    volume = HostFolder(str(tmp_path / "w"), writable=True)
    if overlay:
        volume = OverlayFolder(str(tmp_path / "w"), str(tmp_path / "scratch"))
    free = volume.space()[1]
    assert free == 500 * 4096

    def taken(blocks: int) -> bool:
        return volume.space() == (1000 * 4096, free - 512 * blocks)

    volume.make_directory(("d",))
    assert taken(2)  # its block, and one for its entry in the directory above
    before = volume.state()
    with closing(volume.open_writer(("d", "a.txt"), append=False)) as writer:
        writer.write(bytes(513))
    assert taken(4)
    volume.save(("d", "a.txt"), [b"short"])
    assert taken(3)
    with closing(volume.open_writer(("d", "a.txt"), append=True)) as writer:
        writer.write(bytes(508))
    assert taken(4)
    volume.remove(("d", "a.txt"))
    assert taken(2)
    for number in range(20):  # each a long name of three entries: their directories never shrink
        volume.open_writer((f"a longer name {number}.text",), append=False).close()
        volume.remove((f"a longer name {number}.text",))
    assert taken(5)
    volume.restore(before)
    assert taken(2)


def test_a_directory_keeps_its_size_when_files_leave(disk: ShellUnderTest) -> None:
    disk.run(*(f"echo x >a t\\file{number:02}.txt" for number in range(40)))
    large = disk.run("ls -b").splitlines()[-3].split()
    assert large[-2:] == ["1,536", "t"]
    disk.run("rm -q t\\file*.txt")
    assert disk.run("ls -b").splitlines()[-3].split()[-2:] == ["1,536", "t"]


def test_setting_an_attribute_is_an_access_by_the_machine_s_clock(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    shell = Shell(start_time=1_704_164_645)
    shell.mount(HostFolder(str(tmp_path), writable=True))
    shell.run_line("attrib +r a.txt")
    shell.stdout = sink = MemorySink()
    shell.run_line("ls -sfo a.txt")
    assert '"00:00:00","02.01.2024"' in sink.text


def test_a_read_only_file_cannot_be_written_and_the_script_ends(disk: ShellUnderTest) -> None:
    assert disk.run("attrib +r t\\a.txt", "echo z >a t\\a.txt") == (
        "Unable to redirect file.\nCommand Error Status: Invalid Parameter\n"
    )
    assert disk.run("echo z >a t") == "Unable to redirect file.\nCommand Error Status: Access Denied\n"


def test_map_deletes_names_with_their_colon_only(disk: ShellUnderTest) -> None:
    disk.run("map m1 fs0:")
    assert disk.run("map -d m1", "echo %lasterror%") == "map: Cannot find mapped device - 'm1'\n0x2\n"
    assert "m1:" in disk.run("map")
    assert disk.run("map -d m1:") == ""
    assert "m1:" not in disk.run("map")


def test_names_of_the_user_stand_behind_the_block_device(disk: ShellUnderTest) -> None:
    assert ";BLK0:;m1:;m2:\n" in disk.run("map m1 fs0:", "map m2 fs0:")


def test_a_label_has_at_most_eleven_characters(disk: ShellUnderTest) -> None:
    assert disk.run("vol fs0: -n ABCDEFGHIJK").startswith("Volume ABCDEFGHIJK ")
    said = "vol: Bad value - 'ABCDEFGHIJKL' for flag - '-n'\n0x2\n"
    assert disk.run("vol fs0: -n ABCDEFGHIJKL", "echo %lasterror%") == said


def test_a_drive_s_own_name_moves_to_another_drive_and_is_lost_to_its_own(disk: ShellUnderTest) -> None:
    assert disk.run("map FS0 fs0:").endswith("map: Cannot find mapped device - 'FS0'\n")
    assert "'fs0:' is not a valid mapping" in disk.run("fs0:")
    assert disk.run("map -sfo nosuch").count("Mappings,") == 1
    assert disk.run("map -t") == disk.run("map")
