"""The subscription socket: streams, authentication, and the small control requests.

Source: protocol.md 2.1 to 2.4. Texts without a known original are ours; clients must not read them.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

import msgspec

from nadows.errors import UsageError
from nadows.messages import subscriptions as ask
from nadows.messages.subscriptions import Stream, decode_stream_request
from nadows.messages.wire import UnreadableRequest, UnsetType
from nadows.signing import Domain, hash_stream_authentication, parse_bytes32
from nadows.venue.authority import MAX_AHEAD_MS, Authority, parse_sender
from nadows.venue.candles import GRANULARITIES
from nadows.venue.engine import Engine
from nadows.venue.feed import Topic
from nadows.venue.products import QUOTE_ID
from nadows.venue.refusal import Refusal

__all__ = ["MAX_SESSIONS", "MAX_STREAMS", "Subscriptions"]

MAX_SESSIONS: Final = 5
"""Authenticated connections of one wallet."""

MAX_STREAMS: Final = 1000
"""Streams of one connection; our own limit, against clients that run wild."""

_BAD_PRODUCT: Final = "The provided 'product_id' is invalid. Please verify and input a valid 'product_id'."
_UNAUTHORIZED: Final = "Unauthorized: authenticate for the wallet of this subaccount before order_update."

_MS: Final = 10**6
_ENCODER: Final = msgspec.json.Encoder()


class _Session:
    """One connection: its wallet once it is authenticated, and its streams as it wrote them."""

    __slots__ = ("streams", "wallet")

    def __init__(self) -> None:
        self.wallet: str | None = None
        self.streams: dict[Topic, Stream] = {}


class _Rejected(Exception):
    """A request that is answered with an error frame."""


class Subscriptions:
    """Serves the subscription socket."""

    def __init__(
        self, engine: Engine, authority: Authority, domain: Domain, close: Callable[[int, str], None]
    ) -> None:
        """*close* is called with a connection to disconnect, and why."""
        self._engine = engine
        self._authority = authority
        self._domain = domain
        self._close = close
        self._sessions: dict[int, _Session] = {}
        self._by_wallet: dict[str, list[int]] = {}
        self._expirations: list[tuple[int, int]] = []

    def connection_made(self, connection: int) -> None:
        """Begin to serve a connection."""
        self._sessions[connection] = _Session()

    def connection_lost(self, connection: int) -> None:
        """Forget a connection, its streams and its place among the wallet's sessions."""
        session = self._sessions.pop(connection)
        self._engine.feed.drop(connection)
        if session.wallet is not None:
            sessions = self._by_wallet[session.wallet]
            sessions.remove(connection)
            if not sessions:
                del self._by_wallet[session.wallet]

    def serves(self, connection: int) -> bool:
        """Whether this connection is a subscription socket."""
        return connection in self._sessions

    def next_deadline(self) -> int | None:
        """Return when the next session ends by its expiration, ns; ``None`` when that never happens."""
        return self._expirations[0][0] * _MS if self._expirations else None

    def expire(self) -> None:
        """Disconnect the session whose expiration has passed, if it is still there."""
        _, connection = heappop(self._expirations)
        if connection in self._sessions:
            self.connection_lost(connection)
            self._close(connection, "the expiration of its authentication has passed")

    def frame_received(self, connection: int, frame: bytes | str, now_ns: int) -> None:
        """Take a request and answer it."""
        session = self._sessions[connection]
        try:
            request = decode_stream_request(frame)
        except UnreadableRequest as error:
            self._answer(connection, {"result": None, "error": error.text, "id": error.id})
            return
        try:
            result = self._handle(connection, session, request, now_ns)
        except _Rejected as rejected:
            self._answer(connection, {"result": None, "error": str(rejected), "id": request.id})
            return
        # An evicted connection gets no ack: it is on its way out.
        if connection in self._sessions:
            self._answer(connection, {"result": result, "id": request.id})

    def _answer(self, connection: int, body: dict[str, Any]) -> None:
        self._engine.feed.send(connection, _ENCODER.encode(body))

    def _handle(self, connection: int, session: _Session, request: ask.Request, now_ns: int) -> object:
        if isinstance(request, ask.Subscribe):
            self._subscribe(connection, session, (request.stream,))
        elif isinstance(request, ask.SubscribeMulti):
            self._subscribe(connection, session, request.streams)
        elif isinstance(request, ask.Unsubscribe):
            self._unsubscribe(connection, session, (request.stream,))
        elif isinstance(request, ask.UnsubscribeMulti):
            self._unsubscribe(connection, session, request.streams)
        elif isinstance(request, ask.ListStreams):
            return self._list(session)
        elif isinstance(request, ask.Authenticate):
            self._authenticate(connection, session, request, now_ns)
        else:
            return _clock(request, now_ns)
        return None

    def _subscribe(self, connection: int, session: _Session, streams: tuple[Stream, ...]) -> None:
        """Subscribe to all of *streams*, or to none when one of them is refused."""
        topics = {self._topic(stream): stream for stream in streams}
        for topic, stream in topics.items():
            if stream.needs_auth and (topic.subaccount or "")[:42] != session.wallet:
                raise _Rejected(_UNAUTHORIZED)
        if len(session.streams.keys() | topics) > MAX_STREAMS:
            raise _Rejected(f"At most {MAX_STREAMS} streams may be subscribed to on one connection.")
        for topic, stream in topics.items():
            session.streams.setdefault(topic, stream)
            self._engine.feed.subscribe(connection, topic)

    def _unsubscribe(self, connection: int, session: _Session, streams: tuple[Stream, ...]) -> None:
        for stream in streams:
            topic = self._topic(stream)
            session.streams.pop(topic, None)
            self._engine.feed.unsubscribe(connection, topic)

    def _topic(self, stream: Stream) -> Topic:
        key = stream.key
        # Balances of the quote change too, though it has no market.
        quote = stream.type == "position_change" and key.product_id == QUOTE_ID
        if not quote and key.product_id is not None and key.product_id not in self._engine.markets:
            raise _Rejected(_BAD_PRODUCT)
        if key.granularity is not None and key.granularity not in GRANULARITIES:
            raise _Rejected(f"The provided 'granularity' is invalid. It must be one of {GRANULARITIES}.")
        subaccount = key.subaccount
        if subaccount is not None:
            try:
                subaccount = "0x" + parse_bytes32(subaccount, "subaccount").hex()
            except UsageError as error:
                raise _Rejected(f"error parsing request: {error}") from None
        return Topic(key.type, key.product_id, subaccount, key.granularity)

    def _list(self, session: _Session) -> list[object]:
        known: list[object] = [{"type": "default"}] if self._engine.switches.list_names_default else []
        return known + [msgspec.Raw(stream.wire()) for stream in session.streams.values()]

    def _authenticate(
        self, connection: int, session: _Session, request: ask.Authenticate, now_ns: int
    ) -> None:
        expiration, now_ms = int(request.tx.expiration), now_ns // _MS
        if not now_ms < expiration <= now_ms + MAX_AHEAD_MS:
            raise _Rejected(
                f"The expiration {expiration} must lie in the future, at most 100 s ahead of {now_ms}."
            )
        try:
            sender = parse_sender(request.tx.sender)
            digest = self._domain.digest(hash_stream_authentication(sender, expiration))
            account, signer = self._authority.check(sender, digest, request.signature, now_ns)
        except Refusal as refusal:
            raise _Rejected(refusal.text) from None
        if signer != sender.address and not self._engine.switches.linked_signer_authenticates:
            raise _Rejected("Only the wallet itself may authenticate, not a linked signer.")
        if session.wallet not in (None, account.address):
            raise _Rejected("The connection is authenticated for another wallet, which cannot be changed.")
        if session.wallet is None:
            session.wallet = account.address
            self._by_wallet.setdefault(account.address, []).append(connection)
            if self._engine.switches.sessions_end_at_expiration:
                heappush(self._expirations, (expiration, connection))
            self._evict(account.address)

    def _evict(self, wallet: str) -> None:
        """Disconnect one of the wallet's sessions if there are too many."""
        sessions = self._by_wallet[wallet]
        if len(sessions) > MAX_SESSIONS:
            extra = sessions[-1] if self._engine.switches.evict_newest_session else sessions[0]
            self.connection_lost(extra)
            self._close(extra, f"more than {MAX_SESSIONS} authenticated connections of {wallet}")


def _clock(request: ask.Ping | ask.Time, now_ns: int) -> dict[str, str]:
    clock = {"method": "time", "server_time": str(now_ns // _MS)}
    if isinstance(request, ask.Ping):
        clock["method"] = "pong"
        if request.client_time is not None and not isinstance(request.client_time, UnsetType):
            clock["client_time"] = str(request.client_time)
    return clock
