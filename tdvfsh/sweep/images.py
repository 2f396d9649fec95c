"""From what a spec names to facts: each file is opened once, and made images need not stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tdvfsh.boots.open_files import check_cmdline, open_boot_files
from tdvfsh.errors import FormatError
from tdvfsh.formats.compression import codec_at
from tdvfsh.formats.cpio import is_cpio
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.images.make import make_kernel
from tdvfsh.sweep.facts import ImageFacts, KernelFacts, facts_of, kernel_facts
from tdvfsh.sweep.spec import ImageRequest, MadeKernel
from tdvfsh.units import format_size

Progress = Callable[[str, int, int], None]
"""Progress callback (image, images done, images total)."""


def read_images(requests: Sequence[ImageRequest], progress: Progress | None = None) -> list[ImageFacts]:
    """The facts of all images, in their order.

    Raises:
        HostError, FormatError: A file that cannot be read, or is invalid.
        UsageError: Invalid sizes of a made kernel, or an invalid command line.
    """
    kernels: dict[Path | MadeKernel, KernelFacts] = {}
    initrds: dict[Path, int] = {}
    facts = []
    for number, request in enumerate(requests):
        if progress is not None:
            progress(request.name, number, len(requests))
        kernel = kernels.get(request.kernel)
        if kernel is None:
            kernel = kernels[request.kernel] = _kernel(request.kernel)
        check_cmdline(kernel.linux, kernel.path, request.cmdline)
        sizes = []
        for initrd in request.initrds:
            if isinstance(initrd, Path) and initrd not in initrds:
                initrds[initrd] = _initrd_size(initrd)
            sizes.append((initrd.name, initrds[initrd]) if isinstance(initrd, Path) else (format_size(initrd), initrd))
        facts.append(facts_of(request.name, kernel, sizes, request.cmdline))
    return facts


def _kernel(wanted: Path | MadeKernel) -> KernelFacts:
    if isinstance(wanted, Path):
        with open_boot_files(wanted, names=[wanted.name]) as opened:
            return kernel_facts(opened.boot.kernel)
    with TemporaryDirectory(prefix="tdvfsh-sweep-") as folder:
        path = Path(folder) / "vmlinuz"
        make_kernel(path, wanted.size, wanted.init_size, wanted.size_of_image, wanted.output_len)
        with open_boot_files(path, names=["made kernel"]) as opened:
            return kernel_facts(opened.boot.kernel)


def _initrd_size(path: Path) -> int:
    """Bytes of an initrd. Its beginning is looked at, not all of it: what it unpacks to decides nothing here."""
    with open_mapped(path) as mapped:
        source = mapped.source
        start = source.skip_zeros(0)
        if start == source.size or not (is_cpio(source.peek(start, 6)) or codec_at(source, start)):
            raise FormatError(str(path), "not an initrd: neither a cpio archive nor a known compression begins", start)
        return mapped.size
