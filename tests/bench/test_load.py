"""The load against a client that does as it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nadows.bench import load as loads
from nadows.bench.load import Load, Trader, error_name
from nadows.bench.plan import Plan
from nadows.bench.scenario import LoadPhase, MixEntry, Scenario
from nadows.book import Level
from nadows.client import Client
from nadows.delivery import Callback
from nadows.desk import BookChanged, OnReply
from nadows.errors import InvalidRequest, NadowsError, OrderUnknown, TransportError, UsageError
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
        self.desk = SimpleNamespace(books={4: self.book})
        self.subaccount = SimpleNamespace(hex="0xab")
        self.orders: list[Any] = []
        self.replies: list[OnReply] = []
        self.callbacks: list[Callback] = []
        self.cancelled: list[tuple[int, int]] = []
        """How many orders had been sent when a product was cancelled, and which product."""
        self.is_connected = True
        self.cancel_error: NadowsError | None = None
        self.answer: Reply | NadowsError | None = OK

    def sign(self, product_id: int, amount: int, price: int, appendix: Appendix) -> Any:
        return SimpleNamespace(
            digest=f"0x{len(self.orders):x}", amount=amount, price=price, type=appendix.order_type
        )

    def submit(self, order: Any, on_reply: OnReply) -> None:
        if not self.is_connected:
            raise UsageError("not connected")
        self.orders.append(order)
        self.replies.append(on_reply)
        if self.answer is not None:
            asyncio.get_running_loop().call_soon(on_reply, self.answer)

    def on(self, callback: Callback, *streams: Any) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

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


def trader_of(client: FakeClient) -> Trader:
    return Trader(cast(Client, client), ETH)


@asynccontextmanager
async def running(
    client: FakeClient,
    *,
    rate: int = 2000,
    ms: int = 50,
    timeout_ns: int = 10**9,
    start_ns: int | None = None,
    mix: Sequence[MixEntry] = (MixEntry("cross", 1), MixEntry("rest", 1)),
) -> AsyncIterator[Load]:
    """Run a load of some requests over a fake client."""
    scenario = Scenario(
        name="x", phases=(LoadPhase("steady", Fraction(rate), ms * 1_000_000),), mix=tuple(mix)
    )
    async with asyncio.TaskGroup() as tasks:
        load = Load(Plan(scenario), [trader_of(client)], tasks, timeout_ns)
        load.start(time.monotonic_ns() if start_ns is None else start_ns)
        try:
            yield load
        finally:
            load.close()


async def all_sent(load: Load) -> None:
    async with asyncio.timeout(20):
        await load.all_sent.wait()


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
        trader, recorder = load._traders[0], load.recorder

        async def slow() -> None:
            recorder.give_up(time.monotonic_ns() + 10**10, 1)

        trader.cancel_all = slow  # type: ignore[method-assign]  # a slow venue
        await load._cancel(trader, 0, 0)

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
