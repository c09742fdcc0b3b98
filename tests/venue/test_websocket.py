"""Tests of nadows.venue.websocket: frames as RFC 6455 and 7692 have them."""

from __future__ import annotations

import zlib

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from nadows.venue.websocket import COMPRESS_FROM, Framer, close_frame


def _parse(data: bytes, extension: PerMessageDeflate | None = None) -> Frame:
    """Read one frame with the parser of the `websockets` library."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    parser = Frame.parse(reader.read_exact, mask=False, extensions=[] if extension is None else [extension])
    try:
        while True:
            next(parser)
    except StopIteration as done:
        frame: Frame = done.value
        return frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 511, 65_535, 65_536, 200_000])
def test_a_plain_text_frame(size: int) -> None:
    """A client without compression reads what was written, whatever its length."""
    message = b"x" * size

    frame = _parse(Framer().frame(message, 0))

    assert (Opcode.TEXT, message, True) == (frame.opcode, frame.data, frame.fin)


@pytest.mark.parametrize("window_bits", [9, 12, 15])
@pytest.mark.parametrize("no_takeover", [True, False])
def test_compressed_frames_are_read_by_any_client(window_bits: int, no_takeover: bool) -> None:
    """Messages compressed on their own are read with and without context takeover, and any window."""
    client = PerMessageDeflate(
        remote_no_context_takeover=no_takeover,
        local_no_context_takeover=False,
        remote_max_window_bits=window_bits,
        local_max_window_bits=15,
    )
    messages = [f'{{"n":{number},"text":"{"abc" * (300 + number)}"}}'.encode() for number in range(5)]
    framer = Framer()

    read = [_parse(framer.frame(message, window_bits), client).data for message in messages]

    assert messages == read


def test_short_messages_go_uncompressed() -> None:
    """Deflating a small frame would cost more than it saves."""
    short, long = b"x" * (COMPRESS_FROM - 1), b"x" * COMPRESS_FROM

    assert _parse(Framer().frame(short, 15)).data == short
    assert len(Framer().frame(long, 15)) < 50


def test_one_message_is_framed_once_for_each_window() -> None:
    """Connections with the same window share the bytes; after `clear` nothing is remembered."""
    framer = Framer()
    message = b"x" * 1000

    first = framer.frame(message, 15)

    assert first is framer.frame(message, 15)
    assert framer.frame(message, 0) != first
    framer.clear()
    assert first == framer.frame(message, 15)
    assert first is not framer.frame(message, 15)


def test_a_close_frame_says_why() -> None:
    """Code and reason, the reason cut to what a control frame holds and never within a character."""
    frame = _parse(close_frame(1008, "é" * 100))

    close = Close.parse(frame.data)
    assert Opcode.CLOSE is frame.opcode
    assert (1008, "é" * 60) == (close.code, close.reason)


def test_deflate_output_has_no_tail() -> None:
    """The four bytes that the receiver adds are left out (RFC 7692, 7.2.1)."""
    framed = Framer().frame(b"x" * 600, 15)

    assert b"x" * 600 == zlib.decompressobj(-15).decompress(framed[2:] + b"\x00\x00\xff\xff")
