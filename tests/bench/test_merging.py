"""Several generators heard as one."""

from __future__ import annotations

from nadows.bench import channel
from nadows.bench.channel import Counted, Finished, Interval, Mark, PhaseReport, Ready, SampleBlock, Started
from nadows.bench.merging import Shards

ONE = SampleBlock(0, "cross", "response", b"1")
TWO = SampleBlock(0, "rest", "lag", b"2")


def ready(connect_ns: int) -> Ready:
    return Ready({"a": "1"}, "uvloop", "websockets", "timerfd", [connect_ns])


def interval(at: int, sent: int, *samples: SampleBlock) -> Interval:
    return Interval(at, 10, sent, sent - 1, 1, 2, list(samples))


def finished(sent: int, kind: str = "cross", *, stopped: bool = False) -> Finished:
    counted = Counted(sent, sent, 0, sent - 1, 1, 0, {"x": 1}, {})
    report = PhaseReport(100, sent, 1, 3, 0, 4, 3, 1, {kind: counted})
    return Finished([report], {"book_updates": sent}, stopped, [sent])


def test_nothing_is_ready_until_all_are() -> None:
    """The start waits for the last."""
    shards = Shards(2)

    assert [] == shards.take(1, ready(7))
    assert [Ready({"a": "1"}, "uvloop", "websockets", "timerfd", [5, 7])] == shards.take(0, ready(5))


def test_all_start_at_once() -> None:
    """One of them is enough to know when."""
    shards = Shards(2)

    assert [Started(1, 2)] == shards.take(0, Started(1, 2))
    assert [] == shards.take(1, Started(3, 2))


def test_marks_and_intervals_are_added_up() -> None:
    """One by one, in their order, however far one is ahead."""
    shards = Shards(2)

    assert [] == shards.take(0, Mark(-1, 5, 10, 1, 100))
    assert [] == shards.take(0, interval(10, 5, ONE))
    assert [] == shards.take(0, interval(20, 9))
    assert [Mark(-1, 6, 30, 3, 300)] == shards.take(1, Mark(-1, 6, 20, 2, 200))
    assert [Interval(12, 10, 8, 6, 2, 4, [ONE, TWO])] == shards.take(1, interval(12, 3, TWO))
    assert [Interval(21, 10, 15, 13, 2, 4, [])] == shards.take(1, interval(21, 6))


def test_ends_are_added_up() -> None:
    """Counts of each kind, whichever shard had it; one that was stopped stops the run."""
    shards = Shards(2)

    assert [] == shards.take(0, finished(10, stopped=True))
    assert not shards.is_over
    (whole,) = shards.take(1, finished(20, "rest"))

    assert isinstance(whole, Finished)
    assert shards.is_over
    (report,) = whole.phases
    assert (30, 2, 6, 8, 6, 2) == (
        *(report.in_time, report.late_busy, report.inflight_max),
        *(report.accepted, report.filled, report.missing),
    )
    assert {"cross": 10, "rest": 20} == {kind: each.sent for kind, each in report.kinds.items()}
    assert ({"book_updates": 30}, True, [10, 20]) == (whole.stats, whole.stopped, whole.cuts_ns)

    again = Shards(2)
    again.take(0, finished(10))
    (both,) = again.take(1, finished(20))
    assert isinstance(both, Finished)
    assert Counted(30, 30, 0, 28, 2, 0, {"x": 2}, {}) == both.phases[0].kinds["cross"]


def test_who_is_through_is_not_waited_for() -> None:
    """The last intervals of the slower one come out at once, with the totals of both."""
    shards = Shards(2)
    shards.take(0, interval(10, 5))
    shards.take(0, finished(5))
    shards.take(1, interval(10, 3))

    assert [Interval(20, 10, 12, 10, 2, 2, [])] == shards.take(1, interval(20, 7))


def test_who_is_lost_is_not_waited_for() -> None:
    """What it said first stays; the end is that of the others."""
    shards = Shards(2)
    shards.take(0, interval(10, 5, ONE))
    shards.take(0, interval(20, 9, ONE))
    shards.take(1, interval(10, 3))

    (rest,) = shards.lost(1)
    assert Interval(20, 10, 12, 10, 2, 2, [ONE]) == rest
    (whole,) = shards.take(0, finished(9))
    assert isinstance(whole, channel.Finished)
    assert 9 == whole.phases[0].kinds["cross"].sent
    assert shards.is_over
