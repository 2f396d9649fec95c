"""The half of a volume that writes, refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tdvfsh.uefi.filesystem import FileSystemError
from tdvfsh.uefi.read_only_volume import ReadOnlyVolume
from tdvfsh.uefi.status import EfiStatus


@pytest.mark.parametrize(
    "write",
    [
        lambda volume: volume.open_writer(("a",), append=False),
        lambda volume: volume.save(("a",), [b"b"]),
        lambda volume: volume.make_directory(("a",)),
        lambda volume: volume.remove(("a",)),
        lambda volume: volume.rename(("a",), ("b",)),
        lambda volume: volume.set_attributes(("a",), "r"),
    ],
)
def test_a_read_only_volume_is_write_protected(write: Callable[[ReadOnlyVolume], object]) -> None:
    with pytest.raises(FileSystemError) as refused:
        write(ReadOnlyVolume())
    assert refused.value.status is EfiStatus.EFI_WRITE_PROTECTED
    assert not ReadOnlyVolume.writable
