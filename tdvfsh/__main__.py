"""``python -m tdvfsh``."""

from __future__ import annotations

import sys

from tdvfsh.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
