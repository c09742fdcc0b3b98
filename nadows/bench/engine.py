"""One run: start venue and generator, merge what the generator says, end everything.

Whatever happens, both children are gone when `run` returns or raises.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec

from nadows.bench import channel, environment
from nadows.bench.channel import FrameReader, Message
from nadows.bench.environment import CpuClock, process_cpu_ns
from nadows.bench.faults import Fault, stall_process
from nadows.bench.histogram import Histogram
from nadows.bench.histogram_files import LoggedInterval
from nadows.bench.merging import Shards
from nadows.bench.outcome import FOLLOW_UP, Clock, Counts, Crossing, Kind, KindOutcome, PhaseOutcome, Usage
from nadows.bench.scenario import Scenario
from nadows.bench.shard import run_shard
from nadows.bench.thresholds import Judgement, Threshold
from nadows.bench.watch import Part, Watch
from nadows.embedded import EmbeddedVenue, embedded_venue
from nadows.errors import ConnectionLost, NadowsError, TransportError, UsageError, VenueError
from nadows.network import Network

__all__ = ["Progress", "RunRecord", "run"]

_READY_S: Final = 60.0
"""How long the generator may take to connect; mostly imports, on a machine that is busy."""
_LEAD_NS: Final = 200_000_000
"""From telling the generators when to start to that instant: they begin together."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the last interval of a run was like; times in ns, requests of the schedule only."""

    at_ns: int
    """Since the start."""
    phase: str
    sent: int
    """In this interval, as the next two."""
    acked: int
    failed: int
    in_flight: int
    p50: int
    p99: int
    max: int
    lag_p99: int
    so_far: Histogram = field(default_factory=Histogram)
    """Response times of all recorded phases until now."""


@dataclass(slots=True)
class RunRecord:
    """Everything that a run gave, for verdict and reports."""

    scenario: Scenario
    started_ns: int = 0
    """Zero of the schedule, since the epoch."""
    wall_ns: int = 0
    """From there to the last answer."""
    outcomes: list[PhaseOutcome] = field(default_factory=list)
    intervals: list[LoggedInterval] = field(default_factory=list)
    series: list[Progress] = field(default_factory=list)
    interrupted: bool = False
    environment: dict[str, Any] = field(default_factory=dict)
    stats: dict[str, int] = field(default_factory=dict)
    """The clients' counters."""
    connect_ns: list[int] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    """What was done to the venue and to the sockets, because the scenario says so."""
    broken: dict[tuple[Threshold, str], Judgement] = field(default_factory=dict)
    """Thresholds of a window, or that end the run, that did not hold while it went on."""
    is_aborted: bool = False
    """Whether one of them ended it."""
    processes: int = 1
    """Generators that shared the work."""
    lost: list[str] = field(default_factory=list)
    """Generators that ended before they were through; their counts are missing."""


async def run(
    scenario: Scenario,
    network: Network | None = None,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    stop: asyncio.Event | None = None,
    processes: int = 1,
    executor: Executor | None = None,
) -> RunRecord:
    """Run a scenario.

    Args:
        scenario: What to do.
        network: A venue that runs already; ``None`` to start one for the run. The caller has made sure that
            it may be loaded (`nadows.bench.target`).
        on_progress: Called about once a second.
        stop: Set it to end the run early: no more is sent, answers are awaited, the record is complete.
        processes: Generators that share the work: request i is for generator ``i % processes``. The
            scenario has a multiple of them as connections.
        executor: Runs them; by default threads of this process, which wait for a child process each.

    Raises:
        UsageError: If the connections cannot be shared out.
        TransportError: If the venue cannot be reached, dies, or the generator does.
        VenueError: If the venue refuses the generator's connection.
    """
    if scenario.connections % processes:
        raise UsageError(
            f"{processes} processes cannot share {scenario.connections} connections; give --connections a "
            f"multiple of {processes}"
        )
    generator_cpu, venue_cpu = environment.generator_and_venue_cpus()
    async with AsyncExitStack() as stack:
        venue = None
        if network is None:
            venue = await stack.enter_async_context(
                embedded_venue(flow=scenario.flow, seed=scenario.seed, limits="off")
            )
            network = venue.network
            if venue_cpu is not None:
                environment.pin(venue.pid, venue_cpu)
        # Several of them share what CPUs there are; one has its own.
        pin = generator_cpu if processes == 1 else None
        specs = [
            channel.Spec(scenario.as_dict(), network.ready_line(), pin, number, processes)
            for number in range(processes)
        ]
        pool = executor or stack.enter_context(ThreadPoolExecutor(processes, "nadows shard"))
        generators = await stack.enter_async_context(_generators(specs, pool))
        merger = _Merger(scenario, venue.pid if venue else None, on_progress)
        merger.record.processes = processes
        merger.record.environment |= {"pin": {"generator": pin, "venue": venue_cpu if venue else None}}
        stop = stop or asyncio.Event()
        merger.on_abort = stop.set
        faults = asyncio.ensure_future(_faults(merger, venue))
        try:
            await _while_alive(_Conversation(merger, processes, stop).hold(generators), venue)
        finally:
            faults.cancel()
            await asyncio.gather(faults, return_exceptions=True)
        return merger.record


async def _faults(merger: _Merger, venue: EmbeddedVenue | None) -> None:
    scenario = merger.record.scenario
    if venue is not None and scenario.stall is not None:
        start_ns = await merger.started
        duration_ns = sum(phase.duration_ns for phase in scenario.phases)
        await stall_process(venue.pid, scenario.stall, start_ns, duration_ns, merger.record.faults)


async def _while_alive(work: Awaitable[None], venue: EmbeddedVenue | None) -> None:
    """Wait for *work*, unless the venue dies before it is done.

    Raises:
        ConnectionLost: If it does.
    """
    if venue is None:
        await work
        return
    working, dying = asyncio.ensure_future(work), asyncio.ensure_future(venue.died())
    try:
        await asyncio.wait((working, dying), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ConnectionLost(dying.result())
        await working
    finally:
        working.cancel()
        dying.cancel()
        await asyncio.gather(working, dying, return_exceptions=True)


# -- the generators ----------------------------------------------------------------------------------


class _Generator:
    """The wire to one shard."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()

    def tell(self, line: bytes) -> None:
        """Write a line; one that is gone does not hear it."""
        self._writer.write(line + b"\n")

    def hang_up(self) -> None:
        """Close the wire, which ends it."""
        self._writer.close()

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what it says, until it ends."""
        with suppress(ConnectionError):
            while chunk := await self._reader.read(2**18):
                for message in self._frames.feed(chunk):
                    yield message


@asynccontextmanager
async def _generators(
    specs: Sequence[channel.Spec], executor: Executor
) -> AsyncIterator[list[tuple[_Generator, asyncio.Future[tuple[int, str]]]]]:
    """Have the executor run a shard for each spec; they are gone when the block is left."""
    loop, token = asyncio.get_running_loop(), secrets.token_hex(16)
    wires: list[asyncio.Future[_Generator]] = [loop.create_future() for _ in specs]

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said, _, number = (await reader.readline()).decode(errors="replace").strip().partition(" ")
        if said == token and number.isdigit() and int(number) < len(wires):
            wires[int(number)].set_result(_Generator(reader, writer))
        else:
            writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()[:2]
        ends = [
            loop.run_in_executor(executor, run_shard, address, token, number) for number in range(len(specs))
        ]
        try:
            generators = [await _first_of(wire, end) for wire, end in zip(wires, ends, strict=True)]
            for generator, spec in zip(generators, specs, strict=True):
                generator.tell(msgspec.json.encode(spec))
            yield list(zip(generators, ends, strict=True))
        finally:
            for wire in wires:
                if wire.done():
                    wire.result().hang_up()
                else:
                    wire.cancel()
            await asyncio.gather(*ends, return_exceptions=True)


async def _first_of(wire: asyncio.Future[_Generator], end: asyncio.Future[tuple[int, str]]) -> _Generator:
    await asyncio.wait((wire, end), timeout=_READY_S, return_when=asyncio.FIRST_COMPLETED)
    if not wire.done():
        raise TransportError(f"a generator was not started within {_READY_S:.0f} s, or ended at once")
    return wire.result()


async def _death(end: asyncio.Future[tuple[int, str]]) -> str:
    """Explain why a generator ended before it was through."""
    try:
        code, said = await end
    except (OSError, BrokenExecutor) as error:
        return f"the generator was lost with its executor: {error!r}"
    return f"the generator ended with code {code}" + (f": {said}" if said else "")


class _Conversation:
    """Follows the generators from their first word to their last."""

    def __init__(self, merger: _Merger, count: int, stop: asyncio.Event) -> None:
        self._merger = merger
        self._shards = Shards(count)
        self._stop = stop
        self._generators: list[_Generator] = []
        self._ready_in_time: asyncio.Timeout | None = None

    async def hold(self, generators: Sequence[tuple[_Generator, asyncio.Future[tuple[int, str]]]]) -> None:
        """Hold it to the end.

        Raises:
            TransportError: If they are not ready in time, or the only one is lost.
            VenueError: If the venue refuses them.
        """
        self._generators = [generator for generator, _ in generators]
        stopping = asyncio.ensure_future(self._pass_on_stop())
        listening = [
            asyncio.ensure_future(self._listen(number, generator, end))
            for number, (generator, end) in enumerate(generators)
        ]
        try:
            async with asyncio.timeout(_READY_S) as self._ready_in_time:
                await asyncio.gather(*listening)
        except TimeoutError:
            raise TransportError(f"the generator was not ready within {_READY_S:.0f} s") from None
        finally:
            for each in (*listening, stopping):
                each.cancel()
            await asyncio.gather(*listening, stopping, return_exceptions=True)

    async def _listen(self, number: int, generator: _Generator, end: asyncio.Future[tuple[int, str]]) -> None:
        async for message in generator.messages():
            if isinstance(message, channel.Failed):
                raise VenueError(message.text) if message.refused else ConnectionLost(message.text)
            self._heard(self._shards.take(number, message))
            if isinstance(message, channel.Finished):
                return
        record = self._merger.record
        if record.interrupted and not record.started_ns:
            return
        why = await _death(end)
        if len(self._generators) == 1 or not record.started_ns:
            raise TransportError(why)
        record.lost.append(f"generator {number + 1} of {len(self._generators)} was lost: {why}")
        self._heard(self._shards.lost(number))

    def _heard(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._merger.take(message)
            if isinstance(message, channel.Ready):
                assert self._ready_in_time is not None
                self._ready_in_time.reschedule(None)
                start_ns = time.time_ns() + _LEAD_NS
                for generator in self._generators:
                    generator.tell(f"{channel.START} {start_ns}".encode())

    async def _pass_on_stop(self) -> None:
        await self._stop.wait()
        for generator in self._generators:
            if self._merger.record.started_ns:
                generator.tell(channel.STOP.encode())
            else:
                # Nothing was sent, so there is nothing to wait for.
                self._merger.record.interrupted = True
                generator.hang_up()


# -- merging ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reading:
    """CPU times at a mark."""

    mark: channel.Mark
    clock: CpuClock | None
    venue_ns: int | None
    parent_ns: int


class _Merger:
    """Turns the generator's messages into a record."""

    def __init__(
        self, scenario: Scenario, venue_pid: int | None, on_progress: Callable[[Progress], None] | None
    ) -> None:
        self.record = RunRecord(scenario)
        self.record.environment = environment.describe()
        self._venue_pid = venue_pid
        self._on_progress = on_progress
        self._watch = Watch(scenario)
        self.record.broken = self._watch.broken
        self.on_abort: Callable[[], None] = _do_nothing
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """Zero of the schedule on the monotonic clock."""
        self._kinds: list[dict[Kind, KindOutcome]] = [{} for _ in scenario.phases]
        self._usage: dict[int, Usage] = {}
        self._last: _Reading | None = None
        self._totals = (0, 0, 0)
        self._so_far = Histogram()

    def take(self, message: Message) -> None:
        """Merge one message."""
        match message:
            case channel.Ready():
                self.record.environment |= {
                    "versions": message.versions,
                    "loop": message.loop,
                    "transport": message.transport,
                    "pacer": message.pacer,
                    "gc": "frozen",
                    "load1": round(os.getloadavg()[0], 2),
                }
                self.record.connect_ns = message.connect_ns
            case channel.Started():
                self.record.started_ns = message.wall_ns
                self.started.set_result(message.mono_ns)
            case channel.Mark():
                self._mark(message)
            case channel.Interval():
                self._interval(message)
            case channel.Finished():
                self._finished(message)
            case _:
                raise NadowsError(f"the generator says {type(message).__name__} out of turn")

    def _mark(self, mark: channel.Mark) -> None:
        venue_ns = process_cpu_ns(self._venue_pid) if self._venue_pid is not None else None
        reading = _Reading(mark, CpuClock.read(), venue_ns, time.process_time_ns())
        if self._last is not None:
            self._usage[mark.phase] = _usage(self._last, reading)
        self._last = reading

    def _interval(self, interval: channel.Interval) -> None:
        record = self.record
        start_ns = record.started_ns + interval.at_ns - interval.length_ns
        responses: list[int] = []
        lags: list[int] = []
        phase = 0
        parts: dict[int, Part] = {}
        for block in interval.samples:
            values = array("q", block.values)
            kind, clock = block.kind, cast(Clock, block.clock)
            part = Histogram()
            part.record(values)
            self._kinds[block.phase].setdefault(kind, KindOutcome()).clock(clock).add(part)
            name = record.scenario.phases[block.phase].name
            record.intervals.append(
                LoggedInterval(f"{name}.{clock}.{kind}", start_ns, interval.length_ns, part)
            )
            phase = max(phase, block.phase)
            watched = parts.setdefault(block.phase, Part(block.phase, interval.at_ns, {}))
            watched.kinds.setdefault(kind, KindOutcome()).clock(clock).add(part)
            if kind == FOLLOW_UP:
                continue
            if clock == "response":
                if record.scenario.phases[block.phase].record:
                    self._so_far.add(part)
                responses += values
            elif clock == "lag":
                lags += values
        totals = (interval.sent, interval.acked, interval.failed)
        sent, acked, failed = (now - before for now, before in zip(totals, self._totals, strict=True))
        self._totals = totals
        p50, p99, most = _points(responses)
        progress = Progress(
            at_ns=interval.at_ns,
            phase=record.scenario.phases[phase].name,
            sent=sent,
            acked=acked,
            failed=failed,
            in_flight=interval.in_flight,
            p50=p50,
            p99=p99,
            max=most,
            lag_p99=_points(lags)[1],
            so_far=self._so_far,
        )
        record.series.append(progress)
        record.wall_ns = interval.at_ns
        if self._on_progress is not None:
            self._on_progress(progress)
        if self._watch.take([parts[number] for number in sorted(parts)]) is not None:
            record.is_aborted = True
            self.on_abort()

    def _finished(self, finished: channel.Finished) -> None:
        record = self.record
        record.stats = finished.stats
        record.interrupted = finished.stopped
        record.faults += [Fault("disconnect", at_ns, 0) for at_ns in finished.cuts_ns]
        for number, (phase, report) in enumerate(zip(record.scenario.phases, finished.phases, strict=True)):
            kinds = self._kinds[number]
            for kind, counted in report.kinds.items():
                kinds.setdefault(kind, KindOutcome()).counts = _counts(counted)
            record.outcomes.append(
                PhaseOutcome(
                    name=phase.name,
                    target_rate=phase.mean_rate,
                    duration_ns=report.duration_ns,
                    recorded=phase.record,
                    kinds=kinds,
                    in_time=report.in_time,
                    late_busy=report.late_busy,
                    inflight_max=report.inflight_max,
                    late_answers=report.late_answers,
                    crossing=Crossing(report.accepted, report.filled, report.missing),
                    usage=self._usage.get(number, Usage()),
                )
            )


def _do_nothing() -> None:
    """Nobody wants to know."""


def _usage(before: _Reading, after: _Reading) -> Usage:
    generator_ns = after.mark.cpu_ns - before.mark.cpu_ns
    venue_ns = None
    if after.venue_ns is not None and before.venue_ns is not None:
        venue_ns = after.venue_ns - before.venue_ns
    steal = other = 0.0
    if after.clock is not None and before.clock is not None:
        ours_ns = generator_ns + (venue_ns or 0) + after.parent_ns - before.parent_ns
        steal, other = after.clock.shares_since(before.clock, ours_ns)
    return Usage(
        wall_ns=after.mark.at_ns - before.mark.at_ns,
        generator_cpu_ns=generator_ns,
        venue_cpu_ns=venue_ns,
        involuntary_switches=after.mark.involuntary_switches - before.mark.involuntary_switches,
        rss_bytes=after.mark.rss_bytes,
        steal=steal,
        other_cpu=other,
    )


def _counts(counted: channel.Counted) -> Counts:
    return Counts(
        planned=counted.planned,
        sent=counted.sent,
        dropped=counted.dropped,
        acked=counted.acked,
        failed=counted.failed,
        unfinished=counted.unfinished,
        errors=Counter(counted.errors),
        drops=Counter(counted.drops),
    )


def _points(values: list[int]) -> tuple[int, int, int]:
    """Return median, 99th percentile and maximum of a second's samples, for looking at."""
    if not values:
        return 0, 0, 0
    values.sort()
    last = len(values) - 1
    return values[last // 2], values[last * 99 // 100], values[last]
