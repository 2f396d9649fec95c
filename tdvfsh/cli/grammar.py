"""The command line's grammar."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from tdvfsh import __version__
from tdvfsh.cli.arguments import FILE_SYSTEMS, TD_DEFAULTS, Default
from tdvfsh.errors import UsageError

_EPILOG: Final = """\
examples:
  tdvfsh demo                                        the whole story on real images
  tdvfsh boot vmlinuz --initrd initrd.img --memory 2G --accept 512M --on-demand service
  tdvfsh compare vmlinuz --initrd initrd.img         every option side by side
  tdvfsh -c memmap                                   one shell command in a lazily accepted TD
  tdvfsh run scripts/tour.nsh                        a script
"""


_BOOTING: Final = (
    ("boot", "one boot, told as a story", "tdvfsh boot vmlinuz --initrd initrd.img --accept 512M --on-demand service"),
    (
        "compare",
        "boots side by side; TD options take several values with commas between them",
        "tdvfsh compare vmlinuz --initrd initrd.img --accept 256M,eager --loader direct,grub2.12",
    ),
    (
        "ladder",
        "the smallest accepted size for each stage of a boot",
        "tdvfsh ladder vmlinuz --initrd initrd.img --loader direct,grub2.12",
    ),
    (
        "plot",
        "where each option boots, along the initrd's size or what is accepted at boot",
        "tdvfsh plot vmlinuz --memory 2G --from 0 --to 600M --step 10M",
    ),
)


_SWEEP_EXAMPLE: Final = """\
tdvfsh sweep fleet.toml -o results --plot svg,html
  tdvfsh sweep fleet.toml -o new --check results    exit status 1 where something no longer boots

a spec, here fleet.toml:
  [[image]]                     # real files
  name = "installer"
  kernel = "linux"
  initrd = ["initrd.gz"]        # or { size = "300M" }

  [[made]]                      # made images: every combination of sizes
  kernel_size = "12M"
  init_size = "56M"
  initrd_size = ["100M", "300M"]

  [[grid]]                      # every combination of these, for each image
  memory = ["1G", "4G"]
  accept = [{ from = "64M", to = "1G", step = "16M" }, "presize", "below-4g"]
  on_demand = ["none", "allocator", "service"]
  loader = ["direct", "grub2.12"]
  # also vcpus, gpaw, profile, firmware_model, host_page_size, accept_at_exit, kaslr_seed, max_ram_below_4g"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see '{self.prog} --help')")


def parse_words(words: Sequence[str]) -> dict[str, Any]:
    """The values of a command line, by name.

    Raises:
        UsageError: It cannot be understood.
    """
    values = vars(_build_parser().parse_args(words))
    if values.get("subcommand") is None:
        values["subcommand"] = "shell"
    return values


def _build_parser() -> _Parser:
    td = _td_options()
    shell = _shell_options()
    parser = _Parser(
        prog="tdvfsh",
        description="A UEFI shell over a virtual Intel TDX trust domain.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[td, shell],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tdvfsh {__version__}")
    parser.add_argument(
        "-c", dest="commands", metavar="COMMAND", action="append", help="run a shell command (repeatable)"
    )
    # What stands before the subcommand must not be reset by the subcommand's own defaults.
    td, shell = _td_options(suppress=True), _shell_options(suppress=True)
    subcommands = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND")

    def add(name: str, summary: str, example: str, *parents: _Parser) -> argparse.ArgumentParser:
        return subcommands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=list(parents),
            allow_abbrev=False,
        )

    run = add("run", "run an .nsh script", "tdvfsh run scripts/tour.nsh", td, shell)
    run.add_argument("script", metavar="SCRIPT.nsh")
    run.add_argument("script_arguments", metavar="ARG", nargs=argparse.REMAINDER, help="its %%1, %%2 and so on")

    demo = add("demo", "the main job on real images, in one go", "tdvfsh demo", td)
    demo.add_argument("--offline", action="store_true", help="fetch nothing: take what is here, or made images")

    for name, summary, example in _BOOTING:
        booting = add(name, summary, example, td)
        booting.add_argument("kernel", metavar="KERNEL")
        booting.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
        # With KASLR the kernel may cut the only large hole in two: where it lands decides, and no size is a threshold.
        cmdline = "nokaslr" if name in ("ladder", "plot") else ""
        shown = f" (default '{cmdline}')" if cmdline else ""
        booting.add_argument(
            "--cmdline",
            metavar="S",
            default=cmdline,
            help=f"kernel command line; 'nokaslr' fixes the kernel's place{shown}",
        )
        booting.add_argument("--json", action="store_true", help="print JSON")
        _add_unpack_limit(booting)
        if name == "boot":
            booting.add_argument("--trace", metavar="FILE", help="write the journal, as JSON Lines")
            _add_engine(booting)
        elif name == "compare":
            booting.add_argument("--sfo", action="store_true", help="print rows that the shell's parse reads")
        elif name == "ladder":
            booting.add_argument("--step", metavar="SIZE", default="1M", help="granularity (default 1M)")
        elif name == "plot":
            _add_plot(booting)

    _add_sweep(add("sweep", "thousands of scenarios, in parallel, also on a cluster", _SWEEP_EXAMPLE))
    summary = "how much to accept at boot for given images, and what accepting on demand costs instead"
    _add_advise(add("advise", summary, "tdvfsh advise vmlinuz --initrd initrd.img --memory 2G", td))

    example = "tdvfsh verify vmlinuz --initrd initrd.img --cmdline nokaslr"
    verify = add("verify", "hold the model against the kernel's real stub: calls, placements, map, bitmap", example, td)
    verify.add_argument("kernel", metavar="KERNEL")
    verify.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
    verify.add_argument("--cmdline", metavar="S", default="nokaslr", help="kernel command line (default nokaslr)")
    verify.add_argument("--json", action="store_true", help="print JSON")
    _add_run_limits(verify)

    summary = "run a real EFI program, its console on the terminal or on standard input and output"
    program = add("exec", summary, "printf 'memmap\\r\\nexit\\r\\n' | tdvfsh exec shellx64.efi -nostartup", td, shell)
    _add_run_limits(program)
    program.add_argument("image", metavar="IMAGE.efi")
    program.add_argument("arguments", metavar="ARG", nargs=argparse.REMAINDER, help="its load options")

    inspect = add("inspect", "what a file is", "tdvfsh inspect vmlinuz")
    inspect.add_argument("file", metavar="FILE")
    inspect.add_argument("--json", action="store_true", help="print JSON")
    _add_unpack_limit(inspect)

    _add_report(
        add("report", "a page or a drawing of a boot or a trace", "tdvfsh report vmlinuz --initrd F -o boot.html", td)
    )

    lint = add("lint", "check .nsh scripts without running them", "tdvfsh lint scripts/*.nsh")
    lint.add_argument("scripts", metavar="SCRIPT", nargs="+")
    lint.add_argument("--json", action="store_true", help="print JSON")

    replay = add("replay", "run recorded sessions again, byte for byte", "tdvfsh replay demo.tdt")
    replay.add_argument("transcripts", metavar="TRANSCRIPT", nargs="+")
    replay.add_argument("--update", action="store_true", help="rewrite those that differ")

    _add_images(add("images", "real images from Debian packages, and made ones of any size", "tdvfsh images list"))
    return parser


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine", choices=("model", "cpu"), default="model", help="cpu runs the kernel's real stub (default model)"
    )
    parser.add_argument("--grub", metavar="grubx64.efi", help="with --engine cpu: boot by this real GRUB")
    _add_run_limits(parser)


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
    parser.add_argument("--time-limit", metavar="S", help="give a run up after so many seconds")


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="TRACE|KERNEL", help="what 'boot --trace' wrote, or a kernel to boot")
    parser.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
    parser.add_argument("--cmdline", metavar="S", default="", help="kernel command line")
    parser.add_argument("-o", dest="out", metavar="FILE", default="report.html", help="FILE.html or FILE.svg")
    parser.add_argument("--no-compare", action="store_true", help="leave the other policies out of the page")


def _add_plot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--over", metavar="WHAT", default="initrd", help="initrd (the default) or accept")
    parser.add_argument("--from", dest="first", metavar="SIZE", default="0", help="first size (default 0)")
    parser.add_argument("--to", dest="last", metavar="SIZE", default="600M", help="last size (default 600M)")
    parser.add_argument("--step", metavar="SIZE", default="10M", help="size of a column (default 10M)")


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC.toml", nargs="?", help="images and grids; without it DIR is only read")
    parser.add_argument("-o", dest="output", metavar="DIR", help="where results go; a sweep that was killed goes on")
    parser.add_argument("--check", dest="baseline", metavar="BASELINE", help="results to hold DIR's against")
    parser.add_argument("--plot", metavar="FORMAT", action="append", help="draw DIR's results: svg, html, png")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _add_workers(parser)


def _add_advise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kernel", metavar="KERNEL|SPEC.toml", nargs="?", help="a kernel, or a spec for a whole fleet")
    parser.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
    parser.add_argument("--pair", metavar="KERNEL,INITRD", action="append", help="one more image for the table")
    parser.add_argument("--cmdline", metavar="S", default="", help="kernel command line")
    parser.add_argument("--step", metavar="SIZE", default="1M", help="granularity (default 1M)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _add_workers(parser)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", metavar="N", help="processes on this host (default: one a CPU)")
    parser.add_argument("--cluster", metavar="ADDRESS", help="a Dask scheduler, such as tcp://10.0.0.1:8786")


def _add_images(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_Parser)
    listing = actions.add_parser("list", help="what there is, and what has been fetched", allow_abbrev=False)
    listing.add_argument("--json", action="store_true", help="print JSON")
    fetch = actions.add_parser("fetch", help="bring an image from its Debian package", allow_abbrev=False)
    fetch.add_argument("names", metavar="NAME", nargs="+")
    fetch.add_argument("--deb", metavar="FILE", help="take the package from this file")
    fetch.add_argument("--refresh", action="store_true", help="look for a newer one even if it is here")
    fetch.add_argument("--json", action="store_true", help="print JSON")
    make = actions.add_parser(
        "make", help="make a kernel or an initrd of any size, or a small initrd that runs", allow_abbrev=False
    )
    kinds = make.add_subparsers(dest="kind", metavar="KIND", required=True, parser_class=_Parser)
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
        help="an initrd whose /init says a line and switches off",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  tdvfsh images make init -o hello.cpio --message 'user space runs' --then halt",
    )
    init.add_argument("--message", metavar="TEXT", default="tdvfsh: user space runs", help="the line")
    init.add_argument(
        "--then", metavar="ENDING", default="power-off", help="power-off (default), halt, restart, loop, exit"
    )
    for kind in (initrd, kernel, init):
        kind.add_argument("-o", dest="output", metavar="FILE", required=True, help="the file to write")


def _td_options(suppress: bool = False) -> _Parser:
    parser = _Parser(add_help=False, argument_default=argparse.SUPPRESS if suppress else None)
    group = parser.add_argument_group("TD options")

    def add(option: str, summary: str, metavar: str) -> None:
        default = TD_DEFAULTS[option]
        value = argparse.SUPPRESS if suppress else Default(default)
        group.add_argument(option, default=value, metavar=metavar, help=f"{summary} (default {default})")

    add("--memory", "RAM", "SIZE")
    add("--vcpus", "virtual CPUs", "N")
    add("--gpaw", "guest physical address width", "48|52")
    add("--accept", "accepted at boot: eager, SIZE, presize[:SIZE], below-4g", "POLICY")
    add("--on-demand", "none, allocator, loader, loader-literal, service", "OPTION")
    add("--profile", "edk2 generation: rfc2021, upstream, bookworm, trixie, sid", "NAME")
    add(
        "--loader",
        "direct, direct-legacy, grub2.06, grub2.12, grub2.12-debian, grub-rh, chainloader, sd-boot",
        "FLOW",
    )
    add("--firmware-model", "recorded footprint: inteltdx, ovmf-2022.11, ovmf-2025.02, ovmf-2026.08", "NAME")
    add("--host-page-size", "largest page the host maps: 4K or 2M", "SIZE")
    add("--kaslr-seed", "seed of the EFI stub's choice", "N")
    add("--max-ram-below-4g", "QEMU's machine option", "SIZE")
    add("--sept-ve-disable", "touching unaccepted memory leaves the TD instead of raising #VE", "on|off")
    add("--accept-at-exit", "firmware accepts the rest at ExitBootServices: none, unless-objected", "POLICY")
    add("--os-workload", "memory that the OS uses after boot, for the modelled OS side", "SIZE")
    missing = argparse.SUPPRESS if suppress else None
    group.add_argument(
        "--map", metavar="FILE", default=missing, help="start from a map: memmap, efi: mem or e820 lines, TD HOB list"
    )
    group.add_argument("--firmware", metavar="FILE", default=missing, help="OVMF.fd whose TDX metadata makes the TD")
    group.add_argument(
        "--fault", metavar="SPEC", action="append", default=missing, help="fail on purpose, as accept:1=OPERAND_BUSY"
    )
    no_td = argparse.SUPPRESS if suppress else False
    group.add_argument("--no-td", action="store_true", default=no_td, help="a plain VM: nothing is ever unaccepted")
    return parser


def _shell_options(suppress: bool = False) -> _Parser:
    parser = _Parser(add_help=False)
    group = parser.add_argument_group("shell options")
    missing = argparse.SUPPRESS if suppress else None
    for number in range(FILE_SYSTEMS):
        text = "host folder behind FS0: (default: the current one), FS1: (default: fetched images) …"
        group.add_argument(
            f"--fs{number}", metavar="DIR", default=missing, help=text if number == 0 else argparse.SUPPRESS
        )
    no = argparse.SUPPRESS if suppress else False
    group.add_argument("--fs0-write", action="store_true", default=no, help="let the shell write to FS0:")
    group.add_argument(
        "--engine", choices=("model", "cpu"), default=missing, help="cpu really runs the images that are started"
    )
    group.add_argument("--record", metavar="FILE", default=missing, help="write a transcript for 'tdvfsh replay'")
    group.add_argument("--cast", metavar="FILE", default=missing, help="write an asciicast for demos")
    return parser
