"""One run of the campaign: a client and a venue, a workload, faults, and what must be true in the end.

Everything is drawn from the seed: when orders are placed and cancelled, when the counterparty trades, what
goes wrong, when and for how long. Times are drawn to the nanosecond, never on a grid: a grid hides whole
classes of races (reliability_and_experience.md, A1.6).
"""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from nadows.account import OrderStatus
from nadows.book import BookState
from nadows.desk import GATEWAY, STREAMS, Degraded, Desk, DeskEvent, Reconnected
from nadows.errors import NadowsError, RateLimited
from nadows.lifecycle import LifeOptions, LifeState
from nadows.messages import Fill, JournaledFill, LateFill, Reply, Stream
from nadows.network import TESTNET
from nadows.recovery import FillsBackfilled, OrderSettled
from nadows.session import LineState, Restored
from nadows.signing import (
    Appendix,
    NonceSource,
    OrderType,
    SignedOrder,
    Signer,
    Subaccount,
    sign_authenticate,
    sign_cancel_orders,
    sign_order,
    sign_place_orders,
)
from nadows.throttle import Limits, Policy
from nadows.timings import Timings
from nadows.venue import engine, flow
from nadows.venue.archive import Match
from nadows.venue.exchange import Exchange, ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.products import PRODUCTS
from nadows.venue.rest import HttpRequest
from nadows.venue.switches import Switches
from tests.faults.truth import check_fills, check_orders, true_fills
from tests.faults.wire import MS, SECOND, Delivery, Message, Wires

__all__ = ["END_NS", "LIVE_WITHIN_NS", "Result", "World"]

START: Final = 1_800_000_000 * SECOND
WORK_NS: Final = 7 * SECOND
"""How long orders are placed, and how late a fault may begin."""
LIVE_WITHIN_NS: Final = 5 * SECOND
END_NS: Final = 14 * SECOND
"""From the last fault to the reckoning: what is unknown has been settled by then."""
MOST_CONNECTS: Final = 25
MOST_SNAPSHOTS: Final = 25
"""Of a line, or of the one book, within any 10 s, whatever goes wrong. The address may have 100 connections
and ask for 400 snapshots in that time (protocol.md 7), and is not ours alone."""
WINDOW_MS: Final = 4_000
"""Receive window of nonces; shorter than in life, so that a run need not last two minutes."""
PRODUCT: Final = 4
TICK: Final = 10**17
STEP: Final = 10**15
NEVER: Final = 2**32 - 1

OWN, OTHER = Signer(b"\x07" * 32), Signer(b"\x09" * 32)
OWN_SENDER, OTHER_SENDER = Subaccount.of(OWN.address), Subaccount.of(OTHER.address)

TIMINGS: Final = Timings(
    request_ns=1_500 * MS,
    ack_ns=1_500 * MS,
    archive_ns=1_000 * MS,
    reconcile_ns=3 * SECOND,
    after_reconnect_ns=(0, 100 * MS, 250 * MS, 500 * MS, SECOND, 2 * SECOND),
    hold_ns=500 * MS,
    settle_ns=2_500 * MS,
    takes_effect_ns=5 * SECOND,
    doubt_ns=(0, 250 * MS, 500 * MS, 700 * MS),
    audit_ns=2 * SECOND,
    audit_patience_ns=SECOND,
    poll_after_ns=600 * MS,
    poll_ns=400 * MS,
    poll_patience_ns=SECOND,
    calm_ns=500 * MS,
    calm_cap_ns=2 * SECOND,
    page=7,
)
POLLED_WITHIN_NS: Final = 700 * MS
"""How long the streams may be away until REST is asked in their stead: the limit, and two looks."""
LIFE: Final = LifeOptions(quiet_ns=SECOND, probe_ns=SECOND, proven_ns=SECOND)

Levels = list[tuple[int, int]]


class Result(NamedTuple):
    """What a run showed."""

    seed: int
    faults: tuple[str, ...]
    fills: int
    late: int
    reconnects: int
    gaps: int
    books_compared: int
    polled_compared: int
    """Of the books compared, the ones that were POLLED."""
    polled_fills: int
    """Fills that were told while the streams stayed away."""
    problems: tuple[str, ...]


class World:
    """A client and a venue.

    Args:
        seed: Of everything.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.nonces = NonceSource(first=seed)
        self.skew_ns = 0
        """How far the client's clock is ahead."""
        self.problems: list[str] = []
        self.books_compared = 0
        self.polled_compared = 0
        """Of those, the ones that were POLLED."""
        switches = Switches(speed_bump_ms=self.rng.choice([0, 30]), signed_quantities=self.rng.random() < 0.5)
        options = ExchangeOptions(flow=FlowPreset.CALM, limits=True, switches=switches)
        self.exchange = _small_venue(options, seed)
        self._snapshot_depth = self.rng.choice([15, 30, 50])
        self.depth = self._snapshot_depth + 10
        """Levels compared, at most: more than what a snapshot of this run reaches."""
        self.copies = 2 if seed % 3 == 2 else 1
        self.batches = random.Random(f"batches {seed}") if seed % 4 == 1 else None
        """Draws when orders are sent together, in runs where some are."""
        self.limits = Limits(Policy.FAIL)
        self.desk = self.make_desk()
        self.wires = Wires(
            self.desk,
            self.exchange,
            random.Random(self.rng.random()),
            LIFE,
            START,
            copies=self.copies,
            authenticate=self._authenticate,
        )
        self.archive_lag_ns = 0
        """How far the archive trails."""
        self.archive_scatter_ns = 0
        """By how much, at most, it files its entries out of order."""
        self.wires.archive = self.ask_archive
        self.wires.rest = self.ask_rest
        self.wires.look = self._look_at_books
        self._truth: dict[int, tuple[Levels, Levels]] = {}
        self._checked_at = -1
        self._answered_books: dict[int, tuple[Levels, Levels]] = {}
        """What the venue's book was when it was asked for over REST, by its time."""
        self._live_ns: int | None = START
        """When the streams were last live; ``None`` if not yet in this life of the client."""
        self._looked_at = 0
        """How many events there were at the last look."""
        self._lives = [0]
        """How many events there were when each life of the client began."""
        self._replies: dict[str, Reply | NadowsError] = {}
        self.placed: set[str] = set()
        """Orders of the client, sent or not."""
        self._trade_before()
        self._history = set(self._true_fills())

    @property
    def now_ns(self) -> int:
        """The clock."""
        return self.wires.now_ns

    def make_desk(self) -> Desk:
        """Make a client's machine that wants what the client wants."""
        desk = Desk(
            subaccount=OWN_SENDER.hex,
            authenticate=self._authenticate,
            rng=random.Random(self.seed),
            snapshot_depth=self._snapshot_depth,
            timings=TIMINGS,
        )
        own = OWN_SENDER.hex
        for stream in (
            Stream.order_update(own),
            Stream.fill(own),
            Stream.position_change(own),
            Stream.book_depth(PRODUCT),
            Stream.trade(PRODUCT),
        ):
            desk.subscribe(stream, START)
        return desk

    def restart(self) -> None:
        """Put a new client in the place of one that has crashed; its lines are not started."""
        self.desk = self.make_desk()
        self.wires.restart(self.desk, LIFE)
        self._live_ns = None
        self._looked_at = len(self.wires.events)
        self._lives.append(self._looked_at)

    def _told(self) -> Iterator[Sequence[DeskEvent]]:
        """Give what each life of the client was told."""
        for begin, end in pairwise([*self._lives, len(self.wires.events)]):
            yield self.wires.events[begin:end]

    # -- the workload -------------------------------------------------------------------------

    def schedule_work(self) -> None:
        """Draw when what is done."""
        for action, mean_ns in (
            (self._place, 160 * MS),
            (self._cancel, 700 * MS),
            (self._counter, 260 * MS),
        ):
            self._schedule(action, mean_ns, self.rng)
        if self.batches is not None:
            self._schedule(self._place_batch, 800 * MS, self.batches)

    def _schedule(self, action: Callable[[], None], mean_ns: int, rng: random.Random) -> None:
        at = START + SECOND // 3 + int(rng.expovariate(1) * mean_ns)
        while at < START + WORK_NS:
            self.wires.at(at, action)
            at += 1 + int(rng.expovariate(1) * mean_ns)

    def _trade_before(self) -> None:
        """Give the account a past, which is no news to a client that comes now."""
        for _ in range(self.rng.randint(0, 10)):
            buy = self.rng.random() < 0.5
            frame = self._sign(buy, self._touch()[buy], OrderType.IOC).frame
            number = 10**9 + self.rng.getrandbits(40)
            request = HttpRequest("POST", "/v1/execute", body=frame)
            self.exchange.http_request(number, request, START - SECOND)
            self.limits.executes.bucket.spend(1, START - SECOND)
        self.exchange.tick(START)
        self.exchange.http_answers()

    def _sign(self, buy: bool, price: int, kind: OrderType) -> SignedOrder:
        qty = self.rng.randint(40, 400) * STEP
        return sign_order(
            OWN,
            TESTNET.domain,
            PRODUCT,
            OWN_SENDER,
            price,
            qty if buy else -qty,
            NEVER,
            self._nonce(),
            Appendix(order_type=kind).value,
        )

    def _authenticate(self, request_id: int) -> bytes:
        expiration_ms = (self.now_ns + self.skew_ns) // MS + 90_000
        return sign_authenticate(OWN, TESTNET.domain, OWN_SENDER, expiration_ms, id=request_id).frame

    def _nonce(self) -> int:
        return self.nonces.next(self.now_ns // MS, WINDOW_MS)

    def _touch(self) -> tuple[int, int]:
        top = self.exchange.engine.markets[PRODUCT].top()
        return top.bid_price, top.ask_price

    def _may_send(self, weight: int) -> bool:
        """Whether the gateway is there and the wallet has room."""
        try:
            return self.desk.gateway.is_up and self.limits.executes.enter(weight, self.now_ns)
        except RateLimited:
            return False

    def _draw_order(self) -> SignedOrder:
        bid, ask = self._touch()
        buy = self.rng.random() < 0.5
        kind = self.rng.choices(
            [OrderType.DEFAULT, OrderType.POST_ONLY, OrderType.IOC, OrderType.FOK], [5, 4, 3, 1]
        )[0]
        near = bid if buy else ask
        price = near + self.rng.randint(-3, 3) * TICK
        signed = self._sign(buy, price, kind)
        self.placed.add(signed.digest)
        return signed

    def _place_batch(self) -> None:
        assert self.batches is not None
        count = self.batches.randint(2, 4)
        if not self._may_send(count):
            return
        orders = [self._draw_order() for _ in range(count)]
        batch = sign_place_orders(orders, stop_on_failure=self.batches.choice([None, True]))

        def on_reply(reply: Reply | NadowsError) -> None:
            for order in orders:
                self._answered(order.digest, reply)

        self.desk.place_orders(batch, now_ns=self.now_ns, on_reply=on_reply)

    def _place(self) -> None:
        if not self._may_send(1):
            return
        signed = self._draw_order()
        self.desk.place(
            signed, now_ns=self.now_ns, on_reply=lambda reply: self._answered(signed.digest, reply)
        )

    def _answered(self, digest: str, reply: Reply | NadowsError) -> None:
        if digest in self._replies:
            self.problems.append(f"answered twice: {digest}")
        self._replies[digest] = reply

    def _cancel(self) -> None:
        account = self.desk.account
        assert account is not None
        open_now = [order for order in account.open_orders() if order.status is not OrderStatus.PENDING_NEW]
        if not open_now or not self._may_send(1):
            return
        order = self.rng.choice(open_now)
        signed = sign_cancel_orders(OWN, TESTNET.domain, OWN_SENDER, [PRODUCT], [order.digest], self._nonce())
        self.desk.execute(
            signed.frame,
            request_type="execute_cancel_orders",
            signature=signed.signature,
            cancels=(order.digest,),
            now_ns=self.now_ns,
            on_reply=lambda reply: None,
        )

    def _counter(self) -> None:
        """Let somebody else trade, preferably with the client's resting orders."""
        mine = [order for order in self.exchange.engine.orders.values() if order.digest]
        mine = [order for order in mine if order.account.subaccount == OWN_SENDER.hex]
        bid, ask = self._touch()
        if mine and self.rng.random() < 0.8:
            chosen = self.rng.choice(mine)
            buy, price = not chosen.is_bid, chosen.price
        else:
            buy = self.rng.random() < 0.5
            price = ask if buy else bid
        qty = self.rng.randint(30, 300) * STEP
        signed = sign_order(
            OTHER,
            TESTNET.domain,
            PRODUCT,
            OTHER_SENDER,
            price,
            qty if buy else -qty,
            NEVER,
            self._nonce(),
            Appendix(order_type=OrderType.IOC).value,
        )
        number = 10**9 + self.rng.getrandbits(40)
        self.exchange.http_request(
            number, HttpRequest("POST", "/v1/execute", body=signed.frame, address="10.0.0.9"), self.now_ns
        )
        self.exchange.http_answers()

    # -- what faults need ---------------------------------------------------------------------

    def place_for(self, frame: bytes) -> None:
        """Let a request of the client arrive by another way."""
        number = 10**9 + self.rng.getrandbits(40)
        self.exchange.http_request(number, HttpRequest("POST", "/v1/execute", body=frame), self.now_ns)
        self.exchange.http_answers()

    def refuse_for_load(self, frame: bytes) -> None:
        """Answer a request as the venue's edge does when it has had enough."""
        request = json.loads(frame)
        kind = f"query_{request['type']}" if "type" in request else f"execute_{next(iter(request))}"
        answer = {"status": "failure", "error": "injected", "error_code": 1000, "request_type": kind}
        body = request.get(next(iter(request)))
        if isinstance(body, dict):
            signed = body["orders"][0] if "orders" in body else body
            answer["signature"] = signed.get("signature") or signed["place_order"]["signature"]
        self.wires.tell(GATEWAY, json.dumps(answer, separators=(",", ":")).encode())

    def burst(self, rng: random.Random, begin: int, end: int, trades: int) -> None:
        """Let others trade more than usual."""
        for _ in range(trades):
            self.wires.at(rng.randrange(begin, end), self._counter)

    def ask_archive(self, body: bytes) -> tuple[int, bytes] | None:
        """Answer from what the archive has filed."""
        if not self.archive_lag_ns and not self.archive_scatter_ns:
            return self.wires.ask_archive(body)
        matches = self.exchange.engine.archive.matches([OWN_SENDER.hex])
        filed = [match.submission_idx for match in matches if self._is_filed(match)]
        request = json.loads(body)
        wanted = 0
        if "matches" in request:
            asked, newest = request["matches"], filed[0] if filed else 0
            wanted = asked["limit"]
            asked |= {"idx": min(int(asked.get("idx") or newest), newest), "limit": wanted + 20}
        answered = self.wires.ask_archive(json.dumps(request).encode())
        assert answered is not None
        answer, seen = json.loads(answered[1]), set(filed)
        if "matches" in answer:
            answer["matches"] = [m for m in answer["matches"] if int(m["submission_idx"]) in seen][:wanted]
            shown = {match["submission_idx"] for match in answer["matches"]}
            answer["txs"] = [tx for tx in answer["txs"] if tx["submission_idx"] in shown]
        if "orders" in answer:
            answer["orders"] = [self._as_filed(each, seen) for each in answer["orders"]]
            answer["orders"] = [each for each in answer["orders"] if each["base_filled"] != "0"]
        return answered[0], json.dumps(answer).encode()

    def _is_filed(self, match: Match) -> bool:
        # Each entry has a delay of its own, always the same one.
        scattered = match.submission_idx * 2_654_435_761 % 2**32 * self.archive_scatter_ns >> 32
        return match.ts + max(self.archive_lag_ns, scattered) <= self.now_ns

    def ask_rest(self, body: bytes) -> tuple[int, bytes] | None:
        """Answer a query over REST, and remember what the book was."""
        answer = self.wires.ask_rest(body)
        market = self.exchange.engine.markets[PRODUCT]
        self._answered_books[market.changed_ns] = self._true_levels()
        return answer

    def _as_filed(self, record: dict[str, Any], filed: set[int]) -> dict[str, Any]:
        """Take out of an order's record what is not filed yet."""
        filled = sum(
            qty
            for (idx, digest), (qty, *_) in self._true_fills().items()
            if digest == record["digest"] and idx in filed
        )
        return record | {"base_filled": str(filled)}

    # -- the reckoning ------------------------------------------------------------------------

    def _look_at_books(self) -> None:
        market = self.exchange.engine.markets[PRODUCT]
        if market.changed_ns not in self._truth:
            self._truth[market.changed_ns] = self._true_levels()
        self._compare_book()
        self._look_at_polling()

    def _true_levels(self) -> tuple[Levels, Levels]:
        book = self.exchange.engine.markets[PRODUCT].book
        return book.bids.depth(self.depth), book.asks.depth(self.depth)

    def _compare_book(self) -> None:
        book = self.desk.books[PRODUCT]
        is_polled = book.state is BookState.POLLED
        expected = (self._answered_books if is_polled else self._truth).get(book.max_timestamp)
        if not (book.is_live or is_polled) or expected is None or book.max_timestamp == self._checked_at:
            return
        self._checked_at = book.max_timestamp
        self.books_compared += 1
        self.polled_compared += is_polled
        for side, truth in ((book.bids, expected[0]), (book.asks, expected[1])):
            levels = side.top(self.depth)
            if levels != truth[: len(levels)] or not levels:
                self.problems.append(f"wrong {book.state.name} book at {book.max_timestamp}")
                return

    def _look_at_polling(self) -> None:
        """REST is asked when the streams stay away, not longer, and never passes for a stream."""
        book, streams = self.desk.books[PRODUCT], self.desk.streams
        is_polling = STREAMS in self.desk.polling.degraded
        since, self._looked_at = self._looked_at, len(self.wires.events)
        if streams.state is LineState.LIVE or _was_restored(self.wires.events[since:]):
            self._live_ns = self.now_ns
        if streams.state is LineState.LIVE:
            if is_polling:
                self.problems.append("the streams are live, and polling goes on")
        elif self._live_ns is not None and self.now_ns - self._live_ns > POLLED_WITHIN_NS and not is_polling:
            self.problems.append("the streams stay away, and nobody polls")
        if book.is_live and not streams.is_connected:
            self.problems.append("the book is LIVE without a stream")

    def still(self) -> None:
        """Let the house stop trading, sometimes with its last words lost; what remains is to be found out."""
        self.exchange._flow = None
        if self.rng.random() < 0.3:
            self.wires.tampers.append(_lose_events)
            self.wires.at(self.now_ns + 200 * MS, lambda: self.wires.tampers.remove(_lose_events))

    def check_live(self) -> None:
        """Everything is up again."""
        states = {name: life.state for name, life in self.wires.lives.items()}
        if any(state not in (LifeState.LIVE, LifeState.DEGRADED) for state in states.values()):
            self.problems.append(f"not live in time: {states}")
        if self.desk.streams.state is not LineState.LIVE:
            self.problems.append(f"streams are {self.desk.streams.state}")
        wanted = set(self.desk.streams.streams)
        if len(wanted) != 5 or wanted != self.desk.streams.acknowledged:
            self.problems.append(f"not subscribed to everything: {len(wanted)} streams wanted")
        book, market = self.desk.books[PRODUCT], self.exchange.engine.markets[PRODUCT]
        if not book.is_live:
            self.problems.append("the book is not live in time")
        elif market.changed_ns - book.max_timestamp > SECOND:
            self.problems.append("the book is live and does not move")

    def check_end(self, *, in_order: bool) -> None:
        """Nothing lost, nothing doubled, nothing wrong.

        Args:
            in_order: Whether the faults of this run leave fills in the venue's order.
        """
        self.problems += self.wires.violations
        self._check_limits()
        self._check_fills()
        self._check_order_of_fills(in_order=in_order)
        self._check_orders()
        account = self.desk.account
        assert account is not None
        held = self.exchange.engine.ledger.account(OWN_SENDER.hex)
        if held is not None:
            market = self.exchange.engine.markets[PRODUCT]
            amount = held.balance(market.product)[0]
            if amount != account.position(PRODUCT):
                self.problems.append(f"position {account.position(PRODUCT)}, the venue says {amount}")
        book, market = self.desk.books[PRODUCT], self.exchange.engine.markets[PRODUCT]
        if not book.is_live or book.max_timestamp != market.changed_ns:
            self.problems.append(f"the book is {book.state} at {book.max_timestamp}, not {market.changed_ns}")

    def expected_fills(self) -> set[tuple[int, str]]:
        """Name the fills that the client is to be told: those since it came."""
        return set(self._true_fills()) - self._history

    def _true_fills(self) -> dict[tuple[int, str], tuple[int, int, int, bool]]:
        return true_fills(self.exchange, OWN_SENDER.hex)

    def _check_fills(self) -> None:
        delivered = [event for event in self.wires.events if isinstance(event, Fill)]
        self.problems += check_fills(delivered, self._true_fills(), self._history)

    def _check_order_of_fills(self, *, in_order: bool) -> None:
        """See that late fills are told as such, and in order; and all fills, where nothing forbids it."""
        late: list[int] = []
        for told in self._told():
            # What an earlier life was told, and perhaps not in whole, is in the journal.
            late = self._check_order_in_a_life(told, in_order=in_order)
        if late:
            self.problems.append(f"late fills {late} are not summed up")

    def _check_order_in_a_life(self, told: Sequence[DeskEvent], *, in_order: bool) -> list[int]:
        newest, late = 0, list[int]()
        for event in told:
            if isinstance(event, JournaledFill):
                continue
            if isinstance(event, Fill):
                if in_order and event.index < newest:
                    self.problems.append(f"fill {event.index} delivered after {newest}")
                newest = max(newest, event.index)
                late += [event.index] if isinstance(event, LateFill) else []
            elif isinstance(event, FillsBackfilled):
                if late != sorted(late) or (event.fills, event.first_index, event.last_index) != (
                    len(late),
                    *late[:1],
                    *late[-1:],
                ):
                    self.problems.append(f"late fills {late} told as {event}")
                late = []
        return late

    def _check_limits(self) -> None:
        for line, attempts in self.wires.attempts.items():
            if _most_at_once(attempts) > MOST_CONNECTS:
                self.problems.append(f"{line}: {_most_at_once(attempts)} connects within 10 s")
        if _most_at_once(self.wires.snapshots) > MOST_SNAPSHOTS:
            self.problems.append(f"{_most_at_once(self.wires.snapshots)} snapshots within 10 s")

    def _check_orders(self) -> None:
        account = self.desk.account
        assert account is not None
        self.problems += check_orders(account, self.exchange)
        for event in self.wires.events:
            if isinstance(event, OrderSettled) and event.status in (
                OrderStatus.CANCELED,
                OrderStatus.EXPIRED,
            ):
                # One that is closed may be left out of a journal, so that a new life does not know it.
                settled = account.orders.get(event.digest)
                if settled is not None and settled.status is OrderStatus.FILLED:
                    self.problems.append(f"order {event.digest[:10]} was {event.status.name} before FILLED")

    def _polled_fills(self) -> int:
        count = 0
        for told in self._told():
            is_polling = False
            for event in told:
                if isinstance(event, Degraded | Reconnected) and event.line == STREAMS:
                    is_polling = isinstance(event, Degraded)
                count += is_polling and isinstance(event, Fill)
        return count

    def result(self, faults: tuple[str, ...]) -> Result:
        """Sum up."""
        recovery = self.desk.recovery
        assert recovery is not None
        return Result(
            seed=self.seed,
            faults=faults,
            fills=sum(isinstance(event, Fill) for event in self.wires.events),
            late=recovery.late_fills,
            reconnects=sum(life.connects - 1 for life in self.wires.lives.values()),
            gaps=self.desk.books[PRODUCT].gaps,
            books_compared=self.books_compared,
            polled_compared=self.polled_compared,
            polled_fills=self._polled_fills(),
            problems=tuple(self.problems),
        )


def _most_at_once(times: list[int]) -> int:
    """Count the most that happened within any 10 s."""
    return max((bisect_left(times, at + 10 * SECOND) - index for index, at in enumerate(times)), default=0)


def _was_restored(events: Sequence[DeskEvent]) -> bool:
    # Not by ==, for events without members are all equal.
    return any(isinstance(event, Restored) for event in events)


def _lose_events(message: Message) -> list[Delivery] | None:
    return [] if message.to_desk and message.line == STREAMS and b'"type":' in message.frame else None


def _small_venue(options: ExchangeOptions, seed: int) -> Exchange:
    """Open a venue with one market, whose books have some 80 levels: enough, and several times quicker."""
    with (
        patch.object(flow, "_TARGET_ORDERS", 130),
        patch.object(engine, "tradable", lambda: (PRODUCTS[PRODUCT],)),
    ):
        return Exchange(options, seed=seed, now_ns=START - SECOND)
