"""The generator in this process, against a venue on real sockets."""

from __future__ import annotations

import asyncio
import builtins
import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nadows.bench import channel, worker
from nadows.bench.channel import Message
from nadows.bench.scenario import Scenario
from nadows.bench.trader import Trader
from nadows.errors import ConnectionLost, NadowsError
from nadows.venue.exchange import ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.server import VenueOptions, serve


def scenario_of(rate: int = 100, duration: str = "300ms") -> Scenario:
    scenario = replace(Scenario.from_flags(rate=rate, duration=duration, warmup="100ms"), connections=2)
    return replace(scenario, timeout_ns=5_000_000_000)


async def generate(
    scenario: Scenario,
    *,
    stop: bool = False,
    pin: int | None = None,
    on_message: Callable[[Message], None] | None = None,
) -> list[Message]:
    """Run a generator against a venue of its own; return what it says."""
    said: list[Message] = []
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stopped = asyncio.Event()

    def say(message: Message) -> None:
        said.append(message)
        if isinstance(message, channel.Ready):
            started.set_result(time.time_ns() + 50_000_000)
            if stop:
                stopped.set()
        if on_message is not None:
            on_message(message)

    options = VenueOptions(exchange=ExchangeOptions(flow=FlowPreset.OFF, limits=False))
    async with serve(options) as venue:
        spec = channel.Spec(scenario.as_dict(), venue.ready_line(), pin)
        cpus = os.sched_getaffinity(0)
        try:
            await worker.generate(spec, started, stopped, say)
        finally:
            # The generator pins its process, which here is that of all tests.
            os.sched_setaffinity(0, cpus)
    return said


@pytest.mark.slow
async def test_generator_sends_the_schedule_and_says_what_became_of_it() -> None:
    """Ready, started, marks around each phase, intervals, finished: all acked, all crossing ones filled."""
    said = await generate(scenario_of(), pin=min(os.sched_getaffinity(0)))

    kinds = [type(message) for message in said]
    assert [channel.Ready, channel.Started] == kinds[:2]
    assert [-1, 0, 1] == [message.phase for message in said if isinstance(message, channel.Mark)]
    finished = said[-1]
    assert isinstance(finished, channel.Finished)
    warmup, steady = finished.phases
    assert (10, 30) == tuple(
        sum(each.planned for each in report.kinds.values()) for report in (warmup, steady)
    )
    for report in finished.phases:
        assert report.accepted == report.filled == report.kinds["cross"].acked
        assert all(each.planned == each.sent == each.acked for each in report.kinds.values())
    assert (100_000_000, 300_000_000) == (warmup.duration_ns, steady.duration_ns)
    samples = [block for each in said if isinstance(each, channel.Interval) for block in each.samples]
    assert 40 * 8 == sum(len(block.values) for block in samples if block.clock == "response")
    assert gc.isenabled()
    assert not finished.stopped


@pytest.mark.slow
async def test_stopped_generator_reports_what_it_has() -> None:
    """Told to stop, it sends no more, waits for answers, and plans only what was due by then."""
    said = await generate(scenario_of(100, "1m"), stop=True)

    finished = said[-1]
    assert isinstance(finished, channel.Finished)
    assert finished.stopped
    counted = [each for report in finished.phases for each in report.kinds.values()]
    assert sum(each.planned for each in counted) == sum(each.sent + each.dropped for each in counted) < 100
    assert all(each.sent == each.acked for each in counted)
    assert finished.phases[1].duration_ns < 60 * 10**9


@pytest.mark.slow
async def test_long_runs_are_told_in_intervals() -> None:
    """Samples are handed over about once a second."""
    said = await generate(scenario_of(50, "1500ms"))

    intervals = [each for each in said if isinstance(each, channel.Interval)]
    assert len(intervals) >= 2
    assert intervals[0].length_ns >= worker.INTERVAL_NS


async def test_unreachable_venue_is_an_error() -> None:
    """Where nobody listens there is nothing to measure."""
    scenario = scenario_of()
    async with serve(VenueOptions(exchange=ExchangeOptions(flow=FlowPreset.OFF))) as venue:
        line = venue.ready_line()

    with pytest.raises(NadowsError, match="cannot connect"):
        await worker.generate(
            channel.Spec(scenario.as_dict(), line),
            asyncio.get_running_loop().create_future(),
            asyncio.Event(),
            lambda message: None,
        )


async def test_orders_that_cannot_be_cleaned_up_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A venue that is gone at the end is remarked on; the result stands."""

    class Gone:
        async def cancel_all(self) -> None:
            raise ConnectionLost("gone")

    trader: Any = Gone()
    assert not isinstance(trader, Trader)

    await worker._clean_up(trader)

    assert "resting orders may be left: gone" in capsys.readouterr().err


def test_loop_is_uvloop_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The faster loop is an extra: without it asyncio's own does."""
    assert worker._loop_factory() is not None
    real = builtins.__import__

    def without_uvloop(name: str, *args: Any, **options: Any) -> Any:
        if name == "uvloop":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without_uvloop)

    assert worker._loop_factory() is None


def test_versions_are_those_installed() -> None:
    """A package that is not there is left out."""
    assert worker._version("websockets")
    assert worker._version("no-such-package-at-all") is None


def obey(lines: bytes) -> tuple[int, list[Message]]:
    """Let the generator's main loop read *lines*; return its exit code and what it said."""
    said: list[Message] = []

    async def run() -> int:
        reader = asyncio.StreamReader()
        reader.feed_data(lines)
        reader.feed_eof()
        return await worker._obey(reader, said.append)

    return asyncio.run(run()), said


def test_failure_is_a_message() -> None:
    """What goes wrong is told to the parent in one sentence."""
    scenario = b'{"scenario":{"schema":1},"network":{}}\n'

    code, said = obey(scenario + b"start 1\n")

    assert 1 == code
    assert isinstance(said[0], channel.Failed)
    assert "missing required field" in said[0].text


def test_defect_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is not ours keeps its traceback."""

    async def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(worker, "generate", broken)

    with pytest.raises(ExceptionGroup):
        obey(b'{"scenario":{},"network":{}}\n')


def test_generator_ends_with_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """When stdin closes, whatever is under way is given up."""

    async def for_ever(*args: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(worker, "generate", for_ever)

    with pytest.raises(asyncio.CancelledError):
        obey(b'{"scenario":{},"network":{}}\n')


def test_module_is_a_program() -> None:
    """The engine starts it by its name."""
    assert sys.modules[worker.__name__] is worker
    assert callable(worker.main)
