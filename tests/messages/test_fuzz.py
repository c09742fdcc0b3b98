"""Whatever arrives: a decoder returns what can be written and read again, or raises MalformedFrame."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nadows import messages as m
from nadows.errors import MalformedFrame
from tests.messages.samples import FRAMES

FRAME_TEXTS: Final = [sample.json for sample in FRAMES]


def edge_cases() -> st.SearchStrategy[Any]:
    """JSON values that decoders trip over."""
    return st.sampled_from(
        [
            None,
            True,
            0,
            -1,
            1.5,
            2**64,
            2**200,
            1e300,
            "",
            "1e3",
            "-0",
            "\x00",
            "0x",
            [],
            {},
            [[]],
            {"type": "trade"},
        ]
    )


json_values = st.recursive(
    edge_cases() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def changed_values(draw: st.DrawFn) -> bytes:
    """Draw a sample frame in which one value, at any depth, is another one or is gone."""
    frame = json.loads(draw(st.sampled_from(FRAME_TEXTS)))
    holder, key = draw(st.sampled_from([(None, None), *slots(frame)]))
    if holder is None:
        return json.dumps(draw(json_values)).encode()
    if draw(st.booleans()):
        holder[key] = draw(json_values)
    else:
        del holder[key]
    return json.dumps(frame).encode()


def slots(value: Any) -> list[tuple[Any, Any]]:
    """List every place in a JSON value that holds another value."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [slot for key in keys for slot in slots(value[key])]


@st.composite
def changed_bytes(draw: st.DrawFn) -> bytes:
    """Draw a sample frame that was cut, or had a few bytes replaced."""
    frame = bytearray(draw(st.sampled_from(FRAME_TEXTS)))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(frame)))
        frame[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(frame[: draw(st.integers(0, len(frame)))] if draw(st.booleans()) else frame)


def read_stream(frame: bytes) -> bytes:
    message = m.decode_stream(frame)
    if isinstance(message, m.Ack):
        assert isinstance(message.streams, tuple)
        assert m.pong_time(message) is None or message.clock is not None
    return m.encode(message)


def read_reply(frame: bytes) -> bytes:
    reply = m.decode_reply(frame)
    if isinstance(reply, m.Reply):
        m.encode(m.reply_data(reply))
    return m.encode(reply)


def read_archive(frame: bytes) -> bytes:
    return m.encode(m.decode_archive_answer(frame, m.MatchesQuery()))


READERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "stream": read_stream,
    "stream request": lambda frame: m.encode(m.decode_stream_request(frame)),
    "gateway request": lambda frame: m.encode_gateway_request(m.decode_gateway_request(frame)),
    "reply": read_reply,
    "edge clock": lambda frame: m.encode(m.decode_edge_clock(frame)),
    "archive request": lambda frame: m.encode_archive_request(m.decode_archive_request(frame)),
    "archive answer": read_archive,
}


@pytest.mark.parametrize("name", READERS)
@given(frame=changed_values() | changed_bytes() | st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
def test_only_malformed_frame_escapes(name: str, frame: bytes) -> None:
    """A damaged frame is refused with MalformedFrame; one that passes is stable from the first writing on."""
    read = READERS[name]
    try:
        written = read(frame)
    except MalformedFrame:
        return
    assert written == read(written)


@given(frame=changed_bytes())
@settings(max_examples=200, deadline=None)
def test_text_frames_are_as_safe_as_bytes(frame: bytes) -> None:
    """Text is treated as bytes are, lone surrogates included."""
    text = frame.decode(errors="surrogateescape")
    for read in (m.decode_stream, m.decode_stream_request, m.decode_gateway_request, m.decode_reply):
        with contextlib.suppress(MalformedFrame):
            read(text)
