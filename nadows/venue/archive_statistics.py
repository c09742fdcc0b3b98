"""Answers of the archive about the venue as a whole: snapshots by the hour, the backlog, the quote's price.

Source: protocol.md 6.3; shapes from the official Python SDK.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any, Final

from nadows.messages import archive_history as ask
from nadows.units import mul_x18
from nadows.venue.answers import Json
from nadows.venue.archive_reading import MAX_LIMIT, given
from nadows.venue.engine import FIRST_SUBMISSION_IDX, Engine
from nadows.venue.products import PRODUCTS, QUOTE_ID
from nadows.venue.refusal import Refusal

__all__ = ["Statistics"]

_MOST_SAMPLES: Final = 24 * 31
"""Snapshots that are kept; one is taken an hour."""


class Statistics:
    """The venue's totals, now and at past hours.

    Attributes:
        answers: Type of the question to what answers it, given the question and the time in seconds.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._samples: list[Json] = []
        self.answers: dict[type[Any], Callable[[Any, int], object]] = {
            ask.MarketSnapshotsQuery: self._market_snapshots,
            ask.BacklogQuery: self._backlog,
            ask.QuotePriceQuery: lambda query, now_s: {"price_x18": str(self._engine.oracle[QUOTE_ID])},
        }

    def sample(self, now_s: int) -> None:
        """Keep the totals of this instant."""
        self._samples.append(self._totals(now_s))
        del self._samples[:-_MOST_SAMPLES]

    def _market_snapshots(self, query: ask.MarketSnapshotsQuery, now_s: int) -> Json:
        count, granularity = int(query.interval.count), int(query.interval.granularity)
        if not (1 <= count <= MAX_LIMIT and granularity >= 1):
            raise Refusal(3003, f"count must lie between 1 and {MAX_LIMIT}, and granularity be positive")
        asked = given(query.interval.max_time)
        last = now_s if asked is None else min(now_s, int(asked))
        last -= last % granularity
        instants = [last - number * granularity for number in range(count)]
        products = given(query.product_ids)
        return {"snapshots": [_only(self._at(instant, now_s), products) for instant in instants]}

    def _at(self, instant_s: int, now_s: int) -> Json:
        """Return the newest totals that are not newer than *instant_s*, under its timestamp."""
        known = [*self._samples, self._totals(now_s)]
        index = bisect_right(known, instant_s, key=lambda sample: int(sample["timestamp"]))
        return (known[index - 1] if index else self._nothing()) | {"timestamp": instant_s}

    def _totals(self, now_s: int) -> Json:
        engine, ledger = self._engine, self._engine.ledger
        users = [account for account in ledger.accounts.values() if not account.house]
        held = {pid: mul_x18(amount, engine.oracle[pid]) for pid, amount in ledger.deposited.items()}
        totals = self._nothing() | {
            "timestamp": now_s,
            "cumulative_users": len(users),
            "daily_active_users": len(users),
            "tvl": str(sum(held.values())),
        }
        for product_id, market in engine.markets.items():
            name = str(product_id)
            totals["cumulative_trades"][name] = market.trades
            totals["cumulative_volumes"][name] = str(market.traded_value)
            totals["cumulative_trade_sizes"][name] = str(market.traded)
            totals["open_interests"][name] = str(ledger.open_interest.get(product_id, 0))
            totals["funding_rates"][name] = str(market.funding_rate)
        for product_id, amount in ledger.deposited.items():
            totals["total_deposits"][str(product_id)] = str(amount)
            totals["cumulative_inflows"][str(product_id)] = str(amount)
        return totals

    def _nothing(self) -> Json:
        """Return the totals of a venue on which nothing has happened."""
        markets = {str(product_id): "0" for product_id in self._engine.markets}
        tokens = {str(number): "0" for number, product in PRODUCTS.items() if not product.is_perp}
        return {
            "timestamp": 0,
            "cumulative_users": 0,
            "daily_active_users": 0,
            "tvl": "0",
            "cumulative_trades": dict.fromkeys(markets, 0),
            "cumulative_volumes": dict(markets),
            "cumulative_trade_sizes": dict(markets),
            "cumulative_sequencer_fees": dict(markets),
            "cumulative_maker_fees": dict(markets),
            "cumulative_liquidation_amounts": dict(markets),
            "open_interests": dict(markets),
            "funding_rates": dict(markets),
            "total_deposits": dict(tokens),
            "total_borrows": dict(tokens),
            "deposit_rates": dict(tokens),
            "borrow_rates": dict(tokens),
            "cumulative_inflows": dict(tokens),
            "cumulative_outflows": dict(tokens),
        }

    def _backlog(self, query: ask.BacklogQuery, now_s: int) -> Json:
        # This venue has no chain to be behind of.
        done = str(self._engine.submission_idx - FIRST_SUBMISSION_IDX)
        return {
            "total_txs": done,
            "total_submissions": done,
            "backlog_size": "0",
            "updated_at": str(now_s),
            "backlog_eta_in_seconds": "0",
            "txs_per_second": None,
        }


def _only(snapshot: Json, products: tuple[int, ...] | None) -> Json:
    """Leave out products that were not asked for."""
    if products is None:
        return snapshot
    names = {str(int(product_id)) for product_id in products}
    return {
        member: {name: each for name, each in value.items() if name in names}
        if isinstance(value, dict)
        else value
        for member, value in snapshot.items()
    }
