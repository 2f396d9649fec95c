"""Downloads that stop half-way, and processes that meet in the cache."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tdvfsh.images import cache
from tdvfsh.images.fetch import fetch, fetched
from tests.images.conftest import LocalArchive
from tests.images.packages import deb_of

CONTENT = random.Random(1).randbytes(3_000_000)
FIRST_PART = 1_000_000


class Server:
    """An archive over HTTP on this machine that stalls in the first download of a package."""

    def __init__(self, root: Path) -> None:
        self.ranges: list[str | None] = []
        self.go_on = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = root.parent / self.path.lstrip("/")
                if not path.is_file():
                    self.send_error(404)
                    return
                content, start = path.read_bytes(), 0
                wanted = self.headers.get("Range")
                is_package = path.suffix == ".deb"
                if is_package:
                    server.ranges.append(wanted)
                if wanted is not None:
                    start = int(wanted.removeprefix("bytes=").rstrip("-"))
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                else:
                    self.send_response(200)
                self.send_header("Last-Modified", formatdate(1_000_000_000, usegmt=True))
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                if is_package and wanted is None and not server.go_on.is_set():
                    self.wfile.write(content[:FIRST_PART])
                    self.wfile.flush()
                    server.go_on.wait(30)
                    return
                self.wfile.write(content[start:])

            def log_message(self, format: str, *args: object) -> None:
                pass

        class QuietServer(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """Clients of these tests hang up on purpose."""

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}/debian"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(archive: LocalArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    configuration = tmp_path / "apt.conf"
    configuration.write_text('Acquire::http::Proxy::127.0.0.1 "DIRECT";\n')
    monkeypatch.setenv("APT_CONFIG", str(configuration))
    deb = deb_of({"usr/share/efi-shell-x64/shellx64.efi": CONTENT}, package="efi-shell-x64", version="1", suffix="")
    archive.publish("trixie", {("efi-shell-x64", "1"): deb})
    running = Server(archive.root)
    archive.point_at(running.uri)
    yield running
    running.close()


def interrupt_at_half(what: str, done: int, total: int) -> None:
    if what.startswith("download") and done >= FIRST_PART // 2:
        raise KeyboardInterrupt


def test_an_interrupted_download_leaves_a_clean_cache_and_goes_on_where_it_stopped(
    archive: LocalArchive, server: Server, private_cache: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch("shell", interrupt_at_half, etc_apt=archive.etc_apt)
    server.go_on.set()
    assert fetched("shell") is None
    assert not private_cache.exists()
    (partial,) = (private_cache.parent / "staging" / "downloads").glob("*/package.deb")
    had = partial.stat().st_size
    assert had >= FIRST_PART // 2
    image = fetch("shell", etc_apt=archive.etc_apt)
    assert image.files["efi"].read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={had}-"]


def test_a_partial_file_of_an_older_version_is_not_mixed_into_a_newer_one(
    archive: LocalArchive, server: Server, private_cache: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch("shell", interrupt_at_half, etc_apt=archive.etc_apt)
    server.go_on.set()
    newer = deb_of({"usr/share/efi-shell-x64/shellx64.efi": b"new"}, package="efi-shell-x64", version="2")
    archive.publish("trixie", {("efi-shell-x64", "2"): newer})
    assert fetch("shell", etc_apt=archive.etc_apt).files["efi"].read_bytes() == b"new"
    assert server.ranges == [None, None]
    assert not list((private_cache.parent / "staging" / "downloads").iterdir())


def test_two_processes_that_fetch_the_same_image_make_one_download(archive: LocalArchive, server: Server) -> None:
    server.go_on.set()
    code = (
        "import sys; from pathlib import Path; from tdvfsh.images.fetch import fetch\n"
        "print(fetch('shell', etc_apt=Path(sys.argv[1])).sha256['efi'])\n"
    )
    command = [sys.executable, "-c", code, str(archive.etc_apt)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = {process.communicate(timeout=60)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(outputs) == 1
    assert len(server.ranges) == 1


def test_a_fetch_waits_for_another_one_and_says_so(tmp_path: Path) -> None:
    deb = tmp_path / "a.deb"
    deb.write_bytes(deb_of({"usr/share/efi-shell-x64/shellx64.efi": b"MZ"}, package="efi-shell-x64"))
    said = threading.Event()
    steps: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        steps.append(what)
        said.set()

    with cache.locked(lambda: None):
        other = threading.Thread(target=fetch, args=("shell", progress, deb))
        other.start()
        assert said.wait(30)
        assert fetched("shell") is None
    other.join(30)
    assert steps[0] == "waiting for another fetch"
    assert fetched("shell") is not None


@pytest.mark.parametrize("before_the_second_rename", [True, False])
def test_an_entry_whose_replacement_was_killed_half_way_is_there_as_before_or_after(
    tmp_path: Path, private_cache: Path, before_the_second_rename: bool
) -> None:
    packages = {
        version: deb_of({"usr/share/efi-shell-x64/shellx64.efi": b"MZ" + version.encode()}, "efi-shell-x64", version)
        for version in "12"
    }
    for version, content in packages.items():
        (tmp_path / f"{version}.deb").write_bytes(content)
    assert fetch("shell", deb=tmp_path / "1.deb").version == "1"
    code = (
        "import os, signal, sys; from pathlib import Path; from tdvfsh.images import cache\n"
        "from tdvfsh.images.fetch import fetch\n"
        "real, seen = Path.rename, []\n"
        "def rename(self, target):\n"
        "    if not seen or not int(sys.argv[2]): seen.append(real(self, target))\n"
        "    if len(seen) == 2 - int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "Path.rename = rename\n"
        "fetch('shell', deb=Path(sys.argv[1]))\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "2.deb"), str(int(before_the_second_rename))]
    assert subprocess.run(words, check=False, timeout=60).returncode == -9
    image = fetched("shell")
    assert image is not None
    assert image.version == ("1" if before_the_second_rename else "2")
    with cache.locked(lambda: None):
        assert not list((private_cache.parent / "staging").glob("*-*"))
