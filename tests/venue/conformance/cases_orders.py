"""Orders: admission, types, sequences of events, cancels, replacements, batches (protocol.md 2.5, 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nadows.signing import Appendix, OrderType, Signer, Trigger
from nadows.units import to_x18
from nadows.venue.market import TradingStatus
from nadows.venue.switches import Switches
from tests.venue.conformance.runner import Case, Step, World
from tests.venue.conformance.steps import (
    again,
    altered,
    batch,
    cancel,
    cancel_products,
    cancel_unknown,
    link,
    other_places,
    place,
    raw,
    replace,
    resend,
    set_oracle,
    set_quote,
    skip,
    watch,
)
from tests.venue.rig import BTC, ETH, KBTC, T0, Json

IOC, FOK, POST = OrderType.IOC, OrderType.FOK, OrderType.POST_ONLY
NOW_MS: Final = T0 // 10**6
NOW_S: Final = T0 // 10**9
REDUCE_IOC: Final = Appendix(order_type=IOC, reduce_only=True).value
OWN_REFUSED: Final = Switches(own_match_is_refused=True)


def x(amount: str) -> str:
    return str(to_x18(amount))


def status(kind: TradingStatus) -> Step:
    return lambda world: world.rig.exchange.set_trading_status(ETH, kind)


def close_for_maintenance(world: World) -> None:
    world.rig.exchange.set_active(False)


def isolated_only(world: World) -> None:
    world.rig.exchange.engine.markets[ETH].isolated_only = True


def fill_open_interest(world: World) -> None:
    world.rig.exchange.engine.ledger.open_interest[ETH] = to_x18("33333")


def isolated(margin: int, kind: OrderType = OrderType.DEFAULT, *, reduce_only: bool = False) -> int:
    return Appendix(isolated=True, margin_x6=margin * 10**6, order_type=kind, reduce_only=reduce_only).value


def _ten_seconds_pass(world: World) -> Json:
    skip(10)(world)
    return {}


def update(reason: str, amount: str) -> Json:
    return {"type": "order_update", "reason": reason, "amount": x(amount) if amount != "0" else "0"}


def _batch_is(*expected: bool) -> Callable[[World, Json], None]:
    def check(world: World, answer: Json) -> None:
        assert list(expected) == [item["error"] is None for item in answer["data"]]

    return check


def _admission() -> list[Case]:
    rows: list[tuple[str, str, Step, int]] = [
        ("3.10", "a price off the tick is refused", place("2990.05", "0.1"), 2000),
        ("3.10", "an amount off the step is refused", place("2990", "0.1005"), 2001),
        ("3.10", "an amount of zero is refused", place("2990", "0"), 2002),
        ("3.10", "an expired order is refused", place("2990", "0.1", expiration=NOW_S), 2004),
        ("3.10", "a price under 20 % of the oracle price is refused", place("599.9", "1"), 2007),
        ("3.10", "a price over 500 % of the oracle price is refused", place("15000.1", "0.1"), 2007),
        ("3.10", "a negative price is refused", place("-2990", "0.1"), 2007),
        ("3.10", "a notional under min_size is refused", place("2990", "0.033"), 2094),
        ("3.10", "an order beyond the initial health is refused", place("2990", "30000"), 2006),
        (
            "3.2",
            "a receive time that has passed is refused",
            place("2990", "0.1", nonce=NOW_MS - 1 << 20),
            2011,
        ),
        (
            "3.2",
            "a receive time over 100 s ahead is refused",
            place("2990", "0.1", nonce=NOW_MS + 100_001 << 20),
            2012,
        ),
        ("3.2", "the same order twice is refused", resend("2990", "0.1"), 2013),
        ("3.4", "an unknown product has no market", place("2990", "0.1", product_id=6), 2015),
        ("3.4", "the quote has no market", place("2990", "0.1", product_id=0), 2015),
        ("3.4", "the pool's token has no market", place("1", "100", product_id=11), 2015),
        ("3.4", "spot_leverage false on a perp is refused", place("2990", "0.1", spot_leverage=False), 2019),
        (
            "3.4",
            "without spot leverage nothing is borrowed to buy",
            place("95000", "11", product_id=KBTC, spot_leverage=False),
            2017,
        ),
        (
            "3.4",
            "without spot leverage nothing is borrowed to sell",
            place("95000", "-0.01", product_id=KBTC, spot_leverage=False),
            2017,
        ),
        (
            "3.3",
            "reduce-only without a position is refused",
            place("2990", "-0.1", appendix=REDUCE_IOC),
            2064,
        ),
        ("3.3", "reduce-only that rests is refused", place("2990", "0.1", appendix=2049), 2067),
        (
            "3.3",
            "a trigger order at the gateway is refused",
            place("2990", "0.1", appendix=Appendix(trigger=Trigger.PRICE).value),
            2097,
        ),
        ("3.3", "appendix version 0 is refused", place("2990", "0.1", appendix=0), 2095),
        ("3.3", "appendix version 2 is refused", place("2990", "0.1", appendix=2), 2095),
        (
            "3.3",
            "reserved bits of the appendix are refused",
            place("2990", "0.1", appendix=1 | 1 << 20),
            2038,
        ),
        (
            "3.3",
            "an unregistered builder is refused",
            place("2990", "0.1", appendix=Appendix(builder_id=7, builder_fee_rate=1).value),
            2118,
        ),
        (
            "3.3",
            "a builder rate without a builder is refused",
            place("2990", "0.1", appendix=1 | 1 << 38),
            2118,
        ),
        (
            "3.3",
            "an isolated spot order is refused",
            place("95000", "0.01", product_id=KBTC, appendix=isolated(100)),
            2083,
        ),
        (
            "3.3",
            "an isolated trigger order is refused",
            place("2990", "0.1", appendix=isolated(100) | 1 << 12),
            2084,
        ),
        (
            "3.3",
            "isolated reduce-only with nothing to reduce is refused",
            place("2990", "0.1", appendix=isolated(0, IOC, reduce_only=True)),
            2085,
        ),
        (
            "3.3",
            "isolated margin that does not carry the order is refused",
            place("2990", "1", appendix=isolated(10)),
            2006,
        ),
        (
            "3.3",
            "isolated margin that the account does not have is refused",
            place("2990", "1", appendix=isolated(1_000_001)),
            2006,
        ),
        (
            "3.3",
            "margin without the isolated bit is refused",
            place("2990", "0.1", appendix=1 | 5 << 64),
            2086,
        ),
        (
            "4",
            "a key that is not the sender's is refused",
            place("2990", "0.1", signer=Signer(b"\x09" * 32)),
            2028,
        ),
        ("4", "a changed amount does not fit the signature", altered("2990", "0.1", amount=x("0.2")), 2028),
        ("4", "a changed product does not fit the signature", altered("95000", "0.1", product_id=BTC), 2028),
        ("4", "a signature that is too short is refused", altered("2990", "0.1", signature="0x1234"), 2027),
        (
            "4",
            "a recovery id that is none is refused",
            altered("2990", "0.1", signature="0x" + "11" * 64 + "05"),
            2034,
        ),
        (
            "4",
            "a signature that no key makes is refused",
            altered("2990", "0.1", signature="0x" + "ff" * 64 + "1b"),
            2035,
        ),
        ("4", "the zero address sends nothing", altered("2990", "0.1", sender="0x" + "00" * 32), 2029),
        ("3.2", "a sender that is not 32 bytes is refused", altered("2990", "0.1", sender="0x12"), 2038),
        ("3.2", "integers of the struct must be strings", altered("2990", "0.1", nonce=5), 1005),
        (
            "9.2",
            "the name of an isolated subaccount opens no account",
            altered("2990", "0.1", sender="0x" + "77" * 20 + "64656661756c00040069736f"),
            2028,
        ),
    ]
    return [Case(section, title, when, code) for section, title, when, code in rows]


ADMISSION: Final = [
    *_admission(),
    Case(
        "3.10",
        "at most 500 orders are open in a product",
        place("2990", "0.1"),
        2005,
        (again(place("2900", "0.1"), 500),),
        lines=("v2",),
    ),
    Case(
        "3.10",
        "an IOC order needs no place among the 500",
        place("3010", "0.1", kind=IOC),
        "ok",
        (again(place("2900", "0.1"), 500),),
        lines=("v2",),
    ),
    Case(
        "3.10",
        "an order that lowers a negative health is refused",
        place("3000", "1"),
        2006,
        (place("3010", "10"), set_quote("100")),
    ),
    Case(
        "3.10",
        "an order that improves a negative health is taken",
        place("2990", "-1"),
        "ok",
        (place("3010", "10"), set_quote("100")),
    ),
    Case("3.10", "the open interest is capped", place("3010", "1"), 2070, (fill_open_interest,)),
    Case(
        "3.10",
        "closing passes a full open interest",
        place("2990", "-0.1"),
        "ok",
        (place("3010", "0.1"), fill_open_interest),
    ),
    Case(
        "3.10",
        "the oracle band moves with the oracle price",
        place("2990", "0.1"),
        2007,
        (set_oracle(ETH, "590"),),
    ),
    Case(
        "9",
        "the oracle band is a switch",
        place("2390", "0.1"),
        2007,
        switches=Switches(oracle_band_percent=(80, 120)),
    ),
    Case(
        "3.10",
        "a market that is not tradable takes nothing",
        place("2990", "0.1"),
        2069,
        (status(TradingStatus.NOT_TRADABLE),),
    ),
    Case(
        "5.5",
        "a post-only market refuses what may take",
        place("2990", "0.1"),
        2069,
        (status(TradingStatus.POST_ONLY),),
    ),
    Case(
        "5.5",
        "a post-only market takes post-only orders",
        place("2990", "0.1", kind=POST),
        "ok",
        (status(TradingStatus.POST_ONLY),),
    ),
    Case(
        "5.5",
        "a reduce-only market refuses orders that do not say so",
        place("2990", "-0.1"),
        2069,
        (place("3010", "0.1"), status(TradingStatus.REDUCE_ONLY)),
    ),
    Case(
        "5.5",
        "a reduce-only market takes reduce-only orders",
        place("2990", "-0.1", appendix=REDUCE_IOC),
        "ok",
        (place("3010", "0.1"), status(TradingStatus.REDUCE_ONLY)),
    ),
    Case(
        "5.5",
        "a soft reduce-only market takes what reduces",
        place("2990", "-0.1"),
        "ok",
        (place("3010", "0.1"), status(TradingStatus.SOFT_REDUCE_ONLY)),
    ),
    Case(
        "5.5",
        "a soft reduce-only market refuses what opens",
        place("2990", "0.1"),
        2069,
        (status(TradingStatus.SOFT_REDUCE_ONLY),),
    ),
    Case(
        "3.11", "a market of isolated orders refuses the others", place("2990", "0.1"), 2122, (isolated_only,)
    ),
    Case("3.11", "under maintenance no execute passes", place("2990", "0.1"), 2068, (close_for_maintenance,)),
    Case(
        "3.3",
        "reduce-only must not turn the position",
        place("2990", "-0.2", appendix=REDUCE_IOC),
        2064,
        (place("3010", "0.1"),),
    ),
    Case(
        "3.3",
        "reduce-only must be on the other side",
        place("3010", "0.1", appendix=REDUCE_IOC),
        2064,
        (place("3010", "0.1"),),
    ),
    Case(
        "3.3",
        "reduce-only closes a position",
        place("2990", "-0.1", appendix=REDUCE_IOC),
        "ok",
        (place("3010", "0.1"),),
    ),
    Case(
        "3.3",
        "an isolated order with its margin is taken",
        place("2990", "0.1", appendix=isolated(100)),
        "ok",
    ),
    Case(
        "3.3",
        "an isolated position is closed by reduce-only",
        place("2990", "-0.1", appendix=isolated(0, IOC, reduce_only=True)),
        "ok",
        (place("3010", "0.1", appendix=isolated(100)),),
    ),
    Case(
        "3.4",
        "without spot leverage what is held is sold",
        place("94900", "-0.01", product_id=KBTC, spot_leverage=False),
        "ok",
        (place("95100", "0.01", product_id=KBTC),),
    ),
    Case(
        "3.3",
        "the registered builder of ccxt is accepted",
        place("2990", "0.1", appendix=Appendix(builder_id=4500, builder_fee_rate=10).value),
        "ok",
    ),
    Case(
        "3.9",
        "a linked signer may place orders",
        place("2990", "0.1", signer=Signer(b"\x05" * 32)),
        "ok",
        (link(5),),
    ),
    Case(
        "3.9",
        "an unlinked signer may not any more",
        place("2990", "0.1", signer=Signer(b"\x05" * 32)),
        2028,
        (link(5), link(0, 1)),
    ),
    Case(
        "3.9",
        "there is one linked signer at a time",
        place("2990", "0.1", signer=Signer(b"\x05" * 32)),
        2028,
        (link(5), link(6, 1)),
    ),
]

TYPES: Final = [
    Case("3.10", "post-only that crosses is refused", place("3001", "0.1", kind=POST), 2008),
    Case("3.10", "post-only at the touch of its own side rests", place("2999.7", "0.1", kind=POST), "ok"),
    Case("3.10", "IOC that crosses nothing is refused", place("2990", "0.1", kind=IOC), 2056),
    Case("3.10", "FOK that cannot fill whole is refused", place("3000.3", "1000", kind=FOK), 2031),
    Case("3.10", "FOK that fills whole is taken", place("3010", "1", kind=FOK), "ok"),
    Case("3.4", "IOC that fills in part is a success", place("3000.3", "1000", kind=IOC), "ok"),
    Case(
        "3.10",
        "an own resting order is cancelled by self-trade prevention",
        place("3000", "-0.1"),
        "ok",
        (watch, place("3000", "0.1")),
        (update("cancelled", "0"), update("placed", "0.1")),
        ("order_update",),
    ),
    Case(
        "9",
        "or the order that would meet it is refused",
        place("3000", "-0.1"),
        2073,
        (place("3000", "0.1"),),
        switches=OWN_REFUSED,
    ),
]

SEQUENCES: Final = [
    Case(
        "2.5",
        "a limit order that crosses, then rests: filled, filled, placed",
        place("3000.1", "100"),
        "ok",
        (watch, other_places("3000", "-10"), other_places("3000.1", "-10")),
        (update("filled", "90"), update("filled", "80"), update("placed", "80")),
        ("order_update",),
    ),
    Case(
        "2.5",
        "an order that rests at once: placed",
        place("2990", "1"),
        "ok",
        (watch,),
        (update("placed", "1"),),
        ("order_update",),
    ),
    Case(
        "2.5",
        "IOC filled in part: filled, cancelled with 0",
        place("3000", "100", kind=IOC),
        "ok",
        (watch, other_places("3000", "-10")),
        (update("filled", "90"), update("cancelled", "0")),
        ("order_update",),
    ),
    Case(
        "2.5",
        "IOC filled whole ends with filled 0",
        place("3000", "10", kind=IOC),
        "ok",
        (watch, other_places("3000", "-10")),
        (update("filled", "0"),),
        ("order_update",),
    ),
    Case(
        "2.5",
        "IOC that crosses nothing is also cancelled on the stream",
        place("2990", "1", kind=IOC),
        2056,
        (watch,),
        (update("cancelled", "0"),),
        ("order_update",),
    ),
    Case(
        "2.5",
        "FOK that cannot fill is also cancelled on the stream",
        place("3000", "1", kind=FOK),
        2031,
        (watch,),
        (update("cancelled", "0"),),
        ("order_update",),
    ),
    Case(
        "2.5",
        "a resting order that is hit: filled",
        other_places("3000", "-4"),
        "ok",
        (watch, place("3000", "10")),
        (update("filled", "6"),),
        ("order_update",),
    ),
    Case(
        "2.5",
        "a cancelled order: cancelled with 0",
        cancel(0),
        "ok",
        (watch, place("2990", "1")),
        (update("cancelled", "0"),),
        ("order_update",),
    ),
    Case(
        "2.5",
        "an expired order: cancelled with 0",
        _ten_seconds_pass,
        {},
        (watch, place("2990", "1", expiration=NOW_S + 5)),
        (update("cancelled", "0"),),
        ("order_update",),
    ),
    Case(
        "2.5",
        "a refused post-only order leaves no trace on the stream",
        place("3001", "1", kind=POST),
        2008,
        (watch,),
        (),
        ("order_update",),
    ),
    Case(
        "2.5",
        "the client's id comes in order_update",
        place("2990", "1", id=7),
        "ok",
        (watch,),
        ({"type": "order_update", "id": 7},),
        ("order_update",),
    ),
    Case(
        "2.5",
        "fills name size, remainder and price",
        place("3000", "10"),
        "ok",
        (watch, other_places("3000", "-4")),
        (
            {
                "type": "fill",
                "filled_qty": x("4"),
                "remaining_qty": x("6"),
                "original_qty": x("10"),
                "price": x("3000"),
                "is_taker": True,
                "is_bid": True,
            },
        ),
        ("fill",),
    ),
    Case(
        "2.5",
        "a maker's fill says so",
        other_places("3000", "-4"),
        "ok",
        (watch, place("3000", "10")),
        ({"type": "fill", "is_taker": False, "is_bid": True, "remaining_qty": x("6")},),
        ("fill",),
    ),
    Case(
        "2.5",
        "one fill per match",
        place("3000.1", "20"),
        "ok",
        (watch, other_places("3000", "-10"), other_places("3000.1", "-10")),
        ({"type": "fill", "price": x("3000")}, {"type": "fill", "price": x("3000.1")}),
        ("fill",),
    ),
    Case(
        "9.2",
        "a match is told as fill, order_update, position_change",
        place("3000", "10"),
        "ok",
        (watch, other_places("3000", "-10")),
        (
            {"type": "fill"},
            {"type": "order_update"},
            {"type": "position_change", "reason": "match_orders", "amount": x("10")},
        ),
        ("fill", "order_update", "position_change"),
    ),
    Case(
        "2.5",
        "a spot match changes base and quote",
        place("95000", "0.01", product_id=KBTC),
        "ok",
        (watch, other_places("95000", "-0.01", product_id=KBTC)),
        (
            {"type": "position_change", "product_id": 1, "amount": x("0.01"), "v_quote_amount": "0"},
            {"type": "position_change", "product_id": 0},
        ),
        ("position_change",),
    ),
    Case(
        "9",
        "quantities of sells are absolute",
        place("3000", "-10"),
        "ok",
        (watch, other_places("3000", "10")),
        (
            {"type": "fill", "filled_qty": x("10")},
            {"type": "order_update", "amount": "0", "filled_qty": x("10")},
        ),
        ("fill", "order_update"),
    ),
    Case(
        "9",
        "or signed, by switch",
        place("3000", "-10"),
        "ok",
        (watch, other_places("3000", "4")),
        ({"type": "fill", "filled_qty": x("-4")}, update("filled", "-6"), update("placed", "-6")),
        ("fill", "order_update"),
        switches=Switches(signed_quantities=True),
    ),
    Case(
        "9",
        "submission_idx is a number",
        place("3010", "0.1"),
        "ok",
        (watch,),
        ({"type": "fill"},),
        ("fill",),
    ),
    Case(
        "9",
        "filled_qty and filled_price can be missing",
        place("3010", "0.1"),
        "ok",
        (watch,),
        (update("filled", "0"),),
        ("order_update",),
        switches=Switches(fill_fields_in_order_update=False),
    ),
]

CANCELS: Final = [
    Case(
        "3.6",
        "a cancel returns the orders",
        cancel(0),
        {"data": {"cancelled_orders": [{"amount": x("1"), "unfilled_amount": x("1")}]}},
        (place("2990", "1"),),
    ),
    Case(
        "3.6",
        "unfilled_amount is what was left",
        cancel(0),
        {"data": {"cancelled_orders": [{"amount": x("10"), "unfilled_amount": x("6")}]}},
        (place("3000", "10"), other_places("3000", "-4")),
    ),
    Case(
        "3.6",
        "a sell's amounts are negative",
        cancel(0),
        {"data": {"cancelled_orders": [{"amount": x("-1"), "unfilled_amount": x("-1")}]}},
        (place("3010", "-1"),),
    ),
    Case("3.6", "an unknown digest fails", cancel_unknown(), 2020),
    Case("9", "one unknown digest fails the others too", cancel_unknown(0), 2020, (place("2990", "1"),)),
    Case(
        "9",
        "or the others are cancelled, by switch",
        cancel_unknown(0),
        {"data": {"cancelled_orders": [{}]}},
        (place("2990", "1"),),
        switches=Switches(one_unknown_digest_fails_all=False),
    ),
    Case("3.6", "a cancelled order is gone", cancel(0), 2020, (place("2990", "1"), cancel(0))),
    Case("3.6", "a filled order is gone", cancel(0), 2020, (place("3010", "0.1"),)),
    Case("3.11", "another's order is not cancelled", cancel(0), 2014, (other_places("2990", "1"),)),
    Case("3.11", "the product must be the order's", cancel(0, product_id=BTC), 2074, (place("2990", "1"),)),
    Case(
        "3.6",
        "required_unfilled_amount must be what is left",
        cancel(0, required_unfilled_amount=to_x18("2")),
        2020,
        (place("2990", "1"),),
    ),
    Case(
        "3.6", "then it cancels", cancel(0, required_unfilled_amount=to_x18("1")), "ok", (place("2990", "1"),)
    ),
    Case(
        "3.6",
        "several at once",
        cancel(0, 1),
        {"data": {"cancelled_orders": [{}, {}]}},
        (place("2990", "1"), place("2980", "1")),
    ),
    Case(
        "3.7",
        "by product",
        cancel_products(ETH),
        {"data": {"cancelled_orders": [{}]}},
        (place("2990", "1"), place("90000", "1", product_id=BTC)),
    ),
    Case(
        "3.7",
        "no product means all",
        cancel_products(),
        {"data": {"cancelled_orders": [{}, {}]}},
        (place("2990", "1"), place("90000", "1", product_id=BTC)),
    ),
    Case("3.7", "nothing open gives an empty list", cancel_products(), {"data": {"cancelled_orders": []}}),
    Case("3.7", "an unknown product is refused", cancel_products(6), 2016),
    Case(
        "3.8",
        "a replacement cancels and places",
        replace("2991", "2"),
        {"data": {}, "request_type": "execute_cancel_and_place"},
        (place("2990", "1"),),
    ),
    Case(
        "3.8",
        "its events: cancelled, then placed",
        replace("2991", "2"),
        "ok",
        (watch, place("2990", "1")),
        (update("cancelled", "0"), update("placed", "2")),
        ("order_update",),
    ),
    Case(
        "3.8",
        "place_requires_unfilled keeps back what had a fill",
        replace("2991", "2", place_requires_unfilled=True),
        2020,
        (place("3000", "10"), other_places("3000", "-4")),
    ),
    Case(
        "3.8",
        "a post-only replacement that crosses changes nothing",
        replace("3001", "2", kind=POST),
        2008,
        (place("2990", "1"),),
        (),
        ("order_update",),
    ),
    Case(
        "3.5",
        "a batch answers each order on its own",
        batch(("2990", "1"), ("2990.05", "1")),
        _batch_is(True, False),
    ),
    Case(
        "3.5", "it goes on behind a failure", batch(("2990.05", "1"), ("2990", "1")), _batch_is(False, True)
    ),
    Case(
        "3.5",
        "unless it is to stop",
        batch(("2990.05", "1"), ("2990", "1"), stop_on_failure=True),
        _batch_is(False, False),
    ),
    Case("3.5", "an empty batch is refused", raw('{"place_orders":{"orders":[]}}'), 2111),
    Case(
        "9",
        "the answer can be an object, by switch",
        batch(("2990", "1")),
        {"data": {"place_orders": [{"error": None}]}},
        switches=Switches(place_orders_bare_list=False),
    ),
]


CASES: Final = [*ADMISSION, *TYPES, *SEQUENCES, *CANCELS]
