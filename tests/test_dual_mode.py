"""The desk while a line stays away: what is asked over REST, what follows from it, and the take-over."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from nadows.book import BookState
from nadows.desk import (
    GATEWAY,
    STREAMS,
    BookChanged,
    BookPolled,
    Degraded,
    Desk,
    DeskEvent,
    Disconnected,
    Reconnected,
)
from nadows.errors import ConnectionLost, NadowsError, TransportError
from nadows.messages import Reply, StatusQuery, Stream
from nadows.timings import Timings

SECOND = 10**9
OWN = "0x" + "11" * 32
TIMINGS = Timings()
LIMIT = TIMINGS.poll_after_ns
REFUSED = b'{"status":"failure","error":"slow","error_code":1000,"request_type":"query_market_liquidity"}'


def liquidity(taken: int, product: int = 4) -> bytes:
    data = {"bids": [["99", "1"]], "asks": [["101", "1"]], "product_id": product, "timestamp": str(taken)}
    answer = {"status": "success", "data": data, "request_type": "query_market_liquidity"}
    return json.dumps(answer).encode()


def live(*products: int, private: bool = False) -> Desk:
    """Both lines up, the books of these products LIVE at 15."""
    desk = Desk(subaccount=OWN if private else None, rng=random.Random(1))
    for product in products:
        desk.subscribe(Stream.book_depth(product), 0)
    desk.gateway_connected(0)
    desk.streams_connected(0)
    restore(desk, 0)
    for product in products:
        desk.gateway_frame(liquidity(15, product), 1)
    if private:
        desk.gateway_frame(balances(1), 1)
    sent(desk)
    return desk


def restore(desk: Desk, now_ns: int) -> list[DeskEvent]:
    """Acknowledge everything."""
    told = []
    for request in desk.streams.frames_to_send():
        told += desk.stream_frame(json.dumps({"result": None, "id": json.loads(request)["id"]}), now_ns)
    return told


def sent(desk: Desk) -> list[str]:
    """What the gateway socket is asked now, by type."""
    return [json.loads(request)["type"] for request in desk.gateway.frames_to_send()]


def posted(desk: Desk) -> list[Any]:
    """What is asked over REST now, by type and product."""
    asked = [json.loads(body) for body in desk.rest_requests()]
    return [(each["type"], each.get("product_id")) for each in asked]


def degraded(*products: int, private: bool = False) -> Desk:
    """The streams have been away for the limit since 0."""
    desk = live(*products, private=private)
    desk.streams_lost("cut", 0)
    desk.tick(LIMIT)
    return desk


def balances(amount: int) -> bytes:
    zero = {"assets": "0", "liabilities": "0", "health": "0"}
    held = {"amount": str(amount), "v_quote_balance": "0", "last_cumulative_funding_x18": "0"}
    data = {
        "subaccount": OWN,
        "exists": True,
        "healths": [zero, zero, zero],
        "health_contributions": [],
        "spot_count": 0,
        "perp_count": 1,
        "spot_balances": [],
        "perp_balances": [{"product_id": 4, "balance": held}],
        "spot_products": [],
        "perp_products": [],
    }
    answer = {"status": "success", "data": data, "request_type": "query_subaccount_info"}
    return json.dumps(answer).encode()


class TestBooks:
    """Books while the streams stay away."""

    def test_a_book_is_polled_after_the_limit_and_not_before(self) -> None:
        """STALE at the loss; asked for when the line is degraded, and POLLED with the answer."""
        desk = live(4)
        assert [BookChanged(4, BookState.STALE), Disconnected(STREAMS, "cut")] == desk.streams_lost("cut", 5)
        assert LIMIT + 5 == desk.next_deadline()
        assert [] == desk.tick(LIMIT + 4)
        assert [] == posted(desk)

        assert [Degraded(STREAMS, 5)] == desk.tick(LIMIT + 5)
        assert [("market_liquidity", 4)] == posted(desk)
        assert [] == sent(desk)
        told = desk.rest_frame(liquidity(20), LIMIT + 6)
        assert [BookChanged(4, BookState.POLLED), BookPolled(4, 20)] == told
        assert not desk.books[4].is_live

    def test_a_polled_book_is_asked_for_again_and_again(self) -> None:
        """About once in the time that is set; each answer is told, also if nothing has changed."""
        desk = degraded(4)
        asked_ns = LIMIT
        for taken in (20, 20, 30):
            assert [("market_liquidity", 4)] == posted(desk)
            assert BookPolled(4, taken) in desk.rest_frame(liquidity(taken), asked_ns + 1)
            due_ns = desk.next_deadline()
            assert due_ns is not None
            assert TIMINGS.poll_ns * 3 // 4 <= due_ns - asked_ns <= TIMINGS.poll_ns * 5 // 4
            asked_ns = due_ns
            desk.tick(due_ns)
        assert 4 == desk.bookkeeper.polls

    def test_many_books_leave_room_for_their_snapshots(self) -> None:
        """However many are kept, they take their share and no more; and none is given up for that."""
        products = range(1, 41)
        desk = degraded(*products)
        polls = 0
        for now_ns in range(LIMIT, LIMIT + 50 * SECOND, SECOND // 20):
            desk.tick(now_ns)
            for body in desk.rest_requests():
                polls += now_ns >= LIMIT + 40 * SECOND
                desk.rest_frame(liquidity(20, json.loads(body)["product_id"]), now_ns)
        assert 20 <= polls <= 10 * SECOND // TIMINGS.poll_weight_ns + 5
        assert {BookState.POLLED} == {book.state for book in desk.books.values()}

    def test_an_older_answer_is_no_news(self) -> None:
        """A copy that trails takes nothing back, not even what was known before the loss."""
        desk = degraded(4)
        posted(desk)
        assert [] == desk.rest_frame(liquidity(14), LIMIT + 1)
        assert (1, 15) == (desk.failed_snapshots, desk.books[4].max_timestamp)

    def test_a_polled_book_that_gets_no_answers_is_stale(self) -> None:
        """It says what it does not know any more, though it is asked for still."""
        desk = degraded(4)
        posted(desk)
        desk.rest_frame(liquidity(20), LIMIT)
        too_old_ns = LIMIT + TIMINGS.poll_ns + TIMINGS.poll_patience_ns
        told: list[DeskEvent] = []
        while (due_ns := desk.next_deadline()) is not None and due_ns <= too_old_ns:
            told += desk.tick(due_ns)
            if posted(desk):
                told += desk.rest_lost("no answer in time", due_ns)
        assert [BookChanged(4, BookState.STALE)] == told
        assert desk.polling.failures >= 3
        assert desk.bookkeeper.is_polling

    def test_unsubscribing_ends_the_polling(self) -> None:
        """Nobody wants the book any more."""
        desk = degraded(4)
        posted(desk)
        desk.rest_frame(liquidity(20), LIMIT)
        assert desk.unsubscribe(Stream.book_depth(4), LIMIT + 1)
        assert BookState.STALE is desk.books[4].state
        desk.tick(LIMIT + 10 * SECOND)
        assert [] == posted(desk)

    def test_an_answer_that_was_asked_for_before_the_loss_is_no_poll(self) -> None:
        """Unless the line is degraded a book without a stream is STALE."""
        desk = live(4)
        desk.streams_lost("cut", 5)
        desk.streams_connected(6)
        restore(desk, 7)
        assert ["market_liquidity"] == sent(desk)
        desk.streams_lost("cut", 8)
        assert [] == desk.gateway_frame(liquidity(30), 9)
        assert BookState.STALE is desk.books[4].state


class TestTakeOver:
    """The socket is back."""

    def test_polling_ends_when_everything_is_restored(self) -> None:
        """The book begins with the stream: subscribed first, the snapshot after, over the socket."""
        desk = degraded(4)
        posted(desk)
        desk.rest_frame(liquidity(20), LIMIT)
        now_ns = LIMIT + SECOND // 10
        assert [BookChanged(4, BookState.SYNCING)] == desk.streams_connected(now_ns)
        assert {STREAMS: 0} == desk.polling.degraded
        assert Reconnected(STREAMS, now_ns) in restore(desk, now_ns)

        assert {} == desk.polling.degraded
        desk.tick(now_ns + SECOND // 5)
        assert ["market_liquidity"] == sent(desk)
        assert [BookChanged(4, BookState.LIVE)] == desk.gateway_frame(liquidity(40), now_ns + SECOND // 5)
        desk.tick(now_ns + 20 * SECOND)
        assert [] == posted(desk)

    def test_an_answer_that_comes_after_the_take_over_is_not_taken(self) -> None:
        """It was asked for before the subscription: it may miss what came between."""
        desk = degraded(4)
        assert [("market_liquidity", 4)] == posted(desk)
        desk.streams_connected(LIMIT + 1)
        assert [] == desk.rest_frame(liquidity(20), LIMIT + 2)
        assert (BookState.SYNCING, 15) == (desk.books[4].state, desk.books[4].max_timestamp)

        desk = degraded(4)
        assert [("market_liquidity", 4)] == posted(desk)
        desk.streams_connected(LIMIT + 1)
        restore(desk, LIMIT + 2)
        desk.tick(LIMIT + SECOND)
        desk.gateway_frame(liquidity(40), LIMIT + SECOND)
        assert [] == desk.rest_frame(liquidity(20), LIMIT + SECOND + 1)
        assert (BookState.LIVE, 40) == (desk.books[4].state, desk.books[4].max_timestamp)

    def test_the_gateway_that_is_lost_at_the_take_over_is_not_asked(self) -> None:
        """Neither way is open then; what is wanted is asked for when it comes back."""
        desk = degraded(4)
        desk.gateway_lost("cut", LIMIT + 1)
        desk.streams_connected(LIMIT + 2)
        restore(desk, LIMIT + 3)
        assert ({}, False) == (desk.polling.degraded, desk.bookkeeper.is_up)
        desk.tick(LIMIT + SECOND)
        assert ([], []) == (posted(desk), sent(desk))
        desk.gateway_connected(LIMIT + SECOND)
        assert ["market_liquidity"] == sent(desk)


class TestAccount:
    """One's own orders, fills and balances meanwhile."""

    def test_everything_is_asked_for_all_the_time(self) -> None:
        """Balances over REST and fills from the archive, at once and then as often as is set."""
        desk = live(private=True)
        begin = 20 * SECOND
        desk.streams_lost("cut", begin - LIMIT)
        asked: dict[str, list[int]] = {"matches": [], "subaccount_info": []}
        for now_ns in range(SECOND, begin + 4 * SECOND, SECOND // 10):
            desk.tick(now_ns)
            for _ in desk.archive_requests():
                asked["matches"].append(now_ns - begin)
                desk.archive_frame(b'{"matches":[],"txs":[]}', now_ns)
            sent(desk)
            desk.gateway_frame(balances(1), now_ns)
            for kind, _ in posted(desk):
                asked[kind].append(now_ns - begin)
                desk.rest_frame(balances(2 + now_ns // SECOND), now_ns)

        assert [0, SECOND, 2 * SECOND, 3 * SECOND] == [at for at in asked["matches"] if at >= 0]
        assert [0, SECOND, 2 * SECOND, 3 * SECOND] == asked["subaccount_info"]
        assert desk.account is not None
        assert 2 + 23 == desk.account.position(4)

    def test_balances_that_come_after_the_take_over_are_not_taken(self) -> None:
        """They may be older than an event; they are asked for again."""
        desk = degraded(private=True)
        assert [("subaccount_info", None)] == posted(desk)
        desk.streams_connected(LIMIT + SECOND)
        restore(desk, LIMIT + SECOND)
        assert ["subaccount_info"] == sent(desk)
        desk.rest_frame(balances(7), LIMIT + 2 * SECOND)
        assert desk.account is not None
        assert 1 == desk.account.position(4)

    def test_the_take_over_ends_the_haste(self) -> None:
        """Fills are looked for as after any reconnect, and then as seldom as before."""
        desk = degraded(private=True)
        assert desk.recovery is not None
        assert TIMINGS.poll_ns == desk.recovery._every_ns
        desk.streams_connected(LIMIT + 1)
        restore(desk, LIMIT + 2)
        assert TIMINGS.reconcile_ns == desk.recovery._every_ns


class TestGatewayAway:
    """The streams go on, the gateway socket stays away."""

    def test_snapshots_come_over_rest(self) -> None:
        """A book that breaks is whole again, and LIVE, without the gateway socket; nothing is polled."""
        desk = live(4)
        desk.gateway_lost("cut", 1)
        assert [Degraded(GATEWAY, 1)] == desk.tick(LIMIT + 1)
        desk.books[4].distrust()
        desk.bookkeeper.tend(LIMIT + 2)
        assert [("market_liquidity", 4)] == posted(desk)
        assert [BookChanged(4, BookState.LIVE)] == desk.rest_frame(liquidity(20), LIMIT + 3)
        assert 0 == desk.bookkeeper.polls

        assert [Reconnected(GATEWAY, LIMIT + 3)] == desk.gateway_connected(LIMIT + 4)
        assert {} == desk.polling.degraded

    def test_a_users_question_goes_over_rest(self) -> None:
        """As soon as the line is degraded; before that it is refused, as nothing can be sent."""
        desk, got = live(), list[Reply | NadowsError]()
        desk.gateway_lost("cut", 1)
        with pytest.raises(ConnectionLost, match="not connected"):
            desk.query(StatusQuery(), now_ns=2, on_reply=got.append)
        desk.tick(LIMIT + 1)
        desk.query(StatusQuery(), now_ns=LIMIT + 2, on_reply=got.append)
        assert [("status", None)] == posted(desk)
        desk.rest_frame(b'{"status":"success","data":"active","request_type":"query_status"}', LIMIT + 3)
        desk.query(StatusQuery(), now_ns=LIMIT + 4, on_reply=got.append)
        assert [("status", None)] == posted(desk)
        desk.gateway_connected(LIMIT + 5)

        assert [Reply, TransportError] == [type(each) for each in got]

    def test_orders_are_never_sent_over_rest(self) -> None:
        """A request that could be doubled is refused, and nothing is posted."""
        desk = live()
        desk.gateway_lost("cut", 1)
        desk.tick(LIMIT + 1)
        with pytest.raises(ConnectionLost, match="not connected"):
            desk.execute(
                b"{}", request_type="execute_place_order", signature="0x", now_ns=LIMIT + 2, on_reply=print
            )
        assert [] == posted(desk)


class TestManners:
    """The address has one limit, whichever way it is spent."""

    def test_a_limit_that_was_exceeded_is_heeded(self) -> None:
        """Told as for the socket; nothing of our own is asked until the pause is over."""
        desk = degraded(4)
        posted(desk)
        told = desk.rest_frame(REFUSED, LIMIT)
        assert ["Throttled"] == [type(event).__name__ for event in told]
        desk.tick(LIMIT + TIMINGS.calm_ns - 1)
        assert [] == posted(desk)
        desk.tick(LIMIT + TIMINGS.calm_ns)
        assert [("market_liquidity", 4)] == posted(desk)

    def test_rest_that_fails_is_left_alone_and_the_socket_asked(self) -> None:
        """As long as the gateway socket is there, it is the other way."""
        desk = degraded(4)
        for turn in range(3):
            now_ns = LIMIT + turn * 2 * SECOND
            desk.tick(now_ns)
            if posted(desk):
                desk.rest_lost("no answer in time", now_ns)
        desk.polling._calm_until_ns = LIMIT + 30 * SECOND
        desk.tick(LIMIT + 8 * SECOND)
        assert [] == posted(desk)
        assert ["market_liquidity"] == sent(desk)
        assert BookPolled(4, 20) in desk.gateway_frame(liquidity(20), LIMIT + 8 * SECOND)

    def test_with_neither_way_it_waits(self) -> None:
        """Until REST may be asked again."""
        desk = degraded(4)
        desk.gateway_lost("cut", LIMIT)
        posted(desk)
        desk.rest_lost("no answer in time", LIMIT)
        desk.polling._calm_until_ns = LIMIT + 4 * SECOND
        desk.tick(LIMIT + 2 * SECOND)
        assert [] == posted(desk)
        assert desk.bookkeeper.is_up
        desk.tick(LIMIT + 4 * SECOND)
        assert [("market_liquidity", 4)] == posted(desk)

    def test_polling_counts_against_the_limit_of_the_address(self) -> None:
        """What the desk asks by itself stays within its share, however often it is due."""
        desk = degraded(4)
        assert 0 == desk._own_limit.try_spend(98, LIMIT)
        posted(desk)
        desk.rest_frame(liquidity(20), LIMIT)
        desk.tick(LIMIT + 2 * SECOND)
        assert [] == posted(desk)
