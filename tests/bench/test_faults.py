"""Faults from outside: a process that stands still, and sockets that are cut."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from nadows.bench.faults import Fault, cut_wires, instants, stall_process
from nadows.bench.scenario import Disconnect, Stall

SECOND = 10**9


def test_faults_come_once_or_again_and_again() -> None:
    """Until the end of the run, from the first instant on."""
    assert [2 * SECOND] == list(instants(Stall(2 * SECOND, 1), 10 * SECOND))
    assert [SECOND, 4 * SECOND, 7 * SECOND] == list(instants(Disconnect(SECOND, 3 * SECOND), 10 * SECOND))
    assert [] == list(instants(Disconnect(SECOND), SECOND))


def child(code: str = "import sys; sys.stdin.read()") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def stopped(pid: int) -> None:
    """Wait until a child has been stopped."""
    await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


async def test_process_stands_still_and_goes_on() -> None:
    """It is stopped at its instant, and told when and how long."""
    done: list[Fault] = []
    with child() as process:
        start_ns = time.monotonic_ns()
        stalling = asyncio.ensure_future(
            stall_process(process.pid, Stall(0, 100_000_000, 200_000_000), start_ns, 300_000_000, done)
        )
        await stopped(process.pid)
        assert "T" == state_of(process.pid)
        await stalling
        assert "T" != state_of(process.pid)
        process.communicate()

    assert ["stall", "stall"] == [fault.kind for fault in done]
    assert all(fault.length_ns >= 50_000_000 for fault in done)


async def test_process_goes_on_when_the_run_is_over() -> None:
    """A run that ends in the middle of a stall leaves nothing stopped."""
    with child() as process:
        stalling = asyncio.ensure_future(
            stall_process(process.pid, Stall(0, 50 * SECOND), time.monotonic_ns(), SECOND, [])
        )
        await stopped(process.pid)
        stalling.cancel()
        await asyncio.gather(stalling, return_exceptions=True)
        assert "T" != state_of(process.pid)
        process.communicate()


async def test_process_that_is_gone_is_no_error() -> None:
    """The run says that it died; the stall need not."""
    with child("") as process:
        process.wait()
    done: list[Fault] = []

    results = await asyncio.gather(
        stall_process(process.pid, Stall(0, 1), time.monotonic_ns(), SECOND, done), return_exceptions=True
    )

    assert [ProcessLookupError] == [type(each) for each in results]


def test_only_wires_to_the_venue_are_cut() -> None:
    """The other end of the venue's port reads an end; other sockets live on."""
    with ExitStack() as stack:
        venue, other = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        wire, spared = (
            stack.enter_context(socket.create_connection(each.getsockname())) for each in (venue, other)
        )
        far, far_spared = (stack.enter_context(each.accept()[0]) for each in (venue, other))

        assert 1 == cut_wires(venue.getsockname()[1])

        assert (b"", b"") == (far.recv(1), wire.recv(1))
        spared.sendall(b"x")
        assert b"x" == far_spared.recv(1)
