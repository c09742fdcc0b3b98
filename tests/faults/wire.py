"""What carries messages between the desk and the venue, and what goes wrong on the way.

`Wires` moves frames with seeded random delays, in order per connection and direction as TCP does, on a
virtual clock. Faults act here: on connections (cut, stalled, refused), and on messages by `tamper` hooks,
each of which looks at a message and may drop, delay, repeat or replace it.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from nadows.copies import Copies, Feed, copy_names, life_of_copies
from nadows.desk import GATEWAY, STREAMS, Desk, DeskEvent
from nadows.errors import NadowsError
from nadows.lifecycle import Do, Lifeline, LifeOptions
from nadows.lines import DeskFeed
from nadows.messages import Reply, StatusQuery
from nadows.session import Authenticator, LineState
from nadows.venue.exchange import ConnectionKind, Exchange
from nadows.venue.rest import HttpRequest

__all__ = ["Delivery", "Message", "Tamper", "Wires"]

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
NEVER: Final = 2**63
CONNECT_TIMEOUT_NS: Final = SECOND
LOOK_NS: Final = 50 * MS
"""The venue publishes depth at multiples of it; right after, its book is what subscribers are told."""
GHOST_NS: Final = 20 * SECOND
"""How long the venue keeps a connection whose other end has fallen silent."""


class Message(NamedTuple):
    """A message that is about to travel."""

    line: str
    to_desk: bool
    frame: bytes


class Delivery(NamedTuple):
    """How a message arrives: after how long, and whether it keeps its place in the order."""

    frame: bytes
    delay_ns: int = 0
    in_order: bool = True


Tamper = Callable[[Message], list[Delivery] | None]
"""Says how a message arrives instead; ``None``: as it would have without it."""


Ask = Callable[[bytes], tuple[int, bytes] | None]
"""Answers a request over HTTP with status and body; ``None``: no answer."""


@dataclass
class _Connection:
    number: int
    line: str
    is_open: bool = True
    stalled_until: int = 0
    arrivals: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})


class Wires:
    """The two machines, their connections, and the clock.

    Args:
        desk: The client's machine.
        exchange: The venue's machine.
        rng: Draws delays.
        life: Options of the desk's lines.
        now_ns: Start of the clock.
        copies: Over how many connections the desk has its subscriptions.
        authenticate: Builds the signed request for each of these.
        archive_view: Answers the archive's requests from what it has filed: (body) -> (status, body).
    """

    def __init__(
        self,
        desk: Desk,
        exchange: Exchange,
        rng: random.Random,
        life: LifeOptions,
        now_ns: int,
        *,
        copies: int = 1,
        authenticate: Authenticator | None = None,
    ) -> None:
        self.exchange = exchange
        self.rng = rng
        self.now_ns = now_ns
        self.events: list[DeskEvent] = []
        self.tampers: list[Tamper] = []
        self.refused_until: dict[str, int] = {STREAMS: 0, GATEWAY: 0}
        self.retry_after_ns = 0
        self.hanging_until: dict[str, int] = {STREAMS: 0, GATEWAY: 0}
        self.http_delay_ns = 0
        """How much longer answers over HTTP take."""
        self.violations: list[str] = []
        self.snapshots: list[int] = []
        """When a snapshot was asked for."""
        self.deliver: Callable[[Sequence[DeskEvent]], None] = self.events.extend
        """Takes what the desk tells."""
        self.before_sending: Callable[[], None] = _nothing
        """Called before anything leaves for the gateway."""
        self.archive: Ask = self.ask_archive
        self.rest: Ask = self.ask_rest
        self.look: Callable[[], None] = lambda: None
        """Called every `LOOK_NS`, last of what happens at an instant; changes nothing."""
        self._look_ns = now_ns + LOOK_NS
        self._stream_lines = copy_names(copies)
        self._authenticate = authenticate
        self._begin(desk, life)
        self.attempts: dict[str, list[int]] = {name: [] for name in self.lives}
        """When a connection was tried, by line."""
        self.current: dict[str, _Connection | None] = dict.fromkeys(self.lives)
        self.is_keyed = True
        self._numbers = itertools.count(1)
        self._order = itertools.count()
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._by_number: dict[int, _Connection] = {}
        for line in self.lives.values():
            line.start(now_ns)

    def _begin(self, desk: Desk, life: LifeOptions) -> None:
        """Give a desk lines, none of which is connected."""
        self.desk = desk
        self.lives = {
            STREAMS: Lifeline(random.Random(self.rng.random()), life),
            GATEWAY: Lifeline(random.Random(self.rng.random()), life),
        }
        self.feeds: dict[str, Feed] = {STREAMS: self._streams_feed(), GATEWAY: self._gateway_feed()}
        self.copies: Copies | None = None
        copies = len(self._stream_lines)
        if copies > 1:
            self.copies = Copies(
                self.feeds[STREAMS],
                copies,
                self._authenticate,
                lambda event: self.deliver([event]),
                ack_timeout_ns=desk.timings.ack_ns // 2,
            )
            self.feeds |= dict(zip(self._stream_lines, self.copies.feeds, strict=True))
            shared = life_of_copies(life, copies)
            # Draws of its own, so that runs without copies are what they were.
            self.fate = random.Random(self.rng.random())
            self.lives |= {
                name: Lifeline(random.Random(self.fate.random()), shared) for name in self._stream_lines
            }

    # -- time ---------------------------------------------------------------------------------

    def at(self, when_ns: int, action: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._due, (max(when_ns, self.now_ns), next(self._order), action))

    def run(self, until_ns: int) -> None:
        """Let time pass."""
        self._settle()
        desk_ns = self._desk_deadline()
        while True:
            planned_ns = self._due[0][0] if self._due else NEVER
            venue_ns = self.exchange.next_deadline()
            at = min(planned_ns, venue_ns, desk_ns, self._look_ns)
            if at > until_ns:
                break
            self.now_ns = max(self.now_ns, at)
            if planned_ns <= self.now_ns:
                heapq.heappop(self._due)[2]()
            elif venue_ns <= self.now_ns:
                self.exchange.tick(self.now_ns)
                # The venue on its own changes nothing for the desk before its frames arrive.
                self._pump_venue()
                continue
            elif desk_ns <= self.now_ns:
                self._tick_desk()
            else:
                self._look_ns += LOOK_NS
                self.look()
                continue
            self._settle()
            desk_ns = self._desk_deadline()
        self.now_ns = until_ns

    def _desk_deadline(self) -> int:
        """When the desk or one of its lines has something to do."""
        due = [self.desk.next_deadline(), *(life.next_deadline() for life in self.lives.values())]
        if self.copies is not None:
            due.append(self.copies.next_deadline())
        return min((at for at in due if at is not None), default=NEVER)

    def _tick_desk(self) -> None:
        if self.copies is not None:
            self.copies.tick(self.now_ns)
        deadline = self.desk.next_deadline()
        if deadline is not None and deadline <= self.now_ns:
            self.deliver(self.desk.tick(self.now_ns))

    def delay(self) -> int:
        """Draw how long a message travels."""
        return self.rng.randrange(200_000, 8 * MS)

    def _hand_over(self, events: Sequence[DeskEvent]) -> None:
        # Who takes them changes with each life of the client.
        self.deliver(events)

    # -- what happens to connections ----------------------------------------------------------

    def cut(self, line: str) -> None:
        """Break the connection; both sides notice. Of several copies one at random, or all."""
        for connection in self._victims(line):
            self._venue_loses(connection)
            self._desk_loses(connection, "cut", clean=True)

    def stall(self, line: str, until_ns: int) -> None:
        """Carry nothing until then; nobody notices. Of several copies one at random, or all."""
        for connection in self._victims(line):
            connection.stalled_until = until_ns

    def _victims(self, line: str) -> list[_Connection]:
        names = [line]
        if self.copies is not None and line == STREAMS:
            names = self._stream_lines if self.fate.random() < 0.4 else [self.fate.choice(self._stream_lines)]
        return [connection for name in names if (connection := self.current[name]) is not None]

    def _streams_feed(self) -> Feed:
        desk = self.desk
        return DeskFeed(
            name=STREAMS,
            tap=None,
            hand_over=self._hand_over,
            on_connected=desk.streams_connected,
            on_frame=desk.stream_frame,
            on_lost=desk.streams_lost,
            on_probe=desk.streams.ping,
            outgoing=desk.streams.frames_to_send,
            stands=lambda: desk.streams.state,
        )

    def _gateway_feed(self) -> Feed:
        desk = self.desk
        return DeskFeed(
            name=GATEWAY,
            tap=None,
            hand_over=self._hand_over,
            on_connected=desk.gateway_connected,
            on_frame=desk.gateway_frame,
            on_lost=desk.gateway_lost,
            on_probe=lambda now_ns: desk.query(StatusQuery(), now_ns=now_ns, on_reply=_ignore),
            outgoing=desk.gateway.frames_to_send,
            stands=lambda: LineState.LIVE if desk.gateway.is_up else LineState.DOWN,
        )

    def _tend_lines(self) -> None:
        for name, life in self.lives.items():
            for what in life.tick(self.now_ns):
                if what is Do.OPEN:
                    self._connect(name)
                elif what is Do.CUT:
                    self._give_up(name, "silent")
                else:
                    self.feeds[name].probe(self.now_ns)
        for kind, reason in self.desk.lines_to_cut().items():
            for name in self._stream_lines if kind == STREAMS else [kind]:
                self._give_up(name, reason)
        if self.copies is not None:
            for number, reason in self.copies.to_cut().items():
                self._give_up(self._stream_lines[number], reason)
        for name, life in self.lives.items():
            life.follow(self.feeds[name].state, self.now_ns)

    def _connect(self, line: str) -> None:
        self.attempts[line].append(self.now_ns)
        life, kind = self.lives[line], _kind(line)
        if self.now_ns < self.hanging_until[kind]:
            self.at(self.now_ns + CONNECT_TIMEOUT_NS, lambda: life.failed(self.now_ns))
        elif self.now_ns < self.refused_until[kind]:
            self.at(self.now_ns + self.delay(), lambda: life.failed(self.now_ns, self.retry_after_ns))
        else:
            self.at(self.now_ns + self.delay(), lambda: self._opened(line, life))

    def _opened(self, line: str, life: Lifeline) -> None:
        if self.lives[line] is not life:
            # Whoever connected has crashed meanwhile.
            return
        connection = _Connection(next(self._numbers), line)
        self._by_number[connection.number] = connection
        self.current[line] = connection
        kind = ConnectionKind.GATEWAY_V2 if line == GATEWAY else ConnectionKind.SUBSCRIBE
        self.exchange.connection_made(connection.number, kind, self.now_ns)
        life.opened(self.now_ns, keyed=line != GATEWAY and self.is_keyed)
        for other, its_life in self.lives.items():
            if _kind(other) != _kind(line):
                its_life.encourage(self.now_ns)
        self.feeds[line].connected(self.now_ns)

    def _give_up(self, line: str, reason: str) -> None:
        connection = self.current[line]
        if connection is not None:
            self._abandon(connection)
            self._desk_loses(connection, reason, clean=False)

    def _abandon(self, connection: _Connection) -> None:
        """Let the venue find out that nobody is there any more."""
        # One that stands still hears nothing, until it wonders itself.
        wait_ns = GHOST_NS if self.now_ns < connection.stalled_until else self.delay()
        self.at(self.now_ns + wait_ns, lambda: self._venue_loses(connection))

    def restart(self, desk: Desk, life: LifeOptions) -> None:
        """Put another client in the place of one that is gone, with all its connections."""
        for line, connection in self.current.items():
            if connection is not None:
                connection.is_open = False
                self._abandon(connection)
            self.current[line] = None
        self._begin(desk, life)

    def _desk_loses(self, connection: _Connection, reason: str, *, clean: bool) -> None:
        connection.is_open = False
        self.current[connection.line] = None
        self.lives[connection.line].lost(self.now_ns, clean=clean)
        self.feeds[connection.line].lost(reason, self.now_ns)

    def _closed(self, connection: _Connection, reason: str) -> None:
        if connection.is_open:
            self._desk_loses(connection, reason, clean=True)

    def _venue_loses(self, connection: _Connection) -> None:
        if self._by_number.pop(connection.number, None) is not None:
            self.exchange.connection_lost(connection.number, self.now_ns)

    # -- what travels -------------------------------------------------------------------------

    def _settle(self) -> None:
        """Put on the way what anybody wants to say, and do what the lines decide, until all is quiet."""
        while True:
            self._tend_lines()
            if not self._pump():
                return

    def _pump(self) -> bool:
        self._pump_venue()
        moved = False
        self.before_sending()
        if self.copies is not None:
            self.copies.write(self.now_ns)
        for line, feed in self.feeds.items():
            for frame in feed.frames_to_send():
                moved = True
                if b'"market_liquidity"' in frame:
                    self.snapshots.append(self.now_ns)
                connection = self.current[line]
                if connection is not None:
                    self._send(connection, Message(_kind(line), False, frame))
        for body in self.desk.archive_requests():
            moved = True
            self._post(body, self.archive, self.desk.archive_frame, self.desk.archive_lost)
        for body in self.desk.rest_requests():
            moved = True
            self._post(body, self.rest, self.desk.rest_frame, self.desk.rest_lost)
        return moved

    def _pump_venue(self) -> None:
        for number, frame in self.exchange.frames_to_send():
            connection = self._by_number.get(number)
            if connection is not None and connection.is_open:
                self._send(connection, Message(_kind(connection.line), True, frame))
        for closing in self.exchange.connections_to_close():
            self.violations.append(f"the venue closed a connection: {closing.reason}")
            connection = self._by_number.pop(closing.connection, None)
            if connection is not None:
                self.at(self.now_ns, partial(self._closed, connection, closing.reason))

    def _send(self, connection: _Connection, message: Message) -> None:
        deliveries = [Delivery(message.frame)]
        for tamper in self.tampers:
            changed = tamper(message)
            if changed is not None:
                deliveries = changed
                break
        for delivery in deliveries:
            at = self.now_ns + self.delay() + delivery.delay_ns
            if delivery.in_order:
                at = max(at, connection.arrivals[message.to_desk])
                connection.arrivals[message.to_desk] = at
            self._arrive(connection, message.to_desk, delivery.frame, at)

    def _arrive(self, connection: _Connection, to_desk: bool, frame: bytes, at: int) -> None:
        def arrive() -> None:
            if self.now_ns < connection.stalled_until:
                self._arrive(connection, to_desk, frame, connection.stalled_until)
            elif not to_desk:
                if connection.number in self._by_number:
                    self.exchange.frame_received(connection.number, frame, self.now_ns)
            elif connection.is_open:
                self._hear(connection.line, frame)

        if at < NEVER:
            self.at(at, arrive)

    def _hear(self, line: str, frame: bytes) -> None:
        if b'"error_code":1000' in frame and b"injected" not in frame:
            self.violations.append(f"over the limit: {frame[:120]!r}")
        self.lives[line].heard(self.now_ns)
        self.feeds[line].frame(frame, self.now_ns)

    def tell(self, line: str, frame: bytes) -> None:
        """Let the desk hear something that the venue did not say."""
        if self.current[line] is not None:
            self._hear(line, frame)

    # -- HTTP ---------------------------------------------------------------------------------

    def ask_archive(self, body: bytes) -> tuple[int, bytes] | None:
        """Let the venue's archive answer."""
        return self._ask("/archive/v1", body)

    def ask_rest(self, body: bytes) -> tuple[int, bytes] | None:
        """Let the venue's gateway answer a query."""
        return self._ask("/v1/query", body)

    def _ask(self, path: str, body: bytes) -> tuple[int, bytes]:
        answer = self.exchange.http_request(
            next(self._numbers) + 10**6, HttpRequest("POST", path, body=body), self.now_ns
        )
        assert answer is not None
        return answer.status, answer.body

    def _post(
        self,
        body: bytes,
        ask: Ask,
        answered: Callable[[bytes, int], list[DeskEvent]],
        lost: Callable[[str, int], list[DeskEvent]],
    ) -> None:
        desk = self.desk

        def arrive() -> None:
            answer = ask(body)
            if answer is None:
                self.at(self.now_ns + SECOND * 9 // 10, give_up)
                return
            text = answer[1]
            if b'"error_code":1000' in text and b"injected" not in text:
                self.violations.append(f"over the limit: {text[:120]!r}")
            self.at(self.now_ns + self.delay() + self.http_delay_ns, lambda: take(text))

        def take(text: bytes) -> None:
            # Whoever asked may have crashed meanwhile.
            if self.desk is desk:
                self.deliver(answered(text, self.now_ns))

        def give_up() -> None:
            if self.desk is desk:
                self.deliver(lost("no answer in time", self.now_ns))

        self.at(self.now_ns + self.delay(), arrive)


def _kind(line: str) -> str:
    return GATEWAY if line == GATEWAY else STREAMS


def _nothing() -> None:
    pass


def _ignore(reply: Reply | NadowsError) -> None:
    pass
