"""Debian packages and archives built in pure Python, for tests that must work on any machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Mapping
from pathlib import Path

import zstandard


def tar_of(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    """An uncompressed tar archive of regular files and symbolic links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def packed(tar: bytes, suffix: str) -> bytes:
    """The tar archive as its suffix says: empty, ``.gz``, ``.xz`` or ``.zst``."""
    if suffix == ".gz":
        return gzip.compress(tar)
    if suffix == ".xz":
        return lzma.compress(tar)
    if suffix == ".zst":
        return zstandard.ZstdCompressor().compress(tar)
    return tar


def ar_of(members: Mapping[str, bytes]) -> bytes:
    """An ``ar`` archive."""
    parts = [b"!<arch>\n"]
    for name, content in members.items():
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
        parts.append(content + b"\n" * (len(content) % 2))
    return b"".join(parts)


def deb_of(files: Mapping[str, bytes], package: str = "demo", version: str = "1.0", suffix: str = ".xz") -> bytes:
    """A whole package; file names get the leading ``./`` that dpkg writes."""
    control = f"Package: {package}\nVersion: {version}\nArchitecture: amd64\nMaintainer: T <t@x>\nDescription: t\n"
    return ar_of(
        {
            "debian-binary": b"2.0\n",
            f"control.tar{suffix}": packed(tar_of({"./control": control.encode()}), suffix),
            f"data.tar{suffix}": packed(tar_of({f"./{name}": content for name, content in files.items()}), suffix),
        }
    )


def make_archive(root: Path, suite: str, debs: Mapping[tuple[str, str], bytes]) -> None:
    """A package archive that apt understands, with one package for each (name, version)."""
    index = root / "dists" / suite / "main" / "binary-amd64"
    index.mkdir(parents=True, exist_ok=True)
    pool = root / "pool"
    pool.mkdir(exist_ok=True)
    stanzas = []
    for (package, version), content in debs.items():
        filename = f"pool/{package}_{version}_amd64.deb"
        (root / filename).write_bytes(content)
        stanzas.append(
            f"Package: {package}\nVersion: {version}\nArchitecture: amd64\nMaintainer: T <t@example>\n"
            f"Filename: {filename}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
            "Description: t\n"
        )
    packages = "\n".join(stanzas).encode()
    (index / "Packages").write_bytes(packages)
    (root / "dists" / suite / "Release").write_text(
        f"Origin: Debian\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\n"
        f"Date: Sat, 01 Jan 2022 00:00:00 UTC\nSHA256:\n"
        f" {hashlib.sha256(packages).hexdigest()} {len(packages)} main/binary-amd64/Packages\n"
    )
