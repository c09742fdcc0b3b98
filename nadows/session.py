"""The two conversations with the venue, as machines without I/O.

`StreamSession` speaks on the subscription socket: it authenticates, subscribes, and tells answers from
events. What was asked for outlives a connection: after a new one is made, the session asks again by itself.
`GatewaySession` speaks on the gateway socket: it finds the request that an answer belongs to, also when
answers come out of order or lack the usual marks.

Both are driven the same way, by whoever owns the socket and the clock::

    connection_made(now_ns)                 the socket is open
    frame_received(frame, now_ns)           -> what it means
    frames_to_send()                        -> bytes to write now; call after each of the others
    next_deadline() / tick(now_ns)          -> what is overdue
    connection_lost(now_ns)                 -> what that leaves unanswered

``now_ns`` is a monotonic clock; nothing here reads one.
"""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from nadows import messages
from nadows.errors import (
    ConnectionLost,
    MalformedFrame,
    NadowsError,
    ProtocolError,
    UsageError,
    VenueError,
    venue_error,
)
from nadows.messages import Ack, Event, GeoBlock, Query, Reply, Stream, StreamError, StreamKey

__all__ = [
    "ACK_TIMEOUT_NS",
    "LINE_TRANSITIONS",
    "Answer",
    "AuthRefused",
    "Authenticated",
    "GatewaySession",
    "LineEvent",
    "LineState",
    "Lost",
    "Malformed",
    "OnReply",
    "Overdue",
    "Pong",
    "Restored",
    "SessionEvent",
    "StreamSession",
    "SubscribeRefused",
    "Subscribed",
    "Unsubscribed",
    "checked",
]

ACK_TIMEOUT_NS: Final = 10_000_000_000
"""How long the venue may take to acknowledge a control message."""


class LineState(enum.Enum):
    """Where the subscription line stands."""

    DOWN = "down"
    AUTHENTICATING = "authenticating"
    """Connected; the signed request to authenticate is out."""
    RESTORING = "restoring"
    """Subscriptions are out; not all are acknowledged."""
    LIVE = "live"
    """Everything asked for has been answered."""


class LineEvent(enum.Enum):
    """What moves the line."""

    CONNECTED_WITH_KEY = "connected with a key"
    CONNECTED = "connected"
    AUTH_ANSWERED = "auth answered"
    ALL_ANSWERED = "all answered"
    ASKED = "asked"
    """A subscription was added on a live line."""
    LOST = "lost"


LINE_TRANSITIONS: Final[dict[tuple[LineState, LineEvent], LineState]] = {
    (LineState.DOWN, LineEvent.CONNECTED_WITH_KEY): LineState.AUTHENTICATING,
    (LineState.DOWN, LineEvent.CONNECTED): LineState.RESTORING,
    (LineState.DOWN, LineEvent.LOST): LineState.DOWN,
    (LineState.AUTHENTICATING, LineEvent.AUTH_ANSWERED): LineState.RESTORING,
    (LineState.AUTHENTICATING, LineEvent.LOST): LineState.DOWN,
    (LineState.RESTORING, LineEvent.ALL_ANSWERED): LineState.LIVE,
    (LineState.RESTORING, LineEvent.ASKED): LineState.RESTORING,
    (LineState.RESTORING, LineEvent.LOST): LineState.DOWN,
    (LineState.LIVE, LineEvent.ASKED): LineState.RESTORING,
    (LineState.LIVE, LineEvent.LOST): LineState.DOWN,
}
"""Every legal change of state; a pair that is not here is a mistake of the driver."""


# -- what a stream session reports, besides the venue's own events --------------------------------


class Authenticated(NamedTuple):
    """The venue acknowledged the authentication."""


class AuthRefused(NamedTuple):
    """The venue refused it; streams that need it will be refused too."""

    error: VenueError


class Subscribed(NamedTuple):
    """The venue acknowledged a subscription; its events are complete from here on."""

    stream: Stream


class Unsubscribed(NamedTuple):
    """The venue acknowledged the end of a subscription."""

    stream: Stream


class SubscribeRefused(NamedTuple):
    """The venue refused a subscription; it is forgotten, so that it is not asked for again.

    One that was refused for want of an authentication stays asked for: the next connection may get that.
    """

    stream: Stream
    error: VenueError


class Restored(NamedTuple):
    """Everything asked for has been answered: the line is LIVE."""


class Pong(NamedTuple):
    """Answer to an application ping."""

    round_trip_ns: int
    server_time_ms: int


class Malformed(NamedTuple):
    """A frame that is not the protocol; it is dropped and counted, the line goes on."""

    error: ProtocolError


class Overdue(NamedTuple):
    """The venue did not acknowledge in time: the line is not to be trusted, close it."""

    what: str


SessionEvent = (
    Authenticated
    | AuthRefused
    | Subscribed
    | Unsubscribed
    | SubscribeRefused
    | Restored
    | Pong
    | Malformed
    | Overdue
)

Authenticator = Callable[[int], bytes]
"""Builds the signed ``authenticate`` frame for a request id; called once a connection."""


class _Kind(enum.Enum):
    AUTHENTICATE = "authenticate"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    PING = "ping"


@dataclass(slots=True, frozen=True)
class _Asked:
    kind: _Kind
    stream: Stream | None
    sent_ns: int


class StreamSession:
    """The subscription socket's conversation.

    Args:
        authenticate: Builds the signed request; ``None`` for public streams only.
        ack_timeout_ns: See `ACK_TIMEOUT_NS`.

    Source: protocol.md 2.1 to 2.3 and 2.6.
    """

    def __init__(
        self, authenticate: Authenticator | None = None, *, ack_timeout_ns: int = ACK_TIMEOUT_NS
    ) -> None:
        self.state = LineState.DOWN
        self.streams: dict[StreamKey, Stream] = {}
        """What is asked for, on this connection and on those to come."""
        self.acknowledged: set[StreamKey] = set()
        """What the venue has acknowledged on this connection."""
        self.malformed = 0
        """Frames that were not the protocol."""
        self.strays = 0
        """Answers to requests that this session did not make, or gave up."""
        self._authenticate = authenticate
        self._is_authenticated = False
        self._ack_timeout_ns = ack_timeout_ns
        self._asked: dict[int, _Asked] = {}
        self._out: list[bytes] = []
        self._next_id = 1

    @property
    def is_connected(self) -> bool:
        """Whether a connection is open, whatever is restored on it."""
        return self.state is not LineState.DOWN

    # -- intentions ---------------------------------------------------------------------------

    def subscribe(self, stream: Stream, now_ns: int) -> bool:
        """Ask for a stream now and on every later connection.

        Returns:
            Whether it is new; asking twice is asking once.

        Raises:
            UsageError: If the stream needs authentication and the session has no key.
        """
        if stream.key in self.streams:
            return False
        if stream.needs_auth and self._authenticate is None:
            raise UsageError(
                f"stream {stream.type} shows private orders: connect with a signer to subscribe to it"
            )
        self.streams[stream.key] = stream
        if self.state in (LineState.RESTORING, LineState.LIVE):
            self._ask_for(stream, now_ns)
            self._move(LineEvent.ASKED)
        return True

    def unsubscribe(self, stream: Stream, now_ns: int) -> bool:
        """Stop asking for a stream. Returns whether it had been asked for."""
        asked_for = self.streams.pop(stream.key, None)
        if asked_for is None:
            return False
        self.acknowledged.discard(stream.key)
        if self.state in (LineState.RESTORING, LineState.LIVE):
            # In the very form it was asked for: whether null and absent are one to the venue is not known.
            self._send(_Kind.UNSUBSCRIBE, asked_for, now_ns)
        return True

    def ping(self, now_ns: int) -> None:
        """Send an application ping; its answer arrives as `Pong`."""
        if self.state is not LineState.DOWN:
            self._send(_Kind.PING, None, now_ns)

    # -- the machine interface ----------------------------------------------------------------

    def connection_made(self, now_ns: int) -> list[SessionEvent]:
        """Start the conversation: authenticate first if there is a key, else subscribe at once.

        Returns:
            `Restored`, if there is nothing to ask for.
        """
        if self._authenticate is None:
            self._move(LineEvent.CONNECTED)
            self._restore(now_ns)
            return self._settled()
        self._move(LineEvent.CONNECTED_WITH_KEY)
        self._send(_Kind.AUTHENTICATE, None, now_ns)
        return []

    def connection_lost(self, now_ns: int) -> None:
        """Forget what belonged to the connection; intentions stay."""
        self._asked.clear()
        self._out.clear()
        self.acknowledged.clear()
        self._move(LineEvent.LOST)

    def frame_received(self, frame: str | bytes, now_ns: int) -> list[Event | SessionEvent]:
        """Read one frame. A broken one is reported as `Malformed`, never raised."""
        try:
            message = messages.decode_stream(frame)
        except MalformedFrame as error:
            self.malformed += 1
            return [Malformed(error)]
        if isinstance(message, Ack | StreamError):
            return self._answered(message, now_ns)
        return [message]

    def frames_to_send(self) -> list[bytes]:
        """Take what is to be written now, in order."""
        out, self._out = self._out, []
        return out

    def next_deadline(self) -> int | None:
        """When `tick` has something to say (ns), ``None`` if nothing is awaited."""
        # Requests are made in order of time and share one time-out, so the first is the earliest.
        first = next(iter(self._asked.values()), None)
        return first.sent_ns + self._ack_timeout_ns if first else None

    def tick(self, now_ns: int) -> list[SessionEvent]:
        """Report what the venue failed to acknowledge in time."""
        deadline = self.next_deadline()
        if deadline is None or now_ns < deadline:
            return []
        asked = self._asked.pop(next(iter(self._asked)))
        return [Overdue(f"{asked.kind.value} {asked.stream.type}" if asked.stream else asked.kind.value)]

    # -- inside -------------------------------------------------------------------------------

    def _move(self, event: LineEvent) -> None:
        self.state = LINE_TRANSITIONS[self.state, event]

    def _send(self, kind: _Kind, stream: Stream | None, now_ns: int) -> None:
        request_id, self._next_id = self._next_id, self._next_id + 1
        self._asked[request_id] = _Asked(kind, stream, now_ns)
        self._out.append(self._frame(kind, stream, request_id))

    def _frame(self, kind: _Kind, stream: Stream | None, request_id: int) -> bytes:
        if kind is _Kind.AUTHENTICATE:
            assert self._authenticate is not None
            return self._authenticate(request_id)
        if kind is _Kind.PING:
            return messages.encode(messages.Ping(id=request_id))
        assert stream is not None
        request = messages.Subscribe if kind is _Kind.SUBSCRIBE else messages.Unsubscribe
        return messages.encode(request(id=request_id, stream=stream))

    def _ask_for(self, stream: Stream, now_ns: int) -> None:
        self._send(_Kind.SUBSCRIBE, stream, now_ns)

    def _restore(self, now_ns: int) -> None:
        for stream in self.streams.values():
            self._ask_for(stream, now_ns)

    def _answered(self, message: Ack | StreamError, now_ns: int) -> list[Event | SessionEvent]:
        asked = self._asked.pop(message.id, None)
        if asked is None:
            self.strays += 1
            return []
        error = (
            VenueError(message.error, request_type=asked.kind.value)
            if isinstance(message, StreamError)
            else None
        )
        events: list[Event | SessionEvent] = []
        match asked.kind:
            case _Kind.AUTHENTICATE:
                self._is_authenticated = error is None
                events.append(AuthRefused(error) if error else Authenticated())
                self._move(LineEvent.AUTH_ANSWERED)
                self._restore(now_ns)
            case _Kind.SUBSCRIBE:
                assert asked.stream is not None
                events += self._subscription_answered(asked.stream, error)
            case _Kind.UNSUBSCRIBE:
                assert asked.stream is not None
                events.append(Unsubscribed(asked.stream))
            case _:
                clock = message.clock if isinstance(message, Ack) else None
                if clock is not None:
                    events.append(Pong(now_ns - asked.sent_ns, int(clock.server_time)))
        return events + self._settled()

    def _settled(self) -> list[SessionEvent]:
        if self.state is not LineState.RESTORING or self._awaits_subscription():
            return []
        self._move(LineEvent.ALL_ANSWERED)
        return [Restored()]

    def _subscription_answered(self, stream: Stream, error: VenueError | None) -> list[SessionEvent]:
        if error is not None:
            if not stream.needs_auth or self._is_authenticated:
                self.streams.pop(stream.key, None)
            return [SubscribeRefused(stream, error)]
        if stream.key not in self.streams:
            # Unsubscribed meanwhile; the answer to that is on its way.
            return []
        self.acknowledged.add(stream.key)
        return [Subscribed(stream)]

    def _awaits_subscription(self) -> bool:
        return any(asked.kind is _Kind.SUBSCRIBE for asked in self._asked.values())


# -- gateway ---------------------------------------------------------------------------------------


OnReply = Callable[[Reply | NadowsError], None]
"""Receives the answer to a request, or why there is none; called exactly once."""


def checked(reply: Reply | NadowsError) -> Reply:
    """Return a successful answer, raise anything else as its exception."""
    if isinstance(reply, NadowsError):
        raise reply
    if reply.status != "success":
        raise venue_error(reply.error or "no reason given", reply.error_code, reply.request_type)
    return reply


class Answer(NamedTuple):
    """The venue answered a request."""

    ticket: int
    reply: Reply


class Lost(NamedTuple):
    """A request will not be answered any more."""

    ticket: int
    reason: str
    sent: bool
    """Whether its bytes had left: if so, an execute may have taken effect all the same."""
    request_type: str = ""
    """As the venue names it."""

    @property
    def is_query(self) -> bool:
        """Whether it could not have changed anything."""
        return self.request_type.startswith("query_")


@dataclass(slots=True)
class _Request:
    ticket: int
    frame: bytes
    request_type: str
    """As the venue names it in answers: ``execute_place_order``, ``query_symbols``."""
    signature: str | None
    client_id: int | None
    sent: bool = False


class GatewaySession:
    """The gateway socket's conversation: which answer belongs to which request.

    On ``/ws/v2`` answers come in the order of completion. An execute is found by the echo of its signature,
    which is unique; else by its id; else, when the answer carries neither (a rate limit's does not), by its
    type if only one of that type is in flight. A query carries no mark at all, so one of each type is in
    flight at a time and the others wait their turn. On ``/v1/ws`` answers come in order.

    An answer that fits no request is counted in `strays` and dropped: guessing could report the
    fate of one order as that of another.

    Args:
        serial: Speak to ``/v1/ws`` (answers in order of requests) instead of ``/ws/v2``.

    Source: protocol.md 3.1.
    """

    def __init__(self, *, serial: bool = False) -> None:
        self.serial = serial
        self.is_up = False
        self.malformed = 0
        """Frames that were not the protocol."""
        self.strays = 0
        """Answers that fit no request."""
        self._requests: dict[int, _Request] = {}
        self._by_signature: dict[str, int] = {}
        self._turns: dict[str, deque[int]] = {}
        self._deadlines: list[tuple[int, int]] = []
        self._abandoned: dict[str, int] = {}
        self._out: list[bytes] = []
        self._next_ticket = 1

    @property
    def in_flight(self) -> int:
        """Requests that are not answered, those waiting their turn included."""
        return len(self._requests)

    def execute(
        self,
        frame: bytes,
        *,
        request_type: str,
        signature: str,
        deadline_ns: int,
        client_id: int | None = None,
    ) -> int:
        """Send a signed request.

        Args:
            frame: The complete message.
            request_type: As the venue names it in its answer, for example ``execute_place_order``.
            signature: The signature that the answer will echo.
            deadline_ns: When to stop waiting (monotonic, ns).
            client_id: The ``id`` in the frame, if there is one.

        Returns:
            A ticket that the `Answer` or `Lost` will carry.
        """
        request = self._register(frame, request_type, signature, client_id, deadline_ns)
        self._by_signature[signature] = request.ticket
        self._write(request)
        return request.ticket

    def query(self, query: Query, *, deadline_ns: int) -> int:
        """Send a query, or queue it behind the one of its type that is in flight. Returns a ticket."""
        request_type = f"query_{messages.query_type(query)}"
        request = self._register(messages.encode(query), request_type, None, None, deadline_ns)
        if self.serial:
            self._write(request)
        else:
            turn = self._turns.setdefault(request_type, deque())
            turn.append(request.ticket)
            self._next_turn(request_type)
        return request.ticket

    def connection_made(self, now_ns: int) -> None:
        """The socket is open; requests may be sent."""
        self.is_up = True

    def connection_lost(self, now_ns: int) -> list[Lost]:
        """Give up everything in flight; the caller settles what had been sent."""
        lost = [
            Lost(request.ticket, "the connection ended", request.sent, request.request_type)
            for request in self._requests.values()
        ]
        self.is_up = False
        for container in (
            self._requests,
            self._by_signature,
            self._turns,
            self._deadlines,
            self._abandoned,
            self._out,
        ):
            container.clear()
        return lost

    def frame_received(self, frame: str | bytes, now_ns: int) -> list[Answer]:
        """Read one frame; broken ones and strays are counted."""
        try:
            reply = messages.decode_reply(frame)
        except MalformedFrame:
            self.malformed += 1
            return []
        if isinstance(reply, GeoBlock):
            reply = Reply(status="failure", error=f"blocked: {reply.reason}")
        request = self._find(reply)
        if request is None:
            self.strays += 1
            return []
        self._forget(request)
        return [Answer(request.ticket, reply)]

    def frames_to_send(self) -> list[bytes]:
        """Take what is to be written now, in order."""
        out, self._out = self._out, []
        return out

    def next_deadline(self) -> int | None:
        """When `tick` may have something to say (ns), ``None`` if nothing is awaited."""
        while self._deadlines and self._deadlines[0][1] not in self._requests:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def tick(self, now_ns: int) -> list[Lost]:
        """Give up what is overdue."""
        lost = []
        while (deadline := self.next_deadline()) is not None and deadline <= now_ns:
            request = self._requests[heapq.heappop(self._deadlines)[1]]
            lost.append(Lost(request.ticket, "no answer in time", request.sent, request.request_type))
            self._abandon(request)
        return lost

    # -- inside -------------------------------------------------------------------------------

    def _register(
        self, frame: bytes, request_type: str, signature: str | None, client_id: int | None, deadline_ns: int
    ) -> _Request:
        if not self.is_up:
            raise ConnectionLost("the gateway is not connected; nothing was sent")
        ticket, self._next_ticket = self._next_ticket, self._next_ticket + 1
        request = _Request(ticket, frame, request_type, signature, client_id)
        self._requests[ticket] = request
        heapq.heappush(self._deadlines, (deadline_ns, ticket))
        return request

    def _write(self, request: _Request) -> None:
        request.sent = True
        self._out.append(request.frame)

    def _next_turn(self, request_type: str) -> None:
        turn = self._turns[request_type]
        if turn and not self._abandoned.get(request_type) and not self._requests[turn[0]].sent:
            self._write(self._requests[turn[0]])

    def _find(self, reply: Reply) -> _Request | None:
        if reply.signature:
            ticket = self._by_signature.get(reply.signature)
            return self._requests[ticket] if ticket is not None else None
        if self.serial:
            return self._first_sent(reply)
        if reply.request_type and reply.request_type in self._turns:
            return self._turn_of(reply.request_type)
        executes = [
            request
            for request in self._requests.values()
            if request.signature is not None and reply.request_type in (None, request.request_type)
        ]
        if reply.id is not None:
            executes = [request for request in executes if request.client_id == reply.id]
        return executes[0] if len(executes) == 1 else None

    def _first_sent(self, reply: Reply) -> _Request | None:
        if reply.request_type and self._abandoned.get(reply.request_type):
            # In order of requests, an abandoned one is older than any that still waits.
            self._abandoned[reply.request_type] -= 1
            return None
        return next(
            (
                request
                for request in self._requests.values()
                if reply.request_type is None or request.request_type == reply.request_type
            ),
            None,
        )

    def _turn_of(self, request_type: str) -> _Request | None:
        if self._abandoned.pop(request_type, 0):
            # The late answer of a query that was given up; the next of its type may go now.
            self._next_turn(request_type)
            return None
        turn = self._turns[request_type]
        return self._requests[turn[0]] if turn and self._requests[turn[0]].sent else None

    def _forget(self, request: _Request) -> None:
        del self._requests[request.ticket]
        if request.signature is not None:
            del self._by_signature[request.signature]
        elif not self.serial:
            self._turns[request.request_type].remove(request.ticket)
            self._next_turn(request.request_type)

    def _abandon(self, request: _Request) -> None:
        """Forget a request whose answer may still come, without letting that answer pass for another's."""
        if request.sent and request.signature is None:
            self._abandoned[request.request_type] = self._abandoned.get(request.request_type, 0) + 1
        self._forget(request)
