"""Funding of the perpetuals: the rate every 20 s, the payment every hour.

The 24 h rate is the premium of the mark over the oracle price, plus a basis point, within two percent
either way. The real formula is not published; the sign and the size are what clients can rely on.
"""

from __future__ import annotations

from typing import Final

from nadows.units import ONE_X18, mul_x18
from nadows.venue import event_frames
from nadows.venue.archive import FundingPayment
from nadows.venue.engine import Engine
from nadows.venue.feed import Topic
from nadows.venue.market import Market

__all__ = ["FUNDING_INTERVAL_S", "next_payment_s", "pay_funding", "publish_rates"]

FUNDING_INTERVAL_S: Final = 3600

_INTEREST: Final = ONE_X18 // 10_000
_CAP: Final = 2 * ONE_X18 // 100
_PER_DAY: Final = 24


def publish_rates(engine: Engine, now_ns: int) -> None:
    """Work out each perpetual's rate and tell of it."""
    ts = engine.stamp(now_ns)
    for market in _perps(engine):
        product_id = market.product.product_id
        oracle = engine.oracle[product_id]
        premium = (market.mark_price(oracle) - oracle) * ONE_X18 // oracle
        market.funding_rate = max(-_CAP, min(_CAP, premium + _INTEREST))
        audience = engine.feed.audience(Topic("funding_rate", product_id), Topic("funding_rate"))
        if audience is not None:
            frame = event_frames.funding_rate(ts, product_id, market.funding_rate)
            engine.feed.publish(frame, audience)


def pay_funding(engine: Engine, now_ns: int) -> None:
    """Let an hour's share of the rate change hands in every perpetual, and tell of it."""
    ts = engine.stamp(now_ns)
    engine.submission_idx += 1
    ledger = engine.ledger
    for market in _perps(engine):
        product_id = market.product.product_id
        per_unit = mul_x18(engine.oracle[product_id], market.funding_rate) // _PER_DAY
        paid = ledger.pay_funding(market.product, per_unit)
        engine.archive.payments += [
            FundingPayment(
                engine.submission_idx,
                ts,
                account,
                market.product,
                -due,
                amount,
                market.funding_rate // _PER_DAY,
                engine.oracle[product_id],
            )
            for account, amount, due in paid
            if not account.house
        ]
        audience = engine.feed.audience(Topic("funding_payment", product_id))
        if audience is not None:
            stamp, dt = str(ts // 10**6), "3600000"
            if engine.switches.funding_as_strings:
                stamp, dt = f'"{ts}"', '"3600"'
            by_longs = sum(due for _, amount, due in paid if amount > 0)
            interest = ledger.open_interest.get(product_id, 0)
            frame = event_frames.funding_payment(
                stamp,
                product_id,
                by_longs,
                interest,
                ledger.funding[product_id],
                dt,
            )
            engine.feed.publish(frame, audience)


def next_payment_s(now_s: int) -> int:
    """Return when funding is next paid, Unix seconds."""
    return (now_s // FUNDING_INTERVAL_S + 1) * FUNDING_INTERVAL_S


def _perps(engine: Engine) -> list[Market]:
    return [market for market in engine.markets.values() if market.product.is_perp]
