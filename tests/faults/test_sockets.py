"""The client on real sockets, with a proxy that cuts, resets, stalls, swallows, drips and refuses.

Times are held against the configured ones with two seconds to spare, and what the machine itself lost is
taken off (`lag`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final, NamedTuple

import pytest

from nadows.client import connect
from nadows.desk import ARCHIVE, GATEWAY, STREAMS, Disconnected, Reconnected
from nadows.lifecycle import LifeState
from nadows.messages import LateFill
from nadows.network import Network
from nadows.signing import OrderType
from nadows.units import from_x18
from nadows.venue.flow import FlowPreset
from tests.faults.proxy import Proxy, Way, http_answer
from tests.faults.sockets import (
    LIFE,
    OTHER,
    OWN,
    PING_NS,
    PONG_NS,
    PRODUCT,
    Stage,
    lag,
    left,
    stage,
    storm,
    until,
)

SPARE_S: Final = 2.0
STOP_S: Final = 1.0
PROBED_S: Final = (LIFE.quiet_ns + LIFE.probe_ns) / 10**9
PINGED_S: Final = (PING_NS + PONG_NS) / 10**9

Fault = Callable[[Proxy], None]


class Seen:
    """The events of one line since the stage was set."""

    def __init__(self, on: Stage, line: str) -> None:
        self.lost: list[Disconnected] = []
        self.back: list[Reconnected] = []
        on.client.on(lambda event: self._take(event, line), types=[Disconnected, Reconnected])

    def _take(self, event: Any, line: str) -> None:
        if event.line == line:
            (self.lost if isinstance(event, Disconnected) else self.back).append(event)


async def noticed(on: Stage, seen: Seen, begin: Callable[[], None], configured_s: float) -> None:
    """Begin a fault, and hold the time until it is noticed against the configured one."""
    clock = asyncio.get_running_loop().time
    async with lag() as pauses:
        began = clock()
        begin()
        await until(lambda: bool(seen.lost))
        assert clock() - began - pauses.lost_s <= configured_s + SPARE_S


# -- what breaks is noticed ----------------------------------------------------------------------


class Break(NamedTuple):
    """A way to break a connection, and when a client that is configured so must have noticed."""

    begin: Fault
    configured_s: float
    flow: FlowPreset = FlowPreset.OFF


BREAKS: Final = {
    "cut": Break(Proxy.cut, 0),
    "reset": Break(Proxy.reset, 0),
    # The next bytes that come are the answer to a probe, or its pong.
    "reset in a frame": Break(Proxy.reset_in_frame, PROBED_S),
    "stalled to the client": Break(lambda relay: relay.stall(Way.DOWN), PROBED_S),
    "stalled to the venue": Break(lambda relay: relay.stall(Way.UP), PROBED_S),
    "stalled both ways": Break(lambda relay: relay.stall(*Way), PROBED_S),
    "half-open": Break(Proxy.half_open, PROBED_S),
    # The market goes on and on; what we say arrives nowhere, and only a pong would tell.
    "stalled to the venue of a busy market": Break(
        lambda relay: relay.stall(Way.UP), PINGED_S, FlowPreset.BUSY
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("line", [STREAMS, GATEWAY])
@pytest.mark.parametrize("name", BREAKS)
async def test_break_is_noticed_and_healed(name: str, line: str) -> None:
    """A connection that ends or falls silent is given up in time, and what was lost with it is found."""
    case = BREAKS[name]
    async with stage(case.flow) as on:
        seen = Seen(on, line)
        await noticed(on, seen, lambda: case.begin(on.relays[line]), case.configured_s)
        await on.heal()
        await until(lambda: bool(seen.back) and on.is_live)

        assert (1, 1) == (len(seen.lost), len(seen.back))
        assert seen.back[0].downtime_ns > 0
        await buy(on)
        await until(lambda: len(on.fills) == 1)
        if case.flow is FlowPreset.OFF:
            await until(lambda: not on.problems())


async def buy(on: Stage) -> None:
    """Buy a little over the client's own gateway."""
    book = on.client.desk.books[PRODUCT]
    assert book.best_ask is not None
    price = from_x18(book.best_ask.price + 10**18)
    order = on.client.limit_order(PRODUCT, "0.1", price, order_type=OrderType.IOC)
    await on.client.place_order(order)


# -- what cannot be made is tried again ----------------------------------------------------------

REFUSALS: Final[dict[str, Fault]] = {
    "nobody listens": Proxy.refuse,
    "no handshake": lambda relay: setattr(relay, "hangs", True),
    "403": lambda relay: setattr(relay, "answer", http_answer(403)),
    "a web page": lambda relay: setattr(relay, "answer", http_answer(200, body=b"<html>hello</html>")),
    "not HTTP": lambda relay: setattr(relay, "answer", b"220 mail.example ESMTP\r\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("line", [STREAMS, GATEWAY])
@pytest.mark.parametrize("name", REFUSALS)
async def test_refusal_is_tried_again_until_it_ends(name: str, line: str) -> None:
    """Whatever is in the way of a connection, the line backs off, tries again, and is live in the end."""
    async with stage() as on:
        seen, relay = Seen(on, line), on.relays[line]
        failures = "stream_connects_failed" if line == STREAMS else "gateway_connects_failed"
        REFUSALS[name](relay)
        relay.cut()
        await until(lambda: on.client.stats()[failures] >= 3)
        assert on.client.lines[line] in (LifeState.BACKING_OFF, LifeState.CONNECTING)
        assert [] == seen.back

        await on.heal()
        await until(lambda: bool(seen.back) and not on.problems())


REASONS: Final = {403: "it refuses sockets", 429: "there were too many", 503: "it is not available"}


@pytest.mark.slow
@pytest.mark.parametrize("status", REASONS)
async def test_retry_after_is_honoured(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """An edge that asks for a second of patience gets it, though the line's own pauses are shorter."""
    async with stage() as on:
        relay, seen = on.relays[STREAMS], Seen(on, STREAMS)
        relay.accepted_s.clear()
        relay.answer = http_answer(status, retry_after_s=1)
        relay.cut()
        await until(lambda: len(relay.accepted_s) >= 3)
        await on.heal()
        await until(lambda: bool(seen.back))

        pauses = [
            later - earlier for earlier, later in zip(relay.accepted_s, relay.accepted_s[1:], strict=False)
        ]
        assert [True, True] == [pause >= 1 for pause in pauses[:2]]
        assert f"HTTP status {status}; {REASONS[status]}" in caplog.text


@pytest.mark.slow
async def test_slow_line_loses_nothing() -> None:
    """A line that lets little through is late, not wrong: when it is quick again everything is there."""
    async with stage(FlowPreset.BUSY) as on:
        on.relays[STREAMS].rate = 3_000
        for _ in range(3):
            await buy(on)
        await asyncio.sleep(0.5)
        await on.heal()
        on.server.exchange._flow = None
        await until(lambda: not on.problems())

        assert len(on.fills) >= 3


# -- the archive ---------------------------------------------------------------------------------

ARCHIVE_FAULTS: Final[dict[str, Fault]] = {
    "nobody listens": Proxy.refuse,
    "no answer": lambda relay: setattr(relay, "hangs", True),
    "half-open": Proxy.half_open,
    "stalled": lambda relay: relay.stall(Way.DOWN),
    "429": lambda relay: setattr(
        relay, "answer", http_answer(429, body=b'{"error":"slow","error_code":1000}')
    ),
    "503": lambda relay: setattr(relay, "answer", http_answer(503)),
    "a web page": lambda relay: setattr(relay, "answer", http_answer(200, body=b"<html>hello</html>")),
    "cut off": lambda relay: setattr(relay, "answer", http_answer(200, body=b"{}" * 99)[:-50]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHIVE_FAULTS)
async def test_fill_of_a_downtime_is_found_when_the_archive_is_back(name: str) -> None:
    """What the stream missed is asked for until the archive answers, and delivered once, as late."""
    async with stage() as on, connect(on.server.network, OTHER) as other:
        seen, streams, archive = Seen(on, STREAMS), on.relays[STREAMS], on.relays[ARCHIVE]
        touch = on.server.exchange.engine.markets[PRODUCT].top()
        price = from_x18(touch.bid_price + 10**17)
        resting = on.client.limit_order(PRODUCT, "0.5", price, order_type=OrderType.POST_ONLY)
        await on.client.place_order(resting)
        recovery = on.client.desk.recovery
        assert recovery is not None
        await until(lambda: recovery.verified is not None)
        if name not in ("half-open", "stalled"):
            # A request that waits in a connection of before would be answered there.
            archive.cut()
        ARCHIVE_FAULTS[name](archive)
        streams.refuse()
        streams.cut()
        await until(lambda: bool(seen.lost))
        await other.place_order(other.limit_order(PRODUCT, "-0.2", price, order_type=OrderType.IOC))
        failures = recovery.failures
        await streams.heal()
        await until(lambda: bool(seen.back) and recovery.failures > failures)
        assert [] == on.fills

        await on.heal()
        await until(lambda: not on.problems())
        assert [(LateFill, resting.digest)] == [(type(fill), fill.order_digest) for fill in on.fills]


# -- under load ----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_fifty_cuts_under_load() -> None:
    """Every fill once, every order's fate right, the book the venue's; and nothing is left behind."""
    before = left()
    outcome = await storm(50, ("cut", "reset", "reset_in_frame"))

    assert [] == outcome.problems
    assert outcome.reconnects >= 25
    assert outcome.fills >= 10
    assert before == left()


@pytest.mark.slow
async def test_all_kinds_of_faults_under_load() -> None:
    """Stalls, refusals and half-open connections as well: `make faults-tcp` does that for some minutes."""
    before = left()
    outcome = await storm(
        12, ("half_open", "stall_down", "stall_up", "slow", "refuse", "hang", "answer_otherwise"), seed=3
    )

    assert [] == outcome.problems
    assert before == left()


# -- the end, from any state ---------------------------------------------------------------------


@asynccontextmanager
async def deaf_port() -> AsyncIterator[int]:
    """Give a port on which connecting takes for ever: its queue is full, and nobody takes from it."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(("127.0.0.1", port))
        yield port


async def stopped_in_time(on: AsyncExitStack) -> None:
    """Leave the client's block, within a second."""
    clock = asyncio.get_running_loop().time
    async with lag() as pauses:
        began = clock()
        await on.aclose()
        assert clock() - began - pauses.lost_s <= STOP_S


def nothing(on: Stage) -> None:
    """Live."""


def degraded(on: Stage) -> None:
    for line in (STREAMS, GATEWAY):
        on.relays[line].stall(*Way)


def refused(on: Stage) -> None:
    for line in (STREAMS, GATEWAY):
        on.relays[line].refuse()
        on.relays[line].cut()


def hanging(on: Stage) -> None:
    for line in (STREAMS, GATEWAY):
        on.relays[line].hangs = True
        on.relays[line].cut()


def mute(on: Stage) -> None:
    on.relays[STREAMS].only_handshakes = True
    on.relays[STREAMS].cut()


def archive_hangs(on: Stage) -> None:
    on.relays[ARCHIVE].hangs = True
    on.relays[ARCHIVE].cut()
    on.relays[STREAMS].cut()


class End(NamedTuple):
    """A state to stop in: what leads there, and how it is told."""

    begin: Callable[[Stage], None]
    line: str
    state: LifeState
    keyed: bool = True


ENDS: Final = {
    "live": End(nothing, STREAMS, LifeState.LIVE),
    # Just stalled: the venue will not answer the closing handshake either.
    "live, to a peer that is gone": End(degraded, STREAMS, LifeState.LIVE),
    "degraded": End(degraded, STREAMS, LifeState.DEGRADED),
    "backing off": End(refused, GATEWAY, LifeState.BACKING_OFF),
    "handshake without an answer": End(hanging, GATEWAY, LifeState.CONNECTING),
    "authenticating": End(mute, STREAMS, LifeState.AUTHENTICATING),
    "restoring": End(mute, STREAMS, LifeState.RESTORING, keyed=False),
    "archive in flight": End(archive_hangs, STREAMS, LifeState.LIVE),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDS)
async def test_stop_takes_no_second_and_leaves_nothing(name: str) -> None:
    """Leaving the block ends the client in order, whatever its lines are doing."""
    case = ENDS[name]
    before = left()
    async with AsyncExitStack() as rest:
        client_only = AsyncExitStack()
        on = await rest.enter_async_context(stage(keyed=case.keyed, client_of=client_only))
        case.begin(on)
        await until(lambda: on.client.lines[case.line] is case.state)
        recovery = on.client.desk.recovery
        if case.begin is archive_hangs:
            assert recovery is not None
            await until(lambda: on.relays[ARCHIVE].hanging > 0)

        await stopped_in_time(client_only)

        assert {LifeState.CLOSED} == set(on.client.lines.values())
        assert set() == {task.get_name() for task in asyncio.all_tasks() if "nadows" in task.get_name()}
    await until(lambda: left() == before)


async def attempt(network: Network) -> None:
    async with connect(network, OWN, connect_timeout_ns=60 * 10**9):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("what", ["no connection", "no handshake", "no answer"])
async def test_first_connection_is_given_up_at_once(what: str) -> None:
    """Who cancels a client that is not connected yet need not wait for its time-outs."""
    before = left()
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(stage())
        relay = on.relays[GATEWAY]
        port = relay.port
        if what == "no connection":
            port = await stack.enter_async_context(deaf_port())
        relay.hangs, relay.only_handshakes = what == "no handshake", what == "no answer"
        known = relay.connections
        task = asyncio.create_task(attempt(replace(on.server.network, ws_v2=f"ws://127.0.0.1:{port}/ws/v2")))
        if what == "no connection":
            await asyncio.sleep(0.1)
        else:
            await until(lambda: relay.connections > known)
        waits = AsyncExitStack()

        async def give_up() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        waits.push_async_callback(give_up)
        await stopped_in_time(waits)
        assert task.cancelled()
    await until(lambda: left() == before)
