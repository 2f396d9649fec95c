"""What the emulated processor itself says of its features."""

from __future__ import annotations

from typing import Any

import pytest

from tdvfsh.engine.x86.native_cpuid import NativeCpuid

x86: Any = pytest.importorskip("unicorn.x86_const", reason="the CPU engine is not installed: extra [cpu]")


@pytest.fixture(scope="module")
def native() -> NativeCpuid:
    return NativeCpuid(x86.UC_CPU_X86_SANDYBRIDGE)


def test_the_vendor_is_intel_and_features_of_long_mode_are_there(native: NativeCpuid) -> None:
    _, b, c, d = native(0, 0)
    assert b"".join(part.to_bytes(4, "little") for part in (b, d, c)) == b"GenuineIntel"
    assert native(1, 0)[3] & 1 << 4  # TSC
    assert native(0x80000001, 0)[3] & 1 << 29  # long mode
    assert native(0x80000001, 0)[3] & 1 << 11  # SYSCALL


def test_it_has_no_rdrand_so_that_no_number_comes_from_the_host(native: NativeCpuid) -> None:
    assert not native(1, 0)[2] & 1 << 30


def test_sub_leaves_are_asked_for_and_remembered_each_on_its_own(native: NativeCpuid) -> None:
    caches = [native(4, number) for number in range(4)]
    assert len(set(caches)) > 2
    assert {1, 2} <= {cache[0] >> 5 & 7 for cache in caches}  # levels
    assert [native(4, number) for number in range(4)] == caches


def test_every_leaf_is_executed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    native = NativeCpuid(x86.UC_CPU_X86_SANDYBRIDGE)
    runs: list[int] = []
    start = native._uc.emu_start

    def counted(begin: int, end: int) -> None:
        runs.append(begin)
        start(begin, end)

    monkeypatch.setattr(native._uc, "emu_start", counted)
    for leaf, subleaf in ((0, 0), (4, 0), (4, 1), (4, 0), (0, 0)):
        native(leaf, subleaf)
    assert len(runs) == 3
