"""Linux in a TD with a virtio console, a shared folder and a network: typed at, read, written and reached."""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tdvfsh.cli.main import main
from tests.engine.runs.test_real_disk import disk  # noqa: F401 (a fixture)
from tests.engine.runs.test_real_programs import image

pytestmark = [pytest.mark.images, pytest.mark.xdist_group("real firmware")]
SESSION = """\
tty; mount -t virtiofs share /mnt; md5sum < /mnt/sub/data; cat /mnt/out; ls /mnt; echo written > /mnt/sub/new
ln -s /etc/passwd /mnt/link; mv /mnt/sub/new /mnt/moved; umount /mnt
ifconfig eth0 10.0.2.15; ping -c 1 10.0.2.2 | grep received; wget -q -O - http://10.0.2.2:{port}/data | md5sum
nslookup debian.org 10.0.2.3 | grep REFUSED; grep -c PCI-MSIX /proc/interrupts; poweroff -f
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is shared, with a link that leads out of it."""
    (tmp_path / "secret").write_text("secret")
    shared = tmp_path / "shared"
    (shared / "sub").mkdir(parents=True)
    (shared / "sub" / "data").write_bytes(os.urandom(300_000))
    (shared / "out").symlink_to("../secret")
    return shared


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    """A port of the loopback, where the data is served."""
    handler = partial(_Silent, directory=str(folder / "sub"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *words: object) -> None:
        """Nothing."""


@pytest.mark.skipif(find_library("slirp") is None, reason="needs Debian's libslirp0")
@pytest.mark.parametrize("machine", [[], ["--no-td"]])
def test_linux_uses_console_folder_and_network(
    machine: list[str],
    disk: tuple[Path, Path],  # noqa: F811
    folder: Path,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    session = SESSION.format(port=port)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(session.encode())))
    devices = ["--virtio-console", "--share", f"{folder},rw", "--net", "user", "--disk", str(disk[0])]
    words = ["--initrd", str(disk[1]), "--memory", "1G", "--console", *devices, *machine]
    cmdline = "root=/dev/vda2 console=hvc0 quiet"
    options = ["--engine", "cpu", "--through-os", "--fast-decompress", "--time-limit", "300", "--cmdline", cmdline]
    assert main(["boot", str(image("disk-kernel-6.12", "kernel")), *words, *options]) == 0
    shown = capfd.readouterr()
    console = shown.err
    assert re.search(r"^/dev/hvc0\r?$", console, re.M)
    digest = hashlib.md5((folder / "sub" / "data").read_bytes()).hexdigest()
    assert re.findall(r"^([0-9a-f]{32})  -", console, re.M) == [digest, digest]
    assert "can't open '/mnt/out'" in console
    assert re.search(r"^out +sub\r?$", console, re.M)
    assert (folder / "moved").read_text() == "written\n"
    assert not (folder / "link").is_symlink()
    assert "1 packets received" in console
    assert "REFUSED" in console.rpartition("nslookup")[2]
    assert re.search(r"^[1-9][0-9]*\r?$", console, re.M)
    assert "in private memory" not in shown.out + console
    assert "virtio network: a request to a domain name server" in shown.out.replace("\n          ", " ")
    assert "a change that a shared folder does not allow × 1" in shown.out.replace("\n          ", " ")
