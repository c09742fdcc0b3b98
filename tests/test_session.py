"""The two conversations: what answers what, and what survives a connection."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from nadows import messages
from nadows.errors import ConnectionLost, UsageError
from nadows.messages import Stream
from nadows.session import (
    ACK_TIMEOUT_NS,
    LINE_TRANSITIONS,
    Answer,
    Authenticated,
    AuthRefused,
    GatewaySession,
    LineEvent,
    LineState,
    Lost,
    Malformed,
    Overdue,
    Pong,
    Restored,
    StreamSession,
    Subscribed,
    SubscribeRefused,
    Unsubscribed,
)

OWN = "0x" + "1a" * 20 + "64656661756c740000000000"
TRADES = Stream.trade(2)
DEPTH = Stream.book_depth(4)
ORDERS = Stream.order_update(OWN)


def authenticate(request_id: int) -> bytes:
    return json.dumps({"method": "authenticate", "id": request_id}).encode()


def sent(session: StreamSession | GatewaySession) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in session.frames_to_send()]


def ack(request_id: int, result: Any = None) -> bytes:
    return json.dumps({"result": result, "id": request_id}).encode()


def refusal(request_id: int, text: str = "no") -> bytes:
    return json.dumps({"result": None, "error": text, "id": request_id}).encode()


def trade() -> bytes:
    return json.dumps(
        {
            "type": "trade",
            "timestamp": "1",
            "product_id": 2,
            "price": "1",
            "taker_qty": "1",
            "maker_qty": "1",
            "is_taker_buyer": True,
        }
    ).encode()


class TestStreamSession:
    """The subscription socket."""

    def test_intentions_wait_for_a_connection(self) -> None:
        """What is asked for without a socket is asked on the next one; live is when all is answered."""
        session = StreamSession()
        assert session.subscribe(TRADES, 0)
        assert session.subscribe(DEPTH, 0)
        assert [] == sent(session)
        assert not session.is_connected

        session.connection_made(1)
        assert [("subscribe", 1), ("subscribe", 2)] == [(f["method"], f["id"]) for f in sent(session)]
        assert LineState.RESTORING is session.state
        assert session.is_connected

        assert [Subscribed(DEPTH)] == session.frame_received(ack(2), 2)
        assert [Subscribed(TRADES), Restored()] == session.frame_received(ack(1), 3)
        assert LineState.LIVE is session.state
        assert {TRADES.key, DEPTH.key} == session.acknowledged

    def test_authentication_comes_first(self) -> None:
        """With a key nothing is subscribed before the venue acknowledged the signature."""
        session = StreamSession(authenticate)
        session.subscribe(ORDERS, 0)
        session.connection_made(1)
        assert [{"method": "authenticate", "id": 1}] == sent(session)
        assert LineState.AUTHENTICATING is session.state

        session.subscribe(TRADES, 1)
        assert [] == sent(session)
        assert [Authenticated()] == session.frame_received(ack(1), 2)
        assert ["order_update", "trade"] == [f["stream"]["type"] for f in sent(session)]

    def test_without_anything_to_restore_the_line_is_live_at_once(self) -> None:
        """An authenticated line without subscriptions has nothing to wait for."""
        session = StreamSession(authenticate)
        session.connection_made(1)

        assert [Authenticated(), Restored()] == session.frame_received(ack(1), 2)

    def test_public_line_without_subscriptions_is_live_at_once(self) -> None:
        """A line that asks for nothing is restored the moment it is connected."""
        session = StreamSession()

        assert [Restored()] == session.connection_made(1)
        assert LineState.LIVE is session.state

    def test_refused_authentication_is_told(self) -> None:
        """The public streams go on; the private ones stay asked for, on the connections to come."""
        session = StreamSession(authenticate)
        session.subscribe(ORDERS, 0)
        session.connection_made(1)
        (refused,) = session.frame_received(refusal(1, "bad signature"), 2)
        assert isinstance(refused, AuthRefused)
        assert "bad signature" in str(refused.error)

        request = sent(session)[-1]["id"]
        events = session.frame_received(refusal(request, "Unauthorized"), 3)
        assert isinstance(events[0], SubscribeRefused)
        assert Restored() == events[1]
        assert {ORDERS.key} == set(session.streams)

    def test_private_stream_without_a_key_is_a_mistake(self) -> None:
        """It could never be served, so it is refused before anything is sent."""
        with pytest.raises(UsageError, match="signer"):
            StreamSession().subscribe(ORDERS, 0)

    def test_subscriptions_outlive_a_connection(self) -> None:
        """After a loss everything asked for is asked again, with new ids and a new authentication."""
        session = StreamSession(authenticate)
        session.subscribe(TRADES, 0)
        session.connection_made(1)
        session.frame_received(ack(1), 2)
        session.frame_received(ack(2), 2)
        session.frames_to_send()
        session.connection_lost(3)
        assert set() == session.acknowledged
        assert None is session.next_deadline()

        session.connection_made(4)
        assert ["authenticate"] == [f["method"] for f in sent(session)]
        session.frame_received(ack(3), 5)
        assert [("subscribe", 4)] == [(f["method"], f["id"]) for f in sent(session)]

    def test_losing_what_was_never_connected(self) -> None:
        """A failed connection attempt may be reported as a loss; nothing changes."""
        session = StreamSession()
        session.connection_lost(1)

        assert LineState.DOWN is session.state

    def test_asking_twice_is_asking_once(self) -> None:
        """Null and absent product are the same stream."""
        session = StreamSession()

        assert session.subscribe(Stream.liquidation(), 0)
        assert not session.subscribe(Stream(type="liquidation", product_id=None), 0)

    def test_subscribing_on_a_live_line(self) -> None:
        """The line is RESTORING again until the newcomer is answered."""
        session = StreamSession()
        session.connection_made(1)
        session.subscribe(TRADES, 2)
        assert LineState.RESTORING is session.state

        assert [Subscribed(TRADES), Restored()] == session.frame_received(ack(1), 3)

    def test_unsubscribing(self) -> None:
        """The stream is forgotten at once and asked to end; asking for what is not there does nothing."""
        session = StreamSession()
        session.subscribe(TRADES, 0)
        session.connection_made(1)
        session.frame_received(ack(1), 2)
        session.frames_to_send()

        assert session.unsubscribe(TRADES, 3)
        assert not session.unsubscribe(TRADES, 3)
        assert [{"method": "unsubscribe", "id": 2, "stream": {"type": "trade", "product_id": 2}}] == sent(
            session
        )
        assert [Unsubscribed(TRADES)] == session.frame_received(ack(2), 4)
        assert set() == session.acknowledged

    def test_unsubscribing_without_a_connection(self) -> None:
        """Only the intention goes."""
        session = StreamSession()
        session.subscribe(TRADES, 0)

        assert session.unsubscribe(TRADES, 1)
        assert [] == sent(session)

    def test_acknowledgement_that_crosses_an_unsubscribe(self) -> None:
        """The late ack of a stream that is not wanted any more does not bring it back."""
        session = StreamSession()
        session.subscribe(TRADES, 0)
        session.connection_made(1)
        session.unsubscribe(TRADES, 1)

        assert [Restored()] == session.frame_received(ack(1), 2)
        assert set() == session.acknowledged

    def test_events_pass_before_their_ack(self) -> None:
        """The venue may send events before it acknowledges the subscription; an event is not an answer."""
        session = StreamSession()
        session.subscribe(TRADES, 0)
        session.connection_made(1)

        (event,) = session.frame_received(trade(), 2)
        assert isinstance(event, messages.Trade)
        assert LineState.RESTORING is session.state

    def test_ping(self) -> None:
        """The pong gives the round trip and the venue's clock; without a connection nothing is sent."""
        session = StreamSession()
        session.ping(0)
        assert [] == sent(session)

        session.connection_made(1)
        session.ping(10)
        pong = {"method": "pong", "server_time": "1799999995012"}
        assert [Pong(round_trip_ns=5, server_time_ms=1799999995012)] == session.frame_received(
            ack(1, pong), 15
        )

    @pytest.mark.parametrize("answer", [refusal(1), ack(1), ack(1, {"server_time": "1e3"})])
    def test_ping_answered_with_something_else(self, answer: bytes) -> None:
        """A pong that cannot be read is no measurement."""
        session = StreamSession()
        session.connection_made(1)
        session.ping(10)

        assert [] == session.frame_received(answer, 15)

    def test_broken_frames_and_strays_are_counted(self) -> None:
        """Neither stops the line."""
        session = StreamSession()
        session.connection_made(1)

        (malformed,) = session.frame_received(b"{", 2)
        assert isinstance(malformed, Malformed)
        assert [] == session.frame_received(ack(99), 3)
        assert (1, 1) == (session.malformed, session.strays)

    def test_missing_ack_is_overdue(self) -> None:
        """The first request that is not answered in time is named; an early tick says nothing."""
        session = StreamSession(authenticate)
        session.subscribe(TRADES, 0)
        session.connection_made(100)
        assert 100 + ACK_TIMEOUT_NS == session.next_deadline()
        assert [] == session.tick(99 + ACK_TIMEOUT_NS)

        assert [Overdue("authenticate")] == session.tick(100 + ACK_TIMEOUT_NS)

        session.connection_lost(200)
        session.connection_made(300)
        session.frame_received(ack(2), 400)
        assert [Overdue("subscribe trade")] == session.tick(400 + ACK_TIMEOUT_NS)
        assert [] == session.tick(500 + ACK_TIMEOUT_NS)

    def test_every_pair_of_state_and_event_is_decided(self) -> None:
        """What the table leaves out cannot happen.

        No answer without a request, no connection on a connection.
        """
        connect = {LineEvent.CONNECTED, LineEvent.CONNECTED_WITH_KEY}
        missing = set(itertools.product(LineState, LineEvent)) - set(LINE_TRANSITIONS)

        assert all(event is not LineEvent.LOST for _, event in missing)
        assert all(
            (state, event) in missing for state in set(LineState) - {LineState.DOWN} for event in connect
        )


SIGNATURE = "0x" + "5" * 130
OTHER_SIGNATURE = "0x" + "6" * 130


def reply(**members: Any) -> bytes:
    return json.dumps({"status": "success", **members}).encode()


def gateway(*, serial: bool = False) -> GatewaySession:
    session = GatewaySession(serial=serial)
    session.connection_made(0)
    return session


def execute(
    session: GatewaySession, signature: str = SIGNATURE, *, deadline: int = 100, client_id: int | None = None
) -> int:
    return session.execute(
        b"{}",
        request_type="execute_place_order",
        signature=signature,
        deadline_ns=deadline,
        client_id=client_id,
    )


SYMBOLS = messages.SymbolsQuery()
CONTRACTS = messages.ContractsQuery()


def tickets(answers: list[Answer]) -> list[int]:
    return [answer.ticket for answer in answers]


class TestGatewaySession:
    """The gateway socket."""

    def test_answers_out_of_order_find_their_requests(self) -> None:
        """On v2 the echo of the signature tells which order is answered."""
        session = gateway()
        first, second = execute(session), execute(session, OTHER_SIGNATURE)
        assert 2 == len(session.frames_to_send())
        assert 2 == session.in_flight

        assert [second] == tickets(session.frame_received(reply(signature=OTHER_SIGNATURE), 1))
        (answer,) = session.frame_received(reply(signature=SIGNATURE, id=9), 2)
        assert (first, "success", 9) == (answer.ticket, answer.reply.status, answer.reply.id)
        assert 0 == session.in_flight

    def test_id_serves_when_the_signature_is_missing(self) -> None:
        """A failure may lack the signature; the id then decides."""
        session = gateway()
        execute(session, client_id=1)
        second = execute(session, OTHER_SIGNATURE, client_id=2)

        assert [second] == tickets(session.frame_received(reply(id=2, request_type="execute_place_order"), 1))
        assert [] == session.frame_received(reply(id=7, request_type="execute_place_order"), 1)

    def test_bare_failure_belongs_to_the_only_request_of_its_type(self) -> None:
        """A rate limit answers with neither signature nor id."""
        session = gateway()
        only = execute(session)
        limited = {"status": "failure", "error_code": 1000, "request_type": "execute_place_order"}

        assert [only] == tickets(session.frame_received(json.dumps(limited), 1))

    def test_bare_failure_among_several_is_not_guessed(self) -> None:
        """The fate of one order must never be reported as that of another."""
        session = gateway()
        execute(session), execute(session, OTHER_SIGNATURE)
        limited = {"status": "failure", "error_code": 1000, "request_type": "execute_place_order"}

        assert [] == session.frame_received(json.dumps(limited), 1)
        assert (1, 2) == (session.strays, session.in_flight)

    def test_geo_block_has_no_envelope(self) -> None:
        """It is reported as the failure of the only request in flight."""
        session = gateway()
        only = execute(session)

        (answer,) = session.frame_received(b'{"reason":"ip_query_only","blocked":true}', 1)
        assert (only, "failure", "blocked: ip_query_only") == (
            answer.ticket,
            answer.reply.status,
            answer.reply.error,
        )

    def test_unknown_signature_is_a_stray(self) -> None:
        """A late answer to a request that was given up must not be taken for another's."""
        session = gateway()
        execute(session)

        assert [] == session.frame_received(reply(signature=OTHER_SIGNATURE), 1)
        assert 1 == session.strays

    def test_queries_of_one_type_take_turns(self) -> None:
        """A query's answer carries no mark, so only one of each type is in flight."""
        session = gateway()
        first, other, second = (session.query(q, deadline_ns=100) for q in (SYMBOLS, CONTRACTS, SYMBOLS))
        assert ["symbols", "contracts"] == [f["type"] for f in sent(session)]

        assert [first] == tickets(session.frame_received(reply(request_type="query_symbols"), 1))
        assert ["symbols"] == [f["type"] for f in sent(session)]
        assert [second] == tickets(session.frame_received(reply(request_type="query_symbols"), 2))
        assert [other] == tickets(session.frame_received(reply(request_type="query_contracts"), 3))
        assert [] == session.frame_received(reply(request_type="query_symbols"), 4)

    def test_late_answer_of_an_abandoned_query_is_not_the_next_ones(self) -> None:
        """A query given up keeps its turn until its answer has come or the connection ends."""
        session = gateway()
        session.query(SYMBOLS, deadline_ns=10)
        session.frames_to_send()
        assert ["no answer in time"] == [lost.reason for lost in session.tick(10)]
        second = session.query(SYMBOLS, deadline_ns=100)
        assert [] == sent(session)

        assert [] == session.frame_received(reply(request_type="query_symbols"), 11)
        assert ["symbols"] == [f["type"] for f in sent(session)]
        assert [second] == tickets(session.frame_received(reply(request_type="query_symbols"), 12))

    def test_query_that_never_got_its_turn_was_not_sent(self) -> None:
        """Whoever asked can ask again without a second thought."""
        session = gateway()
        session.query(SYMBOLS, deadline_ns=10)
        waiting = session.query(SYMBOLS, deadline_ns=9)

        assert [Lost(waiting, "no answer in time", sent=False, request_type="query_symbols")] == session.tick(
            9
        )
        assert 10 == session.next_deadline()

    def test_serial_answers_come_in_order(self) -> None:
        """On v1 an answer without marks belongs to the oldest request; marks are used where they are."""
        session = gateway(serial=True)
        first, second, third = (session.query(SYMBOLS, deadline_ns=100) for _ in range(3))
        order = execute(session)
        assert 4 == len(session.frames_to_send())

        assert [first] == tickets(session.frame_received(reply(request_type="query_symbols"), 1))
        assert [order] == tickets(session.frame_received(reply(signature=SIGNATURE), 1))
        assert [second] == tickets(session.frame_received(reply(), 1))
        assert [] == session.frame_received(reply(request_type="query_contracts"), 1)
        assert [third] == tickets(session.frame_received(reply(request_type="query_symbols"), 1))

    def test_serial_answer_of_an_abandoned_query_is_skipped(self) -> None:
        """In order of requests the abandoned one comes first."""
        session = gateway(serial=True)
        session.query(SYMBOLS, deadline_ns=10)
        session.tick(10)
        second = session.query(SYMBOLS, deadline_ns=100)

        assert [] == session.frame_received(reply(request_type="query_symbols"), 11)
        assert [second] == tickets(session.frame_received(reply(request_type="query_symbols"), 12))

    def test_overdue_requests_are_lost(self) -> None:
        """Each is reported once, in order of deadline; answered ones are not."""
        session = gateway()
        answered, overdue = execute(session, deadline=5), execute(session, OTHER_SIGNATURE, deadline=10)
        session.frame_received(reply(signature=SIGNATURE), 1)
        assert answered != overdue
        assert 10 == session.next_deadline()
        assert [] == session.tick(9)

        assert [Lost(overdue, "no answer in time", True, "execute_place_order")] == session.tick(10)
        assert None is session.next_deadline()

    def test_loss_of_the_connection_leaves_requests_unanswered(self) -> None:
        """Everything in flight is lost.

        Whether it had been sent is said, for an execute may have taken effect.
        """
        session = gateway()
        order = execute(session)
        first = session.query(SYMBOLS, deadline_ns=100)
        waiting = session.query(SYMBOLS, deadline_ns=100)

        lost = session.connection_lost(5)
        assert [(order, True), (first, True), (waiting, False)] == [(each.ticket, each.sent) for each in lost]
        assert 0 == session.in_flight
        with pytest.raises(ConnectionLost, match="nothing was sent"):
            execute(session)

    def test_broken_frames_are_counted(self) -> None:
        """An HTML page on the socket is no answer."""
        session = gateway()

        assert [] == session.frame_received("<html>", 1)
        assert 1 == session.malformed
