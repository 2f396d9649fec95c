from __future__ import annotations

import pytest

from tdvfsh.images.versions import version_key


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0+deb13"),
        ("1.9", "1.10"),
        ("6.12.94+deb13-1", "6.12.107+deb13-1"),
        ("9.9", "1:0.1"),
        ("1.0-1", "1.0-1+b1"),
        ("1.0-1~bpo13+1", "1.0-1"),
        ("1.0a", "1.0+"),
        ("2022.11-6+deb12u2", "2025.02-8+deb13u1"),
        ("1.0", "1.0.0"),
        ("1.0~~", "1.0~"),
    ],
)
def test_versions_sort_as_dpkg_sorts_them(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)


def test_a_missing_revision_is_revision_zero() -> None:
    assert version_key("1.0") == version_key("1.0-0") == version_key("0:1.0")
