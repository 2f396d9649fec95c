from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.images.sources import Archive, debian_archives

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_deb822_sources_give_uri_and_keyring(etc: Path) -> None:
    (etc / "sources.list.d" / "debian.sources").write_text(
        "# our mirror\nTypes: deb deb-src\nURIs: http://a.example/debian\nSuites: bookworm bookworm-updates\n"
        f"# in between\nComponents: main\nSigned-By: {KEYRING}\n\n"
        "Types: deb\nURIs: http://a.example/debian-security\nSuites: bookworm-security\nComponents: main\n"
    )
    assert debian_archives(etc) == [Archive("http://a.example/debian", KEYRING)]


def test_one_line_sources_give_uri_keyring_and_trust(etc: Path) -> None:
    (etc / "sources.list").write_text(
        "# deb http://old.example/debian stable main\n"
        f"deb [arch=amd64 signed-by={KEYRING} check-valid-until=no] http://a.example/debian trixie main contrib # x\n"
        "deb-src http://src.example/debian trixie main\n"
        "deb cdrom:[Debian]/ trixie main\n"
    )
    assert debian_archives(etc) == [Archive("http://a.example/debian", KEYRING, (("check-valid-until", "no"),))]


def test_disabled_entries_and_other_peoples_repositories_are_passed_over(etc: Path) -> None:
    (etc / "sources.list.d" / "a.sources").write_text(
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: trixie\nComponents: main\n"
    )
    (etc / "sources.list.d" / "b.list").write_text(
        "deb http://tools.example/apt tools-bookworm main\ndeb http://d.example/linux bookworm stable\n"
        "deb http://flat.example/ ./\n"
    )
    (etc / "sources.list.d" / "c.sources.disabled").write_text(
        "Types: deb\nURIs: http://x.example/debian\nSuites: trixie\nComponents: main\n"
    )
    assert debian_archives(etc) == []


def test_of_several_addresses_the_one_that_looks_like_debian_comes_first_and_none_comes_twice(etc: Path) -> None:
    (etc / "sources.list.d" / "a.sources").write_text(
        "Types: deb\nURIs: http://vendor.example/apt\n http://a.example/debian/\nSuites: trixie\nComponents: main\n\n"
        "Types: deb\nURIs: http://a.example/debian/\nSuites: trixie-updates\nComponents: main\n"
    )
    assert [archive.uri for archive in debian_archives(etc)] == [
        "http://a.example/debian/",
        "http://vendor.example/apt",
    ]


def test_an_armoured_key_inside_the_source_is_kept(etc: Path) -> None:
    (etc / "sources.list.d" / "a.sources").write_text(
        "Types: deb\nURIs: http://a.example/debian\nSuites: sid\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    (archive,) = debian_archives(etc)
    assert archive.signed_by == ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----")


def test_a_machine_without_apt_settings_has_no_archive(tmp_path: Path) -> None:
    assert debian_archives(tmp_path / "none") == []


def test_binary_junk_in_a_source_file_does_no_harm(etc: Path) -> None:
    (etc / "sources.list").write_bytes(bytes(range(256)) * 4)
    (etc / "sources.list.d" / "a.sources").write_bytes(b"\0\xff:\n\n x\n:\n")
    assert debian_archives(etc) == []
