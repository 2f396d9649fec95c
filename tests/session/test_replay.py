"""Recording and replaying: byte for byte, or a diff that says what became of it."""

from __future__ import annotations

import shutil
import zlib
from base64 import b64encode
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.dxe.memory.memory_map import MemoryMap
from tdvfsh.errors import FormatError, HostError
from tdvfsh.images.fetch import fetch
from tdvfsh.session.recorder import FileRecorder, Recorder
from tdvfsh.session.replay import Replay, replay
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.shell import Shell
from tests.session.commands import two_hundred


def record(shell: Shell, path: Path, lines: list[str]) -> None:
    recorder = FileRecorder(shell, str(path))
    for line in lines:
        shell.run_line(line)
    recorder.stop()


def _two_hundred(folder: Path, path: Path) -> Replay:
    shell = Shell()
    shell.mount(HostFolder(str(folder)))
    lines = two_hundred("linux", "initrd.gz")
    assert len(lines) == 200
    record(shell, path, lines)
    found = replay(path, outside=True)
    assert found.diff_lines() == []
    assert found.agrees
    assert found.steps == 200
    return found


def test_two_hundred_commands_replay_byte_for_byte_and_a_changed_rule_does_not(
    made_pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.tdt"
    found = _two_hundred(made_pair, path)
    assert "# image: FS0:\\linux 12000000 sha256=" in found.text
    find = MemoryMap.find_free_pages

    def one_page_lower(self: MemoryMap, maximum: int, minimum: int, pages: int, alignment: int = 4096) -> int:
        """An allocator that leaves the last page of a hole alone."""
        return find(self, maximum, minimum, pages + 1, alignment)

    monkeypatch.setattr(MemoryMap, "find_free_pages", one_page_lower)
    changed = replay(path, outside=True)
    assert not changed.agrees
    lines = changed.diff_lines()
    assert lines[:2] == [f"--- {path}", f"+++ {path} (now)"]
    first = next(index for index, line in enumerate(lines) if line.startswith("-  Memory     "))
    assert lines[first + 1].startswith("-  Last byte  ")
    assert lines[first + 2].startswith("+  Memory     ")
    assert any(line == " FS0:\\> bs AllocatePages AnyPages LoaderData 1" for line in lines)


@pytest.mark.images
def test_two_hundred_commands_on_real_images_replay_byte_for_byte(tmp_path: Path) -> None:
    try:
        files = fetch("installer-13").files
    except HostError as error:
        pytest.skip(f"no package archive here: {error}")
    for role, name in (("kernel", "linux"), ("initrd", "initrd.gz")):
        (tmp_path / name).symlink_to(tmp_path / f"real-{name}")
        shutil.copyfile(files[role], tmp_path / f"real-{name}")
    _two_hundred(tmp_path, tmp_path / "s.tdt")


def test_a_file_that_is_another_now_shows_in_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one")
    shell = Shell()
    shell.mount(HostFolder(str(tmp_path)))
    path = tmp_path / "s.tdt"
    record(shell, path, ["type a.txt >v text"])
    assert replay(path, outside=True).agrees
    (tmp_path / "a.txt").write_bytes(b"two")
    changed = [line for line in replay(path, outside=True).diff_lines() if line.startswith(("-#", "+#"))]
    assert [line[:22] for line in changed] == ["-# image: FS0:\\a.txt 3", "+# image: FS0:\\a.txt 3"]


def test_a_recording_that_begins_in_the_middle_holds_the_moment(shell: Shell, tmp_path: Path) -> None:
    for line in ("td new -memory 2G", "accept 512M 64M", "set a b", "alias x td", "bs AllocatePool LoaderData 40"):
        shell.run_line(line)
    path = tmp_path / "s.tdt"
    record(shell, path, ["x", "set a c", "bs AllocatePool LoaderData 40", "memmap", "trace -n 0", "undo 2", "set"])
    found = replay(path, outside=True)
    assert found.diff_lines() == []
    assert "# state: " in found.text
    assert "Undone: set a c\n" in found.text


def test_the_answers_that_a_command_waited_for_are_part_of_it(shell: Shell, tmp_path: Path) -> None:
    shell.ask = lambda prompt: "q"
    path = tmp_path / "s.tdt"
    recorder = FileRecorder(shell, str(path))
    shell.run_text("s.nsh", "pause\necho never\n")
    recorder.stop()
    assert '? "q"\n' in path.read_text()
    assert replay(path, outside=True).agrees


def test_scripts_and_standard_input_replay_too(
    made_pair: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "s.nsh"
    script.write_text("echo %1\nif 1 == 1 then\nset a b\nendif\nboot -q linux initrd.gz\n")
    path = tmp_path / "r.tdt"
    options = ["--memory", "2G", "--accept", "240M", "--fs0", str(made_pair), "--record", str(path)]
    main(["run", *options, str(script), "argument"])
    out = capfd.readouterr().out
    assert "argument" in out
    assert f'= run ["{script}", "argument"]\n< echo %1\n' in path.read_text()
    assert main(["replay", "--outside", str(path)]) == 0
    assert "1 steps, byte for byte as recorded" in capfd.readouterr().out


def test_what_came_after_exit_did_not_run_and_does_not(
    made_pair: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.tdt"
    assert main(["--record", str(path), "--fs0", str(made_pair), "-c", "exit 3", "-c", "td"]) == 3
    assert main(["replay", "--outside", str(path)]) == 0
    assert "1 steps" in capfd.readouterr().out


def test_replay_says_where_it_differs_and_update_rewrites(
    shell: Shell, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.tdt"
    record(shell, path, ["echo one", "echo two"])
    right = path.read_bytes()
    path.write_bytes(right.replace(b"\ntwo\n", b"\ntoo\n"))
    assert main(["replay", "--outside", str(path)]) == 1
    out = capfd.readouterr().out
    assert " FS0:\\> echo two\n-too\n+two\n" in out
    assert main(["replay", "--outside", "--update", str(path)]) == 0
    assert path.read_bytes() == right
    assert main(["replay", str(tmp_path / "none.tdt")]) == 2
    assert capfd.readouterr().err.lower() == f"tdvfsh: {tmp_path / 'none.tdt'}: no such file or directory\n".lower()


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ('# options: {"colour": 3}', "a TD option 'colour' that this version does not know"),
        ('# options: {"vcpus": "x"}', "'vcpus': x: not a number"),
        ("# options: {", "not JSON"),
        ("# state: ###", "its state is damaged"),
        (f"# state: {b64encode(zlib.compress(b'{}')).decode()}", "not a snapshot"),
    ],
)
def test_a_header_that_cannot_be_is_refused_with_the_reason(tmp_path: Path, header: str, why: str) -> None:
    path = tmp_path / "s.tdt"
    path.write_text(f"# tdvfsh transcript 1\n{header}\nFS0:\\> td\n")
    with pytest.raises(FormatError, match=why):
        replay(path, outside=True)


def test_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.tdt"
    path.write_text("# tdvfsh transcript 1\n# fs0: gone\nFS0:\\> td\n")
    with pytest.raises(HostError, match="gone: no such folder"):
        replay(path, outside=True)


def test_recording_changes_nothing_of_what_is_printed(made_pair: Path) -> None:
    outputs = []
    for recorded in (False, True):
        shell = Shell()
        shell.mount(HostFolder(str(made_pair)))
        recorder = Recorder(shell, made_pair) if recorded else None
        for line in ("td", "accept 512M 2M", "ls nowhere", "type linux > nul", "echo %lasterror%"):
            shell.run_line(line)
        outputs.append(getattr(shell.stdout, "text", ""))
        if recorder is not None:
            steps = recorder.stop().steps
            assert "".join(step.output for step in steps) == outputs[0]
            assert shell.watchers == []
    assert outputs[0] == outputs[1]
