"""Funds, liquidation, linked signers, the archive and the trigger service (protocol.md 3.9, 6)."""

from __future__ import annotations

import json
from typing import Any, Final

from nadows.signing import Appendix, Subaccount, Trigger
from nadows.units import ONE_X18, to_x18
from nadows.venue.switches import Switches
from tests.venue.conformance.runner import Case, Step, World
from tests.venue.conformance.steps import (
    NOBODY,
    UNKNOWN,
    archive,
    link,
    place,
    set_quote,
    skip,
)
from tests.venue.rig import ETH, KBTC, T0, Json
from tests.venue.test_triggers import parts, price, twap

USDT0: Final = 10**6
MILLION: Final = 1_000_000
NO_SWEEP: Final = Switches(liquidation_sweep_ms=0)
NOW_S: Final = T0 // 10**9
TRIGGER: Final = Appendix(trigger=Trigger.PRICE).value
REST: Final = ("REST",)


def withdraw(units: int, product_id: int = 0, **members: Any) -> Step:
    return lambda world: world.me.withdraw(product_id, units, **members)


def transfer(amount: str, to: Subaccount | None = NOBODY) -> Step:
    return lambda world: world.me.transfer(world.me.sub if to is None else to, amount)


def mint(amount: str, **members: Any) -> Step:
    return lambda world: world.me.mint(amount, **members)


def burn(amount: str) -> Step:
    return lambda world: world.me.burn(amount)


def liquidate(amount: str, product_id: int = ETH, *, spread: bool = False) -> Step:
    """Let the other take over a position of mine."""
    return lambda world: world.other.liquidate(world.me.sub, product_id, amount, spread=spread)


def in_trouble(world: World) -> None:
    """Ten long, and too little behind it."""
    world.me.place("3010", "10")
    world.me.set_quote("250")


def trigger(body: Json, appendix: int = TRIGGER, amount: str = "0.1", **options: Any) -> Step:
    """Place an order at the trigger service."""

    def step(world: World) -> Json:
        order = world.me.sign("3010", amount, appendix=appendix, **options)
        request: Json = json.loads(order.frame)
        request["place_order"]["trigger"] = body
        world.digests.append(order.digest)
        return world.rig.http("POST", "/trigger/v1/execute", body=request)

    return step


ABOVE: Final = price("oracle_price_above", "9000")
LATER: Final[dict[str, Any]] = {"expiration": NOW_S + 3600}


def executions(world: World) -> Json:
    body = {"type": "list_twap_executions", "digest": world.digests[-1]}
    return world.rig.http("POST", "/trigger/v1/query", body=body)


def _net_of_fee(world: World, answer: Json) -> None:
    (match,) = answer["matches"]
    quote = -to_x18("3000.3") * to_x18("0.1") // ONE_X18
    assert quote - int(match["fee"]) == int(match["quote_filled"])


def _nonces(world: World, answer: Json) -> None:
    order = answer["txs"][0]["tx"]["match_orders"]["taker"]["order"]
    assert isinstance(order["nonce"], int)
    assert isinstance(answer["matches"][0]["order"]["nonce"], str)


def _digest(world: World, answer: Json) -> None:
    assert world.digests == [order["digest"] for order in answer["orders"]]


FUNDS: Final = [
    Case("3.9", "a withdrawal has no data", withdraw(USDT0), {"request_type": "execute_withdraw_collateral"}),
    Case("3.9", "a withdrawal beyond the health is refused", withdraw(2 * MILLION * USDT0), 2036),
    Case("3.9", "a withdrawal of nothing is refused", withdraw(0), 2002),
    Case("3.9", "a withdrawal of what no balance holds is refused", withdraw(2**127), 2091),
    Case("3.9", "a perp has no token to withdraw", withdraw(1, ETH), 2016),
    Case(
        "3.9",
        "without spot leverage a withdrawal does not borrow",
        withdraw(1, KBTC, spot_leverage=False),
        2017,
    ),
    Case("3.9", "a transfer moves USDT0", transfer("5"), {"request_type": "execute_transfer_quote"}),
    Case("3.9", "a transfer under 5 USDT0 is refused", transfer("4.99"), 2077),
    Case("3.9", "a transfer to oneself is refused", transfer("5", None), 2079),
    Case("3.9", "a transfer beyond the health is refused", transfer("1000001"), 2036),
    Case("3.9", "NLP is minted", mint("1"), {"request_type": "execute_mint_nlp"}),
    Case("3.9", "minting under 1 USDT0 is refused", mint("0.99"), 2090),
    Case("3.9", "minting beyond the health is refused", mint("9000000"), 2036),
    Case("3.9", "without spot leverage minting does not borrow", mint("1000001", spot_leverage=False), 2017),
    Case("3.9", "burning more than there is is refused", burn("1"), 2037),
    Case("3.9", "burning what is locked is refused", burn("1"), 2096, (mint("1"),)),
    Case(
        "3.9",
        "after the lock it is burnt",
        burn("1"),
        {"request_type": "execute_burn_nlp"},
        (mint("1"), skip(10)),
        switches=Switches(nlp_lock_s=10),
    ),
    Case("3.9", "a signer is linked", link(5), {"request_type": "execute_link_signer"}),
    Case("3.9", "the wrong nonce is refused", link(5, 1), 2022),
    Case("3.9", "a nonce is used once", link(6), 2022, (link(5),)),
    Case("3.11", "the same signer again is refused", link(5, 1), 2026, (link(5),)),
    Case("3.11", "linking needs 5 USDT0", link(5), 2025, (place("2990", "0.1"), set_quote("4.99"))),
    Case(
        "7",
        "the signer changes 50 times in 7 days",
        link(60, 50),
        2030,
        tuple(link(number + 1, number) for number in range(50)),
        lines=("v2",),
    ),
]

LIQUIDATION: Final = [
    Case(
        "3.9",
        "who is under maintenance health is liquidated",
        liquidate("10"),
        {"request_type": "execute_liquidate_subaccount"},
        (in_trouble,),
        switches=NO_SWEEP,
    ),
    Case(
        "3.11",
        "who is over initial health is not",
        liquidate("10"),
        2044,
        (place("3010", "10"),),
        switches=NO_SWEEP,
    ),
    Case(
        "3.11",
        "nor who is between the two",
        liquidate("10"),
        2042,
        (in_trouble, set_quote("500")),
        switches=NO_SWEEP,
    ),
    Case(
        "3.11",
        "an account that does not exist is not",
        lambda world: world.other.liquidate(NOBODY, ETH, "1"),
        2042,
    ),
    Case("3.11", "the quote is not liquidated", liquidate("1", 0), 2045, (in_trouble,), switches=NO_SWEEP),
    Case(
        "3.11",
        "an account does not liquidate itself",
        lambda world: world.me.liquidate(world.me.sub, ETH, "1"),
        2045,
        (in_trouble,),
        switches=NO_SWEEP,
    ),
    Case(
        "3.11",
        "the amount is a multiple of the step",
        liquidate("0.0001"),
        2046,
        (in_trouble,),
        switches=NO_SWEEP,
    ),
    Case(
        "3.11",
        "the amount has the sign of the position",
        liquidate("-1"),
        2047,
        (in_trouble,),
        switches=NO_SWEEP,
    ),
    Case(
        "3.11",
        "the amount is not more than the position",
        liquidate("11"),
        2047,
        (in_trouble,),
        switches=NO_SWEEP,
    ),
    Case(
        "3.11",
        "an account with positions is not finalized",
        liquidate("0", 2**32 - 1),
        2051,
        (in_trouble,),
        switches=NO_SWEEP,
    ),
    Case(
        "3.11",
        "the liquidator must carry it",
        liquidate("10"),
        2043,
        (
            in_trouble,
            lambda world: world.other.place("2990", "0.1"),
            lambda world: world.other.set_quote("1"),
        ),
        switches=NO_SWEEP,
    ),
    Case(
        "3.11",
        "spreads are not simulated",
        liquidate("1", spread=True),
        4001,
        (in_trouble,),
        switches=NO_SWEEP,
    ),
]

ARCHIVE: Final = [
    Case(
        "6.1",
        "matches: the newest first, with their transactions",
        archive("matches", subaccounts=["ME"]),
        {"matches": [{"is_taker": True}, {}], "txs": [{}, {}]},
        (place("3010", "0.1"), place("3010", "0.1")),
        lines=REST,
    ),
    Case(
        "6.1",
        "quote_filled of a buy is negative and net of the fee",
        archive("matches", subaccounts=["ME"]),
        _net_of_fee,
        (place("3010", "0.1"),),
        lines=REST,
    ),
    Case(
        "6.1",
        "limit bounds a page",
        archive("matches", subaccounts=["ME"], limit=1),
        {"matches": [{}]},
        (place("3010", "0.1"), place("3010", "0.1")),
        lines=REST,
    ),
    Case(
        "6.1",
        "isolated matches are told apart",
        archive("matches", subaccounts=["ME"], isolated=True),
        {"matches": []},
        (place("3010", "0.1"),),
        lines=REST,
    ),
    Case(
        "6.1",
        "a plain nonce only in txs",
        archive("matches", subaccounts=["ME"]),
        _nonces,
        (place("3010", "0.1"),),
        lines=REST,
    ),
    Case(
        "6.2",
        "orders: only those with a match",
        archive("orders", subaccounts=["ME"]),
        {"orders": [{"base_filled": str(to_x18("0.1"))}]},
        (place("2990", "1"), place("3010", "0.1")),
        lines=REST,
    ),
    Case(
        "6.2",
        "orders: by digest",
        archive("orders", digests=["#0"]),
        _digest,
        (place("3010", "0.1"),),
        lines=REST,
    ),
    Case(
        "6.2",
        "orders: digests exclude other filters",
        archive("orders", digests=[UNKNOWN], subaccounts=["ME"]),
        3000,
        lines=REST,
    ),
    Case("6.2", "orders: at most 500 digests", archive("orders", digests=[UNKNOWN] * 501), 3001, lines=REST),
    Case(
        "6.3",
        "candlesticks: the newest first, seconds as text",
        archive("candlesticks", product_id=ETH, granularity=60),
        {"candlesticks": [{"timestamp": str(NOW_S), "volume": str(to_x18("0.1"))}]},
        (place("3010", "0.1"),),
        lines=REST,
    ),
    Case(
        "6.3",
        "candlesticks: an unknown granularity",
        archive("candlesticks", product_id=ETH, granularity=61),
        3003,
        lines=REST,
    ),
    Case(
        "6.3",
        "events: a deposit opens an account",
        archive("events", subaccounts=["ME"]),
        {"events": [{"event_type": "deposit_collateral"}]},
        (place("2990", "0.1"),),
        lines=REST,
    ),
    Case(
        "6.3",
        "events: by type",
        archive("events", subaccounts=["ME"], event_types=["match_orders"]),
        {"events": [{"event_type": "match_orders"}]},
        (place("3010", "0.1"),),
        lines=REST,
    ),
    Case(
        "6.3",
        "events: so many",
        archive("events", limit={"raw": 1}),
        {"events": [{}]},
        (place("3010", "0.1"),),
        lines=REST,
    ),
    Case(
        "6.3",
        "events: of so many transactions",
        archive("events", subaccounts=["ME"], limit={"txs": 1}),
        {"txs": [{}]},
        (place("95100", "0.01", product_id=KBTC),),
        lines=REST,
    ),
    Case("6.3", "funding_rate", archive("funding_rate", product_id=ETH), {"product_id": ETH}, lines=REST),
    Case("6.3", "funding_rate: spot has none", archive("funding_rate", product_id=KBTC), 2061, lines=REST),
    Case(
        "6.3",
        "funding_rates are by id",
        archive("funding_rates", product_ids=[2, 4]),
        {"2": {}, "4": {}},
        lines=REST,
    ),
    Case(
        "6.3",
        "price: index and mark",
        archive("price", product_id=ETH),
        {"index_price_x18": str(3000 * ONE_X18)},
        lines=REST,
    ),
    Case("6.3", "perp_prices are by id", archive("perp_prices", product_ids=[4]), {"4": {}}, lines=REST),
    Case(
        "6.3",
        "oracle_price",
        archive("oracle_price", product_ids=[0]),
        {"prices": [{"oracle_price_x18": str(ONE_X18)}]},
        lines=REST,
    ),
    Case("6.3", "oracle_price: no such product", archive("oracle_price", product_ids=[99]), 2016, lines=REST),
    Case(
        "6.3",
        "interest_and_funding: the hourly payment",
        archive("interest_and_funding", subaccount="ME", product_ids=[ETH], limit=10),
        {"funding_payments": [{"balance_amount": str(to_x18("0.1"))}], "next_idx": "0"},
        (place("3010", "0.1"), skip(3600)),
        lines=REST,
    ),
    Case(
        "6.3",
        "signatures: whose they are",
        archive("signatures", digests=["#0"]),
        {"signatures": [{"is_linked": False}]},
        (place("2990", "0.1"),),
        lines=REST,
    ),
    Case(
        "6.3",
        "subaccounts: the name in clear",
        lambda world: world.rig.archive("subaccounts", address=world.me.signer.address),
        {"subaccounts": [{"subaccount_name": "default", "isolated": False}]},
        (place("2990", "0.1"),),
        lines=REST,
    ),
    Case(
        "6.3",
        "market_snapshots: so many, a granularity apart",
        archive("market_snapshots", interval={"count": 2, "granularity": 3600}),
        {"snapshots": [{"timestamp": NOW_S}, {"timestamp": NOW_S - 3600}]},
        lines=REST,
    ),
    Case(
        "6.3",
        "market_snapshots: an interval that is none",
        archive("market_snapshots", interval={"count": 0, "granularity": 1}),
        3003,
        lines=REST,
    ),
    Case(
        "6.3",
        "linked_signer_rate_limit",
        archive("linked_signer_rate_limit", subaccount="ME"),
        {"remaining_tx": "49", "total_tx_limit": "50", "wait_time": 0},
        (link(5),),
        lines=REST,
    ),
    Case("6.3", "backlog: there is none", archive("backlog"), {"backlog_size": "0"}, lines=REST),
    Case("6.3", "quote_price is one", archive("quote_price"), {"price_x18": str(ONE_X18)}, lines=REST),
    Case(
        "6.3",
        "what is known and not simulated says so",
        archive("leaderboard", contest_id=1),
        4001,
        lines=REST,
    ),
    Case("6", "an unknown question is refused", archive("weather"), 1005, lines=REST),
    Case(
        "6",
        "the archive takes POST only",
        lambda world: world.rig.http("GET", "/archive/v1"),
        {"_status": 405},
        lines=REST,
    ),
]

TRIGGERS: Final = [
    Case(
        "6.4",
        "a price order waits",
        trigger(ABOVE),
        {"status": "success", "request_type": "execute_place_order"},
        lines=REST,
    ),
    Case("6.4", "an order without trigger bits is refused", trigger(ABOVE, 1), 2059, lines=REST),
    Case("6.4", "an isolated trigger order is refused", trigger(ABOVE, 257 | 1 << 12), 2084, lines=REST),
    Case("6.4", "a price order needs a price", trigger({}), 2097, lines=REST),
    Case("6.4", "a price above 0", trigger(price("mid_price_above", "0")), 2055, lines=REST),
    Case(
        "6.4", "an unknown requirement is refused", trigger(price("moon_phase_above", "1")), 2097, lines=REST
    ),
    Case("6.4", "25 wait in a product", trigger(ABOVE), 2057, tuple([trigger(ABOVE)] * 25), lines=REST),
    Case("6.4", "TWAP needs its interval", trigger(ABOVE, twap(2), **LATER), 2098, lines=REST),
    Case("3.11", "TWAP is IOC", trigger(parts(60), 1 | 2 << 12 | 2 << 96, **LATER), 2099, lines=REST),
    Case(
        "3.11", "TWAP has 1 to 500 parts", trigger(parts(60), 1 | 1 << 9 | 2 << 12, **LATER), 2100, lines=REST
    ),
    Case("3.11", "equal parts divide the amount", trigger(parts(1), twap(3), **LATER), 2101, lines=REST),
    Case(
        "3.11",
        "TWAP expires within 25 hours",
        trigger(parts(60), twap(2), expiration=NOW_S + 90_001),
        2102,
        lines=REST,
    ),
    Case("3.11", "the interval is an hour at most", trigger(parts(3601), twap(2), **LATER), 2103, lines=REST),
    Case(
        "3.11",
        "TWAP lasts a day at most",
        trigger(parts(3600), twap(26), expiration=NOW_S + 90_000),
        2104,
        lines=REST,
    ),
    Case(
        "3.11",
        "TWAP must not expire before its end",
        trigger(parts(60), twap(2), expiration=NOW_S + 59),
        2105,
        lines=REST,
    ),
    Case(
        "3.11",
        "amounts need their bits",
        trigger(parts(60, "0.05", "0.05"), twap(2), **LATER),
        2106,
        lines=REST,
    ),
    Case(
        "3.11", "the bits need amounts", trigger(parts(60), twap(2, custom=True), **LATER), 2106, lines=REST
    ),
    Case(
        "3.11",
        "amounts have the order's sign",
        trigger(parts(60, "0.2", "-0.1"), twap(2, custom=True), **LATER),
        2107,
        lines=REST,
    ),
    Case(
        "3.11",
        "amounts sum up to the order's",
        trigger(parts(60, "0.1", "0.1"), twap(2, custom=True), **LATER),
        2108,
        lines=REST,
    ),
    Case(
        "3.11",
        "TWAP is not isolated",
        trigger(parts(60), 1 | 1 << 8 | 1 << 9 | 2 << 12 | 2 << 96, **LATER),
        2110,
        lines=REST,
    ),
    Case(
        "6.4",
        "the parts are listed",
        executions,
        {"data": {"executions": [{"status": "pending"}, {"status": "pending"}]}},
        (trigger(parts(60), twap(2), **LATER),),
        lines=REST,
    ),
    Case(
        "6.4",
        "the first part is traded at once",
        executions,
        {"data": {"executions": [{"status": {"executed": {}}}, {"status": "pending"}]}},
        (trigger(parts(60), twap(2), **LATER), skip(1)),
        lines=REST,
    ),
    Case(
        "6.4",
        "an unknown order has no parts",
        executions,
        2058,
        (lambda world: world.digests.append(UNKNOWN),),
        lines=REST,
    ),
    Case(
        "6.4",
        "what is no request is refused",
        lambda world: world.rig.http("POST", "/trigger/v1/execute", body=b"{"),
        1005,
        lines=REST,
    ),
]


CASES: Final = [*FUNDS, *LIQUIDATION, *ARCHIVE, *TRIGGERS]
