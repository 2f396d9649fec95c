"""What tests of the engine share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.client import Client
from tests.engine.programs import guest


@pytest.fixture
def client() -> Iterator[Client]:
    with guest(keys="ab\x1b[A\x03") as (firmware, output):
        yield Client(firmware, output)
