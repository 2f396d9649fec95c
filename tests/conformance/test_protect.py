"""The table of who runs under which policy of memory protection: the model says of each file what the document says."""

from __future__ import annotations

import pytest

from tests.conformance.protect import KERNELS, POLICIES, PROGRAMS, documented, main, modelled
from tests.engine.runs.test_real_programs import image

pytestmark = pytest.mark.images


@pytest.mark.parametrize("name", [*KERNELS, *PROGRAMS])
def test_the_document_has_a_row_that_says_what_the_model_says(name: str) -> None:
    verdicts = modelled(image(name, "kernel" if name in KERNELS else "efi"))
    for policy, cell in zip(POLICIES, documented()[f"`{name}`"].cells, strict=True):
        verdict = verdicts[policy]
        wanted = {"unprotected": "runs unprotected"}.get(verdict.verdict, verdict.verdict)
        assert cell.split(":")[0] == wanted, policy
        if verdict.verdict == "refused":
            assert cell.removeprefix("refused: ").replace("no NX_COMPAT", "it does not say NX_COMPAT") in verdict.why


@pytest.mark.long
def test_the_processor_says_so_too() -> None:
    assert main([]) == 0
