"""One line over several connections, for whoever owns the sockets and the clock.

A `Feed` is the end of a connection: what its frames go to, and what is to be said on it. The subscription
line of a desk is one. `Copies` stands before such a feed and gives a feed for each of several connections;
the one behind sees one connection, which is made with the first of them and lost when nobody is left who
could go on alone. What decides that is in `nadows.merging`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol

from nadows.arrivals import LineStats
from nadows.desk import STREAMS, CopyLost, CopyRestored
from nadows.lifecycle import LifeOptions
from nadows.merging import LineMerger
from nadows.network import AUTHENTICATED_CONNECTIONS
from nadows.session import Authenticator, LineState

__all__ = ["Copies", "CopyHealth", "Feed", "copy_names", "life_of_copies"]


class Feed(Protocol):
    """What a connection's frames go to, and what is to be said on it."""

    @property
    def state(self) -> LineState:
        """How far the conversation has got."""

    def connected(self, now_ns: int) -> None:
        """The connection is open."""

    def frame(self, frame: str | bytes, now_ns: int) -> None:
        """A frame came."""

    def lost(self, reason: str, now_ns: int) -> None:
        """The connection is gone."""

    def frames_to_send(self) -> list[bytes]:
        """Take what is to be written now, in order; call after each of the others."""

    def probe(self, now_ns: int) -> None:
        """Ask for something that the venue answers."""


def copy_names(copies: int) -> list[str]:
    """Name the connections of the subscription line."""
    return [STREAMS, *(f"{STREAMS} {number}" for number in range(2, copies + 1))]


def life_of_copies(options: LifeOptions, copies: int) -> LifeOptions:
    """Share out among a wallet's connections how many places lost ones may take at the venue."""
    ghosts = (AUTHENTICATED_CONNECTIONS - copies) // copies
    return replace(options, max_ghosts=max(min(options.max_ghosts, ghosts), 0))


class CopyHealth(NamedTuple):
    """How one of several connections fares."""

    is_open: bool
    is_live: bool
    """Whether it carries everything that is asked for, and could go on alone."""
    stats: LineStats


class Copies:
    """Several connections that look like one.

    Args:
        behind: The feed that sees one connection.
        copies: How many there are.
        authenticate: Builds the signed request for each; ``None`` for public streams only.
        tell: Takes what happens to a single connection.
        ack_timeout_ns: How long the venue may take to acknowledge on one of them; shorter than what the
            session behind allows, so that one deaf connection is replaced before the line is given up.

    Raises:
        UsageError: If there is no connection, or more with a key than a wallet may have.
    """

    def __init__(
        self,
        behind: Feed,
        copies: int,
        authenticate: Authenticator | None,
        tell: Callable[[CopyLost | CopyRestored], None],
        *,
        ack_timeout_ns: int,
    ) -> None:
        self.stats = tuple(LineStats() for _ in range(copies))
        """What each connection is worth."""
        self._behind = behind
        self._authenticate = authenticate
        self._ack_timeout_ns = ack_timeout_ns
        self._merger = self._new_merger()
        self._tell = tell
        self._open: set[int] = set()
        """Connections of the present line; others have to be closed and made anew."""
        self._down: dict[int, int] = {}
        """Since when those are not live that were lost."""
        self._cuts: dict[int, str] = {}
        self._is_pumping = False
        self.feeds: tuple[Feed, ...] = tuple(_Copy(self, number) for number in range(copies))
        """One for each connection."""

    @property
    def health(self) -> tuple[CopyHealth, ...]:
        """How each connection fares."""
        return tuple(
            CopyHealth(number in self._open, self._merger.is_live(number), stats)
            for number, stats in enumerate(self.stats)
        )

    def write(self, now_ns: int) -> None:
        """Hand the connections what the feed behind has to say; then write what each has to say itself."""
        for frame in self._behind.frames_to_send():
            self._merger.request(frame, now_ns)
        self._pump(now_ns)

    def next_deadline(self) -> int | None:
        """When `tick` has something to do (ns, monotonic), ``None`` if nothing is due ever."""
        return self._merger.next_deadline()

    def tick(self, now_ns: int) -> None:
        """Do what is due."""
        self._merger.tick(now_ns)
        for number in self._open:
            if self._merger.is_broken(number):
                self._cuts[number] = "it was refused something, or not acknowledged in time"
        self._pump(now_ns)

    def to_cut(self) -> dict[int, str]:
        """Return, and forget, the connections that are not to be trusted any more, and why: close them."""
        cuts, self._cuts = self._cuts, {}
        return cuts

    # -- inside: the connections --------------------------------------------------------------

    def _new_merger(self) -> LineMerger:
        return LineMerger(self.stats, self._authenticate, ack_timeout_ns=self._ack_timeout_ns)

    def _state(self, number: int) -> LineState:
        return self._merger.sessions[number].state

    def _connected(self, number: int, now_ns: int) -> None:
        is_first = not self._open
        self._open.add(number)
        self._merger.connection_made(number, now_ns)
        if is_first:
            self._behind.connected(now_ns)
        self.write(now_ns)

    def _frame(self, number: int, frame: str | bytes, now_ns: int) -> None:
        if number not in self._open:
            return
        self._merger.frame_received(number, frame, now_ns)
        if self._merger.is_broken(number):
            self._cuts[number] = "it was refused what the line needs"
        self._pump(now_ns)

    def _lost(self, number: int, reason: str, now_ns: int) -> None:
        if number not in self._open:
            return
        self._open.discard(number)
        self._cuts.pop(number, None)
        self._merger.connection_lost(number, now_ns)
        if not self._merger.is_over:
            if self._down.setdefault(number, now_ns) == now_ns:
                self._tell(CopyLost(number, reason))
            self._pump(now_ns)
            return
        # What the session behind is to hear no more goes with the merger.
        self._cuts = dict.fromkeys(self._open, "the line begins anew")
        self._open.clear()
        self._down.clear()
        self._merger = self._new_merger()
        self._behind.lost(reason, now_ns)

    def _pump(self, now_ns: int) -> None:
        if self._is_pumping:
            # Said while the feed behind is told something: the loop below goes on with it.
            return
        self._is_pumping = True
        try:
            while frames := self._merger.frames_up():
                for frame in frames:
                    self._behind.frame(frame, now_ns)
        finally:
            self._is_pumping = False
        for number, since_ns in tuple(self._down.items()):
            if self._merger.is_live(number):
                del self._down[number]
                self._tell(CopyRestored(number, now_ns - since_ns))


class _Copy:
    """The feed of one connection."""

    def __init__(self, copies: Copies, number: int) -> None:
        self._copies = copies
        self._number = number

    @property
    def state(self) -> LineState:
        return self._copies._state(self._number)

    def connected(self, now_ns: int) -> None:
        self._copies._connected(self._number, now_ns)

    def frame(self, frame: str | bytes, now_ns: int) -> None:
        self._copies._frame(self._number, frame, now_ns)

    def lost(self, reason: str, now_ns: int) -> None:
        self._copies._lost(self._number, reason, now_ns)

    def frames_to_send(self) -> list[bytes]:
        return self._copies._merger.frames_to_send(self._number)

    def probe(self, now_ns: int) -> None:
        self._copies._merger.probe(self._number, now_ns)
