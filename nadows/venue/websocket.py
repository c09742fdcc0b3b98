"""The venue's side of WebSocket frames: one message, written once for all who get it.

A server's frames are not masked, so a frame is the same bytes for every connection; and a compressor may
start every message afresh whatever was negotiated, so a compressed frame is too (RFC 7692, 7.2.3.3: taking
the context over is an option of the sender). So an event is framed and compressed once, however many
connections want it, and a connection costs one write.

Short messages go uncompressed, as the extension allows for each message: deflate would cost more than the
matching. Source: RFC 6455 5.2, RFC 7692 6 and 7.2.
"""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["COMPRESS_FROM", "Framer", "close_frame"]

COMPRESS_FROM: Final = 512
"""Bytes from which a message is compressed. Below, the saving on the wire is a few hundred bytes."""

_TEXT: Final = 0x81
"""FIN and opcode 1."""
_TEXT_DEFLATED: Final = 0xC1
"""FIN, RSV1 (compressed) and opcode 1."""

_CLOSE: Final = 0x88
"""FIN and opcode 8."""

_SYNC_TAIL: Final = b"\x00\x00\xff\xff"


class Framer:
    """Frames messages, remembering each for as long as one batch lasts.

    Messages are told apart by identity; the owner keeps them alive until `clear`.
    """

    def __init__(self) -> None:
        self._framed: dict[tuple[int, int], bytes] = {}

    def frame(self, message: bytes, window_bits: int) -> bytes:
        """Return *message* as one text frame.

        Args:
            message: UTF-8 JSON.
            window_bits: The deflate window that was negotiated, 9 to 15; 0 for no compression.
        """
        if len(message) < COMPRESS_FROM:
            window_bits = 0
        key = (id(message), window_bits)
        framed = self._framed.get(key)
        if framed is None:
            framed = self._framed[key] = _text_frame(message, window_bits)
        return framed

    def clear(self) -> None:
        """End the batch."""
        self._framed.clear()


def _text_frame(message: bytes, window_bits: int) -> bytes:
    if not window_bits:
        return _header(_TEXT, len(message)) + message
    # Level 1: on loopback every cycle counts more than every byte.
    compressor = zlib.compressobj(1, zlib.DEFLATED, -window_bits)
    packed = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    payload = packed.removesuffix(_SYNC_TAIL)
    return _header(_TEXT_DEFLATED, len(payload)) + payload


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 1 << 16:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")


def close_frame(code: int, reason: str) -> bytes:
    """Return a close frame; *reason* is cut to what fits."""
    payload = code.to_bytes(2, "big") + reason.encode()[:120].decode(errors="ignore").encode()
    return _header(_CLOSE, len(payload)) + payload
