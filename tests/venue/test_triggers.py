"""Tests of nadows.venue.triggers and .trigger_service: orders that wait."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nadows.messages import TriggerOrders, TwapExecutions, encode
from nadows.messages.wire import decode
from nadows.network import TESTNET
from nadows.signing import (
    Appendix,
    OrderType,
    SignedOrder,
    Trigger,
    sign_cancel_orders,
    sign_cancel_product_orders,
    sign_list_trigger_orders,
)
from nadows.units import ONE_X18, to_x18
from tests.venue.rig import BTC, ETH, SECOND, T0, Json, Rig, Trader

PRICE = Appendix(trigger=Trigger.PRICE).value
STOP = Appendix(trigger=Trigger.PRICE, order_type=OrderType.IOC, reduce_only=True).value
NOW_S = T0 // SECOND


def twap(times: int, *, custom: bool = False, slippage_x6: int = 10_000) -> int:
    return Appendix(
        trigger=Trigger.TWAP_CUSTOM_AMOUNTS if custom else Trigger.TWAP,
        order_type=OrderType.IOC,
        twap_times=times,
        twap_slippage_x6=slippage_x6,
    ).value


def price(name: str, level: str, **dependency: Any) -> Json:
    trigger: Json = {"price_requirement": {name: str(to_x18(level))}}
    return {"price_trigger": trigger | ({"dependency": dependency} if dependency else {})}


def parts(interval: int, *amounts: str) -> Json:
    trigger: Json = {"interval": interval}
    return {"time_trigger": trigger | ({"amounts": [str(to_x18(a)) for a in amounts]} if amounts else {})}


class Service:
    """A trader's view of the service."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.trader = Trader(self.rig)

    def body(self, order: SignedOrder, trigger: Json) -> Json:
        place: Json = json.loads(order.frame)["place_order"]
        return place | {"trigger": trigger}

    def place(self, limit: str, amount: str, trigger: Json, appendix: int = PRICE, **options: Any) -> Json:
        order = self.trader.sign(limit, amount, appendix=appendix, **options)
        return self.execute({"place_order": self.body(order, trigger)})

    def execute(self, body: Json | bytes) -> Json:
        return self.rig.http("POST", "/trigger/v1/execute", body=body)

    def listed(self, trader: Trader | None = None, **filters: Any) -> list[Json]:
        who = trader or self.trader
        request = sign_list_trigger_orders(
            who.signer, TESTNET.domain, who.sub, self.rig.now_ms + 10_000
        ).frame
        answer = self.rig.http("POST", "/trigger/v1/query", body=json.loads(request) | filters)
        assert ("success", "query_list_trigger_orders") == (answer["status"], answer["request_type"])
        read = decode(encode(answer["data"]), TriggerOrders)
        assert len(answer["data"]["orders"]) == len(read.orders)
        rows: list[Json] = answer["data"]["orders"]
        return rows

    def status(self, digest: str) -> Any:
        (row,) = self.listed(digests=[digest])
        return row["status"]

    def executions(self, digest: str) -> list[Json]:
        answer = self.rig.http(
            "POST", "/trigger/v1/query", body={"type": "list_twap_executions", "digest": digest}
        )
        decode(encode(answer["data"]), TwapExecutions)
        rows: list[Json] = answer["data"]["executions"]
        return rows

    def cancel(self, *digests: str, product_id: int = ETH) -> Json:
        request = sign_cancel_orders(
            self.trader.signer,
            TESTNET.domain,
            self.trader.sub,
            [product_id] * len(digests),
            digests,
            self.trader.nonce(),
        )
        return self.execute(request.frame)

    def cancel_products(self, *product_ids: int) -> Json:
        request = sign_cancel_product_orders(
            self.trader.signer, TESTNET.domain, self.trader.sub, product_ids, self.trader.nonce()
        )
        return self.execute(request.frame)

    def set_oracle(self, level: str) -> None:
        self.rig.exchange.engine.oracle[ETH] = to_x18(level)
        self.rig.advance(SECOND)

    def position(self) -> int:
        return self.trader.perp()[0] if ETH in self.trader.account.perps else 0


@pytest.fixture
def service() -> Service:
    return Service()


class TestPriceOrders:
    """They are placed once, when their price is there."""

    def test_its_life(self, service: Service) -> None:
        """Placed, listed, fired, filled; the answer of the engine is in its status."""
        answer = service.place("3010", "0.1", price("oracle_price_above", "3001"), id=5)

        digest = answer["data"]["digest"]
        assert ("success", "execute_place_order", 5) == (
            answer["status"],
            answer["request_type"],
            answer["id"],
        )
        (row,) = service.listed()
        assert ("waiting_price", NOW_S, 5, ETH) == (
            row["status"],
            row["placed_at"],
            row["order"]["id"],
            row["order"]["product_id"],
        )
        service.rig.advance(SECOND)
        assert "waiting_price" == service.status(digest)

        service.set_oracle("3001")

        status = service.status(digest)
        assert ("success", {"digest": digest}) == (
            status["triggered"]["status"],
            status["triggered"]["data"],
        )
        assert to_x18("0.1") == service.position()

    @pytest.mark.parametrize(
        ("name", "waits_at", "fires_at"),
        [("oracle_price_above", "2999", "3000"), ("oracle_price_below", "3001", "3000")],
    )
    def test_the_level_itself_counts(self, service: Service, name: str, waits_at: str, fires_at: str) -> None:
        """Above and below include the level."""
        service.rig.exchange.engine.oracle[ETH] = to_x18(waits_at)
        digest = service.place("3010", "0.1", price(name, fires_at))["data"]["digest"]
        service.rig.advance(SECOND)
        assert "waiting_price" == service.status(digest)

        service.set_oracle(fires_at)

        assert "triggered" in service.status(digest)

    @pytest.mark.parametrize("name", ["last_price_above", "mid_price_above"])
    def test_prices_of_the_market(self, service: Service, name: str) -> None:
        """The last trade and the middle of the book count too."""
        digest = service.place("3010", "0.1", price(name, "3000.2"))["data"]["digest"]
        service.rig.advance(SECOND)
        assert "waiting_price" == service.status(digest)

        market = service.rig.exchange.engine.markets[ETH]
        if name == "last_price_above":
            Trader(service.rig, 2).place("3010", "0.1")
        else:
            Trader(service.rig, 2).place("3000.2", "1")
        assert market.last_price
        service.rig.advance(SECOND)

        assert "triggered" in service.status(digest)

    def test_a_refused_order_says_why(self, service: Service) -> None:
        """What the engine refuses when the time comes is in the status."""
        digest = service.place("2990", "-0.1", price("oracle_price_below", "3000"), STOP)["data"]["digest"]

        service.rig.advance(SECOND)

        failure = service.status(digest)["triggered"]
        assert ("failure", 2064) == (failure["status"], failure["error_code"])

    def test_it_outlives_its_receive_time(self, service: Service) -> None:
        """The window of the nonce is for the placing; the order may wait for days."""
        service.place("3010", "0.1", price("oracle_price_above", "3001"))
        service.rig.skip(3600 * SECOND)

        service.set_oracle("3001")

        assert to_x18("0.1") == service.position()

    def test_it_expires(self, service: Service) -> None:
        """Then it ends as cancelled."""
        placed = service.place("3010", "0.1", price("oracle_price_above", "3001"), expiration=NOW_S + 10)

        service.rig.skip(10 * SECOND)

        assert {"cancelled": "expired"} == service.status(placed["data"]["digest"])

    @pytest.mark.parametrize(("partial", "fires"), [(True, True), (False, False)])
    def test_dependency(self, service: Service, partial: bool, fires: bool) -> None:
        """It waits for another order, to be filled whole or at all."""
        first = service.trader.place("3000.1", "1")["data"]["digest"]
        trigger = price("oracle_price_below", "3000", digest=first, on_partial_fill=partial)
        digest = service.place("2990", "-0.1", trigger, STOP)["data"]["digest"]
        service.rig.advance(SECOND)
        assert "waiting_dependency" == service.status(digest)

        Trader(service.rig, 2).place("3000", "-0.5")
        service.rig.advance(SECOND)
        assert fires is ("triggered" in service.status(digest))

        Trader(service.rig, 2).place("3000", "-0.5")
        service.rig.advance(SECOND)
        assert "triggered" in service.status(digest)


class TestRefusals:
    """Each with its code."""

    @pytest.mark.parametrize(
        ("trigger", "appendix", "options", "code"),
        [
            (price("oracle_price_above", "1"), 1, {}, 2059),
            (price("oracle_price_above", "1"), 257 | 1 << 12, {}, 2084),
            (price("price_above", "1"), PRICE, {}, 2097),
            (price("oracle_price_above", "0"), PRICE, {}, 2055),
            ({"price_trigger": {"price_requirement": {}}}, PRICE, {}, 2097),
            ({}, PRICE, {}, 2097),
            (parts(60), PRICE, {}, 2097),
            (price("oracle_price_above", "1"), PRICE, {"expiration": NOW_S}, 2004),
            (price("oracle_price_above", "1"), PRICE, {"product_id": 99}, 2015),
            (price("oracle_price_above", "1"), PRICE, {"nonce": 0}, 2011),
            (price("oracle_price_above", "1"), twap(2), {"expiration": NOW_S + 3600}, 2098),
            (parts(0), twap(2), {"expiration": NOW_S + 3600}, 2103),
            (parts(3601), twap(2), {"expiration": NOW_S + 3600}, 2103),
            (parts(3600), twap(26), {"expiration": NOW_S + 90_000}, 2104),
            (parts(60), twap(2), {"expiration": NOW_S + 90_001}, 2102),
            (parts(60), twap(2), {"expiration": NOW_S + 59}, 2105),
            (parts(60, "0.05", "0.05"), twap(2), {"expiration": NOW_S + 3600}, 2106),
            (parts(60), twap(2, custom=True), {"expiration": NOW_S + 3600}, 2106),
            (parts(60, "0.1"), twap(2, custom=True), {"expiration": NOW_S + 3600}, 2106),
            (parts(60, "0.2", "-0.1"), twap(2, custom=True), {"expiration": NOW_S + 3600}, 2107),
            (parts(60, "0.1", "0.1"), twap(2, custom=True), {"expiration": NOW_S + 3600}, 2108),
            (parts(1), twap(3), {"expiration": NOW_S + 3600}, 2101),
            (parts(1), twap(200), {"expiration": NOW_S + 3600}, 2001),
            (parts(1), 1 | 1 << 9 | 2 << 12, {"expiration": NOW_S + 3600}, 2100),
            (parts(1), 1 | 2 << 12 | 2 << 96, {"expiration": NOW_S + 3600}, 2099),
            (parts(1), 1 | 1 << 8 | 1 << 9 | 2 << 12 | 2 << 96, {"expiration": NOW_S + 3600}, 2110),
        ],
    )
    def test_orders(self, service: Service, trigger: Json, appendix: int, options: Json, code: int) -> None:
        """What can never be placed is refused at once."""
        assert code == service.place("3010", "0.1", trigger, appendix, **options)["error_code"]

    def test_twice_the_same(self, service: Service) -> None:
        """A digest is taken once."""
        order = service.trader.sign("3010", "0.1", appendix=PRICE)
        body = {"place_order": service.body(order, price("oracle_price_above", "9000"))}

        assert "success" == service.execute(body)["status"]
        assert 2013 == service.execute(body)["error_code"]

    def test_too_many(self, service: Service) -> None:
        """25 wait in one product; others are counted on their own."""
        trigger = price("oracle_price_above", "9000")
        for _ in range(25):
            assert "success" == service.place("3010", "0.1", trigger)["status"]

        assert 2057 == service.place("3010", "0.1", trigger)["error_code"]
        assert "success" == service.place("95000", "0.01", trigger, product_id=BTC)["status"]

    def test_broken_requests(self, service: Service) -> None:
        """They get a failure, not a crash; both paths take POST only."""
        assert 1005 == service.execute(b"{")["error_code"]
        assert 1005 == service.rig.http("POST", "/trigger/v1/query", body={"type": "status"})["error_code"]
        assert 405 == service.rig.http("GET", "/trigger/v1/query")["_status"]
        assert 404 == service.rig.http("GET", "/trigger/v1")["_status"]
        missing = {"type": "list_twap_executions", "digest": "0x" + "11" * 32}
        assert 2058 == service.rig.http("POST", "/trigger/v1/query", body=missing)["error_code"]


class TestCancels:
    """By digest and by product."""

    def test_by_digest(self, service: Service) -> None:
        """The orders come back in the answer, and end as cancelled."""
        digest = service.place("3010", "0.1", price("oracle_price_above", "9000"))["data"]["digest"]

        answer = service.cancel(digest)

        (order,) = answer["data"]["cancelled_orders"]
        assert (digest, str(to_x18("0.1"))) == (order["digest"], order["unfilled_amount"])
        assert {"cancelled": "user_requested"} == service.status(digest)
        assert 2058 == service.cancel(digest)["error_code"]

    def test_refused(self, service: Service) -> None:
        """Another product's, or another's."""
        digest = service.place("3010", "0.1", price("oracle_price_above", "9000"))["data"]["digest"]

        assert 2074 == service.cancel(digest, product_id=BTC)["error_code"]
        service.trader = Trader(service.rig, 2)
        assert 2014 == service.cancel(digest)["error_code"]

    @pytest.mark.parametrize(("product_ids", "count"), [((), 2), ((ETH,), 1), ((1,), 0)])
    def test_by_product(self, service: Service, product_ids: tuple[int, ...], count: int) -> None:
        """Of some, or of all."""
        trigger = price("oracle_price_above", "900000")
        service.place("3010", "0.1", trigger)
        service.place("95000", "0.01", trigger, product_id=BTC)

        assert count == len(service.cancel_products(*product_ids)["data"]["cancelled_orders"])
        assert 2 - count == len(service.listed(status_types=["waiting_price"]))


class TestLists:
    """Filters of the list."""

    def test_filters(self, service: Service) -> None:
        """Every one narrows it."""
        trigger = price("oracle_price_above", "9000")
        first = service.place("3010", "0.1", trigger)["data"]["digest"]
        service.rig.advance(SECOND)
        second = service.place("2990", "-0.1", trigger, STOP)["data"]["digest"]

        def digests(**filters: Any) -> list[str]:
            return [row["order"]["digest"] for row in service.listed(**filters)]

        assert [second, first] == digests()
        assert [second] == digests(limit=1)
        assert [first] == digests(reduce_only=False)
        assert [second] == digests(reduce_only=True)
        assert [first] == digests(max_update_time=NOW_S)
        assert [first] == digests(max_update_time=NOW_S, max_digest=first)
        assert [] == digests(max_update_time=NOW_S, max_digest="0x" + "ff" * 32)
        assert [] == digests(trigger_types=["time_trigger"])
        assert [second, first] == digests(trigger_types=["price_trigger"], product_ids=[ETH])
        assert [] == digests(product_ids=[BTC])
        assert [] == service.listed(Trader(service.rig, 2))

    def test_who_may_list(self, service: Service) -> None:
        """It must be signed by the owner, and in time."""
        trader = service.trader
        late = sign_list_trigger_orders(trader.signer, TESTNET.domain, trader.sub, service.rig.now_ms - 1)
        other = sign_list_trigger_orders(
            Trader(service.rig, 2).signer, TESTNET.domain, trader.sub, service.rig.now_ms + 5
        )

        codes = [
            service.rig.http("POST", "/trigger/v1/query", body=request.frame)["error_code"]
            for request in (late, other)
        ]
        assert [2011, 2028] == codes


class TestBatches:
    """Several in one request."""

    def test_each_on_its_own(self, service: Service) -> None:
        """One that is refused does not keep the others, unless asked to stop."""
        trigger = price("oracle_price_above", "9000")

        def batch(**members: Any) -> Any:
            good, bad, last = (
                service.body(service.trader.sign("3010", amount, appendix=PRICE), trigger)
                for amount in ("0.1", "0.0001", "0.1")
            )
            return service.execute({"place_orders": {"orders": [good, bad, last], **members}})["data"]

        assert [True, False, True] == [item["error"] is None for item in batch()]
        assert [True, False] == [item["error"] is None for item in batch(stop_on_failure=True)]

    def test_refused(self, service: Service) -> None:
        """Empty ones, and those of several senders."""
        trigger = price("oracle_price_above", "9000")
        orders = [
            service.body(trader.sign("3010", "0.1", appendix=PRICE), trigger)
            for trader in (service.trader, Trader(service.rig, 2))
        ]

        assert 2111 == service.execute({"place_orders": {"orders": []}})["error_code"]
        assert 2114 == service.execute({"place_orders": {"orders": orders}})["error_code"]


class TestParts:
    """TWAP orders."""

    def test_its_life(self, service: Service) -> None:
        """Part by part, the first at once; then it is completed."""
        placed = service.place("3010", "0.3", parts(10), twap(3), expiration=NOW_S + 20)
        digest = placed["data"]["digest"]
        assert ["pending"] * 3 == [each["status"] for each in service.executions(digest)]

        service.rig.advance(SECOND)
        assert to_x18("0.1") == service.position()
        assert {"twap_executing": {"executed": 1, "total": 3}} == service.status(digest)
        service.rig.advance(10 * SECOND)
        assert to_x18("0.2") == service.position()
        service.rig.advance(10 * SECOND)

        assert to_x18("0.3") == service.position()
        assert {"twap_completed": {"executed": 3}} == service.status(digest)
        done = service.executions(digest)
        assert [NOW_S, NOW_S + 10, NOW_S + 20] == [each["scheduled_time"] for each in done]
        assert all("executed" in each["status"] for each in done)
        assert 3 == len(service.rig.archive("orders", trigger_types=["time_trigger"])["orders"])

    def test_amounts_of_ones_own(self, service: Service) -> None:
        """They may differ."""
        order = twap(2, custom=True)
        service.place("2990", "-0.3", parts(10, "-0.1", "-0.2"), order, expiration=NOW_S + 100)

        service.rig.advance(SECOND)
        assert to_x18("-0.1") == service.position()
        service.rig.advance(10 * SECOND)
        assert to_x18("-0.3") == service.position()

    @pytest.mark.parametrize(("limit", "amount"), [("3100", "0.2"), ("2900", "-0.2")])
    def test_slippage(self, service: Service, limit: str, amount: str) -> None:
        """A part goes no further from the oracle price than allowed, and fails when that is not enough."""
        order = twap(2, slippage_x6=50)
        digest = service.place(limit, amount, parts(10), order, expiration=NOW_S + 100)["data"]["digest"]

        service.rig.advance(SECOND)

        assert "failed" in service.executions(digest)[0]["status"]
        assert 0 == service.position()

    def test_a_cancel_ends_what_is_left(self, service: Service) -> None:
        """Parts that are done stay done."""
        placed = service.place("3010", "0.2", parts(10), twap(2), expiration=NOW_S + 100)
        digest = placed["data"]["digest"]
        service.rig.advance(SECOND)

        service.cancel(digest)
        service.rig.advance(20 * SECOND)

        first, second = service.executions(digest)
        assert "executed" in first["status"]
        assert {"cancelled": "user_requested"} == second["status"]
        assert to_x18("0.1") == service.position()
        assert 1_000_000 * ONE_X18 == service.trader.account.spots[0]
