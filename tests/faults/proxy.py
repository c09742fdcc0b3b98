"""A TCP relay on loopback that does to real sockets what networks and edges do to them.

A `Proxy` stands between a client and a venue. What it does is switched while connections run: cut (FIN),
reset (RST, also in the middle of a frame), stand still in either direction, swallow what comes (half-open:
no byte is forwarded, no FIN either), drip, refuse, let handshakes hang, or answer them with a page of HTTP.
It knows nothing of WebSocket, and of HTTP only where a head ends.
"""

from __future__ import annotations

import asyncio
import enum
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

__all__ = ["Proxy", "Way", "http_answer", "proxy"]

_CHUNK: Final = 65_536
_HEAD_END: Final = b"\r\n\r\n"
_LINGER_NOT: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on with no time: closing discards what waits and sends RST instead of FIN."""


class Way(enum.Enum):
    """A direction."""

    UP = "to the venue"
    DOWN = "to the client"


def http_answer(status: int, *, retry_after_s: int | None = None, body: bytes = b"<html>no</html>") -> bytes:
    """Write a complete HTTP answer, as an edge gives it in place of the venue."""
    retry = "" if retry_after_s is None else f"Retry-After: {retry_after_s}\r\n"
    head = (
        f"HTTP/1.1 {status} Injected\r\nContent-Type: text/html\r\n{retry}"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


class _Relayed:
    """One connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.writers = [client]
        self.swallows = False
        """Half-open: once bytes are missing, nothing that follows would make sense."""
        self.reset_in_frame = False
        """Break off within what is forwarded next to the client."""

    def end(self, *, rst: bool) -> None:
        for writer in self.writers:
            if rst and not writer.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
                writer.transport.abort()
            writer.close()


class Proxy:
    """The relay to one port; made by `proxy`."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.hangs = False
        """Accept, and never answer."""
        self.answer: bytes | None = None
        """Answer requests with this, and close."""
        self.only_handshakes = False
        """Hold back whatever the venue sends after the head of its first answer."""
        self.rate: int | None = None
        """Bytes a second that are let through each way."""
        self.connections = 0
        """How many were accepted."""
        self.hanging = 0
        """How many wait for an answer that will not come."""
        self.accepted_s: list[float] = []
        """When (clock of the loop)."""
        self._target = target
        self._stalled: set[Way] = set()
        self._moves = asyncio.Event()
        self._relayed: set[_Relayed] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    # -- faults -------------------------------------------------------------------------------

    def cut(self) -> None:
        """End all connections in good order."""
        for each in tuple(self._relayed):
            each.end(rst=False)

    def reset(self) -> None:
        """End all connections with RST."""
        for each in tuple(self._relayed):
            each.end(rst=True)

    def reset_in_frame(self) -> None:
        """Reset each connection within the next bytes that it carries to the client."""
        for each in self._relayed:
            each.reset_in_frame = True

    def stall(self, *ways: Way) -> None:
        """Stand still in these directions until `heal`; nobody is told."""
        self._stalled.update(ways)

    def half_open(self) -> None:
        """Swallow what the present connections carry, for good, and their ends as well."""
        for each in self._relayed:
            each.swallows = True

    def refuse(self) -> None:
        """Close the listener: nobody is there."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def heal(self) -> None:
        """Relay as if nothing had been; what was swallowed stays so."""
        self.hangs = self.only_handshakes = False
        self.answer = self.rate = None
        self._stalled.clear()
        self._moves.set()
        self._moves = asyncio.Event()
        if self._server is None:
            await self.listen()

    # -- life ---------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End everything."""
        self.refuse()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- inside -------------------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.accepted_s.append(asyncio.get_running_loop().time())
        task = asyncio.create_task(self._serve(reader, writer), name="proxy connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relayed = _Relayed(writer)
        self._relayed.add(relayed)
        try:
            if self.hangs:
                self.hanging += 1
                try:
                    await reader.read()
                finally:
                    self.hanging -= 1
            elif self.answer is not None:
                await reader.readuntil(_HEAD_END)
                writer.write(self.answer)
            else:
                await self._relay(relayed, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            # Either side has gone; so goes the other.
            pass
        finally:
            self._relayed.discard(relayed)
            relayed.end(rst=False)
            for each in relayed.writers:
                with suppress(OSError):
                    await each.wait_closed()

    async def _relay(
        self, relayed: _Relayed, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        venue_reader, venue_writer = await asyncio.open_connection("127.0.0.1", self._target)
        relayed.writers.append(venue_writer)
        pumps = [
            asyncio.create_task(self._pump(relayed, Way.UP, reader, venue_writer), name="proxy up"),
            asyncio.create_task(self._pump(relayed, Way.DOWN, venue_reader, writer), name="proxy down"),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self, relayed: _Relayed, way: Way, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        handshaken = way is Way.UP
        while True:
            await self._gate(way)
            chunk = await source.read(_CHUNK)
            await self._gate(way)
            if relayed.swallows:
                await self._swallow(source)
            if not chunk:
                return
            if self.only_handshakes and not handshaken:
                head, end, _ = chunk.partition(_HEAD_END)
                sink.write(head + end)
                await asyncio.Event().wait()
            handshaken = True
            if relayed.reset_in_frame and way is Way.DOWN:
                sink.write(chunk[: len(chunk) // 2])
                # The half has to leave before the reset, which discards what waits.
                await sink.drain()
                await asyncio.sleep(0)
                relayed.end(rst=True)
                return
            await self._forward(sink, chunk)

    async def _gate(self, way: Way) -> None:
        while way in self._stalled:
            await self._moves.wait()

    async def _swallow(self, source: asyncio.StreamReader) -> None:
        while await source.read(_CHUNK):
            pass
        # Its end is kept to itself as well.
        await asyncio.Event().wait()

    async def _forward(self, sink: asyncio.StreamWriter, chunk: bytes) -> None:
        while self.rate is not None and chunk:
            piece, chunk = chunk[: max(self.rate // 20, 1)], chunk[max(self.rate // 20, 1) :]
            sink.write(piece)
            await asyncio.sleep(0.05)
        sink.write(chunk)
        await sink.drain()


@asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Proxy]:
    """Run a relay to a port of this machine."""
    relay = Proxy(target)
    await relay.listen()
    try:
        yield relay
    finally:
        await relay.close()
