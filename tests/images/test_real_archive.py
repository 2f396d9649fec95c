"""Small real images from the archive this machine is set up for."""

from __future__ import annotations

import pytest

from tdvfsh.errors import HostError
from tdvfsh.images.fetch import fetch


@pytest.mark.images
@pytest.mark.parametrize("name", ["shell", "systemd-boot"])
def test_a_real_efi_program_is_fetched_and_is_a_pe_file(name: str) -> None:
    try:
        image = fetch(name)
    except HostError as error:
        pytest.skip(f"no package archive here: {error}")
    for path in image.files.values():
        content = path.read_bytes()
        assert content[:2] == b"MZ"
        assert content[int.from_bytes(content[0x3C:0x40], "little") :][:4] == b"PE\0\0"
    assert image.version
