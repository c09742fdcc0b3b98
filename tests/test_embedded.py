"""The embedded venue: it is there when it is needed, and gone afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from nadows import embedded
from nadows.client import connect
from nadows.embedded import embedded_venue
from nadows.errors import ConnectFailed


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def stand_in(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a script in the place of the venue."""
    real = asyncio.create_subprocess_exec

    async def start(*_: str, **options: object) -> asyncio.subprocess.Process:
        return await real(sys.executable, "-c", script, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("nadows.embedded.asyncio.create_subprocess_exec", start)


async def test_it_serves_a_client_and_ends_with_the_block() -> None:
    """Its options are those of `nadows serve`; no process is left."""
    async with embedded_venue(flow="off", seed=3, limits="off", extra=["--chain-id", "57073"]) as venue:
        assert is_running(venue.pid)
        assert ("sim", 57073) == (venue.network.name, venue.network.chain_id)
        async with connect(venue.network) as client:
            assert "ETH-PERP" == client.products.find("ETH").symbol
    assert not is_running(venue.pid)


async def test_it_ends_also_when_the_block_fails() -> None:
    """An error goes through, and takes the venue with it."""
    with pytest.raises(KeyError):
        async with embedded_venue() as venue:
            raise KeyError
    assert not is_running(venue.pid)


async def test_it_gets_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue signs nothing, so its environment holds no key of the user's."""
    monkeypatch.setenv("NADOWS_PRIVATE_KEY", "5e" * 32)
    async with embedded_venue() as venue:
        environment = environment_of(venue.pid)
    assert b"PATH=" in environment
    assert b"5e5e" not in environment


async def test_its_death_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its last words."""
    async with embedded_venue() as venue:
        os.kill(venue.pid, signal.SIGKILL)
        assert "the embedded venue ended with code -9" == await venue.died()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; sys.exit('no luck today')", "ended with code 1: no luck today"),
        ("print('{}', flush=True); input()", "the venue's ready line needs 'chain_id'"),
        ("print('<html>', flush=True); input()", "says b'<html>"),
        ("import sys; print('x' * 5000, file=sys.stderr); sys.exit(3)", "ended with code 3: x{1999}$"),
    ],
)
async def test_a_venue_that_does_not_start_is_told(
    monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    """It cannot be connected to, and what it said is why."""
    stand_in(monkeypatch, script)
    with pytest.raises(ConnectFailed, match=message):
        async with embedded_venue():
            pass


async def test_a_venue_that_is_not_ready_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is an end to waiting, and another way."""
    monkeypatch.setattr(embedded, "_READY_S", 0.2)
    stand_in(monkeypatch, "input()")
    with pytest.raises(ConnectFailed, match=r"was not ready within 0 s; .*--url"):
        async with embedded_venue():
            pass


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("input()", 1),
        ("import time; print(flush=True); time.sleep(60)", -signal.SIGTERM),
        (
            "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)",
            -signal.SIGKILL,
        ),
    ],
)
async def test_a_venue_that_does_not_end_is_made_to(
    monkeypatch: pytest.MonkeyPatch, script: str, code: int
) -> None:
    """First it is told by its input, then asked, then killed."""
    monkeypatch.setattr(embedded, "_END_S", 0.3 if code != 1 else 20)
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdin=PIPE, stdout=PIPE, stderr=errors
        )
        assert process.stdout is not None
        if code != 1:
            await process.stdout.readline()
        await embedded._end(process)
    assert code == process.returncode
