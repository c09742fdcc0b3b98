"""The official SDK against the venue; skipped where its environment is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from nadows.network import Network
from tests.interop import runner
from tests.interop.runner import DEFAULT_PYTHON, VENUES, InteropFailed, run_checks

NOWHERE = Network.local(1)
LINE = '{"check": 1, "of": 2, "title": "a", "ok": true, "detail": "", "ms": 1}'


@pytest.mark.slow
@pytest.mark.skipif(
    not DEFAULT_PYTHON.exists(),
    reason="the official SDK is not in .venv-sdk; `make interop` installs it there, and runs this too",
)
@pytest.mark.parametrize("name", VENUES)
async def test_the_official_sdk_works_against_the_venue(name: str) -> None:
    """Every check of the unmodified SDK passes, whichever way the venue's open questions are answered."""
    async with VENUES[name]() as network:
        checks = await run_checks(DEFAULT_PYTHON, network)

    assert [] == [check for check in checks if not check.ok]


def _python(directory: Path, body: str) -> Path:
    """Make a program that stands in for the SDK's Python."""
    program = directory / "python"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (f"echo '{LINE}'; echo boom >&2", "ended early.*boom"),
        ("echo boom >&2", "ended early.*boom"),
        ("echo hello", "is no check.*hello"),
    ],
)
async def test_checks_that_do_not_run_to_their_end_are_a_failure(
    tmp_path: Path, body: str, told: str
) -> None:
    """A script that dies or says something else is not taken for one that passed."""
    with pytest.raises(InteropFailed, match=f"(?s){told}"):
        await run_checks(_python(tmp_path, body), NOWHERE)


async def test_checks_that_hang_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's requests wait for ever, so the runner does not."""
    monkeypatch.setattr(runner, "TIMEOUT_S", 0.2)

    with pytest.raises(InteropFailed, match="did not end within"):
        await run_checks(_python(tmp_path, "exec sleep 60"), NOWHERE)
