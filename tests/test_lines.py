"""A client over several sockets, and a pool of clients, against the venue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from nadows import Stream
from nadows.client import Client, connect
from nadows.clock import VenueClock
from nadows.desk import CopyLost, CopyRestored, Disconnected
from nadows.errors import ConnectFailed, ConnectionLost, UsageError
from nadows.lifecycle import LifeState
from nadows.messages import BookDepth, OrderUpdate, Trade
from nadows.network import Network
from nadows.pool import Pool, connect_pool
from nadows.signing import Signer
from nadows.transport import Socket, open_socket
from nadows.venue.exchange import ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.server import VenueOptions, VenueServer, serve

SIGNER = Signer(b"\x0d" * 32)


@asynccontextmanager
async def venue(flow: FlowPreset = FlowPreset.BUSY) -> AsyncIterator[VenueServer]:
    async with serve(VenueOptions(exchange=ExchangeOptions(flow=flow, limits=False))) as server:
        yield server


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, looking at it each time the loop has done something."""
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def cut(client: Client, copy: int) -> None:
    """Break one connection of a client's line as a network would."""
    socket = client._driver.streams[copy].socket
    assert socket is not None
    socket.abort()


def is_cut(client: Client, copy: int) -> Callable[[], bool]:
    return lambda: not client.copies[copy].is_open


def is_restored(client: Client) -> Callable[[], bool]:
    return lambda: all_live(client)


def all_live(client: Client) -> bool:
    return bool(client.copies) and all(health.is_open and health.is_live for health in client.copies)


@pytest.mark.slow
async def test_one_of_two_may_be_cut() -> None:
    """Nothing is noticed above: no disconnection, no resync, no hole; and the line comes back by itself."""
    async with venue() as server, connect(server.network, SIGNER, copies=2) as client:
        await client.subscribe(Stream.trade(4))
        book = await client.book("ETH")
        told: list[Any] = []
        client.on(told.append)
        for line in (0, 1, 0):
            await until(lambda: all_live(client))
            cut(client, line)
            await until(is_cut(client, line))
            assert book.is_live
            assert client.copies[1 - line].is_live
            await client.place_order(client.limit_order("ETH", "0.1", "2900"))
            await until(lambda: any(isinstance(event, OrderUpdate) for event in told))
            told[:] = [event for event in told if not isinstance(event, OrderUpdate)]
        await until(lambda: all_live(client))
        # Which of them is the later one is the venue's choice.
        await until(lambda: sum(health.stats.repeated for health in client.copies) > 20)

        assert 1 == client.desk.snapshots
        assert 0 == book.gaps
        assert [] == [event for event in told if isinstance(event, Disconnected)]
        assert [0, 1, 0] == [event.copy for event in told if isinstance(event, CopyLost)]
        assert [0, 1, 0] == [event.copy for event in told if isinstance(event, CopyRestored)]
        batches = [event for event in told if isinstance(event, BookDepth)]
        assert all(b.last_max_timestamp == a.max_timestamp for a, b in pairwise(batches))
        assert [3, 2] == [health.stats.connects for health in client.copies]
        assert (await client.ping()).round_trip_ns > 0


@pytest.mark.slow
async def test_all_cut_is_a_loss() -> None:
    """Then the client connects again as it does with one socket, and no task of the old line is left."""
    async with venue() as server, connect(server.network, SIGNER, copies=2) as client:
        book = await client.book("ETH")
        await until(lambda: all_live(client))
        cut(client, 0)
        cut(client, 1)
        await until(lambda: 2 == client.desk.snapshots and book.is_live and all_live(client))

        assert [2, 2] == [health.stats.connects for health in client.copies]
        assert 4 == client.stats()["stream_connects"]
        assert {LifeState.LIVE} == set(client.lines.values())
        assert ["subscriptions", "subscriptions 2", "gateway"] == list(client.lines)


async def test_no_task_is_left() -> None:
    """Leaving the block ends all connections of the line."""
    before = asyncio.all_tasks()
    async with venue() as server:
        serving = asyncio.all_tasks()
        async with connect(server.network, copies=3) as client:
            await client.subscribe(Stream.trade(2))
            assert [True] * 3 == [health.is_open for health in client.copies]
        mine = {task for task in asyncio.all_tasks() - serving if task.get_name().startswith("nadows")}
        assert set() == mine
    assert before == {task for task in asyncio.all_tasks() if task in before}


async def test_nobody_there() -> None:
    """Not one connection is no connection, however many were tried."""
    async with venue(FlowPreset.OFF) as server:
        network = replace(server.network, subscribe=Network.local(1).subscribe)
        with pytest.raises(ConnectFailed, match="cannot connect"):
            async with connect(network, copies=2):
                pass


async def test_copy_that_cannot_be_connected_is_tried_again() -> None:
    """The other goes on meanwhile; with one of them the client is there."""
    async with venue() as server, connect(server.network, copies=2) as client:
        await until(lambda: all_live(client))
        line = client._driver.streams[0]
        line.url = Network.local(1).subscribe
        cut(client, 0)
        await until(lambda: line.life.failures > 2)
        assert [False, True] == [health.is_open for health in client.copies]
        assert 3 <= client.stats()["stream_connects_failed"]
        line.url = server.network.subscribe
        await until(lambda: all_live(client))


async def test_one_of_two_is_enough_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose second connection is refused at first is there with one, and gets the other later."""
    refused = [False]

    async def open_or_refuse(url: str, **options: Any) -> Socket:
        if url.endswith("/subscribe") and not refused[0]:
            refused[0] = True
            raise ConnectFailed("refused")
        return await open_socket(url, **options)

    monkeypatch.setattr("nadows.lines.open_socket", open_or_refuse)
    async with venue() as server, connect(server.network, SIGNER, copies=2) as client:
        await until(lambda: all_live(client))
        assert 1 == client.stats()["stream_connects_failed"]


async def test_socket_lost_while_the_clock_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """That connection counts as one that could not be made; the next one may."""
    lost = [False]

    async def lose_once(socket: Socket, clock: VenueClock) -> None:
        if not lost[0]:
            lost[0] = True
            raise ConnectionLost("gone")

    monkeypatch.setattr("nadows.driver.read_clock", lose_once)
    async with venue() as server:
        with pytest.raises(ConnectFailed, match="gone"):
            async with connect(server.network, SIGNER):
                pass


async def test_too_many_with_a_key() -> None:
    """A wallet has five; that is said before anything is connected."""
    async with venue() as server:
        with pytest.raises(UsageError, match="1 to 5"):
            async with connect(server.network, SIGNER, copies=6):
                pass


# -- the pool -------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_pool_spreads_products() -> None:
    """Each product has its connection, events of all come together, the first has the key."""
    async with venue() as server, connect_pool(server.network, SIGNER, connections=2) as pooled:
        books = [await pooled.book(name) for name in ("BTC", "ETH", "SOL")]
        assert all(book.is_live for book in books)
        assert [[2, 8], [4]] == [sorted(client.desk.books) for client in pooled.clients]
        assert pooled.client_of("ETH") is pooled.clients[1]
        seen: set[int] = set()
        trades = [Stream.trade(product) for product in (2, 4, 8)]
        async with pooled.batches(*trades, types=["trade"], max_wait_ns=1_000_000) as batches:
            async with asyncio.timeout(20):
                while seen != {2, 4, 8}:
                    seen |= {event.product_id for event in await anext(batches) if isinstance(event, Trade)}
        assert all(not client.router._sinks[1:] for client in pooled.clients)

        heard: list[Any] = []
        stop = pooled.on(heard.append, products=["ETH"])
        await pooled.subscribe(Stream.best_bid_offer(4), Stream.best_bid_offer(2))
        order = pooled.trading.limit_order("ETH", "0.1", "2900")
        assert (await pooled.trading.place_order(order)).ok
        await until(lambda: bool(heard))
        stop()
        await pooled.unsubscribe(Stream.best_bid_offer(4))
        assert {"trade", "best_bid_offer", "book_depth"} > {
            key.type for key in pooled.clients[1].desk.streams.streams
        }
        assert pooled.clients[1].signer is None
        assert [(), ()] == pooled.copies
        assert [{LifeState.LIVE}] * 2 == [set(states.values()) for states in pooled.lines]
        assert [1, 1] == [stats["stream_connects"] for stats in pooled.stats()]
        assert pooled.clients[0]._driver.turns.limits is pooled.clients[1]._driver.turns.limits


@pytest.mark.slow
async def test_pool_in_copies() -> None:
    """Spread and doubled: a cut is noticed by nobody."""
    async with (
        venue() as server,
        connect_pool(server.network, connections=2, copies=2, limits=None) as pooled,
    ):
        books = [await pooled.book(name) for name in ("BTC", "ETH")]
        for client in pooled.clients:
            await until(is_restored(client))
            cut(client, 1)
            await until(is_cut(client, 1))
        await until(lambda: all(all_live(client) for client in pooled.clients))

        assert [(0, True), (0, True)] == [(book.gaps, book.is_live) for book in books]
        assert [2, 2] == [len(health) for health in pooled.copies]


async def test_leaving_the_pool_ends_its_listeners() -> None:
    """An iteration that waits is over when the pool is."""
    async with venue(FlowPreset.OFF) as server:
        kept: list[Pool] = []
        async with connect_pool(server.network, connections=2) as pooled:
            kept.append(pooled)
            events = pooled.events(types=["trade"])
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            with pytest.raises(UsageError, match="no type"):
                pooled.events(types=["trades"])
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert [] == kept[0]._subscriptions
