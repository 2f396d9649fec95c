"""Synthetic kernels and initrds: valid files of any size, in milliseconds."""

from __future__ import annotations

from tdvfsh.images.make_initrd import COMPRESSIONS, make_initrd
from tdvfsh.images.make_kernel import make_kernel
from tdvfsh.images.make_uki import make_uki

__all__ = ["COMPRESSIONS", "make_initrd", "make_kernel", "make_uki"]
