"""What real firmware printed, held against the shell."""

from __future__ import annotations

import hashlib
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conformance import scripts, shell
from tests.conformance.sandbox import sandbox

RECORDINGS = Path(__file__).parent.parent / "recordings"
FOLDERS = (RECORDINGS / "scripts", RECORDINGS / "round2" / "scripts")
ROWS = [(folder, row) for folder in FOLDERS for row in scripts.read_index(folder)]
NAMES = [row["script"] for _, row in ROWS]
ARTEFACTS = {"50-startup-find": 1}
"""Lines that differ because of the recording: its disk held a /startup.nsh that the tree lacks."""
WITH_FREE_SPACE = ("ls.sfo", "l.sfo")  # files that scripts make, which tell the free space of the disk
MACHINE_COMMANDS = ("memmap", "dmem", "mm")  # tested with the machine they belong to


@pytest.mark.parametrize(("folder", "row"), ROWS, ids=NAMES)
def test_a_recorded_script_prints_the_same_lines(folder: Path, row: dict[str, str]) -> None:
    reports, tally = scripts.compare_script(folder, row)
    if find_spec("unicorn") is None and row["script"] in ("36-load-each", "41-le-more", "50-startup-find"):
        assert tally.agree >= 0.88 * (tally.agree + tally.differ)  # programs do not run without a processor
        return
    assert len(reports) == ARTEFACTS.get(row["script"], 0), reports


def test_a_script_that_left_the_shell_has_no_lasterror_to_compare() -> None:
    folder, row = ROWS[0]
    assert scripts.compare_script(folder, row | {"lasterror_redirected": ""})[1].skip == 1


@pytest.mark.parametrize("name", ["commands-redirected.txt", "commands-console.txt"])
def test_recorded_commands_agree(name: str) -> None:
    path = RECORDINGS / "shell" / name
    agree: list[str] = []
    differ: list[str] = []
    with sandbox(RECORDINGS / "shell" / "tree", path.read_bytes().decode("latin-1")) as (under_test, _):
        commands = shell.read_transcript(path)
        for recorded, verdict, _ in shell.verdicts(under_test, commands):
            if recorded.command.startswith(MACHINE_COMMANDS):
                continue
            {"agree": agree, "differ": differ}.get(verdict, []).append(recorded.command)
    assert len(agree) >= 0.97 * (len(agree) + len(differ)), differ


def test_lines_typed_at_the_prompt_answer_as_on_firmware() -> None:
    folder = RECORDINGS / "scripts"
    text = (folder / "43-outside-script.con").read_bytes().decode("latin-1")
    differ: list[str] = []
    with sandbox(folder / "tree", "") as (under_test, _):
        under_test.run_line("cd w")
        for block in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
            head, _, body = block.partition("\n")
            match = re.match(r"(.*?)   \[lasterror after: (0x[0-9A-F]+)\]", head)
            assert match is not None
            got = shell.run_command(under_test, match[1], console=True).removesuffix("\r\n")
            last_error = int(match[2], 16)
            if got != body.rstrip("\n") or under_test.last_error_code != last_error:
                differ.append(match[1])
            under_test.interpreter.set_last_error(last_error)
    program = {"t\\child.efi", '"t\\child.efi"'} if find_spec("unicorn") is None else set()
    assert set(differ) <= program | {"exit /b 5"}  # firmware starts the shell again


@pytest.mark.parametrize(("folder", "row"), ROWS, ids=NAMES)
def test_a_recorded_script_leaves_the_same_files_variables_and_directory(folder: Path, row: dict[str, str]) -> None:
    name = row["script"]
    after = (folder / f"{name}.after").read_text(encoding="latin-1")
    with sandbox(folder / "tree", "") as (under_test, root):
        for extra in ("s", "o"):
            (root / extra).mkdir()
        (root / "s" / f"{name}.nsh").write_bytes((folder / f"{name}.nsh").read_bytes())
        under_test.interpreter.echo = False
        under_test.run_line("cd w")
        under_test.run_line(f"fs0:\\s\\{name}.nsh {row['args']} >a fs0:\\o\\out.txt")
        files = {
            (str(path.relative_to(root / "w")), hashlib.sha256(path.read_bytes()).hexdigest()[:16])
            for path in (root / "w").rglob("*")
            if path.is_file() and path.name not in WITH_FREE_SPACE
        }
        variables = "".join(f"{key:>8} = {value}\n" for key, value in under_test.variables())
        assert under_test.directory == row["cwd_after"]
    recorded = re.findall(r"^FILE ::/w/(.*) size=\d+ sha=(\w+)", after, re.MULTILINE)
    assert files == {(path, digest) for path, digest in recorded if path.rpartition("/")[2] not in WITH_FREE_SPACE}
    assert f"--- set after ---\n{variables}--- alias" in after or name == "36-load-each"


def test_a_line_that_differs_is_reported_with_its_number() -> None:
    tally = scripts.Tally()
    reports = scripts.compare_lines("x", ["a\r", "b\r", ""], ["a\r", "c\r", ""], tally)
    assert reports == ["x:2 expected 'b\\r' got 'c\\r'"]
    assert (tally.agree, tally.differ, tally.skip) == (2, 1, 0)


def test_free_space_is_skipped_but_the_words_around_it_count() -> None:
    tally = scripts.Tally()
    assert scripts.compare_lines("x", ["5 bytes available on disk\r"], ["6 bytes available on disk\r"], tally) == []
    assert tally.skip == 1
    assert scripts.compare_lines("x", ["5 bytes available on disk\r"], ["6 bytes on disk\r"], tally) != []
