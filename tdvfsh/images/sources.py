"""Where this machine gets Debian packages from, read out of its own apt sources.

Both forms are read: deb822 ``*.sources`` and one-line ``*.list``.

Source: sources.list(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

DEBIAN_SUITES: Final = frozenset(
    {
        "oldoldstable", "oldstable", "stable", "testing", "unstable", "experimental", "sid",
        "buster", "bullseye", "bookworm", "trixie", "forky", "duke",
    }
)  # fmt: skip
_SUITE_SUFFIXES: Final = ("", "updates", "proposed-updates", "backports")
_NO: Final = frozenset({"no", "false", "without", "off", "disable", "0"})
_YES: Final = frozenset({"yes", "true", "with", "on", "enable", "1"})
_KEPT_OPTIONS: Final = ("trusted", "check-valid-until", "check-date", "allow-insecure", "allow-weak")
_ONE_LINE: Final = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)")


@dataclass(frozen=True, slots=True)
class Archive:
    """A package archive that this machine is set up to use.

    Attributes:
        uri: As apt takes it.
        signed_by: Keyring files or fingerprints as apt takes them, an armoured key, or empty for apt's default.
        options: What else the source says about trust, by apt's one-line name.
    """

    uri: str
    signed_by: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Source:
    archive: Archive
    suite: str
    components: tuple[str, ...]

    @property
    def is_debian(self) -> bool:
        """Whether the archive's suite and component are ones that Debian's main archive has."""
        base, _, suffix = self.suite.partition("-")
        return base in DEBIAN_SUITES and suffix in _SUITE_SUFFIXES and "main" in self.components


def debian_archives(etc_apt: Path) -> list[Archive]:
    """Archives that may have Debian's suites, the likeliest first.

    Args:
        etc_apt: apt's folder of settings, ``/etc/apt`` on a real machine.

    Files that cannot be read are skipped, as are disabled entries, third-party repositories and media.
    """
    found = [source.archive for source in _sources(etc_apt) if source.is_debian]
    found = [archive for archive in found if not archive.uri.startswith("cdrom:")]
    return sorted(dict.fromkeys(found), key=lambda archive: not archive.uri.rstrip("/").endswith("/debian"))


def _sources(etc_apt: Path) -> Iterator[_Source]:
    parts = etc_apt / "sources.list.d"
    for path in [etc_apt / "sources.list", *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources"))]:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        yield from _deb822(text) if path.suffix == ".sources" else _one_line(text)


def _one_line(text: str) -> Iterator[_Source]:
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if match is not None:
            pairs = (option.partition("=") for option in (match["options"] or "").split())
            options = {key.lower(): value for key, _, value in pairs}
            archive = _archive(match["uri"], options)
            yield _Source(archive, match["suite"], tuple(match["components"].split()))


def _deb822(text: str) -> Iterator[_Source]:
    for stanza in _stanzas(text.splitlines()):
        if "deb" not in stanza.get("types", "").split() or stanza.get("enabled", "yes").strip().lower() in _NO:
            continue
        for uri in stanza.get("uris", "").split():
            for suite in stanza.get("suites", "").split():
                yield _Source(_archive(uri, stanza), suite, tuple(stanza.get("components", "").split()))


def _stanzas(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Fields by lower-case name; continued lines are joined with newlines, a lone dot is an empty line."""
    stanza: dict[str, str] = {}
    field = ""
    for line in lines:
        if line.startswith("#"):
            continue
        if not line.strip():
            if stanza:
                yield stanza
            stanza, field = {}, ""
        elif line[0] in " \t":
            if field:
                stanza[field] += "\n" + ("" if line.strip() == "." else line.strip())
        else:
            name, _, value = line.partition(":")
            field = name.strip().lower()
            stanza[field] = value.strip()
    if stanza:
        yield stanza


def _archive(uri: str, options: Mapping[str, str]) -> Archive:
    kept = ((name, options[name].strip().lower()) for name in _KEPT_OPTIONS if name in options)
    return Archive(
        uri=uri,
        signed_by=options.get("signed-by", "").strip(),
        options=tuple((name, "yes" if value in _YES else "no") for name, value in kept if value in _YES | _NO),
    )
