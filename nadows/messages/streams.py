"""What the venue says on the subscription socket: events, answers and errors on one line.

They are told apart by their members: an event has ``type``, an error ``error``, and an answer
``result``. ``type`` decides first, because events may carry an ``id`` of their own.

Source: protocol.md 2.1 and 2.2.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nadows.errors import MalformedFrame
from nadows.messages.events import (
    EVENTS,
    AnyKnownEvent,
    BookDepth,
    Event,
    UnknownEvent,
    check_levels,
    has_plain_levels,
)
from nadows.messages.subscriptions import STREAM_PARAMS, Stream
from nadows.messages.wire import (
    FOREIGN,
    UNSET,
    RequestId,
    UnsetType,
    WireStruct,
    convert,
    decoder,
    malformed,
    read,
)
from nadows.units import Millis

__all__ = ["Ack", "ClockReading", "StreamAnswer", "StreamError", "decode_stream", "pong_time"]


class ClockReading(WireStruct, frozen=True):
    """The answer to `Ping` (``pong``) and `Time` (``time``), in milliseconds."""

    method: str
    server_time: Millis
    client_time: Millis | UnsetType | None = UNSET


class Ack(WireStruct, frozen=True):
    """A request succeeded."""

    id: RequestId
    result: Any = None
    """Plain JSON: ``None``, a list of stream objects (`streams`), or a clock reading (`clock`)."""

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams of a `ListStreams` answer that this version knows; the venue also lists ``default``."""
        if not isinstance(self.result, list | tuple):
            return ()
        return tuple(stream for entry in self.result if (stream := _stream(entry)) is not None)

    @property
    def clock(self) -> ClockReading | None:
        """The reading of a `Ping` or `Time` answer."""
        if isinstance(self.result, ClockReading):
            return self.result
        try:
            return convert(self.result, ClockReading)
        except msgspec.ValidationError:
            return None


class StreamError(WireStruct, frozen=True):
    """A request failed; the connection stays open. It has no code, and ``id`` 0 if that could not be read."""

    error: str
    id: RequestId = 0
    result: UnsetType | None = None


StreamAnswer = Ack | StreamError


def _stream(entry: Any) -> Stream | None:
    """Read a listed stream; members that we do not know are left out, as everywhere in what we receive."""
    if isinstance(entry, Stream):
        return entry
    if not isinstance(entry, dict) or entry.get("type") not in list(STREAM_PARAMS):
        return None
    known = {name: value for name, value in entry.items() if name in Stream.__struct_fields__}
    try:
        return convert(known, Stream)
    except msgspec.ValidationError:
        return None


class _Answer(WireStruct, frozen=True):
    """Either kind of answer."""

    id: RequestId | UnsetType = UNSET
    result: Any = UNSET
    error: str | UnsetType | None = UNSET


_EVENT: Final = decoder(AnyKnownEvent)
_ANSWER: Final = decoder(_Answer)
_ANYTHING: Final = decoder(Any)


def decode_stream(frame: bytes | str) -> Event | Ack | StreamError:
    """Read one frame from the venue.

    Raises:
        MalformedFrame: If it is not JSON, or is none of the three, or is an event of a known type with a
            member that is missing, would lose digits (``"1e3"``, ``"1.0"``), or is not what it must be.
    """
    try:
        event: AnyKnownEvent = _EVENT.decode(frame)
        if type(event) is BookDepth:
            data = frame.encode() if isinstance(frame, str) else frame
            if not has_plain_levels(data, event):
                check_levels(event.bids)
                check_levels(event.asks)
    except msgspec.ValidationError as error:
        return _decode_rare(frame, error)
    except (*FOREIGN, ValueError) as error:
        raise malformed(error, frame) from error
    return event


def _decode_rare(frame: bytes | str, error: msgspec.ValidationError) -> UnknownEvent | Ack | StreamError:
    """Read what is not an event of a known type; *error* is why it is not one."""
    body = read(_ANYTHING, frame)
    if not isinstance(body, dict):
        raise MalformedFrame("expected an object", frame)
    if "type" not in body:
        return _decode_answer(frame)
    kind = body["type"]
    if not isinstance(kind, str) or kind in EVENTS:
        raise malformed(error, frame) from error
    return UnknownEvent(kind, frame.encode() if isinstance(frame, str) else frame)


def _decode_answer(frame: bytes | str) -> Ack | StreamError:
    answer: _Answer = read(_ANSWER, frame)
    if isinstance(answer.error, str):
        result = None if answer.result is None else UNSET
        return StreamError(answer.error, 0 if answer.id is UNSET else answer.id, result)
    if answer.result is UNSET or answer.id is UNSET:
        raise MalformedFrame("expected an event (type), an answer (result, id) or an error (error)", frame)
    return Ack(answer.id, answer.result)


def pong_time(ack: Ack) -> int | None:
    """Read the venue's clock (ms) off the answer to `Ping` or `Time`; ``None`` off any other."""
    clock = ack.clock
    return None if clock is None else int(clock.server_time)
