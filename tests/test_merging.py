"""Several connections as one line: nothing twice, nothing lost, no chain broken."""

from __future__ import annotations

import heapq
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from nadows import messages
from nadows.arrivals import HOLD_NS, Arrival, DepthChain, LineStats, Repeats
from nadows.desk import Desk
from nadows.errors import NadowsError, UsageError
from nadows.merging import LineMerger
from nadows.messages import BookDepth, Fill, Reply, Stream, Trade
from nadows.network import TESTNET
from nadows.session import ACK_TIMEOUT_NS, Authenticator
from nadows.signing import Appendix, NonceSource, OrderType, Signer, Subaccount, sign_authenticate, sign_order
from nadows.units import Nanos
from nadows.venue.exchange import ConnectionKind, Exchange, ExchangeOptions
from nadows.venue.flow import FlowPreset

E18 = 10**18
START = 1_800_000_000 * 10**9
SIGNER = Signer(b"\x0c" * 32)
SENDER = Subaccount.of(SIGNER.address)
DEPTH, TRADES = Stream.book_depth(4), Stream.trade(4)


def frame(**members: Any) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


def ack(request_id: int) -> bytes:
    return frame(result=None, id=request_id)


def depth(last: int, newest: int) -> bytes:
    return (
        f'{{"type":"book_depth","last_max_timestamp":"{last}","min_timestamp":"{newest}",'
        f'"max_timestamp":"{newest}","product_id":4,"bids":[],"asks":[]}}'
    ).encode()


def trade(at: int) -> bytes:
    one = str(E18)
    return frame(
        type="trade",
        timestamp=str(at),
        product_id=4,
        price=one,
        taker_qty=one,
        maker_qty=one,
        is_taker_buyer=True,
    )


def subscribe(stream: Stream, request_id: int) -> bytes:
    return messages.encode(messages.Subscribe(id=request_id, stream=stream))


def requests(merger: LineMerger, line: int) -> list[str]:
    return [json.loads(each)["method"] for each in merger.frames_to_send(line)]


def merger_of(lines: int, authenticate: Authenticator | None = None) -> LineMerger:
    return LineMerger([LineStats() for _ in range(lines)], authenticate)


def two_lines(*streams: Stream) -> LineMerger:
    """Both connections open and as far, every stream acknowledged on both and above."""
    merger = merger_of(2)
    for line in (0, 1):
        merger.connection_made(line, -HOLD_NS)
    for number, stream in enumerate(streams, start=1):
        merger.request(subscribe(stream, number), -HOLD_NS)
        for line in (0, 1):
            merger.frame_received(line, ack(number), -HOLD_NS)
    merger.tick(0)
    assert [ack(number) for number, _ in enumerate(streams, start=1)] == merger.frames_up()
    return merger


# -- what is the same -----------------------------------------------------------------------------


def test_nth_here_is_nth_there() -> None:
    """Equal events may be several; each copy counts for itself."""
    repeats = Repeats(2)
    took = [repeats.take(line, "x", at) for at, line in enumerate([0, 0, 1, 1, 1, 0])]

    first, repeat = Arrival.FIRST, Arrival.REPEAT
    assert [(first, 0), (first, 0), (repeat, 2), (repeat, 3), (first, 0), (repeat, 5)] == took


def test_unique_event_comes_once() -> None:
    """A fill that comes twice is one, also on one connection."""
    repeats = Repeats(2)

    assert [Arrival.FIRST, Arrival.REPEAT, Arrival.REPEAT] == [
        repeats.once(line, "x", 0)[0] for line in (0, 0, 1)
    ]


def test_memory_is_bounded() -> None:
    """The oldest are forgotten."""
    repeats = Repeats(2, remembered=2)
    for key in "abc":
        repeats.take(0, key, 0)

    assert [Arrival.REPEAT, Arrival.REPEAT, Arrival.FIRST] == [
        repeats.take(1, key, 1)[0] for key in ("b", "c", "a")
    ]


def batch(last: int, newest: int) -> BookDepth:
    return BookDepth(Nanos(last), Nanos(newest), Nanos(newest), 4, (), ())


def test_chain_joins_what_fits() -> None:
    """The first is taken as it is; then what joins, not what is known, not what is ahead."""
    chain = DepthChain()
    assert Arrival.FIRST is chain.take(batch(5, 9))
    chain.passed(batch(5, 9), 1)

    assert [Arrival.REPEAT, Arrival.FIRST, Arrival.EARLY] == [
        chain.take(each) for each in (batch(5, 9), batch(9, 12), batch(12, 15))
    ]


def test_early_batches_wait_their_turn() -> None:
    """They are released in order when what is missing has come; each waits once."""
    chain = DepthChain()
    chain.passed(batch(5, 9), 1)
    assert chain.next_deadline() is None
    assert [True, True, False] == [
        chain.hold(each, str(each.max_timestamp), at)
        for at, each in enumerate([batch(15, 18), batch(12, 15), batch(12, 15)])
    ]
    assert [] == chain.release(3)
    assert HOLD_NS == chain.next_deadline()
    chain.passed(batch(9, 12), 4)

    assert ["15", "18"] == chain.release(4)
    assert 18 == chain.newest


def test_what_is_missing_for_long_will_not_come() -> None:
    """After half a second the batches go up with the hole before them; older ones are forgotten."""
    chain = DepthChain()
    chain.passed(batch(5, 9), 1)
    chain.hold(batch(12, 15), "15", 0)
    chain.hold(batch(11, 14), "14", 0)
    chain.hold(batch(15, 18), "18", 10)
    assert [] == chain.release(HOLD_NS - 1)

    assert ["14", "15", "18"] == chain.release(HOLD_NS)
    chain.hold(batch(17, 18), "old", HOLD_NS)
    assert [] == chain.release(HOLD_NS, all_of_them=True)
    assert chain.next_deadline() is None


# -- events ---------------------------------------------------------------------------------------


def test_first_arrival_wins_and_the_other_is_counted() -> None:
    """Each event goes up once, whichever connection brings it first; how much later the other was is kept."""
    merger = two_lines(TRADES)
    for at, line, which in [(1, 0, 5), (3, 1, 5), (4, 1, 6), (9, 0, 6)]:
        merger.frame_received(line, trade(which), at)

    assert [trade(5), trade(6)] == merger.frames_up()
    first, second = merger.stats
    assert (1, 1, 5, 5) == (first.won, first.repeated, first.behind_ns, first.max_behind_ns)
    assert (1, 1, 2, 2) == (second.won, second.repeated, second.mean_behind_ns, second.max_behind_ns)
    assert 0 == merger_of(1).stats[0].mean_behind_ns


@pytest.mark.parametrize(
    "event",
    [
        frame(type="all_bbo", time="5", bbos={"2": {"bid": "1", "ask": "2"}}),
        frame(type="novelty", product_id=4),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_rare_events(event: bytes, as_text: bool) -> None:
    """What has no number and no hash of its own is told apart too."""
    merger = two_lines(TRADES)
    merger.frame_received(0, event.decode() if as_text else event, 1)
    merger.frame_received(1, event, 2)

    assert 1 == len(merger.frames_up())


def test_depth_waits_for_the_slower_connection() -> None:
    """A connection that is back and ahead does not break the chain of the one that stayed."""
    merger = two_lines(DEPTH)
    merger.frame_received(0, depth(0, 1), 1)
    merger.frame_received(0, depth(3, 4), 2)
    merger.frame_received(0, depth(3, 4), 2)
    assert [depth(0, 1)] == merger.frames_up()
    assert 2 + HOLD_NS == merger.next_deadline()
    merger.frame_received(1, depth(1, 3), 3)

    assert [depth(1, 3), depth(3, 4)] == merger.frames_up()
    merger.frame_received(1, depth(3, 4), 5)
    assert [] == merger.frames_up()
    assert 2 == merger.stats[1].max_behind_ns


@pytest.mark.parametrize("how", ["time", "cut"])
def test_depth_that_is_lost_on_all_goes_up_as_a_hole(how: str) -> None:
    """Nobody waits for what cannot come: the book above sees the hole and heals it."""
    merger = two_lines(DEPTH)
    merger.frame_received(0, depth(0, 1), 1)
    merger.frame_received(0, depth(3, 4), 2)
    if how == "time":
        merger.tick(1 + HOLD_NS)
        assert [depth(0, 1)] == merger.frames_up()
        merger.tick(2 + HOLD_NS)
        assert [depth(3, 4)] == merger.frames_up()
    else:
        merger.connection_lost(1, 3)
        assert [depth(0, 1), depth(3, 4)] == merger.frames_up()
        merger.frame_received(0, depth(7, 8), 4)
        assert [depth(7, 8)] == merger.frames_up()


def test_third_connection_may_still_have_what_is_missing() -> None:
    """A batch goes on waiting while two are left."""
    merger = merger_of(3)
    for line in range(3):
        merger.connection_made(line, -HOLD_NS)
    merger.request(subscribe(DEPTH, 1), -HOLD_NS)
    for line in range(3):
        merger.frame_received(line, ack(1), -HOLD_NS)
    merger.tick(0)
    merger.frame_received(0, depth(0, 1), 1)
    merger.frame_received(0, depth(3, 4), 2)
    merger.connection_lost(2, 3)
    assert [ack(1), depth(0, 1)] == merger.frames_up()
    merger.frame_received(1, depth(1, 3), 4)

    assert [depth(1, 3), depth(3, 4)] == merger.frames_up()


def test_unsubscribed_depth_begins_anew() -> None:
    """After it is asked for again the first batch is taken as it is."""
    merger = two_lines(DEPTH, TRADES)
    merger.frame_received(0, depth(0, 9), 1)
    for number, stream in ((7, DEPTH), (8, TRADES)):
        merger.request(messages.encode(messages.Unsubscribe(id=number, stream=stream)), 2)
    assert [depth(0, 9), ack(7), ack(8)] == merger.frames_up()
    assert ["subscribe"] * 2 + ["unsubscribe"] * 2 == requests(merger, 0)

    merger.frame_received(0, depth(3, 4), 3)
    assert [depth(3, 4)] == merger.frames_up()


# -- connections that come back ---------------------------------------------------------------------


def back_again() -> LineMerger:
    """The first connection stayed, the second is back and catches up."""
    merger = two_lines(TRADES)
    merger.connection_lost(1, 1)
    merger.connection_made(1, 2)
    return merger


def test_connection_that_is_back_waits_for_the_one_that_stayed() -> None:
    """It may be ahead: what it brings first waits, until the other has brought the same."""
    merger = back_again()
    merger.frame_received(1, ack(2), 3)
    assert (True, False) == (merger.is_live(0), merger.is_live(1))
    assert 3 + HOLD_NS == merger.next_deadline()
    merger.frame_received(1, trade(7), 4)
    merger.frame_received(1, trade(8), 4)
    assert [] == merger.frames_up()
    merger.frame_received(0, trade(6), 5)
    assert [trade(6)] == merger.frames_up()

    merger.frame_received(0, trade(7), 6)
    assert [trade(7), trade(8)] == merger.frames_up()
    assert merger.is_live(1)
    merger.frame_received(0, trade(8), 7)
    assert [] == merger.frames_up()
    assert [(2, 1), (1, 1)] == [(stats.won, stats.repeated) for stats in merger.stats]


def test_connection_that_is_back_and_behind() -> None:
    """When it says what is known already it is not ahead, and may win at once."""
    merger = back_again()
    merger.frame_received(1, ack(2), 3)
    merger.frame_received(0, trade(6), 4)
    merger.frame_received(1, trade(6), 5)
    assert merger.is_live(1)
    merger.frame_received(1, trade(7), 6)

    assert [trade(6), trade(7)] == merger.frames_up()


def test_incomplete_connection_proves_nothing() -> None:
    """Before all its streams are acknowledged, to agree on one event is not to agree."""
    merger = back_again()
    merger.frame_received(1, trade(6), 3)
    merger.frame_received(0, trade(6), 4)
    merger.frame_received(1, trade(6), 5)
    merger.frame_received(0, trade(6), 6)
    merger.frame_received(0, trade(7), 6)
    merger.frame_received(1, trade(7), 6)

    assert [trade(6), trade(6), trade(7)] == merger.frames_up()
    assert not merger.is_live(1)


def test_in_a_quiet_market_time_will_do() -> None:
    """Half a second after everything is acknowledged a connection counts as caught up."""
    merger = back_again()
    merger.frame_received(1, ack(2), 3)
    merger.frame_received(1, trade(7), 4)
    merger.tick(2 + HOLD_NS)
    assert [] == merger.frames_up()
    merger.tick(3 + HOLD_NS)

    assert [trade(7)] == merger.frames_up()
    assert merger.is_live(1)


def test_fills_of_a_connection_that_is_back() -> None:
    """They are known by their number, whatever else they say."""
    merger = back_again()
    merger.frame_received(1, ack(2), 3)
    members = dict.fromkeys(("filled_qty", "remaining_qty", "original_qty", "price", "fee"), "1")
    more = {"appendix": "1", "is_taker": False, "is_bid": True, "timestamp": "1", "product_id": 4}
    fill = frame(type="fill", subaccount="0x", order_digest="0x1", submission_idx=5, **members, **more)
    for line in (1, 1, 0):
        merger.frame_received(line, fill, 4)

    assert [fill] == merger.frames_up()


def test_losing_the_one_that_knows_loses_the_line() -> None:
    """What was on its way there may be nowhere else: that is told, not hidden."""
    merger = back_again()
    assert not merger.is_over
    merger.frame_received(1, trade(7), 4)
    merger.connection_lost(0, 5)

    assert merger.is_over
    assert [] == merger.frames_up()


# -- requests -------------------------------------------------------------------------------------


def test_subscription_is_acknowledged_when_every_connection_has_it() -> None:
    """From then on a cut loses nothing; a connection that is not there is not waited for."""
    merger = merger_of(3)
    merger.request(subscribe(TRADES, 5), 0)
    assert [] == merger.frames_up()
    for line in (0, 1):
        merger.connection_made(line, 0)
    merger.frame_received(0, ack(1), 0)
    assert [] == merger.frames_up()
    assert (True, False) == (merger.is_live(0), merger.is_live(1))

    merger.connection_lost(1, 1)
    assert [ack(5)] == merger.frames_up()
    merger.connection_made(1, 2)
    assert ["subscribe"] == requests(merger, 1)[-1:]
    merger.frame_received(1, ack(2), 3)
    assert [] == merger.frames_up()


def test_refused_subscription_is_refused_above() -> None:
    """It is forgotten everywhere."""
    merger = merger_of(2)
    for line in (0, 1):
        merger.connection_made(line, 0)
    merger.request(subscribe(TRADES, 5), 0)
    refusal = frame(result=None, error="no such product", id=1)
    merger.frame_received(0, refusal, 0)
    merger.frame_received(1, refusal, 0)

    assert [{"error": "no such product", "id": 5, "result": None}] == [
        json.loads(each) for each in merger.frames_up()
    ]
    assert [{}, {}] == [session.streams for session in merger.sessions]


def test_stream_refused_to_one_connection_alone() -> None:
    """The others have it, so that connection is closed and tries again when it is made anew."""
    merger = two_lines(TRADES)
    merger.connection_lost(1, 1)
    merger.connection_made(1, 2)
    merger.frame_received(1, frame(result=None, error="too many", id=2), 3)
    assert [] == merger.frames_up()
    assert merger.is_broken(1)
    assert 1 == merger.stats[1].refused

    merger.connection_lost(1, 4)
    assert not merger.is_broken(1)
    requests(merger, 1)
    merger.connection_made(1, 5)
    assert ["subscribe"] == requests(merger, 1)


def authenticated(lines: int) -> LineMerger:
    return merger_of(lines, lambda request_id: frame(method="authenticate", id=request_id))


def authenticate(request_id: int) -> bytes:
    tx = {"sender": SENDER.hex, "expiration": "1"}
    return frame(method="authenticate", id=request_id, tx=tx, signature="0x")


def test_every_connection_authenticates_by_itself() -> None:
    """The session above is told when the first has succeeded."""
    merger = authenticated(2)
    merger.connection_made(0, 0)
    merger.connection_made(1, 0)
    merger.request(authenticate(9), 0)
    assert [] == merger.frames_up()
    assert ["authenticate"] == requests(merger, 0) == requests(merger, 1)
    merger.frame_received(1, ack(1), 1)
    assert [ack(9)] == merger.frames_up()

    merger.frame_received(0, ack(1), 2)
    assert [] == merger.frames_up()
    merger.request(authenticate(10), 3)
    assert [ack(10)] == merger.frames_up()


def test_refused_authentication() -> None:
    """It is told above if that waits for it; the connection is closed and tries again anew."""
    merger = authenticated(2)
    merger.connection_made(0, 0)
    refusal = frame(result=None, error="bad key", id=1)
    merger.frame_received(0, refusal, 0)
    assert merger.is_broken(0)
    merger.request(authenticate(9), 0)
    assert [] == merger.frames_up()

    merger.connection_made(1, 0)
    merger.frame_received(1, refusal, 0)
    assert ["bad key"] == [json.loads(each)["error"] for each in merger.frames_up()]
    merger.connection_lost(1, 1)
    merger.connection_made(1, 1)
    merger.frame_received(1, ack(2), 1)
    assert [] == merger.frames_up()
    assert [1, 1] == [stats.refused for stats in merger.stats]


@pytest.mark.parametrize("lines", [0, 6])
def test_wallet_may_have_five(lines: int) -> None:
    """A sixth connection with a key would be cut off by the venue; without a key there is no such limit."""
    with pytest.raises(UsageError, match=f"1 to 5, the venue's limit for a wallet connections, got {lines}"):
        authenticated(lines)
    assert 6 == len(merger_of(6).sessions)
    with pytest.raises(UsageError, match="at least 1"):
        merger_of(0)


def test_ping_is_answered_by_one_of_them() -> None:
    """If that one is lost meanwhile, another is asked."""
    merger = merger_of(2)
    ping = frame(method="ping", id=7)
    merger.request(ping, 0)
    assert [[], []] == [merger.frames_to_send(line) for line in (0, 1)]
    for line in (0, 1):
        merger.connection_made(line, -HOLD_NS)
    merger.tick(0)
    merger.request(ping, 0)
    assert [["ping"], []] == [requests(merger, line) for line in (0, 1)]
    merger.connection_lost(0, 1)
    assert ["ping"] == requests(merger, 1)
    pong = frame(result={"method": "pong", "server_time": "123"}, id=1)
    merger.frame_received(1, pong, 2)

    assert [{"result": {"method": "pong", "server_time": "123"}, "id": 7}] == [
        json.loads(each) for each in merger.frames_up()
    ]
    merger.sessions[1].ping(3)
    merger.frame_received(1, pong.replace(b'"id":1', b'"id":2'), 4)
    assert [] == merger.frames_up()


def test_other_requests_are_refused() -> None:
    """What the merger does not answer for it does not pretend to."""
    merger = merger_of(1)
    merger.request(frame(method="list", id=3), 0)

    assert [3] == [json.loads(each)["id"] for each in merger.frames_up()]


def test_connection_that_does_not_answer_is_broken() -> None:
    """And one that talks nonsense is counted."""
    merger = two_lines(TRADES)
    merger.sessions[0].ping(5)
    assert 5 + ACK_TIMEOUT_NS == merger.next_deadline()
    merger.tick(5 + ACK_TIMEOUT_NS)
    merger.frame_received(1, b"nonsense", 6)

    assert (True, False) == (merger.is_broken(0), merger.is_broken(1))
    assert 1 == merger.stats[1].malformed
    assert [] == merger.frames_up()
    assert merger_of(1).next_deadline() is None


# -- the whole ------------------------------------------------------------------------------------

GATEWAY, WITNESS = 90, 91


class Cutting:
    """A desk over two connections to a venue in memory, of which one at a time may be cut."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_ns = START
        self.exchange = Exchange(ExchangeOptions(flow=FlowPreset.BUSY, limits=False), seed=seed, now_ns=START)
        self.desk = Desk(subaccount=SENDER.hex, authenticate=self.authenticate, rng=random.Random(seed))
        self.merger = merger_of(2, self.authenticate)
        self.heard: list[Any] = []
        self.witnessed: list[Any] = []
        self.connections = [0, 1]
        self._numbers = itertools.count(100)
        self._order = itertools.count()
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._latest: dict[tuple[str, int], int] = {}

    def authenticate(self, request_id: int) -> bytes:
        expiration_ms = self.now_ns // 10**6 + 90_000
        return sign_authenticate(SIGNER, TESTNET.domain, SENDER, expiration_ms, id=request_id).frame

    def start(self) -> None:
        self.exchange.connection_made(GATEWAY, ConnectionKind.GATEWAY_V2, self.now_ns)
        self.exchange.connection_made(WITNESS, ConnectionKind.SUBSCRIBE, self.now_ns)
        self.exchange.frame_received(WITNESS, subscribe(TRADES, 1), self.now_ns)
        self.exchange.frame_received(WITNESS, subscribe(Stream.fill(SENDER.hex), 2), self.now_ns)
        self.desk.gateway_connected(self.now_ns)
        for line in (0, 1):
            self.connect(line)
        self.heard += self.desk.streams_connected(self.now_ns)
        self.pump()

    def connect(self, line: int) -> None:
        self.connections[line] = next(self._numbers)
        self.exchange.connection_made(self.connections[line], ConnectionKind.SUBSCRIBE, self.now_ns)
        self.merger.connection_made(line, self.now_ns)

    def cut(self, line: int) -> None:
        """Cut a connection with all that is on its way, and make it anew a little later."""
        self.exchange.connection_lost(self.connections[line], self.now_ns)
        self.connections[line] = -1
        self.merger.connection_lost(line, self.now_ns)
        self.at(self.now_ns + self.rng.randint(1, 400_000_000), lambda: self.connect(line))

    def at(self, when: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._order), what))

    def run(self, span_ns: int) -> None:
        end = self.now_ns + span_ns
        while True:
            deadlines = [
                self.exchange.next_deadline(),
                self.desk.next_deadline(),
                self.merger.next_deadline(),
            ]
            deadlines += [self._due[0][0] if self._due else None]
            when = min(each for each in deadlines if each is not None)
            if when > end:
                break
            self.now_ns = max(self.now_ns, when)
            while self._due and self._due[0][0] <= self.now_ns:
                heapq.heappop(self._due)[2]()
            self.exchange.tick(self.now_ns)
            self.heard += self.desk.tick(self.now_ns)
            self.merger.tick(self.now_ns)
            self.pump()
        self.now_ns = end

    def pump(self) -> None:
        for request in self.desk.streams.frames_to_send():
            self.merger.request(request, self.now_ns)
        for up in self.merger.frames_up():
            self.heard += self.desk.stream_frame(up, self.now_ns)
        for line, connection in enumerate(self.connections):
            for request in self.merger.frames_to_send(line):
                self.send("venue", connection, request)
        for request in self.desk.gateway.frames_to_send():
            self.send("venue", GATEWAY, request)
        for connection, message in self.exchange.frames_to_send():
            self.send("client", connection, message)

    def send(self, to: str, connection: int, message: bytes) -> None:
        # Now and then a connection falls far behind the other.
        delay = self.rng.randrange(3_000_000) + (self.rng.random() < 0.02) * self.rng.randrange(150_000_000)
        when = max(self.now_ns + delay, self._latest.get((to, connection), 0))
        self._latest[to, connection] = when

        def arrive() -> None:
            if connection == WITNESS:
                self.witnessed.append(messages.decode_stream(message))
            elif connection == GATEWAY:
                if to == "venue":
                    self.exchange.frame_received(connection, message, self.now_ns)
                else:
                    self.heard.extend(self.desk.gateway_frame(message, self.now_ns))
            elif connection in self.connections:
                if to == "venue":
                    self.exchange.frame_received(connection, message, self.now_ns)
                else:
                    self.merger.frame_received(self.connections.index(connection), message, self.now_ns)

        self.at(when, arrive)


def ignore(reply: Reply | NadowsError) -> None:
    """Orders are judged by their events."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_cutting_one_of_two_loses_nothing(seed: int) -> None:
    """Cuts under load: each trade and fill once and in order, no book resynced, no order left open."""
    pair, nonces = Cutting(seed), NonceSource(seed)
    for stream in (DEPTH, TRADES, Stream.order_update(SENDER.hex), Stream.fill(SENDER.hex)):
        pair.desk.subscribe(stream, pair.now_ns)
    pair.start()
    pair.run(10**9)
    since = pair.now_ns
    book, account = pair.desk.books[4], pair.desk.account
    assert account is not None
    assert book.is_live
    digests = []
    for _ in range(25):
        line = pair.rng.randrange(2)
        if -1 not in pair.connections and all(pair.merger.is_live(each) for each in (0, 1)):
            pair.cut(line)
        for _ in range(2):
            best = book.best_ask
            assert book.is_live
            assert best is not None
            order = sign_order(
                SIGNER, TESTNET.domain, 4, SENDER, best.price, E18 // 10, 2**32 - 1,
                nonces.next(pair.now_ns // 10**6), Appendix(order_type=OrderType.IOC).value,
            )  # fmt: skip
            digests.append(order.digest)
            pair.desk.place(order, now_ns=pair.now_ns, on_reply=ignore)
            pair.pump()
            pair.run(pair.rng.randint(1, 300_000_000))
            assert book.is_live
    pair.run(2 * 10**9)

    until = pair.now_ns - 10**9
    truth, got = (
        [each for each in events if isinstance(each, Trade | Fill) and since < each.timestamp < until]
        for events in (pair.witnessed, pair.heard)
    )
    for kind in (Trade, Fill):
        expected = [each for each in truth if isinstance(each, kind)]
        assert expected == [each for each in got if isinstance(each, kind)]
        assert len(expected) > 15
    assert (0, 0, 1) == (book.gaps, account.duplicate_fills, pair.desk.snapshots)
    assert all(account.orders[digest].is_done for digest in digests)
    market = pair.exchange.engine.markets[4]
    while book.max_timestamp != market.changed_ns:
        pair.run(10_000_000)
    assert [(level.price, level.qty) for level in book.bids] == market.book.bids.depth()[
        : len(list(book.bids))
    ]
    assert all(stats.won > 50 and stats.repeated > 50 and stats.connects > 3 for stats in pair.merger.stats)
    assert {0} == set(Counter(stats.refused + stats.malformed for stats in pair.merger.stats))
