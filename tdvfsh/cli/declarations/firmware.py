"""Arguments of the subcommands that run or measure real firmware."""

from __future__ import annotations

import argparse

from tdvfsh.cli.declarations.groups import add_debugger, add_disks, add_firmware_limits, add_kernel, add_saving


def declare_firmware_accepts(parser: argparse.ArgumentParser) -> None:
    _firmware_file(parser)
    parser.add_argument("-o", dest="output", metavar="FILE.tsv", help="write every call to this file")
    parser.add_argument("--model", action="store_true", help="what the model accepts, without running the firmware")


def declare_firmware_run(parser: argparse.ArgumentParser) -> None:
    _firmware_file(parser, optional=True)
    add_debugger(parser)
    add_kernel(parser, "boot this kernel by fw_cfg, and run it on")
    parser.add_argument(
        "--console", action="store_true",
        help="type at the serial console, from the terminal (Ctrl-\\ ends) or from standard input",
    )  # fmt: skip
    parser.add_argument("--until", metavar="REGEX", help="end where a console line matches")
    add_saving(parser, "firmware, kernel")
    parser.add_argument(
        "--nvram", metavar="FILE",
        help="with --no-td: keep the firmware's variable store in FILE, as QEMU's second pflash does; it is made where "
        "it is missing",
    )  # fmt: skip
    parser.add_argument("--trace", metavar="FILE", help="write the journal, as JSON Lines, which 'report' draws")
    parser.add_argument(
        "--quote-key", metavar="FILE",
        help="answer GetQuote with quotes signed by this key, which 'measure --make-test-key' made",
    )  # fmt: skip
    add_disks(parser)


def declare_firmware_record(parser: argparse.ArgumentParser) -> None:
    _firmware_file(parser)
    add_kernel(parser, "record the boot of this kernel (default a made one)")
    parser.add_argument("-o", dest="output", metavar="MODEL.toml", required=True, help="where the model goes")


def declare_measure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FIRMWARE", nargs="?", help="OVMF.fd, OVMF.inteltdx.fd, OVMF_CODE.fd, a td-shim image"
    )
    parser.add_argument(
        "--make-test-key", metavar="FILE", help="make keys for 'firmware run --quote-key': quotes that are not Intel's"
    )
    add_kernel(parser, "boot this kernel by fw_cfg, up to ExitBootServices")
    parser.add_argument("--vars", metavar="FILE", help="variable store that FIRMWARE, which has none, is joined to")
    parser.add_argument("--run", action="store_true", help="run the firmware without a kernel, too, as --json does")
    parser.add_argument("--no-run", action="store_true", help="MRTD only")
    parser.add_argument("--log", metavar="FILE", help="write the event log (CCEL) as it lies in the guest's memory")
    parser.add_argument(
        "--expect", metavar="FILE.json",
        help="exit status 1, and what differs, where the measurements are not those of this file",
    )  # fmt: skip
    parser.add_argument(
        "--acpi", metavar="FILE|DIR",
        help="ACPI tables of a real VMM: its fw_cfg file etc/acpi/tables, or a folder with it, rsdp and table-loader",
    )  # fmt: skip
    parser.add_argument(
        "--add-order", choices=("page", "section"), default="page",
        help="the VMM extends each page as it adds it (Linux 6.16, the default), or after all pages of a section",
    )  # fmt: skip
    parser.add_argument(
        "--kernel-header", choices=("kept", "patched"), default="kept",
        help="QEMU before 10.2 writes into the kernel's setup header: patched (default kept)",
    )  # fmt: skip
    add_firmware_limits(parser)


def _firmware_file(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    parser.add_argument(
        "file", metavar="FILE", nargs="?" if optional else None, help="firmware, such as OVMF.fd or OVMF.inteltdx.fd"
    )
    add_firmware_limits(parser)
