"""``tdvfsh images list``, ``fetch``, ``path``, ``clean`` and ``make``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.cli.progress import unpack_progress
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.report.schema import document
from tdvfsh.report.table import table_lines
from tdvfsh.units import human_size, parse_decimal, parse_size

if TYPE_CHECKING:
    from tdvfsh.images.fetch import FetchedImage


def run_images(arguments: Arguments) -> int:
    """Dispatch to the action."""
    return _ACTIONS[arguments.text("action")](arguments)


def _list(arguments: Arguments) -> int:
    from tdvfsh.images.listing import list_images

    images = list_images()
    if arguments.flag("json"):
        print_json(document("images-list", {"images": [asdict(image) for image in images]}))
        return 0
    rows = [("name", "state", "version", "size", "what")]
    for image in images:
        size = human_size(image.size) if image.size else f"{image.download_megabytes} MB to fetch"
        if not image.package and not image.size:
            size = "made when used"
        rows.append((image.name, image.state, image.version or "-", size, image.description))
    print_lines(table_lines(rows, "   >"))
    return 0


def _fetch(arguments: Arguments) -> int:
    from tdvfsh.images.fetch import fetch

    names = arguments.words("names")
    deb = arguments.optional("deb")
    if deb is not None and len(names) != 1:
        raise UsageError("images fetch --deb: one package file is one image; name just one")
    most = parse_size(arguments.text("max_size"))
    fetched = []
    for name in names:
        with unpack_progress() as progress:
            image = fetch(name, progress, Path(deb) if deb is not None else None, arguments.flag("refresh"), most=most)
        fetched.append(image)
        if not arguments.flag("json"):
            print_lines([f"{image.name}: {image.package} {image.version}"])
            rows = [
                (role, human_size(image.sizes[role]), f"sha256 {image.sha256[role]}", str(path))
                for role, path in image.files.items()
            ]
            print_lines(table_lines(rows, " >", indent="  "))
    if arguments.flag("json"):
        print_json(document("images-fetch", {"images": [_fetched(image) for image in fetched]}))
    return 0


def _fetched(image: FetchedImage) -> dict[str, object]:
    return {
        "name": image.name,
        "package": image.package,
        "version": image.version,
        "files": {role: str(path) for role, path in image.files.items()},
        "sizes": image.sizes,
        "sha256": image.sha256,
    }


def _path(arguments: Arguments) -> int:
    """Where an image's files lie, one a line; what is not there is fetched first."""
    from tdvfsh.cli.files import fetch_with
    from tdvfsh.images.catalogue import find_entry
    from tdvfsh.images.named import image_named

    paths: list[Path] = []
    with unpack_progress() as progress:
        for word in arguments.words("names"):
            found = image_named(word)
            entry = found[0] if found is not None else find_entry(word)
            files = fetch_with(progress)(entry).files
            paths += [files[found[1].role]] if found is not None and "/" in word else files.values()
    if arguments.flag("json"):
        print_json(document("images-path", {"paths": [str(path) for path in paths]}))
    else:
        print_lines(map(str, paths))
    return 0


def _clean(arguments: Arguments) -> int:
    """Delete damaged images and what downloads have left; or the named images, or all."""
    from tdvfsh.images.clean import clean

    names, everything = arguments.words("names"), arguments.flag("all")
    if names and everything:
        raise UsageError("images clean: NAME and --all: give one of them")
    with unpack_progress() as progress:
        removed = clean(names, everything, lambda: progress("waiting for another fetch", 0, 0))
    if arguments.flag("json"):
        print_json(document("images-clean", {"deleted": [{"what": what, "bytes": size} for what, size in removed]}))
    else:
        print_lines([f"{what}: {human_size(size)} deleted" for what, size in removed] or ["nothing to delete"])
    return 0


def _make(arguments: Arguments) -> int:
    from tdvfsh.images.make import make_init, make_initrd, make_kernel

    output, kind = Path(arguments.text("output")), arguments.text("kind")
    if kind == "init":
        size = make_init(output, arguments.text("message"), arguments.text("then"), arguments.words("show"))
    elif kind == "disk":
        size = _make_disk(output, arguments)
    elif kind == "initrd":
        size = parse_size(arguments.text("size"))
        make_initrd(output, size, arguments.optional("compress"))
    else:
        size = parse_size(arguments.text("size"))
        image_size, output_len = arguments.optional("size_of_image"), arguments.optional("output_len")
        make_kernel(
            output,
            size,
            parse_size(arguments.text("init_size")),
            size_of_image=parse_size(image_size) if image_size else None,
            output_len=parse_size(output_len) if output_len else None,
            protocol=_protocol(arguments.text("protocol")),
        )
    if arguments.flag("json"):
        print_json(document("images-make", {"kind": kind, "file": str(output), "bytes": size}))
    else:
        print_lines([f"{output}: {human_size(size)}"])
    return 0


_MODULES: Final = ("block", "rng", "failover", "net-failover", "net")
"""Modules of the disk's kernel, in the order in which they are loaded."""


def _make_disk(output: Path, arguments: Arguments) -> int:
    """A disk of packages, which are fetched first."""
    initrd, full, packages = arguments.optional("initrd"), arguments.flag("full"), arguments.words("package")
    if packages and not full:
        raise UsageError("--package: needs --full, whose system can install packages")
    from tdvfsh.cli.files import fetch_with
    from tdvfsh.images.catalogue import find_entry
    from tdvfsh.images.disk.contents import DiskParts
    from tdvfsh.images.disk.make import make_disk
    from tdvfsh.images.disk.roots import BusyboxRoot, DebianRoot, Root

    root: Root = DebianRoot(packages) if full else BusyboxRoot()
    with unpack_progress() as progress:
        fetch = fetch_with(progress)
        kernel, busybox, grub = (fetch(find_entry(name)).files for name in ("disk-kernel-6.12", "busybox", "grub-2.12"))
        shim = fetch(find_entry("shim")).files["efi"] if arguments.flag("shim") else None
    modules = tuple(kernel[f"module-{name}"] for name in _MODULES)
    parts = DiskParts(kernel["kernel"], modules, busybox["tool"], grub["efi"], shim)
    return make_disk(output, parts, None if initrd is None else Path(initrd), root)


def _protocol(text: str) -> int:
    major, minor = (parse_decimal(part) for part in text.partition(".")[::2])
    if major is None or minor is None or major > 255 or minor > 255:
        raise UsageError(f"--protocol {text}: not a boot protocol version such as 2.15")
    return major << 8 | minor


_ACTIONS: Final = {"list": _list, "fetch": _fetch, "path": _path, "clean": _clean, "make": _make}
