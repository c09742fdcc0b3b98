"""Orders in batches and within limits, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from nadows import OrderType, messages
from nadows.account import OrderStatus
from nadows.client import Client, connect
from nadows.clock import VenueClock
from nadows.desk import ARCHIVE, GATEWAY
from nadows.errors import (
    ConnectionLost,
    NadowsError,
    RateLimited,
    TransientError,
    TransportError,
    UsageError,
    VenueError,
)
from nadows.messages import Reply
from nadows.metrics.record import Metrics
from nadows.metrics.report import Stage
from nadows.pacing import Window
from nadows.sending import Turns, read_clock
from nadows.signing import Appendix, SignedOrder, Signer, nonce_recv_time_ms
from nadows.throttle import Bucket, Gate, Limits, Policy, Throttled
from nadows.venue.exchange import ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.server import VenueOptions, VenueServer, serve
from nadows.venue.switches import Switches

SIGNER = Signer(b"\x0b" * 32)


@asynccontextmanager
async def venue(*, limits: bool = False, bare: bool = True) -> AsyncIterator[VenueServer]:
    exchange = ExchangeOptions(
        flow=FlowPreset.OFF, limits=limits, switches=Switches(place_orders_bare_list=bare)
    )
    async with serve(VenueOptions(exchange=exchange)) as server:
        yield server


def resting(client: Client, count: int, start: int = 0) -> list[SignedOrder]:
    return [
        client.limit_order("ETH", "0.1", str(2900 + start + n), order_type=OrderType.POST_ONLY)
        for n in range(count)
    ]


def tiny(policy: Policy, span_ns: int = 20_000_000) -> Limits:
    """Limits that let one execute through in 20 ms, or in another span."""
    limits = Limits(policy)
    rng = random.Random(1)
    limits.executes = Gate(Bucket("executes", [Window(1, span_ns)], rng, slack_ns=0), policy, max_waiting=3)
    return limits


# -- batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bare", [False, True])
async def test_batch_of_orders(bare: bool) -> None:
    """Each order has an outcome of its own, in both forms of the answer, and the account follows each."""
    async with venue(bare=bare) as server, connect(server.network, SIGNER) as client:
        good, also_good = resting(client, 2)
        crossing = client.limit_order("ETH", "0.1", "3100", order_type=OrderType.POST_ONLY)
        replies = await client.place_orders([good, crossing, also_good])

        assert [True, False, True] == [reply.ok for reply in replies]
        assert {good.digest, also_good.digest} == set(server.exchange.engine.orders)
        orders = client.account.orders
        assert [OrderStatus.NEW, OrderStatus.REJECTED, OrderStatus.NEW] == [
            orders[order.digest].status for order in (good, crossing, also_good)
        ]
        replies = await client.place_orders(
            [
                client.limit_order("ETH", "0.1", "3100", order_type=OrderType.POST_ONLY),
                *resting(client, 1, start=9),
            ],
            stop_on_failure=True,
        )
        assert [False, False] == [reply.ok for reply in replies]


async def test_impossible_batches() -> None:
    """Too many, too few, or sent before: said before anything is sent."""
    async with venue() as server, connect(server.network, SIGNER) as client:
        for count in (0, 51):
            with pytest.raises(UsageError, match="1 to 50"):
                await client.place_orders(resting(client, count))
        (order,) = resting(client, 1)
        with pytest.raises(UsageError, match="new nonce"):
            await client.place_orders([order, order])


async def test_two_batches_at_once() -> None:
    """Answers find their batches by the signature of the first order."""
    async with venue() as server, connect(server.network, SIGNER) as client:
        batches = [resting(client, 3, start) for start in (0, 10, 20)]
        answers = await asyncio.gather(*(client.place_orders(batch) for batch in batches))

        for batch, replies in zip(batches, answers, strict=True):
            assert [order.digest for order in batch] == [
                messages.reply_data(reply, "execute_place_order").digest for reply in replies
            ]


async def test_gathered_orders() -> None:
    """Orders placed one by one travel together; one alone travels as an order."""
    async with venue() as server, connect(server.network, SIGNER) as client:
        async with client.batcher(max_orders=4, max_wait_ns=20_000_000) as batcher:
            replies = await asyncio.gather(*(batcher.place(order) for order in resting(client, 5)))
            assert [True] * 5 == [reply.ok for reply in replies]
            assert 2 == batcher.batches
            assert "execute_place_order" == replies[-1].request_type

            crossing = client.limit_order("ETH", "0.1", "3100", order_type=OrderType.POST_ONLY)
            with pytest.raises(VenueError, match="2008"):
                await batcher.place(crossing)
            waiting = [asyncio.ensure_future(batcher.place(order)) for order in resting(client, 2, 10)]
            await asyncio.sleep(0)
            assert 2 == len(batcher)
        assert all(reply.ok for reply in await asyncio.gather(*waiting))
        assert 7 == len(server.exchange.engine.orders)


async def test_gathered_orders_that_cannot_be_sent() -> None:
    """Each hears why, exactly once, also those whose callers have left."""
    async with venue() as server, connect(server.network, SIGNER) as client:
        client.desk.gateway_lost("cut by the test", 1)
        heard: list[Reply | NadowsError] = []
        batcher = client.batcher(max_orders=2)
        leaving = asyncio.ensure_future(batcher.place(resting(client, 1)[0]))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        batcher.submit(resting(client, 1, 1)[0], heard.append)
        batcher.submit(resting(client, 1, 2)[0], heard.append)
        batcher.flush()

        assert [ConnectionLost, ConnectionLost] == list(map(type, heard))
        client.desk.gateway_connected(2)


# -- limits ---------------------------------------------------------------------------------------


async def test_venue_with_limits_refuses_nothing() -> None:
    """All that the wallet may do is done, and what would be too much is refused here."""
    async with (
        venue(limits=True) as server,
        connect(server.network, SIGNER, limits=Policy.FAIL) as client,
    ):
        for start in (0, 40):
            assert all(reply.ok for reply in await client.place_orders(resting(client, 40, start)))
        await client.cancel_product_orders("ETH")
        for _ in range(15):
            await client.place_order(resting(client, 1)[0])
        (order,) = resting(client, 1)
        with pytest.raises(RateLimited, match="executes of the wallet: no room for weight 1") as refused:
            await client.place_order(order)

        assert 0 < refused.value.wait_ns <= 10_500_000_000
        assert order.digest not in client.account.orders
        assert {"executes_not_sent": 1, "executes_throttled": 0}.items() <= client.stats().items()
        await client.query(messages.StatusQuery())


async def test_waiting_for_room() -> None:
    """Requests go in the order in which they came; whoever gives up is not sent."""
    async with venue() as server, connect(server.network, SIGNER, limits=tiny(Policy.WAIT)) as client:
        orders = resting(client, 4)
        placing = [asyncio.ensure_future(client.place_order(order)) for order in orders]
        await asyncio.sleep(0)
        assert 3 == client.stats()["executes_waiting"]
        placing[2].cancel()
        await asyncio.gather(*placing, return_exceptions=True)

        assert [orders[n].digest for n in (0, 1, 3)] == list(server.exchange.engine.orders)
        assert orders[2].digest not in client.account.orders


async def test_queued_is_sent_whether_the_caller_waits_or_not() -> None:
    """QUEUE hands over; too many in the queue are refused."""
    async with venue() as server, connect(server.network, SIGNER, limits=tiny(Policy.QUEUE)) as client:
        orders = resting(client, 5)
        placing = [asyncio.ensure_future(client.place_order(order)) for order in orders]
        await asyncio.sleep(0)
        for each in placing[:4]:
            each.cancel()
        with pytest.raises(RateLimited, match="3 waiting"):
            await placing[4]
        async with asyncio.timeout(10):
            while len(server.exchange.engine.orders) < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


async def test_clients_share_limits() -> None:
    """Two clients with the same limits together stay within them."""
    limits = tiny(Policy.WAIT)
    async with (
        venue() as server,
        connect(server.network, SIGNER, limits=limits) as one,
        connect(server.network, SIGNER, limits=limits) as other,
    ):
        placing = [one.place_order(resting(one, 1)[0]), other.place_order(resting(other, 1, 1)[0])]
        placing += [one.place_order(resting(one, 1, 2)[0]), other.place_order(resting(other, 1, 3)[0])]
        replies = await asyncio.gather(*placing)

        assert [True] * 4 == [reply.ok for reply in replies]
        assert 3 == limits.executes.delayed


async def test_closing_tells_those_who_wait() -> None:
    """What had no room before the client was closed was not sent, and its sender hears so."""
    heard: list[Reply | NadowsError] = []
    async with venue() as server:
        async with connect(server.network, SIGNER, limits=tiny(Policy.QUEUE)) as client:
            orders = resting(client, 2)
            await client.place_order(orders[0])
            client.submit(orders[1], heard.append)
            assert [] == heard

        assert [TransportError] == list(map(type, heard))
        assert [orders[0].digest] == list(server.exchange.engine.orders)


async def test_waiting_order_whose_line_is_gone() -> None:
    """When its turn comes and the gateway is down it is not sent, and its sender hears so."""
    # Long enough for the first order's answer on a busy machine: the second one has to wait.
    limits = tiny(Policy.WAIT, 10**9)
    async with venue() as server, connect(server.network, SIGNER, limits=limits) as client:
        orders = resting(client, 2)
        await client.place_order(orders[0])
        placing = asyncio.ensure_future(client.place_order(orders[1]))
        await asyncio.sleep(0)
        assert 1 == client.stats()["executes_waiting"]
        client.desk.gateway.connection_lost(1)
        with pytest.raises(ConnectionLost, match="not connected"):
            await placing
        client.desk.gateway.connection_made(2)


async def test_whoever_fails_on_an_answer_harms_nobody() -> None:
    """What takes an answer may raise: the others of a batch get theirs, and the client goes on."""
    async with venue() as server, connect(server.network, SIGNER) as client:
        told: list[object] = []
        all_told = asyncio.Event()

        def take(answer: object) -> None:
            told.append(answer)
            if len(told) == 4:
                all_told.set()

        def fail(answer: object) -> None:
            take(answer)
            raise RuntimeError("not mine")

        orders = resting(client, 5)
        client.submit(orders[0], fail)
        client.submit_orders(orders[1:3], fail)
        async with client.batcher(max_orders=2) as batcher:
            batcher.submit(orders[3], fail)
            batcher.submit(orders[4], take)
        await client.query(messages.StatusQuery())
        async with asyncio.timeout(5):
            await all_told.wait()

        assert 3 == client.stats()["callback_errors"]
        assert {order.digest for order in orders} == set(server.exchange.engine.orders)


async def test_refusal_stops_the_bucket(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody else spent the wallet's weight: after the first refusal everything waits, said once."""
    async with (
        venue(limits=True) as server,
        connect(server.network, SIGNER, limits=None) as greedy,
        connect(server.network, SIGNER, limits=Policy.FAIL) as client,
    ):
        for start in (0, 50):
            await greedy.place_orders(resting(greedy, 50, start))
        with caplog.at_level(logging.WARNING, "nadows"):
            refused = await asyncio.gather(
                *(client.place_order(order) for order in resting(client, 3)), return_exceptions=True
            )
        assert [TransientError] * 3 == list(map(type, refused))
        with pytest.raises(RateLimited):
            await client.place_order(resting(client, 1)[0])

        assert ["executes of the wallet: the venue's rate limit is exceeded (code 1000)"] == [
            record.getMessage().partition(";")[0] for record in caplog.records
        ]
        stats = client.stats()
        assert (3, 1) == (stats["executes_throttled"], stats["executes_throttle_episodes"])
        assert "executes_throttled" not in greedy.stats()
        await client.query(messages.StatusQuery())


def test_without_limits_nothing_is_counted() -> None:
    """Everything goes at once, and there is nothing to say."""
    turns, sent = Turns(None), []
    assert turns.execute(10**6, lambda: sent.append(1), lambda error: None) is None
    assert turns.query(10**6, lambda: sent.append(2), lambda error: None) is None
    turns.refused("execute_place_order", 1000, 1)
    turns.spend_query(10)

    assert [1, 2] == sent
    assert {} == turns.stats()


# -- the clock ------------------------------------------------------------------------------------


class Answers:
    """A socket that answers with one frame, or never."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.sent: list[bytes] = []

    async def recv(self) -> bytes:
        if self.answer is None:
            await asyncio.Event().wait()
        if self.answer == b"":
            raise ConnectionLost("gone")
        assert self.answer is not None
        return self.answer

    def send(self, frames: Sequence[bytes]) -> None:
        self.sent += frames

    async def close(self) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        """Nothing is open."""

    @property
    def buffered(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b'{"result":{"method":"pong","server_time":"1800000000000"},"id":0}', 1),
        (b'{"result":null,"error":"unknown variant","id":0}', 0),
        (b'{"result":null,"id":0}', 0),
        (b"no JSON", 0),
        (None, 0),
    ],
)
async def test_reading_the_clock(
    answer: bytes | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A venue that does not answer the question costs a moment and no more."""
    monkeypatch.setattr("nadows.sending._CLOCK_TIMEOUT_S", 0.01)
    clock, socket = VenueClock(), Answers(answer)
    await read_clock(socket, clock)

    assert expected == clock.readings
    assert [b'{"method":"ping","id":0}'] == socket.sent


async def test_line_lost_while_reading_the_clock() -> None:
    """That is a lost connection like any other."""
    with pytest.raises(ConnectionLost):
        await read_clock(Answers(b""), VenueClock())


async def test_nonces_are_made_by_the_venues_clock() -> None:
    """A machine whose clock is an hour off signs what the venue takes."""
    async with venue() as server, connect(server.network, SIGNER) as client:
        assert 1 == client.clock.readings
        venue_ms = server.now_ns() // 10**6
        assert abs(client._driver.venue_ms() - venue_ms) < 5_000

        clock = client._driver.clock = VenueClock()
        clock.read(venue_ms + 3_600_000, round_trip_ns=0, received_ns=0)
        assert nonce_recv_time_ms(resting(client, 1)[0].nonce) >= venue_ms + 3_600_000
        await client.ping()
        assert 2 == clock.readings


async def test_batch_is_measured_order_by_order() -> None:
    """One answer, several orders: those that were refused are counted, the others' fills awaited."""
    metrics = Metrics()
    async with venue() as server, connect(server.network, SIGNER, metrics=metrics) as client:
        good, twice = resting(client, 2)
        await client.place_order(twice)
        dear = client.sign(4, 10**14, 10**21, Appendix())
        replies = await client.place_orders([good, dear])
        assert [True, False] == [reply.ok for reply in replies]

    report = metrics.report()
    counted = {name: report.counters[name] for name in ("orders_sent", "orders_refused", "orders_unknown")}
    assert {"orders_sent": 3, "orders_refused": 1, "orders_unknown": 0} == counted
    assert {good.digest, twice.digest} == set(metrics._watched)
    assert 1 == report.summary("place_orders", Stage.ORDER_TO_ACK).samples


async def test_archive_that_has_enough_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """No gate of the user's waits for it, so nobody else says it."""
    async with venue() as server, connect(server.network, SIGNER, limits=None) as client:
        with caplog.at_level(logging.WARNING, "nadows"):
            for line in (ARCHIVE, GATEWAY):
                client.router.deliver([Throttled(line, "slow down")])
        assert [f"{line}: the venue's rate limit is exceeded: slow down" for line in (ARCHIVE, GATEWAY)] == [
            record.getMessage() for record in caplog.records
        ]
