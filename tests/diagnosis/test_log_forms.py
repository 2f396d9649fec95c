"""Logs in the forms in which users have them: each says the same."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sys
from collections.abc import Callable
from typing import Final

import pytest
import zstandard

from tdvfsh.cli.main import main
from tdvfsh.diagnosis.boot_log import read_boot_log
from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import ByteSource
from tests.diagnosis.test_boot_log import TD_LOG

STAMPED: Final = TD_LOG.splitlines()
BARE: Final = [line[15:] for line in STAMPED]


def stamped(form: str) -> bytes:
    """Each line without its own time stamp, in ``form``."""
    return "\n".join(form.format(line) for line in BARE).encode()


FORMS: Final[dict[str, bytes]] = {
    "dmesg -T": stamped("[Mon Nov 30 12:00:00 2026] {}"),
    "dmesg -x": stamped("kern  :info  : [    0.000000] {}"),
    "dmesg -r": stamped("<6>[    0.000000] {}"),
    "dmesg in colour": stamped("\x1b[32m[    0.000000] \x1b[0m\x1b[33m{}\x1b[0m"),
    "dmesg --time-format iso": stamped("2026-11-30T12:00:00,000000+00:00 {}"),
    "with a caller": stamped("[    0.000000][    T0] {}"),
    "/dev/kmsg": stamped("6,1,0,-;{}"),
    "journalctl": stamped("Nov 30 12:00:00 td-1 kernel: {}"),
    "journalctl -o short-iso": stamped("2026-11-30T12:00:00+0000 td-1 kernel: {}"),
    "journalctl -o short-full": stamped("Mon 2026-11-30 12:00:00 UTC td-1 kernel: {}"),
    "journalctl -o json": "\n".join(json.dumps({"MESSAGE": line, "PRIORITY": "6"}) for line in BARE).encode(),
    "journalctl -o export": stamped("__CURSOR=s=1\nMESSAGE={}\n"),
    "syslog": stamped("Nov 30 12:00:00 td-1 kernel: [    0.000000] {}"),
    "kata": stamped('time="2026-11-30T12:00:00Z" level=debug name=shim vmconsole="[    0.000000] {}"'),
    "kubernetes": stamped("2026-11-30T12:00:00.000000000Z stdout F [    0.000000] {}"),
    "a mail's reply": "\n".join(f"> {line}" for line in STAMPED).encode(),
    "an issue on GitHub": "\n".join(
        ["Here it is:", "```console", "$ sudo dmesg", *STAMPED[:3], "...", "[…]", *STAMPED[3:], "```", "Thanks"]
    ).encode(),
    "copied from a browser": "\n".join(STAMPED).replace(" ", "\u00a0").encode(),
    "Windows": "\r\n".join(STAMPED).encode(),
    "a serial console of Windows": "\n\r".join(STAMPED).encode(),
    "UTF-8 with a mark": b"\xef\xbb\xbf" + TD_LOG.encode(),
    "UTF-16": TD_LOG.encode("utf-16"),
    "UTF-16 without a mark": TD_LOG.replace("\n", "\r\n").encode("utf-16-le"),
    "UTF-16 of the other order": TD_LOG.encode("utf-16-be"),
    "UTF-16 after words in Cyrillic": ("\u0436\u0443\u0440\u043d\u0430\u043b\n" + TD_LOG).encode("utf-16-le"),
    "Latin-1": b"na\xefve\n" + TD_LOG.encode(),
    "gzip": gzip.compress(TD_LOG.encode()),
    "gzip of UTF-16": gzip.compress(TD_LOG.encode("utf-16")),
    "bzip2": bz2.compress(TD_LOG.encode()),
    "xz": lzma.compress(TD_LOG.encode()),
    "zstd": zstandard.compress(TD_LOG.encode()),
}


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)
def test_every_form_of_a_log_says_the_same(data: bytes) -> None:
    log, plain = (read_boot_log(ByteSource(each, "log")) for each in (data, TD_LOG.encode()))
    assert log.facts == plain.facts
    assert (log.kernel, log.cmdline, log.initrd) == (plain.kernel, plain.cmdline, plain.initrd)
    assert log.map == plain.map


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_packed_log_that_is_a_bomb_or_cut_short_is_refused(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(FormatError, match="unpacks to more than"):
        read_boot_log(ByteSource(pack(bytes(65 << 20)), "log"))
    with pytest.raises(FormatError, match="log"):
        read_boot_log(ByteSource(pack(TD_LOG.encode())[:-30], "log"))


def test_standard_input_is_a_log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from tdvfsh.machine import imported

    imported.standard_input.cache_clear()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FORMS["gzip"])))
    assert main(["diagnose", "-"]) == 0
    assert "standard input: 10 lines" in capsys.readouterr().out
    imported.standard_input.cache_clear()
