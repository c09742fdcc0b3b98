"""The plan: a function of the request's number, and of nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.bench.plan import Plan, interleave
from nadows.bench.scenario import LoadPhase, MixEntry, Scenario

SECOND = 10**9


def scenario_of(*phases: tuple[int, int], connections: int = 1, mix: tuple[int, int] = (1, 1)) -> Scenario:
    """Return a scenario of phases (rate, ms)."""
    return Scenario(
        name="x",
        phases=tuple(
            LoadPhase(f"p{number}", Fraction(rate), ms * 1_000_000)
            for number, (rate, ms) in enumerate(phases)
        ),
        mix=(MixEntry("cross", mix[0]), MixEntry("rest", mix[1])),
        connections=connections,
    )


def test_phases_follow_each_other() -> None:
    """Two seconds at 10, then one at 20: 40 requests, of which the 21st begins the second phase."""
    plan = Plan(scenario_of((10, 2000), (20, 1000)))

    assert (40, 0, 1) == (len(plan), plan.phase(19), plan.phase(20))
    assert (1_900_000_000, 2_000_000_000, 2_050_000_000) == (plan.due(19), plan.due(20), plan.due(21))
    assert (2 * SECOND, 3 * SECOND) == plan.ends_ns


def test_poisson_arrivals_repeat_with_their_seed() -> None:
    """The same seed asks for the same instants; another does not."""
    scenario = replace(scenario_of((1000, 1000)), arrival="poisson")
    first, again, other = Plan(scenario), Plan(scenario), Plan(replace(scenario, seed=1))

    instants = [first.due(index) for index in range(len(first))]

    assert instants == [again.due(index) for index in range(len(again))]
    assert instants != [other.due(index) for index in range(len(other))]


def test_bursts_are_due_at_once() -> None:
    """Ten at a time, a tenth as often: the rate is the same."""
    plan = Plan(replace(scenario_of((100, 1000)), arrival="burst", burst=10))

    assert 100 == len(plan)
    assert [0] * 10 + [100_000_000] * 10 == [plan.due(index) for index in range(20)]


@pytest.mark.parametrize(
    ("weights", "order"),
    [((1, 1), "cr"), ((50, 50), "cr"), ((3, 1), "ccrc"), ((0, 5), "r"), ((2, 3), "rcrcr")],
)
def test_mix_is_spread_evenly(weights: tuple[int, int], order: str) -> None:
    """Shares alternate as evenly as whole requests allow, and equal shares are one of each."""
    mix = [MixEntry("cross", weights[0]), MixEntry("rest", weights[1])]

    assert order == "".join(kind[0] for kind in interleave(mix))


def test_each_connection_goes_through_the_whole_mix() -> None:
    """With two connections and two kinds, neither gets one kind only."""
    plan = Plan(scenario_of((10, 1000), connections=2))

    assert ["cross", "cross", "rest", "rest", "cross"] == [plan.kind(index) for index in range(5)]
    assert [0, 1, 0, 1, 0] == [plan.connection(index) for index in range(5)]


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(100, 3000)), min_size=1, max_size=3),
    st.integers(1, 4),
    st.tuples(st.integers(0, 3), st.integers(1, 3)),
    st.one_of(st.none(), st.integers(0, 9 * SECOND)),
)
def test_planned_counts_are_those_of_the_requests(
    phases: list[tuple[int, int]], connections: int, mix: tuple[int, int], until_ns: int | None
) -> None:
    """Counting by arithmetic equals counting one by one, also up to an instant."""
    plan = Plan(scenario_of(*phases, connections=connections, mix=mix))
    expected = Counter(
        (plan.phase(index), plan.kind(index))
        for index in range(len(plan))
        if until_ns is None or plan.due(index) < until_ns
    )

    counted = Counter(
        {
            (phase, kind): count
            for phase in range(len(phases))
            for kind, count in plan.planned(phase, until_ns).items()
        }
    )

    assert expected == counted


@given(shards=st.sampled_from([1, 2, 3]), weights=st.tuples(st.integers(1, 3), st.integers(0, 3)))
def test_shards_own_the_plan_together(shards: int, weights: tuple[int, int]) -> None:
    """Each request belongs to one of them, and their counts are those of their requests."""
    scenario = scenario_of((7, 2000), (20, 1000), connections=6, mix=weights)
    whole = Plan(scenario)
    plans = [Plan(scenario, shard, shards) for shard in range(shards)]

    for phase in range(2):
        for until_ns in (None, 2 * SECOND + SECOND // 3):
            parts = [plan.planned(phase, until_ns) for plan in plans]
            assert +sum(parts, Counter()) == +whole.planned(phase, until_ns)
    for plan in plans:
        ours = Counter(
            plan.kind(index) for index in range(plan.shard, len(plan), shards) if plan.phase(index) == 0
        )
        assert +plan.planned(0) == ours
        connections = {plan.connection(index) for index in range(plan.shard, len(plan), shards)}
        assert connections <= set(range(plan.shard, 6, shards))
