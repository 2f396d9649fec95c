"""Image verification held against real OVMF of three years, program by program."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tdvfsh.dxe.profile import profile_named
from tdvfsh.formats.sbat import sbat_level
from tests.conformance.signatures.cases import Cases, signature_cases
from tests.conformance.signatures.model import modelled
from tests.conformance.signatures.revoked import revocation_cases
from tests.conformance.signatures.sbat import sbat_cases
from tests.conformance.signatures.shim import shim_modelled

RECORDING = Path(__file__).parents[2] / "recordings" / "secure-boot" / "signatures.tsv"
SHIM_RECORDING = RECORDING.with_name("shim.tsv")
LEVEL = b"sbat,1,2025021800\nshim,4\ngrub,5\n"
"""Of the shim that was recorded."""
PROFILES = {"2022.11": "bookworm", "2025.02": "trixie", "2026.08": "sid"}


@cache
def recorded() -> dict[tuple[str, str], dict[str, str]]:
    """What a firmware says of each program of a set."""
    lines = [line for line in RECORDING.read_text().splitlines() if not line.startswith("#")]
    _, _, *firmware = lines[0].split("\t")
    found: dict[tuple[str, str], dict[str, str]] = {}
    for line in lines[1:]:
        which, name, *answers = line.split("\t")
        for version, answer in zip(firmware, answers, strict=True):
            found.setdefault((version, which), {})[name] = answer
    return found


@cache
def cases(which: str) -> Cases:
    return {"signatures": signature_cases, "revocations": revocation_cases}[which]()


@pytest.mark.parametrize("which", ["signatures", "revocations"])
@pytest.mark.parametrize("version", PROFILES)
def test_each_program_runs_or_is_refused_as_real_firmware_has_it(version: str, which: str) -> None:
    ours = modelled(cases(which), profile_named(PROFILES[version]).verification)
    assert {name: str(answer) for name, answer in ours.items()} == recorded()[version, which]


def by_shim(which: str) -> dict[str, bool]:
    """What real shim lets GRUB load, of a set of programs."""
    lines = [line.split("\t") for line in SHIM_RECORDING.read_text().splitlines() if not line.startswith("#")]
    return {name: answer == "runs" for of, name, answer in lines[1:] if of == which}


def test_shim_lets_grub_load_what_real_shim_does() -> None:
    assert shim_modelled(cases("signatures"), LEVEL) == by_shim("signatures")


def test_sbat_sections_are_revoked_as_real_shim_revokes_them() -> None:
    assert shim_modelled(sbat_cases(sbat_level(LEVEL)), LEVEL) == by_shim("sbat")
