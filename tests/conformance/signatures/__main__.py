"""``python -m tests.conformance.signatures --code FILE --variables FILE [--profile NAME]``: real firmware and ours.

Boots QEMU once for signatures of every kind and once for revoked certificates, and compares verdict, action and hashes
in the image execution information table of each program. With ``--shim`` and ``--grub`` it is shim that is asked, also
about SBAT sections, by GRUB. ``--record`` prints what firmware says, as the recordings have
it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tdvfsh.dxe.profile import PROFILES, profile_named
from tdvfsh.dxe.secure_boot.shim import read_shim
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.formats.sbat import sbat_level
from tdvfsh.images.fetch import fetched
from tests.conformance.signatures.cases import signature_cases
from tests.conformance.signatures.firmware import answers
from tests.conformance.signatures.model import modelled
from tests.conformance.signatures.revoked import revocation_cases
from tests.conformance.signatures.sbat import sbat_cases
from tests.conformance.signatures.shim import shim_answers, shim_modelled
from tests.conformance.tally import Tally


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where a verdict differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.signatures", description=__doc__)
    parser.add_argument("--code", type=Path, required=True, help="OVMF_CODE_4M.secboot.fd, or another build with SMM")
    parser.add_argument("--variables", type=Path, required=True, help="OVMF_VARS_4M.fd: a store without variables")
    parser.add_argument("--shell", type=Path, help="shellx64.efi; the catalogue's without")
    parser.add_argument("--profile", default="sid", choices=PROFILES, help="the generation to compare with")
    parser.add_argument("--shim", type=Path, help="a shim, which is asked instead, by --grub")
    parser.add_argument("--grub", type=Path, help="a GRUB that this shim starts")
    parser.add_argument("--record", action="store_true", help="print one line a program")
    parsed = parser.parse_args(arguments)
    image = fetched("shell")
    shell = parsed.shell or (None if image is None else next(iter(image.files.values())))
    if shell is None:
        parser.error("--shell: run 'tdvfsh images fetch shell' first")
    rules = profile_named(parsed.profile).verification
    different = 0
    if parsed.shim is not None:
        return _with_shim(parsed)
    for title, cases in (("signatures", signature_cases()), ("revocations", revocation_cases())):
        tally, ours = Tally(title), modelled(cases, rules)
        for number, (name, answer) in enumerate(answers(parsed.code, parsed.variables, Path(shell), cases).items(), 1):
            tally.compare(number, f"{name} {answer}", f"{name} {ours[name]}")
            if parsed.record:
                print(title, name, answer, sep="\t")
        tally.print(verbose=True)
        different += len(tally.differences)
    return 1 if different else 0


def _with_shim(parsed: argparse.Namespace) -> int:
    """What shim lets GRUB load, of signatures of every kind and of SBAT sections."""
    with open_mapped(parsed.shim) as mapped:
        level = read_shim(mapped.view, str(parsed.shim)).level
    different = 0
    for title, cases in (("signatures", signature_cases()), ("sbat", sbat_cases(sbat_level(level)))):
        tally, ours = Tally(title), shim_modelled(cases, level)
        found = shim_answers(parsed.code, parsed.variables, parsed.shim, parsed.grub, cases)
        for number, (name, allowed) in enumerate(found.items(), 1):
            tally.compare(number, f"{name} {allowed}", f"{name} {ours[name]}")
            if parsed.record:
                print(title, name, "runs" if allowed else "refused", sep="\t")
        tally.print(verbose=True)
        different += len(tally.differences)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
