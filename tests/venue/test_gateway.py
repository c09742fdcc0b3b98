"""Tests of nadows.venue.gateway: envelopes, the serial and the concurrent socket, the speed bump."""

from __future__ import annotations

from typing import Any

import pytest

from nadows.messages import decode_reply, reply_data
from nadows.messages.gateway import Reply
from nadows.network import TESTNET
from nadows.signing import OrderType, sign_cancel_and_place, sign_cancel_orders
from nadows.units import to_x18
from nadows.venue.exchange import ConnectionKind
from nadows.venue.rest import HttpRequest
from nadows.venue.switches import Switches
from tests.venue.rig import ETH, MS, V1, V2, Rig, Trader

BUMP = Switches(speed_bump_ms=30)


class TestEnvelope:
    """What an answer echoes."""

    def test_success(self) -> None:
        """Status, signature, data, request type and the client's id."""
        rig = Rig()
        order = Trader(rig).sign("2990", "0.1", id=100)

        answer = rig.ask(V2, order.frame)

        assert {
            "status": "success",
            "signature": order.signature,
            "data": {"digest": order.digest},
            "request_type": "execute_place_order",
            "id": 100,
        } == answer

    def test_no_id_no_echo(self) -> None:
        """Without a client's id there is none in the answer."""
        rig = Rig()

        assert "id" not in rig.ask(V2, Trader(rig).sign("2990", "0.1").frame)

    @pytest.mark.parametrize("echo", [True, False])
    def test_failure(self, echo: bool) -> None:
        """A failure has text and code instead of data, and the id by switch."""
        rig = Rig(switches=Switches(failures_echo_id=echo))
        order = Trader(rig).sign("2990.05", "0.1", id=100)

        answer = rig.ask(V2, order.frame)

        assert ("failure", 2000, order.signature) == (
            answer["status"],
            answer["error_code"],
            answer["signature"],
        )
        assert echo is ("id" in answer)

    @pytest.mark.parametrize(
        ("connection", "switch", "echo"), [(V1, True, True), (V1, False, False), (V2, False, True)]
    )
    def test_cancels_echo_their_id_on_v1_by_switch(self, connection: int, switch: bool, echo: bool) -> None:
        """On v2 cancels always echo the id."""
        rig = Rig(switches=Switches(v1_cancels_echo_id=switch))
        trader = Trader(rig, connection=connection)

        assert echo is ("id" in trader.cancel_products(id=4))

    @pytest.mark.parametrize("echo", [True, False])
    def test_replacing_echoes_the_nested_id_by_switch(self, echo: bool) -> None:
        """cancel_and_place echoes the id of its placement, or none."""
        rig = Rig(switches=Switches(cancel_and_place_echoes_id=echo))
        trader = Trader(rig)
        old = trader.place("2990", "0.1")["data"]["digest"]
        cancel = sign_cancel_orders(trader.signer, TESTNET.domain, trader.sub, [ETH], [old], trader.nonce())
        request = sign_cancel_and_place(cancel, trader.sign("2980", "0.1", id=5))

        assert echo is ("id" in rig.ask(V2, request.frame))

    def test_the_client_reads_every_answer(self) -> None:
        """Answers decode to the client's types."""
        rig = Rig()
        trader = Trader(rig)
        rig.exchange.frame_received(V2, trader.sign("2990", "0.1", id=1).frame, rig.now_ns)
        ((_, frame),) = rig.exchange.frames_to_send()

        reply = decode_reply(frame)

        assert isinstance(reply, Reply)
        assert reply_data(reply).digest in rig.exchange.engine.orders


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", 1005),
        ("{", 1005),
        ("[]", 1005),
        ('"text"', 1005),
        ("{}", 1005),
        ('{"type":"nonsense"}', 1005),
        ('{"place_order":{}}', 1005),
        ('{"place_order":null}', 1005),
        ('{"type":"market_liquidity","product_id":4}', 1005),
        ('{"type":"market_liquidity","product_id":"4x","depth":1}', 1005),
        ('{"type":"order","product_id":4,"digest":"0x12"}', 1005),
        ("[" * 100_000, 1005),
    ],
)
def test_what_cannot_be_read_is_answered_with_a_failure(frame: str, code: int) -> None:
    """A broken request gets the failure envelope, and the connection lives."""
    rig = Rig()

    answer = rig.ask(V2, frame)

    assert ("failure", code) == (answer["status"], answer["error_code"])
    assert "success" == rig.query("status")["status"]


def test_an_unreadable_execute_keeps_its_id() -> None:
    """The id is echoed even if the rest cannot be read, so that the client can match it."""
    rig = Rig()

    answer = rig.ask(V2, {"place_order": {"id": 7}})

    assert 7 == answer["id"]


class TestSpeedBump:
    """Requests that wait."""

    def _order(self, rig: Rig, **options: Any) -> bytes:
        return Trader(rig).sign("2990", "0.1", **options).frame

    def test_what_may_take_waits(self) -> None:
        """An order is held for the bump, and takes effect then."""
        rig = Rig(switches=BUMP)

        at_once = rig.send(V2, self._order(rig))
        before = rig.advance(30 * MS - 1)
        after = rig.advance(1)

        assert [] == at_once == before
        assert ["success"] == [answer["status"] for answer in after]

    def test_post_only_and_cancels_pass(self) -> None:
        """What cannot take is not held."""
        rig = Rig(switches=BUMP)
        trader = Trader(rig)

        placed = trader.place("2990", "0.1", kind=OrderType.POST_ONLY)

        assert "success" == placed["status"]
        assert "success" == trader.cancel(placed["data"]["digest"])["status"]

    def test_v1_is_serial(self) -> None:
        """On v1 everything behind a held order waits, and answers come in the order of the requests."""
        rig = Rig(switches=BUMP)
        rig.send(V1, self._order(rig, id=1))
        rig.advance(10 * MS)
        rig.send(V1, {"type": "status"})
        rig.send(V1, Trader(rig).sign("2990", "0.2", id=2).frame)
        rig.send(V1, {"type": "contracts"})

        first = rig.advance(20 * MS)
        second = rig.advance(30 * MS)

        assert ["execute_place_order", "query_status"] == [answer["request_type"] for answer in first]
        assert ["execute_place_order", "query_contracts"] == [answer["request_type"] for answer in second]

    def test_what_waits_is_bounded(self) -> None:
        """A client that floods a waiting v1 socket is refused (1000), before the answers that wait."""
        rig = Rig(switches=BUMP)
        rig.send(V1, self._order(rig))
        for _ in range(10_000):
            rig.exchange.frame_received(V1, '{"type":"status"}', rig.now_ns)

        refused = rig.send(V1, {"type": "status"})
        answered = rig.advance(30 * MS)

        assert [1000] == [answer["error_code"] for answer in refused]
        assert 10_001 == len(answered)

    def test_v2_is_concurrent(self) -> None:
        """On v2 a query overtakes a held order."""
        rig = Rig(switches=BUMP)
        rig.send(V2, self._order(rig))

        assert "success" == rig.query("status")["status"]

    def test_batches_have_a_penalty_of_their_own(self) -> None:
        """place_orders waits for the batch penalty and not for the bump."""
        rig = Rig(switches=Switches(batch_penalty_ms=50))
        body = Trader(rig).sign("2990", "0.1").body.decode()

        at_once = rig.send(V2, f'{{"place_orders":{{"orders":[{body}]}}}}')
        later = rig.advance(50 * MS)

        assert [] == at_once
        assert ["success"] == [answer["status"] for answer in later]

    def test_rest_answers_later(self) -> None:
        """A held REST request is answered when it is done."""
        rig = Rig(switches=BUMP)
        request = HttpRequest("POST", "/v1/execute", {}, self._order(rig))

        held = rig.exchange.http_request(50, request, rig.now_ns)
        rig.advance(30 * MS)
        ((number, answer),) = rig.exchange.http_answers()

        assert held is None
        assert (50, 200) == (number, answer.status)
        assert {"Content-Type": "application/json"} == answer.headers
        assert [] == rig.exchange.http_answers()

    def test_a_connection_that_is_gone_does_not_undo_its_order(self) -> None:
        """What was sent takes effect though nobody hears of it."""
        rig = Rig(switches=BUMP)
        rig.exchange.connection_made(60, ConnectionKind.GATEWAY_V2, rig.now_ns)
        rig.send(60, self._order(rig))
        rig.exchange.connection_lost(60, rig.now_ns)

        frames = rig.advance(30 * MS)

        assert [] == frames
        assert to_x18("0.1") in [order.qty for order in rig.exchange.engine.orders.values()]


class TestEdge:
    """The edge's clock."""

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"type": "time"}, {"method": "time", "id": None}),
            ({"type": "time", "id": 3}, {"method": "time", "id": 3}),
            ({"type": "ping", "id": "4"}, {"method": "pong", "id": 4}),
            ({"type": "ping", "client_time": "17"}, {"method": "pong", "id": None, "client_time": "17"}),
            ({"type": "ping", "client_time": None}, {"method": "pong", "id": None}),
        ],
    )
    def test_clock(self, query: dict[str, Any], expected: dict[str, Any]) -> None:
        """`time` and `ping` answer in ms, without data."""
        rig = Rig()

        _, answer = rig.http_raw("POST", "/v1/edge/query", body=query)

        assert {"status": "success", "server_time": str(rig.now_ms)} | expected == answer


def test_weights_over_the_limit_are_refused_with_429() -> None:
    """A wallet that spent its 100 in 10 s gets code 1000, on REST with status 429."""
    rig = Rig(limits=True)
    trader = Trader(rig)
    answers = [trader.place("2990", "0.1") for _ in range(100)]
    over = trader.sign("2990", "0.1")

    refused = rig.http("POST", "/v1/execute", body=over.frame)

    assert {"success"} == {answer["status"] for answer in answers}
    assert (429, 1000) == (refused["_status"], refused["error_code"])
