"""Boots of made files, as the machine's own tests make them."""

from __future__ import annotations

from tests.boots.made_files import cloud_kernel, opened

__all__ = ["cloud_kernel", "opened"]
