"""Faults that a scenario asks for, done from outside: the venue's process stands still, sockets are cut.

Neither side is told, as in life: a stopped process keeps its sockets open and answers nothing, and a cut
socket is found by whoever reads from it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nadows.bench.scenario import Disconnect, Stall

__all__ = ["Fault", "cut_wires", "instants", "stall_process"]


class Fault(NamedTuple):
    """What was done, and when."""

    kind: str
    """``stall`` or ``disconnect``."""
    at_ns: int
    """Since the start."""
    length_ns: int
    """0 for what takes no time."""


def instants(fault: Stall | Disconnect, duration_ns: int) -> Iterator[int]:
    """Yield when a fault comes, ns after the start, until the end of the run."""
    at_ns = fault.at_ns
    while at_ns < duration_ns:
        yield at_ns
        if fault.every_ns is None:
            return
        at_ns += fault.every_ns


async def stall_process(pid: int, stall: Stall, start_ns: int, duration_ns: int, done: list[Fault]) -> None:
    """Stop a process, and let it go on, as often as asked; whatever happens, it goes on in the end.

    Args:
        pid: Of a child of ours.
        stall: When and how long.
        start_ns: Zero of the schedule on the monotonic clock.
        duration_ns: Of the run.
        done: Is told what was done.
    """
    try:
        for at_ns in instants(stall, duration_ns):
            await _sleep_until(start_ns + at_ns)
            began_ns = time.monotonic_ns()
            os.kill(pid, signal.SIGSTOP)
            await _sleep_until(began_ns + stall.length_ns)
            os.kill(pid, signal.SIGCONT)
            done.append(Fault("stall", began_ns - start_ns, time.monotonic_ns() - began_ns))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def _sleep_until(at_ns: int) -> None:
    await asyncio.sleep(max(0, at_ns - time.monotonic_ns()) / 1e9)


def cut_wires(port: int, folder: Path = Path("/proc/self/fd")) -> int:
    """Shut down every TCP connection of this process to a port of the venue; return how many there were."""
    cut = 0
    for entry in folder.iterdir():
        # A duplicate, so that closing it leaves the event loop's own descriptor alone. What is no socket, or
        # has no peer, is none of ours.
        with suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as wire:
            if wire.getpeername()[1:2] == (port,):
                wire.shutdown(socket.SHUT_RDWR)
                cut += 1
    return cut
