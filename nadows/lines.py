"""The sockets of a client: each is connected, read, written, and connected again when it is lost.

Nothing is decided here: when to connect, to probe and to give up is decided by a `Lifeline`, and what a frame
means by the `Feed` that it goes to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from nadows.copies import Feed
from nadows.desk import DeskEvent
from nadows.errors import ConnectFailed, ConnectionLost
from nadows.lifecycle import Do, Lifeline
from nadows.session import LineState
from nadows.transport import Socket, open_socket

__all__ = ["DeskFeed", "Line", "Lines", "Tap"]

_STOP_S: Final = 0.8
"""How long a stop may wait for the venue's side of the closing handshakes."""

_log = logging.getLogger("nadows")


class Tap(Protocol):
    """Sees every input of the desk in the order in which the desk took it: what a capture is made of."""

    def connected(self, line: str, now_ns: int) -> None:
        """A socket opened."""

    def frame(self, line: str, frame: str | bytes, now_ns: int) -> None:
        """A frame came."""

    def lost(self, line: str, reason: str, now_ns: int) -> None:
        """A socket was lost."""

    def tick(self, now_ns: int) -> None:
        """Time passed and something was due."""

    def asked(self, what: str, argument: Any, now_ns: int) -> None:
        """The user subscribed, unsubscribed, placed or queried."""


@dataclass(slots=True, kw_only=True)
class DeskFeed:
    """A line of the desk. The tap is told first, and what the desk makes of it is handed on."""

    name: str
    """As the desk and the tap know the line."""
    tap: Tap | None
    hand_over: Callable[[Sequence[DeskEvent]], None]
    on_connected: Callable[[int], Sequence[DeskEvent]]
    on_frame: Callable[[str | bytes, int], Sequence[DeskEvent]]
    on_lost: Callable[[str, int], Sequence[DeskEvent]]
    on_probe: Callable[[int], None]
    outgoing: Callable[[], list[bytes]]
    stands: Callable[[], LineState]

    @property
    def state(self) -> LineState:
        """How far the conversation has got."""
        return self.stands()

    def connected(self, now_ns: int) -> None:
        """The connection is open."""
        if self.tap is not None:
            self.tap.connected(self.name, now_ns)
        self._hand_over(self.on_connected(now_ns))

    def frame(self, frame: str | bytes, now_ns: int) -> None:
        """A frame came."""
        if self.tap is not None:
            self.tap.frame(self.name, frame, now_ns)
        events = self.on_frame(frame, now_ns)
        if events:
            self.hand_over(events)

    def lost(self, reason: str, now_ns: int) -> None:
        """The connection is gone."""
        if self.tap is not None:
            self.tap.lost(self.name, reason, now_ns)
        self._hand_over(self.on_lost(reason, now_ns))

    def frames_to_send(self) -> list[bytes]:
        """Take what is to be written now, in order."""
        return self.outgoing()

    def probe(self, now_ns: int) -> None:
        """Ask for something that the venue answers."""
        self.on_probe(now_ns)

    def _hand_over(self, events: Sequence[DeskEvent]) -> None:
        if events:
            self.hand_over(events)


class Line:
    """One connection: its address, its socket, its life.

    Args:
        name: For people and the log.
        url: ``ws://`` or ``wss://``.
        feed: What its frames go to.
        life: When it is connected, probed and given up.
        keyed: Whether the conversation begins with an authentication.
    """

    def __init__(self, name: str, url: str, feed: Feed, life: Lifeline, *, keyed: bool = False) -> None:
        self.name = name
        self.url = url
        self.feed = feed
        self.life = life
        self.keyed = keyed
        self.socket: Socket | None = None
        self.hurry = asyncio.Event()
        """Set when the wait for the next connection may have become shorter."""
        self.was_cut = False
        """Whether its end was our own doing, for lack of an answer."""

    def write(self) -> None:
        """Write what the feed has to say; without a socket it is dropped."""
        frames = self.feed.frames_to_send()
        if frames and self.socket is not None:
            self.socket.send(frames)

    def cut(self, reason: str) -> None:
        """Close the socket without waiting for it."""
        if self.socket is not None:
            _log.warning("%s line given up: %s", self.name, reason)
            self.was_cut = True
            self.socket.abort()


class Lines:
    """All connections of a client.

    Args:
        settle: Called after every input: writes, and does what the desk decided.
        greet: Called with a new socket before anything else is said on it.
        connect_timeout_ns: For each connection with its handshakes.
        ping_interval_ns: Between PING frames on each socket.
        pong_timeout_ns: How long the answer to one may take.
    """

    def __init__(
        self,
        settle: Callable[[], None],
        greet: Callable[[Line, Socket], Awaitable[None]],
        *,
        connect_timeout_ns: int,
        ping_interval_ns: int,
        pong_timeout_ns: int,
    ) -> None:
        self._settle = settle
        self._greet = greet
        self._connect_timeout_ns = connect_timeout_ns
        self._ping_interval_ns = ping_interval_ns
        self._pong_timeout_ns = pong_timeout_ns
        self._lines: list[Line] = []

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def add(self, line: Line) -> Line:
        """Take a line; it is connected by `open`, or by `run`."""
        self._lines.append(line)
        return line

    async def open(self, lines: Sequence[Line]) -> None:
        """Connect for the first time; of several lines that carry the same one is enough.

        Raises:
            ConnectFailed: If not one of them can be connected.
        """
        failure: ConnectFailed | None = None
        for line in lines:
            line.life.start(time.monotonic_ns())
            line.life.tick(time.monotonic_ns())
            try:
                await self._open(line)
            except ConnectFailed as failed:
                if len(lines) == 1:
                    raise
                failure = failure or failed
                self._failed(line, failed)
        if failure is not None and all(line.socket is None for line in lines):
            raise failure

    async def run(self, line: Line) -> None:
        """Read a line for ever; connect it whenever it is not."""
        while True:
            if line.socket is None:
                await self._reconnect(line)
            assert line.socket is not None
            try:
                await self._read(line, line.socket)
            except ConnectionLost as lost:
                self._lost(line, lost)

    def tend(self, now_ns: int) -> None:
        """Probe or give up the lines on which nothing comes."""
        for line in self._lines:
            for what in line.life.tick(now_ns) if line.socket is not None else ():
                if what is Do.CUT:
                    line.cut("nothing came, not even an answer")
                else:
                    line.feed.probe(now_ns)
                    line.write()

    async def stop(self) -> None:
        """Close all of them in good order, but not for long."""
        for line in self._lines:
            line.life.stop()
        sockets = [line.socket for line in self._lines if line.socket is not None]
        closing = [asyncio.ensure_future(socket.close()) for socket in sockets]
        if closing:
            await asyncio.wait(closing, timeout=_STOP_S)
        for socket in sockets:
            socket.abort()
        await asyncio.gather(*closing)

    # -- inside -------------------------------------------------------------------------------

    async def _open(self, line: Line) -> None:
        socket = await open_socket(
            line.url,
            connect_timeout_ns=self._connect_timeout_ns,
            ping_interval_ns=self._ping_interval_ns,
            pong_timeout_ns=self._pong_timeout_ns,
        )
        try:
            await self._greet(line, socket)
        except ConnectionLost as lost:
            raise ConnectFailed(f"cannot connect to {line.url}: {lost}") from lost
        except BaseException:
            socket.abort()
            raise
        line.socket, line.was_cut = socket, False
        now_ns = time.monotonic_ns()
        line.life.opened(now_ns, keyed=line.keyed)
        for other in self._lines:
            # Not its copies: where authentication is refused they would drive each other from try to try.
            if other.url != line.url:
                other.life.encourage(now_ns)
                other.hurry.set()
        line.feed.connected(now_ns)
        self._settle()

    async def _read(self, line: Line, socket: Socket) -> None:
        heard, take, settle = line.life.heard, line.feed.frame, self._settle
        while True:
            frame = await socket.recv()
            now_ns = time.monotonic_ns()
            heard(now_ns)
            take(frame, now_ns)
            settle()

    def _lost(self, line: Line, lost: ConnectionLost) -> None:
        line.socket = None
        now_ns, reason = time.monotonic_ns(), str(lost)
        line.life.lost(now_ns, clean=lost.is_known and not line.was_cut)
        _log.warning("%s line lost: %s", line.name, reason)
        line.feed.lost(reason, now_ns)
        self._settle()

    def _failed(self, line: Line, failed: ConnectFailed) -> None:
        line.life.failed(time.monotonic_ns(), failed.retry_after_ns)
        _log.warning("%s line: %s; trying again", line.name, failed)

    async def _reconnect(self, line: Line) -> None:
        while line.socket is None:
            due_ns = line.life.next_deadline()
            assert due_ns is not None
            line.hurry.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(due_ns - time.monotonic_ns(), 0) / 10**9):
                    await line.hurry.wait()
            if Do.OPEN not in line.life.tick(time.monotonic_ns()):
                continue
            try:
                await self._open(line)
            except ConnectFailed as failed:
                self._failed(line, failed)
