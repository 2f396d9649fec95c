from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tdvfsh.errors import FormatError, HostError, UsageError
from tdvfsh.images.fetch import fetch, fetched
from tdvfsh.images.files import sha256_of
from tdvfsh.images.listing import list_images
from tests.images.conftest import LocalArchive
from tests.images.packages import deb_of

SHELL_MEMBER = "usr/share/efi-shell-x64/shellx64.efi"


def shell_deb(content: bytes = b"MZ shell", version: str = "2025.02-8") -> bytes:
    return deb_of({SHELL_MEMBER: content}, package="efi-shell-x64", version=version)


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    path = tmp_path / "shell.deb"
    path.write_bytes(shell_deb())
    return path


def test_a_package_the_person_has_needs_neither_network_nor_apt(deb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    image = fetch("shell", deb=deb)
    assert image.files["efi"].read_bytes() == b"MZ shell"
    assert (image.package, image.version) == ("efi-shell-x64", "2025.02-8")
    assert image.deb_sha256 == hashlib.sha256(deb.read_bytes()).hexdigest()
    assert image.sha256 == {"efi": hashlib.sha256(b"MZ shell").hexdigest()}
    assert fetched("shell") == image


def test_another_package_than_the_catalogue_means_is_misuse(tmp_path: Path, private_cache: Path) -> None:
    other = tmp_path / "other.deb"
    other.write_bytes(deb_of({"x": b""}, package="grub"))
    with pytest.raises(UsageError, match="is the package grub; shell is made from efi-shell-x64"):
        fetch("shell", deb=other)
    assert not private_cache.exists()


def test_a_package_that_lacks_the_file_leaves_nothing_behind(tmp_path: Path, private_cache: Path) -> None:
    hollow = tmp_path / "hollow.deb"
    hollow.write_bytes(deb_of({"x": b""}, package="efi-shell-x64"))
    with pytest.raises(FormatError, match="has no file"):
        fetch("shell", deb=hollow)
    assert fetched("shell") is None
    assert not list((private_cache.parent / "staging").glob("new-*"))


def test_the_newest_package_of_the_archive_is_fetched_and_verified(archive: LocalArchive) -> None:
    member = "usr/lib/modules/x/vmlinuz"
    archive.publish("sid", {
        ("linux-binary-7.9+deb14-cloud-amd64", "7.9-1"): deb_of({member: b"old"}, suffix=".zst"),
        ("linux-binary-7.10+deb14-cloud-amd64", "7.10-1"): deb_of({member: b"new"}, suffix=".zst"),
        ("linux-binary-7.11+deb14-rt-amd64", "7.11-1"): deb_of({member: b"other flavour"}),
    })  # fmt: skip
    seen: list[tuple[str, int, int]] = []
    image = fetch("kernel-7-cloud", lambda *step: seen.append(step), etc_apt=archive.etc_apt)
    assert image.files["kernel"].read_bytes() == b"new"
    assert image.version == "7.10-1"
    assert [what.split()[0] for what, _, _ in seen][:2] == ["index", "download"]
    assert seen[-1][0].startswith("unpack")
    assert all(0 <= done <= total for _, done, total in seen)


def test_a_second_fetch_uses_no_apt_at_all(archive: LocalArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.publish("trixie", {("efi-shell-x64", "1"): shell_deb(version="1")})
    first = fetch("shell", etc_apt=archive.etc_apt)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert fetch("shell", etc_apt=archive.etc_apt) == first


def test_refresh_takes_a_newer_version_and_keeps_an_equal_one(archive: LocalArchive) -> None:
    archive.publish("trixie", {("efi-shell-x64", "1"): shell_deb(b"one", "1")})
    first = fetch("shell", etc_apt=archive.etc_apt)
    inode = first.files["efi"].stat().st_ino
    assert fetch("shell", refresh=True, etc_apt=archive.etc_apt).files["efi"].stat().st_ino == inode
    archive.publish("trixie", {("efi-shell-x64", "2"): shell_deb(b"two", "2")})
    second = fetch("shell", refresh=True, etc_apt=archive.etc_apt)
    assert (second.version, second.files["efi"].read_bytes()) == ("2", b"two")


def test_a_package_that_is_not_what_the_index_promises_is_refused(archive: LocalArchive) -> None:
    archive.publish("trixie", {("efi-shell-x64", "1"): shell_deb(version="1")})
    package = archive.root / "pool" / "efi-shell-x64_1_amd64.deb"
    package.write_bytes(shell_deb(b"MZ SHELL", "1").ljust(package.stat().st_size, b"\0"))
    with pytest.raises(HostError) as caught:
        fetch("shell", etc_apt=archive.etc_apt)
    assert "\n" not in str(caught.value)
    assert fetched("shell") is None


def test_nothing_but_images_and_lists_stays_after_a_fetch(archive: LocalArchive, private_cache: Path) -> None:
    archive.publish("trixie", {("efi-shell-x64", "1"): shell_deb(version="1")})
    fetch("shell", etc_apt=archive.etc_apt)
    work = private_cache.parent / "staging"
    assert sorted(path.name for path in private_cache.iterdir()) == ["shell"]
    assert not [path for path in work.rglob("*") if path.suffix in (".deb", ".bin")]
    assert sorted(path.name for path in work.iterdir()) == ["apt", "downloads", "lock"]


def test_an_archive_out_of_reach_is_one_line(archive: LocalArchive) -> None:
    archive.point_at("http://127.0.0.1:9/debian")
    with pytest.raises(HostError) as caught:
        fetch("shell", etc_apt=archive.etc_apt)
    assert str(caught.value).startswith("Debian's archive cannot be used (apt-get: ")
    assert "--deb FILE" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_suite_without_the_package_is_named(archive: LocalArchive) -> None:
    archive.publish("trixie", {("something-else", "1"): deb_of({})})
    with pytest.raises(HostError, match="suite trixie has no package efi-shell-x64"):
        fetch("shell", etc_apt=archive.etc_apt)


def test_an_archive_that_cannot_be_used_is_passed_over_for_one_that_can(archive: LocalArchive) -> None:
    archive.publish("trixie", {("efi-shell-x64", "1"): shell_deb(version="1")})
    with (archive.etc_apt / "sources.list").open("a") as sources:
        sources.write("deb [trusted=yes] file:/nonexistent/debian trixie main\n")
    lines = (archive.etc_apt / "sources.list").read_text().splitlines()
    (archive.etc_apt / "sources.list").write_text("\n".join(reversed(lines)) + "\n")
    assert fetch("shell", etc_apt=archive.etc_apt).version == "1"


def test_without_apt_the_person_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(HostError, match=r"no apt on this machine.*images fetch NAME --deb FILE"):
        fetch("shell", etc_apt=tmp_path)


def test_without_a_debian_archive_in_the_sources_the_person_is_told_what_to_do(
    archive: LocalArchive, tmp_path: Path
) -> None:
    with pytest.raises(HostError, match=r"no Debian archive.*--deb FILE"):
        fetch("shell", etc_apt=tmp_path / "empty")


def test_an_unwritable_cache_is_one_line(deb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert fetched("shell") is None
    assert {image.state for image in list_images()} == {"not fetched"}
    with pytest.raises(HostError, match="not a directory") as caught:
        fetch("shell", deb=deb)
    assert "\n" not in str(caught.value)


def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing_half_done(tmp_path: Path, private_cache: Path) -> None:
    big = tmp_path / "big.deb"
    big.write_bytes(shell_deb(bytes(3_000_000)))
    code = (
        "import resource, sys; from pathlib import Path; from tdvfsh.errors import HostError\n"
        "from tdvfsh.images.fetch import fetch\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try: fetch('shell', deb=Path(sys.argv[1]))\n"
        "except HostError as error: print(error); sys.exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(big)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (1, 1, "")
    assert "file too large" in done.stdout
    assert fetched("shell") is None
    assert not list((private_cache.parent / "staging").glob("new-*"))


@pytest.mark.parametrize("fault", ["changed", "shortened", "file gone", "manifest gone", "manifest junk", "escape"])
def test_a_damaged_entry_is_seen_listed_and_fetched_anew(deb: Path, private_cache: Path, fault: str) -> None:
    image = fetch("shell", deb=deb)
    file, manifest = image.files["efi"], private_cache / "shell" / "manifest.json"
    if fault == "changed":
        before = file.stat()
        file.write_bytes(b"MZ SHELL")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif fault == "shortened":
        file.write_bytes(b"MZ")
    elif fault == "file gone":
        file.unlink()
    elif fault == "manifest gone":
        manifest.unlink()
    elif fault == "manifest junk":
        manifest.write_text('{"manifest": 1, "files": []')
    else:
        data = json.loads(manifest.read_text())
        data["files"]["efi"]["name"] = "../shell/shellx64.efi"
        manifest.write_text(json.dumps(data))
    assert fetched("shell") is None
    assert {listed.name: listed.state for listed in list_images()}["shell"] == "damaged"
    assert fetch("shell", deb=deb).files["efi"].read_bytes() == b"MZ shell"
    assert {listed.name: listed.state for listed in list_images()}["shell"] == "fetched"


def test_an_entry_of_an_older_catalogue_that_lacks_a_file_is_fetched_anew(deb: Path, private_cache: Path) -> None:
    fetch("shell", deb=deb)
    manifest = private_cache / "shell" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"files": {}}))
    assert fetched("shell") is None
    assert {listed.name: listed.state for listed in list_images()}["shell"] == "not fetched"
    assert fetch("shell", deb=deb).files["efi"].read_bytes() == b"MZ shell"


def test_a_file_that_was_only_touched_is_still_good_and_is_hashed_once(
    deb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(fetch("shell", deb=deb).files["efi"], ns=(1, 1))
    hashed: list[Path] = []

    def counting(path: Path) -> str:
        hashed.append(path)
        return sha256_of(path)

    monkeypatch.setattr("tdvfsh.images.cache.sha256_of", counting)
    assert fetched("shell") is not None
    assert fetched("shell") is not None
    assert len(hashed) == 1


def test_the_list_tells_version_and_sizes(deb: Path) -> None:
    fetch("shell", deb=deb)
    by_name = {image.name: image for image in list_images()}
    assert (by_name["shell"].version, by_name["shell"].size, by_name["shell"].roles) == ("2025.02-8", 8, ("efi",))
    assert (by_name["installer-13"].state, by_name["installer-13"].download_megabytes) == ("not fetched", 151)
