"""Delivery: every listener gets its events, and none can harm the reader or another."""

from __future__ import annotations

import asyncio
import logging

import pytest

from nadows.delivery import Router, SlowConsumer, Subscription
from nadows.desk import DeskEvent, Disconnected
from nadows.errors import TransportError
from nadows.messages import Stream, Trade
from nadows.units import X18, Nanos


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
    for product in (2, 4, 8):
        events.put(trade(product))
    events.put(trade(8))

    assert [trade(2), trade(4)] == [await anext(events), await anext(events)]
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


async def test_leaving_the_block_closes() -> None:
    """The owner is told to stop delivering."""
    closed: list[Subscription] = []
    async with Subscription(closed.append, 1) as events:
        pass

    assert [events] == closed


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
