"""Pages are tests, too: see :mod:`tests.documents`. Nobody's own defaults count in a test, nor in what it starts."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from tests.documents.plugin import pytest_addoption, pytest_collect_file

__all__ = ["pytest_addoption", "pytest_collect_file"]

# A folder outside of the checkout: a browser that a test starts writes there.
_NO_CONFIGURATION = tempfile.mkdtemp(prefix="tdvfsh-tests-")
atexit.register(shutil.rmtree, _NO_CONFIGURATION, ignore_errors=True)
os.environ["XDG_CONFIG_HOME"] = os.environ["APPDATA"] = _NO_CONFIGURATION
