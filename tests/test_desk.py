"""The desk: state first, snapshots when needed, and the fate of every request."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest

from nadows import messages
from nadows.account import OrderStatus, Position
from nadows.batching import outcomes
from nadows.book import BookState
from nadows.desk import (
    GATEWAY,
    STREAMS,
    BookChanged,
    BookDrifted,
    BookGapped,
    Desk,
    DeskEvent,
    Disconnected,
    Reconnected,
    Throttled,
    checked,
)
from nadows.errors import (
    ConnectionLost,
    NadowsError,
    OrderUnknown,
    Rejected,
    TransientError,
    TransportError,
    UsageError,
)
from nadows.messages import Reply, Stream
from nadows.session import ACK_TIMEOUT_NS, Overdue, Restored, Subscribed, SubscribeRefused
from nadows.signing import (
    Appendix,
    Domain,
    SignedCancelAndPlace,
    SignedOrder,
    Signer,
    Subaccount,
    sign_cancel_and_place,
    sign_cancel_orders,
    sign_order,
    sign_place_orders,
)
from nadows.timings import Timings
from nadows.units import Nanos

E18 = 10**18
SIGNER = Signer(b"\x01" * 32)
SENDER = Subaccount.of(SIGNER.address)
DOMAIN = Domain(763373, "0x698D87105274292B5673367DEC81874Ce3633Ac2")
DEPTH = Stream.book_depth(4)


def frame(**members: Any) -> bytes:
    return json.dumps(members).encode()


def ack(request_id: int) -> bytes:
    return frame(result=None, id=request_id)


def depth(last: int, newest: int, **sides: list[list[str]]) -> bytes:
    return frame(
        type="book_depth",
        last_max_timestamp=str(last),
        min_timestamp=str(newest),
        max_timestamp=str(newest),
        product_id=4,
        **({"bids": [], "asks": []} | sides),
    )


def liquidity(taken: int, **other: Any) -> bytes:
    data = {"bids": [["99", "1"]], "asks": [["101", "1"]], "product_id": 4, "timestamp": str(taken)}
    return frame(status="success", data=data | other, request_type="query_market_liquidity")


def make_desk(*, private: bool = False) -> Desk:
    return Desk(
        subaccount=SENDER.hex if private else None,
        authenticate=(lambda request_id: frame(method="authenticate", id=request_id)) if private else None,
        rng=random.Random(1),
    )


def asked(desk: Desk) -> list[str]:
    """What the gateway is asked now, by type."""
    requests = [json.loads(request) for request in desk.gateway.frames_to_send()]
    return [request.get("type") or next(iter(request)) for request in requests]


def with_book() -> Desk:
    """Both lines up, depth of product 4 subscribed, its snapshot asked for."""
    desk = make_desk()
    desk.subscribe(DEPTH, 0)
    desk.gateway_connected(0)
    desk.streams_connected(0)
    desk.stream_frame(ack(1), 1)
    assert ["market_liquidity"] == asked(desk)
    return desk


def place(nonce: int = 1) -> SignedOrder:
    return sign_order(SIGNER, DOMAIN, 4, SENDER, 100 * E18, E18, 2**32 - 1, nonce, Appendix().value, id=7)


class TestBooks:
    """Books and their snapshots."""

    def test_book_becomes_live(self) -> None:
        """Connected, subscribed, acknowledged, asked for a snapshot, joined: LIVE, and each step is told."""
        desk = make_desk()
        assert desk.subscribe(DEPTH, 0)
        assert not desk.subscribe(DEPTH, 0)
        assert BookState.STALE is desk.books[4].state
        assert [] == desk.gateway_connected(0)

        assert [BookChanged(4, BookState.SYNCING)] == desk.streams_connected(0)
        # No snapshot before the acknowledgement: updates are complete only from there on.
        assert [] == asked(desk)
        events = desk.stream_frame(depth(0, 10), 1)
        assert [messages.BookDepth] == [type(event) for event in events]
        assert [Subscribed(DEPTH), Restored()] == desk.stream_frame(ack(1), 2)
        assert ["market_liquidity"] == asked(desk)

        assert [BookChanged(4, BookState.LIVE)] == desk.gateway_frame(liquidity(15), 3)
        assert (1, 0) == (desk.snapshots, desk.failed_snapshots)
        assert 15 == desk.books[4].max_timestamp

    def test_gap_asks_again(self) -> None:
        """A hole takes the book down, is told, and leads to one new snapshot."""
        desk = with_book()
        desk.gateway_frame(liquidity(15), 2)
        desk.stream_frame(depth(10, 20), 3)

        events = desk.stream_frame(depth(25, 30), 4)
        assert BookChanged(4, BookState.SYNCING) in events
        assert ["market_liquidity"] == asked(desk)
        assert [BookChanged(4, BookState.LIVE)] == desk.gateway_frame(liquidity(35), 5)

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(liquidity(5), id="too old to join"),
            pytest.param(liquidity(20, bids=[["1e3", "1"]]), id="broken"),
            pytest.param(
                frame(
                    status="failure",
                    error_code=2015,
                    error="no such market",
                    request_type="query_market_liquidity",
                ),
                id="refused",
            ),
        ],
    )
    def test_snapshot_that_cannot_be_used(self, answer: bytes) -> None:
        """It is asked for again, later each time, and the updates stay kept."""
        desk = with_book()
        desk.stream_frame(depth(9, 10), 2)
        asked_at, now = [], 1
        for failures in range(1, 6):
            told = desk.gateway_frame(answer, now)
            assert [] == told
            assert failures == desk.failed_snapshots
            requests = asked(desk)
            if not requests:
                due = desk.next_deadline()
                assert due is not None
                assert [] == desk.tick(due - 1) == asked(desk)
                now = due
                desk.tick(now)
                requests = asked(desk)
            assert ["market_liquidity"] == requests
            asked_at.append(now)
        # The first retry is at once; the later ones are drawn from windows that double from 100 ms.
        waits = [later - earlier for earlier, later in itertools.pairwise(asked_at)]
        assert 1 == asked_at[0]
        assert all(0 < wait <= 100_000_000 * 2**retry for retry, wait in enumerate(waits))

        assert [BookChanged(4, BookState.LIVE)] == desk.gateway_frame(liquidity(15), now)

    def test_one_snapshot_at_a_time(self) -> None:
        """While one is in flight nothing else is asked for that book."""
        desk = with_book()
        desk.stream_frame(depth(0, 10), 2)
        desk.stream_frame(depth(11, 20), 3)

        assert [] == asked(desk)

    def test_snapshot_asked_for_on_an_earlier_connection_is_not_taken(self) -> None:
        """It may miss what happened while nothing was subscribed."""
        desk = with_book()
        desk.streams_lost("cut", 2)
        desk.streams_connected(3)
        assert [] == desk.gateway_frame(liquidity(15), 4)
        assert BookState.SYNCING is desk.books[4].state

        desk.stream_frame(ack(2), 5)
        assert ["market_liquidity"] == asked(desk)
        assert [BookChanged(4, BookState.LIVE)] == desk.gateway_frame(liquidity(20), 6)

    def test_snapshot_answered_after_unsubscribing(self) -> None:
        """Nobody wants it any more; the book is STALE."""
        desk = with_book()
        assert desk.unsubscribe(DEPTH, 2)
        assert not desk.unsubscribe(DEPTH, 2)

        assert [BookChanged(4, BookState.STALE)] == desk.gateway_frame(liquidity(15), 3)
        assert None is desk.next_deadline() or desk.next_deadline()

    def test_gateway_lost_while_a_snapshot_is_awaited(self) -> None:
        """It is asked for again on the next gateway connection."""
        desk = with_book()
        desk.gateway_lost("cut", 2)
        assert 1 == desk.failed_snapshots
        desk.tick(10**9)
        assert [] == asked(desk)

        desk.gateway_connected(10**9)
        assert ["market_liquidity"] == asked(desk)

    def test_subscribing_while_connected(self) -> None:
        """Updates are kept from the moment the request is out."""
        desk = make_desk()
        desk.gateway_connected(0)
        desk.streams_connected(0)
        desk.subscribe(DEPTH, 1)

        assert BookState.SYNCING is desk.books[4].state

    def test_refused_subscription_leaves_a_stale_book(self) -> None:
        """A product that the venue does not know never becomes LIVE, and is not asked for again."""
        desk = make_desk()
        desk.gateway_connected(0)
        desk.subscribe(DEPTH, 0)
        desk.streams_connected(0)
        events = desk.stream_frame(frame(result=None, error="invalid product_id", id=1), 1)

        assert [BookChanged(4, BookState.STALE)] == [e for e in events if isinstance(e, BookChanged)]
        assert any(isinstance(event, SubscribeRefused) for event in events)
        assert [] == asked(desk)

    def test_unsubscribing_while_down(self) -> None:
        """A book that is STALE already has nothing more to lose."""
        desk = make_desk()
        desk.subscribe(DEPTH, 0)

        assert desk.unsubscribe(DEPTH, 1)
        assert BookState.STALE is desk.books[4].state

    def test_updates_of_products_without_a_book_pass(self) -> None:
        """A stray update is an event like any other."""
        desk = make_desk()
        desk.streams_connected(0)

        assert 1 == len(desk.stream_frame(depth(0, 10), 1))
        assert {} == desk.books

    def test_refusal_of_another_stream_touches_no_book(self) -> None:
        """Only depth streams have books."""
        desk = make_desk()
        desk.subscribe(Stream.trade(4), 0)
        desk.streams_connected(0)
        events = desk.stream_frame(frame(result=None, error="no", id=1), 1)

        assert [SubscribeRefused, Restored] == [type(event) for event in events]
        assert not desk.unsubscribe(Stream.trade(4), 2)

    def test_live_book_that_was_healed_meanwhile_ignores_a_second_snapshot(self) -> None:
        """An answer that comes when the book is LIVE already changes nothing."""
        desk = with_book()
        desk.books[4].load(messages.MarketLiquidity((), (), 4, Nanos(12)))

        assert [] == desk.gateway_frame(liquidity(15), 3)
        assert 12 == desk.books[4].max_timestamp

    def test_crossed_snapshot_is_told_and_asked_again(self) -> None:
        """A snapshot that is crossed itself leaves the book SYNCING."""
        desk = with_book()
        events = desk.gateway_frame(liquidity(15, bids=[["102", "1"]]), 3)

        assert [BookChanged(4, BookState.SYNCING)] == events
        assert ["market_liquidity"] == asked(desk)


class TestLines:
    """Loss and return of the two connections."""

    def test_reconnects_are_events(self) -> None:
        """A loss is told once, the return with how long it took; the first connection is no return."""
        desk = make_desk()
        desk.subscribe(DEPTH, 0)
        desk.streams_connected(0)
        assert Reconnected not in map(type, desk.stream_frame(ack(1), 1))

        lost = desk.streams_lost("cut", 100)
        assert [BookChanged(4, BookState.STALE), Disconnected(STREAMS, "cut")] == lost
        assert [] == desk.streams_lost("still down", 150)
        desk.streams_connected(200)
        assert Reconnected(STREAMS, 250) in desk.stream_frame(ack(2), 350)

    def test_gateway_reconnects_are_events(self) -> None:
        """The gateway has nothing to restore: it is back when it is connected."""
        desk = make_desk()
        assert [] == desk.gateway_connected(0)
        assert [Disconnected(GATEWAY, "cut")] == desk.gateway_lost("cut", 10)
        assert [Reconnected(GATEWAY, 20)] == desk.gateway_connected(30)

    def test_losing_what_never_worked_is_not_told(self) -> None:
        """A connection that was never restored is no loss to anybody."""
        desk = make_desk()

        assert [] == desk.streams_lost("refused", 1)

    def test_overdue_ack(self) -> None:
        """The driver is told to close the line."""
        desk = make_desk()
        desk.subscribe(Stream.trade(2), 0)
        desk.streams_connected(0)

        assert ACK_TIMEOUT_NS == desk.next_deadline()
        assert [Overdue("subscribe trade")] == desk.tick(ACK_TIMEOUT_NS)


class TestRequests:
    """Orders and queries."""

    def answers(self) -> tuple[list[Reply | NadowsError], Any]:
        got: list[Reply | NadowsError] = []
        return got, got.append

    def private(self) -> Desk:
        desk = make_desk(private=True)
        desk.gateway_connected(0)
        return desk

    def test_order_is_followed_from_before_it_is_sent(self) -> None:
        """The account knows it when its bytes leave; the answer makes it NEW."""
        desk, order = self.private(), place()
        got, on_reply = self.answers()
        desk.place(order, now_ns=1, on_reply=on_reply)
        assert desk.account is not None
        tracked = desk.account.orders[order.digest]
        assert (OrderStatus.PENDING_NEW, 7, True) == (tracked.status, tracked.client_id, tracked.is_buy)

        desk.gateway_frame(
            frame(status="success", signature=order.signature, data={"digest": order.digest}), 2
        )
        assert OrderStatus.NEW is tracked.status
        assert ["success"] == [reply.status for reply in got if isinstance(reply, Reply)]

    def test_refused_order(self) -> None:
        """The refusal is kept with the order, and raised by `checked` as the exception of its code."""
        desk, order = self.private(), place()
        got, on_reply = self.answers()
        desk.place(order, now_ns=1, on_reply=on_reply)
        failure = {"status": "failure", "signature": order.signature, "error": "crosses", "error_code": 2008}
        desk.gateway_frame(frame(**failure, request_type="execute_place_order"), 2)

        assert desk.account is not None
        assert (OrderStatus.REJECTED, "crosses") == (
            desk.account.orders[order.digest].status,
            desk.account.orders[order.digest].reason,
        )
        with pytest.raises(Rejected, match="2008 PostOnlyOrderCrossesBook: crosses"):
            checked(got[0])

    def test_refusal_without_words(self) -> None:
        """A failure that says nothing is still a refusal."""
        desk, order = self.private(), place()
        got, on_reply = self.answers()
        desk.place(order, now_ns=1, on_reply=on_reply)
        desk.gateway_frame(frame(status="failure", signature=order.signature), 2)

        assert desk.account is not None
        assert "no reason given" == desk.account.orders[order.digest].reason
        with pytest.raises(NadowsError, match="no reason given"):
            checked(got[0])

    @pytest.mark.parametrize("how", ["lost", "overdue"])
    def test_unanswered_order_is_unknown(self, how: str) -> None:
        """Neither a loss nor a time-out says what became of it."""
        desk, order = self.private(), place()
        got, on_reply = self.answers()
        desk.place(order, now_ns=1, on_reply=on_reply, timeout_ns=10)
        if how == "lost":
            desk.gateway_lost("cut", 2)
        else:
            desk.tick(11)

        assert desk.account is not None
        assert OrderStatus.UNKNOWN is desk.account.orders[order.digest].status
        (error,) = got
        assert isinstance(error, OrderUnknown)
        assert order.digest == error.digest
        with pytest.raises(OrderUnknown):
            checked(error)

    def test_order_without_a_gateway_leaves_no_trace(self) -> None:
        """Nothing was sent, so nothing is followed and the same order may be tried again."""
        desk = make_desk(private=True)
        _, on_reply = self.answers()
        with pytest.raises(ConnectionLost, match="not connected"):
            desk.place(place(), now_ns=1, on_reply=on_reply)

        assert desk.account is not None
        assert {} == desk.account.orders

    def test_order_of_a_desk_without_an_account(self) -> None:
        """A desk that follows no account sends and answers all the same."""
        desk, order = make_desk(), place()
        desk.gateway_connected(0)
        got, on_reply = self.answers()
        desk.place(order, now_ns=1, on_reply=on_reply)
        desk.gateway_frame(frame(status="success", signature=order.signature), 2)
        desk.place(place(2), now_ns=3, on_reply=on_reply)
        desk.gateway_lost("cut", 4)

        assert [Reply, OrderUnknown] == list(map(type, got))

    @pytest.mark.parametrize("is_bare", [False, True])
    def test_batch_has_an_outcome_for_each_order(self, is_bare: bool) -> None:
        """Each order of a batch goes its own way, whichever form the answer has."""
        desk, orders = self.private(), [place(n) for n in (1, 2, 3)]
        got, on_reply = self.answers()
        desk.place_orders(sign_place_orders(orders), now_ns=1, on_reply=on_reply)
        assert ["place_orders"] == asked(desk)
        items = [
            {"digest": orders[0].digest, "error": None},
            {"digest": None, "error": "too small"},
            {"digest": None},
        ]
        answer = frame(
            status="success",
            signature=orders[0].signature,
            data=items if is_bare else {"place_orders": items},
            request_type="execute_place_orders",
        )
        assert [] == desk.gateway_frame(answer, 2)

        assert desk.account is not None
        assert [
            (OrderStatus.NEW, ""),
            (OrderStatus.REJECTED, "too small"),
            (OrderStatus.REJECTED, "no reason given"),
        ] == [(t.status, t.reason) for t in desk.account.orders.values()]
        (reply,) = got
        each = outcomes([order.digest for order in orders], checked(reply))
        assert [True, False, False] == [one.ok for one in each]
        assert orders[0].digest == messages.reply_data(each[0], "execute_place_order").digest

    def test_refused_batch(self) -> None:
        """One refusal for all; a rate limit is told besides."""
        desk, orders = self.private(), [place(n) for n in (1, 2)]
        got, on_reply = self.answers()
        desk.place_orders(sign_place_orders(orders), now_ns=1, on_reply=on_reply)
        failure = {"status": "failure", "error": "slow down", "error_code": 1000}
        told = desk.gateway_frame(frame(**failure, request_type="execute_place_orders"), 2)

        assert [Throttled(GATEWAY, "slow down")] == told
        assert desk.account is not None
        assert {OrderStatus.REJECTED} == {tracked.status for tracked in desk.account.orders.values()}
        with pytest.raises(TransientError):
            checked(got[0])

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param([{"digest": None, "error": "x"}], id="too few"),
            pytest.param([{"digest": "0x01"}, {"digest": "0x02"}], id="others"),
            pytest.param(None, id="nothing"),
            pytest.param({"orders": []}, id="something else"),
        ],
    )
    def test_batch_answered_with_nonsense_is_unknown(self, data: Any) -> None:
        """An answer that does not say what became of the orders is no answer."""
        desk, orders = self.private(), [place(n) for n in (1, 2)]
        got, on_reply = self.answers()
        desk.place_orders(sign_place_orders(orders), now_ns=1, on_reply=on_reply)
        signature = orders[0].signature
        desk.gateway_frame(frame(status="success", signature=signature, data=data), 2)

        assert desk.account is not None
        assert {OrderStatus.UNKNOWN} == {tracked.status for tracked in desk.account.orders.values()}
        assert [OrderUnknown] == list(map(type, got))

    def test_batch_in_flight_when_the_line_is_cut(self) -> None:
        """None of its orders is known."""
        desk, orders = self.private(), [place(n) for n in (1, 2)]
        got, on_reply = self.answers()
        desk.place_orders(sign_place_orders(orders), now_ns=1, on_reply=on_reply)
        desk.gateway_lost("cut", 2)

        assert desk.account is not None
        assert {OrderStatus.UNKNOWN} == {tracked.status for tracked in desk.account.orders.values()}
        assert [OrderUnknown] == list(map(type, got))

    def test_batch_with_an_order_sent_before(self) -> None:
        """It is refused whole, and nothing of it is followed; twice in one batch is the same mistake."""
        desk, first, second = self.private(), place(1), place(2)
        _, on_reply = self.answers()
        desk.place(first, now_ns=1, on_reply=on_reply)
        for orders in ([second, first], [second, second]):
            with pytest.raises(UsageError, match="new nonce"):
                desk.place_orders(sign_place_orders(orders), now_ns=2, on_reply=on_reply)

        assert desk.account is not None
        assert {first.digest} == set(desk.account.orders)

    def test_batch_of_a_desk_without_an_account(self) -> None:
        """It is sent and answered all the same."""
        desk, orders = make_desk(), [place(1)]
        desk.gateway_connected(0)
        got, on_reply = self.answers()
        desk.place_orders(sign_place_orders(orders), now_ns=1, on_reply=on_reply)
        data = [{"digest": orders[0].digest, "error": None}]
        desk.gateway_frame(frame(status="success", signature=orders[0].signature, data=data), 2)

        assert [Reply] == list(map(type, got))

    def test_replacement_is_followed(self) -> None:
        """The answer carries the signature of the placement."""
        desk, old, new = self.private(), place(1), place(2)
        both: SignedCancelAndPlace = sign_cancel_and_place(
            sign_cancel_orders(SIGNER, DOMAIN, SENDER, [4], [old.digest], 3), new
        )
        got, on_reply = self.answers()
        desk.cancel_and_place(both, now_ns=1, on_reply=on_reply)
        desk.gateway_frame(frame(status="success", signature=new.signature), 2)

        assert desk.account is not None
        assert OrderStatus.NEW is desk.account.orders[new.digest].status
        assert 1 == len(got)

    @pytest.mark.parametrize("how", ["lost", "overdue"])
    def test_unanswered_query_may_be_asked_again(self, how: str) -> None:
        """A query changes nothing, so its loss is only a failure of transport."""
        desk = self.private()
        got, on_reply = self.answers()
        desk.query(messages.SymbolsQuery(), now_ns=1, on_reply=on_reply, timeout_ns=10)
        if how == "lost":
            desk.gateway_lost("cut", 2)
        else:
            desk.tick(11)

        assert [TransportError] == list(map(type, got))

    def test_private_events_feed_the_account(self) -> None:
        """Fills, order updates and positions are applied before anybody sees them."""
        desk = self.private()
        desk.streams_connected(0)
        desk.stream_frame(ack(1), 1)
        position = frame(
            type="position_change",
            timestamp="5",
            product_id=4,
            subaccount=SENDER.hex,
            isolated=False,
            amount="3",
            v_quote_amount="-300",
            reason="match_orders",
        )
        desk.stream_frame(position, 2)

        assert desk.account is not None
        assert 3 == desk.account.position(4)

    def balances(self) -> dict[str, Any]:
        zero = {"assets": "0", "liabilities": "0", "health": "0"}
        perp = {"v_quote_balance": "-900", "last_cumulative_funding_x18": "0"}
        return {
            "subaccount": SENDER.hex,
            "exists": True,
            "healths": [zero, zero, zero],
            "health_contributions": [],
            "spot_count": 1,
            "perp_count": 2,
            "spot_balances": [{"product_id": 0, "balance": {"amount": "1000"}}],
            "perp_balances": [
                {"product_id": 4, "balance": {"amount": "9", **perp}},
                {
                    "product_id": 8,
                    "balance": {"amount": "0", "v_quote_balance": "0", "last_cumulative_funding_x18": "0"},
                },
                {"product_id": 2, "balance": {"amount": "-2", **perp}},
            ],
            "spot_products": [],
            "perp_products": [],
        }

    def test_balances_from_before_the_connection(self) -> None:
        """Asked for when both lines are up; what an event says while the answer is on its way stays."""
        desk = self.private()
        assert [] == asked(desk)
        desk.streams_connected(0)
        desk.stream_frame(ack(1), 1)
        assert ["subaccount_info"] == asked(desk)
        assert desk.account is not None
        desk.account.positions[8, False] = Position(8, 7, -70, timestamp=5)
        position = frame(
            type="position_change",
            timestamp="5",
            product_id=4,
            subaccount=SENDER.hex,
            isolated=False,
            amount="3",
            v_quote_amount="-300",
            reason="match_orders",
        )
        desk.stream_frame(position, 2)
        desk.gateway_frame(
            frame(status="success", data=self.balances(), request_type="query_subaccount_info"), 2
        )

        assert {(0, False): 1000, (2, False): -2, (4, False): 3, (8, False): 0} == {
            key: position.amount for key, position in desk.account.positions.items()
        }

    def test_balances_are_asked_again_on_a_new_gateway(self) -> None:
        """An answer that was lost, or refused, is counted, and asked for on the next connection."""
        desk = self.private()
        desk.streams_connected(0)
        desk.stream_frame(ack(1), 1)
        desk.gateway_lost("cut", 2)
        assert desk.recovery is not None
        assert 1 == desk.recovery.failures

        desk.gateway_connected(3)
        assert ["subaccount_info"] == asked(desk)

    def test_private_events_without_an_account_pass(self) -> None:
        """Anybody's fills are public; a desk without an account just hands them on."""
        desk = make_desk()
        desk.streams_connected(0)
        events: list[DeskEvent] = desk.stream_frame(
            frame(
                type="order_update", timestamp="1", product_id=4, digest="0x1", amount="0", reason="filled"
            ),
            1,
        )

        assert 1 == len(events)


def order_object(**other: Any) -> dict[str, Any]:
    return {
        "product_id": 4,
        "sender": SENDER.hex,
        "price_x18": "100",
        "amount": str(E18),
        "expiration": "1",
        "order_type": "default",
        "nonce": "1",
        "appendix": "1",
        "unfilled_amount": str(E18),
        "placed_at": 1,
    } | other


class TestCancels:
    """Requests to cancel, and what they say about orders."""

    def cancelling(self) -> tuple[Desk, SignedOrder, list[Reply | NadowsError]]:
        desk, order = make_desk(private=True), place()
        desk.gateway_connected(0)
        got: list[Reply | NadowsError] = []
        desk.place(order, now_ns=1, on_reply=got.append)
        desk.gateway_frame(
            frame(status="success", signature=order.signature, data={"digest": order.digest}), 2
        )
        got.clear()
        desk.execute(
            b"{}",
            request_type="execute_cancel_orders",
            signature="0xcancel",
            cancels=(order.digest, "0xstranger"),
            now_ns=3,
            on_reply=got.append,
        )
        assert desk.account is not None
        assert OrderStatus.PENDING_CANCEL is desk.account.orders[order.digest].status
        return desk, order, got

    def status(self, desk: Desk, order: SignedOrder) -> OrderStatus:
        assert desk.account is not None
        return desk.account.orders[order.digest].status

    def test_answer_says_what_was_cancelled(self) -> None:
        """No event need come for it; orders of other subaccounts are none of ours."""
        desk, order, got = self.cancelling()
        cancelled = [order_object(digest=order.digest), order_object(digest="0x2", sender="0xother")]
        answer = {"status": "success", "signature": "0xcancel", "request_type": "execute_cancel_orders"}
        desk.gateway_frame(frame(**answer, data={"cancelled_orders": cancelled}), 4)

        assert OrderStatus.CANCELED is self.status(desk, order)
        assert 1 == len(got)

    @pytest.mark.parametrize("data", [{"cancelled_orders": 7}, None])
    def test_answer_that_says_nothing(self, data: Any) -> None:
        """The order waits for its event."""
        desk, order, got = self.cancelling()
        answer = {"status": "success", "signature": "0xcancel", "request_type": "execute_cancel_orders"}
        desk.gateway_frame(frame(**answer, data=data), 4)

        assert OrderStatus.PENDING_CANCEL is self.status(desk, order)
        assert 1 == len(got)

    def test_refusal(self) -> None:
        """The order is open as before."""
        desk, order, _ = self.cancelling()
        desk.gateway_frame(frame(status="failure", signature="0xcancel", error="no", error_code=2020), 4)

        assert OrderStatus.NEW is self.status(desk, order)

    def test_lost_answer(self) -> None:
        """What became of the order is found out."""
        desk, _, got = self.cancelling()
        desk.gateway_lost("cut", 4)
        assert isinstance(got[0], OrderUnknown)
        assert desk.recovery is not None
        assert 1 == desk.recovery.in_doubt


class TestManners:
    """Leaving the venue alone when it has enough."""

    def refuse(self, desk: Desk, now_ns: int) -> list[DeskEvent]:
        refusal = {"status": "failure", "error": "slow down", "error_code": 1000}
        return desk.gateway_frame(frame(**refusal, request_type="query_market_liquidity"), now_ns)

    def test_rate_limit_is_told_once_and_heeded(self) -> None:
        """No question of our own until the pause is over; each further refusal makes it longer."""
        desk, calm = with_book(), Timings().calm_ns
        assert [Throttled(GATEWAY, "slow down")] == self.refuse(desk, 2)
        assert [] == asked(desk)
        desk.tick(2 + calm)
        assert ["market_liquidity"] == asked(desk)
        assert [] == self.refuse(desk, 2 + calm)
        desk.tick(2 + 2 * calm)
        assert [] == asked(desk)
        desk.tick(2 + 3 * calm)
        assert ["market_liquidity"] == asked(desk)
        desk.gateway_frame(liquidity(15), 3 + 3 * calm)
        assert (1, True) == (desk.throttled, desk.books[4].is_live)

    def test_refusals_within_a_pause_count_once(self) -> None:
        """Several requests were on their way."""
        desk = with_book()
        desk.query(
            messages.MarketLiquidityQuery(product_id=8, depth=1), now_ns=2, on_reply=lambda reply: None
        )
        self.refuse(desk, 3)
        until = desk._calm_until_ns
        self.refuse(desk, 4)

        assert until == desk._calm_until_ns

    def test_own_questions_leave_room_for_the_users(self) -> None:
        """A book that breaks for ever does not use up the address's limit."""
        desk = with_book()
        for now in range(2, 1_000):
            desk.gateway_frame(liquidity(15, bids=[["102", "1"]]), now)
            desk.bookkeeper._care[4].not_before_ns = 0
        assert 100 == desk.snapshots

    def test_clients_of_an_address_share_what_they_ask(self) -> None:
        """Each has its part; a question heavier than that goes alone instead of never."""
        desk = Desk(rng=random.Random(5), clients=20)
        desk.gateway_connected(0)
        heavy = messages.OrdersQuery("0x" + "11" * 32, tuple(range(9)))
        answered: list[object] = []
        assert 0 == desk._ask(heavy, 1, answered.append)
        light = messages.StatusQuery()
        wait_ns = desk._ask(light, 1, answered.append)
        assert wait_ns > 10**10
        assert ["orders"] == asked(desk)
        assert 0 == desk._ask(light, 1 + wait_ns, answered.append)

    @pytest.mark.parametrize("code", [1000, 1015])
    def test_refusals_are_handed_on_at_once(self, code: int) -> None:
        """Every one of them: whoever keeps the users' limits must know what was refused, and when."""
        heard: list[tuple[str | None, int, int]] = []
        desk = Desk(rng=random.Random(5), on_refused=lambda *what: heard.append(what))
        desk.gateway_connected(0)
        for now_ns in (1, 2):
            desk.query(messages.StatusQuery(), now_ns=now_ns, on_reply=lambda reply: None)
            refusal = {"status": "failure", "error": "slow down", "error_code": code}
            desk.gateway_frame(frame(**refusal, request_type="query_status"), now_ns)

        assert [("query_status", code, 1), ("query_status", code, 2)] == heard
        assert 1 == desk.throttled

    def test_without_an_account_the_archive_is_not_asked(self) -> None:
        """There is nothing to find out; what comes is ignored."""
        desk = make_desk()
        assert [] == desk.archive_requests()
        assert [] == desk.archive_frame(b"{}", 1) == desk.archive_lost("cut", 2)

    def test_archive_that_is_lost_is_asked_again(self) -> None:
        """What the archive was asked is asked anew after a pause."""
        desk = make_desk(private=True)
        desk.streams_connected(0)
        desk.tick(0)
        assert 1 == len(desk.archive_requests())
        desk.archive_lost("cut", 1)
        assert [] == desk.archive_requests()
        due = desk.next_deadline()
        assert due is not None
        desk.tick(due)
        assert 1 == len(desk.archive_requests())
        assert desk.state_hash() == desk.state_hash()

    def test_fills_of_others_are_handed_on(self) -> None:
        """Anybody's fills may be watched; they touch no account and are not held back."""
        desk = make_desk()
        desk.streams_connected(0)
        fill = frame(
            type="fill",
            timestamp="5",
            product_id=4,
            subaccount="0xother",
            order_digest="0x1",
            appendix="1",
            filled_qty="1",
            remaining_qty="9",
            original_qty="10",
            price="100",
            is_taker=False,
            is_bid=True,
            fee="0",
            submission_idx=7,
        )
        assert [messages.Fill] == [type(event) for event in desk.stream_frame(fill, 1)]

    def test_lines_are_cut(self) -> None:
        """A refused authentication, an overdue acknowledgement or query: the line is to be closed, once."""
        desk = make_desk(private=True)
        desk.streams_connected(0)
        desk.stream_frame(frame(result=None, error="bad signature", id=1), 1)
        assert {STREAMS} == set(desk.lines_to_cut())
        assert {} == desk.lines_to_cut()
        desk = with_book()
        desk.tick(1 + Timings().request_ns)
        assert {GATEWAY} == set(desk.lines_to_cut())


class TestAudits:
    """Comparing live books with the venue's."""

    def audited(self) -> tuple[Desk, int]:
        desk = with_book()
        desk.gateway_frame(liquidity(15), 2)
        due = 2 + Timings().audit_ns
        assert due - 2 == Timings().audit_ns
        desk.tick(due)
        assert ["market_liquidity"] == asked(desk)
        return desk, due

    def test_equal(self) -> None:
        """Nothing is told, and the next one is a while away."""
        desk, due = self.audited()
        assert [] == desk.gateway_frame(liquidity(15), due + 1)
        assert (1, 0, True) == (desk.bookkeeper.audits, desk.bookkeeper.drifts, desk.books[4].is_live)
        # The answer of a comparison that was decided is nobody's.
        desk.bookkeeper._judge(desk.books[4], desk.bookkeeper._care[4])

    def test_drift(self) -> None:
        """The book is given up, that is told, and a snapshot is asked for."""
        desk, due = self.audited()
        told = desk.gateway_frame(liquidity(15, bids=[["98", "1"]]), due + 1)
        assert [BookDrifted(4, 15), BookChanged(4, BookState.SYNCING)] == told
        assert ["market_liquidity"] == asked(desk)

    def test_behind_for_too_long(self) -> None:
        """The venue's book has moved on, and no update says so."""
        desk, due = self.audited()
        desk.gateway_frame(liquidity(20), due + 1)
        assert desk.books[4].is_live
        told = desk.tick(due + Timings().audit_patience_ns)
        assert [BookDrifted(4, 15), BookChanged(4, BookState.SYNCING)] == told

    def test_no_answer(self) -> None:
        """Proves nothing; the late answer is ignored."""
        desk, due = self.audited()
        assert [] == desk.tick(due + Timings().audit_patience_ns)
        assert desk.books[4].is_live
        assert [] == desk.gateway_frame(liquidity(20), due + Timings().audit_patience_ns + 1)

    def test_refused(self) -> None:
        """Proves nothing either."""
        desk, due = self.audited()
        refusal = {"status": "failure", "error": "no", "error_code": 2015}
        desk.gateway_frame(frame(**refusal, request_type="query_market_liquidity"), due + 1)
        assert desk.books[4].is_live
        assert [] == desk.tick(due + Timings().audit_patience_ns)

    def test_book_that_breaks_meanwhile(self) -> None:
        """It is asked for anew; the comparison is void."""
        desk, due = self.audited()
        desk.stream_frame(depth(0, 20), due + 1)
        told = desk.stream_frame(depth(25, 30), due + 2)
        assert BookGapped(4, 20) in told

    def test_update_that_joins(self) -> None:
        """A book behind the snapshot catches up and is compared then."""
        desk, due = self.audited()
        desk.gateway_frame(liquidity(20, bids=[["99", "2"]]), due + 1)
        desk.stream_frame(depth(15, 20, bids=[["99", "2"]]), due + 2)
        assert [] == desk.tick(due + Timings().audit_patience_ns)
        assert (0, True) == (desk.bookkeeper.drifts, desk.books[4].is_live)

    def test_loss_ends_a_comparison(self) -> None:
        """Nothing is known any more."""
        desk, due = self.audited()
        desk.streams_lost("cut", due + 1)
        assert [] == desk.gateway_frame(liquidity(15), due + 2)

    def test_no_room(self) -> None:
        """A comparison waits like every question of our own."""
        desk = with_book()
        desk.gateway_frame(liquidity(15), 2)
        due = 2 + Timings().audit_ns
        desk._calm_until_ns = due + 5
        desk.tick(due)
        assert [] == asked(desk)
        desk.tick(due + 5)
        assert ["market_liquidity"] == asked(desk)


def test_a_journal_needs_an_account() -> None:
    """A desk for market data has nothing to restore."""
    with pytest.raises(UsageError, match="connect with a signer"):
        Desk(rng=random.Random(1)).restore((), 0)
