"""Real processes, killed while they trade."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from nadows.journal.journal import Sync

from .crashes import crash_again_and_again


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("sync", [Sync.ALWAYS, Sync.NEVER])
async def test_a_killed_client_loses_and_doubles_nothing(tmp_path: Path, sync: Sync) -> None:
    """Whenever it dies; `make journal-crashes` kills more of them."""
    outcome = await crash_again_and_again(tmp_path, 4, random.Random(5), sync)

    assert () == outcome.problems
    assert outcome.fills > 20
