"""The load against a client that does as it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nadows import messages
from nadows.bench import load as loads
from nadows.bench.load import ClosedLoad, Load, OpenLoad, error_name
from nadows.bench.outcome import FOLLOW_UP, QUERIES
from nadows.bench.plan import Plan, Turns
from nadows.bench.scenario import LoadPhase, MixEntry, OnFull, Scenario
from nadows.bench.trader import QUOTES, Trader
from nadows.book import Level
from nadows.client import Client
from nadows.delivery import Callback
from nadows.desk import BookChanged, OnReply
from nadows.errors import (
    ConnectionLost,
    InvalidRequest,
    NadowsError,
    OrderUnknown,
    TransportError,
    UsageError,
)
from nadows.messages import Fill, Reply
from nadows.products import Product
from nadows.signing import Appendix, OrderType
from nadows.units import ONE_X18, X18, Nanos, StrInt

ETH = Product(
    product_id=4,
    symbol="ETH-PERP",
    is_perp=True,
    tick=ONE_X18 // 10,
    step=ONE_X18 // 1000,
    min_notional=100 * ONE_X18,
    maker_fee=0,
    taker_fee=0,
)
OK = Reply(status="success")


class FakeClient:
    """Takes orders; the test decides what becomes of them."""

    def __init__(self) -> None:
        self.book = SimpleNamespace(
            is_live=True, best_bid=Level(3000 * ONE_X18, ONE_X18), best_ask=Level(3001 * ONE_X18, ONE_X18)
        )
        self.desk = SimpleNamespace(books={4: self.book}, gateway=SimpleNamespace(is_up=True))
        self.subaccount = SimpleNamespace(hex="0xab")
        self.orders: list[Any] = []
        self.replies: list[OnReply] = []
        self.callbacks: list[Callback] = []
        self.cancelled: list[tuple[int, int]] = []
        """How many orders had been sent when a product was cancelled, and which product."""
        self.is_connected = True
        self.signed = 0
        self.cancel_error: NadowsError | None = None
        self.answer: Reply | NadowsError | None = OK
        self.on_order: Callable[[Any, OnReply], None] = lambda order, on_reply: None
        """Called soon after each order."""
        self.asked: list[Any] = []
        """Queries, cancellations and replacements, in order."""

    def sign(self, product_id: int, amount: int, price: int, appendix: Appendix) -> Any:
        self.signed += 1
        return SimpleNamespace(
            digest=f"0x{self.signed:x}", amount=amount, price=price, type=appendix.order_type
        )

    def submit(self, order: Any, on_reply: OnReply) -> None:
        if not self.is_connected:
            raise ConnectionLost("not connected")
        self.orders.append(order)
        self.replies.append(on_reply)
        if self.answer is not None:
            asyncio.get_running_loop().call_soon(on_reply, self.answer)
        asyncio.get_running_loop().call_soon(self.on_order, order, on_reply)

    def on(self, callback: Callback, *streams: Any) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    async def place_order(self, order: Any) -> Reply:
        self.asked.append(("place_order", order.digest))
        return OK

    async def cancel_orders(self, orders: Any) -> None:
        self.asked.append(("cancel_orders", *orders))

    async def cancel_and_place(self, cancel: Any, order: Any) -> None:
        self.asked.append(("cancel_and_place", cancel, order.digest))

    async def query(self, query: Any) -> None:
        self.asked.append(messages.query_type(query))

    async def cancel_product_orders(self, *products: int) -> None:
        self.cancelled += [(len(self.orders), product) for product in products]
        if self.cancel_error is not None:
            raise self.cancel_error

    def deliver(self, event: Any) -> None:
        for callback in self.callbacks:
            callback(event)

    def fill(self, digest: str) -> None:
        self.deliver(
            Fill(
                timestamp=Nanos(1),
                product_id=4,
                subaccount="0xab",
                order_digest=digest,
                appendix=StrInt(1),
                filled_qty=X18(1),
                remaining_qty=X18(0),
                original_qty=X18(1),
                price=X18(1),
                is_taker=True,
                is_bid=True,
                fee=X18(0),
                submission_idx=1,
            )
        )


def trader_of(client: FakeClient, **options: Any) -> Trader:
    return Trader(cast(Client, client), ETH, **options)


@asynccontextmanager
async def running(
    client: FakeClient,
    *,
    rate: int = 2000,
    ms: int = 50,
    timeout_ns: int = 10**9,
    start_ns: int | None = None,
    mix: Sequence[MixEntry] = (MixEntry("cross", 1), MixEntry("rest", 1)),
    trader: Trader | None = None,
    max_inflight: int = 1000,
    on_full: OnFull = "queue",
) -> AsyncIterator[OpenLoad]:
    """Run a load of some requests over a fake client."""
    scenario = Scenario(
        name="x", phases=(LoadPhase("steady", Fraction(rate), ms * 1_000_000),), mix=tuple(mix)
    )
    async with asyncio.TaskGroup() as tasks:
        load = OpenLoad(
            *(Plan(scenario), {0: trader or trader_of(client)}, tasks, timeout_ns),
            max_inflight=max_inflight,
            on_full=on_full,
        )
        load.start(time.monotonic_ns() if start_ns is None else start_ns)
        try:
            yield load
        finally:
            load.close()


async def all_sent(load: Load) -> None:
    async with asyncio.timeout(20):
        await load.all_sent.wait()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(20):
        while True:
            if holds():
                return
            await asyncio.sleep(0.001)


def at_least(items: Sequence[object], count: int) -> bool:
    return len(items) >= count


async def answers() -> None:
    """Let callbacks run that were scheduled, and the tasks that they start."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_everything_is_sent_answered_and_filled() -> None:
    """A plan goes out whole; crossing orders are awaited on the stream, resting ones are not."""
    client = FakeClient()
    async with running(client) as load:
        await all_sent(load)
        await answers()
        for order in client.orders:
            client.fill(order.digest)
        client.deliver(BookChanged(4, cast(Any, None)))

        assert load.is_settled
    tally = load.recorder.phases[0]
    assert (50, 50) == tuple(tally.track(kind).counts.acked for kind in ("cross", "rest"))
    assert (50, 50) == (tally.crossing.accepted, tally.crossing.filled)
    assert [] == client.callbacks


async def test_orders_alternate_and_keep_their_distance() -> None:
    """Crossing orders are IOC beyond the other side, resting ones post-only away from their own."""
    client = FakeClient()
    async with running(client, ms=4) as load:
        await all_sent(load)

    assert [OrderType.IOC, OrderType.POST_ONLY] * 4 == [order.type for order in client.orders]
    crosses, rests = client.orders[::2], client.orders[1::2]
    assert [1, -1, 1, -1] == [order.amount // abs(order.amount) for order in crosses]
    assert [1, -1, 1, -1] == [order.amount // abs(order.amount) for order in rests]
    assert 0 == sum(order.amount for order in client.orders)
    assert all(
        order.price > client.book.best_ask.price
        if order.amount > 0
        else order.price < client.book.best_bid.price
        for order in crosses
    )
    assert all(
        order.price < client.book.best_bid.price
        if order.amount > 0
        else order.price > client.book.best_ask.price
        for order in rests
    )
    assert all(order.price % ETH.tick == 0 and order.amount % ETH.step == 0 for order in client.orders)
    assert all(abs(order.amount) * order.price >= 100 * 10**36 for order in client.orders)
    assert 4 == len({order.price for order in rests})


def rest_price(trader: Trader) -> int:
    return int(cast(Any, trader.next_order("rest")).price)


def test_prices_follow_the_book_while_it_is_sound() -> None:
    """A book that is not live, or has one side only, leaves the prices as they were."""
    client = FakeClient()
    trader = trader_of(client)

    client.book.best_bid, client.book.best_ask = Level(4000 * ONE_X18, 1), Level(4001 * ONE_X18, 1)
    client.book.is_live = False
    trader.book_moved()
    stale = rest_price(trader)
    client.book.is_live, client.book.best_ask = True, None
    trader.book_moved()
    one_sided = rest_price(trader)
    client.book.best_ask = Level(4001 * ONE_X18, 1)
    trader.book_moved()

    assert 2940 * ONE_X18 == stale == one_sided
    assert 3920 * ONE_X18 == rest_price(trader)


def test_market_without_bids_cannot_be_traded() -> None:
    """Before the run there must be a price to size orders by."""
    client = FakeClient()
    client.book.best_bid = None

    with pytest.raises(UsageError, match="ETH-PERP has no bid"):
        trader_of(client)


async def test_what_rests_is_cancelled_after_every_fifty() -> None:
    """Without waiting for answers, so that the bound holds while the venue stalls; counted apart."""
    client = FakeClient()
    client.answer = None
    async with running(client, ms=100, mix=[MixEntry("rest", 1)]) as load:
        await all_sent(load)
        await answers()

    assert 4 == len(client.cancelled)
    assert all(product == 4 for _, product in client.cancelled)
    counts = load.recorder.phases[0].track("cancel_product_orders").counts
    assert (4, 4) == (counts.sent, counts.acked)
    assert 200 == load.recorder.totals()[0]


async def test_failed_cancellation_is_a_failure_of_its_own() -> None:
    """A refused cancellation is counted by its code and does not disturb the orders."""
    client = FakeClient()
    client.cancel_error = InvalidRequest("gone", code=2020)
    async with running(client, ms=25, mix=[MixEntry("rest", 1)]) as load:
        await all_sent(load)
        await answers()

    assert {"2020 OrderNotFound": 1} == load.recorder.phases[0].track("cancel_product_orders").counts.errors


async def test_cancellation_answered_after_its_time_out_is_late() -> None:
    """A cancellation that was given up stays given up."""
    client = FakeClient()
    async with running(client, ms=1) as load:
        await all_sent(load)
        recorder = load.recorder

        async def slow() -> None:
            recorder.give_up(time.monotonic_ns() + 10**10, 1)

        recorder.sent(-1, 0, FOLLOW_UP, 0, time.monotonic_ns())
        await load._follow(-1, 0, slow())

    assert {"timeout": 1} == recorder.phases[0].track("cancel_product_orders").counts.errors
    assert 1 == recorder.phases[0].late_answers


async def test_requests_between_two_connections_are_dropped() -> None:
    """What cannot be sent is counted, not queued; the next one takes its place in the alternation."""
    client = FakeClient()
    client.is_connected = False
    async with running(client, ms=5) as load:
        await all_sent(load)

    counts = load.recorder.phases[0].track("cross").counts
    assert (0, {"not connected": 5}) == (counts.sent, counts.drops)


async def test_answer_after_the_time_out_is_late() -> None:
    """An order that was given up stays given up; its answer is counted as late."""
    client = FakeClient()
    client.answer = None
    async with running(client, ms=1) as load:
        await all_sent(load)
        load.recorder.give_up(time.monotonic_ns() + 10**10, 1)
        for on_reply in client.replies:
            on_reply(OK)

    assert 2 == load.recorder.phases[0].late_answers


async def test_refusal_is_counted_by_its_code() -> None:
    """A refused order is a failure with the venue's number and name."""
    client = FakeClient()
    client.answer = Reply(status="failure", error_code=2008)
    async with running(client, ms=2) as load:
        await all_sent(load)
        await answers()

    errors = load.recorder.phases[0].track("rest").counts.errors
    assert {"2008 PostOnlyOrderCrossesBook": 2} == errors


async def test_stop_drops_what_is_due_and_unsent() -> None:
    """Stopping counts what was due by then; what is due later was never asked for."""
    client = FakeClient()
    async with running(client, rate=100, ms=10_000, start_ns=time.monotonic_ns() + 3_600 * 10**9) as load:
        load.stop(load._start_ns + 95_000_000)
        load.stop(load._start_ns + 500_000_000)

        assert load.is_settled
    assert 95_000_000 == load.stopped_at_ns
    planned = sum(Plan.planned(load._plan, 0, load.stopped_at_ns).values())
    drops = [track.counts.drops["stopped"] for track in load.recorder.phases[0].tracks.values()]
    assert 10 == planned == sum(drops)


async def test_generator_that_is_hopelessly_behind_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be sent until a time-out after the end is dropped and counted, batch by batch."""
    monkeypatch.setattr(loads, "MAX_BATCH", 3)
    client = FakeClient()
    long_ago = time.monotonic_ns() - 5 * 10**9
    async with running(client, ms=50, timeout_ns=10**9, start_ns=long_ago) as load:
        await all_sent(load)
    drops = [track.counts.drops["behind"] for track in load.recorder.phases[0].tracks.values()]
    assert 100 == sum(drops)

    recently = time.monotonic_ns() - 10**9
    async with running(client, ms=50, timeout_ns=30 * 10**9, start_ns=recently) as load:
        await all_sent(load)
    assert 100 == len(client.orders)


@pytest.mark.parametrize("busy", [True, False])
async def test_lateness_is_blamed_on_who_caused_it(monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    """A generator that was on its CPU all the time is at fault; one that had none is not."""
    client = FakeClient()
    monkeypatch.setattr(time, "thread_time_ns", time.monotonic_ns if busy else lambda: 0)
    async with running(client, ms=5, timeout_ns=10**10) as load:
        block_until_ns = time.monotonic_ns() + 20_000_000
        while time.monotonic_ns() < block_until_ns:
            pass
        await all_sent(load)

    assert (10 if busy else 0) == load.recorder.phases[0].late_busy


async def test_quotes_are_replaced_and_cancelled_one_by_one() -> None:
    """Some orders rest before the run; each replacement and cancellation takes one that rests."""
    client = FakeClient()
    mix = [MixEntry("rest", 1), MixEntry("cancel_and_place", 8), MixEntry("cancel_orders", 1, "newest")]
    trader = trader_of(client, is_quoting=True, which={each.kind: each.of for each in mix})
    await trader.prepare()
    before = len(client.asked)
    async with running(client, ms=30, mix=mix, trader=trader) as load:
        await all_sent(load)
        await answers()

    placed = [digest for _, digest in client.asked[:before]]
    assert [f"0x{number + 1:x}" for number in range(QUOTES)] == placed
    replaced = [asked for asked in client.asked[before:] if asked[0] == "cancel_and_place"]
    cancelled = [asked for asked in client.asked[before:] if asked[0] == "cancel_orders"]
    assert (48, 6, 6) == (len(replaced), len(cancelled), len(client.orders))
    assert (4, "0x1") == replaced[0][1]
    before_it = client.asked[client.asked.index(cancelled[0]) - 1]
    assert (4, before_it[2]) == cancelled[0][1]
    assert [] == client.cancelled
    gone = [asked[1][1] for asked in replaced + cancelled]
    assert len(gone) == len(set(gone))
    assert 60 == load.recorder.totals()[1]


def test_order_to_cancel_may_be_drawn() -> None:
    """One at random is any of those that rest, and another with another seed."""
    drawn = set()
    for seed in range(20):
        trader = trader_of(FakeClient(), is_quoting=True, which={"cancel_orders": "random"}, rng=Random(seed))
        for _ in range(4):
            trader.advance("rest", trader.next_order("rest"))
        drawn.add(trader._take("random"))

    assert {"0x1", "0x2", "0x3", "0x4"} == drawn


async def test_nothing_to_replace_is_dropped() -> None:
    """When all that rested is gone there is no request to send; that is counted."""
    client = FakeClient()
    mix = [MixEntry("cancel_and_place", 1)]
    async with running(client, ms=2, mix=mix, trader=trader_of(client, is_quoting=True)) as load:
        await all_sent(load)

    assert {"nothing rests": 4} == load.recorder.phases[0].track("cancel_and_place").counts.drops


async def test_queries_of_all_types_are_asked() -> None:
    """Each type is a kind of its own, answered or refused like an order."""
    client = FakeClient()
    async with running(client, ms=9, mix=[MixEntry(kind, 2) for kind in QUERIES]) as load:
        await all_sent(load)
        await answers()

    assert sorted(kind.removeprefix("query_") for kind in QUERIES) == sorted(set(client.asked))
    assert 18 == load.recorder.totals()[1]


async def test_queries_between_two_connections_are_dropped() -> None:
    """What is awaited is not sent either while there is no connection."""
    client = FakeClient()
    client.desk.gateway.is_up = False
    async with running(client, ms=2, mix=[MixEntry("query_status", 1)]) as load:
        await all_sent(load)

    assert {"not connected": 4} == load.recorder.phases[0].track("query_status").counts.drops


async def test_newcomers_connect_on_schedule() -> None:
    """Another connection is a request like any other; one that fails is counted."""
    client, outcomes = FakeClient(), iter([None, TransportError("x")])

    async def connect() -> None:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome

    async with running(
        client, ms=1, mix=[MixEntry("connect", 1)], trader=trader_of(client, connect=connect)
    ) as load:
        await all_sent(load)
        await answers()

    counts = load.recorder.phases[0].track("connect").counts
    assert (1, {"connection": 1}) == (counts.acked, counts.errors)


async def test_requests_wait_while_too_many_are_in_flight() -> None:
    """Held back, they keep their due time: the wait is part of the response."""
    client = FakeClient()
    client.answer = None
    async with running(client, ms=5, mix=[MixEntry("cross", 1)], max_inflight=2) as load:
        await until(lambda: len(client.orders) == 2)
        for answered in range(10):
            await until(partial(at_least, client.replies, answered + 1))
            assert load.recorder.in_flight <= 2
            client.replies[answered](OK)
        await all_sent(load)

    counts = load.recorder.phases[0].track("cross").counts
    assert (10, 10, 0) == (counts.sent, counts.acked, counts.dropped)
    assert 2 == load.recorder.phases[0].inflight_max


async def test_requests_may_be_dropped_while_too_many_are_in_flight() -> None:
    """The other choice: they are counted as dropped, and the schedule goes on."""
    client = FakeClient()
    client.answer = None
    async with running(client, ms=5, mix=[MixEntry("cross", 1)], max_inflight=2, on_full="drop") as load:
        await all_sent(load)

    counts = load.recorder.phases[0].track("cross").counts
    assert (2, 8, {"full": 8}) == (counts.sent, counts.dropped, counts.drops)


async def test_giving_up_makes_room() -> None:
    """A request that timed out is not in flight any more."""
    client = FakeClient()
    client.answer = None
    async with running(client, ms=1, mix=[MixEntry("cross", 1)], max_inflight=1) as load:
        await until(lambda: load._is_held)
        load.give_up(time.monotonic_ns() + 10**10)
        await all_sent(load)

    assert 2 == len(client.orders)


@asynccontextmanager
async def users(
    client: FakeClient, *, count: int, ms: int, think_ns: int = 0, kind: str = "cross"
) -> AsyncIterator[ClosedLoad]:
    """Run a closed load over a fake client."""
    scenario = Scenario(
        name="x",
        phases=(LoadPhase("steady", Fraction(0), ms * 1_000_000),),
        mix=(MixEntry(kind, 1),),
        model="closed",
    )
    async with asyncio.TaskGroup() as tasks:
        load = ClosedLoad(
            *(Turns(scenario), {0: trader_of(client)}, tasks, 10**9), users=count, think_ns=think_ns
        )
        load.start(time.monotonic_ns())
        try:
            yield load
        finally:
            load.close()


async def test_closed_users_wait_for_their_answers() -> None:
    """As many requests are in flight as there are users, and a silent venue gets no more."""
    client = FakeClient()
    client.answer = None
    async with users(client, count=3, ms=30) as load:
        await all_sent(load)

        assert (3, 3) == (len(client.orders), load.recorder.in_flight)
    assert load.planned(0) is None


async def test_closed_users_send_again_when_answered() -> None:
    """Lag is nothing, since a request is due when its user turns to it; the rate is a result."""
    client = FakeClient()
    async with users(client, count=2, ms=50) as load:
        await all_sent(load)
        await answers()

    counts = load.recorder.phases[0].track("cross").counts
    assert counts.sent == counts.acked > 10
    assert {0} == set(load.recorder.phases[0].track("cross").lag)


async def test_closed_users_think() -> None:
    """Between an answer and the next request lies at least the time to think."""
    client = FakeClient()
    async with users(client, count=1, ms=50, think_ns=10_000_000) as load:
        await all_sent(load)
        await answers()

    assert 1 < len(client.orders) <= 5


async def test_closed_users_go_on_after_a_time_out() -> None:
    """A request that was given up frees its user, once."""
    client = FakeClient()
    client.answer = None
    async with users(client, count=1, ms=200) as load:
        await until(lambda: bool(client.orders))
        load.give_up(time.monotonic_ns() + 10**10)
        client.replies[0](OK)
        await until(lambda: len(client.orders) == 2)
        await all_sent(load)

    assert 2 == len(client.orders)
    assert 1 == load.recorder.phases[0].late_answers


async def test_closed_users_try_again_when_there_is_no_connection() -> None:
    """Nobody is lost who could not send."""
    client = FakeClient()
    client.is_connected = False
    async with users(client, count=1, ms=200) as load:
        await until(lambda: bool(load.recorder.phases[0].track("cross").counts.dropped))
        client.is_connected = True
        await until(lambda: bool(client.orders))
        load.stop(time.monotonic_ns())

    assert client.orders


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (OK, None),
        (Reply(status="failure", error_code=2006), "2006 UnhealthyOrder"),
        (Reply(status="failure", error_code=9999), "9999"),
        (Reply(status="failure"), "no code"),
        (InvalidRequest("x", code=2020), "2020 OrderNotFound"),
        (OrderUnknown("x", "0x1"), "unknown"),
        (TransportError("x"), "connection"),
    ],
)
def test_failures_have_names(reply: Reply | NadowsError, name: str | None) -> None:
    """Failures are counted by the venue's code, or by what was lost."""
    assert name == error_name(reply)
