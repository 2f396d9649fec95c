"""Pages are tests, too: see :mod:`tests.documents`. Nobody's own defaults count in a test, nor in what it starts."""

from __future__ import annotations

import os
import tempfile

from tests.documents.plugin import pytest_addoption, pytest_collect_file

__all__ = ["pytest_addoption", "pytest_collect_file"]

os.environ["XDG_CONFIG_HOME"] = os.environ["APPDATA"] = os.path.join(tempfile.gettempdir(), "tdvfsh-no-config")
