"""Delivery: every listener gets its events, and none can harm the reader or another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from nadows.delivery import Batches, Router, SlowConsumer, Subscription
from nadows.desk import DeskEvent, Disconnected
from nadows.errors import TransportError, UsageError
from nadows.inbox import Interest, Overflow
from nadows.messages import Stream, Trade
from nadows.units import X18, Nanos
from tests.test_inbox import fill


def trade(product_id: int = 2) -> Trade:
    return Trade(Nanos(1), product_id, X18(1), X18(1), X18(1), True)


LOST = Disconnected("gateway", "gone")


def subscription(maxlen: int = 10) -> Subscription:
    return Subscription(lambda _: None, maxlen)


async def test_events_come_in_order() -> None:
    """What was put before the first await, and after it, is delivered in order."""
    events = subscription()
    events.put(trade(2))
    events.put(trade(4))
    assert 2 == len(events)
    assert trade(2) == await anext(events)
    assert trade(4) == await anext(events)

    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    events.put(LOST)
    assert LOST == await waiting


async def test_slow_consumer_gets_what_was_held_and_then_the_truth() -> None:
    """Nothing is dropped silently: after the events held, SlowConsumer is raised."""
    events = subscription(maxlen=2)
    for index in range(4):
        events.put(fill(index))

    assert [fill(0), fill(1)] == [await anext(events), await anext(events)]
    with pytest.raises(SlowConsumer, match="more than 2"):
        await anext(events)


async def test_ending_wakes_the_consumer() -> None:
    """A consumer that waits when the client closes is not left hanging."""
    events = subscription()
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    events.end()
    events.put(trade())

    with pytest.raises(StopAsyncIteration):
        await waiting
    assert [] == [event async for event in events]


async def test_ending_with_an_error() -> None:
    """Why there is nothing more is told after what was held."""
    events = subscription()
    events.put(trade())
    events.end(TransportError("gone"))

    assert trade() == await anext(events)
    with pytest.raises(TransportError):
        await anext(events)


async def test_slow_consumer_of_market_data_finds_the_present() -> None:
    """By default market data makes room for its newest, and the consumer goes on."""
    events = subscription(maxlen=2)
    for product in (2, 4, 2, 2):
        events.put(trade(product))

    assert [trade(4), trade(2)] == [await anext(events), await anext(events)]
    assert 2 == events.inbox.conflated


async def test_leaving_the_block_closes() -> None:
    """The owner is told to stop delivering, also by a batch with impossible limits."""
    closed: list[Subscription] = []
    async with Subscription(closed.append, 1) as events:
        pass
    async with Batches(Subscription(closed.append, 1), 1, 0) as batches:
        pass
    impossible = Subscription(closed.append, 1)
    with pytest.raises(UsageError, match="at least 1 event"):
        Batches(impossible, 0, 0)

    assert [events, batches.subscription, impossible] == closed


async def test_one_subscription_one_consumer() -> None:
    """A second waiter would be forgotten; it is told so instead."""
    events = subscription()
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    with pytest.raises(UsageError, match="one consumer"):
        await anext(events)
    events.put(LOST)

    assert LOST == await waiting


async def test_batches_take_what_is_there() -> None:
    """Without a wait a batch is what has come, up to its limit; after the last one iteration stops."""
    events = subscription()
    for product in (2, 4, 8):
        events.put(trade(product))
    events.end()

    assert [[trade(2), trade(4)], [trade(8)]] == [batch async for batch in Batches(events, 2, 0)]


async def test_batches_wait_for_more() -> None:
    """With a wait a batch is handed out when it is full, when its time is over, or when there is no more."""
    events = subscription(maxlen=3)
    batches = Batches(events, 2, 10**13)
    waiting = asyncio.ensure_future(anext(batches))
    for product in (2, 4):
        await asyncio.sleep(0)
        assert not waiting.done()
        events.put(trade(product))
    assert [trade(2), trade(4)] == await waiting

    assert_soon = Batches(events, 2, 1_000_000)
    events.put(trade(8))
    assert [trade(8)] == await anext(assert_soon)

    waiting = asyncio.ensure_future(anext(batches))
    events.put(LOST)
    await asyncio.sleep(0)
    events.end(TransportError("gone"))
    assert [LOST] == await waiting
    with pytest.raises(TransportError):
        await anext(batches)


async def test_cancelled_batch_loses_nothing() -> None:
    """What had been gathered is in the next batch."""
    events = subscription()
    batches = Batches(events, 3, 10**13)
    events.put(trade(2))
    waiting = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    events.put(trade(4))
    events.put(trade(8))

    assert [trade(2), trade(4), trade(8)] == await anext(batches)


async def test_batches_of_a_slow_consumer() -> None:
    """It gets what was held, then the truth."""
    events = Subscription(lambda _: None, 1, Overflow.RAISE)
    events.put(trade(2))
    events.put(trade(4))
    batches = Batches(events, 5, 10**13)

    assert [trade(2)] == await anext(batches)
    with pytest.raises(SlowConsumer):
        await anext(batches)


async def test_cancelled_wait_loses_nothing() -> None:
    """An event that comes after a cancelled wait is there for the next one."""
    events = subscription()
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    events.put(trade())

    assert trade() == await anext(events)


def test_router_filters_by_stream() -> None:
    """A listener gets the events of its streams and what happens to the connection.

    One without streams gets all.
    """
    router = Router()
    some: list[DeskEvent] = []
    everything: list[DeskEvent] = []
    router.add(some.append, [Stream.trade(4)])
    router.add(everything.append, [])
    router.deliver([trade(2), trade(4), LOST])

    assert [trade(4), LOST] == some
    assert [trade(2), trade(4), LOST] == everything


def test_router_filters_by_interest() -> None:
    """Filters of one listener are its own."""
    router = Router()
    fills: list[DeskEvent] = []
    router.add(fills.append, Interest(types=["fill"]))
    router.deliver([trade(2), fill(1), LOST])

    assert [fill(1)] == fills


def test_own_events_first_within_a_wakeup() -> None:
    """Market data waits until the reader has taken everything that was there, own events do not."""
    due: list[Callable[[], None]] = []
    router = Router(defer=due.append)
    received: list[DeskEvent] = []
    router.add(received.append)
    router.deliver([trade(2)])
    router.deliver([trade(4), fill(1)])
    assert [fill(1)] == received
    assert 1 == len(due)

    due.pop()()
    router.deliver([trade(8)])
    assert [fill(1), trade(2), trade(4)] == received
    router.flush()
    due.pop()()
    assert [fill(1), trade(2), trade(4), trade(8)] == received


def test_failing_callback_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Its exception is logged and counted; the others get the event, and the next one too."""
    router = Router()
    received: list[DeskEvent] = []

    def fails(event: DeskEvent) -> None:
        raise RuntimeError("user code")

    router.add(fails, [])
    router.add(received.append, [])
    with caplog.at_level(logging.ERROR, "nadows"):
        router.deliver([trade(2), trade(4)])

    assert [trade(2), trade(4)] == received
    assert 2 == router.callback_errors
    assert 2 == len(caplog.records)


def test_sink_may_leave_while_it_is_called() -> None:
    """Removing oneself takes effect with the next event."""
    router = Router()
    received: list[DeskEvent] = []

    def once(event: DeskEvent) -> None:
        received.append(event)
        router.remove(once)

    router.add(once, [])
    router.deliver([trade(2), trade(4)])

    assert [trade(2)] == received
