"""The recorder: whatever happens in whatever order, nothing is lost and nothing counted twice."""

from __future__ import annotations

from array import array
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nadows.bench.outcome import Clock, Kind
from nadows.bench.recorder import TIMEOUT, Recorder

TIMEOUT_NS = 1000


def samples(recorder: Recorder) -> dict[tuple[int, Kind, Clock], list[int]]:
    """Take all samples out."""
    return {(each.phase, each.kind, each.clock): array("q", each.values).tolist() for each in recorder.take()}


def test_three_clocks_start_at_due_and_sent() -> None:
    """A request due at 100, sent at 130, answered at 200: response 100, service 70, lag 30."""
    recorder = Recorder([1000])

    recorder.sent(7, 0, "rest", due_ns=100, sent_ns=130)
    assert recorder.answered(7, 200)

    assert {
        (0, "rest", "response"): [100],
        (0, "rest", "service"): [70],
        (0, "rest", "lag"): [30],
    } == samples(recorder)
    assert {} == samples(recorder)


def test_fill_counts_from_due_whichever_comes_first() -> None:
    """A fill before its answer and one after are the same; only the first of an order counts."""
    recorder = Recorder([1000])
    recorder.sent(1, 0, "cross", 100, 110, "0xa")
    recorder.sent(2, 0, "cross", 200, 210, "0xb")

    recorder.filled("0xa", 150)
    recorder.answered(1, 160)
    recorder.answered(2, 260)
    recorder.filled("0xb", 270)
    recorder.filled("0xb", 300)
    recorder.filled("0xa", 300)
    recorder.filled("0xdead", 300)

    crossing = recorder.phases[0].crossing
    assert (2, 2, 0) == (crossing.accepted, crossing.filled, crossing.missing)
    assert [50, 70] == samples(recorder)[0, "cross", "event"]
    assert 0 == recorder.awaited_fills


def test_repeated_fill_before_the_answer_counts_once() -> None:
    """Two matches of one order are one fill notice."""
    recorder = Recorder([1000])
    recorder.sent(1, 0, "cross", 100, 110, "0xa")

    recorder.filled("0xa", 150)
    recorder.filled("0xa", 151)
    recorder.answered(1, 160)

    assert 1 == recorder.phases[0].crossing.filled
    assert [50] == samples(recorder)[0, "cross", "event"]


def test_refusal_counts_as_failure_and_as_response() -> None:
    """A refused order is timed like any other, named, and its fill is not awaited."""
    recorder = Recorder([1000])
    recorder.sent(1, 0, "cross", 100, 110, "0xa")

    recorder.answered(1, 160, "2056 X")

    counts = recorder.phases[0].track("cross").counts
    assert (0, 1, Counter({"2056 X": 1})) == (counts.acked, counts.failed, counts.errors)
    taken = samples(recorder)
    assert ([60], [60]) == (taken[0, "cross", "response"], taken[0, "cross", "errors"])
    assert (0, 0) == (recorder.awaited_fills, recorder.in_flight)
    assert Counter({"2056 X": 1}) == recorder.errors()


def test_overdue_requests_are_given_up_at_their_age() -> None:
    """What has waited longer than the time-out fails with its age; a late answer is known as such."""
    recorder = Recorder([1000])
    recorder.sent(1, 0, "rest", 100, 110)
    recorder.sent(2, 0, "rest", 600, 610)

    recorder.give_up(1200, timeout_ns=1000)

    assert not recorder.answered(1, 1300)
    recorder.late(0)
    assert 1 == recorder.in_flight
    assert (1, 1) == (
        recorder.phases[0].track("rest").counts.errors[TIMEOUT],
        recorder.phases[0].late_answers,
    )
    assert [1100] == samples(recorder)[0, "rest", "response"]


def test_end_counts_what_is_open() -> None:
    """At the end a request without answer is unfinished and an accepted order without fill misses it."""
    recorder = Recorder([1000])
    recorder.sent(1, 0, "rest", 100, 110)
    recorder.sent(2, 0, "cross", 200, 210, "0xa")
    recorder.sent(3, 0, "cross", 300, 310, "0xb")
    recorder.answered(2, 250)

    recorder.finish(900)

    crossing = recorder.phases[0].crossing
    assert (1, 1) == tuple(recorder.phases[0].track(kind).counts.unfinished for kind in ("rest", "cross"))
    assert (1, 0, 1) == (crossing.accepted, crossing.filled, crossing.missing)
    assert [700] == samples(recorder)[0, "cross", "event"]


def test_only_the_schedule_counts_as_in_time() -> None:
    """Orders sent until the end of their phase are in time; later ones and cancellations are not."""
    recorder = Recorder([1000, 2000])

    recorder.sent(1, 0, "rest", 990, 1000)
    recorder.sent(2, 0, "rest", 995, 1001)
    recorder.sent(-1, 0, "cancel_product_orders", 500, 500)
    recorder.dropped(1, "cross", "stopped", 3)
    recorder.late_by_own_fault(0)

    first, second = recorder.phases
    assert (1, 3, 1) == (first.in_time, first.inflight_max, first.late_busy)
    assert (3, Counter(stopped=3)) == (
        second.track("cross").counts.dropped,
        second.track("cross").counts.drops,
    )
    assert (2, 0, 0) == recorder.totals()


class Conservation(RuleBasedStateMachine):
    """Random lives of requests."""

    def __init__(self) -> None:
        super().__init__()
        self.recorder = Recorder([50_000, 100_000])
        self.now = 0
        self.keys = 0
        self.responses = 0
        self.events = 0

    def digest(self, key: int) -> str:
        return f"0x{key:x}"

    @rule(phase=st.integers(0, 1), cross=st.booleans(), lag=st.integers(0, 50))
    def send(self, phase: int, cross: bool, lag: int) -> None:
        self.now += lag
        self.keys += 1
        kind: Kind = "cross" if cross else "rest"
        digest = self.digest(self.keys) if cross else None
        self.recorder.sent(self.keys, phase, kind, self.now - lag, self.now, digest)

    @rule(phase=st.integers(0, 1))
    def drop(self, phase: int) -> None:
        self.recorder.dropped(phase, "rest", "not connected")

    @rule(key=st.integers(1, 60), error=st.sampled_from([None, "2008 X"]))
    def answer(self, key: int, error: str | None) -> None:
        self.now += 1
        self.recorder.answered(key, self.now, error)

    @rule(key=st.integers(1, 60))
    def fill(self, key: int) -> None:
        self.now += 1
        self.recorder.filled(self.digest(key), self.now)

    @rule(wait=st.integers(0, 400))
    def give_up(self, wait: int) -> None:
        self.now += wait
        self.recorder.give_up(self.now, TIMEOUT_NS)

    @rule()
    def take(self) -> None:
        for (_, _, clock), values in samples(self.recorder).items():
            self.responses += len(values) if clock == "response" else 0

    @invariant()
    def nothing_is_lost(self) -> None:
        counts = [track.counts for tally in self.recorder.phases for track in tally.tracks.values()]
        ended = sum(each.acked + each.failed for each in counts)
        assert self.keys == sum(each.sent for each in counts) == ended + self.recorder.in_flight

    def teardown(self) -> None:
        self.recorder.finish(self.now)
        self.take()
        assert self.keys == self.responses
        for tally in self.recorder.phases:
            crossing = tally.crossing
            assert crossing.accepted == crossing.filled + crossing.missing
            for track in tally.tracks.values():
                track.counts.planned = track.counts.sent + track.counts.dropped
                assert [] == track.counts.leaks()


TestConservation = Conservation.TestCase
TestConservation.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
