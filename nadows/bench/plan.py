"""Which request is due when, decided before the first is sent.

Everything is a function of the request's number: when it is due, which phase it belongs to, what it does,
which connection sends it. So an answer that comes late can never delay or change the requests after it, and
two runs with one seed ask for the same.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from math import gcd

from nadows.bench.outcome import Kind
from nadows.bench.scenario import MixEntry, Scenario
from nadows.pacing import EVEN, Arrivals, Phase, Schedule

__all__ = ["Plan", "Turns", "interleave"]


class Turns:
    """What each request does, whoever decides when: all there is to plan of a closed model.

    Args:
        scenario: Whose connections are a multiple of *shards*.
        shard: Which of the shards we are.
        shards: How many there are; request i belongs to shard ``i % shards``.
    """

    def __init__(self, scenario: Scenario, shard: int = 0, shards: int = 1) -> None:
        self.shard = shard
        """The first request of ours."""
        self.shards = shards
        """From one of ours to the next."""
        self._connections = scenario.connections
        self._kinds = interleave(scenario.mix)
        self.ends_ns = tuple(accumulate(phase.duration_ns for phase in scenario.phases))
        """When each phase ends, ns after the start."""

    def connection(self, index: int) -> int:
        """Return the number of the connection that sends a request: round and round."""
        return index % self._connections

    def kind(self, index: int) -> Kind:
        """Return what a request does. Each connection goes through the whole mix on its own."""
        return self._kinds[index // self._connections % len(self._kinds)]

    def phase_at(self, instant_ns: int) -> int:
        """Return the number of the phase of an instant (ns after the start); after the end, of the last."""
        return min(bisect_right(self.ends_ns, instant_ns), len(self.ends_ns) - 1)


class Plan(Turns):
    """The requests of an open scenario, numbered from 0."""

    def __init__(self, scenario: Scenario, shard: int = 0, shards: int = 1) -> None:
        super().__init__(scenario, shard, shards)
        self._schedule = Schedule(
            [Phase(each.duration_ns, each.rate, each.to) for each in scenario.phases], _arrivals(scenario)
        )
        self._firsts = (0, *map(self._schedule.count, self.ends_ns[:-1]))

    def __len__(self) -> int:
        """How many requests there are."""
        return len(self._schedule)

    def due(self, index: int) -> int:
        """Return when a request is due, ns after the start."""
        return self._schedule.due(index)

    def phase(self, index: int) -> int:
        """Return the number of the phase a request belongs to."""
        return bisect_right(self._firsts, index) - 1

    def due_before(self, instant_ns: int) -> int:
        """Count the requests that are due before an instant (ns after the start)."""
        return self._schedule.count(instant_ns)

    def planned(self, phase: int, until_ns: int | None = None) -> Counter[Kind]:
        """Count our requests of a phase by what they do; only those due before *until_ns*, if given."""
        first, last = self._firsts[phase], (*self._firsts[1:], len(self))[phase]
        if until_ns is not None:
            last = min(last, max(first, self.due_before(until_ns)))
        return self._kinds_before(last) - self._kinds_before(first)

    def _kinds_before(self, index: int) -> Counter[Kind]:
        cycle = self._connections * len(self._kinds)
        rounds, rest = divmod(index, cycle)
        # A cycle is a multiple of the shards, so each of its rounds looks the same to us.
        ours = rounds * (self._connections // self.shards)
        counted: Counter[Kind] = Counter()
        for kind in self._kinds:
            counted[kind] += ours
        counted.update(self.kind(each) for each in range(self.shard, rest, self.shards))
        return counted


def _arrivals(scenario: Scenario) -> Arrivals:
    match scenario.arrival:
        case "poisson":
            return Arrivals(rng=random.Random(scenario.seed))
        case "burst":
            return Arrivals(burst=scenario.burst)
        case _:
            return EVEN


def interleave(mix: Sequence[MixEntry]) -> tuple[Kind, ...]:
    """Spread the shares of a mix as evenly as whole requests allow: 3 to 1 is c c r c, not c c c r.

    Smooth weighted round robin: each entry gains its weight, the richest is taken and pays the total.
    """
    common = gcd(*(entry.weight for entry in mix))
    weights = [entry.weight // common for entry in mix]
    total = sum(weights)
    credit = [0] * len(weights)
    order: list[Kind] = []
    for _ in range(total):
        credit = [have + weight for have, weight in zip(credit, weights, strict=True)]
        richest = max(range(len(credit)), key=credit.__getitem__)
        credit[richest] -= total
        order.append(mix[richest].kind)
    return tuple(order)
