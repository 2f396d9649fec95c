"""Archives of given members, read back by our parser and by GNU cpio."""

from __future__ import annotations

import shutil
import stat
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.formats.cpio import cpio_entries
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.images.newc import NewcMember, newc_archive

MEMBERS = (
    NewcMember(b"dev", stat.S_IFDIR | 0o755),
    NewcMember(b"dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),
    NewcMember(b"etc/issue", data=b"five!"),
    NewcMember(b"empty"),
)


NAMES = st.binary(min_size=1, max_size=30).filter(lambda name: 0 not in name and name != b"TRAILER!!!")


@given(st.dictionaries(NAMES, st.binary(max_size=40)))
def test_every_member_is_read_back(files: dict[bytes, bytes]) -> None:
    archive = newc_archive(NewcMember(name, data=data) for name, data in files.items())
    assert len(archive) % 4 == 0
    entries = [
        (entry.name, archive[entry.data_offset : entry.data_offset + entry.filesize])
        for entry in cpio_entries(ByteSource(memoryview(archive), "archive"), 0)
    ]
    assert entries[-1] == (b"TRAILER!!!", b"")
    assert dict(entries[:-1]) == files


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_gnu_cpio_lists_kinds_permissions_devices_and_sizes() -> None:
    done = subprocess.run(["cpio", "-tvn"], input=newc_archive(MEMBERS), capture_output=True, check=True)
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    assert [(line[0], line[1], line[-1]) for line in lines] == [
        ("drwxr-xr-x", "2", "dev"),
        ("crw-------", "1", "dev/console"),
        ("-rw-r--r--", "1", "etc/issue"),
        ("-rw-r--r--", "1", "empty"),
    ]
    assert [line[4] for line in lines] == ["0", "5,", "5", "0"]
