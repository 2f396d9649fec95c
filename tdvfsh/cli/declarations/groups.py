"""Arguments that several subcommands share, each declared once."""

from __future__ import annotations

import argparse

from tdvfsh.options.uses import use_of


def add_initrd(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")


def add_cmdline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cmdline", metavar="S", default="", help="kernel command line")


def add_kernel(parser: argparse.ArgumentParser, use: str) -> None:
    parser.add_argument("--kernel", metavar="K", help=use)
    add_initrd(parser)
    add_cmdline(parser)


def add_boot(parser: argparse.ArgumentParser, subcommand: str) -> None:
    optional = subcommand in ("verify", "boot")  # firmware against its model without any; --resume
    parser.add_argument("kernel", metavar="KERNEL", nargs="?" if optional else None)
    add_initrd(parser)
    cmdline = use_of(subcommand).cmdline
    shown = f" (default '{cmdline}')" if cmdline else ""
    parser.add_argument(
        "--cmdline",
        metavar="S",
        default=cmdline,
        help=f"kernel command line; 'nokaslr' fixes the kernel's place{shown}",
    )
    add_unpack_limit(parser)


def add_unpack_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--unpack-limit",
        metavar="SIZE",
        help="what an initrd may unpack to, or none (default 16G, and 1000 times its size from 1G on)",
    )


def add_fast_decompress(parser: argparse.ArgumentParser, where: str = "") -> None:
    parser.add_argument(
        "--fast-decompress", action="store_true",
        help=f"{where}let the host unpack the kernel where its stub calls a decompressor; the output names it",
    )  # fmt: skip


def add_nvram(parser: argparse.ArgumentParser, where: str = "") -> None:
    parser.add_argument(
        "--nvram", metavar="FILE",
        help=f"{where}keep non-volatile variables, date and monotonic count in FILE; it is made where it is missing",
    )  # fmt: skip


def add_firmware_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--real-code-only", action="store_true",
        help="let the host do nothing in the firmware's place: no unpacking, no REP MOVS and STOS; takes much longer",
    )  # fmt: skip
    parser.add_argument("--time-limit", metavar="S", help="abort the run after S seconds")


def add_run_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--violation", choices=("stop", "ve"), default="stop",
        help="touching unaccepted memory stops the run, or raises #VE in the guest (default stop)",
    )  # fmt: skip
    parser.add_argument("--time-limit", metavar="S", help="abort a run after S seconds")


def add_debugger(parser: argparse.ArgumentParser, where: str = "") -> None:
    parser.add_argument(
        "--gdb", metavar="[HOST:]PORT|unix:PATH",
        help=f"{where}halt before the first instruction and wait for gdb there, on 127.0.0.1 without HOST",
    )  # fmt: skip
    parser.add_argument(
        "--break", metavar="PLACE", action="append",
        help=f"{where}report when code at a symbol, an address or service:NAME runs, or accept:ADDR is accepted",
    )  # fmt: skip
    parser.add_argument(
        "--trace-instructions", metavar="FILE", help="with --break: write every instruction from the first stop on to "
        "the next one",
    )  # fmt: skip
    parser.add_argument(
        "--on-stop", choices=("report", "prompt"), default="report",
        help=f"{where}prompt reads commands from standard input at each stop ('help' lists them; default report)",
    )  # fmt: skip


def add_disks(parser: argparse.ArgumentParser, commit: bool = True) -> None:
    parser.add_argument(
        "--disk", metavar="FILE[,rw]", action="append",
        help="a disk image, raw or qcow2, a virtio block device: read-only, or with ,rw writes go to memory",
    )  # fmt: skip
    if commit:
        parser.add_argument(
            "--commit", action="store_true", help="write what the guest wrote into the images at the end"
        )
    parser.add_argument(
        "--rng", action="store_true", help="a virtio entropy device, whose bytes are the same in every run"
    )
    if commit:
        parser.add_argument(
            "--virtio-console", action="store_true",
            help="a virtio console (hvc0), which is shown beside the serial port and typed at with --console",
        )  # fmt: skip
        parser.add_argument(
            "--share", metavar="FOLDER[,rw]",
            help="a folder that Linux mounts by 'mount -t virtiofs share /mnt': read-only, or with ,rw written to",
        )  # fmt: skip
        parser.add_argument(
            "--net", choices=("user",),
            help="a virtio network card with DHCP, whose gateway 10.0.2.2 is the host's loopback (default none)",
        )  # fmt: skip


def add_saving(parser: argparse.ArgumentParser, files: str, where: str = "") -> None:
    parser.add_argument(
        "--save", metavar="FILE",
        help=f"{where}save the machine where --until, the end of the input, --time-limit or Ctrl-C ends the run, to go "
        "on from there; not with --commit, --nvram, --share and --net",
    )  # fmt: skip
    parser.add_argument(
        "--resume", metavar="FILE", help=f"continue a machine that --save wrote, with its {files} and disks"
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", metavar="N", help="processes on this host (default: one a CPU)")
    parser.add_argument("--cluster", metavar="ADDRESS", help="a Dask scheduler, such as tcp://10.0.0.1:8786")
