"""Arguments of the subcommands that boot in the model, or run what was booted."""

from __future__ import annotations

import argparse

from tdvfsh.cli.declarations.groups import (
    add_boot,
    add_cmdline,
    add_debugger,
    add_disks,
    add_fast_decompress,
    add_initrd,
    add_nvram,
    add_run_limits,
    add_saving,
    add_workers,
)


def declare_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--offline", action="store_true", help="fetch nothing: take what is here, or made images")
    parser.add_argument("--cast", metavar="FILE", help="write an asciicast of it")


def declare_boot(parser: argparse.ArgumentParser) -> None:
    add_boot(parser, "boot")
    parser.add_argument("--trace", metavar="FILE", help="write the journal, as JSON Lines")
    _add_engine(parser)
    add_saving(parser, "kernel", "with --through-os: ")
    add_disks(parser)


def declare_lazy(parser: argparse.ArgumentParser) -> None:
    add_boot(parser, "lazy")
    parser.add_argument("--until", metavar="REGEX", help="end each run where a console line matches")
    parser.add_argument("--time-limit", metavar="S", help="abort each run after S seconds")
    add_fast_decompress(parser)
    add_disks(parser, commit=False)
    parser.add_argument(
        "--run", metavar="COMMAND",
        help="type this at the prompt on the serial port (logged in as root where it asks), then ask the kernel what "
        "is left unaccepted, and end",
    )  # fmt: skip
    parser.add_argument(
        "--timeline", action="store_true", help="print what was accepted over virtual time too, by whom and by vCPU"
    )
    parser.add_argument(
        "-o", dest="output", metavar="FILE.svg", help="draw that, as .svg, or as .png with the 'report' extra"
    )


def declare_compare(parser: argparse.ArgumentParser) -> None:
    add_boot(parser, "compare")
    parser.add_argument("--sfo", action="store_true", help="print rows that the shell's parse reads")


def declare_explain(parser: argparse.ArgumentParser) -> None:
    add_boot(parser, "explain")


def declare_ladder(parser: argparse.ArgumentParser) -> None:
    add_boot(parser, "ladder")
    parser.add_argument("--step", metavar="SIZE", default="1M", help="granularity (default 1M)")


def declare_plot(parser: argparse.ArgumentParser) -> None:
    add_boot(parser, "plot")
    parser.add_argument("--over", metavar="WHAT", default="initrd", help="initrd (the default) or accept")
    parser.add_argument("--from", dest="first", metavar="SIZE", default="0", help="first size (default 0)")
    parser.add_argument("--to", dest="last", metavar="SIZE", default="600M", help="last size (default 600M)")
    parser.add_argument("--step", metavar="SIZE", default="10M", help="size of a column (default 10M)")


def declare_verify(parser: argparse.ArgumentParser) -> None:
    add_boot(parser, "verify")
    parser.add_argument(
        "--fast-decompress", action="store_true",
        help="run the stub a second time with the host unpacking the kernel, and compare that run with the first",
    )  # fmt: skip
    add_run_limits(parser)


def declare_exec(parser: argparse.ArgumentParser) -> None:
    add_run_limits(parser)
    add_debugger(parser)
    parser.add_argument("--trace", metavar="FILE", help="write the journal, as JSON Lines")
    add_nvram(parser)
    parser.add_argument(
        "--reset", metavar="ACTION", choices=("end", "restart"), default="end",
        help="what ResetSystem does: end the run, or start the machine and the program again, as real machines do; "
        "EfiResetShutdown always ends it (end, restart; default end)",
    )  # fmt: skip
    parser.add_argument(
        "--drivers", metavar="FIRMWARE",
        help="start the disk drivers of this firmware first (DiskIoDxe, PartitionDxe, Fat), such as 'ovmf': partitions "
        "and FAT volumes of a disk image that --fsN names are found as on a real machine",
    )  # fmt: skip
    parser.add_argument("image", metavar="IMAGE.efi")
    parser.add_argument("arguments", metavar="ARG", nargs=argparse.REMAINDER, help="its load options")


def declare_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="TRACE|KERNEL", help="what 'boot --trace' wrote, or a kernel to boot")
    add_initrd(parser)
    add_cmdline(parser)
    parser.add_argument("-o", dest="out", metavar="FILE", default="report.html", help="FILE.html or FILE.svg")
    parser.add_argument("--no-compare", action="store_true", help="leave the other policies out of the page")


def declare_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC.toml", nargs="?", help="images and grids; without it DIR is only read")
    parser.add_argument("-o", dest="output", metavar="DIR", help="folder of the results; a killed sweep continues")
    parser.add_argument("--check", dest="baseline", metavar="BASELINE", help="results to compare DIR's with")
    parser.add_argument("--plot", metavar="FORMAT", action="append", help="draw DIR's results: svg, html, png")
    parser.add_argument("--yes", action="store_true", help="run a spec of more than ten million scenarios, too")
    add_workers(parser)


def declare_advise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kernel", metavar="KERNEL|SPEC.toml", nargs="?", help="a kernel, or a spec for a whole fleet")
    add_initrd(parser)
    parser.add_argument("--pair", metavar="KERNEL,INITRD", action="append", help="one more image for the table")
    add_cmdline(parser)
    parser.add_argument("--step", metavar="SIZE", default="1M", help="granularity (default 1M)")
    parser.add_argument(
        "--headroom",
        metavar="PERCENT",
        default="10%",
        help="accept so much more than the least that boots (default 10%%)",
    )
    add_workers(parser)


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine", choices=("model", "cpu"), default="model", help="cpu runs the kernel's real stub (default model)"
    )
    parser.add_argument("--grub", metavar="grubx64.efi", help="with --engine cpu: boot by this real GRUB")
    parser.add_argument(
        "--through-os", action="store_true",
        help="with --engine cpu: run the kernel on, its serial console on standard error, and account for its accepts",
    )  # fmt: skip
    parser.add_argument(
        "--console", action="store_true",
        help="with --through-os: type at the serial console, from the terminal (Ctrl-\\ ends) or from standard input",
    )  # fmt: skip
    parser.add_argument("--until", metavar="REGEX", help="with --through-os: end where a console line matches")
    parser.add_argument(
        "--drop-accept", metavar="N",
        help="with --through-os: answer the kernel's N-th page accept without doing it",
    )  # fmt: skip
    add_nvram(parser, "with --engine cpu: ")
    add_fast_decompress(parser, "with --engine cpu: ")
    add_run_limits(parser)
    add_debugger(parser, "with --engine cpu: ")
