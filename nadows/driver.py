"""Drives a desk: the sockets, clocks and tasks around it.

Nothing is decided here. Each socket has one reader that gives frames to the desk, writes what the desk wants
to say, and delivers what the desk makes of them; when to connect again, to probe and to give up is decided
by the line's `Lifeline`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from nadows.clock import VenueClock
from nadows.copies import Copies, copy_names, life_of_copies
from nadows.delivery import Router
from nadows.desk import ARCHIVE, GATEWAY, REST, STREAMS, Desk, DeskEvent
from nadows.errors import ConnectionLost, TransportError
from nadows.inbox import Interest
from nadows.journal.journal import Journal
from nadows.journal.scribe import Scribe
from nadows.lifecycle import Lifeline, LifeOptions
from nadows.lines import DeskFeed, Line, Lines, Tap
from nadows.messages import Stream
from nadows.metrics.record import Metrics
from nadows.network import AUTHENTICATE_WINDOW_MS, Network
from nadows.rest import Rest
from nadows.sending import Sender, Turns, read_clock
from nadows.session import LineState, Pong
from nadows.signing import Signer, Subaccount, process_nonces, sign_authenticate
from nadows.throttle import Limits, Throttled
from nadows.timings import Timings
from nadows.transport import Socket

__all__ = ["Driver"]

_TICK_S: Final = 0.05
"""How often deadlines are looked at; the shortest one that matters, a snapshot's retry, is 100 ms."""

_log = logging.getLogger("nadows")


def _draw_apart() -> None:
    """Start the process's nonces at a random point, so that two processes of one wallet do not draw alike."""
    process_nonces().restart(secrets.randbits(20))


# Once a process and not once a client: a restart cannot use receive times again that were used before it, so
# after a clock was corrected backwards it would sign nonces too far ahead.
_draw_apart()
os.register_at_fork(after_in_child=_draw_apart)


class Driver:
    """A desk and what it needs to live: sockets, clocks, tasks, and a router for what it tells.

    Args:
        network: Where the venue is.
        signer: Key that authenticates; ``None`` for market data only.
        subaccount: Whose private streams feed the account; ``None`` without a signer.
        serial: Use the serial gateway socket.
        connect_timeout_ns: For each connection with its handshakes.
        ping_interval_ns: Between PING frames on each socket.
        pong_timeout_ns: How long the answer to one may take.
        limits: What users' requests count against; ``None`` counts nothing.
        copies: Connections that carry the same streams.
        seed: Of all jitter.
        tap: Sees every input of the desk.
        metrics: Measures.
        life: How lines are connected, probed and given up.
        timings: How long to wait for what.
    """

    def __init__(
        self,
        network: Network,
        signer: Signer | None,
        subaccount: Subaccount | None,
        *,
        serial: bool,
        connect_timeout_ns: int,
        ping_interval_ns: int,
        pong_timeout_ns: int,
        limits: Limits | None,
        copies: int,
        seed: int | None,
        tap: Tap | None,
        metrics: Metrics | None,
        life: LifeOptions | None,
        timings: Timings | None,
    ) -> None:
        self.network = network
        self.signer = signer
        self.subaccount = subaccount
        self.turns = Turns(limits)
        self.desk = Desk(
            subaccount=self.subaccount.hex if self.subaccount else None,
            authenticate=self._authenticate if signer else None,
            serial=serial,
            timings=timings,
            rng=random.Random(seed),
            clients=limits.clients if limits is not None else 1,
            on_refused=self.turns.refused,
        )
        self.sender = Sender(self.desk, self._write_requests, self.turns, tap, metrics)
        self.router = Router(defer=lambda flush: asyncio.get_running_loop().call_soon(flush))
        self.clock = VenueClock()
        """What time it is at the venue; nonces and authentications are made by it."""
        self.router.add(self._learn, Interest(types=[Pong, Throttled]))
        self._nonces = process_nonces()
        self._tap = tap
        # Chosen once, so that a client without metrics pays nothing for them.
        self._take_stream_frame = metrics.taking(self.desk) if metrics else self.desk.stream_frame
        self._hand_over = metrics.delivering(self.router.deliver) if metrics else self.router.deliver
        self.scribe: Scribe | None = None
        """Writes the journal, if there is one."""
        self._connect_timeout_ns = connect_timeout_ns
        self.lines = Lines(
            self._settle,
            self._greet,
            connect_timeout_ns=connect_timeout_ns,
            ping_interval_ns=ping_interval_ns,
            pong_timeout_ns=pong_timeout_ns,
        )
        # A generator of its own: how often a line must be tried again must not change what the desk
        # draws, else a replay, which has no lines, could not repeat the desk's decisions.
        rng = random.Random(seed)
        self._streams_feed, self._gateway_feed = self._feeds()
        self.copies = self._copied(self._streams_feed, copies) if copies != 1 else None
        feeds = self.copies.feeds if self.copies is not None else (self._streams_feed,)
        shared = life_of_copies(life or LifeOptions(), len(feeds)) if signer is not None else life
        self.streams = [
            Line(name, network.subscribe, feed, Lifeline(rng, shared), keyed=signer is not None)
            for name, feed in zip(copy_names(len(feeds)), feeds, strict=True)
        ]
        gateway = network.ws if serial else network.ws_v2
        self.gateway = Line(GATEWAY, gateway, self._gateway_feed, Lifeline(rng, life))
        for line in (*self.streams, self.gateway):
            self.lines.add(line)
        self._rest: Rest | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def next_nonce(self) -> int:
        """Return a fresh one, by the venue's clock."""
        return self._nonces.next(self.venue_ms())

    def venue_ms(self) -> int:
        """What time it is at the venue, ms since the epoch."""
        return self.clock.now_ms(time.monotonic_ns(), time.time_ns())

    # -- what the client wants ----------------------------------------------------------------

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Connect, and keep connected until `stop`.

        Raises:
            ConnectFailed: If a first connection cannot be made.
        """
        self._group, self._rest = tasks, Rest(self.desk.timings.archive_ns * 9 // 10)
        for lines in ([self.gateway], self.streams):
            await self.lines.open(lines)
            for line in lines:
                self._spawn(self.lines.run(line), line.name)
        self._spawn(self._tick(), "tick")

    async def stop(self) -> None:
        """End every task and close every socket, also if it never started."""
        for task in tuple(self._tasks):
            task.cancel()
        await self.lines.stop()
        if self._rest is not None:
            await self._rest.close()

    # -- the journal --------------------------------------------------------------------------

    def restore(self, journal: Journal) -> None:
        """Take up what an earlier client left in a journal, and write it from here on; before `start`."""
        desk, now_ns = self.desk, time.monotonic_ns()
        assert desk.account is not None
        assert desk.recovery is not None
        if journal.torn_bytes:
            _log.warning(
                "journal %s: %d bytes of a line that a crash had cut short were removed",
                journal.name,
                journal.torn_bytes,
            )
        self._note("restore", journal.past, now_ns)
        desk.restore(journal.past, now_ns)
        self.scribe = Scribe(journal, desk.account, desk.recovery, self._hand_over, self._soon, now_ns)
        # Nothing is told and no order leaves past it, whichever line it comes by.
        self._hand_over = self.scribe.deliver
        self._streams_feed.hand_over = self._gateway_feed.hand_over = self.scribe.deliver
        self._gateway_feed.outgoing = self._written_frames

    async def await_watermark(self) -> None:
        """Wait until it is known from where on nothing may be missed: at first, the archive must say it.

        Raises:
            TransportError: If it does not, within the time for a connection.
        """
        recovery, scribe = self.desk.recovery, self.scribe
        assert recovery is not None
        assert scribe is not None
        try:
            async with asyncio.timeout(self._connect_timeout_ns / 10**9):
                while recovery.floor is None:  # noqa: ASYNC110 - the desk has no event for it
                    await asyncio.sleep(_TICK_S)
        except TimeoutError:
            raise TransportError(
                f"{self.network.archive} did not say where the archive stands, with which a new journal "
                "begins; try again"
            ) from None
        # Before the first order may be placed.
        scribe.tend(time.monotonic_ns())

    def close_journal(self) -> None:
        """Write and hand over what is left, and let go of the journal, if there is one."""
        if self.scribe is not None:
            self.scribe.close(time.monotonic_ns())

    # -- what is asked for --------------------------------------------------------------------

    def subscribe(self, streams: Sequence[Stream]) -> None:
        """Ask for streams, now and on every later connection."""
        for stream in streams:
            now_ns = time.monotonic_ns()
            self._note("subscribe", stream, now_ns)
            self.desk.subscribe(stream, now_ns)
        self._write_streams()

    def unsubscribe(self, streams: Sequence[Stream]) -> None:
        """Stop asking for streams."""
        for stream in streams:
            now_ns = time.monotonic_ns()
            self._note("unsubscribe", stream, now_ns)
            self.desk.unsubscribe(stream, now_ns)
        self._write_streams()

    def ping(self) -> None:
        """Ask the subscription socket for the venue's time; the answer is a `Pong` event."""
        self._ping(time.monotonic_ns())

    def counters(self) -> dict[str, int]:
        """Everything that is counted, by name."""
        desk = self.desk
        books = desk.books.values()
        return {
            "stream_connects": sum(line.life.connects for line in self.streams),
            "stream_connects_failed": sum(line.life.failures for line in self.streams),
            "stream_probes": sum(line.life.probes for line in self.streams),
            "stream_cuts": sum(line.life.cuts for line in self.streams),
            "gateway_connects": self.gateway.life.connects,
            "gateway_connects_failed": self.gateway.life.failures,
            "gateway_probes": self.gateway.life.probes,
            "gateway_cuts": self.gateway.life.cuts,
            "lines_degraded": len(desk.polling.degraded),
            "rest_asked": desk.polling.asked,
            "rest_failed": desk.polling.failures,
            "overdue": desk.overdue,
            "throttled": desk.throttled,
            "stream_malformed": desk.streams.malformed,
            "stream_strays": desk.streams.strays,
            "gateway_malformed": desk.gateway.malformed,
            "gateway_strays": desk.gateway.strays,
            "gateway_in_flight": desk.gateway.in_flight,
            "snapshots": desk.snapshots,
            "snapshots_failed": desk.failed_snapshots,
            "book_updates": sum(book.updates for book in books),
            "book_gaps": sum(book.gaps for book in books),
            "book_repeats": sum(book.repeats for book in books),
            "book_audits": desk.bookkeeper.audits,
            "book_drifts": desk.bookkeeper.drifts,
            "book_polls": desk.bookkeeper.polls,
            "late_fills": desk.recovery.late_fills if desk.recovery else 0,
            "held_fills": desk.recovery.held if desk.recovery else 0,
            "reconciliations": desk.recovery.passes if desk.recovery else 0,
            "reconciliations_failed": desk.recovery.failures if desk.recovery else 0,
            "balance_drifts": desk.recovery.drifts if desk.recovery else 0,
            "orders_in_doubt": desk.recovery.in_doubt if desk.recovery else 0,
            "duplicate_fills": desk.account.duplicate_fills if desk.account else 0,
            "callback_errors": self.router.callback_errors,
            "events_conflated": self.router.tally.conflated,
            "depth_events_dropped": self.router.tally.depth_dropped,
            "slow_consumers": self.router.tally.overflowed,
            "clock_skew_us": self.clock.skew_ns(time.monotonic_ns(), time.time_ns()) // 1000,
            **self.turns.stats(),
        }

    # -- inside: lines ------------------------------------------------------------------------

    def _feeds(self) -> tuple[DeskFeed, DeskFeed]:
        desk = self.desk
        streams = DeskFeed(
            name=STREAMS,
            tap=self._tap,
            hand_over=self._hand_over,
            on_connected=desk.streams_connected,
            on_frame=self._take_stream_frame,
            on_lost=desk.streams_lost,
            on_probe=self._ping,
            outgoing=desk.streams.frames_to_send,
            stands=lambda: desk.streams.state,
        )
        gateway = DeskFeed(
            name=GATEWAY,
            tap=self._tap,
            hand_over=self._hand_over,
            on_connected=desk.gateway_connected,
            on_frame=desk.gateway_frame,
            on_lost=desk.gateway_lost,
            on_probe=lambda now_ns: self.sender.probe(),
            outgoing=desk.gateway.frames_to_send,
            stands=lambda: LineState.LIVE if desk.gateway.is_up else LineState.DOWN,
        )
        return streams, gateway

    def _copied(self, streams: DeskFeed, copies: int) -> Copies:
        return Copies(
            streams,
            copies,
            self._authenticate if self.signer is not None else None,
            lambda event: self._hand_over([event]),
            ack_timeout_ns=self.desk.timings.ack_ns // 2,
        )

    def _authenticate(self, request_id: int) -> bytes:
        assert self.signer is not None
        assert self.subaccount is not None
        expiration_ms = self.venue_ms() + AUTHENTICATE_WINDOW_MS
        return sign_authenticate(
            self.signer, self.network.domain, self.subaccount, expiration_ms, id=request_id
        ).frame

    async def _greet(self, line: Line, socket: Socket) -> None:
        # The authentication that follows carries an instant by the venue's clock.
        if line.keyed and self.clock.ask(time.monotonic_ns()):
            await read_clock(socket, self.clock)

    def _written_frames(self) -> list[bytes]:
        """Take what is to be sent to the gateway, once the orders in it are in the journal."""
        assert self.scribe is not None
        self.scribe.before_sending()
        return self.desk.gateway.frames_to_send()

    def _soon(self, work: Callable[[], None]) -> None:
        """Do something when the wake-up is over, in a task, so that its failure ends the client."""

        async def do() -> None:
            work()

        self._spawn(do(), "journal")

    def _write_streams(self) -> None:
        if self.copies is not None:
            self.copies.write(time.monotonic_ns())
        for line in self.streams:
            line.write()

    def _write_gateway(self) -> None:
        self.gateway.write()

    def _ping(self, now_ns: int) -> None:
        self._note("ping", None, now_ns)
        self.desk.streams.ping(now_ns)
        self._write_streams()

    def _note(self, what: str, argument: Any, now_ns: int) -> None:
        if self._tap is not None:
            self._tap.asked(what, argument, now_ns)

    # -- inside: what happens by itself -------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        assert self._group is not None
        task = self._group.create_task(work, name=f"nadows {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            now_ns = time.monotonic_ns()
            if self.signer is not None and self.desk.streams.is_connected and self.clock.ask(now_ns):
                self._ping(now_ns)
            self.lines.tend(now_ns)
            if self.copies is not None:
                self._tick_copies(self.copies, now_ns)
            due = self.desk.next_deadline()
            if due is not None and now_ns >= due:
                if self._tap is not None:
                    self._tap.tick(now_ns)
                self._deliver(self.desk.tick(now_ns))
            if self.scribe is not None:
                self.scribe.tend(now_ns)

    def _tick_copies(self, copies: Copies, now_ns: int) -> None:
        due = copies.next_deadline()
        if due is not None and now_ns >= due:
            copies.tick(now_ns)
            self._settle()

    def _deliver(self, events: Sequence[DeskEvent]) -> None:
        if events:
            self._hand_over(events)
        self._settle()

    def _settle(self) -> None:
        """Write what there is to say, ask what there is to ask, and do what the desk decided."""
        self._write_streams()
        self.gateway.write()
        for body in self.desk.archive_requests():
            self._spawn(self._post(ARCHIVE, self.network.archive, body), ARCHIVE)
        self._write_rest()
        cuts = self.desk.lines_to_cut()
        copy_cuts = self.copies.to_cut() if self.copies is not None else {}
        now_ns = time.monotonic_ns()
        self.gateway.life.follow(self.gateway.feed.state, now_ns)
        if GATEWAY in cuts:
            self.gateway.cut(cuts[GATEWAY])
        for number, line in enumerate(self.streams):
            line.life.follow(line.feed.state, now_ns)
            reason = cuts.get(STREAMS) or copy_cuts.get(number)
            if reason is not None:
                line.cut(reason)

    async def _post(self, line: str, url: str, body: bytes) -> None:
        assert self._rest is not None
        tap, desk = self._tap, self.desk
        is_archive = line == ARCHIVE
        try:
            answer = await self._rest.post(url, body)
        except ConnectionLost as lost:
            now_ns, reason = time.monotonic_ns(), str(lost)
            if tap is not None:
                tap.lost(line, reason, now_ns)
            _log.warning("%s: %s", line, reason)
            self._deliver((desk.archive_lost if is_archive else desk.rest_lost)(reason, now_ns))
            return
        now_ns = time.monotonic_ns()
        if tap is not None:
            tap.frame(line, answer, now_ns)
        self._deliver((desk.archive_frame if is_archive else desk.rest_frame)(answer, now_ns))

    def _write_requests(self) -> None:
        self._write_gateway()
        self._write_rest()

    def _write_rest(self) -> None:
        for body in self.desk.rest_requests():
            self._spawn(self._post(REST, f"{self.network.gateway}/query", body), REST)

    def _learn(self, event: DeskEvent) -> None:
        if isinstance(event, Throttled):
            # Users' requests that are refused are told by their gates, if there are any.
            if event.line == ARCHIVE or self.turns.limits is None:
                _log.warning("%s: the venue's rate limit is exceeded: %s", event.line, event.text)
        elif isinstance(event, Pong):
            self.clock.read(
                event.server_time_ms, round_trip_ns=event.round_trip_ns, received_ns=time.monotonic_ns()
            )
