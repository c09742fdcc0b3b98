"""The official SDK against the venue; skipped where its environment is not installed."""

from __future__ import annotations

import pytest

from tests.interop.runner import DEFAULT_PYTHON, VENUES, run_checks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not DEFAULT_PYTHON.exists(),
        reason="the official SDK is not in .venv-sdk; `make interop` installs it there, and runs this too",
    ),
]


@pytest.mark.parametrize("name", VENUES)
async def test_the_official_sdk_works_against_the_venue(name: str) -> None:
    """Every check of the unmodified SDK passes, whichever way the venue's open questions are answered."""
    async with VENUES[name]() as network:
        checks = await run_checks(DEFAULT_PYTHON, network)
    assert [] == [check for check in checks if not check.ok]
