"""What a client was not told, and how it finds out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nadows.account import FINAL, Account, OrderStatus, TrackedOrder
from nadows.errors import NadowsError, TransportError
from nadows.messages import (
    Fill,
    LateFill,
    OrderQuery,
    OrdersQuery,
    PositionChange,
    Query,
    Reply,
    SubaccountInfoQuery,
)
from nadows.messages.wire import decoder, encode
from nadows.recovery import ARCHIVE, FillsBackfilled, OrderSettled, Recovery, RecoveryNews
from nadows.session import OnReply
from nadows.throttle import Throttled
from nadows.timings import Timings
from nadows.units import X18, Nanos

SUB = "0x" + "11" * 32
DIGEST = "0x" + "d1" * 32
SECOND = 10**9
TIMINGS = Timings(page=2, after_reconnect_ns=(0,))
_FILL = decoder(Fill)
_REPLY = decoder(Reply)


class Bench:
    """A recovery with its surroundings: what it asks, what it tells."""

    def __init__(self, timings: Timings = TIMINGS) -> None:
        self.account = Account(SUB)
        self.asked: list[tuple[Query, OnReply]] = []
        self.told: list[RecoveryNews] = []
        self.wait_ns = 0
        self.recovery = Recovery(self.account, self._ask, self.told.append, timings)

    def _ask(self, query: Query, now_ns: int, on_reply: OnReply) -> int:
        if not self.wait_ns:
            self.asked.append((query, on_reply))
        return self.wait_ns

    def answer(self, kind: type[Any], **members: Any) -> None:
        """Answer the oldest question of a kind."""
        self.reply(kind, _REPLY.decode(json.dumps({"status": "success", **members}).encode()))

    def reply(self, kind: type[Any], reply: Reply | NadowsError) -> None:
        at = next(number for number, (query, _) in enumerate(self.asked) if isinstance(query, kind))
        self.asked.pop(at)[1](reply)

    def request(self) -> Any:
        """The one request to the archive."""
        (body,) = self.recovery.requests()
        return json.loads(body)

    def page(self, now_ns: int, *rows: dict[str, Any]) -> None:
        """Answer it with matches."""
        txs = [tx(int(row["submission_idx"])) for row in rows]
        self.recovery.archive_answered(json.dumps({"matches": rows, "txs": txs}).encode(), now_ns)

    def sent(self, qty: int = 10, now_ns: int = 0) -> None:
        """Register an order that was sent from here."""
        self.account.sent(DIGEST, product_id=4, price=100, amount=qty, client_id=9, now_ns=now_ns)

    def kinds(self) -> list[type[Any]]:
        """What is asked of the gateway."""
        return [type(query) for query, _ in self.asked]


def match(idx: int, *, digest: str = DIGEST, buy: bool = True, qty: int = 2) -> dict[str, Any]:
    """One own match at price 100, with a fee of 7."""
    sign = 1 if buy else -1
    zero = [
        "sequencer_fee",
        "cumulative_fee",
        "cumulative_quote_filled",
        "net_entry_unrealized",
        "net_entry_cumulative",
        "closed_amount",
        "realized_pnl",
        "builder_fee",
        "closed_net_entry",
    ]
    held = {"amount": "0", "v_quote_balance": "0", "last_cumulative_funding_x18": "0"}
    balance = {"base": {"perp": {"product_id": 4, "balance": held}}, "quote": None}
    order = {"sender": SUB, "priceX18": "120", "amount": str(sign * 10), "expiration": "1", "nonce": "1"}
    e18 = 10**18
    return {
        **dict.fromkeys(zero, "0"),
        "digest": digest,
        "order": order | {"appendix": "1"},
        "base_filled": str(sign * qty * e18),
        "quote_filled": str(-sign * 100 * qty * e18 - 7),
        "cumulative_base_filled": str(sign * qty),
        "fee": "7",
        "pre_balance": balance,
        "post_balance": balance,
        "submission_idx": str(idx),
        "isolated": False,
        "is_taker": False,
        "margin": None,
    }


def tx(idx: int) -> dict[str, Any]:
    order = {"sender": SUB, "priceX18": "1", "amount": "1", "expiration": 1, "nonce": 1, "appendix": "1"}
    signed = {"order": order, "signature": "0x"}
    body = {"match_orders": {"product_id": 4, "amm": True, "taker": signed, "maker": signed}}
    return {"tx": body, "submission_idx": str(idx), "timestamp": "1700000000"}


def fill(idx: int, digest: str = DIGEST) -> Fill:
    """A fill as the stream tells it."""
    read: Fill = _FILL.decode(
        json.dumps(
            {
                "type": "fill",
                "timestamp": "5",
                "product_id": 4,
                "subaccount": SUB,
                "order_digest": digest,
                "appendix": "1",
                "filled_qty": "1",
                "remaining_qty": "9",
                "original_qty": "10",
                "price": "100",
                "is_taker": False,
                "is_bid": True,
                "fee": "0",
                "submission_idx": idx,
            }
        ).encode()
    )
    return read


def begun(newest: int = 5) -> Bench:
    """Connected, and the archive stands at an index."""
    bench = Bench()
    bench.recovery.begun(0)
    bench.recovery.tend(0)
    assert {"subaccounts": [SUB], "limit": 2} == bench.request()["matches"]
    bench.page(1, match(newest, digest="0xforeign"))
    assert newest == bench.recovery.verified
    return bench


def reconnected(newest: int = 5, now_ns: int = 10 * SECOND) -> Bench:
    """The same, after a reconnect; the archive has been asked."""
    bench = begun(newest)
    bench.recovery.lost()
    bench.recovery.restored(now_ns)
    bench.recovery.tend(now_ns)
    return bench


class TestFills:
    """Finding lost fills."""

    def test_history_is_not_news(self) -> None:
        """What was traded before the client came is where it starts from, and is not delivered."""
        bench = begun()
        assert [] == bench.told
        bench.recovery.begun(2)
        bench.recovery.tend(2)
        assert [] == bench.recovery.requests()

    def test_own_fills_are_delivered_even_if_the_archive_is_asked_late(self) -> None:
        """An order sent from here is news whenever it was filled; the walk goes on while it finds such."""
        bench = Bench()
        bench.sent()
        bench.recovery.begun(0)
        bench.recovery.tend(0)
        bench.request()
        bench.page(1, match(9), match(8))
        assert "8" == str(bench.request()["matches"]["idx"])
        bench.page(2, match(8), match(7, digest="0xforeign"))
        assert "7" == str(bench.request()["matches"]["idx"])
        bench.page(3, match(7, digest="0xforeign"), match(6, digest="0xforeign"))

        assert [8, 9] == [event.index for event in bench.told if isinstance(event, Fill)]
        assert FillsBackfilled(2, 8, 9) == bench.told[-1]

    @pytest.mark.parametrize("buy", [True, False])
    def test_late_fill_is_told_as_the_stream_would(self, buy: bool) -> None:
        """Price without the fee, quantities, side, second; marked as late."""
        bench = reconnected()
        bench.sent(10 if buy else -10)
        bench.request()
        bench.page(11 * SECOND, match(6, buy=buy))
        late = bench.told[0]
        assert isinstance(late, LateFill)
        assert (late.source, late.price, late.fee, late.is_bid) == ("backfill", 100 * 10**18, 7, buy)
        assert (late.filled_qty, late.product_id, late.timestamp, late.id) == (
            2 * 10**18,
            4,
            1_700_000_000 * 10**9,
            9,
        )
        assert b'"type":"fill"' in encode(late)
        assert "stream" == fill(1).source

    def test_fills_of_strangers_have_no_client_id(self) -> None:
        """Another session of the same wallet trades too."""
        bench = reconnected()
        bench.request()
        bench.page(11 * SECOND, match(6, digest="0xother"))

        assert [6] == [event.index for event in bench.told if isinstance(event, Fill)]

    def test_new_fills_wait_for_lost_ones(self) -> None:
        """After a reconnect fills are held until the archive has confirmed all before them."""
        bench = reconnected()
        assert not bench.recovery.take(fill(8))
        assert not bench.recovery.take(fill(8))
        bench.request()
        bench.page(10 * SECOND + 5, match(8), match(7))
        bench.request()
        bench.page(10 * SECOND + 5, match(7), match(6))
        bench.request()
        bench.page(10 * SECOND + 5, match(6), match(5, digest="0xforeign"))

        told = [(event.index, event.source) for event in bench.told if isinstance(event, Fill)]
        assert [(6, "backfill"), (7, "backfill"), (8, "stream")] == told
        assert bench.recovery.take(fill(8))
        assert 1 == bench.recovery.held

    def test_failed_order_query_leaves_the_fills_alone(self) -> None:
        """Only a walk that is under way starts over."""
        bench = begun()
        bench.sent()
        bench.recovery.gateway_connected(0)
        bench.recovery.doubt(DIGEST, 0)
        bench.recovery.tend(2)
        bench.reply(OrderQuery, _REPLY.decode(b'{"status":"failure","error":"gone","error_code":2020}'))
        bench.recovery.tend(3)
        assert "orders" in bench.request()
        bench.recovery.archive_lost(4)

        assert (1, 5) == (bench.recovery.failures, bench.recovery.verified)

    def test_holding_is_bounded(self) -> None:
        """An archive that does not answer delays nothing for longer than the bound."""
        bench = reconnected()
        assert not bench.recovery.take(fill(9))
        bench.request()
        until = 10 * SECOND + TIMINGS.hold_ns
        assert until == bench.recovery.next_deadline()
        bench.recovery.tend(until)

        assert [9] == [event.index for event in bench.told if isinstance(event, Fill)]
        assert bench.recovery.take(fill(10))

    def test_held_fill_that_became_known_is_not_told_again(self) -> None:
        """However it became known."""
        bench = reconnected()
        assert not bench.recovery.take(fill(9))
        bench.account.apply(fill(9))
        bench.recovery.tend(10 * SECOND + TIMINGS.hold_ns)

        assert [] == bench.told

    def test_repeats_are_not_told_again(self) -> None:
        """What the stream delivered, the archive shows again."""
        bench = reconnected()
        bench.account.apply(fill(6))
        bench.request()
        bench.page(11 * SECOND, match(6))

        assert [] == bench.told

    def test_pages_that_do_not_join_start_over(self) -> None:
        """A page from a copy that trails could hide what lies between."""
        bench = reconnected()
        bench.request()
        bench.page(11 * SECOND, match(20), match(19))
        bench.request()
        bench.page(11 * SECOND, match(6), match(5))
        assert 1 == bench.recovery.failures
        assert [] == bench.told

        due = bench.recovery.next_deadline()
        assert due == 11 * SECOND + SECOND // 4
        bench.recovery.tend(due)
        assert "idx" not in bench.request()["matches"]

    def test_a_page_of_one_index(self) -> None:
        """A page that one match fills is followed by the index below, where nothing need overlap."""
        bench = reconnected()
        bench.request()
        bench.page(11 * SECOND, match(9), match(9, digest="0xother"))
        assert "9" == str(bench.request()["matches"]["idx"])
        bench.page(11 * SECOND, match(9), match(9, digest="0xother"))
        assert "8" == str(bench.request()["matches"]["idx"])
        bench.page(11 * SECOND, match(7))

        assert [7, 9, 9] == [event.index for event in bench.told if isinstance(event, Fill)]

    def test_what_was_confirmed_is_gone_over_once_more(self) -> None:
        """What an archive files out of order, by seconds, is found by the next walk; then it is settled."""
        bench = reconnected(now_ns=SECOND)
        bench.request()
        bench.page(SECOND, match(9), match(8))
        bench.request()
        bench.page(SECOND, match(8), match(5))
        assert 9 == bench.recovery.verified
        told = len(bench.told)

        due = SECOND + TIMINGS.reconcile_ns
        bench.recovery.tend(due - 1)
        assert [] == bench.recovery.requests()
        bench.recovery.tend(due)
        bench.request()
        bench.page(due, match(10), match(9))
        assert "9" == str(bench.request()["matches"]["idx"])
        bench.page(due, match(9), match(7))
        bench.request()
        bench.page(due, match(7), match(5))
        assert [7, 10] == [event.index for event in bench.told[told:] if isinstance(event, Fill)]

        due += TIMINGS.reconcile_ns
        bench.recovery.tend(due)
        bench.request()
        bench.page(due, match(10), match(9))
        assert [] == bench.recovery.requests()

    def test_a_copy_that_trails_confirms_nothing(self) -> None:
        """A walk through an older copy of the archive does not count as the second look."""
        bench = reconnected(now_ns=SECOND)
        bench.request()
        bench.page(SECOND, match(9), match(5))
        due = SECOND + TIMINGS.reconcile_ns
        bench.recovery.tend(due)
        bench.request()
        bench.page(due, match(5), match(4))

        due += TIMINGS.reconcile_ns
        bench.recovery.tend(due)
        bench.request()
        bench.page(due, match(10), match(9))
        assert "9" == str(bench.request()["matches"]["idx"])

    @pytest.mark.parametrize(
        ("body", "pause_ns"),
        [
            pytest.param(b"<html>", SECOND // 4, id="not the archive"),
            pytest.param(b'{"error":"slow","error_code":1000}', TIMINGS.calm_ns, id="refused"),
        ],
    )
    def test_archive_that_fails_is_asked_again_later(self, body: bytes, pause_ns: int) -> None:
        """Each time later, up to a cap."""
        bench = reconnected()
        bench.request()
        bench.recovery.archive_answered(body, 20 * SECOND)
        bench.recovery.tend(20 * SECOND)
        assert [] == bench.recovery.requests()
        assert 20 * SECOND + pause_ns == bench.recovery._archive_calm_ns
        bench.recovery.tend(20 * SECOND + pause_ns)
        assert bench.request()

    def test_throttling_archive_is_told_once(self) -> None:
        """Once until it answers again, however often it refuses meanwhile."""
        bench = reconnected()
        refusal = b'{"error":"slow","error_code":1015}'
        told: list[int] = []
        now_ns = 20 * SECOND
        for body in (refusal, refusal, b'{"matches":[],"txs":[]}', refusal):
            bench.request()
            bench.recovery.archive_answered(body, now_ns)
            told.append(bench.told.count(Throttled(ARCHIVE, "slow")))
            now_ns += 60 * SECOND
            bench.recovery.tend(now_ns)
        assert [1, 1, 1, 2] == told

    def test_overdue_archive(self) -> None:
        """No answer in time counts as lost; one that comes then is nobody's."""
        bench = reconnected()
        bench.request()
        bench.recovery.tend(10 * SECOND + TIMINGS.archive_ns)
        bench.recovery.archive_lost(16 * SECOND)
        bench.page(16 * SECOND, match(6))

        assert 1 == bench.recovery.failures
        assert [] == [event for event in bench.told if isinstance(event, Fill)]

    def test_the_archives_limit_is_kept(self) -> None:
        """Many pages wait for room."""
        bench = Bench(Timings(page=500))
        now = 0
        for _ in range(20):
            bench.recovery._passes_due = [now]
            bench.recovery.tend(now)
            if not bench.recovery.requests():
                break
            bench.page(now)
        else:
            pytest.fail("the limit was not kept")
        due = bench.recovery.next_deadline()
        assert due is not None
        bench.recovery.tend(due)
        assert bench.request()


class TestOrders:
    """Settling orders of unknown fate."""

    def doubted(self, timings: Timings = TIMINGS) -> Bench:
        bench = Bench(timings)
        bench.sent()
        bench.account.answer_lost(DIGEST)
        bench.recovery.gateway_connected(0)
        bench.recovery.doubt(DIGEST, 0)
        assert 0 == bench.recovery.next_deadline()
        bench.recovery.tend(0)
        return bench

    def gone(self, bench: Bench) -> None:
        bench.reply(OrderQuery, _REPLY.decode(b'{"status":"failure","error":"gone","error_code":2020}'))

    def record(self, filled: int) -> bytes:
        zero = [
            "quote_filled",
            "fee",
            "expiration",
            "nonce",
            "appendix",
            "closed_amount",
            "realized_pnl",
            "builder_fee",
            "closed_net_entry",
            "first_fill_timestamp",
            "last_fill_timestamp",
            "submission_idx",
            "last_fill_submission_idx",
            "price_x18",
        ]
        row = match(1)
        order = dict.fromkeys(zero, "0") | {
            "digest": DIGEST,
            "subaccount": SUB,
            "product_id": 4,
            "amount": "10",
            "base_filled": str(filled),
            "isolated": False,
            "closed_margin": None,
            "pre_balance": row["pre_balance"],
            "post_balance": row["post_balance"],
        }
        return json.dumps({"orders": [order]}).encode()

    def open_order(self) -> dict[str, Any]:
        return {
            "product_id": 4,
            "sender": SUB,
            "price_x18": "100",
            "amount": "10",
            "expiration": "1",
            "order_type": "default",
            "nonce": "1",
            "appendix": "1",
            "unfilled_amount": "7",
            "digest": DIGEST,
            "placed_at": 1,
        }

    def test_found_open(self) -> None:
        """The gateway has it: settled, with what was filled of it."""
        bench = self.doubted()
        bench.answer(OrderQuery, data=self.open_order(), request_type="query_order")

        assert [OrderSettled(DIGEST, OrderStatus.PARTIALLY_FILLED)] == bench.told
        assert 0 == bench.recovery.in_doubt

    def test_found_filled(self) -> None:
        """Not open, and the archive shows it filled."""
        bench = self.doubted()
        self.gone(bench)
        bench.recovery.tend(1)
        assert [DIGEST] == bench.request()["orders"]["digests"]
        bench.recovery.archive_answered(self.record(10), 2)

        assert [OrderSettled(DIGEST, OrderStatus.FILLED)] == bench.told

    def test_found_partly_filled_and_gone(self) -> None:
        """It is cancelled only when the archive has had time to show more."""
        bench = self.doubted()
        now = self.ask_until_settled(bench, self.record(4))
        assert now >= TIMINGS.settle_ns
        order = bench.account.orders[DIGEST]
        assert (OrderStatus.CANCELED, 4) == (order.status, order.cum_qty)

    def test_without_a_trace(self) -> None:
        """It may still arrive, until its receive time is over; then it has expired."""
        bench = self.doubted()
        now = self.ask_until_settled(bench, b'{"orders":[]}')
        assert now >= TIMINGS.takes_effect_ns

        assert [OrderSettled(DIGEST, OrderStatus.EXPIRED)] == bench.told

    def ask_until_settled(self, bench: Bench, answer: bytes) -> int:
        now = 0
        while bench.recovery.in_doubt:
            if OrderQuery in bench.kinds():
                self.gone(bench)
            bench.recovery.tend(now)
            if bench.recovery.requests():
                bench.recovery.archive_answered(answer, now)
            due = bench.recovery.next_deadline()
            now = now + 1 if due is None else max(due, now + 1)
            bench.recovery.tend(now)
        return now

    @pytest.mark.parametrize(
        "reply",
        [
            TransportError("cut"),
            _REPLY.decode(b'{"status":"failure","error":"slow down","error_code":1000}'),
        ],
    )
    def test_no_answer_is_no_fact(self, reply: Reply | NadowsError) -> None:
        """An error of the network or of the venue says nothing about the order."""
        bench = self.doubted()
        bench.reply(OrderQuery, reply)
        assert OrderStatus.UNKNOWN is bench.account.orders[DIGEST].status
        assert TIMINGS.doubt_ns[1] == bench.recovery.next_deadline()
        bench.recovery.tend(TIMINGS.doubt_ns[1])
        assert [OrderQuery] == bench.kinds()

    def test_questions_wait_for_room(self) -> None:
        """Where the venue has enough, the question is put off."""
        bench = Bench()
        bench.sent()
        bench.account.answer_lost(DIGEST)
        bench.recovery.gateway_connected(0)
        bench.recovery.doubt(DIGEST, 0)
        bench.wait_ns = 77
        bench.recovery.tend(0)

        assert 77 == bench.recovery.next_deadline()

    def test_event_settles_it_first(self) -> None:
        """What the stream says ends the questions; a late answer changes nothing."""
        bench = self.doubted()
        bench.account.orders[DIGEST].status = OrderStatus.CANCELED
        bench.recovery.tend(1)
        assert [OrderSettled(DIGEST, OrderStatus.CANCELED)] == bench.told
        self.gone(bench)

        assert OrderStatus.CANCELED is bench.account.orders[DIGEST].status

    def test_event_settles_it_while_the_archive_is_asked(self) -> None:
        """The archive's answer comes to a doubt that is no more."""
        bench = self.doubted()
        self.gone(bench)
        bench.recovery.tend(1)
        bench.request()
        bench.account.orders[DIGEST].status = OrderStatus.FILLED
        bench.recovery.tend(1)
        bench.recovery.archive_answered(b'{"orders":[]}', 2)

        assert [OrderSettled(DIGEST, OrderStatus.FILLED)] == bench.told


class TestCensus:
    """Comparing balances and open orders."""

    INFO: dict[str, Any] = {  # noqa: RUF012 - read only
        "subaccount": SUB,
        "exists": True,
        "healths": [{"assets": "0", "liabilities": "0", "health": "0"}] * 3,
        "health_contributions": [],
        "spot_count": 0,
        "perp_count": 0,
        "spot_balances": [{"product_id": 0, "balance": {"amount": "5"}}],
        "perp_balances": [],
        "spot_products": [],
        "perp_products": [],
    }

    def restored(self) -> Bench:
        bench = Bench()
        bench.recovery.gateway_connected(0)
        bench.sent()
        bench.account.accepted(DIGEST)
        bench.recovery.restored(0)
        bench.recovery.tend(0)
        return bench

    def test_order_that_is_not_listed_is_in_doubt(self) -> None:
        """It was open before the question; now the venue does not show it."""
        bench = self.restored()
        assert [SubaccountInfoQuery, OrdersQuery] == bench.kinds()
        bench.answer(SubaccountInfoQuery, data=self.INFO, request_type="query_subaccount_info")
        listed = {"sender": SUB, "product_orders": [{"product_id": 4, "orders": []}]}
        bench.answer(OrdersQuery, data=listed, request_type="query_orders")

        assert 1 == bench.recovery.in_doubt
        assert 5 == bench.account.position(0)

    def test_balance_that_moves_meanwhile_is_left_alone(self) -> None:
        """The event may be the newer of the two; nothing is asked twice at a time."""
        bench = self.restored()
        assert bench.recovery.next_deadline() is not None
        change = PositionChange(
            timestamp=Nanos(1),
            product_id=0,
            subaccount=SUB,
            isolated=False,
            amount=X18(3),
            v_quote_amount=X18(0),
            reason="match_orders",
        )
        bench.recovery.saw(change)
        bench.account.apply(change)
        bench.answer(SubaccountInfoQuery, data=self.INFO, request_type="query_subaccount_info")
        assert 3 == bench.account.position(0)
        bench.recovery.saw(change)

    def test_order_that_is_listed_is_taken_over(self) -> None:
        """With what is left of it."""
        bench = self.restored()
        orders = [TestOrders().open_order()]
        listed = {"sender": SUB, "product_orders": [{"product_id": 4, "orders": orders}]}
        bench.answer(OrdersQuery, data=listed, request_type="query_orders")

        assert OrderStatus.PARTIALLY_FILLED is bench.account.orders[DIGEST].status
        assert 0 == bench.recovery.in_doubt

    def test_order_that_ended_meanwhile_is_no_doubt(self) -> None:
        """The stream has said it while the answer was on its way."""
        bench = self.restored()
        bench.account.orders[DIGEST].status = OrderStatus.CANCELED
        listed = {"sender": SUB, "product_orders": [{"product_id": 4, "orders": []}]}
        bench.answer(OrdersQuery, data=listed, request_type="query_orders")

        assert 0 == bench.recovery.in_doubt

    def test_answers_that_fail_are_asked_again(self) -> None:
        """After a pause; nothing is concluded from them."""
        bench = self.restored()
        bench.reply(SubaccountInfoQuery, TransportError("cut"))
        bench.reply(OrdersQuery, TransportError("cut"))
        assert 2 == bench.recovery.failures
        bench.recovery.tend(TIMINGS.calm_ns)
        assert [SubaccountInfoQuery, OrdersQuery] == bench.kinds()

    def test_no_room_for_questions(self) -> None:
        """They wait."""
        bench = Bench()
        bench.recovery.gateway_connected(0)
        bench.wait_ns = 50
        bench.recovery.restored(0)
        bench.recovery.tend(0)
        assert [] == bench.asked
        bench.wait_ns = 0
        bench.recovery.tend(50)
        assert [SubaccountInfoQuery] == bench.kinds()

    def test_no_room_for_the_second_question(self) -> None:
        """Open orders are asked for again with the rest."""
        bench = self.restored()
        bench.asked.clear()
        bench.wait_ns = 50
        bench.recovery._orders_asked = None
        bench.recovery._ask_orders(1)

        assert 1 == bench.recovery.failures

    def test_gateway_that_returns_is_asked_at_once(self) -> None:
        """What happened to orders meanwhile is not known."""
        bench = self.restored()
        bench.recovery.gateway_lost()
        bench.reply(SubaccountInfoQuery, TransportError("cut"))
        bench.reply(OrdersQuery, TransportError("cut"))
        bench.recovery.tend(1)
        assert [] == bench.asked
        bench.recovery.gateway_connected(2)
        bench.recovery.tend(2)
        assert [SubaccountInfoQuery, OrdersQuery] == bench.kinds()

    def test_polling_asks_often_and_less_often_for_more(self) -> None:
        """At once, then as often as is set, unless open orders make the questions heavy."""
        bench = self.restored()
        bench.answer(SubaccountInfoQuery, data=self.INFO, request_type="query_subaccount_info")
        bench.reply(OrdersQuery, TransportError("cut"))
        bench.recovery.poll(SECOND)
        bench.recovery.tend(SECOND)
        assert [SubaccountInfoQuery, OrdersQuery] == bench.kinds()
        pause_ns = 4 * TIMINGS.poll_weight_ns
        assert pause_ns > TIMINGS.poll_ns
        assert [SECOND + pause_ns] == bench.recovery._census_due


# -- after a crash ---------------------------------------------------------------------------------


def test_a_new_life_goes_on_where_the_last_one_stopped() -> None:
    """It walks down to the floor that was kept; fills of the time between are late ones, once."""
    bench = Bench()
    bench.recovery.resume(10, 5)
    bench.recovery.begun(5)
    assert [] == bench.recovery.requests()
    bench.recovery.restored(5)
    bench.recovery.tend(5)
    bench.request()
    bench.page(6, match(13, digest="0xelse"), match(12))
    assert 12 == bench.request()["matches"]["idx"]
    bench.page(7, match(12), match(10))

    assert [12, 13] == [event.index for event in bench.told if isinstance(event, LateFill)]
    assert 13 == bench.recovery.verified


def test_a_new_life_holds_new_fills_until_the_missed_ones_are_told() -> None:
    """As after a reconnect."""
    bench = Bench()
    bench.recovery.resume(10, 5)
    bench.recovery.restored(5)
    bench.recovery.tend(5)
    bench.request()

    assert not bench.recovery.take(fill(12))
    bench.page(6, match(11), match(10))
    bench.recovery.tend(6 + TIMINGS.hold_ns)
    assert [11, 12] == [event.index for event in bench.told if isinstance(event, Fill)]


def test_orders_of_an_earlier_life_are_unknown_until_they_are_settled() -> None:
    """Those in flight, open, or about to be cancelled; those that are done stay."""
    bench = Bench()
    statuses = list(OrderStatus)
    for status in statuses:
        bench.account.recall(
            TrackedOrder(status.value, 4, is_buy=True, price=1, qty=1, status=status, sent_ns=99)
        )
    bench.recovery.resume(None, 5)

    after = {order.digest: order.status for order in bench.account.orders.values()}
    done = {status.value: status for status in FINAL}
    assert {status.value: done.get(status.value, OrderStatus.UNKNOWN) for status in statuses} == after
    assert len(statuses) - len(FINAL) == bench.recovery.in_doubt
    assert {5} == {order.sent_ns for order in bench.account.open_orders()}
    bench.recovery.gateway_connected(6)
    bench.recovery.tend(6)
    assert [OrderQuery] * bench.recovery.in_doubt == bench.kinds()


def test_without_a_floor_the_first_walk_finds_it() -> None:
    """A client that crashed before the archive answered begins as it did then."""
    bench = Bench()
    bench.recovery.resume(None, 5)
    assert (None, 0) == (bench.recovery.floor, bench.recovery.known_until_ns)
    bench.recovery.begun(5)
    bench.recovery.tend(5)
    bench.request()
    bench.page(6 * SECOND, match(10))

    assert (10, SECOND) == (bench.recovery.floor, bench.recovery.known_until_ns)


def test_what_was_kept_says_nothing_about_this_clock() -> None:
    """Until the archive has answered again, nothing is known to be complete."""
    bench = Bench()
    bench.recovery.resume(10, 50 * SECOND)

    assert (10, -5 * SECOND) == (bench.recovery.floor, bench.recovery.known_until_ns)


def test_what_a_crash_leaves_once_walked_is_gone_over_again() -> None:
    """The floor to keep is one that two walks confirmed: what the archive files late is found by the next."""
    bench = reconnected(now_ns=SECOND)
    bench.request()
    bench.page(SECOND, match(9), match(5))
    assert (9, 5) == (bench.recovery.verified, bench.recovery.floor)

    again = Bench()
    again.account.apply(fill(9))
    again.recovery.resume(bench.recovery.floor, SECOND)
    again.recovery.restored(SECOND)
    for now_ns, floor in ((SECOND, 5), (SECOND + TIMINGS.settle_ns, 5), (SECOND + TIMINGS.reconcile_ns, 9)):
        again.recovery._passes_due = [now_ns]
        again.recovery.tend(now_ns)
        again.request()
        assert floor == again.recovery.floor
        again.page(now_ns, match(9), match(7))
        if floor < 9:
            again.request()
            again.page(now_ns, match(7), match(5))
        assert [] == again.recovery.requests()

    assert [7] == [event.index for event in again.told if isinstance(event, LateFill)]


def test_a_copy_that_trails_moves_no_floor_of_an_earlier_life() -> None:
    """It is no second look at what the first walk after the crash confirmed."""
    bench = Bench()
    bench.recovery.resume(5, SECOND)
    bench.recovery.restored(SECOND)
    for now_ns, newest in ((SECOND, 9), (2 * TIMINGS.reconcile_ns, 6), (3 * TIMINGS.reconcile_ns, 9)):
        bench.recovery._passes_due = [now_ns]
        bench.recovery.tend(now_ns)
        bench.request()
        assert 5 == bench.recovery.floor
        bench.page(now_ns, match(newest), match(5))
