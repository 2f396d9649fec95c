"""What real shim, asked by real GRUB in QEMU, makes of the same programs, and what ours does.

GRUB has shim verify what ``linux`` is to load, and then says that it is not a kernel.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tdvfsh.dxe.secure_boot.shim import ShimRules, shim_verdict
from tdvfsh.uefi.status import SUCCESS
from tests.conformance.signatures.cases import Cases
from tests.conformance.signatures.firmware import run

_ANSWER: Final = re.compile(rb"<(\d+)>(?:(?!<\d).)*?error: ([^\r\n]*)", re.DOTALL)
_REFUSED: Final = b"bad shim signature"


def shim_answers(code: Path, variables: Path, shim: Path, grub: Path, cases: Cases) -> dict[str, bool]:
    """Whether shim lets GRUB load each program.

    Args:
        code: Firmware with SMM.
        variables: Its variable store, without variables.
        shim: A shim that knows who signed ``grub``.
        grub: A GRUB that asks shim.
        cases: Programs and databases.
    """
    lines = ["search --file --set=root /c0.efi"]
    for number in range(len(cases.images)):
        lines += [f"echo '<{number}>'", f"linux /c{number}.efi"]
    script = "\n".join([*lines, "echo '<all'", "halt", ""]).encode()
    files = {"EFI/BOOT/grubx64.efi": grub.read_bytes(), "EFI/debian/grub.cfg": script}
    said, _ = run(code, variables, files, shim.read_bytes(), cases)
    found = {int(number): _REFUSED not in text for number, text in _ANSWER.findall(said)}
    return {name: found[number] for number, name in enumerate(cases.images)}


def shim_modelled(cases: Cases, level: bytes) -> dict[str, bool]:
    """Whether ours does, with a shim of that SBAT level whose vendor signed none of them."""
    rules = ShimRules("shim", (), cases.db, cases.dbx, level)
    return {
        name: shim_verdict(memoryview(image), rules, by_protocol=True).status is SUCCESS
        for name, image in cases.images.items()
    }
