"""The lines of a capture: the header, and one record a line."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from nadows import __version__
from nadows.messages import Stream
from nadows.timings import Timings

FORMAT: Final = 1
"""Version of the format: a reader refuses what it does not know."""
_SIGNATURE: Final = re.compile(rb"0x[0-9a-fA-F]{130}")


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="nadows_capture", tag=FORMAT):
    """The first line: what a replay must know before the first record."""

    nadows: str = __version__
    """Version that wrote it."""
    network: str
    chain_id: int
    endpoint: str
    started_ns: int
    """Wall clock."""
    seed: int
    """Of the client's jitter."""
    serial: bool = False
    """Whether the client spoke to the serial gateway socket."""
    subaccount: str | None = None
    """bytes32 in hex, lower case, whose private streams the client watched."""
    authenticated: bool = False
    clients: int = 1
    """How many clients shared the limits of the address: see `nadows.throttle.Limits`."""
    timings: Timings = msgspec.field(default_factory=Timings)
    """How long the client waited for what."""


class MarketHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file of market data; each other line is ``[receive time in ns, frame]``."""

    product_id: int
    snapshot: msgspec.Raw
    """The book before the first frame, whole, as ``market_liquidity`` would answer it."""
    symbol: str | None = None


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", gc=False):
    n: int
    w: int
    m: int


class Connect(_Record, frozen=True, kw_only=True, tag="connect", gc=False):
    """A socket opened."""

    line: str


class Disconnect(_Record, frozen=True, kw_only=True, tag="disconnect", gc=False):
    """A socket was lost."""

    line: str
    reason: str


class Frame(_Record, frozen=True, kw_only=True, tag="frame", gc=False):
    """A frame came: as JSON if it is that, on one line; else as ``text``, or ``base64`` if it is no text."""

    line: str
    frame: msgspec.Raw | UnsetType = UNSET
    text: str | UnsetType = UNSET
    base64: bytes | UnsetType = UNSET

    @property
    def payload(self) -> bytes:
        """The frame as it came."""
        if self.frame is not UNSET:
            return bytes(self.frame)
        if self.text is not UNSET:
            return self.text.encode()
        return b"" if self.base64 is UNSET else self.base64


class Tick(_Record, frozen=True, kw_only=True, tag="tick", gc=False):
    """Time passed, and something was due."""


class SubscribeAsked(_Record, frozen=True, kw_only=True, tag="subscribe", gc=False):
    """The user asked for a stream."""

    stream: Stream


class UnsubscribeAsked(_Record, frozen=True, kw_only=True, tag="unsubscribe", gc=False):
    """The user gave up a stream."""

    stream: Stream


class Restored(_Record, frozen=True, kw_only=True, tag="restore", gc=False):
    """The client took up what a journal held."""

    records: tuple[msgspec.Raw, ...]
    """As in the journal's lines."""


class StreamPing(_Record, frozen=True, kw_only=True, tag="ping", gc=False):
    """The user sent an application ping."""


class QueryAsked(_Record, frozen=True, kw_only=True, tag="query", gc=False):
    """The user sent a query."""

    query: msgspec.Raw


class PlacedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What the client's state needs of an order; numbers that may exceed 64 bits are strings."""

    digest: str
    product_id: int
    price_x18: str
    amount: str
    signature: str
    """Hash of the signature, by which the answer is found."""
    id: int | None = None


class Place(_Record, frozen=True, kw_only=True, tag="place", gc=False):
    """The user placed an order."""

    order: PlacedOrder


class PlaceOrders(_Record, frozen=True, kw_only=True, tag="place_orders", gc=False):
    """The user placed several orders in one request; answers are found by the first one's signature."""

    orders: tuple[PlacedOrder, ...]


class CancelAndPlace(_Record, frozen=True, kw_only=True, tag="cancel_and_place", gc=False):
    """The user replaced an order by this one."""

    order: PlacedOrder
    cancels: tuple[str, ...] = ()
    """Digests."""


class Execute(_Record, frozen=True, kw_only=True, tag="execute", gc=False):
    """The user sent another signed request."""

    request_type: str
    signature: str
    cancels: tuple[str, ...] = ()
    """Digests of the orders that it cancels, if it names them."""


class End(_Record, frozen=True, kw_only=True, tag="end", gc=False):
    """The recording ended as it should."""

    frames: int
    state_hash: str
    """`Desk.state_hash` of the recording client at this moment."""


Record = (
    Connect
    | Disconnect
    | Frame
    | Tick
    | SubscribeAsked
    | UnsubscribeAsked
    | Restored
    | StreamPing
    | QueryAsked
    | Place
    | PlaceOrders
    | CancelAndPlace
    | Execute
    | End
)


def redact(frame: bytes) -> bytes:
    """Replace every signature (65 bytes in hex) by its hash, the same for the same signature.

    The venue echoes signatures in its answers, and answers are found by them; a hash serves as well.
    """
    if b"0x" not in frame:
        return frame
    return _SIGNATURE.sub(lambda found: _signature_hash(found[0]).encode(), frame)


def _signature_hash(signature: bytes) -> str:
    return "sha256:" + hashlib.sha256(signature.lower()).hexdigest()[:32]


def redact_text(text: str) -> str:
    """Do the same to text."""
    return redact(text.encode()).decode()
