"""The venue as one machine: connections, requests and time go in, frames come out.

No sockets, clock or randomness of its own: the owner passes ``now_ns`` (never going back) and a seed.
Whatever the machine does by itself (depth batches, flow, expiry, funding) happens at instants of its own
making, which `next_deadline` announces; being called late changes nothing but when the frames leave. So
a run depends only on the seed and on what was sent when, not on how often `tick` is called.

Use it like this: feed events in, then collect what is due::

    exchange.connection_made(1, ConnectionKind.SUBSCRIBE, now_ns)
    exchange.frame_received(1, b'{"method":"ping","id":1}', now_ns)
    for connection, frame in exchange.frames_to_send(): ...
    for closing in exchange.connections_to_close(): ...
    for connection, answer in exchange.http_answers(): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from random import Random
from typing import Final, NamedTuple

from nadows.errors import CaptureError
from nadows.network import TESTNET
from nadows.signing import Domain
from nadows.venue import event_frames
from nadows.venue.archive import DEFAULT_CAPACITY, Archive
from nadows.venue.archive_queries import ArchiveQueries
from nadows.venue.authority import Authority
from nadows.venue.engine import Engine
from nadows.venue.executes import Executes
from nadows.venue.executes_funds import FundExecutes
from nadows.venue.feed import Feed, Topic
from nadows.venue.flow import Flow, FlowPreset, StandingQuotes
from nadows.venue.funding import FUNDING_INTERVAL_S, pay_funding, publish_rates
from nadows.venue.gateway import Answer, Gateway, Line
from nadows.venue.ledger import INSURANCE, PAPER_MONEY
from nadows.venue.limits import Limits
from nadows.venue.liquidation import Liquidation
from nadows.venue.market import TradingStatus
from nadows.venue.products import FEE_TIERS
from nadows.venue.queries import Queries
from nadows.venue.queries_accounts import AccountQueries
from nadows.venue.replay import Recording, ReplayMarket
from nadows.venue.rest import GATEWAY_PATHS, HttpAnswer, HttpRequest, Rest, query_as_json
from nadows.venue.rest_v2 import RestV2
from nadows.venue.subscriptions import Subscriptions
from nadows.venue.switches import Switches
from nadows.venue.treasury import Treasury
from nadows.venue.trigger_service import TriggerService
from nadows.venue.triggers import Triggers

__all__ = ["Closing", "ConnectionKind", "Exchange", "ExchangeOptions"]

DEPTH_INTERVAL_NS: Final = 50_000_000
TRIGGER_INTERVAL_NS: Final = 100_000_000
FUNDING_RATE_INTERVAL_NS: Final = 20_000_000_000
FUNDING_INTERVAL_NS: Final = FUNDING_INTERVAL_S * 10**9
_MS: Final = 10**6


class ConnectionKind(StrEnum):
    """The three sockets of the venue."""

    GATEWAY_V1 = "v1"
    GATEWAY_V2 = "v2"
    SUBSCRIBE = "subscribe"


class Closing(NamedTuple):
    """A connection that the venue ends; it is forgotten already."""

    connection: int
    code: int
    """WebSocket close code."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOptions:
    """How a venue behaves."""

    chain_id: int = TESTNET.chain_id
    endpoint: str = TESTNET.endpoint
    flow: FlowPreset = FlowPreset.BUSY
    limits: bool = True
    """Whether rate weights are enforced."""
    switches: Switches = field(default_factory=Switches)
    paper_money: int = PAPER_MONEY
    """USDT0 for each wallet that shows up, x18."""
    builders: frozenset[int] = frozenset({4500})
    """Registered builder ids. 4500 is what ccxt puts into every order."""
    archive_capacity: int = DEFAULT_CAPACITY


class _Timer:
    """Something that happens at every multiple of its interval, counted from the epoch."""

    __slots__ = ("action", "due_ns", "interval_ns")

    def __init__(self, interval_ns: int, action: Callable[[int], None], now_ns: int) -> None:
        self.interval_ns = interval_ns
        self.action = action
        self.due_ns = 0
        self.align(now_ns)

    def align(self, now_ns: int) -> None:
        self.due_ns = (now_ns // self.interval_ns + 1) * self.interval_ns

    def run(self) -> None:
        now_ns = self.due_ns
        self.due_ns += self.interval_ns
        self.action(now_ns)


class Exchange:
    """The simulated venue, without its sockets.

    Attributes:
        engine: Markets, ledger and orders: the ground truth for tests.
        replay: The recording that is played, if any.
    """

    def __init__(
        self,
        options: ExchangeOptions,
        *,
        seed: int,
        now_ns: int,
        journal: Callable[[bytes], None] | None = None,
        recording: Iterable[bytes] | None = None,
        speed: Fraction = Fraction(1),
    ) -> None:
        """Open the venue.

        Args:
            options: How it behaves.
            seed: Of the flow; nothing else is random.
            now_ns: Its clock, ns since the epoch.
            journal: Told of every event in order, subscribed or not; makes the venue slower.
            recording: Lines of a market file to play in place of that product's flow.
            speed: How fast, 1 as recorded.

        Raises:
            CaptureError: If the recording cannot be read.
        """
        self._now_ns = now_ns
        self._feed = Feed(journal)
        archive = Archive(options.archive_capacity)
        self.engine = Engine(self._feed, archive, options.switches, now_ns)
        domain = Domain(options.chain_id, options.endpoint)
        authority = Authority(self.engine, options.paper_money)
        self.treasury = Treasury(self.engine)
        self.liquidation = Liquidation(self.engine)
        self.engine.ledger.insure(INSURANCE)
        funds = FundExecutes(self.engine, authority, domain, self.treasury, self.liquidation)
        executes = Executes(self.engine, authority, domain, options.builders, funds)
        limits = Limits(enabled=options.limits)
        accounts = AccountQueries(self.engine, authority, self.treasury, options.builders)
        self._queries = Queries(self.engine, authority, accounts, domain)
        self._gateway = Gateway(executes, self._queries, limits, options.switches, self._deliver)
        self._subscriptions = Subscriptions(self.engine, authority, domain, self._close)
        self._archive = ArchiveQueries(self.engine, archive)
        triggers = Triggers(self.engine, executes, authority, archive, domain)
        service = TriggerService(triggers, executes, authority, limits, domain)
        self._rest = Rest(self._queries, self._archive, RestV2(self.engine, archive), service, limits)
        self._http_answers: list[tuple[int, HttpAnswer]] = []
        self._http: set[int] = set()
        self._closings: list[Closing] = []

        self.replay: ReplayMarket | None = None
        if recording is not None:
            self.replay = ReplayMarket(self.engine, Recording(recording), speed)
        self._flow: Flow | None = None
        if options.flow is FlowPreset.OFF:
            StandingQuotes(self.engine, now_ns)
        else:
            self._flow = Flow(self.engine, options.flow, Random(seed), now_ns)
        self._timers = [
            _Timer(DEPTH_INTERVAL_NS, lambda now: self.engine.publish_depth(), now_ns),
            _Timer(options.switches.all_bbo_ms * _MS, self._publish_all_bbo, now_ns),
            _Timer(500 * _MS, self._sample_history, now_ns),
            _Timer(TRIGGER_INTERVAL_NS, triggers.check, now_ns),
            _Timer(FUNDING_RATE_INTERVAL_NS, lambda now: publish_rates(self.engine, now), now_ns),
            _Timer(FUNDING_INTERVAL_NS, self._each_hour, now_ns),
        ]
        if options.switches.liquidation_sweep_ms:
            sweep_ns = options.switches.liquidation_sweep_ms * _MS
            self._timers.append(_Timer(sweep_ns, self.liquidation.sweep, now_ns))
        self._timers.sort(key=_due)

    @property
    def failure(self) -> CaptureError | None:
        """Why the recording stopped before its end; the venue itself goes on."""
        return None if self.replay is None else self.replay.failure

    def set_active(self, active: bool) -> None:
        """Accept executes, or refuse them all as under maintenance (2068)."""
        self._queries.active = active

    def set_fee_tier(self, subaccount: str, tier: int) -> None:
        """Charge an account the fees of a tier, 0 being the usual one.

        Raises:
            KeyError: If there is no such account.
            IndexError: If there is no such tier.
        """
        account = self.engine.ledger.accounts[subaccount]
        account.fee_tier = range(len(FEE_TIERS))[tier]

    def set_trading_status(self, product_id: int, status: TradingStatus) -> None:
        """Decide which orders a market takes.

        Raises:
            KeyError: If there is no such market.
        """
        self.engine.markets[product_id].status = status

    def pay_funding(self) -> None:
        """Pay funding now, besides the hourly payments."""
        pay_funding(self.engine, self._now_ns)

    # Time.

    def next_deadline(self) -> int:
        """Return when the venue next does something by itself, ns."""
        return self._next()[0]

    def tick(self, now_ns: int) -> None:
        """Do everything that is due by *now_ns*, each at its own instant."""
        while True:
            due_ns, action = self._next()
            if due_ns > now_ns:
                break
            self._now_ns = max(self._now_ns, due_ns)
            action()
        self._now_ns = max(self._now_ns, now_ns)

    def skip(self, now_ns: int) -> None:
        """Resume at *now_ns* after the process was stopped: the flow does not make up for lost time."""
        if self._flow is not None:
            self._flow.skip(now_ns)
        for timer in self._timers:
            if timer.due_ns < now_ns:
                timer.align(now_ns)
        self._timers.sort(key=_due)
        self.tick(now_ns)

    # Connections.

    def connection_made(
        self, connection: int, kind: ConnectionKind, now_ns: int, address: str = "127.0.0.1"
    ) -> None:
        """Accept a connection; *connection* is a number that the owner uses for no other at the time."""
        self.tick(now_ns)
        if kind is ConnectionKind.SUBSCRIBE:
            self._subscriptions.connection_made(connection)
        else:
            self._gateway.connection_made(connection, Line(kind.value), address)

    def frame_received(self, connection: int, frame: bytes | str, now_ns: int) -> None:
        """Take a frame. One from a connection that the venue has closed meanwhile is ignored."""
        self.tick(now_ns)
        if self._gateway.serves(connection):
            self._gateway.frame_received(connection, frame, self._now_ns)
        elif self._subscriptions.serves(connection):
            self._subscriptions.frame_received(connection, frame, self._now_ns)
            self._start_replay(connection)

    def connection_lost(self, connection: int, now_ns: int) -> None:
        """Forget a connection; its orders stay."""
        self.tick(now_ns)
        if self._subscriptions.serves(connection):
            self._subscriptions.connection_lost(connection)
        else:
            self._gateway.connection_lost(connection)

    def http_request(self, connection: int, request: HttpRequest, now_ns: int) -> HttpAnswer | None:
        """Answer a REST request.

        Args:
            connection: A number that the owner uses for no other connection or request at the time.
            request: The request.
            now_ns: The venue's clock.

        Returns:
            The answer, or ``None`` if the request is held (speed bump); then `http_answers` has it later.
        """
        self.tick(now_ns)
        path = request.path.removeprefix("/gateway").rstrip("/")
        methods = GATEWAY_PATHS.get(path)
        if methods is None or request.method not in methods.split():
            return self._rest.answer(request, path, self._now_ns)
        body = query_as_json(request.query) if request.method == "GET" else request.body
        self._http.add(connection)
        self._gateway.connection_made(connection, Line.REST, request.address)
        self._gateway.frame_received(connection, body, self._now_ns)
        if self._http_answers and self._http_answers[-1][0] == connection:
            return self._http_answers.pop()[1]
        return None

    # What is due to go out.

    def frames_to_send(self) -> list[tuple[int, bytes]]:
        """Return, and forget, (connection, frame) pairs in the order of sending.

        A frame for several connections is one and the same object.
        """
        return self._feed.drain()

    def http_answers(self) -> list[tuple[int, HttpAnswer]]:
        """Return, and forget, the answers to REST requests that were held."""
        due, self._http_answers = self._http_answers, []
        return due

    def connections_to_close(self) -> list[Closing]:
        """Return, and forget, the connections to close after sending what is due to them."""
        due, self._closings = self._closings, []
        return due

    # Inside.

    def _next(self) -> tuple[int, Callable[[], None]]:
        """Return the next deadline and what to do then; the first of several at one instant."""
        due_ns: int = self._timers[0].due_ns
        action: Callable[[], None] = self._run_timer
        flow, replay = self._flow, self.replay
        if flow is not None and (flow_ns := flow.next_deadline()) < due_ns:
            due_ns, action = flow_ns, flow.step
        if replay is not None and (replay_ns := replay.next_deadline()) is not None and replay_ns < due_ns:
            due_ns, action = replay_ns, replay.step
        if (held_ns := self._gateway.next_deadline()) is not None and held_ns < due_ns:
            due_ns, action = held_ns, self._gateway.release
        if (session_ns := self._subscriptions.next_deadline()) is not None and session_ns < due_ns:
            due_ns, action = session_ns, self._subscriptions.expire
        if (expiry_s := self.engine.expiry.next_s()) is not None and expiry_s * 10**9 < due_ns:
            due_ns, action = expiry_s * 10**9, self._expire
        return due_ns, action

    def _run_timer(self) -> None:
        self._timers[0].run()
        self._timers.sort(key=_due)

    def _expire(self) -> None:
        self.engine.expire(self._now_ns)

    def _deliver(self, answer: Answer) -> None:
        if answer.connection in self._http:
            self._http.discard(answer.connection)
            self._gateway.connection_lost(answer.connection)
            self._http_answers.append((answer.connection, HttpAnswer.of(answer)))
        else:
            self._feed.send(answer.connection, answer.body)

    def _close(self, connection: int, reason: str) -> None:
        self._closings.append(Closing(connection, 1008, reason))

    def _start_replay(self, connection: int) -> None:
        replay = self.replay
        if replay is not None and any(
            topic.product_id == replay.product_id for topic in self._feed.topics(connection)
        ):
            replay.start(self._now_ns)

    def _publish_all_bbo(self, now_ns: int) -> None:
        audience = self._feed.audience(Topic("all_bbo"))
        if audience is not None:
            tops = ((number, market.top()) for number, market in self.engine.markets.items())
            rows = [(number, top.bid_price, top.ask_price) for number, top in tops]
            self._feed.publish(event_frames.all_bbo(now_ns // _MS, rows), audience)

    def _each_hour(self, now_ns: int) -> None:
        pay_funding(self.engine, now_ns)
        self._archive.statistics.sample(now_ns // 10**9)

    def _sample_history(self, now_ns: int) -> None:
        self._queries.history.sample(now_ns // _MS, self.engine.markets.values())


def _due(timer: _Timer) -> int:
    return timer.due_ns
