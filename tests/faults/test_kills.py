"""A few of the kills that ``python -m tests.faults`` makes a hundred of."""

from __future__ import annotations

import pytest

from tests.faults.kills import KINDS, kill_often


@pytest.mark.parametrize("kind", KINDS)
def test_kill_at_random_moments_tears_and_loses_nothing(kind: str) -> None:
    kill_often(kind, 2, seed=1)
