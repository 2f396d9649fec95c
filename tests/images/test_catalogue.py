from __future__ import annotations

import pytest

from tdvfsh.errors import UsageError
from tdvfsh.images.catalogue import KINDS, catalogue, find_entry


def test_the_named_images_of_the_design_are_there() -> None:
    assert {
        "installer-13", "installer-13-gtk", "installer-12", "kernel-6.1", "kernel-6.1-cloud", "kernel-6.12",
        "kernel-6.12-cloud", "kernel-6.18-cloud", "kernel-7-cloud", "grub-2.06", "grub-2.12", "shell", "systemd-boot",
        "ovmf-2022.11", "ovmf-2025.02", "ovmf-inteltdx",
    } <= set(catalogue())  # fmt: skip


@pytest.mark.parametrize("name", catalogue())
def test_an_entry_has_known_kinds_plain_file_names_and_one_line(name: str) -> None:
    entry = catalogue()[name]
    assert entry.members
    assert {member.kind for member in entry.members} <= set(KINDS)
    names = [member.name for member in entry.members]
    assert len(set(names)) == len(names)
    assert not any(set(file) & set("*?[/") for file in names)
    assert "\n" not in entry.description
    assert (entry.megabytes > 0) == (not entry.made)


def test_a_pattern_never_takes_one_flavour_of_kernel_for_another() -> None:
    from fnmatch import fnmatchcase

    assert fnmatchcase("linux-image-6.12.107+deb13-amd64", find_entry("kernel-6.12").package)
    assert not fnmatchcase("linux-image-6.12.107+deb13-cloud-amd64", find_entry("kernel-6.12").package)
    assert not fnmatchcase("linux-image-6.1.0-50-rt-amd64", find_entry("kernel-6.1").package)


def test_an_unknown_name_is_misuse_and_the_nearest_name_is_offered() -> None:
    with pytest.raises(UsageError, match="did you mean installer-13"):
        find_entry("instaler-13")
    with pytest.raises(UsageError, match="there are installer-13,"):
        find_entry("qqqqqqqq")
