"""Paths on a volume, as LoadImage and Open are given them."""

from __future__ import annotations

import pytest

from tdvfsh.engine.storage.volumes import ViewVolume, VolumeFileSystem, split_path
from tdvfsh.uefi.status import SUCCESS, EfiStatus


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("\\a\\b.efi", ("a", "b.efi")),
        (".\\a.efi", ("a.efi",)),
        ("\\.\\a\\.\\b", ("a", "b")),
        ("\\sub\\..\\a.efi", ("a.efi",)),
        ("a/../b/./c", ("b", "c")),
        ("..\\a.efi", ("..", "a.efi")),
    ],
)
def test_dots_are_stepped_over_and_two_go_to_the_parent(path: str, parts: tuple[str, ...]) -> None:
    assert split_path(path) == parts


def test_a_file_is_read_by_a_path_with_dots_and_not_above_the_root() -> None:
    volume = VolumeFileSystem(ViewVolume({"sub\\sub.efi": memoryview(b"x"), "top.efi": memoryview(b"y")}))
    for path in ("\\.\\top.efi", "\\sub\\..\\top.efi"):
        status, contents = volume.read_file(path)[:2]
        assert status is SUCCESS
        assert bytes(contents or b"") == b"y"
    assert volume.read_file("\\..\\top.efi")[0] is EfiStatus.EFI_NOT_FOUND
