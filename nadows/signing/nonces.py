"""Nonces that never repeat within a process.

The venue reads ``nonce = (receive time in ms) << 20 | 20 free bits``. The free bits count up, and
each run of 2**20 draws (an epoch) uses each of their values once; so two draws of one epoch differ
whatever the clock says. A new epoch starts one millisecond above every receive time used before,
so two epochs differ as well. The clock may stand still, jump back, or be asked for a million nonces
in a millisecond: a receive time is only ever moved when an epoch ends, and then by the least amount.

Source: protocol.md 3.2 (Order struct), nonce.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

from nadows.errors import UsageError

__all__ = ["DEFAULT_WINDOW_MS", "NonceSource", "nonce_recv_time_ms", "process_nonces"]

DEFAULT_WINDOW_MS: Final = 90_000
"""How far ahead of now the receive time lies, as the SDKs do; the venue refuses over 100 s (code 2012)."""

_LOW_BITS: Final = 20
_EPOCH: Final = 1 << _LOW_BITS
_MAX_RECV_MS: Final = (1 << 44) - 1


class _Sequence:
    """The draws that must not collide with each other."""

    __slots__ = ("_drawn", "_epoch", "_first", "_floor_ms", "_lock", "_top_ms")

    def __init__(self, first: int = 0, epoch: int = _EPOCH) -> None:
        self._lock = Lock()
        self._epoch = epoch
        self._first = first
        self._drawn = 0
        self._floor_ms = 0
        self._top_ms = -1

    def draw(self, recv_ms: int) -> int:
        # A strategy may sign in worker threads; the lock costs a five-hundredth of a signature.
        with self._lock:
            if self._drawn == self._epoch:
                self._start_epoch()
            recv_ms = max(recv_ms, self._floor_ms)
            self._top_ms = max(self._top_ms, recv_ms)
            low = (self._first + self._drawn) % _EPOCH
            self._drawn += 1
            return recv_ms << _LOW_BITS | low

    def restart(self, first: int) -> None:
        with self._lock:
            self._first = first
            self._start_epoch()

    def _start_epoch(self) -> None:
        self._floor_ms = self._top_ms + 1
        self._drawn = 0


_PROCESS: Final = _Sequence()


class NonceSource:
    """Draws nonces for orders and cancellations.

    All sources of a process share one sequence, so that two of them never draw the same nonce. A source
    made with *first* has a sequence of its own, for simulations and tests that must repeat themselves; use
    such a one only where nothing else signs for the same wallet.
    """

    __slots__ = ("_sequence",)

    def __init__(self, first: int | None = None) -> None:
        self._sequence = _PROCESS if first is None else _Sequence(first)

    def next(self, now_ms: int, window_ms: int = DEFAULT_WINDOW_MS) -> int:
        """Return a nonce that no source of this sequence has returned before.

        Args:
            now_ms: The venue's clock as well as it is known, ms since the epoch.
            window_ms: How long the request may take to arrive.

        Raises:
            UsageError: If the receive time does not fit the nonce's 44 bits.
        """
        recv_ms = now_ms + window_ms
        if not 0 <= recv_ms <= _MAX_RECV_MS:
            raise UsageError(f"receive time must lie between 0 and 2**44 ms since the epoch, got {recv_ms}")
        return self._sequence.draw(recv_ms)

    def restart(self, first: int) -> None:
        """Continue with other low bits, still without repeating.

        Two processes that trade one wallet draw the same nonces if they start alike; give each a random
        *first* at start-up, and again in the child after a fork.
        """
        self._sequence.restart(first)


def process_nonces() -> NonceSource:
    """Return a source of the process-wide sequence: what users want unless they know better."""
    return NonceSource()


def nonce_recv_time_ms(nonce: int) -> int:
    """Return the receive time in a nonce, ms since the epoch; after it the request cannot take effect."""
    return nonce >> _LOW_BITS
