"""The venue behind real sockets: one port, one event loop, and an `Exchange` that knows nothing of either.

This shell reads the clock, moves bytes and applies limits; it decides nothing about trading. Frames to
sockets are written straight to the transport: one write for each connection and batch, so that a slow
reader fills its own transport's buffer and nothing else, and is cut when that is full.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import logging
import os
import time
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web

from nadows.errors import CaptureError, UsageError
from nadows.network import Network
from nadows.venue.exchange import ConnectionKind, Exchange, ExchangeOptions
from nadows.venue.rest import HttpAnswer, HttpRequest
from nadows.venue.websocket import Framer, close_frame

__all__ = ["VenueOptions", "VenueServer", "calm_collector", "serve"]

_LOG: Final = logging.getLogger("nadows.venue")

_SOCKETS: Final = {
    "/v1/ws": ConnectionKind.GATEWAY_V1,
    "/ws/v2": ConnectionKind.GATEWAY_V2,
    "/v1/subscribe": ConnectionKind.SUBSCRIBE,
}

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_LEAST_TICK_NS: Final = 2_000_000
"""The flow alone would wake the loop hundreds of times a second; what is due within this goes together."""

_LONGEST_STALL_NS: Final = 5_000_000_000
"""A process that was stopped for longer than this resumes instead of catching up."""

_COMPRESS_BODY_FROM: Final = 1024

_NO_COMPRESSION: Final = (
    '{"status":"failure","error":"The subscribe socket needs permessage-deflate: offer it in '
    'Sec-WebSocket-Extensions.","error_code":2080}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOptions:
    """What to serve, and where."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 for any that is free."""
    seed: int = 0
    """Of the background flow."""
    exchange: ExchangeOptions = field(default_factory=ExchangeOptions)
    replay: Path | None = None
    """A market file, plain or gzip, to play in place of its product's flow."""
    speed: Fraction = Fraction(1)
    """How fast to play it; 1 is as recorded."""
    max_connections: int = 512
    max_frame: int = 1 << 20
    """Bytes of one frame or request body from a client."""
    max_queued: int = 16 << 20
    """Bytes that may wait for one slow reader before it is cut."""


class _Peer:
    """One socket: where to write, with which deflate window (0 for none), and when it last sent a ping."""

    __slots__ = ("pinged_s", "transport", "window_bits")

    def __init__(self, transport: asyncio.Transport, window_bits: int, now_s: float) -> None:
        self.transport = transport
        self.window_bits = window_bits
        self.pinged_s = now_s


class VenueServer:
    """A running venue. Made by `serve`.

    Attributes:
        exchange: The machine itself, for tests that look at the truth.
        network: Where clients find it.
        cut: How many slow readers have been cut.
    """

    def __init__(self, options: VenueOptions, lines: Iterator[bytes] | None) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        # The wall clock can be set back; this one begins there and only ever goes on.
        self._clock_offset_ns = time.time_ns() - time.monotonic_ns()
        self.exchange = Exchange(
            options.exchange, seed=options.seed, now_ns=self.now_ns(), recording=lines, speed=options.speed
        )
        self.network: Network = Network.local(options.port or 1)
        self.cut = 0
        self._numbers = count(1)
        self._peers: dict[int, _Peer] = {}
        self._held: dict[int, asyncio.Future[HttpAnswer]] = {}
        self._framer = Framer()
        self._flush_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._failure: asyncio.Future[None] = self._loop.create_future()

    def now_ns(self) -> int:
        """Return the venue's clock, ns since the epoch."""
        return time.monotonic_ns() + self._clock_offset_ns

    @property
    def held(self) -> int:
        """How many REST requests wait for their answer."""
        return len(self._held)

    @property
    def connections(self) -> int:
        """How many sockets are open."""
        return len(self._peers)

    def ready_line(self) -> dict[str, str | int]:
        """Return the JSON object that ``nadows serve`` prints when it is ready."""
        return self.network.ready_line() | {"pid": os.getpid()}

    async def failed(self) -> None:
        """Wait until the venue cannot go on, and raise why.

        Raises:
            CaptureError: If the file that is played is damaged further on.
        """
        await asyncio.shield(self._failure)

    # The clockwork.

    def _tick(self) -> None:
        self._timer = None
        now_ns = self.now_ns()
        if now_ns - self._timer_ns > _LONGEST_STALL_NS:
            self.exchange.skip(now_ns)
        self.exchange.tick(now_ns)
        self._flush()

    def _arm(self) -> None:
        """Set the timer for the exchange's next deadline, if it is not set for one before that."""
        now_ns = self.now_ns()
        due_ns = max(self.exchange.next_deadline(), now_ns + _LEAST_TICK_NS)
        if self._timer is not None:
            if self._timer_ns <= due_ns:
                return
            self._timer.cancel()
        self._timer_ns = due_ns
        self._timer = self._loop.call_later((due_ns - now_ns) / 1e9, self._tick)

    def _flush_soon(self) -> None:
        """Flush when the loop has taken what else there is to read: one write for a burst of requests."""
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write out what is due, then set the timer."""
        self._flush_due = False
        batches: dict[int, list[bytes]] = {}
        due = self.exchange.frames_to_send()
        for number, message in due:
            peer = self._peers.get(number)
            if peer is not None:
                batches.setdefault(number, []).append(self._framer.frame(message, peer.window_bits))
        self._framer.clear()
        for number, frames in batches.items():
            self._write(number, self._peers[number].transport, b"".join(frames))
        for closing in self.exchange.connections_to_close():
            peer = self._peers.pop(closing.connection, None)
            if peer is not None:
                peer.transport.write(close_frame(closing.code, closing.reason))
                peer.transport.close()
        for number, answer in self.exchange.http_answers():
            future = self._held.pop(number, None)
            if future is not None and not future.done():
                future.set_result(answer)
        failure = self.exchange.failure
        if failure is not None and not self._failure.done():
            self._failure.set_exception(failure)
        self._arm()

    def _write(self, number: int, transport: asyncio.Transport, data: bytes) -> None:
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() + len(data) > self._options.max_queued:
            self.cut += 1
            _LOG.warning("cut connection %d: over %d bytes wait to be read", number, self._options.max_queued)
            transport.abort()
        else:
            transport.write(data)

    # Requests.

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one HTTP request, or one socket for as long as it lasts."""
        if not self._is_local(request):
            return web.json_response(
                {"error": "this venue answers on loopback only, and no foreign web pages"}, status=403
            )
        path = request.path.removeprefix("/gateway")
        kind = _SOCKETS.get(path)
        if kind is not None and request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._serve_socket(request, kind)
        return await self._serve_http(request)

    def _is_local(self, request: web.Request) -> bool:
        """Refuse browsers that another site has sent here, under its name or with its pages."""
        allowed = _LOOPBACK | {self._options.host}
        if _hostname(f"//{request.host}") not in allowed:
            return False
        origin = request.headers.get("Origin")
        return origin is None or _hostname(origin) in allowed

    async def _serve_http(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            too_large = {
                "status": "failure",
                "error": f"the body is over {self._options.max_frame} bytes",
                "error_code": 1005,
            }
            return web.json_response(too_large, status=413)
        query = {name: request.query[name] for name in request.query}
        http = HttpRequest(request.method, request.path, query, body, request.remote or "")
        number = next(self._numbers)
        answer = self.exchange.http_request(number, http, self.now_ns())
        self._flush_soon()
        if answer is None:
            future = self._held[number] = self._loop.create_future()
            try:
                answer = await future
            finally:
                self._held.pop(number, None)
        # In the loop whatever its size: a thread would cost more than deflating some kilobytes.
        response = web.Response(
            body=answer.body, status=answer.status, headers=answer.headers, zlib_executor_size=1 << 30
        )
        if len(answer.body) >= _COMPRESS_BODY_FROM:
            response.enable_compression()
        return response

    async def _serve_socket(self, request: web.Request, kind: ConnectionKind) -> web.StreamResponse:
        offered = request.headers.get("Sec-WebSocket-Extensions", "")
        if kind is ConnectionKind.SUBSCRIBE and "permessage-deflate" not in offered:
            return web.Response(text=_NO_COMPRESSION, status=403, content_type="application/json")
        if len(self._peers) >= self._options.max_connections:
            return web.json_response({"error": "too many connections"}, status=503)
        ws = web.WebSocketResponse(max_msg_size=self._options.max_frame, autoping=False)
        await ws.prepare(request)
        transport = request.transport
        if transport is None:  # The client left during the handshake.
            return ws
        number = next(self._numbers)
        self._peers[number] = _Peer(transport, int(ws.compress), self._loop.time())
        self._expect_ping(number)
        self.exchange.connection_made(number, kind, self.now_ns(), request.remote or "")
        try:
            await self._read(ws, number)
        finally:
            self._peers.pop(number, None)
            self.exchange.connection_lost(number, self.now_ns())
            self._flush_soon()
        return ws

    async def _read(self, ws: web.WebSocketResponse, number: int) -> None:
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                self.exchange.frame_received(number, message.data, self.now_ns())
                self._flush_soon()
            elif message.type is WSMsgType.PING:
                if number in self._peers:
                    self._peers[number].pinged_s = self._loop.time()
                await ws.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                await ws.close(code=1003, message=b"the venue speaks text frames only")

    def _expect_ping(self, number: int) -> None:
        """Disconnect a socket whose last ping is too long ago; look again when the next one may be."""
        timeout_s = self._options.exchange.switches.ping_timeout_s
        peer = self._peers.get(number)
        if peer is None or not timeout_s:
            return
        left_s = peer.pinged_s + timeout_s - self._loop.time()
        if left_s > 0:
            self._loop.call_later(left_s, self._expect_ping, number)
            return
        peer.transport.write(close_frame(1008, f"no ping for {timeout_s} s"))
        peer.transport.close()

    # From the outside.

    async def start(self, runner: web.AppRunner) -> None:
        """Listen.

        Raises:
            UsageError: If the port cannot be had.
        """
        host, port = self._options.host, self._options.port
        try:
            await web.TCPSite(runner, host, port).start()
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"cannot listen on {host}:{port}: {error}; choose another port, or 0 for any"
            ) from None
        bound = next(address for address in runner.addresses if isinstance(address, tuple))
        shown = f"[{host}]" if ":" in host else host
        options = self._options.exchange
        self.network = Network.from_url(
            f"http://{shown}:{bound[1]}", name="sim", chain_id=options.chain_id, endpoint=options.endpoint
        )
        self._arm()

    def stop(self) -> None:
        """Stop the clockwork and close every socket."""
        if self._timer is not None:
            self._timer.cancel()
        for peer in self._peers.values():
            peer.transport.write(close_frame(1001, "the venue is going down"))
            peer.transport.close()
        for future in self._held.values():
            future.cancel()
        if not self._failure.done():
            self._failure.cancel()


@asynccontextmanager
async def serve(options: VenueOptions | None = None) -> AsyncIterator[VenueServer]:
    """Run a venue in this event loop for as long as the context lasts.

    Raises:
        UsageError: If the port cannot be had.
        CaptureError: If the file to play cannot be read.
    """
    options = options or VenueOptions()
    with ExitStack() as files:
        lines = None if options.replay is None else files.enter_context(_open_lines(options.replay))
        venue = VenueServer(options, lines)
        app = web.Application(client_max_size=options.max_frame)
        app.router.add_route("*", "/{path:.*}", venue.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await venue.start(runner)
            yield venue
        finally:
            venue.stop()
            await runner.cleanup()


@contextmanager
def calm_collector() -> Iterator[None]:
    """Keep the cyclic collector from stopping the venue for hundreds of times as long as an order takes.

    For a process that does nothing else; enter it when the venue is up. A full collection walks every
    remembered match: 65 ms after 20,000 of them. The venue makes no cycles of its own; what the HTTP
    server leaves behind is found by the younger generations.
    """
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _hostname(url: str) -> str | None:
    """Return the host of a URL, ``None`` for what is no URL."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


@contextmanager
def _open_lines(path: Path) -> Iterator[Iterator[bytes]]:
    """Open a market file, unpacking it if it is packed.

    Raises:
        CaptureError: If it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.open(file) if packed else nullcontext(file) as lines:
                yield _lines(lines, path)
    except OSError as error:
        raise CaptureError(f"cannot read {path}: {error.strerror or error}") from None


def _lines(file: Iterable[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from file
    except (OSError, EOFError, zlib.error) as error:
        raise CaptureError(f"{path} is damaged or cut off: {error}") from None
