"""``python -m tests.conformance.sct --sct FOLDER [--verdict FILE] [TEST...]``: UEFI's self-certification test.

The folder is a user's own build of edk2-test's uefi-sct, the one that holds ``SCT.efi``, ``Test`` and ``Support``
(``SctPackageX64/X64``). Each test runs by itself: a folder with what it needs is made, the real UEFI Shell starts
``SCT.efi`` there, and the suite's logs are read. Where a test resets the machine, machine and Shell start again and the
suite continues. Assertions are known by their GUID.

A verdict says what real firmware came to: a folder of its logs, or a table of lines ``TEST TAB GUID TAB PASS`` (or
``FAIL``; a line without a verdict passed), as ``-o`` writes it of this run. An assertion that passes there and fails
here differs, also where it passes here only sometimes; one that fails there, or that one of both does not reach, is
skipped. Without ``--verdict`` every assertion that fails here differs. The table's last column counts assertions that
pass there and that this run does not reach: of devices and drivers that it has not.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tdvfsh.cli.files import named_file
from tdvfsh.errors import FormatError, HostError, TdvfshError, UsageError
from tdvfsh.images.named import PROGRAM
from tests.conformance.tally import Tally

DEFAULT_TESTS: Final = (
    "EventTimerTaskPriorityServices", "ImageServices", "MemoryAllocationServices", "MiscBootServices",
    "ProtocolHandlerServices", "TimeServices", "VariableServices", "MiscRuntimeServices", "LoadedImage", "DevicePath",
    "DevicePathFromText", "DevicePathToText", "DevicePathUtilities", "SimpleFileSystem", "HIIDatabase", "HIIString",
)  # fmt: skip
"""The families that this project answers for; any other test of the build can be named."""

_NEEDED: Final = ("SCT.efi", "Test", "Support", "Data")
_PARTS: Final = ("Data", "Support", "Proxy", "Report", "Sequence", "SCT.efi")
_SUFFIX: Final = "BBTest"
_SECONDS: Final = 900
_STARTUP: Final = (
    "FS0:", "cd Sct", "if exist started then", "SCT.efi -c -v", "else", "echo 1 > started", "SCT.efi -a -v", "endif",
    "reset -s",
)  # fmt: skip
_RESULT: Final = re.compile(r"(?P<what>.*) -- (?P<verdict>PASS|FAILURE|WARNING|NOT SUPPORTED|UNSUPPORTED|SKIPPED)\s*$")
_GUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")
_PASSED, _FAILED = "PASS", "FAIL"
_NOT_THERE: Final = "not reached by the real firmware"
_FAILS_THERE: Final = "fails on the real firmware"


@dataclass(slots=True)
class Assertion:
    """How often an assertion passed and failed; what it says, and the first failure's detail."""

    what: str
    passed: int = 0
    failed: int = 0
    detail: str = ""

    @property
    def verdict(self) -> str:
        """PASS where it never failed."""
        return _FAILED if self.failed else _PASSED


def read_log(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Assertions of a log: GUID, what it says, verdict, detail. A line of another form is none."""
    lines = text.replace("\r", "").split("\n")
    for at, line in enumerate(lines[:-1]):
        result = _RESULT.match(line)
        guid = lines[at + 1].strip()
        if result is not None and _GUID.match(guid):
            detail = lines[at + 2].strip() if at + 2 < len(lines) else ""
            yield guid.upper(), result["what"], result["verdict"], detail


def assertions_of(folder: Path) -> dict[str, Assertion]:
    """Assertions by GUID of all logs below a folder; warnings and what is not supported are neither."""
    found: dict[str, Assertion] = {}
    for path in sorted(folder.rglob("*.log")):
        data = path.read_bytes()
        text = data.decode("utf-16", "replace") if data[:2] == b"\xff\xfe" else data.decode("latin-1")
        for guid, what, verdict, detail in read_log(text):
            assertion = found.setdefault(guid, Assertion(what))
            if verdict == "PASS":
                assertion.passed += 1
            elif verdict == "FAILURE":
                assertion.failed += 1
                assertion.detail = assertion.detail or re.sub(r"^\S*[/\\]", "", detail)
    return found


Verdict = dict[tuple[str, str], str]
"""PASS or FAIL by test and GUID; the test is empty where it is not known. Tests share the GUID of what is no assertion
of their own."""


def family(test: str) -> str:
    """What a test is of, as ``DevicePath`` of DevicePathBBTest and DevicePathTest0."""
    return re.sub(r"(BBTest|Test\d*)$", "", test)


def read_verdict(path: Path) -> Verdict:
    """The verdict of a folder of logs, or of folders of tests with logs in them, or of a table.

    Raises:
        HostError, FormatError: It cannot be read, or is neither.
    """
    if path.is_dir():
        parts = {family(one.name): one for one in path.iterdir() if one.is_dir() and one.name.endswith(_SUFFIX)}
        folders = parts or {"": path}
        return {
            (name, guid): one.verdict for name, part in folders.items() for guid, one in assertions_of(part).items()
        }
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FormatError(str(path), "not a table of verdicts") from None
    found: Verdict = {}
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        words = line.split("\t")
        verdict = words[2] if len(words) > 2 else _PASSED
        if len(words) < 2 or not _GUID.match(words[1]) or verdict not in (_PASSED, _FAILED):
            raise FormatError(str(path), f"line {number}: not TEST, GUID and PASS or FAIL")
        found[family(words[0]), words[1].upper()] = verdict
    return found


def compare(name: str, here: Mapping[str, Assertion], there: Verdict | None) -> Tally:
    """Count a test's assertions against the verdicts of real firmware, None for none."""
    tally = Tally(name)
    for guid, assertion in here.items():
        verdict = _PASSED if there is None else there.get((family(name), guid), there.get(("", guid)))
        if verdict is None:
            tally.skip(_NOT_THERE)
        elif verdict == _FAILED:
            tally.skip(_FAILS_THERE)
        elif assertion.failed:
            tally.differences.append(
                f"{name}: {guid} {assertion.what}: failed {assertion.failed} of {assertion.passed + assertion.failed}: "
                f"{assertion.detail}"
            )
        else:
            tally.agree += 1
    return tally


def unreached(name: str, here: Mapping[str, Assertion], there: Verdict | None) -> int:
    """How many assertions of a test pass on the real firmware and are not in this run's logs."""
    test = family(name)
    return sum(verdict == _PASSED and of == test and guid not in here for (of, guid), verdict in (there or {}).items())


def prepare(sct: Path, test: str, shell: Path, folder: Path) -> None:
    """Make a drive in ``folder`` that runs one test of a build."""
    target = folder / "Sct"
    (target / "Test").mkdir(parents=True)
    for part in _PARTS:
        source = sct / part
        if source.is_dir():
            shutil.copytree(source, target / part)
        elif source.exists():
            shutil.copy(source, target / part)
    shutil.copy(sct / "Test" / f"{test}.efi", target / "Test")
    own = sct / "Dependency" / test
    if own.is_dir():
        shutil.copytree(own, target / "Dependency" / test)
    shutil.copy(shell, folder / "Shell.efi")
    (folder / "startup.nsh").write_bytes("\r\n".join((*_STARTUP, "")).encode("ascii"))


def run_test(folder: Path, seconds: float) -> str:
    """Run a prepared drive; returns why it ended early, nothing where it did not."""
    command = [sys.executable, "-m", "tdvfsh", "exec", "--no-td", "--fs0", ".", "--fs0-write", "--reset", "restart"]
    command += ["--time-limit", str(seconds), "Shell.efi", "-delay", "0"]
    ran = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    (folder / "output.txt").write_bytes(ran.stdout)
    message = ran.stderr.decode("utf-8", "replace").strip()
    return "" if not ran.returncode else (message.splitlines() or [f"exit status {ran.returncode}"])[0]


def tests_of(sct: Path, names: Sequence[str]) -> list[str]:
    """File names of the tests to run, without ``.efi``.

    Raises:
        UsageError: Not a build, or a test that it does not have.
    """
    missing = [part for part in _NEEDED if not (sct / part).exists()]
    if missing:
        raise UsageError(f"--sct {sct}: not a build of the SCT: no {', '.join(missing)}")
    there = {path.stem.removesuffix(_SUFFIX).lower(): path.stem for path in sorted((sct / "Test").glob("*.efi"))}
    unknown = [name for name in names if name.removesuffix(_SUFFIX).lower() not in there]
    if unknown:
        raise UsageError(f"{unknown[0]}: no such test in {sct / 'Test'}")
    wanted = names or [name for name in DEFAULT_TESTS if name.lower() in there]
    return [there[name.removesuffix(_SUFFIX).lower()] for name in wanted]


def table(rows: Iterable[tuple[str, Mapping[str, Assertion], Tally]], there: Verdict | None) -> list[str]:
    """Lines of the table: a test, its passes and failures here, and assertions by how they compare."""
    lines = [f"{'test':34} {'pass':>6} {'fail':>6} {'agree':>6} {'differ':>6} {'skip':>6} {'unreached':>9}"]
    for name, here, tally in rows:
        passed, failed = sum(one.passed for one in here.values()), sum(one.failed for one in here.values())
        counts = (passed, failed, tally.agree, len(tally.differences), tally.skipped.total())
        lines.append(f"{name:34} " + " ".join(f"{count:6}" for count in counts) + f" {unreached(name, here, there):9}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.sct", description="UEFI's self-certification test on the engine."
    )
    parser.add_argument("--sct", metavar="FOLDER", required=True, type=Path, help="SctPackageX64/X64 of a build")
    parser.add_argument("--verdict", metavar="FILE", type=Path, help="what real firmware came to: a table, or its logs")
    parser.add_argument("--shell", metavar="FILE", help="the UEFI Shell (default: the image 'shell')", default="shell")
    parser.add_argument("--time-limit", metavar="S", type=float, default=_SECONDS, help="a test (default %(default)s)")
    parser.add_argument("--logs", metavar="FOLDER", type=Path, help="keep the suite's logs there")
    parser.add_argument("-o", metavar="FILE", dest="output", type=Path, help="write this run's verdicts as a table")
    parser.add_argument("tests", metavar="TEST", nargs="*", help="as DevicePathToText (default: those of the project)")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run; exit status 1 where an assertion differs or a test ended early, 2 for misuse."""
    arguments = _parser().parse_args(words)
    try:
        return _run(arguments)
    except TdvfshError as error:
        print(f"sct: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        print(f"sct: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    names = tests_of(arguments.sct, arguments.tests)
    there = None if arguments.verdict is None else read_verdict(arguments.verdict)
    shell = Path(named_file(arguments.shell, PROGRAM).path)
    rows: list[tuple[str, dict[str, Assertion], Tally]] = []
    early = 0
    for name in names:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            prepare(arguments.sct, name, shell, folder)
            why = run_test(folder, arguments.time_limit)
            here = assertions_of(folder / "Sct" / "Log")
            if arguments.logs is not None and (folder / "Sct" / "Log").is_dir():
                shutil.copytree(folder / "Sct" / "Log", arguments.logs / name, dirs_exist_ok=True)
        if why:
            early += 1
            print(f"{name}: ended early: {why}", flush=True)
        rows.append((name, here, compare(name, here, there)))
        rows[-1][2].print()
    print("\n".join(table(rows, there)))
    if arguments.output is not None:
        lines = [f"{name}\t{guid}\t{one.verdict}" for name, here, _ in rows for guid, one in sorted(here.items())]
        arguments.output.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    return int(bool(early) or any(tally.differences for _, _, tally in rows))


if __name__ == "__main__":
    sys.exit(main())
