"""The one place that knows a WebSocket library.

`open_socket` gives a `Socket`: receive a frame, write a frame at once, close. Foreign exceptions end here and
become `ConnectFailed` or `ConnectionLost`; nothing above imports the library.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import broadcast
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.extensions import ClientExtensionFactory
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Frame
from websockets.protocol import State
from websockets.typing import ExtensionParameter

from nadows.errors import ConnectFailed, ConnectionLost
from nadows.network import CLOSE_TIMEOUT_NS, CONNECT_TIMEOUT_NS, PING_INTERVAL_NS, PONG_TIMEOUT_NS
from nadows.pacing import retry_after_ns

__all__ = ["Socket", "compression_of", "open_socket"]

_MAX_FRAME: Final = 16 * 2**20
"""The largest documented answer, ``all_products``, is about 70 kB.

This leaves room and bounds a hostile peer.
"""
_SECOND: Final = 1_000_000_000
_STATUS_HINTS: Final = {
    403: "it refuses sockets without compression, blocked regions and blocked addresses this way",
    429: "there were too many connections or requests from this address",
    503: "it is not available now",
}
_DECODE: Final = "decode" in inspect.signature(ClientConnection.recv).parameters
"""websockets 14 and later hand out text frames as bytes on request, which saves a copy."""


class Socket(Protocol):
    """An open connection that carries text frames."""

    async def recv(self) -> str | bytes:
        """Wait for the next frame. Raises `ConnectionLost`."""

    def send(self, frames: Sequence[bytes]) -> None:
        """Write frames at once, in order, without waiting.

        On a connection that is closing they are dropped.
        """

    async def close(self) -> None:
        """Close in good order within the close time-out; idempotent."""

    def abort(self) -> None:
        """Cut it at once, for a peer that does not answer; the reader gets `ConnectionLost`."""

    @property
    def buffered(self) -> int:
        """Bytes written and not yet taken by the operating system."""


class _SmallFramesPlain(PerMessageDeflate):
    """Inflates what comes, sends small frames as they are.

    The venue demands that compression is offered (protocol.md 1.2), but RFC 7692 lets each message go
    uncompressed, and compressing a 300-byte order costs a third of the time of signing it.
    """

    def encode(self, frame: Frame) -> Frame:
        return frame if len(frame.data) < 4096 else super().encode(frame)


class _OfferDeflate(ClientPerMessageDeflateFactory):
    def process_response_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Any]
    ) -> PerMessageDeflate:
        agreed = super().process_response_params(params, accepted_extensions)
        return _SmallFramesPlain(
            agreed.remote_no_context_takeover,
            agreed.local_no_context_takeover,
            agreed.remote_max_window_bits,
            agreed.local_max_window_bits,
        )


class _WebsocketsSocket:
    """A `Socket` over the ``websockets`` library."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._recv_options: dict[str, Any] = {"decode": False} if _DECODE else {}

    async def recv(self) -> str | bytes:
        try:
            frame: str | bytes = await self._connection.recv(**self._recv_options)
        except ConnectionClosed as closed:
            lost = ConnectionLost(_why(closed))
            # Ended by our side without an answer: the ping time-out of the library, or an abort.
            lost.is_known = closed.rcvd is not None or closed.sent is None
            raise lost from closed
        return frame

    def send(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            # broadcast() to one is the library's public way to write without waiting.
            broadcast((self._connection,), frame.decode())

    async def close(self) -> None:
        await self._connection.close()

    def abort(self) -> None:
        self._connection.transport.abort()

    @property
    def buffered(self) -> int:
        transport = self._connection.transport
        return transport.get_write_buffer_size() if self._connection.state is State.OPEN else 0


def _why(closed: ConnectionClosed) -> str:
    frame = closed.rcvd
    if frame is None:
        return "the venue went away without a close frame"
    return f"the venue closed with code {frame.code}" + (f" ({frame.reason})" if frame.reason else "")


async def open_socket(
    url: str,
    *,
    connect_timeout_ns: int = CONNECT_TIMEOUT_NS,
    ping_interval_ns: int = PING_INTERVAL_NS,
    pong_timeout_ns: int = PONG_TIMEOUT_NS,
) -> Socket:
    """Connect to a WebSocket URL.

    Args:
        url: ``ws://`` or ``wss://``.
        connect_timeout_ns: For the connection with its handshakes.
        ping_interval_ns: Between PING frames, which the venue demands (protocol.md 1.2).
        pong_timeout_ns: How long a pong may take before the connection counts as lost.

    Raises:
        ConnectFailed: With the reason in words, and what to check.
    """
    factories: Sequence[ClientExtensionFactory] = [_OfferDeflate(client_max_window_bits=True)]
    options: dict[str, Any] = {}
    if "proxy" in inspect.signature(connect.__init__).parameters and _is_loopback(url):
        # A proxy from the environment cannot reach this machine's own loopback.
        options["proxy"] = None
    try:
        connection = await connect(
            url,
            compression=None,
            extensions=factories,
            open_timeout=connect_timeout_ns / _SECOND,
            ping_interval=ping_interval_ns / _SECOND,
            ping_timeout=pong_timeout_ns / _SECOND,
            close_timeout=CLOSE_TIMEOUT_NS / _SECOND,
            max_size=_MAX_FRAME,
            max_queue=1024,
            **options,
        )
    except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed, EOFError) as error:
        failed = ConnectFailed(f"{url}: {_connect_reason(error)}")
        failed.retry_after_ns = _retry_after_ns(error)
        raise failed from error
    return _WebsocketsSocket(connection)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _retry_after_ns(error: Exception) -> int:
    """Read the ``Retry-After`` of a refused handshake."""
    if not isinstance(error, InvalidStatus):
        return 0
    return retry_after_ns(error.response.headers.get("Retry-After", ""))


def _connect_reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "no answer in time; check the address and the network"
        case InvalidStatus():
            status = error.response.status_code
            hint = _STATUS_HINTS.get(status, "check the URL")
            return f"the venue refused the WebSocket with HTTP status {status}; {hint}"
        case InvalidMessage() | EOFError():
            return "the server does not speak WebSocket; check host and port"
        case InvalidHandshake():
            return f"the handshake failed: {error}"
        case _:
            return f"cannot connect: {error}; is the venue running there?"


def compression_of(socket: Socket) -> str | None:
    """Name the compression that both sides agreed on, such as ``permessage-deflate``; ``None`` for none."""
    assert isinstance(socket, _WebsocketsSocket)
    names = [extension.name for extension in socket._connection.protocol.extensions]
    return ", ".join(names) or None
