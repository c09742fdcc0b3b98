"""One subscription line over several connections: the first arrival of each event wins.

A `LineMerger` stands between one session and several connections to the same venue. To the session it is a
venue: it answers its requests. To each connection it is a client of its own, a `StreamSession` that
authenticates and subscribes to everything again whenever that connection is made anew. So a connection may
be cut and come back while the session above hears nothing of it.

Every event comes once from each connection. What makes two of them the same:

* a fill: ``(submission_idx, order_digest)``;
* a batch of ``book_depth``: the venue's timestamps, which also say whether it joins the one before. One that
  does not join waits for the connection that still has what is missing, so that a cut breaks no chain;
* anything else: all that it says. Equal events may be several (two equal trades within a nanosecond), so the
  n-th on one connection is the same as the n-th on another.

Of a connection that is made anew nobody knows where it stands: it may be ahead of the one that stayed, which
still has to bring what happened meanwhile. So it catches up first: what it brings first waits until the other
has brought the same, or for `HOLD_NS`, by which connections are taken to differ at most. From there on both
tell the same story and the faster wins again. When the last connection that has not to catch up is lost, the
line is lost (`LineMerger.is_over`): what was on its way there nobody else may have.

`nadows.copies` joins it with a desk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from nadows import messages
from nadows.arrivals import HOLD_NS, Arrival, DepthChain, Identity, LineStats, Repeats, identity_of
from nadows.errors import UsageError, VenueError
from nadows.messages import EVENT_TYPES, BookDepth, Event, Stream, StreamKey
from nadows.network import AUTHENTICATED_CONNECTIONS
from nadows.session import (
    ACK_TIMEOUT_NS,
    Authenticated,
    Authenticator,
    AuthRefused,
    LineState,
    Malformed,
    Overdue,
    Pong,
    Restored,
    SessionEvent,
    StreamSession,
    Subscribed,
    SubscribeRefused,
)

__all__ = ["LineMerger"]


class _Held(NamedTuple):
    """An event of a connection that catches up."""

    identity: Identity
    frame: bytes | str
    is_complete: bool
    """Whether the connection carried everything when it came."""


class LineMerger:
    """Several connections as one.

    Args:
        stats: One for each connection; counts go on in them.
        authenticate: Builds the signed request for each; ``None`` for public streams only.
        ack_timeout_ns: How long the venue may take to acknowledge on one of them.

    Raises:
        UsageError: If there is no connection, or more with a key than a wallet may have.
    """

    def __init__(
        self,
        stats: Sequence[LineStats],
        authenticate: Authenticator | None = None,
        *,
        ack_timeout_ns: int = ACK_TIMEOUT_NS,
    ) -> None:
        lines = len(stats)
        most = AUTHENTICATED_CONNECTIONS if authenticate is not None else None
        if lines < 1 or (most is not None and lines > most):
            limit = f"1 to {most}, the venue's limit for a wallet" if most else "at least 1"
            raise UsageError(f"a line needs {limit} connections, got {lines}")
        self.sessions = tuple(
            StreamSession(authenticate, ack_timeout_ns=ack_timeout_ns) for _ in range(lines)
        )
        self.stats = tuple(stats)
        """What each connection is worth."""
        self._repeats = Repeats(lines)
        self._chains: dict[int, DepthChain] = {}
        self._asked: dict[StreamKey, int] = {}
        """Subscriptions of the session above that it has no answer to, by the id of its request."""
        self._auth_asked: int | None = None
        self._pings: list[deque[int | None]] = [deque() for _ in range(lines)]
        """Whose the pings on each connection are: the id above, or ``None`` for one of its own."""
        self._up: list[bytes | str] = []
        self._broken: set[int] = set()
        self.is_over = False
        """Whether something may be lost: close, and begin anew."""
        self._catching_up: dict[int, deque[_Held]] = {}
        """What waits, of each connection of which is not known where it stands."""
        self._live_since: dict[int, int] = {}
        """When each of these had everything acknowledged."""

    # -- the session above --------------------------------------------------------------------

    def request(self, frame: bytes, now_ns: int) -> None:
        """Take a request of the session above, as the venue would."""
        request = messages.decode_stream_request(frame)
        match request:
            case messages.Authenticate():
                self._auth_asked = request.id
                self._answer_authentication()
            case messages.Subscribe():
                self._asked[request.stream.key] = request.id
                for session in self.sessions:
                    session.subscribe(request.stream, now_ns)
                self._answer_subscription(request.stream.key)
            case messages.Unsubscribe():
                self._drop(request.stream, now_ns)
                self._acknowledge(request.id)
            case messages.Ping():
                self._ping(request.id, now_ns)
            case _:
                self._refuse(request.id, "this line does not know that request")

    def frames_up(self) -> list[bytes | str]:
        """Take what the session above is to hear, in order."""
        up, self._up = self._up, []
        return up

    # -- the connections ----------------------------------------------------------------------

    def connection_made(self, line: int, now_ns: int) -> None:
        """A connection is open."""
        self.stats[line].connects += 1
        if self._has_leader():
            self._catching_up[line] = deque()
        self._session_events(line, self.sessions[line].connection_made(now_ns), now_ns)

    def connection_lost(self, line: int, now_ns: int) -> None:
        """A connection is gone; the others go on."""
        self.sessions[line].connection_lost(now_ns)
        self._broken.discard(line)
        self._catching_up.pop(line, None)
        self._live_since.pop(line, None)
        if not self._has_leader():
            self.is_over = True
            return
        for request_id in filter(None, self._pings[line]):
            # Asked again elsewhere: a probe of the line must not fail for one connection.
            self._ping(request_id, now_ns)
        self._pings[line].clear()
        for key in tuple(self._asked):
            self._answer_subscription(key)
        for product, chain in self._chains.items():
            if len(self._carriers(Stream.book_depth(product).key)) <= 1:
                # Nobody is left who could have what is missing.
                self._up += chain.release(now_ns, all_of_them=True)

    def frame_received(self, line: int, frame: bytes | str, now_ns: int) -> None:
        """Take a frame of a connection."""
        self.stats[line].frames += 1
        for event in self.sessions[line].frame_received(frame, now_ns):
            if isinstance(event, EVENT_TYPES):
                self._event(line, event, frame, now_ns)
            else:
                self._session_events(line, [event], now_ns)

    def frames_to_send(self, line: int) -> list[bytes]:
        """Take what is to be written to a connection, in order."""
        return self.sessions[line].frames_to_send()

    def probe(self, line: int, now_ns: int) -> None:
        """Ask one connection for an answer."""
        if self.sessions[line].is_connected:
            self._pings[line].append(None)
            self.sessions[line].ping(now_ns)

    def is_broken(self, line: int) -> bool:
        """Whether a connection is not to be trusted any more: close it and connect again."""
        return line in self._broken

    def is_live(self, line: int) -> bool:
        """Whether a connection carries everything that is asked for, and could go on alone."""
        return self.sessions[line].state is LineState.LIVE and line not in self._catching_up

    # -- time ---------------------------------------------------------------------------------

    def next_deadline(self) -> int | None:
        """When `tick` has something to do (ns, monotonic), ``None`` if nothing is due ever."""
        due = [session.next_deadline() for session in self.sessions]
        due += [chain.next_deadline() for chain in self._chains.values()]
        due += [since + HOLD_NS for since in self._live_since.values()]
        return min((at for at in due if at is not None), default=None)

    def tick(self, now_ns: int) -> None:
        """Do what is due."""
        for line, session in enumerate(self.sessions):
            self._session_events(line, session.tick(now_ns), now_ns)
        for chain in self._chains.values():
            self._up += chain.release(now_ns)
        for line, since_ns in tuple(self._live_since.items()):
            if now_ns >= since_ns + HOLD_NS:
                self._caught_up(line, now_ns)

    # -- inside: events -----------------------------------------------------------------------

    def _event(self, line: int, event: Event, frame: bytes | str, now_ns: int) -> None:
        if isinstance(event, BookDepth):
            self._count(line, *self._depth(event, frame, now_ns))
            return
        identity = identity_of(event, frame)
        waiting = self._catching_up.get(line)
        if waiting is None:
            self._take(line, identity, frame, now_ns)
        elif self._repeats.would_be_first(line, identity):
            waiting.append(_Held(identity, frame, line in self._live_since))
        else:
            self._take(line, identity, frame, now_ns)
            if line in self._live_since:
                # What it says is known: it is not ahead of the others, and complete from here on.
                self._caught_up(line, now_ns)

    def _take(self, line: int, identity: Identity, frame: bytes | str, now_ns: int) -> None:
        take = self._repeats.once if identity.is_unique else self._repeats.take
        arrival, behind_ns = take(line, identity.key, now_ns)
        self._count(line, arrival, behind_ns)
        if arrival is Arrival.FIRST:
            self._up.append(frame)
            for other, waiting in tuple(self._catching_up.items()):
                if waiting and waiting[0].identity == identity:
                    self._met(other, waiting.popleft(), now_ns)

    def _met(self, line: int, held: _Held, now_ns: int) -> None:
        """Another connection has brought what this one had brought before."""
        self._take(line, held.identity, held.frame, now_ns)
        if held.is_complete:
            self._caught_up(line, now_ns)

    def _caught_up(self, line: int, now_ns: int) -> None:
        self._live_since.pop(line, None)
        for held in self._catching_up.pop(line, ()):
            self._take(line, held.identity, held.frame, now_ns)

    def _has_leader(self) -> bool:
        """Whether there is a connection of which is known where it stands."""
        return any(
            session.is_connected and line not in self._catching_up
            for line, session in enumerate(self.sessions)
        )

    def _count(self, line: int, arrival: Arrival, behind_ns: int) -> None:
        stats = self.stats[line]
        if arrival is Arrival.REPEAT:
            stats.repeated += 1
            stats.behind_ns += behind_ns
            stats.max_behind_ns = max(stats.max_behind_ns, behind_ns)
        else:
            stats.won += 1

    def _depth(self, event: BookDepth, frame: bytes | str, now_ns: int) -> tuple[Arrival, int]:
        chain = self._chains.setdefault(event.product_id, DepthChain())
        arrival = chain.take(event)
        if arrival is Arrival.REPEAT:
            return arrival, now_ns - chain.newest_ns
        if arrival is Arrival.EARLY and len(self._carriers(Stream.book_depth(event.product_id).key)) > 1:
            return (Arrival.EARLY if chain.hold(event, frame, now_ns) else Arrival.REPEAT), 0
        self._up.append(frame)
        chain.passed(event, now_ns)
        self._up += chain.release(now_ns)
        return Arrival.FIRST, 0

    # -- inside: requests and their answers ---------------------------------------------------

    def _session_events(self, line: int, events: Sequence[SessionEvent | Event], now_ns: int) -> None:
        for event in events:
            match event:
                case Authenticated():
                    self._answer_authentication()
                case AuthRefused(error):
                    self._refused(line)
                    if self._auth_asked is not None:
                        self._refuse(self._auth_asked, error.text)
                        self._auth_asked = None
                case Subscribed(stream):
                    self._answer_subscription(stream.key)
                case SubscribeRefused(stream, error):
                    self._stream_refused(line, stream, error, now_ns)
                case Pong():
                    self._pong(line, event)
                case Malformed():
                    self.stats[line].malformed += 1
                case Overdue():
                    self._broken.add(line)
                case Restored() if line in self._catching_up:
                    self._live_since[line] = now_ns
                case _:
                    pass

    def _refused(self, line: int) -> None:
        # What one connection is refused another may have: it tries again when it is made anew.
        self.stats[line].refused += 1
        self._broken.add(line)

    def _stream_refused(self, line: int, stream: Stream, error: VenueError, now_ns: int) -> None:
        request_id = self._asked.get(stream.key)
        if request_id is not None:
            self._drop(stream, now_ns)
            self.stats[line].refused += 1
            self._refuse(request_id, error.text)
        elif any(stream.key in session.streams for session in self.sessions):
            # The others have it: this connection must not be taken for one that carries it.
            self.sessions[line].streams[stream.key] = stream
            self._refused(line)

    def _answer_authentication(self) -> None:
        if self._auth_asked is None:
            return
        if any(
            session.state in (LineState.RESTORING, LineState.LIVE) and line not in self._broken
            for line, session in enumerate(self.sessions)
        ):
            self._acknowledge(self._auth_asked)
            self._auth_asked = None

    def _answer_subscription(self, key: StreamKey) -> None:
        """Acknowledge once every open connection carries the stream: from then on a cut loses nothing."""
        request_id = self._asked.get(key)
        if request_id is None:
            return
        connected = [session for session in self.sessions if session.is_connected]
        if connected and all(key in session.acknowledged for session in connected):
            del self._asked[key]
            self._acknowledge(request_id)

    def _carriers(self, key: StreamKey) -> list[StreamSession]:
        return [session for session in self.sessions if key in session.acknowledged]

    def _drop(self, stream: Stream, now_ns: int) -> None:
        self._asked.pop(stream.key, None)
        if stream.type == "book_depth" and isinstance(stream.product_id, int):
            self._chains.pop(stream.product_id, None)
        for session in self.sessions:
            session.unsubscribe(stream, now_ns)

    def _ping(self, request_id: int, now_ns: int) -> None:
        for line, session in enumerate(self.sessions):
            if session.is_connected:
                self._pings[line].append(request_id)
                session.ping(now_ns)
                return

    def _pong(self, line: int, pong: Pong) -> None:
        request_id = self._pings[line].popleft() if self._pings[line] else None
        if request_id is not None:
            self._up.append(
                b'{"result":{"method":"pong","server_time":"%d"},"id":%d}' % (pong.server_time_ms, request_id)
            )

    def _acknowledge(self, request_id: int) -> None:
        self._up.append(b'{"result":null,"id":%d}' % request_id)

    def _refuse(self, request_id: int, text: str) -> None:
        self._up.append(messages.encode(messages.StreamError(error=text, id=request_id)))
