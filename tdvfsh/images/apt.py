"""A private apt root: Debian's archive asked through apt, with nothing of the system's settings or state touched.

The archive's address and keyring come from the machine's own sources, so that no host is ever named here.

Source: apt.conf(5), apt-get(8), sources.list(5).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from tdvfsh.errors import HostError
from tdvfsh.images.files import host_errors, sha256_of
from tdvfsh.images.sources import Archive, debian_archives
from tdvfsh.images.versions import version_key
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, bytes done, bytes total); the total is 0 where it is not known."""

ETC_APT: Final = Path("/etc/apt")
POLL_SECONDS: Final = 0.1
STOP_SECONDS: Final = 5
_HELPER_FOLDERS: Final = "/usr/lib/apt:/usr/libexec/apt"
_CONFIGURATION: Final = """\
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "2";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "{root}/empty";
Dir::Etc::preferences "{root}/preferences";
Dir::Etc::preferencesparts "{root}/empty";
Dir::State "{root}/state";
Dir::State::lists "{root}/state/lists";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Cache::archives "{root}/cache/archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
"""


@dataclass(frozen=True, slots=True)
class Package:
    """A package as the archive's signed index describes it.

    Attributes:
        name: Its full name.
        version: Its Debian version.
        size: Bytes of the ``.deb``.
        sha256: SHA-256 of the ``.deb``, in hex.
    """

    name: str
    version: str
    size: int
    sha256: str


def source_line(archive: Archive, suite: str, folder: Path) -> str:
    """The line of sources.list for a suite of an archive; a key that is text is put into ``folder``."""
    options = [f"{name}={value}" for name, value in (("arch", "amd64"), *archive.options)]
    signed_by = archive.signed_by
    if signed_by.startswith("-----BEGIN"):
        key = folder / "key.asc"
        key.write_text(signed_by + "\n", encoding="utf-8")
        signed_by = str(key)
    if signed_by:
        options.append(f"signed-by={','.join(signed_by.replace(',', ' ').split())}")
    return f"deb [{' '.join(options)}] {archive.uri} {suite} main"


class PrivateApt:
    """apt over one suite, in a folder of its own.

    Args:
        root: Folder that holds its settings, lists and cache; kept between runs so that an update is cheap.
        suite: Debian suite, such as ``trixie``.
        etc_apt: Where the machine's own sources are.
        keep_open: File descriptors that apt inherits, so that a lock lives as long as the download.

    Raises:
        HostError: apt is not installed, or the folder cannot be written.
    """

    def __init__(self, root: Path, suite: str, etc_apt: Path = ETC_APT, keep_open: Sequence[int] = ()) -> None:
        self._root = root
        self._suite = suite
        self._etc_apt = etc_apt
        self._keep_open = tuple(keep_open)
        self._helper = shutil.which("apt-helper", path=_HELPER_FOLDERS)
        if self._helper is None or shutil.which("apt-get") is None or shutil.which("apt-cache") is None:
            raise HostError(f"no apt on this machine to fetch {suite} packages with; {_WITHOUT_APT}")
        with host_errors(root):
            for folder in ("empty", "state/lists/partial", "cache/archives/partial"):
                (root / folder).mkdir(parents=True, exist_ok=True)
            (root / "status").touch()
            text = _CONFIGURATION.format(root=root) + ('APT::Sandbox::User "root";\n' if os.geteuid() == 0 else "")
            (root / "apt.conf").write_text(text, encoding="utf-8")

    def newest(self, pattern: str, progress: Progress) -> Package:
        """Update the index and find the newest package whose name matches.

        Args:
            pattern: Glob over package names.
            progress: Progress callback while the index is read.

        Raises:
            HostError: No archive could be reached, or none has such a package.
        """
        archives = debian_archives(self._etc_apt)
        if not archives:
            raise HostError(f"this machine's apt sources name no Debian archive; {_WITHOUT_APT}")
        progress(f"index of {self._suite}", 0, 0)
        failures: list[HostError] = []
        for archive in archives:
            try:
                self._update(archive)
                return self._resolve(pattern)
            except HostError as error:
                failures.append(error)
        raise failures[0]

    def download(self, package: Package, folder: Path, progress: Progress) -> Path:
        """Download a package, going on where an earlier attempt stopped if the server allows that.

        Args:
            package: As :meth:`newest` found it.
            folder: Holds the package and what there is of it so far.
            progress: Progress callback: bytes received so far.

        Returns:
            The ``.deb``; its size and SHA-256 are those of the signed index.

        Raises:
            HostError: The download failed; what came is kept for the next attempt.
        """
        target = folder / "package.deb"
        with host_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        what = f"download {package.name} {package.version}"
        if not _is_package(target, package):
            words = self._run("apt-get", "-qq", "download", "--print-uris", f"{package.name}={package.version}").split()
            if not words:
                raise HostError(f"{what}: apt knows no address for it")
            command = [str(self._helper), f"-c={self._root / 'apt.conf'}", "-q", "download-file"]
            self._watch([*command, words[0].strip("'"), str(target), f"SHA256:{package.sha256}"], target, package, what,
                        progress)  # fmt: skip
            if not _is_package(target, package):
                target.unlink(missing_ok=True)
                raise HostError(f"{what}: the download does not match the archive's checksum; it was removed")
        progress(what, package.size, package.size)
        return target

    def tidy(self) -> None:
        """Drop apt's own cache, tens of MB that it makes anew in a second; the lists stay."""
        for path in (self._root / "cache").glob("*.bin*"):
            path.unlink(missing_ok=True)

    def _update(self, archive: Archive) -> None:
        with host_errors(self._root):
            line = source_line(archive, self._suite, self._root) + "\n"
            (self._root / "sources.list").write_text(line, encoding="utf-8")
        try:
            self._run("apt-get", "-q", "update")
        except HostError as error:
            raise HostError(f"Debian's archive cannot be used ({error}); {_WITHOUT_APT}") from error

    def _resolve(self, pattern: str) -> Package:
        prefix = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
        names = [name for name in self._run("apt-cache", "pkgnames", prefix).split() if fnmatchcase(name, pattern)]
        found = list(_packages(self._run("apt-cache", "--no-all-versions", "show", *names))) if names else []
        if not found:
            raise HostError(f"the archive's suite {self._suite} has no package {pattern}")
        return max(found, key=lambda package: (version_key(package.version), version_key(package.name)))

    def _run(self, tool: str, *arguments: str) -> str:
        command = [tool, f"-c={self._root / 'apt.conf'}", *arguments]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=_environment(),
            pass_fds=self._keep_open, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise HostError(f"{tool}: {_why(done.stderr)}")
        return done.stdout

    def _watch(self, command: list[str], target: Path, package: Package, what: str, progress: Progress) -> None:
        """Run a download, reporting the growth of its file; an interrupt stops it and keeps what came."""
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            errors="replace", env=_environment(), pass_fds=self._keep_open, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                while True:
                    try:
                        errors = process.communicate(timeout=POLL_SECONDS)[1]
                        break
                    except subprocess.TimeoutExpired:
                        progress(what, _size_of(target), package.size)
            except BaseException:
                _stop(process)
                raise
            if process.returncode != 0:
                raise HostError(f"{what}: {_why(errors)}")


_WITHOUT_APT: Final = "give files of your own, or a package you have: tdvfsh images fetch NAME --deb FILE"


def _packages(text: str) -> Iterator[Package]:
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Size|SHA256): (\S+)$", stanza, re.MULTILINE))
        if len(fields) == 4 and fields["Size"].isdecimal():
            yield Package(fields["Package"], fields["Version"], int(fields["Size"]), fields["SHA256"])


def _is_package(path: Path, package: Package) -> bool:
    with host_errors(path):
        return path.is_file() and path.stat().st_size == package.size and sha256_of(path) == package.sha256


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _stop(process: subprocess.Popen[str]) -> None:
    """Interrupt apt and its transports alike: they are a process group of their own."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
        return


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "LANGUAGE": "C"}


def _why(errors: str) -> str:
    """The first thing apt complains of, without its mark, in one line."""
    lines = [line[3:] for mark in ("E: ", "W: ") for line in errors.splitlines() if line.startswith(mark)]
    why = lines[0] if lines else (errors.strip().splitlines() or ["no reason given"])[-1]
    return " ".join("".join(letter if letter.isprintable() else " " for letter in why).split())
