"""Pages are tests, too: see :mod:`tests.documents`."""

from __future__ import annotations

from tests.documents.plugin import pytest_addoption, pytest_collect_file

__all__ = ["pytest_addoption", "pytest_collect_file"]
