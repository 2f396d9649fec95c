"""What our image verification makes of the same programs."""

from __future__ import annotations

from tdvfsh.dxe.secure_boot.databases import Databases
from tdvfsh.dxe.secure_boot.execution_info import WITH_HASH
from tdvfsh.dxe.secure_boot.rules import VerificationRules
from tdvfsh.dxe.secure_boot.verification import verify_image
from tdvfsh.uefi.status import SUCCESS
from tests.conformance.signatures.cases import Cases
from tests.conformance.signatures.firmware import Answer


def modelled(cases: Cases, rules: VerificationRules) -> dict[str, Answer]:
    """Our answers, by program."""
    in_force = Databases(cases.db, cases.dbx, cases.dbt)
    return {name: _answer(image, in_force, rules) for name, image in cases.images.items()}


def _answer(image: bytes, in_force: Databases, rules: VerificationRules) -> Answer:
    verdict = verify_image(memoryview(image), in_force, rules)
    if verdict.status is SUCCESS:
        return Answer(True)
    return Answer(False, verdict.action.value, (verdict.algorithm,) if verdict.action in WITH_HASH else ())
