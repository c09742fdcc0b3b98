"""What generator and parent say to each other.

The parent writes lines to the generator's stdin: a `Spec` as JSON, then ``start INSTANT`` and perhaps
``stop``. The generator answers on stdout with frames: four bytes of length, big endian, and a message in
MessagePack. Samples travel as raw integers, so that the generator spends no time on making them smaller.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nadows.errors import ProtocolError

__all__ = [
    "START",
    "STOP",
    "Counted",
    "Failed",
    "Finished",
    "FrameReader",
    "Interval",
    "Mark",
    "Message",
    "PhaseReport",
    "Ready",
    "SampleBlock",
    "Spec",
    "Started",
    "frame",
]

START: Final = "start"
"""Begin at an instant, ns since the epoch, which follows; everything was made ready."""
STOP: Final = "stop"
"""Send no more, wait for what is in flight, report."""

_MAX_FRAME: Final = 256 * 2**20


class Spec(msgspec.Struct, frozen=True):
    """Everything that a generator needs to know."""

    scenario: dict[str, Any]
    """As `Scenario.as_dict` gives it."""
    network: dict[str, str | int]
    """The venue, as its ready line says it."""
    pin: int | None = None
    """CPU to stay on."""
    shard: int = 0
    shards: int = 1
    """Which of how many: it sends the requests i with ``i % shards == shard``."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Connected, authenticated, subscribed; waits for ``start``."""

    versions: dict[str, str]
    loop: str
    transport: str
    pacer: str
    connect_ns: list[int]
    """How long each client took from nothing to restored subscriptions and a live book."""


class Started(msgspec.Struct, frozen=True, tag=True):
    """The zero of the schedule, on both clocks."""

    mono_ns: int
    wall_ns: int


class SampleBlock(msgspec.Struct, frozen=True, array_like=True):
    """Samples of one clock of one kind in one phase."""

    phase: int
    kind: str
    clock: str
    values: bytes


class Interval(msgspec.Struct, frozen=True, tag=True):
    """About a second of a run."""

    at_ns: int
    """Its end, ns after the start."""
    length_ns: int
    sent: int
    acked: int
    failed: int
    in_flight: int
    samples: list[SampleBlock]
    """Since the last interval."""


class Mark(msgspec.Struct, frozen=True, tag=True):
    """A phase ended (or, for phase -1, the run began); what the process had used until then."""

    phase: int
    at_ns: int
    cpu_ns: int
    involuntary_switches: int
    rss_bytes: int


class Counted(msgspec.Struct, frozen=True):
    """Counts of one kind in one phase; see `nadows.bench.outcome.Counts`."""

    planned: int
    sent: int
    dropped: int
    acked: int
    failed: int
    unfinished: int
    errors: dict[str, int]
    drops: dict[str, int]


class PhaseReport(msgspec.Struct, frozen=True):
    """Counts of one phase."""

    duration_ns: int
    in_time: int
    late_busy: int
    inflight_max: int
    late_answers: int
    accepted: int
    filled: int
    missing: int
    kinds: dict[str, Counted]


class Finished(msgspec.Struct, frozen=True, tag=True):
    """Everything was sent and answered, or given up."""

    phases: list[PhaseReport]
    stats: dict[str, int]
    """The clients' own counters, summed."""
    stopped: bool
    """Whether it was told to stop before the schedule ended."""
    cuts_ns: list[int]
    """When its sockets were cut, ns after the start."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It cannot go on."""

    text: str
    refused: bool = False
    """Whether the venue refused, rather than could not be reached."""


Message = Ready | Started | Interval | Mark | Finished | Failed

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Message)


def frame(message: Message) -> bytes:
    """Encode a message with its length."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


class FrameReader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[Message]:
        """Take bytes as they come; return the messages that are complete.

        Raises:
            ProtocolError: If they are not ours: something else writes to that pipe.
        """
        self._buffer += chunk
        messages: list[Message] = []
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if length > _MAX_FRAME:
                raise ProtocolError(
                    f"the generator wrote something else than messages: {bytes(self._buffer[:80])!r}"
                )
            if len(self._buffer) < 4 + length:
                break
            try:
                messages.append(_decoder.decode(self._buffer[4 : 4 + length]))
            except msgspec.MsgspecError as error:
                raise ProtocolError(f"a message of the generator cannot be read: {error}") from error
            del self._buffer[: 4 + length]
        return messages
