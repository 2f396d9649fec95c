"""Arguments of the subcommands, declared to argparse: those of one are declared when it is asked for."""

from __future__ import annotations

import argparse

from tdvfsh.options.uses import use_of


def declare_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", metavar="SCRIPT.nsh", help="a file, or a script that comes with tdvfsh, such as tour")
    parser.add_argument("script_arguments", metavar="ARG", nargs=argparse.REMAINDER, help="its %%1, %%2 and so on")


def declare_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--offline", action="store_true", help="fetch nothing: take what is here, or made images")
    parser.add_argument("--cast", metavar="FILE", help="write an asciicast of it")


def _booting(parser: argparse.ArgumentParser, subcommand: str) -> None:
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
    _add_unpack_limit(parser)


def declare_boot(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "boot")
    parser.add_argument("--trace", metavar="FILE", help="write the journal, as JSON Lines")
    _add_engine(parser)
    _add_disks(parser)


def declare_lazy(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "lazy")
    parser.add_argument("--until", metavar="REGEX", help="end each run where a console line matches")
    parser.add_argument("--time-limit", metavar="S", help="abort each run after S seconds")
    _add_fast_decompress(parser)
    _add_disks(parser, commit=False)
    parser.add_argument(
        "--run", metavar="COMMAND",
        help="type this at the shell on the serial port, then ask the kernel what is left unaccepted, and end",
    )  # fmt: skip
    parser.add_argument(
        "--timeline", action="store_true", help="print what was accepted over virtual time too, by whom and by vCPU"
    )
    parser.add_argument(
        "-o", dest="output", metavar="FILE.svg", help="draw that, as .svg, or as .png with the 'report' extra"
    )


def declare_compare(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "compare")
    parser.add_argument("--sfo", action="store_true", help="print rows that the shell's parse reads")


def declare_explain(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "explain")


def declare_diagnose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", metavar="LOG", help="what firmware, boot loader and kernel said")
    parser.add_argument("kernels", metavar="KERNEL", nargs="*", help="booted on the log's machine")
    parser.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
    parser.add_argument("--cmdline", metavar="S", default="", help="kernel command line (default: the log's)")
    _add_unpack_limit(parser)


def declare_ladder(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "ladder")
    parser.add_argument("--step", metavar="SIZE", default="1M", help="granularity (default 1M)")


def declare_plot(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "plot")
    parser.add_argument("--over", metavar="WHAT", default="initrd", help="initrd (the default) or accept")
    parser.add_argument("--from", dest="first", metavar="SIZE", default="0", help="first size (default 0)")
    parser.add_argument("--to", dest="last", metavar="SIZE", default="600M", help="last size (default 600M)")
    parser.add_argument("--step", metavar="SIZE", default="10M", help="size of a column (default 10M)")


def declare_verify(parser: argparse.ArgumentParser) -> None:
    _booting(parser, "verify")
    parser.add_argument(
        "--fast-decompress", action="store_true",
        help="run the stub a second time with the host unpacking the kernel, and compare that run with the first",
    )  # fmt: skip
    _add_run_limits(parser)


def declare_exec(parser: argparse.ArgumentParser) -> None:
    _add_run_limits(parser)
    _add_debugger(parser)
    parser.add_argument("--trace", metavar="FILE", help="write the journal, as JSON Lines")
    _add_nvram(parser)
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


def declare_cost_fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "measurements",
        metavar="MEASUREMENT",
        nargs="+",
        help="'memory=64G vcpus=8 accept=eager measured=112s', with 'fixed=5s' for what does not accept; or a TOML "
        "file of [[measurement]] tables",
    )
    parser.add_argument("-o", dest="output", metavar="FILE.toml", help="write the fitted constants as a cost file")


def declare_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    _add_unpack_limit(parser)


def declare_lint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scripts", metavar="SCRIPT", nargs="+")
    parser.add_argument(
        "--program", metavar="NAME", action="append", help="a program that the scripts call without its .efi"
    )


def declare_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("transcripts", metavar="TRANSCRIPT", nargs="+")
    parser.add_argument("--update", action="store_true", help="rewrite those that differ")
    parser.add_argument(
        "--outside", action="store_true", help="let them read folders outside their own; by default they may not"
    )
    parser.add_argument(
        "--fs0-write", action="store_true",
        help="let their commands write to the folders that they call rw; by default to copies that go afterwards",
    )  # fmt: skip


def _add_nvram(parser: argparse.ArgumentParser, where: str = "") -> None:
    parser.add_argument(
        "--nvram", metavar="FILE",
        help=f"{where}keep non-volatile variables, date and monotonic count in FILE; it is made where it is missing",
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
    _add_nvram(parser, "with --engine cpu: ")
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


def declare_no_arguments(parser: argparse.ArgumentParser) -> None:
    """All belong to the actions."""


def _firmware_file(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    parser.add_argument(
        "file", metavar="FILE", nargs="?" if optional else None, help="firmware, such as OVMF.fd or OVMF.inteltdx.fd"
    )
    parser.add_argument(
        "--real-code-only", action="store_true",
        help="let the host do nothing in the firmware's place: no unpacking, no REP MOVS and STOS; takes much longer",
    )  # fmt: skip
    parser.add_argument("--time-limit", metavar="S", help="abort the run after S seconds")


def declare_firmware_accepts(parser: argparse.ArgumentParser) -> None:
    _firmware_file(parser)
    parser.add_argument("-o", dest="output", metavar="FILE.tsv", help="write every call to this file")
    parser.add_argument("--model", action="store_true", help="what the model accepts, without running the firmware")


def _firmware_kernel(parser: argparse.ArgumentParser, use: str) -> None:
    parser.add_argument("--kernel", metavar="K", help=use)
    parser.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
    parser.add_argument("--cmdline", metavar="S", default="", help="kernel command line")


def declare_firmware_run(parser: argparse.ArgumentParser) -> None:
    _firmware_file(parser, optional=True)
    _add_debugger(parser)
    _firmware_kernel(parser, "boot this kernel by fw_cfg, and run it on")
    parser.add_argument(
        "--console", action="store_true",
        help="type at the serial console, from the terminal (Ctrl-\\ ends) or from standard input",
    )  # fmt: skip
    parser.add_argument("--until", metavar="REGEX", help="end where a console line matches")
    parser.add_argument(
        "--save", metavar="FILE",
        help="save the machine where --until or the end of the input ends the run, to go on from there",
    )  # fmt: skip
    parser.add_argument(
        "--resume", metavar="FILE",
        help="continue a machine that --save wrote, with its firmware, kernel and disks",
    )  # fmt: skip
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
    _add_disks(parser)


def _add_disks(parser: argparse.ArgumentParser, commit: bool = True) -> None:
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


def declare_firmware_record(parser: argparse.ArgumentParser) -> None:
    _firmware_file(parser)
    _firmware_kernel(parser, "record the boot of this kernel (default a made one)")
    parser.add_argument("-o", dest="output", metavar="MODEL.toml", required=True, help="where the model goes")


def declare_measure(parser: argparse.ArgumentParser) -> None:
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


def declare_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="TRACE|KERNEL", help="what 'boot --trace' wrote, or a kernel to boot")
    parser.add_argument("--initrd", metavar="F", action="append", help="initrd; several are joined in order")
    parser.add_argument("--cmdline", metavar="S", default="", help="kernel command line")
    parser.add_argument("-o", dest="out", metavar="FILE", default="report.html", help="FILE.html or FILE.svg")
    parser.add_argument("--no-compare", action="store_true", help="leave the other policies out of the page")


def declare_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC.toml", nargs="?", help="images and grids; without it DIR is only read")
    parser.add_argument("-o", dest="output", metavar="DIR", help="folder of the results; a killed sweep continues")
    parser.add_argument("--check", dest="baseline", metavar="BASELINE", help="results to compare DIR's with")
    parser.add_argument("--plot", metavar="FORMAT", action="append", help="draw DIR's results: svg, html, png")
    parser.add_argument("--yes", action="store_true", help="run a spec of more than ten million scenarios, too")
    _add_workers(parser)


def declare_advise(parser: argparse.ArgumentParser) -> None:
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
    _add_workers(parser)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", metavar="N", help="processes on this host (default: one a CPU)")
    parser.add_argument("--cluster", metavar="ADDRESS", help="a Dask scheduler, such as tcp://10.0.0.1:8786")


def declare_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")


def declare_images(parser: argparse.ArgumentParser) -> None:
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
        "make", help="make a kernel or an initrd of any size, a small initrd that runs, or a disk", allow_abbrev=False
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
    disk = kinds.add_parser(
        "disk",
        help="a disk that boots: GRUB, Linux 6.12 for clouds, and busybox or Debian on ext4",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  tdvfsh images make disk -o small.img --initrd small.initrd\n"
        "  tdvfsh firmware run ovmf-2025.02 --disk small.img --memory 2G --console",
    )
    disk.add_argument(
        "--full", action="store_true", help="Debian's minimal system with systemd, 657 MiB; needs mmdebstrap"
    )
    disk.add_argument(
        "--package", metavar="NAME", action="append", help="with --full: a Debian package more; then 1937 MiB, sparse"
    )
    disk.add_argument("--initrd", metavar="FILE", help="write its initrd to FILE too, for a direct boot")
    for kind in (initrd, kernel, init, disk):
        kind.add_argument("--json", action="store_true", help="print JSON")
        kind.add_argument("-o", dest="output", metavar="FILE", required=True, help="the file to write")
