"""The client's machine and the venue's, in conversation."""

from __future__ import annotations

import random

import pytest

from nadows.account import OrderStatus
from nadows.book import Book
from nadows.desk import Desk
from nadows.errors import NadowsError
from nadows.messages import Fill, Reply, Stream
from nadows.network import TESTNET
from nadows.signing import (
    Appendix,
    NonceSource,
    OrderType,
    SignedOrder,
    Signer,
    Subaccount,
    sign_authenticate,
    sign_order,
)
from nadows.venue.exchange import Exchange, ExchangeOptions
from nadows.venue.flow import FlowPreset
from tests.link import Link

E18 = 10**18
START = 1_800_000_000 * 10**9
SIGNER = Signer(b"\x07" * 32)
SENDER = Subaccount.of(SIGNER.address)
PRODUCTS = (2, 4, 8)
NEVER = 2**32 - 1


def link(flow: FlowPreset = FlowPreset.BUSY, seed: int = 1, *, private: bool = False) -> Link:
    options = ExchangeOptions(flow=flow, limits=False)
    exchange = Exchange(options, seed=seed, now_ns=START)
    joined: list[Link] = []

    def authenticate(request_id: int) -> bytes:
        expiration_ms = joined[0].now_ns // 10**6 + 90_000
        return sign_authenticate(SIGNER, TESTNET.domain, SENDER, expiration_ms, id=request_id).frame

    desk = Desk(
        subaccount=SENDER.hex if private else None,
        authenticate=authenticate if private else None,
        rng=random.Random(seed),
    )
    joined.append(Link(desk, exchange, random.Random(seed), now_ns=START))
    return joined[0]


def sides(book: Book) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    bids, asks = ([(level.price, level.qty) for level in side] for side in (book.bids, book.asks))
    return bids, asks


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_books_equal_the_venues(seed: int) -> None:
    """At every batch of a minute of flow, each book equals the venue's own at its instant, to its edge."""
    joined = link(seed=seed)
    truth: dict[tuple[int, int], tuple[list[tuple[int, int]], list[tuple[int, int]]]] = {}
    for product in PRODUCTS:
        joined.desk.subscribe(Stream.book_depth(product), joined.now_ns)
    joined.connect()

    compared = dict.fromkeys(PRODUCTS, 0)
    for _ in range(1200):
        joined.run(50_000_000)
        for product in PRODUCTS:
            market = joined.exchange.engine.markets[product]
            truth[product, market.changed_ns] = (market.book.bids.depth(), market.book.asks.depth())
            book = joined.desk.books[product]
            assert joined.now_ns - START < 10**9 or book.is_live
            expected = truth.get((product, book.max_timestamp))
            if not book.is_live or expected is None:
                continue
            bids, asks = sides(book)
            assert expected[0][: len(bids)] == bids
            assert expected[1][: len(asks)] == asks
            assert min(len(bids), len(asks)) > 10
            compared[product] += 1

    assert all(count >= 70 for count in compared.values()), compared
    assert 0 == sum(book.gaps for book in joined.desk.books.values())


def order(joined: Link, nonces: NonceSource, amount: int, price: int, kind: OrderType) -> SignedOrder:
    nonce = nonces.next(joined.now_ns // 10**6)
    appendix = Appendix(order_type=kind).value
    return sign_order(SIGNER, TESTNET.domain, 4, SENDER, price, amount, NEVER, nonce, appendix)


def test_orders_end_where_the_venue_says() -> None:
    """Random orders through both machines: each ends in the venue's own state, each fill is seen once."""
    joined, nonces, rng = link(private=True), NonceSource(), random.Random(5)
    for stream in (
        Stream.order_update(SENDER.hex),
        Stream.fill(SENDER.hex),
        Stream.position_change(SENDER.hex),
    ):
        joined.desk.subscribe(stream, joined.now_ns)
    joined.desk.subscribe(Stream.book_depth(4), joined.now_ns)
    joined.connect()
    joined.run(10**9)
    replies: list[Reply | NadowsError] = []
    placed: list[SignedOrder] = []
    for _ in range(300):
        bid, ask = joined.desk.books[4].best_bid, joined.desk.books[4].best_ask
        assert bid is not None
        assert ask is not None
        buy, kind = rng.random() < 0.5, rng.choice(list(OrderType))
        tick = E18 // 10
        price = rng.choice([bid.price, ask.price]) + rng.randint(-3, 3) * tick
        signed = order(joined, nonces, (1 if buy else -1) * rng.randint(40, 400) * E18 // 1000, price, kind)
        placed.append(signed)
        joined.desk.place(signed, now_ns=joined.now_ns, on_reply=replies.append)
        joined.flush()
        joined.run(rng.randint(1, 40) * 10**6)
    joined.run(2 * 10**9)

    account = joined.desk.account
    assert account is not None
    assert len(placed) == len(replies) == len(account.orders)
    assert all(isinstance(reply, Reply) for reply in replies)
    fills = [event for event in joined.events if isinstance(event, Fill)]
    assert len(fills) == len({(fill.index, fill.order_digest) for fill in fills}) > 50
    assert 0 == account.duplicate_fills
    open_at_venue = {
        live.digest: live.leaves for live in joined.exchange.engine.orders.values() if live.digest
    }
    for digest, tracked in account.orders.items():
        if digest in open_at_venue:
            assert tracked.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)
            assert open_at_venue[digest] == tracked.leaves_qty
        else:
            assert tracked.is_done, tracked
    held = sum(order.filled_qty if order.is_buy else -order.filled_qty for order in account.orders.values())
    assert held == account.position(4)
    assert {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.NEW} <= {
        tracked.status for tracked in account.orders.values()
    }
