"""What every codec shares: encoding, generic decoding, kept objects, and words for bad requests."""

from __future__ import annotations

import pickle
import sys
from typing import Any, Final

import pytest

from nadows import messages as m
from nadows.errors import MalformedFrame, ProtocolError
from nadows.messages.wire import decode, encode, malformed, request_id, serde_words, unknown_variant
from nadows.units import NO_ASK, X18, Nanos


def test_encode_writes_integers_as_they_travel() -> None:
    """Fixed point becomes a string, a product id a number; what is unset is left out, ``None`` is null."""
    order = m.OrderUpdate(Nanos(5), 2, "0xaa", X18(-(2**100)), "placed", id=None)

    written = m.encode(order)

    assert written == (
        b'{"type":"order_update","timestamp":"5","product_id":2,"digest":"0xaa",'
        b'"amount":"-1267650600228229401496703205376","reason":"placed","id":null}'
    )


def test_encode_refuses_what_has_no_place_on_the_wire() -> None:
    """A value that is no message raises and names its type."""
    with pytest.raises(NotImplementedError, match="complex"):
        m.encode({"price": 1j})


def test_either_form_is_kept() -> None:
    """In a member of either form a plain integer travels as a number, one of `as_text` as a string."""
    samples = [m.BboHistory(500, m.as_text(2), ()), m.BboHistory(m.as_text(2**70), 2**70, ())]

    written = [m.encode(one) for one in samples]

    assert written == [
        b'{"interval_ms":500,"limit":"2","history":[]}',
        b'{"interval_ms":"1180591620717411303424","limit":1180591620717411303424,"history":[]}',
    ]
    assert samples == [m.decode(text, m.BboHistory) for text in written]


def test_messages_survive_pickling() -> None:
    """A message can cross a process border, its numbers included."""
    top = m.BestBidOffer(Nanos(1), 4, X18(0), X18(0), NO_ASK, X18(0))
    history = m.BboHistory(500, m.as_text(2), ())

    assert (top, history) == pickle.loads(pickle.dumps((top, history)))
    assert m.encode(history) == m.encode(pickle.loads(pickle.dumps(history)))


def test_decode_reads_any_shape() -> None:
    """A list or a map of messages is read too."""
    found = m.decode('{"3":{"bid":"1","ask":"2"}}', dict[int, m.TopPrices])

    assert found == {3: m.TopPrices(X18(1), X18(2))}


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"<!DOCTYPE html><title>1015</title>",
        b'{"bid":"1","ask":"2"',
        b'{"bid":"1","ask":NaN}',
        b'{"bid":"\xff","ask":"2"}',
        '{"bid":"\ud800","ask":"2"}',
        b'{"deep":' + b"[" * 100_000,
        b'{"bid":"' + b"9" * 5000 + b'","ask":"2"}',
        b"[]",
        b"null",
        b'"text"',
    ],
    ids=["empty", "html", "cut", "nan", "utf8", "surrogate", "deep", "long", "list", "null", "string"],
)
def test_bad_input_is_malformed(frame: bytes | str) -> None:
    """Whatever is wrong with a frame, one exception says so and carries the frame."""
    with pytest.raises(MalformedFrame) as caught:
        m.decode(frame, m.TopPrices)

    assert isinstance(caught.value.frame, bytes)
    assert caught.value.reason


def test_malformed_keeps_the_frame() -> None:
    """The frame is kept as bytes for the log, even text that cannot be encoded."""
    assert malformed(ValueError("why"), "\ud800x").frame == b"?x"
    assert malformed(ValueError("why"), b"\xff").frame == b"\xff"


class TestPreserved:
    def test_is_written_back_byte_for_byte(self) -> None:
        """What is not understood is written as it came, whatever its numbers."""
        raw = b'{"type":"new", "x":12345678901234567890123, "y":1.50}'

        assert raw == m.encode(m.Preserved("new", raw))

    def test_fields_are_exact(self) -> None:
        """The members can be read, large integers included."""
        kept = m.Preserved("new", b'{"type":"new","x":12345678901234567890123}')

        assert kept.fields == {"type": "new", "x": 12345678901234567890123}

    def test_equality_is_that_of_the_text(self) -> None:
        """Two are equal, and hash alike, if their texts are."""
        one, same, other = (m.Preserved("new", raw) for raw in (b"{}", b"{}", b"{ }"))

        assert one == same
        assert hash(one) == hash(same)
        assert one != other
        assert one != b"{}"

    def test_repr_shows_it(self) -> None:
        """The representation names the type and the text."""
        assert repr(m.Preserved("new", b"{}")) == "Preserved('new', b'{}')"


def test_unreadable_request_is_a_protocol_error() -> None:
    """The venue's complaint is part of the tree and carries what to answer."""
    error = m.UnreadableRequest("why", b"{}", 7)

    assert isinstance(error, ProtocolError)
    assert (error.text, error.id, error.frame) == ("why", 7, b"{}")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"id": 7}, 7),
        ({"id": 2**64 - 1}, 2**64 - 1),
        ({}, 0),
        ({"id": None}, 0),
        ({"id": "7"}, 0),
        ({"id": True}, 0),
        ({"id": -1}, 0),
        ({"id": 1.0}, 0),
    ],
)
def test_request_id(body: dict[str, object], expected: int) -> None:
    """An id that is no unsigned integer counts as none."""
    assert expected == request_id(body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Object missing required field `id` - at `$.stream`", "missing field `id`"),
        ("Object missing required field `id`", "missing field `id`"),
        ("Object contains unknown field `x` - at `$.stream`", "unknown field `x`"),
        ("Expected `int`, got `str` - at `$.id`", "Expected `int`, got `str` - at `$.id`"),
    ],
)
def test_serde_words(text: str, expected: str) -> None:
    """Findings that the venue words in its own way are worded so; others stay."""
    assert expected == serde_words(text)


def test_unknown_variant() -> None:
    """The complaint lists what would have been allowed, in order."""
    assert unknown_variant("x", ["b", "a"]) == "unknown variant `x`, expected one of `b`, `a`"


DEEP: Final = [
    pytest.param(b"[" * 100_000, id="never closed"),
    pytest.param(b"[" * 50_000 + b"]" * 50_000, id="closed"),
    pytest.param(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, id="objects"),
    pytest.param(b'["\\"",' * 50_000 + b"1" + b"]" * 50_000, id="with escaped quotes"),
    pytest.param(b'{"id":1,"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}", id="in a member that is not known"),
]


@pytest.mark.parametrize("frame", DEEP)
@pytest.mark.parametrize("kind", [bytes, str])
def test_deep_nesting_is_refused_whatever_the_recursion_limit(frame: bytes, kind: type) -> None:
    """Decoding recurses in C; libraries that raise Python's limit must not turn a frame into a crash."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(MalformedFrame, match="nested deeper than 1000"):
            decode(frame if kind is bytes else frame.decode(), Any)
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([[1, {}]] * 5_000, id="wide"),
        pytest.param(["[" * 5_000, '"{' * 5_000, "\\"], id="brackets in strings"),
    ],
)
def test_wide_texts_are_not_deep(value: Any) -> None:
    """Only nesting counts, not the number of brackets, and not those inside strings."""
    assert value == decode(encode(value), Any)
