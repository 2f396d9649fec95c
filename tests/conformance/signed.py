"""``python -m tests.conformance.signed [FILE...]``: our verdicts on signed files beside osslsigncode's and sbverify's.

Without files: every signed EFI file of the catalogue that is there. Of each, both tools must compute the hash that we
do and name the signers that we do, and the signature must verify with its own certificate and with no other's. A tool
that is not on this host, or does not read a file, is named and skipped: osslsigncode 2.5 takes no two signatures.
"""

from __future__ import annotations

import argparse
import base64
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tdvfsh.formats.mapped import open_mapped
from tdvfsh.formats.pe.authenticode import authenticode_hash, certificate_table
from tdvfsh.formats.pe.image import PeImage
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.formats.pe.pkcs7 import Authenticode, read_authenticode, stands_above
from tdvfsh.images.catalogue import catalogue
from tdvfsh.images.fetch import fetched
from tests.conformance.tally import Tally

_HASHES: Final = re.compile(r"(?:Current|Calculated) message digest\s*:\s*([0-9A-F]+)")
_SUBJECT: Final = re.compile(r"- subject: (?:.*/)?(?:CN|O)=([^/\n]+)")
_PEM: Final = "-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where a verdict differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.signed", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="signed EFI files; the catalogue's without")
    files = parser.parse_args(arguments).files or list(_catalogue())
    different = 0
    other = None
    for path in files:
        tally = Tally(path.name if path.parent == Path() else f"{path.parent.name}/{path.name}")
        own = compare(path, tally, other)
        other = own or other
        tally.print(verbose=True)
        different += len(tally.differences)
    return 1 if different else 0


def _catalogue() -> Iterator[Path]:
    for entry in catalogue().values():
        image = fetched(entry.name)
        for path in () if image is None else image.files.values():
            with open_mapped(path) as mapped:
                pe = parse_pe(mapped.view)
                if isinstance(pe, PeImage) and certificate_table(pe, mapped.view) is not None:
                    yield Path(path)


def compare(path: Path, tally: Tally, other: bytes | None) -> bytes | None:
    """Hold one file against both tools; returns a certificate that signed it.

    Args:
        path: The file.
        tally: Counts.
        other: A certificate that did not sign it, or None.
    """
    with open_mapped(path) as mapped:
        pe = parse_pe(mapped.view)
        table = None if not isinstance(pe, PeImage) else certificate_table(pe, mapped.view)
        if table is None or not isinstance(pe, PeImage):
            tally.compare(1, "a signed PE image", "another file")
            return None
        digest = authenticode_hash(pe, mapped.view)
        found = [one for one in map(read_authenticode, table.signed) if one is not None]
    for number, one in enumerate(found, 1):
        tally.compare(number, digest, one.digest)
        tally.compare(number, True, one.intact)
    _osslsigncode(path, tally, digest or b"", len(table.signed))
    _sbverify(path, tally, found, other)
    return found[0].chain[0] if found else None


def _osslsigncode(path: Path, tally: Tally, digest: bytes, signatures: int) -> None:
    tool = shutil.which("osslsigncode")
    if tool is None or signatures > 1:
        tally.skip("osslsigncode is not on this host" if tool is None else "osslsigncode and two signatures")
        return
    said = subprocess.run([tool, "verify", "-in", str(path)], capture_output=True, text=True, timeout=60).stdout
    hashes = set(_HASHES.findall(said))
    tally.compare(1, {digest.hex().upper()}, hashes)


def _sbverify(path: Path, tally: Tally, found: list[Authenticode], other: bytes | None) -> None:
    tool = shutil.which("sbverify")
    if tool is None:
        tally.skip("sbverify is not on this host")
        return
    said = subprocess.run([tool, "--list", str(path)], capture_output=True, text=True, timeout=60).stdout
    subjects = [line.strip() for line in _SUBJECT.findall(said)]
    for number, one in enumerate(found, 1):
        tally.compare(number, True, one.signer in subjects)
    for certificate in (*(one.chain[0] for one in found), *(() if other is None else (other,))):
        ours = any(stands_above(certificate, one.signed) for one in found)
        tally.compare(1, ours, _verifies(tool, path, certificate))


def _verifies(tool: str, path: Path, certificate: bytes) -> bool:
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(_PEM.format(base64.encodebytes(certificate).decode()))
        file.flush()
        run = subprocess.run([tool, "--cert", file.name, str(path)], capture_output=True, text=True, timeout=60)
    return run.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
