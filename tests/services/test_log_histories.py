"""Random histories of the log: see `log_history`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from tests.services.log_history import History

SEEDS = range(int(os.environ.get("RIDE_TRIO_HISTORIES", "12")))
STEPS = 200


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_random_history(nursery: trio.Nursery, tmp_path: Path, seed: int) -> None:
    history = History(nursery, tmp_path, seed)
    await history.run(STEPS)
    assert len(history.seen) > 50
    nursery.cancel_scope.cancel()
