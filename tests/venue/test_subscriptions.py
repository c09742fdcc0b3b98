"""Tests of nadows.venue.subscriptions and nadows.venue.feed: the control side of the subscription socket."""

from __future__ import annotations

import pytest

from nadows.messages import Ack, StreamError, decode_stream
from nadows.network import TESTNET
from nadows.signing import Signer, Subaccount, sign_authenticate, sign_link_signer
from nadows.venue.exchange import Closing, ConnectionKind
from nadows.venue.feed import Feed, Topic
from nadows.venue.subscriptions import MAX_STREAMS
from nadows.venue.switches import Switches
from tests.venue.rig import ETH, SECOND, STREAM, V2, Json, Rig, Trader


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def trader(rig: Rig) -> Trader:
    return Trader(rig)


def _multi(method: str, *streams: Json) -> Json:
    return {"method": method, "id": 5, "streams": list(streams)}


TRADE: Json = {"type": "trade", "product_id": ETH}
BBO: Json = {"type": "best_bid_offer", "product_id": ETH}


class TestStreams:
    """Subscribing, unsubscribing, listing."""

    def test_acks_carry_the_request_id(self, rig: Rig) -> None:
        """Every change of streams is answered with a null result."""
        for number, method in enumerate(("subscribe", "subscribe", "unsubscribe", "unsubscribe")):
            answer = rig.ask(STREAM, {"method": method, "id": number, "stream": TRADE})
            assert {"result": None, "id": number} == answer

    def test_several_at_once(self, rig: Rig) -> None:
        """The multi forms are answered like the single ones."""
        assert {"result": None, "id": 5} == rig.ask(STREAM, _multi("subscribe_multi", TRADE, BBO))
        assert [{"type": "default"}, TRADE, BBO] == rig.ask(STREAM, {"method": "list", "id": 1})["result"]

        rig.ask(STREAM, _multi("unsubscribe_multi", TRADE, BBO))

        assert [{"type": "default"}] == rig.ask(STREAM, {"method": "list", "id": 1})["result"]

    def test_a_bad_stream_among_several_refuses_all(self, rig: Rig) -> None:
        """Nothing is subscribed when one stream of a request is refused."""
        answer = rig.ask(STREAM, _multi("subscribe_multi", TRADE, {"type": "trade", "product_id": 6}))

        assert "error" in answer
        assert [{"type": "default"}] == rig.ask(STREAM, {"method": "list", "id": 1})["result"]

    def test_the_default_entry_is_a_switch(self) -> None:
        """`list` names the streams as they were written, with or without the default entry."""
        rig = Rig(switches=Switches(list_names_default=False))
        stream = {"type": "liquidation", "product_id": None}
        rig.ask(STREAM, {"method": "subscribe", "id": 1, "stream": stream})
        rig.ask(STREAM, {"method": "subscribe", "id": 1, "stream": {"type": "liquidation"}})

        assert [stream] == rig.ask(STREAM, {"method": "list", "id": 1})["result"]

    def test_null_and_absent_product_are_one_stream(self, rig: Rig, trader: Trader) -> None:
        """A stream subscribed with null is ended by leaving the member out."""
        rig.subscribe("fill", subaccount=trader.sub.hex, product_id=None)
        rig.ask(
            STREAM,
            {"method": "unsubscribe", "id": 1, "stream": {"type": "fill", "subaccount": trader.sub.hex}},
        )

        assert ["success"] == [f["status"] for f in rig.send(V2, trader.sign("3001", "0.1").frame)]

    def test_an_upper_case_subaccount_is_the_same(self, rig: Rig, trader: Trader) -> None:
        """Hex is read in any case."""
        rig.subscribe("fill", subaccount="0x" + trader.sub.hex[2:].upper())

        assert "fill" in [f.get("type") for f in rig.send(V2, trader.sign("3001", "0.1").frame)]

    def test_balances_of_the_quote_can_be_watched(self, rig: Rig, trader: Trader) -> None:
        """Product 0 has no market but balances; the deposit of a new wallet is seen."""
        answer = rig.subscribe("position_change", subaccount=trader.sub.hex, product_id=0)
        frames = rig.send(V2, trader.sign("2990", "0.1").frame)

        assert answer["result"] is None
        assert ("deposit_collateral", str(10**24)) == (frames[0]["reason"], frames[0]["amount"])

    @pytest.mark.parametrize(
        ("stream", "words"),
        [
            ({"type": "trade", "product_id": 6}, "The provided 'product_id' is invalid."),
            ({"type": "trade", "product_id": 0}, "The provided 'product_id' is invalid."),
            ({"type": "trade"}, "error parsing request: missing field `product_id`"),
            ({"type": "latest_candlestick", "product_id": 4, "granularity": 61}, "granularity"),
            ({"type": "fill", "subaccount": "0x12"}, "subaccount"),
            ({"type": "order_book", "product_id": 4}, "unknown variant"),
            ({"type": "order_update", "subaccount": "0x" + "11" * 32}, "Unauthorized"),
        ],
        ids=str,
    )
    def test_a_stream_that_is_refused(self, rig: Rig, stream: Json, words: str) -> None:
        """A refused stream is answered with an error frame under the request's id."""
        answer = rig.ask(STREAM, {"method": "subscribe", "id": 21, "stream": stream})

        assert (None, 21) == (answer["result"], answer["id"])
        assert words in answer["error"]

    def test_the_number_of_streams_is_bounded(self, rig: Rig) -> None:
        """A client that runs wild is told so."""
        streams = [{"type": "fill", "subaccount": f"0x{number:064x}"} for number in range(MAX_STREAMS + 1)]

        assert "error" in rig.ask(STREAM, _multi("subscribe_multi", *streams))
        assert "error" not in rig.ask(STREAM, _multi("subscribe_multi", *streams[1:]))


@pytest.mark.parametrize(
    ("frame", "number", "words"),
    [
        ("{", 0, "error parsing request"),
        ("[]", 0, "error parsing request"),
        ('{"method":"list"}', 0, "error parsing request: missing field `id`"),
        ('{"method":"dance","id":3}', 3, "unknown variant `dance`"),
        ('{"method":"subscribe","id":4}', 4, "missing field `stream`"),
        ("[" * 100_000, 0, "error parsing request"),
    ],
)
def test_what_cannot_be_read_gets_an_error_frame(rig: Rig, frame: str, number: int, words: str) -> None:
    """The connection stays open, and the id is 0 if it cannot be read."""
    answer = rig.ask(STREAM, frame)

    assert number == answer["id"]
    assert words in answer["error"]
    assert "result" in rig.ask(STREAM, {"method": "time", "id": 1})


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"method": "ping", "id": 1}, {"method": "pong"}),
        ({"method": "ping", "id": 1, "client_time": "17"}, {"method": "pong", "client_time": "17"}),
        ({"method": "ping", "id": 1, "client_time": None}, {"method": "pong"}),
        ({"method": "time", "id": 1}, {"method": "time"}),
    ],
)
def test_clock(rig: Rig, request_: Json, expected: Json) -> None:
    """`ping` and `time` tell the clock in ms, and echo the client's."""
    assert {"server_time": str(rig.now_ms)} | expected == rig.ask(STREAM, request_)["result"]


def test_the_client_reads_acks_and_errors(rig: Rig) -> None:
    """Answers decode to the client's types."""
    frames = []
    for stream in (TRADE, {"type": "trade", "product_id": 6}):
        frame = {"method": "subscribe", "id": 1, "stream": stream}
        rig.exchange.frame_received(STREAM, str(frame).replace("'", '"'), rig.now_ns)
        frames += [decode_stream(raw) for _, raw in rig.exchange.frames_to_send()]

    assert [Ack, StreamError] == [type(frame) for frame in frames]


class TestAuthenticate:
    """Who may see order updates."""

    def test_one_success_covers_all_subaccounts_of_the_wallet(self, rig: Rig, trader: Trader) -> None:
        """After authenticating, order_update of any own subaccount can be had, and of no other's."""
        other = Trader(rig, key=2)

        assert {"result": None, "id": 77} == trader.authenticate()

        own = rig.subscribe("order_update", subaccount=Subaccount.of(trader.signer.address, "second").hex)
        foreign = rig.subscribe("order_update", subaccount=other.sub.hex)
        assert "error" not in own
        assert "Unauthorized" in foreign["error"]

    @pytest.mark.parametrize(
        ("ahead_ms", "good"), [(0, False), (1, True), (100_000, True), (100_001, False), (-1, False)]
    )
    def test_the_expiration_window(self, trader: Trader, ahead_ms: int, good: bool) -> None:
        """The expiration lies in the future, at most 100 s ahead."""
        assert good is ("error" not in trader.authenticate(ahead_ms=ahead_ms))

    def test_the_expiration_bounds_the_request_only(self, rig: Rig, trader: Trader) -> None:
        """The session goes on after it."""
        trader.authenticate(ahead_ms=1)
        rig.advance(10**10)

        assert "error" not in rig.subscribe("order_update", subaccount=trader.sub.hex)

    def test_another_signature_is_refused(self, rig: Rig, trader: Trader) -> None:
        """Only the wallet's signature opens its stream."""
        request = sign_authenticate(Signer(b"\x09" * 32), TESTNET.domain, trader.sub, rig.now_ms + 1000, id=3)

        answer = rig.ask(STREAM, request.frame)

        assert "does not match" in answer["error"]
        assert "error" in rig.subscribe("order_update", subaccount=trader.sub.hex)

    @pytest.mark.parametrize("allowed", [True, False])
    def test_the_linked_signer_by_switch(self, allowed: bool) -> None:
        """A linked signer may authenticate, or not by switch."""
        rig = Rig(switches=Switches(linked_signer_authenticates=allowed))
        trader, key = Trader(rig), Signer(b"\x09" * 32)
        link = Subaccount.parse(key.address + "00" * 12)
        rig.ask(V2, sign_link_signer(trader.signer, TESTNET.domain, trader.sub, link, 0).frame)

        answer = rig.ask(
            STREAM, sign_authenticate(key, TESTNET.domain, trader.sub, rig.now_ms + 1000, id=3).frame
        )

        assert allowed is ("error" not in answer)

    def test_one_wallet_a_connection(self, rig: Rig, trader: Trader) -> None:
        """Authenticating again is fine for the same wallet and refused for another."""
        trader.authenticate()

        assert "error" not in trader.authenticate()
        assert "another wallet" in Trader(rig, key=2).authenticate()["error"]

    @pytest.mark.parametrize(("newest", "closed"), [(True, 106), (False, 101)])
    def test_a_sixth_session_closes_one(self, newest: bool, closed: int) -> None:
        """The newest of six sessions of a wallet is closed without an ack, or the oldest by switch."""
        rig = Rig(switches=Switches(evict_newest_session=newest))
        trader = Trader(rig)
        acks: dict[int, int] = {}
        for connection in range(101, 107):
            rig.exchange.connection_made(connection, ConnectionKind.SUBSCRIBE, rig.now_ns)
            request = sign_authenticate(trader.signer, TESTNET.domain, trader.sub, rig.now_ms + 1000, id=3)
            rig.exchange.frame_received(connection, request.frame, rig.now_ns)
            acks[connection] = len(rig.take(connection))

        (closing,) = rig.exchange.connections_to_close()

        assert (
            Closing(closed, 1008, f"more than 5 authenticated connections of {trader.signer.address}")
            == closing
        )
        assert (0 if newest else 1) == acks[106]
        assert [] == rig.send(closed, {"method": "list", "id": 1})
        assert [] == rig.exchange.connections_to_close()

    def test_a_closed_session_makes_room(self, rig: Rig, trader: Trader) -> None:
        """The limit counts living connections only."""
        for connection in range(101, 120):
            rig.exchange.connection_made(connection, ConnectionKind.SUBSCRIBE, rig.now_ns)
            trader.authenticate(connection)
            rig.exchange.connection_lost(connection, rig.now_ns)

        assert [] == rig.exchange.connections_to_close()


def test_a_lost_connection_gets_nothing_more(rig: Rig, trader: Trader) -> None:
    """Its streams end with it."""
    rig.subscribe("trade", product_id=ETH)
    rig.exchange.connection_lost(STREAM, rig.now_ns)

    frames = rig.send(V2, trader.sign("3001", "0.1").frame)

    assert ["success"] == [f["status"] for f in frames]


class TestFeed:
    """The fan-out by itself."""

    TOPIC = Topic("trade", 4)

    def test_everybody_gets_the_same_object(self) -> None:
        """A frame for several connections is not copied."""
        feed = Feed()
        feed.subscribe(1, self.TOPIC)
        feed.subscribe(2, self.TOPIC)
        audience = feed.audience(self.TOPIC)
        assert audience is not None

        feed.publish(b"x", audience)
        (first, one), (second, two) = feed.drain()

        assert (1, 2) == (first, second)
        assert one is two
        assert [] == feed.drain()

    def test_listeners_of_either_topic_get_it_once(self) -> None:
        """Those who want one product and those who want all are one audience, without doubles."""
        feed = Feed()
        feed.subscribe(1, self.TOPIC)
        feed.subscribe(2, Topic("trade"))
        feed.subscribe(3, self.TOPIC)
        feed.subscribe(3, Topic("trade"))

        audience = feed.audience(self.TOPIC, Topic("trade"))

        assert audience is not None
        assert [1, 2, 3] == sorted(audience)
        assert [1, 3] == sorted(feed.audience(self.TOPIC) or ())

    def test_nobody_is_no_audience(self) -> None:
        """Without listeners there is nobody to write for, unless there is a journal."""
        seen: list[bytes] = []
        assert Feed().audience(self.TOPIC, Topic("trade")) is None

        feed = Feed(seen.append)
        audience = feed.audience(self.TOPIC)
        assert audience is not None
        feed.publish(b"x", audience)

        assert [b"x"] == seen
        assert not feed.listens("trade")
        assert feed.watches("0x12")

    def test_unsubscribing_what_is_not_subscribed_is_harmless(self) -> None:
        """An unsubscribe may come twice, or from somebody else."""
        feed = Feed()
        feed.subscribe(1, self.TOPIC)

        feed.unsubscribe(2, self.TOPIC)
        feed.unsubscribe(1, Topic("fill"))

        assert [self.TOPIC] == feed.topics(1)
        assert feed.listens("trade")

    def test_counts_follow_subscriptions(self) -> None:
        """Types and subaccounts are watched as long as anybody listens."""
        feed = Feed()
        topics = [Topic("fill", None, "0x12"), Topic("fill", 4, "0x12")]
        for topic in topics:
            feed.subscribe(1, topic)
            feed.subscribe(2, topic)

        feed.unsubscribe(1, topics[0])
        assert feed.watches("0x12")
        feed.drop(2)
        assert feed.watches("0x12")
        feed.drop(1)

        assert not feed.watches("0x12")
        assert not feed.listens("fill")
        feed.drop(1)


class TestExpirationOfSessions:
    """The switch that ends a session when what it signed has expired."""

    def test_by_default_it_lives_on(self) -> None:
        """The expiration bounds the request only."""
        rig = Rig()
        Trader(rig).authenticate()

        rig.skip(200 * SECOND)

        assert [] == rig.exchange.connections_to_close()

    def test_it_can_end(self) -> None:
        """Then the connection is closed at its expiration, if it is still there."""
        rig = Rig(switches=Switches(sessions_end_at_expiration=True))
        Trader(rig).authenticate(ahead_ms=10_000)

        rig.skip(9 * SECOND)
        assert [] == rig.exchange.connections_to_close()
        rig.skip(2 * SECOND)

        ((connection, code, _),) = rig.exchange.connections_to_close()
        assert (STREAM, 1008) == (connection, code)

    def test_one_that_left_is_not_closed(self) -> None:
        """It is gone already."""
        rig = Rig(switches=Switches(sessions_end_at_expiration=True))
        Trader(rig).authenticate(ahead_ms=10_000)
        rig.exchange.connection_lost(STREAM, rig.now_ns)

        rig.skip(11 * SECOND)

        assert [] == rig.exchange.connections_to_close()
