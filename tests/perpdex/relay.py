"""A TCP relay before a whole venue: it cuts connections, swallows what goes one way, and refuses new ones.

`tests.faults.proxy` does more to one line. This one tells the lines of one port apart by their paths, because
a strategy is given one address for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

UP = "up"
DOWN = "down"
GATEWAY = "/ws/v2"
STREAMS = "/v1/subscribe"
ARCHIVE = "/archive/v1"


@dataclass
class Relay:
    """What to do to connections; paths say which, for example `GATEWAY`."""

    port: int = 0
    swallow: set[tuple[str, str]] = field(default_factory=set)
    """(path, UP or DOWN): what is not passed on, and lost when the connection is cut."""
    refuse: set[str] = field(default_factory=set)
    """Paths to which new connections are cut at once."""
    seen: dict[str, int] = field(default_factory=dict)
    """Connections made, by path."""
    _open: dict[asyncio.StreamWriter, str] = field(default_factory=dict)

    def cut(self, *paths: str) -> None:
        """Reset the connections to these paths; all, if none are named."""
        for writer, path in tuple(self._open.items()):
            if not paths or path in paths:
                writer.transport.abort()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n")
            path = head.split()[1].decode()
            self.seen[path] = self.seen.get(path, 0) + 1
            if path in self.refuse:
                return
            back, forth = await asyncio.open_connection("127.0.0.1", port)
            self._open |= {writer: path, forth: path}
            forth.write(head)
            try:
                await asyncio.gather(
                    self._pump(reader, forth, lambda: (path, UP) in self.swallow),
                    self._pump(back, writer, lambda: (path, DOWN) in self.swallow),
                )
            finally:
                for each in (writer, forth):
                    self._open.pop(each, None)
                    each.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_swallowed: Callable[[], bool]
    ) -> None:
        try:
            while data := await reader.read(65536):
                if not is_swallowed():
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.transport.abort()


@asynccontextmanager
async def relay(port: int) -> AsyncIterator[Relay]:
    """Relay to a port of this machine."""
    relaying = Relay()
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            await relaying.handle(reader, writer, port)
        finally:
            writer.transport.abort()
            handlers.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    relaying.port = server.sockets[0].getsockname()[1]
    try:
        yield relaying
    finally:
        server.close()
        relaying.cut()
        if handlers:
            await asyncio.wait(handlers, timeout=5)
