"""``python -m tests.conformance.guest_quote KERNEL MODULES BUSYBOX``: an unmodified guest asks for its own quote.

Run by hand, since it needs the modules of a kernel and a static BusyBox, from Debian's packages ``linux-image-*-cloud``
and ``busybox-static``: ``MODULES`` is the folder ``lib/modules/VERSION`` of the former. The guest loads ``tdx-guest``,
makes a report below ``/sys/kernel/config/tsm/report`` and prints the quote, whose registers must be those that
``tdvfsh measure`` has for the same files. Takes a minute. ``docs/measure.md`` has the last run.
"""

from __future__ import annotations

import base64
import lzma
import re
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.console.serial_input import LinesAtPrompts
from tdvfsh.engine.firmware.image import open_firmware
from tdvfsh.engine.firmware.measure import measure_td
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.images.fetch import fetch
from tdvfsh.images.newc import NewcMember, newc_archive
from tdvfsh.machine.options import TdOptions
from tdvfsh.measure.quote_key import make_quote_key, read_quote_key

_SECONDS: Final = 900
_MODULES: Final = (
    "fs/configfs/configfs.ko.xz", "drivers/virt/coco/tsm.ko.xz", "drivers/virt/coco/tdx-guest/tdx-guest.ko.xz",
)  # fmt: skip
_CMDLINE: Final = "console=ttyS0 quiet"
_REPORT: Final = "/sys/kernel/config/tsm/report/r"
_INIT: Final = f"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs none /dev
$b mount -t sysfs none /sys
for module in configfs tsm tdx-guest; do $b insmod /$module.ko; done
$b mount -t configfs none /sys/kernel/config
$b mkdir {_REPORT}
echo 'tdvfsh asks for a quote: this text stands in it, padded to 64 bytes' | $b head -c 64 > {_REPORT}/inblob
echo BEGIN-QUOTE
$b base64 {_REPORT}/outblob
echo END-QUOTE
$b poweroff -f
"""
_QUOTE: Final = re.compile(rb"BEGIN-QUOTE\r?\n(.*?)END-QUOTE", re.DOTALL)
_BODY: Final = 48
_MRTD: Final = slice(_BODY + 136, _BODY + 184)
_RTMRS: Final = _BODY + 328


def initrd(modules: Path, busybox: Path) -> bytes:
    """The initrd: BusyBox, three modules, and a script."""
    members = [NewcMember(name, stat.S_IFDIR | 0o755) for name in (b"dev", b"sys", b"bin")]
    members.append(NewcMember(b"dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    members.append(NewcMember(b"bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()))
    for name in _MODULES:
        data = lzma.decompress((modules / "kernel" / name).read_bytes())
        members.append(NewcMember(Path(name).name.removesuffix(".xz").encode(), stat.S_IFREG | 0o644, data))
    members.append(NewcMember(b"init", stat.S_IFREG | 0o755, _INIT.encode()))
    return newc_archive(members)


def main() -> int:
    """Run it; exit status 1 where the guest has other registers."""
    if len(sys.argv) != 4:
        print(__doc__)
        return 2
    kernel, modules, busybox = map(Path, sys.argv[1:])
    firmware, options = fetch("ovmf-2025.02").files["firmware"], TdOptions(memory="2G")
    console = bytearray()
    with tempfile.TemporaryDirectory() as folder:
        archive, key = Path(folder) / "initrd", Path(folder) / "key.pem"
        archive.write_bytes(initrd(modules, busybox))
        key.write_bytes(make_quote_key())
        with open_boot_files(kernel, [archive], _CMDLINE) as opened:
            measured = measure_td(firmware, options, opened.boot, time_limit=_SECONDS)
            with (
                open_firmware(firmware) as image,
                RunLimit(_SECONDS) as limit,
                FirmwareRun(
                    image, options, opened.boot, output=console.extend, typed=LinesAtPrompts(""), limit=limit,
                    quote_signer=read_quote_key(str(key)),
                ) as run,
            ):  # fmt: skip
                outcome = run.run_to_end()
    found = _QUOTE.search(bytes(console))
    if found is None:
        print(bytes(console).decode("utf-8", "replace"), outcome.why, sep="\n")
        return 1
    quote = base64.b64decode(found[1])
    registers = [quote[_MRTD], *(quote[_RTMRS + 48 * number :][:48] for number in range(4))]
    wanted = [measured.build.mrtd, *measured.rtmrs]
    for name, value, other in zip(("MRTD", "RTMR0", "RTMR1", "RTMR2", "RTMR3"), registers, wanted, strict=True):
        print(f"{name:<5} {value.hex()} {'as measured' if value == other else 'NOT ' + other.hex()}")
    print(f"quote of {len(quote):,} bytes; {outcome.why}")
    return 0 if registers == wanted else 1


if __name__ == "__main__":
    sys.exit(main())
