"""What strategies rely on, promise by promise, against a venue on real sockets.

The numbers are the promises of docs/perpdex.md. A relay stands between adapter and venue, so that lines can
be cut and answers swallowed; the counterparty and the venue's own state are looked at directly.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from nadows.client import Client, connect
from nadows.errors import ConnectFailed, ConnectionLost, venue_error
from nadows.perpdex import NadoAdapter, results, trader
from nadows.signing import OrderType, Signer, Subaccount
from nadows.timings import Timings
from nadows.units import from_x18
from nadows.venue.exchange import ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.orders import LiveOrder
from nadows.venue.server import VenueOptions, VenueServer, serve
from tests.perpdex.relay import ARCHIVE, DOWN, GATEWAY, STREAMS, UP, Relay, relay
from tests.perpdex.strategy import KEY, Config, NadoClient, OrderInfo, OrderResult

SELLER = Signer(b"\x0b" * 32)
BTC = 2
BID, ASK = Decimal(94997), Decimal(95003)
"""The top of the venue's quiet book; the tick is 1."""


class Floor:
    """A venue, a relay before it, a strategy behind that, and somebody to trade with."""

    def __init__(self, server: VenueServer, line: Relay, other: Client, client: NadoClient) -> None:
        self.server = server
        self.line = line
        self.other = other
        self.client = client
        self.told: list[dict[str, Any]] = []
        client.setup_order_update_handler(self.told.append)

    async def open(self, direction: str = "buy", quantity: str = "0.01") -> OrderResult:
        result: OrderResult = await self.client.place_open_order(BTC, Decimal(quantity), direction)
        assert result.success, result.error_message
        return result

    async def take(self, order: OrderResult, quantity: str | None = None) -> None:
        """Trade against an order of the strategy; returns when the venue has matched."""
        assert order.price is not None
        amount = Decimal(quantity) if quantity else order.size
        assert amount is not None
        signed = self.other.limit_order(
            BTC, -amount if order.side == "buy" else amount, order.price, order_type=OrderType.IOC
        )
        await self.other.place_order(signed)

    async def warm(self) -> None:
        """Move the top of the book, so that the adapter knows it without asking."""
        await self.client.fetch_bbo_prices(BTC)
        await self.other.place_order(self.other.limit_order(BTC, "0.01", BID + 1))
        await until(lambda: self.client._line._quotes[BTC].is_known)

    @property
    def resting(self) -> list[str]:
        """Orders of the strategy that are open at the venue."""
        own = Subaccount.of(Signer(KEY).address).hex
        orders = self.server.exchange.engine.orders
        return [digest for digest, order in orders.items() if order.account.subaccount == own]

    def live(self, order_id: str | None) -> LiveOrder:
        """The order as the venue has it."""
        assert order_id is not None
        return self.server.exchange.engine.orders[order_id]

    def statuses(self, order_id: str | None = None) -> list[str]:
        return [each["status"] for each in self.told if order_id in (None, each["order_id"])]

    async def info(self, order_id: str | None) -> OrderInfo:
        info: OrderInfo = await self.client.get_order_info(str(order_id))
        return info


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NadoClient, "fill_wait_s", 0.0)


@pytest.fixture
async def floor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Floor]:
    options = VenueOptions(exchange=ExchangeOptions(flow=FlowPreset.OFF, limits=False))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(options))
        port = urlsplit(server.network.gateway).port
        assert port is not None
        line = await stack.enter_async_context(relay(port))
        other = await stack.enter_async_context(connect(server.network, SELLER))
        monkeypatch.setenv("NADO_PRIVATE_KEY", KEY)
        monkeypatch.setenv("NADO_MODE", "TESTNET")
        monkeypatch.setenv("NADO_GATEWAY_URL", f"http://127.0.0.1:{line.port}/v1")
        client = NadoClient(Config())
        stack.push_async_callback(client.disconnect)
        made = Floor(server, line, other, client)
        await client.get_contract_attributes()
        await client.connect()
        yield made


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a condition, looking at it each time the loop has done something."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


# -- 1 to 3: life, contract, prices -------------------------------------------------------------------


async def test_01_life_is_in_the_order_of_the_bots(floor: Floor) -> None:
    """Constructor and handler come first, attributes before connect; the config is written, the id an int."""
    again = NadoClient(Config())
    again.setup_order_update_handler(print)

    assert (BTC, Decimal(1)) == await again.get_contract_attributes()
    assert (BTC, int, Decimal(1)) == (
        again.config.contract_id,
        type(again.config.contract_id),
        again.config.tick_size,
    )
    assert ("BTC-PERP", "nado") == (again.symbol, again.get_exchange_name())
    assert Signer(KEY).checksum_address == again.owner
    await again.connect()
    await again.disconnect()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (Config(ticker="BTD"), "no product is called 'BTD-PERP'"),
        (Config(quantity=Decimal("1e-7")), "min quantity"),
    ],
)
async def test_01_attributes_that_cannot_be(floor: Floor, config: Config, told: str) -> None:
    """A ticker that nobody lists and a quantity below the increment are the strategy's errors."""
    client = NadoClient(config)

    with pytest.raises(ValueError, match=told):
        await client.get_contract_attributes()
    await client.disconnect()


async def test_01_disconnect_leaves_nothing_and_may_be_repeated(floor: Floor) -> None:
    """Bots call it twice; no task, timer or socket is left, and connect works again afterwards."""
    await floor.client.disconnect()
    await floor.client.disconnect()

    assert [] == [task for task in asyncio.all_tasks() if task.get_name() == "nadows perpdex"]
    assert (Decimal(0), Decimal(0)) == await floor.client.fetch_bbo_prices(BTC)
    assert "OPEN" == (await floor.info("0x" + "12" * 32)).status

    await floor.client.connect()
    assert (BID, ASK) == await floor.client.fetch_bbo_prices(BTC)


async def test_01_disconnect_before_and_while_connecting(floor: Floor) -> None:
    """It ends a connection that is being made, too, and who waited for that is told."""
    floor.line.swallow = {(GATEWAY, DOWN)}
    client = NadoClient(Config())
    await client.disconnect()
    connecting = asyncio.ensure_future(client.connect())
    await until(lambda: floor.line.seen[GATEWAY] == 2)

    await client.disconnect()

    with pytest.raises(Exception, match="disconnected before"):
        await connecting


async def test_01_a_venue_that_is_not_there(floor: Floor) -> None:
    """The first connection must succeed, or the bot is told; it may be tried again."""
    await floor.client.disconnect()
    floor.line.refuse = {GATEWAY}

    with pytest.raises(ConnectFailed):
        await floor.client.connect()

    floor.line.refuse = set()
    await floor.client.connect()
    assert (BID, ASK) == await floor.client.fetch_bbo_prices(BTC)


@pytest.mark.parametrize("contract_id", [BTC, "2", "BTC-PERP_USDT0", "BTC-PERP", "btc"])
async def test_02_best_prices_by_any_name(floor: Floor, contract_id: str | int) -> None:
    """Product id as number or text, symbol and ticker id name the same book."""
    assert (BID, ASK) == await floor.client.fetch_bbo_prices(contract_id)
    assert (Decimal(0), Decimal(0)) == await floor.client.fetch_bbo_prices("DOGE-PERP_USDT0")


async def test_02_best_prices_follow_events(floor: Floor) -> None:
    """Once the top has moved it is at hand without a question, also while the gateway does not answer."""
    await floor.client.fetch_bbo_prices(BTC)
    bid = floor.other.limit_order(BTC, "0.01", BID + 2)
    floor.line.swallow = {(GATEWAY, DOWN)}
    await floor.other.place_order(bid)

    await until(lambda: floor.client._line._quotes[BTC].is_known)
    async with asyncio.timeout(1):
        assert (BID + 2, ASK) == await floor.client.fetch_bbo_prices(BTC)


async def test_03_an_opening_order_rests_one_tick_from_the_other_side(floor: Floor) -> None:
    """The result has the real resting price, the digest, and what was asked for."""
    buying, selling = await floor.open("buy"), await floor.open("sell")

    assert (ASK - 1, "buy", Decimal("0.01"), "OPEN") == (
        buying.price,
        buying.side,
        buying.size,
        buying.status,
    )
    # The buyer's order is the best bid by then.
    assert ASK == selling.price
    for result, sign in ((buying, 1), (selling, -1)):
        live = floor.live(result.order_id)
        assert (result.price, sign * Decimal("0.01")) == (
            from_x18(live.price),
            from_x18(live.qty) * (1 if live.is_bid else -1),
        )
        assert OrderType.POST_ONLY is live.order_type
    assert isinstance(buying, OrderResult)
    assert ASK - 1 == await floor.client.get_order_price("buy")


async def test_03_prices_are_rounded_to_multiples_of_the_tick(floor: Floor) -> None:
    """The base class's rounding, which goes by decimals, is not used."""
    floor.client.config.tick_size = Decimal("0.05")

    assert Decimal("95021.25") == floor.client.round_to_tick(Decimal("95021.2354"))


async def test_03_no_price_without_a_market(floor: Floor) -> None:
    """Bots expect that error where there is none."""
    await floor.client.disconnect()

    with pytest.raises(ValueError, match="Invalid bid/ask prices"):
        await floor.client.get_order_price("buy")


@pytest.mark.parametrize(
    ("side", "wanted", "expected"),
    [
        ("sell", "95022.2354", 95023),
        ("buy", "94950.77", 94950),
        ("sell", "90000", BID + 1),
        ("buy", "99000", ASK - 1),
    ],
)
async def test_04_closing_prices(floor: Floor, side: str, wanted: str, expected: Decimal) -> None:
    """On the tick, never to the worse, off the other side; and such an order does not expire in an hour."""
    result = await floor.client.place_close_order(BTC, Decimal("0.01"), Decimal(wanted), side)

    live = floor.live(result.order_id)
    assert (True, Decimal(expected)) == (result.success, result.price) == (True, from_x18(live.price))
    assert live.expiration > time.time() + 10 * 365 * 24 * 3600


async def test_04_refusals_are_results(floor: Floor) -> None:
    """What the venue or a check says is in the result; nothing is raised, nothing rests."""
    for quantity in ("0.00001", "50000"):
        result = await floor.client.place_open_order(BTC, Decimal(quantity), "buy")
        assert not result.success
        assert result.error_message
    assert {} == floor.server.exchange.engine.orders
    assert [] == floor.told
    with pytest.raises(ValueError, match="'buy' or 'sell'"):
        await floor.client.place_open_order(BTC, Decimal(1), "long")


async def test_04_an_order_that_would_trade_is_placed_anew(floor: Floor) -> None:
    """A price taken from a moment ago is refused by the venue; the next order takes one from now."""
    await floor.warm()
    floor.line.swallow = {(STREAMS, DOWN)}
    await floor.other.place_order(floor.other.limit_order(BTC, "-0.01", BID + 2))

    result = await floor.open("buy")

    assert BID + 1 == result.price


# -- 5 to 7: what is told ------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["buy", "sell"])
async def test_05_callbacks(floor: Floor, direction: str) -> None:
    """Each change once, the end once; sizes positive and cumulative, whatever the side."""
    order = await floor.open(direction)
    await floor.take(order, "0.004")
    await until(lambda: len(floor.told) == 2)
    await floor.take(order, "0.006")
    await until(lambda: len(floor.told) == 3)

    assert [("OPEN", "0"), ("PARTIALLY_FILLED", "0.004"), ("FILLED", "0.01")] == [
        (each["status"], str(each["filled_size"])) for each in floor.told
    ]
    for each in floor.told:
        assert {
            "order_id": order.order_id,
            "side": direction,
            "order_type": "OPEN",
            "size": Decimal("0.01"),
            "price": order.price,
            "contract_id": BTC,
        }.items() <= each.items()
        assert int is type(each["contract_id"])


async def test_05_closing_orders_are_told_as_such(floor: Floor) -> None:
    """A fill of one must not be taken for that of an opening order."""
    result = await floor.client.place_close_order(BTC, Decimal("0.01"), ASK - 1, "sell")
    await floor.take(result)
    await until(lambda: "FILLED" in floor.statuses())

    assert {"CLOSE"} == {each["order_type"] for each in floor.told}


async def test_05_orders_of_others_are_not_told(floor: Floor) -> None:
    """The callback is not matched to an order id: another session's fill would be credited to ours."""
    async with connect(floor.server.network, Signer(KEY)) as elsewhere:
        theirs = elsewhere.limit_order(BTC, "0.01", ASK - 1)
        await elsewhere.place_order(theirs)
        foreign = OrderResult(True, theirs.digest, "buy", Decimal("0.01"), ASK - 1)
        await floor.take(foreign)
        ours = await floor.open()
        await floor.take(ours)
        await until(lambda: "FILLED" in floor.statuses())

    assert {ours.order_id} == {each["order_id"] for each in floor.told}


async def test_05_a_handler_that_fails_harms_nobody(floor: Floor, caplog: pytest.LogCaptureFixture) -> None:
    """Its exception is logged, and the next change is told all the same."""
    statuses: list[str] = []

    def fail(message: dict[str, Any]) -> None:
        statuses.append(message["status"])
        raise KeyError("handler")

    floor.client.setup_order_update_handler(fail)
    order = await floor.open()
    await floor.take(order)
    await until(lambda: len(statuses) == 2)

    assert ["OPEN", "FILLED"] == statuses
    assert "the order update handler failed" in caplog.text
    assert "FILLED" == (await floor.info(order.order_id)).status


@pytest.mark.parametrize(("direction", "sign"), [("buy", 1), ("sell", -1)])
async def test_06_a_partly_filled_order_is_open(floor: Floor, direction: str, sign: int) -> None:
    """Strategies take anything else for the end; sizes are positive on both sides, positions are not."""
    order = await floor.open(direction)
    await floor.take(order, "0.004")
    await until(lambda: len(floor.told) == 2)

    info = await floor.info(order.order_id)
    assert isinstance(info, OrderInfo)
    assert (
        OrderInfo(
            str(order.order_id),
            direction,
            Decimal("0.01"),
            order.price or Decimal(0),
            "OPEN",
            Decimal("0.004"),
            Decimal("0.006"),
        )
        == info
    )
    assert [info] == await floor.client.get_active_orders(BTC)
    assert sign * Decimal("0.004") == await floor.client.get_account_positions()


async def test_06_a_poll_returns_with_the_fill(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """`get_order_info` of an open order waits for the next event, so that who polls learns of it at once."""
    monkeypatch.setattr(NadoClient, "fill_wait_s", 60.0)
    order = await floor.open()
    polling = asyncio.ensure_future(floor.info(order.order_id))
    await asyncio.sleep(0)
    assert not polling.done()

    await floor.take(order)

    async with asyncio.timeout(5):
        assert "FILLED" == (await polling).status


async def test_06_a_poll_is_bounded(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an event it answers what it knows."""
    monkeypatch.setattr(NadoClient, "fill_wait_s", 0.05)
    order = await floor.open()

    assert "OPEN" == (await floor.info(order.order_id)).status


async def test_06_orders_of_another_session_are_looked_up(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart a strategy may ask for orders that this client never placed."""
    monkeypatch.setattr(trader, "_LOOKS_S", (0.0, 0.01))
    async with connect(floor.server.network, Signer(KEY)) as before:
        orders = [before.limit_order(BTC, "0.01", ASK - 1 - number) for number in range(3)]
        for order in orders:
            await before.place_order(order)
        await floor.take(OrderResult(True, "", "buy", Decimal("0.01"), ASK - 1))
        await before.cancel_orders([(BTC, orders[1].digest)])

    infos = [await floor.info(order.digest) for order in orders]
    assert [("FILLED", Decimal("0.01")), ("CANCELLED", Decimal(0)), ("OPEN", Decimal(0))] == [
        (info.status, info.filled_size) for info in infos
    ]
    assert [ASK - 3] == [each.price for each in await floor.client.get_active_orders("2")]
    cancelled = await floor.client.cancel_order(orders[2].digest)
    assert (True, "CANCELLED", ASK - 3) == (cancelled.success, cancelled.status, cancelled.price)
    assert [] == floor.told


@pytest.mark.parametrize("filled", ["0", "0.004"])
async def test_07_a_cancel_is_told_once_with_what_was_filled(floor: Floor, filled: str) -> None:
    """The callback spells CANCELED, the info CANCELLED; both, and the result, say how much was filled."""
    order = await floor.open()
    if Decimal(filled):
        await floor.take(order, filled)

    result = await floor.client.cancel_order(str(order.order_id))

    ends = [each for each in floor.told if each["status"] == "CANCELED"]
    assert [Decimal(filled)] == [each["filled_size"] for each in ends]
    assert (True, Decimal(filled), order.price) == (result.success, result.filled_size, result.price)
    info = await floor.info(order.order_id)
    assert ("CANCELLED", Decimal(filled)) == (info.status, info.filled_size)
    again = await floor.client.cancel_order(str(order.order_id))
    assert (True, Decimal(filled)) == (again.success, again.filled_size)
    await floor.other.ping()
    assert 1 == floor.statuses().count("CANCELED")


async def test_07_a_cancel_by_the_venue_is_told(floor: Floor) -> None:
    """Somebody else of the wallet, or a rule, may cancel it."""
    order = await floor.open()
    await floor.take(order, "0.004")
    async with connect(floor.server.network, Signer(KEY)) as elsewhere:
        await elsewhere.cancel_product_orders(BTC)
    await until(lambda: "CANCELED" in floor.statuses())

    assert Decimal("0.004") == floor.told[-1]["filled_size"]


async def test_07_the_answer_to_a_cancel_is_waited_for(floor: Floor) -> None:
    """It says exactly how much was filled, so the event, which may come first, is not told before it."""
    order = await floor.open()
    known = floor.client._trader.order(str(order.order_id), BTC)
    known.cancels_out += 1
    async with connect(floor.server.network, Signer(KEY)) as elsewhere:
        await elsewhere.cancel_product_orders(BTC)
    account = floor.client._line.account
    assert account is not None
    await until(lambda: account.orders[known.order_id].is_done)
    assert ["OPEN"] == floor.statuses()

    known.cancels_out -= 1
    floor.client._trader.review(known)

    assert ["OPEN", "CANCELED"] == floor.statuses()


# -- 8 to 10: what goes wrong --------------------------------------------------------------------------


async def test_08_a_cancel_that_comes_too_late_tells_of_the_fill_first(floor: Floor) -> None:
    """The venue says 2020; the order is looked up, FILLED is told, then the cancel returns with success."""
    order = await floor.open()
    floor.line.swallow = {(STREAMS, DOWN)}
    await floor.take(order)

    result = await floor.client.cancel_order(str(order.order_id))

    assert ["OPEN", "FILLED"] == floor.statuses()
    assert (True, Decimal("0.01"), "FILLED") == (result.success, result.filled_size, result.status)
    # What was lost with the line comes from the archive afterwards, and is not told again.
    floor.line.swallow = set()
    floor.line.cut(STREAMS)
    await until(lambda: floor.line.seen[STREAMS] == 2)
    await until(lambda: floor.client._line.has_streams)
    await floor.client._line.until(lambda: floor.client._told_position() == 10**16, 5)
    assert ["OPEN", "FILLED"] == floor.statuses()


async def test_08_without_gateway_and_archive_nothing_is_made_up(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order of which the fate cannot be found out is not reported cancelled."""
    monkeypatch.setattr(trader, "_EVENT_S", 0.05)
    order = await floor.open()
    floor.line.swallow = {(STREAMS, DOWN)}
    floor.line.refuse = {ARCHIVE}
    floor.line.cut(ARCHIVE)
    await floor.take(order)

    result = await floor.client.cancel_order(str(order.order_id))

    assert not result.success
    assert "OPEN" == (await floor.info(order.order_id)).status
    assert ["OPEN"] == floor.statuses()


@pytest.mark.parametrize(
    "answer", [b"<html>", b'{"error": "busy", "error_code": 1000}'], ids=["nonsense", "refusal"]
)
async def test_08_an_archive_that_does_not_answer_is_no_proof(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    """An error is not an empty record: the order is not reported cancelled for it."""
    rest = floor.client._line._rest
    assert rest is not None

    async def post(url: str, body: bytes) -> bytes:
        return answer

    monkeypatch.setattr(rest, "post", post)
    async with connect(floor.server.network, Signer(KEY)) as elsewhere:
        order = elsewhere.limit_order(BTC, "0.01", ASK - 1)
        await elsewhere.place_order(order)
        await elsewhere.cancel_orders([(BTC, order.digest)])

    assert "OPEN" == (await floor.info(order.digest)).status
    result = await floor.client.cancel_order(order.digest)
    assert (False, True) == (result.success, "archive" in str(result.error_message))


async def test_08_a_cancel_that_is_refused(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal that passes is asked again after a moment; another is in the result."""
    order = await floor.open()
    client = await floor.client._line.client()
    cancel, refusals = client.cancel_orders, [venue_error("wrong", 2028), venue_error("busy", 1006)]

    async def refuse(orders: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return await cancel(orders)

    monkeypatch.setattr(client, "cancel_orders", refuse)

    refused = await floor.client.cancel_order(str(order.order_id))
    assert (False, "OPEN", True) == (refused.success, refused.status, "2028" in str(refused.error_message))
    assert (await floor.client.cancel_order(str(order.order_id))).success


async def test_09_a_fill_while_cut_off_is_told_once(floor: Floor) -> None:
    """The line is cut, the order fills, the line comes back: one FILLED, and the next order works."""
    order = await floor.open()
    floor.line.refuse = {GATEWAY, STREAMS}
    floor.line.cut()
    await floor.take(order)
    assert "OPEN" == (await floor.info(order.order_id)).status if floor.client._line.is_up else True
    floor.line.refuse = set()

    await until(lambda: "FILLED" in floor.statuses(), 20)
    second = await floor.open()
    await floor.take(second)
    await until(lambda: "FILLED" in floor.statuses(second.order_id))

    assert ["OPEN", "FILLED"] == floor.statuses(order.order_id)
    assert ["OPEN", "FILLED"] == floor.statuses(second.order_id)


async def test_09_a_partial_fill_and_a_cancel_while_cut_off(floor: Floor) -> None:
    """What was filled before the cancel is known when the cancel is told."""
    order = await floor.open()
    floor.line.refuse = {GATEWAY, STREAMS}
    floor.line.cut()
    await floor.take(order, "0.004")
    async with connect(floor.server.network, Signer(KEY)) as elsewhere:
        await elsewhere.cancel_product_orders(BTC)
    floor.line.refuse = set()

    await until(lambda: "CANCELED" in floor.statuses(), 30)

    assert Decimal("0.004") == floor.told[-1]["filled_size"]
    assert 1 == floor.statuses().count("CANCELED")


async def test_09_a_cancel_soon_after_an_outage_waits_for_its_fills(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was filled meanwhile may not be known yet, so the cancel is not told before it must be."""
    order = await floor.open()
    floor.line.cut(STREAMS)
    await until(lambda: not floor.client._line.has_streams)
    await until(lambda: floor.client._line.has_streams)
    async with connect(floor.server.network, Signer(KEY)) as elsewhere:
        await elsewhere.cancel_product_orders(BTC)
    account = floor.client._line.account
    assert account is not None
    await until(lambda: account.orders[str(order.order_id)].is_done)
    assert "OPEN" == (await floor.info(order.order_id)).status
    assert ["OPEN"] == floor.statuses()

    monkeypatch.setattr(trader, "_SETTLE_NS", 0)

    assert "CANCELLED" == (await floor.info(order.order_id)).status
    assert ["OPEN", "CANCELED"] == floor.statuses()


async def test_09_while_the_streams_are_down_the_gateway_is_asked(floor: Floor) -> None:
    """A poll learns of a fill although no event can come."""
    order = await floor.open()
    floor.line.refuse = {STREAMS}
    floor.line.cut(STREAMS)
    await until(lambda: not floor.client._line.has_streams)
    assert "OPEN" == (await floor.info(order.order_id)).status
    await floor.take(order)

    assert "FILLED" == (await floor.info(order.order_id)).status
    assert ["OPEN", "FILLED"] == floor.statuses()


async def test_09_orders_and_positions_while_cut_off(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty list would make a bot believe that its closing orders are gone: the last known is told."""
    monkeypatch.setattr("nadows.perpdex.line._PATIENCE_S", 0.05)
    monkeypatch.setattr("nadows.perpdex.line.Line.query.__defaults__", (0.05,))
    order = await floor.open()
    await floor.take(order, "0.004")
    await until(lambda: floor.client._told_position() is not None)
    floor.line.refuse = {GATEWAY, STREAMS}
    floor.line.cut()
    await until(lambda: not floor.client._line.is_up)

    assert [(order.order_id, Decimal("0.01"))] == [
        (each.order_id, each.size) for each in await floor.client.get_active_orders(BTC)
    ]
    assert Decimal("0.004") == await floor.client.get_account_positions()


async def test_10_an_order_whose_answer_is_lost_is_found_not_repeated(floor: Floor) -> None:
    """It reached the venue and the answer did not come back: it is settled by asking, and is one order."""
    await floor.warm()
    floor.line.swallow = {(GATEWAY, DOWN)}
    placing = asyncio.ensure_future(
        floor.client.place_close_order(BTC, Decimal("0.01"), Decimal(95100), "sell")
    )
    await until(lambda: floor.resting)
    floor.line.swallow = set()
    floor.line.cut(GATEWAY)

    result = await placing

    assert (True, "OPEN") == (result.success, result.status)
    assert [result.order_id] == floor.resting
    assert ["OPEN"] == floor.statuses()


async def test_10_an_order_of_unknown_fate_is_not_cancelled(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never arrived, and nobody can know yet: status UNKNOWN, read as OPEN, and no end is told."""
    monkeypatch.setattr(trader, "_OPEN_PATIENCE_S", 0.5)
    await floor.warm()
    floor.line.swallow = {(GATEWAY, UP)}
    placing = asyncio.ensure_future(floor.client.place_open_order(BTC, Decimal("0.01"), "buy"))
    await until(lambda: floor.client._line.account and floor.client._line.account.orders)
    floor.line.swallow = set()
    floor.line.cut(GATEWAY)

    result = await placing

    assert (True, "UNKNOWN") == (result.success, result.status)
    assert "OPEN" == (await floor.info(result.order_id)).status
    assert [] == floor.resting
    monkeypatch.setattr(trader, "_EVENT_S", 0.01)
    monkeypatch.setattr(trader, "_LOOKS_S", (0.0, 0.01))
    cancelled = await floor.client.cancel_order(str(result.order_id))
    assert not cancelled.success
    assert [] == floor.statuses()


async def test_10_a_closing_order_that_left_no_trace_is_placed_anew(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is known that the venue cannot take it any more, another one is signed."""
    quick = Timings(settle_ns=0, takes_effect_ns=0, doubt_ns=(0, 10**7))
    monkeypatch.setattr("nadows.desk.Timings", lambda: quick)
    await floor.client.disconnect()
    await floor.client.connect()
    await floor.warm()
    floor.line.swallow = {(GATEWAY, UP)}
    placing = asyncio.ensure_future(
        floor.client.place_close_order(BTC, Decimal("0.01"), Decimal(95100), "sell")
    )
    await until(lambda: floor.client._line.account and floor.client._line.account.orders)
    floor.line.swallow = set()
    floor.line.cut(GATEWAY)

    result = await placing

    assert (True, "OPEN") == (result.success, result.status)
    assert [result.order_id] == floor.resting


async def test_10_orders_wait_for_a_gateway_that_is_away(floor: Floor) -> None:
    """Nothing was sent, so nothing is in doubt: the order goes out when the line is back."""
    await floor.warm()
    floor.line.refuse = {GATEWAY}
    floor.line.cut(GATEWAY)
    await until(lambda: not floor.client._line.is_up)
    placing = asyncio.ensure_future(
        floor.client.place_close_order(BTC, Decimal("0.01"), Decimal(95100), "sell")
    )
    await asyncio.sleep(0)
    floor.line.refuse = set()

    result = await placing

    assert [result.order_id] == floor.resting


async def test_10_a_line_that_was_lost_while_a_request_waited_for_its_turn(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate limits may hold a request back; if the gateway is gone by then, it is placed anew."""
    client = await floor.client._line.client()
    place = client.place_order
    refusals = [ConnectionLost("the gateway is not connected; nothing was sent")]

    async def place_later(order: Any) -> Any:
        if refusals:
            floor.line.cut(GATEWAY)
            await until(lambda: not floor.client._line.is_up)
            raise refusals.pop()
        return await place(order)

    monkeypatch.setattr(client, "place_order", place_later)

    result = await floor.client.place_close_order(BTC, Decimal("0.01"), Decimal(95100), "sell")

    assert [result.order_id] == floor.resting


async def test_10_a_cancel_whose_answer_is_lost(floor: Floor) -> None:
    """It is asked again; the end is told once, and the cancel succeeds."""
    order = await floor.open()
    floor.line.swallow = {(GATEWAY, DOWN)}
    cancelling = asyncio.ensure_future(floor.client.cancel_order(str(order.order_id)))
    await until(lambda: not floor.resting)
    floor.line.swallow = set()
    floor.line.cut(GATEWAY)

    result = await cancelling

    assert (True, Decimal(0)) == (result.success, result.filled_size)
    assert ["OPEN", "CANCELED"] == floor.statuses()


# -- 11: by position -----------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["buy", "sell"])
async def test_11_wait_for_fill_by_position(floor: Floor, direction: str) -> None:
    """It returns when the position has changed by so much, with the price that was paid."""
    order = await floor.open(direction)
    waiting = asyncio.ensure_future(floor.client.wait_for_fill_by_position(Decimal("0.01"), 10))
    await asyncio.sleep(0.05)
    await floor.take(order, "0.004")
    await floor.take(order, "0.006")

    assert (True, Decimal("0.01"), order.price) == await waiting


async def test_11_wait_for_fill_by_position_says_what_there_was(floor: Floor) -> None:
    """After the time-out: how much it was until then."""
    assert (False, Decimal(0), Decimal(0)) == await floor.client.wait_for_fill_by_position(Decimal(1), 0)
    order = await floor.open()
    waiting = asyncio.ensure_future(floor.client.wait_for_fill_by_position(Decimal("0.01"), 0.5))
    await asyncio.sleep(0.05)
    await floor.take(order, "0.004")

    assert (False, Decimal("0.004"), order.price) == await waiting


async def test_12_the_own_results_will_do(floor: Floor) -> None:
    """Who has no types of their own gets ours, with the same fields."""
    assert (results.OrderResult, results.OrderInfo) == (NadoAdapter.order_result, NadoAdapter.order_info)
    for ours, theirs in ((results.OrderResult, OrderResult), (results.OrderInfo, OrderInfo)):
        assert list(theirs.__dataclass_fields__) == list(ours.__dataclass_fields__)


def test_12_subaccounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The subaccount's name is the environment's."""
    monkeypatch.setenv("NADO_PRIVATE_KEY", KEY)
    monkeypatch.setenv("NADO_SUBACCOUNT_NAME", "grid")

    assert "grid" == NadoClient(Config()).subaccount_name
