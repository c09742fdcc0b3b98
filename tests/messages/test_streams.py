"""Telling events, answers and errors apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nadows import messages as m
from nadows.errors import MalformedFrame
from nadows.units import Millis
from tests.messages.samples import sample


@pytest.mark.parametrize("as_text", [False, True], ids=["bytes", "str"])
def test_unknown_event_is_kept(as_text: bool) -> None:
    """An event of a type that we do not know is kept, told by its type, and written back equal."""
    raw = b'{"type":"weather","id":3,"result":null,"x":123456789012345678901234567890}'

    event = m.decode_stream(raw.decode() if as_text else raw)

    assert m.UnknownEvent("weather", raw) == event
    assert raw == m.encode(event)


def test_type_decides_before_id_and_result() -> None:
    """An event that carries id, result and error is an event all the same."""
    body = sample("event.trade").frame | {"id": 1, "result": None, "error": "x"}

    assert isinstance(m.decode_stream(json.dumps(body)), m.Trade)


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[]",
        "5",
        '"pong"',
        "{}",
        '{"id":1}',
        '{"result":null}',
        '{"result":null,"id":"1"}',
        '{"result":null,"id":-1}',
        '{"result":null,"error":5,"id":1}',
        '{"type":5}',
        '{"type":null,"result":null,"id":1}',
        '{"type":["trade"]}',
        '{"type":"weather"',
        '{"type":"trade"}',
        b'{"type":"weather","x":"\xff"}',
        '{"type":"weather","x":"\ud800"}',
        b'{"type":"weather","x":' + b"[" * 100_000,
        b'{"type":"trade","x":' + b"[" * 100_000,
        b"\xff",
    ],
)
def test_anything_else_is_malformed(frame: bytes | str) -> None:
    """What is neither an event nor an answer raises MalformedFrame and nothing else."""
    with pytest.raises(MalformedFrame):
        m.decode_stream(frame)


def test_malformed_event_says_where() -> None:
    """The message names the member that is wrong."""
    body = sample("event.trade").frame | {"price": "1e3"}

    with pytest.raises(MalformedFrame, match=r"'1e3'.*\$\.price"):
        m.decode_stream(json.dumps(body))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ('{"result":null,"error":"no","id":3}', m.StreamError("no", 3)),
        ('{"result":null,"error":"no"}', m.StreamError("no", 0)),
        ('{"error":"no","id":3}', m.StreamError("no", 3, m.UNSET)),
        ('{"result":{},"error":null,"id":3}', m.Ack(3, {})),
        ('{"result":null,"id":18446744073709551615}', m.Ack(2**64 - 1)),
    ],
)
def test_answers(frame: str, expected: m.Ack | m.StreamError) -> None:
    """An answer with an error text is an error, any other with a result an acknowledgement."""
    assert expected == m.decode_stream(frame)


def test_listed_streams() -> None:
    """The answer to list gives the streams that we know, without members that we do not know."""
    listed: list[Any] = [
        {"type": "default"},
        {"type": "best_bid_offer", "product_id": 2},
        {"type": "fill", "product_id": None, "subaccount": "0xaa", "since": 5},
        {"type": "trade", "product_id": "2"},
        {"type": ["trade"]},
        "trade",
    ]

    ack = m.Ack(17, listed)

    assert ack.streams == (m.Stream.best_bid_offer(2), m.Stream("fill", None, "0xaa"))


def test_streams_of_ones_own_making() -> None:
    """An acknowledgement built here, from streams and not from JSON, reads the same and can be sent."""
    ack = m.Ack(17, (m.Stream.trade(2),))

    assert ack.streams == (m.Stream.trade(2),)
    assert m.encode(ack) == b'{"id":17,"result":[{"type":"trade","product_id":2}]}'


@pytest.mark.parametrize("result", [None, {}, {"method": "pong"}, 5, "x"])
def test_ack_without_streams_or_clock(result: Any) -> None:
    """An answer that holds no streams and no clock gives none, and is no fault."""
    ack = m.Ack(1, result)

    assert ack.streams == ()
    assert ack.clock is None
    assert m.pong_time(ack) is None


def test_clock_of_a_ping() -> None:
    """The answer to a ping gives both clocks in milliseconds."""
    ack = m.decode_stream(sample("ping.result").json)

    assert isinstance(ack, m.Ack)
    assert m.ClockReading("pong", Millis(1799999995012), Millis(1799999995000)) == ack.clock
    assert m.pong_time(ack) == 1799999995012
    assert ack.streams == ()


def test_clock_of_ones_own_making() -> None:
    """An acknowledgement built here with a clock reading reads the same."""
    reading = m.ClockReading("time", Millis(5))

    assert m.Ack(1, reading).clock == reading
