"""Wake up at an instant, to some ten microseconds.

The timers of an event loop are too coarse for a schedule: asyncio's rounds up to a millisecond, uvloop's
counts in milliseconds and may fire early. A ``timerfd`` is a timer that is read like a socket, so it goes
through the loop's precise path (median error 20 to 60 us where the loop's own timers have 600). Where there
is none, the loop's timer brings us near and the rest is spun away.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from typing import Final, Protocol

from nadows.errors import NadowsError

__all__ = ["CoarsePacer", "Pacer", "TimerFdPacer", "make_pacer"]

_CLOCK_MONOTONIC: Final = 1
_TFD_TIMER_ABSTIME: Final = 1
_SPIN_NS: Final = 1_500_000
"""How early the loop's timer is asked for: its resolution, and the half of it again."""


class Pacer(Protocol):
    """A timer of one instant at a time."""

    name: str
    """For reports."""

    def arm(self, at_ns: int) -> None:
        """Call back at an instant of the monotonic clock, at once if it has passed; replaces the last one."""

    def close(self) -> None:
        """Call back no more."""


class TimerFdPacer:
    """A Linux ``timerfd`` in the event loop."""

    name = "timerfd"

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._fd = _timerfd_create()
        # Made once: making it anew costs more than the system call.
        self._value = _Itimerspec()
        self._value_ref = ctypes.byref(self._value)
        self._at = self._value.value
        loop.add_reader(self._fd, self._expired)

    def arm(self, at_ns: int) -> None:
        """See `Pacer.arm`."""
        # 0 would disarm it.
        self._at.seconds, self._at.nanoseconds = divmod(max(at_ns, 1), 10**9)
        _timerfd_settime(self._fd, self._value_ref)

    def close(self) -> None:
        """See `Pacer.close`; idempotent."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _expired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            # Armed again between becoming readable and now: it will come.
            return
        self._callback()


class CoarsePacer:
    """The loop's timer for the most part, spinning for the rest; for systems without ``timerfd``."""

    name = "sleep and spin"

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._handle: asyncio.Handle | None = None
        self._at_ns = 0

    def arm(self, at_ns: int) -> None:
        """See `Pacer.arm`."""
        self.close()
        self._at_ns = at_ns
        self._wait()

    def close(self) -> None:
        """See `Pacer.close`; idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _wait(self) -> None:
        left_ns = self._at_ns - time.monotonic_ns()
        if left_ns > _SPIN_NS:
            self._handle = self._loop.call_later((left_ns - _SPIN_NS) / 1e9, self._wait)
        else:
            # One turn of the loop at a time, so that answers are read meanwhile.
            self._handle = self._loop.call_soon(self._wait if left_ns > 0 else self._callback)


def make_pacer(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> Pacer:
    """Return the best pacer of this system."""
    has_timerfd = hasattr(_libc, "timerfd_create")
    return TimerFdPacer(loop, callback) if has_timerfd else CoarsePacer(loop, callback)


# Python has these calls from 3.13 on; one way for all versions is easier to trust than two.
_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


def _timerfd_create() -> int:
    fd: int = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        raise NadowsError(f"the system gives no timer: {os.strerror(ctypes.get_errno())}")
    return fd


def _timerfd_settime(fd: int, value: object) -> None:
    if _libc.timerfd_settime(fd, _TFD_TIMER_ABSTIME, value, None):
        raise NadowsError(f"the timer cannot be set: {os.strerror(ctypes.get_errno())}")
