"""Messages between generator and parent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.bench.channel import Failed, FrameReader, Interval, Message, SampleBlock, Started, frame
from nadows.errors import ProtocolError

MESSAGES: list[Message] = [
    Started(1, 2),
    Interval(10, 10, 1, 1, 0, 0, [SampleBlock(0, "rest", "lag", b"12345678")]),
    Failed("no", refused=True),
]


@given(st.lists(st.integers(1, 40), max_size=20))
def test_messages_survive_any_cut(cuts: list[int]) -> None:
    """However the pipe cuts the bytes, the same messages come out."""
    data = b"".join(frame(message) for message in MESSAGES)
    reader, received = FrameReader(), []
    for size in cuts:
        received += reader.feed(data[:size])
        data = data[size:]
    received += reader.feed(data)

    assert MESSAGES == received


@pytest.mark.parametrize("noise", [b"Traceback (most recent call last)", b"\x00\x00\x00\x01x"])
def test_noise_in_the_pipe_is_an_error(noise: bytes) -> None:
    """Something else than messages is said to be so."""
    with pytest.raises(ProtocolError, match="generator"):
        FrameReader().feed(noise)
