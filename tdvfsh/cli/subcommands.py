"""The subcommands: what each is for, and its own options. Those not asked for are never declared to argparse."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from tdvfsh.options.td import OPTIONS
from tdvfsh.options.uses import use_of

_AXES_SHOWN: Final = ("memory", "accept", "on_demand", "loader")
_MORE_AXES: Final = [name for name, option in OPTIONS.items() if option.sweep and name not in _AXES_SHOWN]
_SWEEP_EXAMPLE: Final = f"""\
tdvfsh sweep fleet.toml -o results --plot svg,html
  tdvfsh sweep fleet.toml -o new --check results    # exit status 1 where something no longer boots

a spec, here fleet.toml:
  [[image]]                     # real files
  name = "installer"
  kernel = "vmlinuz"            # or an image's name, such as "kernel-6.12"
  initrd = ["initrd.gz"]        # or {{ size = "300M" }}

  [[made]]                      # made images: every combination of sizes
  kernel_size = "12M"
  init_size = "56M"
  initrd_size = ["100M", "300M"]

  [[grid]]                      # every combination of these, for each image
  memory = ["1G", "4G"]
  accept = [{{ from = "64M", to = "1G", step = "16M" }}, "presize", "below-4g"]
  on_demand = ["none", "allocator", "service"]
  loader = ["direct", "grub2.12"]
  # also {", ".join(_MORE_AXES[:6])},
  # {", ".join(_MORE_AXES[6:])}"""


class Subcommand(NamedTuple):
    """A subcommand.

    Attributes:
        summary: What it is for, in a line of the help.
        example: How it is called.
        declare: Declares its arguments.
        td: Whether it takes the TD options.
        shell: Whether it takes the shell's options.
        actions: The actions of one that has several, by name; each has arguments of its own.
        task: The group of the help that it stands in, one of :data:`TASKS`.
        fails: What exit status 1 means, besides that the host refused; empty where it means nothing else.
        status: What the exit status is, where it is something of its own.
        alone: Whether one that has actions does something without any, too.
    """

    summary: str
    example: str
    declare: Callable[[argparse.ArgumentParser], None]
    td: bool = False
    shell: bool = False
    actions: Mapping[str, Subcommand] = MappingProxyType({})
    task: str = ""
    fails: str = ""
    status: str = ""
    alone: bool = False


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", metavar="SCRIPT.nsh", help="a file, or a script that comes with tdvfsh, such as tour")
    parser.add_argument("script_arguments", metavar="ARG", nargs=argparse.REMAINDER, help="its %%1, %%2 and so on")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--offline", action="store_true", help="fetch nothing: take what is here, or made images")
    parser.add_argument("--cast", metavar="FILE", help="write an asciicast of it")


def _booting(parser: argparse.ArgumentParser, subcommand: str, *, json: bool = True) -> None:
    optional = subcommand == "verify"  # which holds firmware against its model without any
    parser.add_argument("kernel", metavar="KERNEL", nargs="?" if optional else None)
    parser.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
    cmdline = use_of(subcommand).cmdline
    shown = f" (default '{cmdline}')" if cmdline else ""
    parser.add_argument(
        "--cmdline",
        metavar="S",
        default=cmdline,
        help=f"kernel command line; 'nokaslr' fixes the kernel's place{shown}",
    )
    if json:
        parser.add_argument("--json", action="store_true", help="print JSON")
    _add_unpack_limit(parser)


def _boot(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "boot")
    parser.add_argument("--trace", metavar="FILE", help="write the journal, as JSON Lines")
    _add_engine(parser)


def _lazy(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "lazy")
    parser.add_argument("--until", metavar="REGEX", help="end each run where a console line matches")
    parser.add_argument("--time-limit", metavar="S", help="abort each run after S seconds")
    _add_fast_decompress(parser)


def _compare(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "compare")
    parser.add_argument("--sfo", action="store_true", help="print rows that the shell's parse reads")


def _explain(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "explain", json=False)


def _diagnose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", metavar="LOG", help="what firmware, boot loader and kernel said")
    parser.add_argument("kernels", metavar="KERNEL", nargs="*", help="booted on the log's machine")
    parser.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
    parser.add_argument("--cmdline", metavar="S", default="", help="kernel command line (default: the log's)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _add_unpack_limit(parser)


def _ladder(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "ladder")
    parser.add_argument("--step", metavar="SIZE", default="1M", help="granularity (default 1M)")


def _plot(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "plot")
    parser.add_argument("--over", metavar="WHAT", default="initrd", help="initrd (the default) or accept")
    parser.add_argument("--from", dest="first", metavar="SIZE", default="0", help="first size (default 0)")
    parser.add_argument("--to", dest="last", metavar="SIZE", default="600M", help="last size (default 600M)")
    parser.add_argument("--step", metavar="SIZE", default="10M", help="size of a column (default 10M)")


def _verify(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "verify")
    parser.add_argument(
        "--fast-decompress", action="store_true",
        help="run the stub a second time with the host unpacking the kernel, and compare that run with the first",
    )  # fmt: skip
    _add_run_limits(parser)


def _exec(parser: argparse.ArgumentParser) -> None:
    _add_run_limits(parser)
    _add_debugger(parser)
    parser.add_argument("--trace", metavar="FILE", help="write the journal, as JSON Lines")
    parser.add_argument("image", metavar="IMAGE.efi")
    parser.add_argument("arguments", metavar="ARG", nargs=argparse.REMAINDER, help="its load options")


def _cost(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _cost_fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "measurements",
        metavar="MEASUREMENT",
        nargs="+",
        help="'memory=64G vcpus=8 accept=eager measured=112s', with 'fixed=5s' for what does not accept; or a TOML "
        "file of [[measurement]] tables",
    )
    parser.add_argument("-o", dest="output", metavar="FILE.toml", help="write the fitted constants as a cost file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _add_unpack_limit(parser)


def _lint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scripts", metavar="SCRIPT", nargs="+")
    parser.add_argument(
        "--program", metavar="NAME", action="append", help="a program that the scripts call without its .efi"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("transcripts", metavar="TRANSCRIPT", nargs="+")
    parser.add_argument("--update", action="store_true", help="rewrite those that differ")
    parser.add_argument(
        "--outside", action="store_true", help="let them read folders outside their own; by default they may not"
    )
    parser.add_argument(
        "--fs0-write", action="store_true",
        help="let their commands write to the folders that they call rw; by default to copies that go afterwards",
    )  # fmt: skip


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
    _add_fast_decompress(parser, "with --engine cpu: ")
    _add_run_limits(parser)
    _add_debugger(parser, "with --engine cpu: ")


def _add_fast_decompress(parser: argparse.ArgumentParser, where: str = "") -> None:
    parser.add_argument(
        "--fast-decompress", action="store_true",
        help=f"{where}let the host unpack the kernel where its stub calls a decompressor; the output names it",
    )  # fmt: skip


def _add_unpack_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--unpack-limit",
        metavar="SIZE",
        help="what an initrd may unpack to, or none (default 16G, and 1000 times its size from 1G on)",
    )


def _add_run_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--violation", choices=("stop", "ve"), default="stop",
        help="touching unaccepted memory stops the run, or raises #VE in the guest (default stop)",
    )  # fmt: skip
    parser.add_argument("--time-limit", metavar="S", help="abort a run after S seconds")


def _add_debugger(parser: argparse.ArgumentParser, where: str = "") -> None:
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


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    """All belong to the actions."""


def _firmware_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="firmware, such as OVMF.fd or OVMF.inteltdx.fd")
    parser.add_argument(
        "--real-code-only", action="store_true",
        help="let the host do nothing in the firmware's place: no unpacking, no REP MOVS and STOS; takes much longer",
    )  # fmt: skip
    parser.add_argument("--time-limit", metavar="S", help="abort the run after S seconds")


def _firmware_accepts(parser: argparse.ArgumentParser) -> None:
    _firmware_file(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-o", dest="output", metavar="FILE.tsv", help="write every call to this file")
    parser.add_argument("--model", action="store_true", help="what the model accepts, without running the firmware")


def _firmware_kernel(parser: argparse.ArgumentParser, use: str) -> None:
    parser.add_argument("--kernel", metavar="K", help=use)
    parser.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
    parser.add_argument("--cmdline", metavar="S", default="", help="kernel command line")


def _firmware_run(parser: argparse.ArgumentParser) -> None:
    _firmware_file(parser)
    _add_debugger(parser)
    _firmware_kernel(parser, "boot this kernel by fw_cfg, and run it on")
    parser.add_argument(
        "--console", action="store_true",
        help="type at the serial console, from the terminal (Ctrl-\\ ends) or from standard input",
    )  # fmt: skip
    parser.add_argument("--until", metavar="REGEX", help="end where a console line matches")
    parser.add_argument(
        "--quote-key", metavar="FILE",
        help="answer GetQuote with quotes signed by this key, which 'measure --make-test-key' made",
    )  # fmt: skip


def _firmware_record(parser: argparse.ArgumentParser) -> None:
    _firmware_file(parser)
    _firmware_kernel(parser, "record the boot of this kernel (default a made one)")
    parser.add_argument("-o", dest="output", metavar="MODEL.toml", required=True, help="where the model goes")


_FIRMWARE_ACTIONS: Final = MappingProxyType(
    {
        "record": Subcommand(
            "write what this firmware occupies in memory as a model for --firmware-model",
            "tdvfsh firmware record ovmf -o my-tdvf.toml",
            _firmware_record,
            td=True,
        ),
        "run": Subcommand(
            "run it, its serial console on standard output; with a kernel it continues through the operating system",
            "printf 'memmap\\nreset -s\\n' | tdvfsh firmware run ovmf --memory 2G --console",
            _firmware_run,
            td=True,
        ),
        "accepts": Subcommand(
            "run SEC only: what was accepted, in which order, by which vCPU",
            "tdvfsh firmware accepts ovmf --memory 2G --vcpus 2",
            _firmware_accepts,
            td=True,
        ),
    }
)


def _measure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FIRMWARE", nargs="?", help="OVMF.fd, OVMF.inteltdx.fd, OVMF_CODE.fd, a td-shim image"
    )
    parser.add_argument(
        "--make-test-key", metavar="FILE", help="make keys for 'firmware run --quote-key': quotes that are not Intel's"
    )
    parser.add_argument("--kernel", metavar="K", help="boot this kernel by fw_cfg, up to ExitBootServices")
    parser.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
    parser.add_argument("--cmdline", metavar="S", default="", help="kernel command line")
    parser.add_argument("--vars", metavar="FILE", help="variable store that FIRMWARE, which has none, is joined to")
    parser.add_argument("--run", action="store_true", help="run the firmware without a kernel, too, as --json does")
    parser.add_argument("--no-run", action="store_true", help="MRTD only")
    parser.add_argument("--json", action="store_true", help="print JSON, which --expect takes")
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
    parser.add_argument(
        "--real-code-only", action="store_true",
        help="let the host do nothing in the firmware's place: no unpacking, no REP MOVS and STOS; takes much longer",
    )  # fmt: skip
    parser.add_argument("--time-limit", metavar="S", help="abort the run after S seconds")


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="TRACE|KERNEL", help="what 'boot --trace' wrote, or a kernel to boot")
    parser.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
    parser.add_argument("--cmdline", metavar="S", default="", help="kernel command line")
    parser.add_argument("-o", dest="out", metavar="FILE", default="report.html", help="FILE.html or FILE.svg")
    parser.add_argument("--no-compare", action="store_true", help="leave the other policies out of the page")


def _sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC.toml", nargs="?", help="images and grids; without it DIR is only read")
    parser.add_argument("-o", dest="output", metavar="DIR", help="folder of the results; a killed sweep continues")
    parser.add_argument("--check", dest="baseline", metavar="BASELINE", help="results to compare DIR's with")
    parser.add_argument("--plot", metavar="FORMAT", action="append", help="draw DIR's results: svg, html, png")
    parser.add_argument("--yes", action="store_true", help="run a spec of more than ten million scenarios, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _add_workers(parser)


def _advise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kernel", metavar="KERNEL|SPEC.toml", nargs="?", help="a kernel, or a spec for a whole fleet")
    parser.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
    parser.add_argument("--pair", metavar="KERNEL,INITRD", action="append", help="one more image for the table")
    parser.add_argument("--cmdline", metavar="S", default="", help="kernel command line")
    parser.add_argument("--step", metavar="SIZE", default="1M", help="granularity (default 1M)")
    parser.add_argument(
        "--headroom",
        metavar="PERCENT",
        default="10%",
        help="accept so much more than the least that boots (default 10%%)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    _add_workers(parser)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", metavar="N", help="processes on this host (default: one a CPU)")
    parser.add_argument("--cluster", metavar="ADDRESS", help="a Dask scheduler, such as tcp://10.0.0.1:8786")


def _completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")


def _images(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="what there is, and what has been fetched", allow_abbrev=False)
    listing.add_argument("--json", action="store_true", help="print JSON")
    fetch = actions.add_parser("fetch", help="bring an image from its Debian package", allow_abbrev=False)
    fetch.add_argument("names", metavar="NAME", nargs="+")
    fetch.add_argument("--deb", metavar="FILE", help="take the package from this file")
    fetch.add_argument("--refresh", action="store_true", help="look for a newer one even if it is here")
    fetch.add_argument("--max-size", metavar="SIZE", default="1G", help="limit of its files' total size (default 1G)")
    fetch.add_argument("--json", action="store_true", help="print JSON")
    path = actions.add_parser("path", help="print where an image's files lie; fetch it first", allow_abbrev=False)
    path.add_argument("names", metavar="NAME", nargs="+", help="an image, or NAME/FILE for one of its files")
    path.add_argument("--json", action="store_true", help="print JSON")
    clean = actions.add_parser(
        "clean", help="delete left-over downloads and damaged images, or what is named", allow_abbrev=False
    )
    clean.add_argument("names", metavar="NAME", nargs="*", help="an image to delete")
    clean.add_argument("--all", action="store_true", help="delete every image")
    clean.add_argument("--json", action="store_true", help="print JSON")
    make = actions.add_parser(
        "make", help="make a kernel or an initrd of any size, or a small initrd that runs", allow_abbrev=False
    )
    kinds = make.add_subparsers(dest="kind", metavar="KIND", required=True)
    initrd = kinds.add_parser("initrd", help="a valid initrd", allow_abbrev=False)
    initrd.add_argument("--size", required=True, help="bytes of the file, such as 600M")
    initrd.add_argument(
        "--compress", metavar="FORMAT", help="gzip, bzip2, lzma, xz, lzo, lz4 or zstd; plain cpio without"
    )
    kernel = kinds.add_parser("kernel", help="a valid kernel with an EFI stub's headers", allow_abbrev=False)
    kernel.add_argument("--size", required=True, help="bytes of the file, such as 12M")
    kernel.add_argument("--init-size", required=True, help="bytes it wants for unpacking, such as 56M")
    kernel.add_argument("--size-of-image", help="SizeOfImage of its PE header")
    kernel.add_argument("--output-len", help="bytes its payload unpacks to")
    kernel.add_argument("--protocol", default="2.15", help="boot protocol version")
    init = kinds.add_parser(
        "init",
        help="an initrd whose /init says a line, shows files and switches off",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  tdvfsh images make init -o hello.cpio --message 'user space runs' --then halt\n"
        "  tdvfsh images make init -o meminfo.cpio --show /proc/meminfo",
    )
    init.add_argument("--message", metavar="TEXT", default="tdvfsh: user space runs", help="the line")
    init.add_argument("--show", metavar="FILE", action="append", help="write FILE after it, such as /proc/meminfo")
    init.add_argument(
        "--then", metavar="ENDING", default="power-off", help="power-off (default), halt, restart, loop, exit"
    )
    for kind in (initrd, kernel, init):
        kind.add_argument("-o", dest="output", metavar="FILE", required=True, help="the file to write")


BOOTS: Final = "boot real kernels and initrds, and see where they go"
FLEETS: Final = "many images, many machines"
REAL: Final = "run the real code (pip install 'tdvfsh[cpu]')"
FILES: Final = "look at files"
SHELL: Final = "the shell and its scripts; 'tdvfsh' alone opens its prompt"
TOOL: Final = "tdvfsh itself"
OTHER: Final = ""
TASKS: Final = (BOOTS, FLEETS, REAL, FILES, SHELL, OTHER, TOOL)
"""What users come for, in the order of the help; the last is for what names no task."""


SUBCOMMANDS: Final = {
    "run": Subcommand(
        "run an .nsh script",
        "tdvfsh run tour",
        _run,
        td=True,
        shell=True,
        task=SHELL,
        status="the script's %lasterror%: its low byte, and never 0 for an error",
    ),
    "demo": Subcommand("the main job on real images, in one go", "tdvfsh demo", _demo, td=True, task=BOOTS),
    "boot": Subcommand(
        "one boot, step by step",
        "tdvfsh boot installer-13 --accept 512M --on-demand service",
        _boot,
        td=True,
        task=BOOTS,
        fails="the boot failed",
    ),
    "compare": Subcommand(
        "boots side by side; TD options take several values with commas between them",
        "tdvfsh compare installer-13 --accept 256M,eager --loader direct,grub2.12",
        _compare,
        td=True,
        task=BOOTS,
    ),
    "lazy": Subcommand(
        "the real kernel with accept_memory=lazy and eager, side by side; --memory and --accept take several values",
        "tdvfsh lazy kernel-6.12-cloud --initrd init --memory 2G,8G",
        _lazy,
        td=True,
        task=REAL,
        fails="a system did not end well",
    ),
    "explain": Subcommand(
        "why a boot ends as it does, and what each option makes of it",
        "tdvfsh explain installer-13 --memory 2G --accept 224M",
        _explain,
        td=True,
        task=BOOTS,
    ),
    "ladder": Subcommand(
        "the smallest accepted size for each stage of a boot",
        "tdvfsh ladder installer-13 --loader direct,grub2.12",
        _ladder,
        td=True,
        task=BOOTS,
    ),
    "plot": Subcommand(
        "where each option boots, along the initrd's size or what is accepted at boot",
        "tdvfsh plot installer-13 --memory 2G --from 0 --to 600M --step 10M",
        _plot,
        td=True,
        task=BOOTS,
    ),
    "sweep": Subcommand(
        "thousands of scenarios, in parallel, also on a cluster",
        _SWEEP_EXAMPLE,
        _sweep,
        task=FLEETS,
        fails="--check found a boot that got worse",
    ),
    "advise": Subcommand(
        "how much to accept at boot for given images, and what accepting on demand costs instead",
        "tdvfsh advise installer-13 --memory 2G",
        _advise,
        td=True,
        task=FLEETS,
        fails="no size can be recommended for one of the images",
    ),
    "verify": Subcommand(
        "hold the model against the kernel's real stub, or with --firmware FILE against real firmware",
        "tdvfsh verify installer-13 --cmdline nokaslr",
        _verify,
        td=True,
        task=REAL,
        fails="the model and the real code differ",
    ),
    "firmware": Subcommand(
        "real firmware from its reset vector, as a TD or as a plain VM",
        "tdvfsh firmware run ovmf --memory 2G --console",
        _no_arguments,
        actions=_FIRMWARE_ACTIONS,
        task=REAL,
        fails="the firmware died, was refused, or did not reach what it should",
    ),
    "measure": Subcommand(
        "what a TD measures to: MRTD of the firmware, RTMRs and event log of running it",
        "tdvfsh measure ovmf-2025.02 --kernel kernel-6.12-cloud --cmdline 'console=ttyS0' --memory 4G --vcpus 2 --json",
        _measure,
        td=True,
        task=REAL,
        fails="the run did not get as far as it should, or the measurements are not those of --expect",
    ),
    "exec": Subcommand(
        "run a real EFI program, its console on the terminal or on standard input and output",
        "printf 'memmap\\r\\nexit\\r\\n' | tdvfsh exec shell -nostartup",
        _exec,
        td=True,
        shell=True,
        task=REAL,
        status="the low byte of what the program returned, and never 0 for an error",
    ),
    "diagnose": Subcommand(
        "what a boot's log tells: its machine, and the known faults that fit it",
        "tdvfsh diagnose dmesg.txt installer-13",
        _diagnose,
        td=True,
        task=FILES,
    ),
    "inspect": Subcommand("what a file is", "tdvfsh inspect kernel-6.12", _inspect, task=FILES),
    "cost": Subcommand(
        "what accepting costs in the model: constants, ranges and sources",
        "tdvfsh cost --cost kvm-2m",
        _cost,
        td=True,
        task=BOOTS,
        actions={
            "fit": Subcommand(
                "fit constants to measured accepts at boot",
                "tdvfsh cost fit 'memory=64G vcpus=8 accept=eager measured=112s' 'memory=8G measured=24s' -o lab.toml",
                _cost_fit,
                td=True,
            ),
        },
        alone=True,
    ),
    "report": Subcommand(
        "a page or a drawing of a boot or a trace",
        "tdvfsh report installer-13 -o boot.html",
        _report,
        td=True,
        task=FILES,
    ),
    "lint": Subcommand(
        "check .nsh scripts without running them",
        "tdvfsh lint scripts/*.nsh",
        _lint,
        task=SHELL,
        fails="a script has errors",
    ),
    "replay": Subcommand(
        "run recorded sessions again, byte for byte",
        "tdvfsh replay session.tdt",
        _replay,
        task=SHELL,
        fails="a session no longer prints the same",
    ),
    "images": Subcommand(
        "real images from Debian packages, and made ones of any size", "tdvfsh images list", _images, task=FILES
    ),
    "completion": Subcommand(
        "print what bash, zsh or fish read to complete subcommands, options and images",
        'eval "$(tdvfsh completion bash)"',
        _completion,
        task=TOOL,
    ),
    "man": Subcommand("print the manual page", "tdvfsh man > tdvfsh.1", _no_arguments, task=TOOL),
}
"""By name, in the order of the help."""
