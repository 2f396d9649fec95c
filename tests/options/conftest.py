"""Shells over a folder in memory."""

from __future__ import annotations

from tests.shell.under_test import under_test

__all__ = ["under_test"]
