"""Image verification held against real OVMF of three years, program by program."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tdvfsh.dxe.profile import profile_named
from tests.conformance.signatures.cases import Cases, signature_cases
from tests.conformance.signatures.model import modelled
from tests.conformance.signatures.revoked import revocation_cases

RECORDING = Path(__file__).parents[2] / "recordings" / "secure-boot" / "signatures.tsv"
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
