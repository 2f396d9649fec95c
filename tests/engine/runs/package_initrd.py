"""Initrds with programs of Debian packages: busybox runs a script, and what the programs need is there."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tdvfsh.errors import TdvfshError
from tdvfsh.images.apt import PrivateApt
from tdvfsh.images.newc import NewcMember, newc_archive

SUITE: Final = "sid"
LIBRARIES: Final = (
    "libc6", "libacl1", "libapparmor1", "libbsd0", "libmd0", "libcrypt1", "libegl1", "libglvnd0", "libgbm1", "libgles2",
    "libgmp10", "libgcc-s1", "libipsec-mb2", "libjpeg62-turbo", "libjudydebian1", "libkmod2", "libmpfr6", "libsctp1",
    "libstdc++6", "libxxhash0", "zlib1g", "libdrm2", "libexpat1", "libssl3t64", "libzstd1", "liblzma5", "libfdt1",
    "libglib2.0-0t64", "libpcre2-8-0", "libatomic1",
    "libffi8", "libmount1", "libblkid1", "libselinux1", "libsystemd0", "libcap2",
)  # fmt: skip
"""Packages of the libraries that the programs of these tests are linked with."""

_MERGED: Final = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
_SETUP: Final = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
export PATH=/usr/bin:/usr/sbin HOME=/tmp
/bin/busybox --install -s /usr/bin 2>/dev/null
"""
_END: Final = "\n/bin/busybox poweroff -f\n"


def package_root(folder: Path, packages: Sequence[str]) -> Path:
    """Unpack packages of :data:`SUITE` into a folder; skips where they cannot be had."""
    if shutil.which("dpkg-deb") is None or shutil.which("readelf") is None:
        pytest.skip("needs dpkg-deb and readelf")
    root, debs = folder / "root", folder / "debs"
    for made in (root, debs):
        made.mkdir(parents=True, exist_ok=True)
    try:
        apt = PrivateApt(folder / "apt", SUITE)
        for name in packages:
            deb = debs / f"{name}.deb"
            if not deb.exists():
                apt.download(apt.newest(name, lambda what, done, total: None), debs, lambda *_: None).rename(deb)
            subprocess.run(["dpkg-deb", "-x", deb, root], check=True, capture_output=True)
    except TdvfshError as error:
        pytest.skip(f"packages cannot be fetched: {error}")
    return root


def package_initrd(path: Path, root: Path, programs: Sequence[str], script: str, folders: Sequence[str] = ()) -> None:
    """Write an initrd that runs a script of busybox's shell and powers off.

    Args:
        path: The archive.
        root: Unpacked packages, busybox's among them.
        programs: Their files from the root, as ``usr/bin/fwts``.
        script: Lines of shell.
        folders: Further folders of the root, with all that is in them.
    """
    files = {name: root / name for name in ("usr/bin/busybox", *programs)}
    for folder in folders:
        files |= {str(one.relative_to(root)): one for one in (root / folder).rglob("*") if one.is_file()}
    _add_libraries(files, root)
    folders_of = sorted({str(parent) for name in files for parent in Path(name).parents if str(parent) != "."})
    members = [NewcMember(name.encode(), stat.S_IFDIR | 0o755) for name in (*folders_of, "dev")]
    members.append(NewcMember(b"dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    members += [NewcMember(name.encode(), stat.S_IFLNK | 0o777, to.encode()) for name, to in _MERGED.items()]
    members += [NewcMember(name.encode(), stat.S_IFREG | 0o755, file.read_bytes()) for name, file in files.items()]
    members.append(NewcMember(b"init", stat.S_IFREG | 0o755, (_SETUP + script + _END).encode()))
    path.write_bytes(newc_archive(members))


def _add_libraries(files: dict[str, Path], root: Path) -> None:
    """Add the libraries that the files name, and theirs; the loader of programs is one of them."""
    left = list(files.values())
    while left:
        told = subprocess.run(["readelf", "-d", left.pop()], capture_output=True, text=True, check=False).stdout
        for line in told.splitlines():
            name = line.partition("[")[2].rstrip("]") if "(NEEDED)" in line else ""
            place = f"usr/lib64/{name}" if name.startswith("ld-linux") else f"usr/lib/x86_64-linux-gnu/{name}"
            if not name or place in files:
                continue
            found = next((one for one in root.rglob(name)), None)
            if found is not None:
                files[place] = Path(os.path.realpath(found)) if found.exists() else found
                left.append(files[place])
