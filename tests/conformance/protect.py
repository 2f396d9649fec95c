"""``python -m tests.conformance.protect [--write] [NAME...]``: who runs under which policy of memory protection.

Runs the catalogue's EFI programs, kernels, GRUBs by shim and unified images on the processor under each policy, holds
each against what the model says of the file, and the whole against the table in ``docs/secure-boot.md``, or with
``--write`` writes that table. By hand: a kernel takes ten seconds, the whole some minutes.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tdvfsh.formats.mapped import open_mapped
from tdvfsh.formats.pe.image import PeImage
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.formats.pe.protection import PolicyVerdict, policy_verdicts
from tdvfsh.images.fetch import fetched
from tdvfsh.images.uki_of_stub import make_uki_of_stub

POLICIES: Final = ("attributes", "nx", "strict")
_DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "secure-boot.md"
_BEGIN: Final = "<!-- made by python -m tests.conformance.protect --write -->\n"
KERNELS: Final = (
    "kernel-6.1", "kernel-6.1-cloud", "kernel-6.12", "kernel-6.12-cloud", "kernel-6.18-cloud", "kernel-7-cloud",
    "installer-13",
)  # fmt: skip
PROGRAMS: Final = ("grub-2.06", "grub-2.12", "grub-2.14", "shim", "systemd-boot", "systemd-boot-sid", "shell", "ipxe",
    "memtest86+", "refind", "xen")  # fmt: skip
_BY_SHIM: Final = ("grub-2.06", "grub-2.12", "grub-2.14")
_STUBS: Final = ("systemd-boot", "systemd-boot-sid")
_UKI_KERNEL: Final = "kernel-6.12-cloud"
_LEFT: Final = "has left boot services"
_STOPPED: Final = re.compile(r"stopped: (.*not executable|.*read-only.*)")
_REFUSED: Final = re.compile(r"memory protection \(\w+\): ([^\n]+)")
_ENDED: Final = ("waits for a key", "returned EFI_", "grub>", "Shell>", "iPXE", "no stack left")
"""How a program ends that runs; without stack a boot manager that has started itself again and again."""
_LIMIT: Final = 150


class Row(NamedTuple):
    """A row of the table: what runs, and its cell for each policy."""

    title: str
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return f"| {self.title} | {' | '.join(self.cells)} |"


class Subject(NamedTuple):
    """Something to run.

    Attributes:
        title: As the table has it.
        path: The file that the model judges.
        words: The command, without ``tdvfsh`` and ``--protect``.
        by_shim: Whether shim starts that file.
    """

    title: str
    path: Path
    words: tuple[str, ...]
    by_shim: bool = False


def subjects(folder: Path) -> Iterator[Subject]:
    """What there is to run of the images that were fetched; files are made in ``folder``."""
    for name in KERNELS:
        path = _file(name)
        if path is not None:
            words = ("boot", str(path), "--memory", "1G", "--engine", "cpu", "--fast-decompress")
            yield Subject(f"`{name}`", path, words)
    for name in PROGRAMS:
        path = _file(name)
        if path is not None:
            yield Subject(f"`{name}`", path, _exec(folder / name, path, {path.name: path}))
    shim = _file("shim")
    for name in _BY_SHIM:
        path = _file(name)
        if path is not None and shim is not None:
            files = {"shimx64.efi": shim, "grubx64.efi": path}
            by_shim = _exec(folder / f"shim-{name}", shim, files)
            yield Subject(f"`{name}`, started by `shim`", path, by_shim, by_shim=True)
    yield from _unified(folder)


def _unified(folder: Path) -> Iterator[Subject]:
    kernel, init = _file(_UKI_KERNEL), _file("init")
    for name in _STUBS:
        image = fetched(name)
        if image is not None and kernel is not None and init is not None:
            path = folder / f"uki-{name}.efi"
            make_uki_of_stub(path, image.files["efi-stub"], kernel, init, "console=ttyS0 quiet")
            version = image.version.split(".")[0]
            words = ("boot", str(path), "--memory", "1G", "--engine", "cpu", "--fast-decompress")
            yield Subject(f"unified image of stub {version} and `{_UKI_KERNEL}`", path, words)


def _file(name: str) -> Path | None:
    image = fetched(name)
    if image is None:
        return None
    return next((path for role, path in image.files.items() if role in ("efi", "kernel", "initrd")), None)


def _exec(folder: Path, program: Path, files: dict[str, Path]) -> tuple[str, ...]:
    folder.mkdir()
    for name, path in files.items():
        shutil.copy(path, folder / name)
    own = next(name for name, path in files.items() if path == program)
    return ("exec", "--fs0", str(folder), "--time-limit", "60", str(folder / own))


def modelled(path: Path) -> dict[str, PolicyVerdict]:
    """The model's verdict on a file, by policy."""
    with open_mapped(path) as mapped:
        pe = parse_pe(mapped.view)
        assert isinstance(pe, PeImage), path
        return {one.policy: one for one in policy_verdicts(pe)}


def outcome(words: Sequence[str], policy: str) -> str:
    """What came of a run on the processor: ``runs``, ``faults: …`` or ``refused: …``."""
    command = [sys.executable, "-m", "tdvfsh", words[0], "--protect", policy, *words[1:]]
    run = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_LIMIT, check=False
    )
    said = run.stdout + run.stderr
    refused = _REFUSED.search(said)
    if refused is not None:
        return f"refused: {refused[1].strip().replace('it does not say NX_COMPAT', 'no NX_COMPAT')}"
    stopped = _STOPPED.search(said)
    if stopped is not None:
        return f"faults: {stopped[1]}"
    if _LEFT in said or run.returncode == 0 or any(text in said for text in _ENDED):
        return "runs"
    return f"not known: {said.strip().splitlines()[-1] if said.strip() else run.returncode}"


def cell(subject: Subject, policy: str) -> str:
    """A cell, with what differs between model and processor in it."""
    said, ours = outcome(subject.words, policy), modelled(subject.path)[policy]
    if subject.by_shim:
        judged = "faults" if ours.by_shim else "runs"
        if said.startswith("refused"):  # shim itself is
            return said
    else:
        judged = "runs" if ours.verdict == "unprotected" else ours.verdict
    if said.split(":")[0] != judged:
        return f"{said} (the model: {judged})"
    if said == "runs" and ours.verdict == "unprotected":
        return f"runs unprotected: {ours.why.split(' is not ')[0]}"
    return said


def table(names: Sequence[str] = ()) -> list[Row]:
    """The table, or its rows of some images; each row is printed when it is there."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for subject in subjects(Path(folder)):
            if not names or any(f"`{name}`" in subject.title for name in names):
                rows.append(Row(subject.title, tuple(cell(subject, policy) for policy in POLICIES)))
                print(rows[-1], flush=True)
    return rows


def documented() -> dict[str, Row]:
    """The rows of the document, by title."""
    text = _DOCUMENT.read_text(encoding="utf-8")
    lines = text[text.index(_BEGIN) + len(_BEGIN) :].split("\n\n")[0].splitlines()[2:]
    cells = [[one.strip() for one in line.strip("|").split(" | ")] for line in lines]
    return {title: Row(title, tuple(rest)) for title, *rest in cells}


def _write(rows: Sequence[Row]) -> None:
    text = _DOCUMENT.read_text(encoding="utf-8")
    start = text.index(_BEGIN) + len(_BEGIN)
    end = text.index("\n\n", start)
    head = [f"| image | {' | '.join(f'`{policy}`' for policy in POLICIES)} |", "|---" * (len(POLICIES) + 1) + "|"]
    _DOCUMENT.write_text(text[:start] + "\n".join([*head, *map(str, rows)]) + text[end:], encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where a row is not as documented, or model and processor differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.protect", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="images of the catalogue; without, all that are there")
    parser.add_argument("--write", action="store_true", help="write the table into the document")
    parsed = parser.parse_args(arguments)
    rows = table(parsed.names)
    if parsed.write:
        _write(rows)
    known = documented()
    different = [row for row in rows if known.get(row.title) != row or "(the model" in str(row)]
    for row in different:
        print(f"documented: {known.get(row.title, 'nothing')}")
    print(f"protect agree={len(rows) - len(different)} differ={len(different)} skip=0")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
