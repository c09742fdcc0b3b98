"""Whole runs: three processes, real sockets, and what happens when one of them does not play along."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
from asyncio.subprocess import Process
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from nadows.bench import channel, engine, shard
from nadows.bench.engine import Progress, RunRecord, run
from nadows.bench.environment import CpuClock
from nadows.bench.outcome import PhaseOutcome
from nadows.bench.scenario import Disconnect, Flow, Scenario, Stall
from nadows.bench.thresholds import Threshold
from nadows.bench.verdict import judge
from nadows.errors import ConnectionLost, NadowsError, TransportError, UsageError, VenueError
from nadows.network import Network

pytestmark = pytest.mark.slow


def scenario_of(rate: int, duration: str, *, flow: Flow = "off", timeout_ns: int = 20 * 10**9) -> Scenario:
    scenario = Scenario.from_flags(rate=rate, duration=duration, warmup="0s")
    return replace(scenario, flow=flow, timeout_ns=timeout_ns)


class Children:
    """The processes that were started, by what they do; the last generator, if there are several."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes: dict[str, Process | subprocess.Popen[bytes]] = {}
        start, popen = asyncio.create_subprocess_exec, subprocess.Popen

        async def create(*command: str, **options: Any) -> Process:
            process = await start(*command, **options)
            self.processes["venue"] = process
            return process

        def open_(*command: Any, **options: Any) -> subprocess.Popen[bytes]:
            process = self.processes["generator"] = popen(*command, **options)
            return process

        monkeypatch.setattr(asyncio, "create_subprocess_exec", create)
        monkeypatch.setattr(shard, "subprocess", SimpleNamespace(**vars(subprocess) | {"Popen": open_}))

    def send(self, name: str, number: int) -> None:
        os.kill(self.processes[name].pid, number)

    @property
    def are_gone(self) -> bool:
        return all(process.returncode is not None for process in self.processes.values())


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    return Children(monkeypatch)


def measured(record: RunRecord) -> PhaseOutcome:
    return next(outcome for outcome in record.outcomes if outcome.recorded)


async def test_every_request_is_accounted_for(children: Children) -> None:
    """200 a second for two seconds on a live market: all sent, acked, and filled where they cross."""
    progress: list[Progress] = []

    record = await run(
        replace(scenario_of(200, "2s", flow="busy"), connections=2), on_progress=progress.append
    )

    outcome = measured(record)
    counts = outcome.counts()
    assert [] == outcome.leaks()
    assert (400, 400, 0, 400) == (counts.planned, counts.sent, counts.dropped, counts.acked)
    assert (200, 200, 0) == (outcome.crossing.accepted, outcome.crossing.filled, outcome.crossing.missing)
    assert 200 == outcome.histogram("cross", "event").count
    assert 400 == sum(each.sent for each in progress) == sum(each.acked for each in progress)
    assert outcome.usage.generator_cpu_ns > 0
    assert outcome.usage.venue_cpu_ns is not None
    assert {"response", "service", "lag", "event"} == {each.tag.split(".")[1] for each in record.intervals}
    assert 2 == len(record.connect_ns)
    assert children.are_gone


async def test_frozen_venue_shows_in_every_request_that_was_due(children: Children) -> None:
    """A stall of half a second hits all requests due meanwhile: open loop hides none of them."""
    loop = asyncio.get_running_loop()

    def freeze(progress: Progress) -> None:
        if children.processes["venue"].returncode is None and progress.at_ns < 1_800_000_000:
            children.send("venue", signal.SIGSTOP)
            loop.call_later(0.5, children.send, "venue", signal.SIGCONT)

    record = await run(scenario_of(200, "2s"), on_progress=freeze)

    outcome = measured(record)
    response = outcome.histogram("place_order", "response")
    assert [] == outcome.leaks()
    assert 400 == outcome.counts().acked
    # 100 requests are due in half a second, and half of them wait for at least half of it.
    assert response.maximum > 400_000_000
    assert response.count - response.count_within(240_000_000) >= 40


async def test_scenario_may_stop_the_venue(children: Children) -> None:
    """A stall of the scenario is the same, said in advance; the record tells when it was."""
    scenario = replace(scenario_of(200, "1500ms"), stall=Stall(500_000_000, 300_000_000))

    record = await run(scenario)

    (stall,) = record.faults
    response = measured(record).histogram("all", "response")
    assert "stall" == stall.kind
    assert (True, True) == (stall.at_ns >= 500_000_000, stall.length_ns >= 299_000_000)
    assert 300 == measured(record).counts().acked
    assert response.count - response.count_within(140_000_000) >= 25


async def test_scenario_may_cut_the_sockets(children: Children) -> None:
    """The client connects again by itself; requests that fell between are counted, and nothing leaks."""
    scenario = replace(scenario_of(200, "3s"), disconnect=Disconnect(500_000_000))

    record = await run(scenario)

    outcome = measured(record)
    assert ["disconnect"] == [fault.kind for fault in record.faults]
    assert [] == outcome.leaks()
    assert (2, 2) == (record.stats["gateway_connects"], record.stats["stream_connects"])
    assert outcome.counts().acked > 300
    verdict = judge([outcome], [], is_cut=True)
    assert verdict.state in ("valid", "saturated", "generator-limited")


async def test_threshold_may_end_the_run(children: Children) -> None:
    """A condition that is hopeless need not be waited for."""
    threshold = Threshold.parse("response.p90 < 1ns", abort=True)
    scenario = replace(scenario_of(200, "1m"), thresholds=(threshold,))

    record = await run(scenario)

    assert (True, [(threshold, "steady")]) == (record.is_aborted, list(record.broken))
    assert 0 < measured(record).counts().sent < 2000


async def test_stopped_run_is_complete_as_far_as_it_went(children: Children) -> None:
    """Stopping ends the schedule; what was due by then is accounted for."""
    stop = asyncio.Event()

    record = await run(scenario_of(100, "1m"), on_progress=lambda progress: stop.set(), stop=stop)

    outcome = measured(record)
    assert record.interrupted
    assert [] == outcome.leaks()
    assert 0 < outcome.counts().sent == outcome.counts().acked < 1000
    assert ("interrupted", 130) == ((verdict := judge([outcome], [], interrupted=True)).state, verdict.exit)
    assert children.are_gone


async def test_run_stopped_before_it_began_has_nothing(children: Children) -> None:
    """Stopped while the generator still connects, it ends at once with an empty record."""
    stop = asyncio.Event()
    stop.set()

    record = await run(scenario_of(100, "1m"), stop=stop)

    assert record.interrupted
    assert [] == record.outcomes
    assert children.are_gone


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("venue", ConnectionLost, "the embedded venue ended with code -9"),
        ("generator", TransportError, "the generator ended with code -9"),
    ],
)
async def test_death_of_a_child_ends_the_run(
    children: Children, name: str, error: type[NadowsError], text: str
) -> None:
    """Whichever dies, the other is ended and the run says which it was."""
    with pytest.raises(error, match=text):
        await run(scenario_of(100, "1m"), on_progress=lambda progress: children.send(name, signal.SIGKILL))

    assert children.are_gone


async def test_generator_that_does_not_end_is_killed(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that is stuck when the run is over does not outlive it."""
    monkeypatch.setattr(shard, "END_S", 0.2)

    def freeze_and_kill(progress: Progress) -> None:
        children.send("generator", signal.SIGSTOP)
        children.send("venue", signal.SIGKILL)

    with pytest.raises(ConnectionLost):
        await run(scenario_of(100, "1m"), on_progress=freeze_and_kill)

    assert -signal.SIGKILL == children.processes["generator"].returncode


async def test_venue_that_is_not_there_is_told(children: Children) -> None:
    """Without a listener the generator's own words reach the caller."""
    with pytest.raises(ConnectionLost, match="cannot connect"):
        await run(scenario_of(100, "1s"), Network.local(9))

    assert children.are_gone


async def test_generator_that_takes_for_ever_to_connect_is_told(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a limit to how long it may take to be ready."""
    monkeypatch.setattr(engine, "_READY_S", 0.05)

    with pytest.raises(TransportError, match="not ready within"):
        await run(scenario_of(100, "1s"), Network.local(9))


async def test_refusal_by_the_venue_stays_one() -> None:
    """What the venue refused is told as its refusal."""

    class Refusing:
        async def messages(self) -> Any:
            yield channel.Failed("no such signer", refused=True)

    merger = engine._Merger(scenario_of(1, "1s"), None, None)
    refusing: Any = Refusing()
    end: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    with pytest.raises(VenueError, match="no such signer"):
        await engine._Conversation(merger, 1, asyncio.Event()).hold([(refusing, end)])


async def test_shards_give_what_one_generator_gives(children: Children) -> None:
    """Two processes, run by a pool of processes: the same counts of each kind as one, for the same seed."""
    scenario = replace(scenario_of(200, "1s"), connections=2, arrival="poisson")
    alone = await run(scenario)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        shared = await run(scenario, processes=2, executor=pool)

    one, two = measured(alone), measured(shared)
    assert [] == one.leaks() == two.leaks()
    assert {kind: each.counts.planned for kind, each in one.kinds.items()} == {
        kind: each.counts.planned for kind, each in two.kinds.items()
    }
    assert one.counts().acked == two.counts().acked == two.histogram("all", "response").count
    assert (2, 2) == (shared.processes, len(shared.connect_ns))


async def test_lost_shard_makes_the_run_invalid(children: Children) -> None:
    """The others go on to the end, and what the lost one had measured stays in the histograms."""

    def kill(progress: Progress) -> None:
        if children.processes["generator"].returncode is None:
            children.send("generator", signal.SIGKILL)

    record = await run(replace(scenario_of(100, "3s"), connections=2), processes=2, on_progress=kill)

    outcome = measured(record)
    (lost,) = record.lost
    assert "was lost: the generator ended with code -9" in lost
    assert 150 == outcome.counts().sent
    assert outcome.histogram("all", "response").count > 150
    verdict = judge([outcome], [], lost=record.lost)
    assert ("invalid", 97, (lost,)) == (verdict.state, verdict.exit, verdict.reasons)


async def test_connections_that_cannot_be_shared_are_refused() -> None:
    """Each process needs as many as the next."""
    with pytest.raises(UsageError, match="2 processes cannot share 3 connections"):
        await run(replace(scenario_of(100, "1s"), connections=3), processes=2)


async def test_executor_that_starts_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that ends before it calls back is an error, not a wait."""
    monkeypatch.setattr(engine, "run_shard", lambda *_: (1, "x"))

    with pytest.raises(TransportError, match="not started within"):
        await run(scenario_of(100, "1s"), Network.local(9))


async def test_stranger_on_the_line_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not know the token is no shard."""
    answers: list[bytes] = []

    def stranger(address: tuple[str, int], token: str, index: int) -> tuple[int, str]:
        for text in (b"nobody 0\n", f"{token} 7\n".encode(), f"{token} x\n".encode()):
            with socket.create_connection(address) as wire:
                wire.sendall(text)
                answers.append(wire.recv(1))
        return 1, ""

    monkeypatch.setattr(engine, "run_shard", stranger)

    with pytest.raises(TransportError, match="not started within"):
        await run(scenario_of(100, "1s"), Network.local(9))

    assert [b""] * 3 == answers


async def test_message_out_of_turn_is_an_error() -> None:
    """The parent does not guess what a generator might mean."""
    merger = engine._Merger(scenario_of(1, "1s"), None, None)

    with pytest.raises(NadowsError, match="out of turn"):
        merger.take(channel.Failed("x"))


async def test_usage_without_proc_leaves_out_what_it_cannot_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CPU times of the system there is still the generator's own."""
    monkeypatch.setattr(CpuClock, "read", lambda: None)
    merger = engine._Merger(scenario_of(1, "1s"), None, None)

    merger.take(channel.Mark(-1, 0, 100, 0, 0))
    merger.take(channel.Mark(0, 1000, 400, 2, 5))

    usage = merger._usage[0]
    assert (300, None, 2, 0.0) == (
        usage.generator_cpu_ns,
        usage.venue_cpu_ns,
        usage.involuntary_switches,
        usage.steal,
    )
