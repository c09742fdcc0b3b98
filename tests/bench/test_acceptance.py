"""The twelve acceptance checks of a load generator, in the order of docs/benchmarks.md.

Two of them live elsewhere: that the report needs no script and no network in test_page.py, that each exit
code is reached in test_command.py and test_compare.py.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from nadows.bench import worker
from nadows.bench.channel import Message
from nadows.bench.engine import RunRecord, _Merger, run
from nadows.bench.explain import explain
from nadows.bench.histogram import Histogram
from nadows.bench.load import ClosedLoad, Load, OpenLoad
from nadows.bench.outcome import PhaseOutcome, Usage
from nadows.bench.plan import Plan, Turns
from nadows.bench.recorder import Recorder
from nadows.bench.result import plan_sha256, result_of
from nadows.bench.scenario import LoadPhase, MixEntry, Scenario, Stall
from nadows.bench.verdict import judge
from nadows.desk import OnReply

from .test_load import OK, FakeClient, trader_of

SECOND = 10**9
MS = 1_000_000
CROSS = (MixEntry("cross", 1),)


def scenario_of(rate: int, ms: int, **changes: Any) -> Scenario:
    phases = (LoadPhase("steady", Fraction(rate), ms * MS),)
    settings: dict[str, Any] = {"flow": "off", "timeout_ns": 20 * SECOND}
    return Scenario(name="x", phases=phases, **settings | changes)


def measured(record: RunRecord) -> PhaseOutcome:
    return next(outcome for outcome in record.outcomes if outcome.recorded)


async def outcome_of(load: Load, scenario: Scenario) -> RunRecord:
    """Run a load in this process, as the generator does, and merge what it says, as the parent does."""
    said: list[Message] = []
    await worker._Run(load, scenario, 0, said.append).run(asyncio.Event(), time.time_ns() + 50 * MS)
    said.append(worker._finished(scenario, load, [], []))
    merger = _Merger(scenario, None, None)
    for message in said:
        merger.take(message)
    load.close()
    return merger.record


@pytest.mark.slow
async def test_1_stall_shows_in_an_open_loop_and_hides_in_a_closed_one() -> None:
    """The venue freezes for one of three seconds: that second is the open model's p99 alone.

    The closed model's own p99 is not asserted in milliseconds, since it is the machine's: no more requests
    saw the stall than there are users, which is less than one in a hundred.
    """
    stall = Stall(SECOND, SECOND)
    opened = await run(scenario_of(300, 3000, stall=stall))
    closed = await run(
        replace(
            scenario_of(1, 3000),
            phases=(LoadPhase("steady", Fraction(0), 3 * SECOND),),
            model="closed",
            users=4,
            stall=stall,
        )
    )

    response = measured(opened).histogram("all", "response")
    assert 900 == measured(opened).counts().acked
    assert response.percentile(99) > 900 * MS
    waited = measured(closed).histogram("all", "response")
    assert waited.count - waited.count_within(900 * MS) <= 4
    assert waited.percentile(99) * 3 < response.percentile(99)
    verdict = judge(closed.outcomes, [])
    assert "coordinated omission" in explain(result_of(closed, verdict, [], []))[0]
    assert "each waited for what was left of it" in explain(result_of(opened, verdict, [], []))[0]


async def test_2_stall_of_the_generator_shows_in_lag_and_response() -> None:
    """Busy elsewhere for 300 ms, it sends late: lag and response say so, service does not; it is invalid."""
    client = FakeClient()
    client.on_order = lambda order, on_reply: client.fill(order.digest)
    scenario = scenario_of(500, 800, mix=CROSS)

    def block() -> None:
        used_until = time.thread_time_ns() + 300 * MS
        while time.thread_time_ns() < used_until:
            pass

    async with asyncio.TaskGroup() as tasks:
        load = OpenLoad(Plan(scenario), {0: trader_of(client)}, tasks, SECOND)
        asyncio.get_running_loop().call_later(0.3, block)
        record = await outcome_of(load, scenario)

    outcome = measured(record)
    lag, response = outcome.histogram("all", "lag"), outcome.histogram("all", "response")
    service = outcome.histogram("all", "service")
    assert lag.maximum > 290 * MS
    assert response.maximum > 290 * MS
    assert lag.count - lag.count_within(100 * MS) >= 90
    assert service.count - service.count_within(100 * MS) <= 5
    outcome.usage = Usage()
    assert ("generator-limited", 97) == ((verdict := judge([outcome], [])).state, verdict.exit)


def test_3_known_distribution_is_recovered() -> None:
    """Percentiles of delays from a table come back to 0.1 percent, from nanoseconds to a minute."""
    rng = random.Random(3)
    delays = [int(10 ** rng.uniform(3, 10.7)) for _ in range(20_000)]
    recorder = Recorder([SECOND])
    for number, delay in enumerate(delays):
        recorder.sent(number, 0, "cross", number, number)
        recorder.answered(number, number + delay)

    histogram = Histogram()
    for samples in recorder.take():
        if samples.clock == "response":
            histogram.record(memoryview(samples.values).cast("q").tolist())

    ordered = sorted(delays)
    for percentile in (1, 25, 50, 90, 99, 99.9):
        exact = ordered[-(-int(percentile * 10) * len(ordered) // 1000) - 1]
        assert histogram.percentile(percentile) == pytest.approx(exact, rel=0.001)
    assert (ordered[0], ordered[-1], sum(ordered)) == (histogram.minimum, histogram.maximum, histogram.total)


@pytest.mark.slow
async def test_4_nothing_is_lost() -> None:
    """A run of every operation: planned = sent + dropped, and so on, in each kind and on each clock."""
    mix = (
        *(MixEntry("cross", 4), MixEntry("rest", 2), MixEntry("cancel_and_place", 6, "random")),
        *(MixEntry("cancel_orders", 2), MixEntry("query_status", 2), MixEntry("query_market_liquidity", 2)),
        *(MixEntry("query_subaccount_info", 1), MixEntry("connect", 1)),
    )

    record = await run(scenario_of(200, 2000, mix=mix, flow="busy", connections=2))

    outcome = measured(record)
    assert [] == outcome.leaks()
    assert {entry.kind: 20 * entry.weight for entry in mix} == {
        kind: each.counts.planned for kind, each in outcome.kinds.items()
    }
    counts = outcome.counts()
    assert (400, 400, 0) == (counts.planned, counts.sent, counts.failed + counts.unfinished)


def test_5_histograms_survive_their_coding() -> None:
    """Encoding, decoding and merging lose nothing; the sum of the parts is the whole."""
    rng = random.Random(5)
    parts = [Histogram() for _ in range(4)]
    whole = Histogram()
    for number in range(4000):
        value = int(rng.expovariate(1e-6))
        parts[number % 4].record([value])
        whole.record([value])

    def decoded(histogram: Histogram) -> Histogram:
        exact = {"min": histogram.minimum, "max": histogram.maximum, "sum": histogram.total}
        return Histogram.decode(histogram.encode(), exact)

    assert whole == decoded(whole) == Histogram.merged(map(decoded, parts))


async def test_6_littles_law_holds_in_a_closed_model() -> None:
    """Users = rate x residence, to five percent: no time is counted twice, and none is missing."""
    client, rng = FakeClient(), random.Random(6)
    client.answer = None

    def answer(order: Any, on_reply: OnReply) -> None:
        on_reply(OK)
        client.fill(order.digest)

    def answer_slowly(order: Any, on_reply: OnReply) -> None:
        asyncio.get_running_loop().call_later(rng.uniform(0.01, 0.03), answer, order, on_reply)

    client.on_order = answer_slowly
    scenario = replace(
        scenario_of(1, 1000), phases=(LoadPhase("steady", Fraction(0), SECOND),), mix=CROSS, model="closed"
    )
    users = 8
    async with asyncio.TaskGroup() as tasks:
        load = ClosedLoad(Turns(scenario), {0: trader_of(client)}, tasks, 10 * SECOND, users=users)
        record = await outcome_of(load, scenario)

    service = measured(record).histogram("all", "service")
    assert service.count > 10 * users
    assert users == pytest.approx(service.total / SECOND, rel=0.05)


def test_7_answer_after_a_minute_does_not_vanish() -> None:
    """It is the maximum, exactly, and in the counts."""
    recorder = Recorder([SECOND])
    recorder.sent(0, 0, "cross", 0, 0)
    recorder.answered(0, 61 * SECOND)

    (response,) = (each for each in recorder.take() if each.clock == "response")
    histogram = Histogram()
    histogram.record(memoryview(response.values).cast("q").tolist())

    assert (1, 61 * SECOND, 61 * SECOND) == (histogram.count, histogram.maximum, histogram.percentile(100))
    assert 1 == recorder.phases[0].track("cross").counts.acked


def test_8_equal_seeds_ask_for_the_same() -> None:
    """When each request is due, what it does and who sends it: one hash in the result."""
    scenario = scenario_of(1000, 1000, arrival="poisson")

    assert plan_sha256(scenario) == plan_sha256(scenario)
    assert plan_sha256(scenario) != plan_sha256(replace(scenario, seed=1))
    assert plan_sha256(scenario) != plan_sha256(replace(scenario, connections=2))
    assert plan_sha256(replace(scenario, phases=(LoadPhase("s", Fraction(0), 1),), model="closed")) is None


async def test_9_overhead_does_not_grow() -> None:
    """Calls of the bench's own functions for a request: counted, which no busy machine changes."""
    client = FakeClient()
    scenario = scenario_of(4000, 100, mix=CROSS)
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "/nadows/bench/" in frame.f_code.co_filename:
            calls[frame.f_code.co_name] += 1

    async with asyncio.TaskGroup() as tasks:
        load = OpenLoad(Plan(scenario), {0: trader_of(client)}, tasks, 10 * SECOND)
        # Long due, so that all is sent in full batches, whatever the timer does.
        start_ns = time.monotonic_ns() - 200 * MS
        sys.setprofile(count)
        try:
            load.start(start_ns)
            async with asyncio.timeout(20):
                await load.all_sent.wait()
            for _ in range(20):
                await asyncio.sleep(0)
        finally:
            sys.setprofile(None)
            load.close()

    assert 400 == calls["_send_order"] == calls["answered"]
    assert calls.total() / 400 < 20


def test_12_readme_says_how_to_see_it() -> None:
    """What is claimed of coordinated omission can be run."""
    readme = Path(__file__).parents[2].joinpath("README.md").read_text()

    assert "nadows bench stall" in readme
    assert "nadows bench stall-closed" in readme
