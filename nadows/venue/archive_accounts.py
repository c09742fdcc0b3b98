"""Answers of the archive about accounts: events, payments, signatures, the limit on linked signers.

Source: protocol.md 6.3; shapes from the official Python SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from typing import Any, Final, NamedTuple

from nadows.errors import UsageError
from nadows.messages import archive_history as ask
from nadows.signing import parse_bytes32
from nadows.venue import answers
from nadows.venue.answers import Json
from nadows.venue.archive import Archive, BalanceChange, Match, MatchSide
from nadows.venue.archive_reading import MAX_LIMIT, given, page_size, subaccounts, transaction
from nadows.venue.authority import parse_sender
from nadows.venue.engine import Engine
from nadows.venue.ledger import Account
from nadows.venue.orders import LiveOrder
from nadows.venue.products import PRODUCTS, QUOTE_ID, Product
from nadows.venue.refusal import Refusal

__all__ = ["AccountQueries"]

_MAX_PAYMENTS: Final = 100
_ZERO_ADDRESS: Final = "0x" + "00" * 20


class _Event(NamedTuple):
    """One balance before and after, from whichever store it was found in."""

    account: Account
    product: Product
    kind: str
    pre: tuple[int, int]
    post: tuple[int, int]
    entry: int


class AccountQueries:
    """Reads what the archive remembers of accounts.

    Attributes:
        answers: Type of the question to what answers it, given the question and the time in seconds.
    """

    def __init__(self, engine: Engine, archive: Archive) -> None:
        self._engine = engine
        self._archive = archive
        self.answers: dict[type[Any], Callable[[Any, int], object]] = {
            ask.EventsQuery: self._events,
            ask.InterestAndFundingQuery: self._interest_and_funding,
            ask.SignaturesQuery: self._signatures,
            ask.LinkedSignerRateLimitQuery: self._linked_signer_rate_limit,
        }

    def _events(self, query: ask.EventsQuery, now_s: int) -> Json:
        wanted, kinds = subaccounts(query.subaccounts), given(query.event_types)
        products, isolated = given(query.product_ids), given(query.isolated)
        most_events, most_txs = _event_limits(given(query.limit))
        events: list[Json] = []
        txs: dict[int, Json] = {}
        for transacted in self._transactions(query, wanted):
            number = str(transacted.submission_idx)
            for event in _of(transacted):
                if (
                    (wanted is None or event.account.shown in wanted)
                    and (kinds is None or event.kind in kinds)
                    and (products is None or event.product.product_id in products)
                    and isolated in (None, event.account.parent is not None)
                ):
                    new = transacted.submission_idx not in txs
                    if len(events) == most_events or (new and len(txs) == most_txs):
                        return {"events": events, "txs": list(txs.values())}
                    events.append(self._event(event, number))
                    txs[transacted.submission_idx] = _tx(transacted)
        return {"events": events, "txs": list(txs.values())}

    def _transactions(
        self, query: ask.EventsQuery, wanted: list[str] | None
    ) -> Iterator[Match | BalanceChange]:
        """Yield what may hold events that are asked for, in the order asked for."""
        idx, max_time = given(query.idx), given(query.max_time)
        found: Iterator[Match | BalanceChange] = merge(
            self._archive.matches(wanted),
            reversed(self._archive.changes),
            key=lambda each: -each.submission_idx,
        )
        ascending = given(query.desc) is False
        for each in reversed(list(found)) if ascending else found:
            if idx is not None:
                if each.submission_idx >= idx if ascending else each.submission_idx <= idx:
                    yield each
            elif max_time is None or each.ts // 10**9 <= max_time:
                yield each

    def _event(self, event: _Event, submission_idx: str) -> Json:
        product_id = event.product.product_id
        parent = event.account.parent
        row: Json = {
            "subaccount": event.account.shown,
            "product_id": product_id,
            "submission_idx": submission_idx,
            "event_type": event.kind,
            "product": answers.archived_product(self._engine, event.product),
            "pre_balance": answers.archived_balance(self._engine, event.product, *event.pre),
            "post_balance": answers.archived_balance(self._engine, event.product, *event.post),
            "net_interest_unrealized": "0",
            "net_interest_cumulative": "0",
            "net_funding_unrealized": "0",
            "net_funding_cumulative": "0",
            "net_entry_unrealized": str(event.entry),
            "net_entry_cumulative": str(event.entry),
            "quote_volume_cumulative": "0",
            "isolated": parent is not None,
        }
        if parent is not None:
            row["isolated_product_id"] = next(iter(event.account.perps), product_id)
        return row

    def _interest_and_funding(self, query: ask.InterestAndFundingQuery, now_s: int) -> Json:
        subaccount = parse_sender(query.subaccount).hex
        max_idx, max_time = given(query.max_idx), given(query.max_time)
        limit = page_size(query.limit, _MAX_PAYMENTS)
        found = [
            payment
            for payment in reversed(self._archive.payments)
            if payment.account.shown == subaccount
            and payment.product.product_id in query.product_ids
            and (max_idx is None or payment.submission_idx <= max_idx)
            and (max_time is None or payment.ts // 10**9 <= max_time)
        ]
        rows = [
            {
                "product_id": payment.product.product_id,
                "idx": str(payment.submission_idx),
                "timestamp": str(payment.ts // 10**9),
                "amount": str(payment.amount),
                "balance_amount": str(payment.position),
                "rate_x18": str(payment.rate),
                "oracle_price_x18": str(payment.oracle),
            }
            for payment in found[:limit]
        ]
        next_idx = str(found[limit].submission_idx) if len(found) > limit else "0"
        return {"interest_payments": [], "funding_payments": rows, "next_idx": next_idx}

    def _signatures(self, query: ask.SignaturesQuery, now_s: int) -> Json:
        if len(query.digests) > MAX_LIMIT:
            raise Refusal(3001, f"at most {MAX_LIMIT} digests may be asked for, got {len(query.digests)}")
        try:
            digests = ["0x" + parse_bytes32(digest).hex() for digest in query.digests]
        except UsageError as error:
            raise Refusal(1005, str(error)) from None
        orders = [self._order(digest) for digest in dict.fromkeys(digests)]
        return {
            "signatures": [
                {
                    "digest": order.digest,
                    "signature": order.signature,
                    "signer": order.signer,
                    "is_linked": order.signer != order.account.address,
                }
                for order in orders
                if order is not None
            ]
        }

    def _order(self, digest: str) -> LiveOrder | None:
        filled = self._archive.order(digest)
        return self._engine.orders.get(digest) if filled is None else filled.side.order

    def _linked_signer_rate_limit(self, query: ask.LinkedSignerRateLimitQuery, now_s: int) -> Json:
        account = self._engine.ledger.account(parse_sender(query.subaccount).hex)
        signers = self._engine.signers
        remaining, wait_s = signers.allowance(account, now_s)
        return {
            "remaining_tx": str(remaining),
            "total_tx_limit": str(signers.MOST_CHANGES),
            "wait_time": wait_s,
            "signer": (None if account is None else account.linked_signer) or _ZERO_ADDRESS,
        }


def _event_limits(limit: ask.EventsLimit | None) -> tuple[int, int]:
    """Return how many events and how many transactions are wanted at most."""
    if limit is not None and given(limit.txs) is not None:
        return MAX_LIMIT * len(PRODUCTS), page_size(limit.txs)
    return page_size(None if limit is None else limit.raw), MAX_LIMIT


def _of(transacted: Match | BalanceChange) -> Iterable[_Event]:
    if isinstance(transacted, BalanceChange):
        return (
            _Event(
                transacted.account,
                transacted.product,
                transacted.kind,
                transacted.pre,
                transacted.post,
                0,
            ),
        )
    return [event for side in transacted.sides if not side.order.account.house for event in _sides(side)]


def _sides(side: MatchSide) -> Iterator[_Event]:
    """Yield what a match did to the balances of one side: one of a perpetual, two of a spot product."""
    booking, order = side.booking, side.order
    kind = "match_orders"
    if order.product.is_perp:
        pre, post = (booking.pre_amount, booking.pre_quote), (booking.post_amount, booking.post_quote)
        yield _Event(order.holder, order.product, kind, pre, post, booking.entry)
    else:
        yield _Event(order.holder, order.product, kind, (booking.pre_amount, 0), (booking.post_amount, 0), 0)
        quote = PRODUCTS[QUOTE_ID]
        yield _Event(order.holder, quote, kind, (booking.pre_quote, 0), (booking.post_quote, 0), 0)


def _tx(transacted: Match | BalanceChange) -> Json:
    if isinstance(transacted, Match):
        return transaction(transacted)
    return {
        "tx": transacted.tx,
        "submission_idx": str(transacted.submission_idx),
        "timestamp": str(transacted.ts // 10**9),
    }
