"""One kernel and initrd under each accept option: whether it boots, and what was accepted on demand.

    python scripts/who_accepts.py [KERNEL INITRD]

Without files, made ones of the sizes of Debian 13's installer are booted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tdvfsh import TdvfshError, boot, human_size, open_boot_files, td_options
from tdvfsh.images.stand_in import stand_in_pair

OPTIONS = ("none", "allocator", "loader-literal", "loader", "service")


def tell(kernel: Path, initrd: Path) -> None:
    """Boot once for each option."""
    with open_boot_files(kernel, [initrd], "nokaslr") as files:
        for name in OPTIONS:
            result = boot(td_options(memory="2G", accept="240M", on_demand=name), files.boot)
            outcome = "boots" if result.booted else f"{result.status.name} at {result.stage}"
            print(f"{name:<15} {outcome:<40} {human_size(result.on_demand_bytes):>10} on demand")


def main(words: list[str]) -> int:
    """The command line."""
    try:
        if len(words) == 2:
            tell(Path(words[0]), Path(words[1]))
        else:
            with TemporaryDirectory() as folder:
                pair = stand_in_pair(Path(folder))
                tell(Path(pair.kernel), Path(pair.initrd))
    except TdvfshError as error:
        print(f"who_accepts: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
