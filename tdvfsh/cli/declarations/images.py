"""Arguments of the actions on images."""

from __future__ import annotations

import argparse


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
        "  tdvfsh firmware run ovmf-2025.02 --disk small.img --memory 2G --console\n"
        "  tdvfsh images make disk --shim -o signed.img\n"
        "  tdvfsh firmware run ovmf-inteltdx --disk signed.img --memory 2G --console",
    )
    disk.add_argument(
        "--full", action="store_true", help="Debian's minimal system with systemd, 657 MiB; needs mmdebstrap"
    )
    disk.add_argument(
        "--package", metavar="NAME", action="append", help="with --full: a Debian package more; then 1937 MiB, sparse"
    )
    disk.add_argument(
        "--shim", action="store_true", help="start GRUB through shim, as firmware with Secure Boot on wants it"
    )
    disk.add_argument("--initrd", metavar="FILE", help="write its initrd to FILE too, for a direct boot")
    for kind in (initrd, kernel, init, disk):
        kind.add_argument("--json", action="store_true", help="print JSON")
        kind.add_argument("-o", dest="output", metavar="FILE", required=True, help="the file to write")
