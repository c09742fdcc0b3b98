"""One line of styled text an event, for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from nadows.cli.figures import ALERT, BUY, FAINT, SELL, clock, fixed, span
from nadows.cli.notices import notice_line
from nadows.desk import DeskEvent
from nadows.messages import (
    AllBbo,
    BestBidOffer,
    BookDepth,
    Fill,
    FundingPayment,
    FundingRate,
    JournaledFill,
    LateFill,
    LatestCandlestick,
    Liquidation,
    OrderUpdate,
    PositionChange,
    Trade,
    UnknownEvent,
)
from nadows.products import Product, Products
from nadows.units import NO_ASK, format_x18

__all__ = ["event_line"]


@dataclass(frozen=True)
class _Names:
    """How numbers and products of an event are written."""

    products: Products
    product: Product | None = None

    def price(self, value: int) -> str:
        """Write a price with the product's decimals."""
        return fixed(value, self.product.price_decimals if self.product else 0)

    def size(self, value: int) -> str:
        """Write a size with the product's decimals, without its sign."""
        return fixed(abs(value), self.product.size_decimals if self.product else 0)


def event_line(event: DeskEvent, products: Products, now_ns: int | None = None) -> Text | None:
    """Write an event in one line; ``None`` for those of no interest to a person.

    Args:
        event: Any event of a desk.
        products: Gives names and decimals.
        now_ns: The wall clock, to show how long the event took from the venue to here.
    """
    if isinstance(event, UnknownEvent):
        return Text(f"{'':12}  {'':10}  {event.type}  {event.raw.decode(errors='replace')}")
    describe = _DESCRIPTIONS.get(type(event))
    if describe is None:
        return _notice(event, products, now_ns)
    product_id = getattr(event, "product_id", None)
    known = product_id is not None and product_id in products
    names = _Names(products, products[product_id] if product_id is not None and known else None)
    symbol = "" if product_id is None else products.symbol(product_id)
    kind = str(event.__struct_config__.tag)  # type: ignore[union-attr]
    head = Text(clock(_instant_ns(event)), style=FAINT)
    if now_ns is not None:
        head.append(f"  {_latency(event, now_ns):>8}", style=FAINT)
    return head.append(f"  {symbol:10}  {kind:15}  ", style="default").append_text(describe(event, names))


def _notice(event: DeskEvent, products: Products, now_ns: int | None) -> Text | None:
    """Write what happens to the client: with the time it was seen, for the venue has given it none."""
    notice = notice_line(event, products)
    if notice is None or now_ns is None:
        return notice
    return Text(f"{clock(now_ns)}  ", style=FAINT).append_text(notice)


def _latency(event: Any, now_ns: int) -> str:
    """Say how long ago something happened at the venue, by its clock and ours; only where it tells when."""
    if isinstance(event, LatestCandlestick | FundingPayment | LateFill | JournaledFill):
        return ""
    ns = now_ns - _instant_ns(event)
    return f"-{span(-ns)}" if ns < 0 else span(ns)


def _instant_ns(event: Any) -> int:
    match event:
        case BookDepth():
            return int(event.max_timestamp)
        case AllBbo():
            return int(event.time) * 1_000_000
        case LatestCandlestick():
            return event.start_s * 1_000_000_000
        case FundingPayment():
            # Its unit is not proven (protocol.md 2.5): 13 digits are milliseconds, 19 nanoseconds.
            return int(event.timestamp) if event.timestamp > 10**15 else int(event.timestamp) * 1_000_000
        case _:
            return int(event.timestamp)


def _side(is_buy: bool) -> tuple[str, str]:
    return ("buy ", BUY) if is_buy else ("sell", SELL)


def _trade(event: Trade, names: _Names) -> Text:
    side, style = _side(event.is_taker_buyer)
    return Text(f"{side}  {names.size(event.taker_qty):>10} @ {names.price(event.price)}", style=style)


def _bbo(event: BestBidOffer, names: _Names) -> Text:
    text = Text()
    text.append(
        f"{names.size(event.bid_qty):>10} @ {names.price(event.bid_price):<10}" if event.bid_qty else "-", BUY
    )
    text.append("  |  ", FAINT)
    return text.append(
        f"{names.price(event.ask_price):>10} @ {names.size(event.ask_qty)}" if event.ask_qty else "-", SELL
    )


def _depth(event: BookDepth, names: _Names) -> Text:
    return Text(f"{len(event.bids)} bids, {len(event.asks)} asks changed")


def _fill(event: Fill, names: _Names) -> Text:
    side, style = _side(event.is_bid)
    text = Text(f"{side}  {names.size(event.filled_qty):>10} @ {names.price(event.price)}", style=style)
    role = "taker" if event.is_taker else "maker"
    text.append(f"  {role}  fee {format_x18(event.fee)}  {names.size(event.remaining_qty)} left", "default")
    return text.append(f"  {event.order_digest[:10]}", FAINT)


def _order_update(event: OrderUpdate, names: _Names) -> Text:
    return Text(f"{event.reason:9}  {names.size(event.amount)} left  {event.digest[:10]}")


def _position(event: PositionChange, names: _Names) -> Text:
    return Text(f"{format_x18(event.amount)}  quote {format_x18(event.v_quote_amount)}  {event.reason}")


def _liquidation(event: Liquidation, names: _Names) -> Text:
    symbols = ", ".join(names.products.symbol(product_id) for product_id in event.product_ids)
    return Text(f"{symbols}  {format_x18(event.amount)} @ {format_x18(event.price)}", style=ALERT)


def _candle(event: LatestCandlestick, names: _Names) -> Text:
    prices = (event.open_x18, event.high_x18, event.low_x18, event.close_x18)
    shown = "  ".join(f"{name} {names.price(price)}" for name, price in zip("OHLC", prices, strict=True))
    return Text(f"{event.granularity} s  {shown}  volume {names.size(event.volume)}")


def _funding_rate(event: FundingRate, names: _Names) -> Text:
    return Text(f"{format_x18(event.funding_rate_x18)} in 24 h")


def _funding_payment(event: FundingPayment, names: _Names) -> Text:
    return Text(f"{format_x18(event.payment_amount)}  open interest {format_x18(event.open_interest)}")


def _all_bbo(event: AllBbo, names: _Names) -> Text:
    shown = []
    for product_id, top in sorted(event.bbos.items()):
        ask = "-" if top.ask == NO_ASK else format_x18(top.ask)
        if not top.is_empty:
            shown.append(f"{names.products.symbol(product_id)} {format_x18(top.bid)}/{ask}")
    return Text("  ".join(shown))


_DESCRIPTIONS: Final[dict[type, Callable[[Any, _Names], Text]]] = {
    Trade: _trade,
    BestBidOffer: _bbo,
    BookDepth: _depth,
    Fill: _fill,
    LateFill: _fill,
    JournaledFill: _fill,
    OrderUpdate: _order_update,
    PositionChange: _position,
    Liquidation: _liquidation,
    LatestCandlestick: _candle,
    FundingRate: _funding_rate,
    FundingPayment: _funding_payment,
    AllBbo: _all_bbo,
}
