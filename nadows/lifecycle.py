"""The life of one connection, as a machine without I/O.

`Lifeline` decides when a socket is opened, probed and cut; whoever owns the sockets and the clock (the
asyncio client, the tests on a virtual clock) does what it says and tells it what happens::

    for what in line.tick(now_ns):      # Do.OPEN, Do.PROBE, Do.CUT
        ...
    line.opened(now_ns, keyed=True)     # or line.failed(now_ns, retry_after_ns)
    line.heard(now_ns)                  # a frame came
    line.follow(session.state, now_ns)  # how far the conversation has got
    line.lost(now_ns, clean=True)

* The first retry is at once, later ones wait an exponentially growing time with full jitter, kept at its
  cap; a connection that did not live counts as a failure. ``Retry-After`` is honoured.
* A line on which nothing comes is probed before it is cut, so that a quiet market is no alarm.
* A connection that was given up unanswered may still be open at the venue, where it takes one of the few
  places of the wallet until the venue notices; the next one waits while too many such are about.

`LIFE_TRANSITIONS` is the whole life as data.
"""

from __future__ import annotations

import enum
import random
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from nadows.pacing import Backoff
from nadows.session import LineState

__all__ = [
    "LIFE_TRANSITIONS",
    "ClientState",
    "Do",
    "LifeEvent",
    "LifeOptions",
    "LifeState",
    "Lifeline",
    "client_state",
]

_SECOND: Final = 1_000_000_000


class LifeState(enum.Enum):
    """Where a connection stands."""

    BACKING_OFF = "backing off"
    """Not connected; waits until it may try."""
    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    RESTORING = "restoring"
    """Connected; what was asked for is being asked for again."""
    LIVE = "live"
    DEGRADED = "degraded"
    """Connected, but silent for so long that a probe is out: what comes next is an answer or the end."""
    CLOSED = "closed"
    """Stopped for good."""


class ClientState(enum.Enum):
    """Where a client stands as a whole."""

    LIVE = "live"
    """Every line is up, and everything asked for on it is restored."""
    RESTORING = "restoring"
    """A line is down or being restored, and not for long yet."""
    DEGRADED = "degraded"
    """A line has been down for long: REST is asked in its stead (`nadows.polling`)."""
    CLOSED = "closed"


def client_state(lines: Collection[LifeState], *, is_polling: bool) -> ClientState:
    """Sum up the states of a client's lines.

    Args:
        lines: Of each line; one that is silent and probed, `LifeState.DEGRADED`, still counts as live.
        is_polling: Whether REST is asked in a line's stead.
    """
    if all(state is LifeState.CLOSED for state in lines):
        return ClientState.CLOSED
    if is_polling:
        return ClientState.DEGRADED
    up = all(state in (LifeState.LIVE, LifeState.DEGRADED) for state in lines)
    return ClientState.LIVE if up else ClientState.RESTORING


class LifeEvent(enum.Enum):
    """What moves it."""

    DUE = "due"
    """The wait is over."""
    OPENED_WITH_KEY = "opened with key"
    OPENED = "opened"
    AUTHENTICATED = "authenticated"
    RESTORED = "restored"
    ASKED = "asked"
    """A subscription was added to a live line."""
    SILENT = "silent"
    HEARD = "heard"
    FAILED = "failed"
    """The connection could not be made."""
    LOST = "lost"
    STOPPED = "stopped"


_CONNECTED: Final = (LifeState.AUTHENTICATING, LifeState.RESTORING, LifeState.LIVE, LifeState.DEGRADED)

LIFE_TRANSITIONS: Final[dict[tuple[LifeState, LifeEvent], LifeState]] = {
    (LifeState.BACKING_OFF, LifeEvent.DUE): LifeState.CONNECTING,
    (LifeState.CONNECTING, LifeEvent.OPENED_WITH_KEY): LifeState.AUTHENTICATING,
    (LifeState.CONNECTING, LifeEvent.OPENED): LifeState.RESTORING,
    (LifeState.CONNECTING, LifeEvent.FAILED): LifeState.BACKING_OFF,
    (LifeState.AUTHENTICATING, LifeEvent.AUTHENTICATED): LifeState.RESTORING,
    (LifeState.RESTORING, LifeEvent.RESTORED): LifeState.LIVE,
    (LifeState.LIVE, LifeEvent.ASKED): LifeState.RESTORING,
    (LifeState.LIVE, LifeEvent.SILENT): LifeState.DEGRADED,
    (LifeState.DEGRADED, LifeEvent.ASKED): LifeState.RESTORING,
    (LifeState.DEGRADED, LifeEvent.HEARD): LifeState.LIVE,
    **{(state, LifeEvent.LOST): LifeState.BACKING_OFF for state in _CONNECTED},
    **{
        (state, LifeEvent.STOPPED): LifeState.CLOSED
        for state in (LifeState.BACKING_OFF, LifeState.CONNECTING, *_CONNECTED)
    },
}
"""Every change of state; an event that has no entry for a state changes nothing there."""


class Do(enum.Enum):
    """What the owner of the socket is to do now."""

    OPEN = "open"
    """Connect; answer with `Lifeline.opened` or `Lifeline.failed`."""
    PROBE = "probe"
    """Send something that the venue answers."""
    CUT = "cut"
    """Close the socket without waiting for it; answer with `Lifeline.lost`, not clean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeOptions:
    """Times (ns) and budgets of a line."""

    base_ns: int = _SECOND // 4
    """Longest wait before the second retry."""
    cap_ns: int = 10 * _SECOND
    quiet_ns: int = 5 * _SECOND
    """Silence after which a live line is probed."""
    probe_ns: int = 5 * _SECOND
    """How long anything may take to come after a probe."""
    proven_ns: int = _SECOND
    """How long a line must have been live for its loss to be retried at once."""
    ghost_ns: int = 35 * _SECOND
    """How long the venue may keep a connection that is gone; it drops those silent for 30 s."""
    max_ghosts: int = 3
    """Of five authenticated connections of a wallet: room for this one and for another client."""


class Lifeline:
    """One connection's life.

    Args:
        rng: Source of jitter.
        options: Times and budgets.
    """

    def __init__(self, rng: random.Random, options: LifeOptions | None = None) -> None:
        self.options = options or LifeOptions()
        self.state = LifeState.BACKING_OFF
        self.connects = 0
        """Connections that were made."""
        self.failures = 0
        """Connections that could not be made."""
        self.probes = 0
        self.cuts = 0
        """Connections that were given up because nothing came."""
        self._rng = rng
        self._is_bound = False
        """Whether the wait is not only our own caution."""
        # Apart, so that a venue which was away for long and then ends the first connection, for a reason of
        # its own, is not waited for as if it were still away.
        self._refusals = Backoff(rng, base_ns=self.options.base_ns, cap_ns=self.options.cap_ns)
        self._losses = Backoff(rng, base_ns=self.options.base_ns, cap_ns=self.options.cap_ns)
        self._due_ns: int | None = None
        self._heard_ns = 0
        self._live_ns: int | None = None
        self._cutting = False
        self._ghosts: deque[int] = deque()

    def start(self, now_ns: int) -> None:
        """Begin: the first connection is due at once."""
        self._due_ns = now_ns

    def next_deadline(self) -> int | None:
        """When `tick` has something to say (ns), ``None`` if it waits for news."""
        match self.state:
            case LifeState.BACKING_OFF:
                return self._due_ns
            case LifeState.LIVE:
                return self._heard_ns + self.options.quiet_ns
            case LifeState.DEGRADED if not self._cutting:
                return self._heard_ns + self.options.quiet_ns + self.options.probe_ns
            case _:
                return None

    def tick(self, now_ns: int) -> list[Do]:
        """Say what is to be done now."""
        due = self.next_deadline()
        if due is None or now_ns < due:
            return []
        match self.state:
            case LifeState.BACKING_OFF:
                self._move(LifeEvent.DUE)
                return [Do.OPEN]
            case LifeState.LIVE:
                self.probes += 1
                self._move(LifeEvent.SILENT)
                # The probe is given its full time, however late this was called.
                self._heard_ns = now_ns - self.options.quiet_ns
                return [Do.PROBE]
            case _:
                self.cuts += 1
                self._cutting = True
                return [Do.CUT]

    def opened(self, now_ns: int, *, keyed: bool = False) -> None:
        """The socket is open; *keyed*: authentication comes first."""
        self.connects += 1
        self._heard_ns = now_ns
        self._cutting = False
        self._live_ns = None
        self._refusals.reset()
        # The try that follows the loss of this connection is the one that comes at once.
        self._refusals.next()
        self._move(LifeEvent.OPENED_WITH_KEY if keyed else LifeEvent.OPENED)

    def heard(self, now_ns: int) -> None:
        """A frame came, whatever it says."""
        self._heard_ns = now_ns
        if self.state is LifeState.DEGRADED:
            self._move(LifeEvent.HEARD)

    def follow(self, line: LineState, now_ns: int) -> None:
        """Follow how far the conversation on the socket has got."""
        if line is LineState.RESTORING:
            event = LifeEvent.AUTHENTICATED if self.state is LifeState.AUTHENTICATING else LifeEvent.ASKED
            self._move(event)
        elif line is LineState.LIVE:
            if self.state is LifeState.AUTHENTICATING:
                self._move(LifeEvent.AUTHENTICATED)
            self._move(LifeEvent.RESTORED)
            if self._live_ns is None:
                self._live_ns = now_ns

    def failed(self, now_ns: int, retry_after_ns: int = 0) -> None:
        """The connection could not be made; the server may have asked for patience (ns)."""
        self.failures += 1
        self._move(LifeEvent.FAILED)
        self._retry(now_ns, self._refusals.next(retry_after_ns), is_bound=retry_after_ns > 0)

    def encourage(self, now_ns: int) -> None:
        """Another line has just connected to the same venue: do not wait as long as after a failure.

        What the venue itself has asked for stays, as does the wait for places that may be taken.
        """
        if self.state is LifeState.BACKING_OFF and not self._is_bound and self._due_ns is not None:
            self._due_ns = min(self._due_ns, now_ns + self._rng.randrange(self.options.base_ns))

    def lost(self, now_ns: int, *, clean: bool) -> None:
        """The connection ended.

        Args:
            now_ns: Monotonic clock.
            clean: Whether the other side ended it. If not, and it had been silent, it may not know.
        """
        if self._live_ns is not None and now_ns - self._live_ns >= self.options.proven_ns:
            self._losses.reset()
        if not clean and now_ns - self._heard_ns >= self.options.quiet_ns:
            self._ghosts.append(now_ns + self.options.ghost_ns)
        self._move(LifeEvent.LOST)
        self._retry(now_ns, self._losses.next(), is_bound=False)

    def stop(self) -> None:
        """End for good, from any state; idempotent."""
        self._move(LifeEvent.STOPPED)

    # -- inside -------------------------------------------------------------------------------

    def _move(self, event: LifeEvent) -> None:
        self.state = LIFE_TRANSITIONS.get((self.state, event), self.state)

    def _retry(self, now_ns: int, pause_ns: int, *, is_bound: bool) -> None:
        self._live_ns = None
        while self._ghosts and self._ghosts[0] <= now_ns:
            self._ghosts.popleft()
        due = now_ns + pause_ns
        self._is_bound = is_bound
        if len(self._ghosts) > self.options.max_ghosts:
            self._is_bound = True
            due = max(due, self._ghosts[-1 - self.options.max_ghosts])
        self._due_ns = due
