"""Arguments in, exit status out: the ``tdvfsh`` command."""

from __future__ import annotations

from tdvfsh.cli.main import main

__all__ = ["main"]
