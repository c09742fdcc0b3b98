"""The events as the venue writes them.

Written out by hand rather than through `nadows.messages`: it is several times faster where the venue
spends its time, and the client's decoders are then tested against an independent writer. All members
are numbers, or strings of digits or hex, so nothing needs escaping.

Member order follows the live captures where there are any. Source: protocol.md 2.5, frames.jsonl.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "all_bbo",
    "best_bid_offer",
    "book_depth",
    "fill",
    "funding_payment",
    "funding_rate",
    "latest_candlestick",
    "liquidation",
    "order_update",
    "position_change",
    "trade",
]


def _id(client_id: int | None) -> str:
    return "" if client_id is None else f',"id":{client_id}'


def trade(ts: int, product_id: int, price: int, qty: int, is_taker_buyer: bool) -> bytes:
    """One match."""
    return (
        f'{{"type":"trade","timestamp":"{ts}","product_id":{product_id},"price":"{price}","taker_qty":"{qty}",'
        f'"maker_qty":"{qty}","is_taker_buyer":{"true" if is_taker_buyer else "false"}}}'
    ).encode()


def fill(
    ts: int,
    product_id: int,
    subaccount: str,
    digest: str,
    appendix: int,
    quantities: tuple[int, int, int],
    price: int,
    *,
    is_taker: bool,
    is_bid: bool,
    fee: int,
    submission_idx: str,
    client_id: int | None,
) -> bytes:
    """One side of a match; *quantities* are filled, remaining, original; *submission_idx* is JSON text."""
    filled, remaining, original = quantities
    return (
        f'{{"type":"fill","timestamp":"{ts}","product_id":{product_id},"subaccount":"{subaccount}",'
        f'"order_digest":"{digest}","appendix":"{appendix}","filled_qty":"{filled}",'
        f'"remaining_qty":"{remaining}","original_qty":"{original}","price":"{price}",'
        f'"is_taker":{"true" if is_taker else "false"},"is_bid":{"true" if is_bid else "false"},'
        f'"fee":"{fee}","submission_idx":{submission_idx}{_id(client_id)}}}'
    ).encode()


def order_update(
    ts: int,
    product_id: int,
    digest: str,
    amount: int,
    reason: str,
    *,
    filled: tuple[int, int] | None,
    client_id: int | None,
) -> bytes:
    """An order's life; *filled* is (quantity, price) of the match, where the venue sends it."""
    match = "" if filled is None else f',"filled_qty":"{filled[0]}","filled_price":"{filled[1]}"'
    return (
        f'{{"type":"order_update","timestamp":"{ts}","product_id":{product_id},"digest":"{digest}",'
        f'"amount":"{amount}","reason":"{reason}"{match}{_id(client_id)}}}'
    ).encode()


def position_change(
    ts: int, product_id: int, subaccount: str, amount: int, v_quote: int, reason: str, *, isolated: bool
) -> bytes:
    """A new balance."""
    told = "true" if isolated else "false"
    return (
        f'{{"type":"position_change","timestamp":"{ts}","product_id":{product_id},"subaccount":"{subaccount}",'
        f'"isolated":{told},"amount":"{amount}","v_quote_amount":"{v_quote}","reason":"{reason}"}}'
    ).encode()


def liquidation(ts: int, product_id: int, liquidator: str, liquidatee: str, amount: int, price: int) -> bytes:
    """A liquidation; *amount* is positive when a long position was taken over."""
    return (
        f'{{"type":"liquidation","timestamp":"{ts}","product_ids":[{product_id}],"liquidator":"{liquidator}",'
        f'"liquidatee":"{liquidatee}","amount":"{amount}","price":"{price}"}}'
    ).encode()


def best_bid_offer(ts: int, product_id: int, bid: tuple[int, int], ask: tuple[int, int]) -> bytes:
    """A new top; each side is (price, quantity), with the sentinels of an empty side filled in already."""
    return (
        f'{{"type":"best_bid_offer","timestamp":"{ts}","product_id":{product_id},"bid_price":"{bid[0]}",'
        f'"bid_qty":"{bid[1]}","ask_price":"{ask[0]}","ask_qty":"{ask[1]}"}}'
    ).encode()


def _levels(levels: Iterable[tuple[int, int]]) -> str:
    return ",".join([f'["{price}","{qty}"]' for price, qty in levels])


def book_depth(
    product_id: int,
    span: tuple[int, int, int],
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
) -> bytes:
    """Changed levels of 50 ms; *span* is the previous batch's last instant, and this one's first and last."""
    return (
        f'{{"type":"book_depth","last_max_timestamp":"{span[0]}","min_timestamp":"{span[1]}",'
        f'"max_timestamp":"{span[2]}","product_id":{product_id},"bids":[{_levels(bids)}],"asks":[{_levels(asks)}]}}'
    ).encode()


def latest_candlestick(
    ts: str, product_id: int, granularity: int, prices: tuple[int, int, int, int], volume: int
) -> bytes:
    """The forming bar; *ts* is JSON text (its form is a switch), *prices* are open, high, low, close."""
    opened, high, low, close = prices
    return (
        f'{{"type":"latest_candlestick","timestamp":{ts},"product_id":{product_id},"granularity":{granularity},'
        f'"open_x18":"{opened}","high_x18":"{high}","low_x18":"{low}","close_x18":"{close}","volume":"{volume}"}}'
    ).encode()


def funding_rate(ts: int, product_id: int, rate: int) -> bytes:
    """The current 24 h rate; the update time is *ts* in seconds."""
    return (
        f'{{"type":"funding_rate","timestamp":"{ts}","product_id":{product_id},"funding_rate_x18":"{rate}",'
        f'"update_time":"{ts // 10**9}"}}'
    ).encode()


def funding_payment(
    ts: str, product_id: int, payment: int, open_interest: int, cumulative: int, dt: str
) -> bytes:
    """An hourly payment; *ts* and *dt* are JSON text (their forms are a switch)."""
    return (
        f'{{"type":"funding_payment","timestamp":{ts},"product_id":{product_id},"payment_amount":"{payment}",'
        f'"open_interest":"{open_interest}","cumulative_funding_long_x18":"{cumulative}",'
        f'"cumulative_funding_short_x18":"{cumulative}","dt":{dt}}}'
    ).encode()


def all_bbo(time_ms: int, tops: Iterable[tuple[int, int, int]]) -> bytes:
    """Best prices of all products; *tops* are (product id, bid, ask)."""
    rows = ",".join([f'"{product_id}":{{"bid":"{bid}","ask":"{ask}"}}' for product_id, bid, ask in tops])
    return f'{{"type":"all_bbo","time":"{time_ms}","bbos":{{{rows}}}}}'.encode()
