"""A socket that stays away, on real sockets: REST is asked in its stead, and the socket takes over again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from nadows import messages
from nadows.book import BookState
from nadows.capture import Header, Reader, Recorder
from nadows.client import Client, connect
from nadows.desk import GATEWAY, STREAMS, BookChanged, Degraded, Disconnected, OrderSettled, Reconnected
from nadows.errors import BookNotLive, ConnectionLost
from nadows.lifecycle import ClientState
from nadows.messages import LateFill
from nadows.replay import Replay
from nadows.signing import OrderType, Subaccount
from nadows.units import from_x18, to_x18
from tests.faults.sockets import OTHER, OWN, PRODUCT, Stage, stage, until
from tests.faults.world import TIMINGS

TOLD: Final = (Degraded, Disconnected, Reconnected, OrderSettled, BookChanged)


async def resting_order(on: Stage) -> tuple[str, str]:
    """Rest a buy order just above the best bid; return its digest and price."""
    touch = on.server.exchange.engine.markets[PRODUCT].top()
    price = from_x18(touch.bid_price + 10**17)
    order = on.client.limit_order(PRODUCT, "0.5", price, order_type=OrderType.POST_ONLY)
    await on.client.place_order(order)
    return order.digest, str(price)


async def hit(other: Client, price: str, amount: str) -> None:
    """Sell to the resting order."""
    await other.place_order(other.limit_order(PRODUCT, amount, price, order_type=OrderType.IOC))


async def test_fills_are_noticed_while_the_subscription_socket_stays_away() -> None:
    """Degraded within the limit; book and fills by polling; back by itself, and each fill told once."""
    async with stage() as on, connect(on.server.network, OTHER) as other:
        told: list[Any] = []
        on.client.on(told.append, types=TOLD)
        client, book, account = on.client, on.client.desk.books[PRODUCT], on.client.account
        digest, price = await resting_order(on)
        assert ClientState.LIVE is client.state

        on.relays[STREAMS].refuse()
        on.relays[STREAMS].cut()
        await until(lambda: client.state is ClientState.DEGRADED)
        await until(lambda: book.state is BookState.POLLED)
        with pytest.raises(BookNotLive, match="POLLED"):
            book.levels(5)
        book.serves_polled = True
        assert book.max_timestamp == on.server.exchange.engine.markets[PRODUCT].changed_ns
        assert book.bids.top(20) == on.server.exchange.engine.markets[PRODUCT].book.bids.depth(20)

        await hit(other, price, "-0.2")
        await until(lambda: len(on.fills) == 1 and account.position(PRODUCT) == to_x18("0.2"))
        await hit(other, price, "-0.3")
        await until(lambda: account.orders[digest].is_done and len(on.fills) == 2)
        polled = client.stats()
        assert (1, 0) == (polled["lines_degraded"], polled["rest_failed"])
        assert polled["book_polls"] > 0
        await until(lambda: book.best_bid == on.server.exchange.engine.markets[PRODUCT].book.bids.depth(1)[0])

        await on.heal()
        await until(lambda: client.state is ClientState.LIVE and book.is_live and not on.problems())
        asked = client.stats()["rest_asked"]
        await hit(other, "2000", "-0.1")
        await until(lambda: not on.problems())

        assert asked == client.stats()["rest_asked"]
        assert [LateFill, LateFill] == [type(fill) for fill in on.fills]
        lines: list[Any] = [
            event for event in told if isinstance(event, Disconnected | Degraded | Reconnected)
        ]
        assert [Disconnected, Degraded, Reconnected] == [type(event) for event in lines]
        # By the clock of the machine: the limit was kept.
        assert lines[2].downtime_ns > TIMINGS.poll_after_ns
        states = [event.state for event in told if isinstance(event, BookChanged)]
        assert [BookState.STALE, BookState.POLLED, BookState.SYNCING, BookState.LIVE] == states


async def test_questions_go_over_rest_while_the_gateway_socket_stays_away() -> None:
    """The streams live on; what a user or the recovery asks is answered, and orders are not sent."""
    async with stage() as on:
        client = on.client
        on.relays[GATEWAY].refuse()
        on.relays[GATEWAY].cut()
        await until(lambda: client.state is ClientState.DEGRADED)

        status = await client.query(messages.StatusQuery())
        info = await client.query(messages.SubaccountInfoQuery(client.account.subaccount))

        assert ("active", client.account.subaccount) == (status, info.subaccount)
        assert client.desk.books[PRODUCT].is_live
        order = client.limit_order(PRODUCT, "0.1", "2000", order_type=OrderType.POST_ONLY)
        with pytest.raises(ConnectionLost, match="not connected"):
            await client.place_order(order)
        assert order.digest not in client.account.orders

        await on.heal()
        await until(lambda: client.state is ClientState.LIVE and not on.problems())
        await client.place_order(order)


async def test_a_replay_repeats_the_polling(tmp_path: Path) -> None:
    """What was answered over REST, and what was not, is recorded: the replay ends in the same state."""
    path = tmp_path / "dual.jsonl"
    header = Header(
        network="sim",
        chain_id=1,
        endpoint="0x" + "11" * 20,
        started_ns=1,
        seed=0,
        subaccount=Subaccount.of(OWN.address, "default").hex,
        authenticated=True,
        timings=TIMINGS,
    )
    recorder = Recorder(path, header)
    async with stage(tap=recorder) as on, connect(on.server.network, OTHER) as other:
        book = on.client.desk.books[PRODUCT]
        _, price = await resting_order(on)
        on.relays[STREAMS].refuse()
        on.relays[STREAMS].cut()
        await until(lambda: book.state is BookState.POLLED)
        await hit(other, price, "-0.2")
        await until(lambda: len(on.fills) == 1)
        await on.heal()
        await until(lambda: book.is_live and not on.problems())
        live, asked = on.client.desk.state_hash(), on.client.desk.polling.asked
        recorder.finish(live)

    with Reader(path) as reader:
        player = Replay(reader.header)
        events = [event for record in reader.records() for event in player.take(record)]
    assert live == player.desk.state_hash()
    assert asked == player.desk.polling.asked
    assert 1 == sum(isinstance(event, LateFill) for event in events)
    assert 1 == sum(isinstance(event, Degraded) for event in events)
