"""The generator: a process that does nothing but send, receive and note.

Started as ``python -m nadows.bench.worker`` by `nadows.bench.engine`; what it is told and what it says is in
`nadows.bench.channel`. It ends when its stdin does, so it never outlives its parent. Ctrl-C is the parent's
business: it arrives here as ``stop``.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import resource
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import metadata
from itertools import accumulate, count
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from nadows.bench import channel
from nadows.bench.channel import Message
from nadows.bench.faults import cut_wires, instants
from nadows.bench.load import ClosedLoad, Load, OpenLoad
from nadows.bench.outcome import FOLLOW_UP, Kind
from nadows.bench.plan import Plan, Turns
from nadows.bench.recorder import PhaseTally
from nadows.bench.scenario import Scenario
from nadows.bench.scenario_file import build
from nadows.bench.trader import Trader
from nadows.client import connect
from nadows.errors import NadowsError, VenueError
from nadows.messages import Stream
from nadows.network import Network
from nadows.signing import Signer

__all__ = ["Say", "generate", "main"]

INTERVAL_NS: Final = 1_000_000_000
_LOOK_S: Final = 0.1
"""How often overdue requests are looked for."""
_MARGIN_NS: Final = 500_000_000
"""How much longer than the time-out the end waits for answers, so that what times out is found by looking."""
_CLEAN_UP_S: Final = 2.0

_PACKAGES: Final = ("nadows", "websockets", "msgspec", "coincurve", "safe-pysha3", "uvloop", "picows")

Say = Callable[[Message], None]


def main() -> int:
    """Run one generator over stdin and stdout; return the exit code."""
    # Messages go out on a descriptor of their own, so that nothing printed by mistake can get between them.
    out = os.dup(1)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            return runner.run(_serve(out))
        except asyncio.CancelledError:
            # The parent is gone, so there is nobody to tell.
            return 1


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  # an extra: used where it is installed
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


class _Outlet(asyncio.BaseProtocol):
    """The writing end of the pipe; knows when everything is written, or the reader gone."""

    def __init__(self) -> None:
        self.closed = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is through."""
        self.closed.set_result(None)


async def _serve(out: int) -> int:
    """Connect the pipes, run, and report; a failure is a message, not a traceback."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, outlet = await loop.connect_write_pipe(_Outlet, os.fdopen(out, "wb", buffering=0))

    def say(message: Message) -> None:
        transport.write(channel.frame(message))

    try:
        return await _obey(reader, say)
    finally:
        transport.close()
        await outlet.closed


async def _obey(reader: asyncio.StreamReader, say: Say) -> int:
    try:
        spec = msgspec.json.decode(await reader.readline(), type=channel.Spec)
        commands = _Commands(reader)
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(commands.listen(asyncio.current_task()))
            await generate(spec, commands.started, commands.stopped, say)
            listening.cancel()
    except (NadowsError, ExceptionGroup) as error:
        reason = _first(error)
        if not isinstance(reason, NadowsError):
            raise
        say(channel.Failed(str(reason), refused=isinstance(reason, VenueError)))
        return 1
    return 0


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


class _Commands:
    """What the parent wants."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.stopped = asyncio.Event()
        self._reader = reader

    async def listen(self, work: asyncio.Task[object] | None) -> None:
        """Take commands as they come; give up the work when the parent is gone."""
        while line := (await self._reader.readline()).decode().split():
            if line[0] == channel.START:
                self.started.set_result(int(line[1]))
            else:
                self.stopped.set()
        if work is not None:
            work.cancel()


async def generate(
    spec: channel.Spec, started: asyncio.Future[int], stopped: asyncio.Event, say: Say
) -> None:
    """Connect, wait for *started*, run the scenario, and say what it gave.

    Args:
        spec: What to do, and where.
        started: Becomes the instant to start at (ns since the epoch) when all generators are ready.
        stopped: Set by the parent to end early.
        say: Takes the messages.

    Raises:
        NadowsError: If the venue cannot be reached or refuses.
    """
    scenario = build(spec.scenario, "scenario")
    network = Network.from_ready_line(spec.network, name="bench")
    if spec.pin is not None:
        os.sched_setaffinity(0, {spec.pin})
    make = Turns if scenario.model == "closed" else Plan
    turns = make(scenario, spec.shard, spec.shards)
    async with (
        _traders(scenario, network, range(spec.shard, scenario.connections, spec.shards)) as (
            traders,
            connect_ns,
        ),
        asyncio.TaskGroup() as tasks,
    ):
        load = _load(scenario, turns, traders, tasks)
        # Whatever was made until now lives to the end; the collector would only walk it again and again, up
        # to a tenth of a second each time. What the run itself makes is freed by reference counts.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            say(_ready(load, connect_ns))
            start_ns = await started
            one = _Run(load, scenario, urlsplit(network.ws_v2).port or 0, say)
            await one.run(stopped, start_ns)
            say(_finished(scenario, load, list(traders.values()), one.cuts_ns))
        finally:
            load.close()
            gc.enable()
            gc.unfreeze()


def _load(scenario: Scenario, turns: Turns, traders: dict[int, Trader], tasks: asyncio.TaskGroup) -> Load:
    if isinstance(turns, Plan):
        return OpenLoad(
            turns,
            traders,
            tasks,
            scenario.timeout_ns,
            max_inflight=scenario.max_inflight,
            on_full=scenario.on_full,
        )
    return ClosedLoad(
        turns,
        traders,
        tasks,
        scenario.timeout_ns,
        users=len(range(turns.shard, scenario.users, turns.shards)),
        think_ns=scenario.think_ns,
    )


@asynccontextmanager
async def _traders(
    scenario: Scenario, network: Network, numbers: Sequence[int]
) -> AsyncIterator[tuple[dict[int, Trader], list[int]]]:
    async with AsyncExitStack() as stack:
        traders, connect_ns = {}, []
        for number in numbers:
            begin_ns = time.monotonic_ns()
            # Beyond the venue's limits on purpose: what happens there is what is measured.
            wallet = _wallet(scenario.seed, number)
            client = await stack.enter_async_context(connect(network, wallet, limits=None))
            product = client.products.find(scenario.product)
            await client.book(product.product_id)
            trader = Trader(
                client,
                product,
                which={entry.kind: entry.of for entry in scenario.mix},
                rng=Random(f"{scenario.seed} {number}"),
                is_quoting=scenario.is_quoting,
                connect=_newcomers(scenario, network, number),
            )
            await trader.prepare()
            traders[number] = trader
            connect_ns.append(time.monotonic_ns() - begin_ns)
        yield traders, connect_ns
        for trader in traders.values():
            await _clean_up(trader)


def _newcomers(scenario: Scenario, network: Network, number: int) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return what connects another client, each with a wallet of its own, and lets it go again."""

    async def connect_one(number: int) -> None:
        wallet = _wallet(scenario.seed, number)
        async with connect(network, wallet, limits=None) as client:
            await client.subscribe(Stream.best_bid_offer(client.products.find(scenario.product).product_id))

    numbers = count(scenario.connections + number, scenario.connections)
    return lambda: connect_one(next(numbers))


async def _clean_up(trader: Trader) -> None:
    """Leave no order behind, if the venue still listens."""
    try:
        async with asyncio.timeout(_CLEAN_UP_S):
            await trader.cancel_all()
    except (NadowsError, TimeoutError) as error:
        print(f"nadows bench: resting orders may be left: {error}", file=sys.stderr)  # noqa: T201  # the child's log


def _wallet(seed: int, number: int) -> Signer:
    """Make the key of a paper wallet: the same for a seed, so that runs repeat, and worth nothing."""
    return Signer(hashlib.sha256(f"nadows bench {seed} {number}".encode()).digest())


class _Run:
    """One run of a load: phases, intervals and the end."""

    def __init__(self, load: Load, scenario: Scenario, port: int, say: Say) -> None:
        self._ends_ns = tuple(accumulate(phase.duration_ns for phase in scenario.phases))
        self._load = load
        self._timeout_ns = scenario.timeout_ns
        self._say = say
        self._start_ns = 0
        self._flushed_ns = 0
        self._cuts = deque[int]()
        if scenario.disconnect is not None:
            self._cuts.extend(instants(scenario.disconnect, self._ends_ns[-1]))
        self._port = port
        self.cuts_ns: list[int] = []

    async def run(self, stopped: asyncio.Event, start_wall_ns: int) -> None:
        """Send everything, wait for the answers, say each interval as it ends."""
        # From here on only the monotonic clock counts, which nobody sets.
        self._start_ns = self._flushed_ns = time.monotonic_ns() + start_wall_ns - time.time_ns()
        self._say(channel.Started(self._start_ns, start_wall_ns))
        self._load.start(self._start_ns)
        await self._sleep_until(0)
        self._mark(-1)
        phase = 0
        while not self._load.all_sent.is_set():
            await asyncio.sleep(_LOOK_S)
            now_ns = self._look()
            if stopped.is_set():
                self._load.stop(now_ns)
            elif self._cuts and now_ns >= self._start_ns + self._cuts[0]:
                self._cuts.popleft()
                cut_wires(self._port)
                self.cuts_ns.append(now_ns - self._start_ns)
            while phase < len(self._ends_ns) and now_ns >= self._start_ns + self._ends_ns[phase]:
                self._mark(phase)
                phase += 1
        for rest in range(phase, len(self._ends_ns)):
            self._mark(rest)
        await self._drain()

    async def _drain(self) -> None:
        """Wait until everything is answered and filled, no longer than an answer may take."""
        deadline_ns = time.monotonic_ns() + self._timeout_ns + _MARGIN_NS
        while not self._load.is_settled and time.monotonic_ns() < deadline_ns:
            await asyncio.sleep(_LOOK_S)
            self._look()
        now_ns = time.monotonic_ns()
        self._load.recorder.finish(now_ns)
        self._flush(now_ns)

    def _look(self) -> int:
        now_ns = time.monotonic_ns()
        self._load.give_up(now_ns)
        if now_ns - self._flushed_ns >= INTERVAL_NS:
            self._flush(now_ns)
        return now_ns

    def _flush(self, now_ns: int) -> None:
        recorder = self._load.recorder
        sent, acked, failed = recorder.totals()
        blocks = [channel.SampleBlock(*each) for each in recorder.take()]
        length_ns = now_ns - self._flushed_ns
        self._flushed_ns = now_ns
        self._say(
            channel.Interval(
                now_ns - self._start_ns, length_ns, sent, acked, failed, recorder.in_flight, blocks
            )
        )

    def _mark(self, phase: int) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        self._say(
            channel.Mark(
                phase,
                time.monotonic_ns() - self._start_ns,
                time.process_time_ns(),
                used.ru_nivcsw,
                used.ru_maxrss * 1024,
            )
        )

    async def _sleep_until(self, at_ns: int) -> None:
        await asyncio.sleep(max(0, self._start_ns + at_ns - time.monotonic_ns()) / 1e9)


def _ready(load: Load, connect_ns: list[int]) -> channel.Ready:
    loop = type(asyncio.get_running_loop())
    return channel.Ready(
        versions={name: version for name in _PACKAGES if (version := _version(name))},
        loop="uvloop" if loop.__module__.startswith("uvloop") else "asyncio",
        transport="websockets",
        pacer=load.pacer.name,
        connect_ns=connect_ns,
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _finished(scenario: Scenario, load: Load, traders: list[Trader], cuts_ns: list[int]) -> channel.Finished:
    stats: dict[str, int] = {}
    for trader in traders:
        for name, value in trader.client.stats().items():
            stats[name] = stats.get(name, 0) + value
    begin_ns, reports = 0, []
    for number, (phase, tally) in enumerate(zip(scenario.phases, load.recorder.phases, strict=True)):
        end_ns = begin_ns + phase.duration_ns
        until_ns = end_ns if load.stopped_at_ns is None else min(end_ns, load.stopped_at_ns)
        reports.append(_phase_report(tally, load.planned(number), max(0, until_ns - begin_ns)))
        begin_ns = end_ns
    return channel.Finished(
        phases=reports,
        stats=stats,
        stopped=load.stopped_at_ns is not None,
        cuts_ns=cuts_ns,
    )


def _phase_report(
    tally: PhaseTally, planned: Mapping[Kind, int] | None, duration_ns: int
) -> channel.PhaseReport:
    kinds: dict[str, channel.Counted] = {}
    everything: set[Kind] = {*(planned or ()), *tally.tracks}
    for kind in sorted(everything):
        counts = tally.track(kind).counts
        kinds[kind] = channel.Counted(
            # What is not scheduled was planned when its turn came.
            planned=counts.sent + counts.dropped if planned is None or kind == FOLLOW_UP else planned[kind],
            sent=counts.sent,
            dropped=counts.dropped,
            acked=counts.acked,
            failed=counts.failed,
            unfinished=counts.unfinished,
            errors=dict(counts.errors),
            drops=dict(counts.drops),
        )
    crossing = tally.crossing
    return channel.PhaseReport(
        duration_ns=duration_ns,
        in_time=tally.in_time,
        late_busy=tally.late_busy,
        inflight_max=tally.inflight_max,
        late_answers=tally.late_answers,
        accepted=crossing.accepted,
        filled=crossing.filled,
        missing=crossing.missing,
        kinds=kinds,
    )


if __name__ == "__main__":
    sys.exit(main())
