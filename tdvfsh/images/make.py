"""Made kernels and initrds: valid files of any size, in milliseconds, and a small initrd that runs."""

from __future__ import annotations

from tdvfsh.images.make_init import make_init
from tdvfsh.images.make_initrd import COMPRESSIONS, make_initrd
from tdvfsh.images.make_kernel import make_kernel
from tdvfsh.images.make_uki import make_uki

__all__ = ["COMPRESSIONS", "make_init", "make_initrd", "make_kernel", "make_uki"]
