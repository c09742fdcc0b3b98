"""The asyncio client against the venue, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets

import nadows
from nadows import BookState, OrderType, Stream, messages
from nadows.account import OrderStatus
from nadows.client import Client, connect
from nadows.desk import Disconnected, Reconnected
from nadows.errors import (
    ConnectFailed,
    InvalidRequest,
    MalformedFrame,
    NadowsError,
    OrderUnknown,
    Rejected,
    TransportError,
    Unauthorized,
    UsageError,
    VenueError,
)
from nadows.messages import Fill, OrderUpdate, Trade
from nadows.network import Network
from nadows.signing import Appendix, Signer
from nadows.units import from_x18
from nadows.venue.exchange import ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.server import VenueOptions, VenueServer, serve

SIGNER = Signer(b"\x09" * 32)
OTHER = Signer(b"\x0a" * 32)


@asynccontextmanager
async def venue(flow: FlowPreset = FlowPreset.OFF) -> AsyncIterator[VenueServer]:
    options = VenueOptions(exchange=ExchangeOptions(flow=flow, limits=False))
    async with serve(options) as server:
        yield server


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, looking at it each time the loop has done something."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_market_data_without_a_key() -> None:
    """Products, a live book and trades are public; what needs a key says so."""
    async with venue(FlowPreset.BUSY) as server, connect(server.network) as client:
        book = await client.book("ETH")
        assert book.is_live
        assert {"BTC-PERP", "ETH-PERP", "SOL-PERP", "KBTC", "wETH", "USDC"} == {
            p.symbol for p in client.products
        }
        async with client.events(Stream.trade(2), Stream.trade(4), Stream.trade(8)) as events:
            async with asyncio.timeout(20):
                trade = await anext(events)
                while not isinstance(trade, Trade):
                    trade = await anext(events)
        market = server.exchange.engine.markets[4]
        await until(lambda: book.max_timestamp == market.changed_ns)
        assert [(level.price, level.qty) for level in book.bids] == market.book.bids.depth()[
            : len(list(book.bids))
        ]

        for mistake in (lambda: client.account, lambda: client.limit_order("ETH", "1", "3000")):
            with pytest.raises(UsageError, match="signer"):
                mistake()
        with pytest.raises(UsageError, match="signer"):
            await client.subscribe(Stream.order_update("0x00"))


async def test_order_fills_and_position_follow() -> None:
    """A crossing order is answered, its fill comes on the stream, the account knows what became of it."""
    async with venue() as server, connect(server.network, SIGNER) as client:
        book = await client.book("ETH")
        assert book.best_ask is not None
        fills: list[Any] = []
        stop = client.on(fills.append, Stream.fill(client.account.subaccount))
        order = client.limit_order(
            "ETH", "0.2", from_x18(book.best_ask.price), order_type=OrderType.IOC, client_id=77
        )
        reply = await client.place_order(order)

        assert (True, 77) == (reply.ok, reply.id)
        tracked = client.account.orders[order.digest]
        await until(lambda: tracked.status is OrderStatus.FILLED and client.account.position(4) != 0)
        assert nadows.to_x18("0.2") == tracked.cum_qty == client.account.position(4)
        assert [order.digest] == [event.order_digest for event in fills if isinstance(event, Fill)]

        stop()
        assert server.exchange.engine.orders == {}


async def test_account_knows_positions_from_before() -> None:
    """A new client of the same wallet learns by query what it holds."""
    async with venue() as server:
        async with connect(server.network, SIGNER) as client:
            book = await client.book(4)
            assert book.best_ask is not None
            order = client.limit_order(4, "0.1", from_x18(book.best_ask.price), order_type=OrderType.IOC)
            await client.place_order(order)
        async with connect(server.network, SIGNER) as again:
            await until(lambda: again.account.position(4) == nadows.to_x18("0.1"))


async def test_resting_order_is_cancelled() -> None:
    """Placed, seen, cancelled by digest; the answer says what was left, the account that it is done."""
    async with venue() as server, connect(server.network, SIGNER) as client:
        order = client.limit_order("ETH", "0.1", "2990", order_type=OrderType.POST_ONLY, expires_in_s=60)
        await client.place_order(order)
        tracked = client.account.orders[order.digest]
        assert OrderStatus.NEW is tracked.status

        cancelled = await client.cancel_orders([(4, order.digest)])
        assert [order.digest] == [each.digest for each in cancelled.cancelled_orders]
        await until(lambda: tracked.status is OrderStatus.CANCELED)
        with pytest.raises(Rejected) as refused:
            await client.cancel_orders([(4, order.digest)])
        assert 2020 == refused.value.code


async def test_replacement_and_cancel_of_everything() -> None:
    """One transaction takes the old order out and puts the new one in."""
    async with venue() as server, connect(server.network, SIGNER) as client:
        old, new = (
            client.limit_order("ETH", "0.1", price, order_type=OrderType.POST_ONLY)
            for price in ("2990", "2991")
        )
        await client.place_order(old)
        await client.cancel_and_place((4, old.digest), new)
        await until(lambda: client.account.orders[old.digest].status is OrderStatus.CANCELED)
        assert {new.digest} == set(server.exchange.engine.orders)

        cancelled = await client.cancel_product_orders("ETH")
        assert [new.digest] == [each.digest for each in cancelled.cancelled_orders]
        assert () == (await client.cancel_product_orders()).cancelled_orders


@pytest.mark.parametrize("serial", [False, True])
async def test_many_requests_at_once(serial: bool) -> None:
    """Orders and queries in flight together are each answered with their own answer, on either gateway."""
    async with venue() as server, connect(server.network, SIGNER, serial=serial) as client:
        orders = [client.limit_order("ETH", "0.1", str(2900 + n), client_id=n) for n in range(40)]
        replies = await asyncio.gather(*(client.place_order(order) for order in orders))
        assert list(range(40)) == [reply.id for reply in replies]

        books = await asyncio.gather(
            *(client.query(messages.MarketLiquidityQuery(product_id=p, depth=5)) for p in (2, 4, 8, 2, 4, 8))
        )
        assert [2, 4, 8, 2, 4, 8] == [book.product_id for book in books]
        found = await client.query(messages.OrderQuery(product_id=4, digest=orders[7].digest))
        assert orders[7].digest == found.digest


async def test_refusals_are_exceptions_of_their_kind() -> None:
    """What the venue refuses is raised with its code; what cannot be right is refused before it is sent."""
    async with venue() as server, connect(server.network, SIGNER) as client:
        crossing = client.limit_order("ETH", "0.1", "3100", order_type=OrderType.POST_ONLY)
        with pytest.raises(Rejected, match="2008 PostOnlyOrderCrossesBook"):
            await client.place_order(crossing)
        assert OrderStatus.REJECTED is client.account.orders[crossing.digest].status

        off_step = client.sign(4, 10**18 + 1, 3000 * 10**18, Appendix())
        with pytest.raises(InvalidRequest):
            await client.place_order(off_step)
        for amount, price in (("0.0001", "3000"), ("1", "3000.01"), ("1e-19", "3000"), ("x", "3000")):
            with pytest.raises(UsageError, match="order for ETH-PERP"):
                client.limit_order("ETH", amount, price)
        with pytest.raises(UsageError, match="did you mean"):
            client.limit_order("ETG", "1", "3000")
        order = client.limit_order("ETH", "0.1", "2900")
        await client.place_order(order)
        with pytest.raises(UsageError, match="new nonce"):
            await client.place_order(order)
        with pytest.raises(VenueError):
            await client.query(messages.MarketLiquidityQuery(product_id=99, depth=1))
        with pytest.raises(VenueError, match="product_id"):
            await client.subscribe(Stream.trade(99))


async def test_filters_and_batches() -> None:
    """Listeners choose by type, product and subaccount, and may take many events at a time."""
    async with venue(FlowPreset.BUSY) as server, connect(server.network, SIGNER) as client:
        own = client.account.subaccount
        mine: list[Any] = []
        client.on(mine.append, Stream.fill(own), types=["fill"], products=["ETH"], subaccounts=[own])
        streams = [Stream.trade(2), Stream.trade(4)]
        async with client.batches(*streams, max_wait_ns=50_000_000, types=["trade"], products=[2]) as batches:
            book = await client.book("ETH")
            assert book.best_ask is not None
            price = from_x18(book.best_ask.price) + 5
            await client.place_order(client.limit_order("ETH", "0.1", price, order_type=OrderType.IOC))
            async with asyncio.timeout(20):
                batch = await anext(batches)
                await until(lambda: bool(mine))
        assert batch
        assert all(isinstance(event, Trade) and event.product_id == 2 for event in batch)
        assert all(isinstance(event, Fill) and event.product_id == 4 for event in mine)
        assert {"events_conflated": 0, "slow_consumers": 0}.items() <= client.stats().items()
        with pytest.raises(UsageError, match="no type of event"):
            client.events(types=["fils"])


async def test_unsubscribing_ends_a_stream() -> None:
    """The book of an unsubscribed product is STALE and refuses to give prices."""
    async with venue(FlowPreset.BUSY) as server, connect(server.network) as client:
        book = await client.book("ETH")
        await client.unsubscribe(Stream.book_depth(4))

        assert BookState.STALE is book.state
        again = await client.book("ETH")
        assert again is book
        assert book.is_live


async def test_ping_measures_the_round_trip() -> None:
    """The pong carries the venue's clock."""
    async with venue() as server, connect(server.network) as client:
        pong = await client.ping()

        assert pong.round_trip_ns > 0
        assert abs(pong.server_time_ms - server.now_ns() // 10**6) < 10_000


async def test_lost_connections_are_restored() -> None:
    """After both sockets are cut everything is back by itself, and what happened is told in order."""
    async with venue(FlowPreset.BUSY) as server, connect(server.network, SIGNER) as client:
        book = await client.book("ETH")
        events = client.events()
        for peer in list(server._peers.values()):
            peer.transport.abort()
        seen: list[Any] = []
        async with asyncio.timeout(10):
            while len([e for e in seen if isinstance(e, Reconnected)]) < 2 or not book.is_live:
                seen.append(await anext(events))

        lost = [event.line for event in seen if isinstance(event, Disconnected)]
        back = [event.line for event in seen if isinstance(event, Reconnected)]
        assert sorted(lost) == sorted(back) == ["gateway", "subscriptions"]
        stats = client.stats()
        assert (2, 2) == (stats["stream_connects"], stats["gateway_connects"])
        updates: list[Any] = []
        client.on(updates.append, types=["order_update"])
        order = client.limit_order("ETH", "0.1", "2900")
        await client.place_order(order)
        await until(lambda: any(isinstance(e, OrderUpdate) for e in updates))


async def test_order_in_flight_when_the_gateway_dies_is_unknown() -> None:
    """It was sent and not answered: the caller is told so, and nothing is sent again."""
    async with venue() as server, connect(server.network, SIGNER) as client:
        order = client.limit_order("ETH", "0.1", "2900")
        placing = asyncio.ensure_future(client.place_order(order))
        await asyncio.sleep(0)
        assert client._driver.gateway.socket is not None
        gateway = client._driver.gateway.socket
        asyncio.ensure_future(gateway.close())  # noqa: RUF006
        client.desk.gateway_lost("cut by the test", 1)

        with pytest.raises(OrderUnknown) as unknown:
            await placing
        assert order.digest == unknown.value.digest


async def test_wrong_chain_is_refused() -> None:
    """Signatures made for another chain would all be refused; that is said at once."""
    async with venue() as server:
        wrong = replace(server.network, chain_id=1)
        with pytest.raises(UsageError, match=r"chain 1 .*venue says chain 763373"):
            async with connect(wrong):
                pass


async def test_nobody_there() -> None:
    """A refused connection is an exception with the address and what to check, and leaves no task behind."""
    before = asyncio.all_tasks()
    with pytest.raises(ConnectFailed, match=r"ws://127\.0\.0\.1:1/ws/v2: cannot connect"):
        async with connect(Network.local(1)):
            pass

    assert before == asyncio.all_tasks()


async def test_no_task_is_left() -> None:
    """Leaving the block ends every task, also when the body raises; its exception stays itself."""
    async with venue() as server:
        clients: list[Client] = []

        async def fail() -> None:
            async with connect(server.network, SIGNER) as client:
                clients.append(client)
                client.events()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert all(task.done() for task in clients[0]._driver._tasks)
        assert [] == clients[0]._subscriptions


async def test_cancelling_the_user_ends_the_client() -> None:
    """Cancellation passes through; it is not turned into another exception."""
    async with venue() as server:
        inside = asyncio.Event()

        async def user() -> None:
            async with connect(server.network):
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(user())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# -- a venue that misbehaves ---------------------------------------------------------------------

Answer = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def broken(subscribe: Answer, gateway: Answer) -> AsyncIterator[Network]:
    """Serve something that is not quite Nado."""

    async def serve_one(connection: ServerConnection) -> None:
        assert connection.request is not None
        await (subscribe if connection.request.path == "/v1/subscribe" else gateway)(connection)

    async with serve_websockets(serve_one, "127.0.0.1", 0) as server:
        yield Network.local(next(iter(server.sockets)).getsockname()[1])


async def silent(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def answers(connection: ServerConnection) -> None:
    """Answer what a client asks at start."""
    async for frame in connection:
        kind = json.loads(frame)["type"]
        data: Any = {"symbols": {}}
        if kind == "contracts":
            data = {"chain_id": "763373", "endpoint_addr": nadows.TESTNET.endpoint.lower()}
        await connection.send(
            json.dumps({"status": "success", "data": data, "request_type": f"query_{kind}"})
        )


async def test_refused_authentication_ends_the_attempt() -> None:
    """A key that the venue does not take is an error at connect, not a silence later."""

    async def refuses(connection: ServerConnection) -> None:
        async for frame in connection:
            await connection.send(
                json.dumps({"result": None, "error": "bad key", "id": json.loads(frame)["id"]})
            )

    async with broken(refuses, answers) as network:
        with pytest.raises(VenueError, match="bad key"):
            async with connect(network, SIGNER):
                pass


async def test_venue_that_talks_html() -> None:
    """Frames that are not JSON are counted; the start does not hang for ever."""

    async def html(connection: ServerConnection) -> None:
        async for _ in connection:
            await connection.send("<html>maintenance</html>")
            await connection.close()

    async with broken(silent, html) as network:
        with pytest.raises(TransportError):
            async with connect(network):
                pass


async def test_answer_that_cannot_be_read() -> None:
    """Data of the wrong shape is a MalformedFrame for whoever asked."""

    async def nonsense(connection: ServerConnection) -> None:
        async for frame in connection:
            kind = json.loads(frame)["type"]
            await connection.send(
                json.dumps({"status": "success", "data": 5, "request_type": f"query_{kind}"})
            )

    async with broken(silent, nonsense) as network:
        with pytest.raises(MalformedFrame):
            async with connect(network):
                pass


async def test_missing_acknowledgement_leads_to_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line on which the venue does not answer is closed and made anew."""
    connections = 0

    async def deaf_at_first(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        deaf = connections == 1
        async for frame in connection:
            if not deaf:
                await connection.send(json.dumps({"result": None, "id": json.loads(frame)["id"]}))

    async with broken(deaf_at_first, answers) as network, connect(network) as client:
        client.desk.streams._ack_timeout_ns = 10_000_000
        await client.subscribe(Stream.trade(2))

        assert 2 == connections


def test_errors_of_the_client_have_one_root() -> None:
    """Everything raised on purpose can be caught as NadowsError."""
    assert all(
        issubclass(kind, NadowsError) for kind in (ConnectFailed, OrderUnknown, Unauthorized, UsageError)
    )
    assert callable(Client.submit)
