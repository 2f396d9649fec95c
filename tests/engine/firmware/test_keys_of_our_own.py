"""Real TDVF whose variable store has keys of the tests' own, and Debian's kernel signed with one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tests.conformance.signatures.cases import Cases, entry, program
from tests.conformance.signatures.firmware import enrolled
from tests.engine.runs.test_real_programs import image
from tests.formats.signing import identity, signed_pe

pytestmark = [pytest.mark.images, pytest.mark.long, pytest.mark.xdist_group("real firmware")]
IN_KERNEL = 0x9000


@pytest.mark.parametrize(("key", "changed"), [("rsa2048", False), ("rsa2048", True), ("p256", False)])
def test_what_the_key_in_db_signed_boots_unless_it_is_changed_or_signed_by_ecdsa(
    key: str, changed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = identity("Owner", key=key)
    kernel = bytearray(signed_pe(image("kernel-6.12-cloud", "kernel").read_bytes(), owner))
    if changed:
        kernel[IN_KERNEL] ^= 1
    (tmp_path / "vmlinuz").write_bytes(kernel)
    own = enrolled(image("ovmf-inteltdx", "firmware").read_bytes(), Cases({}, (entry(owner),)), program(0))
    (tmp_path / "OVMF.fd").write_bytes(own)
    firmware, init = str(tmp_path / "OVMF.fd"), str(image("init", "initrd"))
    words = [str(tmp_path / "vmlinuz"), "--firmware", firmware, "--initrd", init]
    status = main(["verify", *words, "--memory", "2G", "--json"])
    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)["compared"]}
    if changed or key == "p256":
        assert status == 0
        assert found["a boot that fails"]["agree"] == 1
        return
    assert (found["placements"]["agree"], found["placements"]["differences"]) == (3, [])
    differs = found["memory map at ExitBootServices"]["differences"]
    assert all("ACPIReclaimMemory" in one or "ConventionalMemory" in one for one in differs)
    assert len(differs) <= 4  # two pages that the model lacks, likely the stub's copy of the event log
