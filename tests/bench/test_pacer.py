"""Timers: never early, replaceable, quiet when closed. How late they are is measured, not tested."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable

import pytest

from nadows.bench import pacer as pacers
from nadows.bench.pacer import CoarsePacer, Pacer, TimerFdPacer, make_pacer
from nadows.errors import NadowsError

Make = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Pacer]

KINDS = [TimerFdPacer, CoarsePacer]


class Calls:
    """Notes when it was called."""

    def __init__(self) -> None:
        self.at_ns: list[int] = []
        self.event = asyncio.Event()

    def __call__(self) -> None:
        self.at_ns.append(time.monotonic_ns())
        self.event.set()

    async def next(self) -> int:
        async with asyncio.timeout(10):
            await self.event.wait()
        self.event.clear()
        return self.at_ns[-1]


@pytest.mark.parametrize("make", KINDS)
async def test_pacer_calls_at_its_instant_and_not_before(make: Make) -> None:
    """A callback comes when its instant has come, near or far, and at once for one that has passed."""
    calls = Calls()
    pacer = make(asyncio.get_running_loop(), calls)
    for ahead_ns in (5_000_000, 500_000, 0, -10_000_000):
        at_ns = time.monotonic_ns() + ahead_ns
        pacer.arm(at_ns)

        assert at_ns <= await calls.next()
    pacer.close()


@pytest.mark.parametrize("make", KINDS)
async def test_arming_again_replaces_the_instant(make: Make) -> None:
    """There is one instant at a time: the last one asked for."""
    calls = Calls()
    pacer = make(asyncio.get_running_loop(), calls)
    pacer.arm(time.monotonic_ns() + 3_600_000_000_000)
    pacer.arm(time.monotonic_ns() + 1_000_000)

    await calls.next()

    assert 1 == len(calls.at_ns)
    pacer.close()


@pytest.mark.parametrize("make", KINDS)
async def test_closed_pacer_is_silent(make: Make) -> None:
    """After closing, also twice, nothing comes any more."""
    calls, other = Calls(), Calls()
    pacer, clock = make(asyncio.get_running_loop(), calls), make(asyncio.get_running_loop(), other)
    pacer.arm(time.monotonic_ns() + 1_000_000)
    pacer.close()
    pacer.close()

    clock.arm(time.monotonic_ns() + 5_000_000)
    await other.next()

    assert [] == calls.at_ns
    clock.close()


async def test_timer_armed_anew_while_it_rings_is_not_taken_for_the_old_one() -> None:
    """Between becoming readable and being read the timer may have been set again; then it will ring later."""
    calls = Calls()
    pacer = TimerFdPacer(asyncio.get_running_loop(), calls)
    pacer.arm(time.monotonic_ns() + 3_600_000_000_000)

    pacer._expired()

    assert [] == calls.at_ns
    pacer.close()


@pytest.mark.parametrize("has_timerfd", [True, False])
async def test_best_pacer_of_the_system_is_made(monkeypatch: pytest.MonkeyPatch, has_timerfd: bool) -> None:
    """Without a timerfd the loop's own timer and some spinning must do."""
    if not has_timerfd:
        monkeypatch.setattr(pacers, "_libc", object())

    pacer = make_pacer(asyncio.get_running_loop(), Calls())

    assert (TimerFdPacer if has_timerfd else CoarsePacer) is type(pacer)
    pacer.close()


async def test_system_that_gives_no_timer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of descriptors, or a bad one: a sentence with the system's reason."""

    class Libc:
        def timerfd_create(self, *args: object) -> int:
            ctypes.set_errno(24)
            return -1

        def timerfd_settime(self, *args: object) -> int:
            ctypes.set_errno(9)
            return -1

    loop = asyncio.get_running_loop()
    pacer = TimerFdPacer(loop, Calls())
    monkeypatch.setattr(pacers, "_libc", Libc())

    with pytest.raises(NadowsError, match=os.strerror(24)):
        TimerFdPacer(loop, Calls())
    with pytest.raises(NadowsError, match=os.strerror(9)):
        pacer.arm(1)
    pacer.close()
