"""Captures: everything a client took in, in the order in which it took it, one JSON object a line.

A capture is not a log of what was seen but the list of the `Desk`'s inputs: connections made and lost,
frames, what the user asked for, and the moments at which time alone made a difference. Whoever repeats them
in order gets the same books and the same account to the last digit (`nadows.replay`).

The first line is the `Header`. Each later line is a record with ``kind``, a running number ``n`` (one less
than its line), the wall clock ``w`` and the monotonic clock ``m`` in nanoseconds. The last one is the
`End`, which holds the hash of the state that the recording client had, so a capture that was cut off is
known from a whole one. Frames stand in their lines byte for byte, except that signatures are replaced by
their hashes (`redact`); frames that the client sends are not recorded, so neither keys nor signatures get
into a file. Files whose names end in ``.gz`` are compressed.

The format is described for readers in docs/capture.md.
"""

from __future__ import annotations

from nadows.capture.lines import (
    FORMAT,
    CancelAndPlace,
    Connect,
    Disconnect,
    End,
    Execute,
    Frame,
    Header,
    MarketHeader,
    Place,
    PlacedOrder,
    PlaceOrders,
    QueryAsked,
    Record,
    Restored,
    StreamPing,
    SubscribeAsked,
    Tick,
    UnsubscribeAsked,
    redact,
)
from nadows.capture.reader import Reader
from nadows.capture.recorder import Recorder

__all__ = [
    "FORMAT",
    "CancelAndPlace",
    "Connect",
    "Disconnect",
    "End",
    "Execute",
    "Frame",
    "Header",
    "MarketHeader",
    "Place",
    "PlaceOrders",
    "PlacedOrder",
    "QueryAsked",
    "Reader",
    "Record",
    "Recorder",
    "Restored",
    "StreamPing",
    "SubscribeAsked",
    "Tick",
    "UnsubscribeAsked",
    "redact",
]
