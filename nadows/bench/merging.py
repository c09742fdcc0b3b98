"""Several generators heard as one: what the shards of a run say is added up, message by message.

Shard k of n owns the requests i with ``i % n == k``; all know the whole plan, so nothing has to be agreed on
but the start. Counts add up, samples are joined before anybody makes a percentile of them, and a shard that
is lost leaves what it had said until then.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import TypeVar

from nadows.bench import channel
from nadows.bench.channel import Message

__all__ = ["Shards"]


class Shards:
    """Joins the messages of some generators.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self._waiting: dict[int, dict[type, deque[Message]]] = {number: {} for number in range(count)}
        self._is_started = False
        self._ended: set[int] = set()
        self._lost: set[int] = set()
        self._totals = dict.fromkeys(range(count), (0, 0, 0))

    def take(self, shard: int, message: Message) -> list[Message]:
        """Take what a shard says; return what all of them have said by now."""
        if isinstance(message, channel.Started):
            is_first, self._is_started = not self._is_started, True
            return [message] if is_first else []
        self._waiting[shard].setdefault(type(message), deque()).append(message)
        if isinstance(message, channel.Finished):
            self._ended.add(shard)
        return self._complete()

    def lost(self, shard: int) -> list[Message]:
        """Go on without a shard."""
        self._lost.add(shard)
        return self._complete()

    @property
    def is_over(self) -> bool:
        """Whether nobody is left to say anything."""
        return self._ended | self._lost == set(self._waiting)

    def _complete(self) -> list[Message]:
        said: list[Message] = []
        for kind in (channel.Ready, channel.Mark, channel.Interval, channel.Finished):
            while parts := self._next(kind):
                said.append(self._joined(parts))
        return said

    def _next(self, kind: type) -> dict[int, Message]:
        """Take the next message of a kind from each shard, if none of them still owes it."""
        queues = {number: waiting.get(kind, deque()) for number, waiting in self._waiting.items()}
        # Whoever is at the end says no more intervals; whoever is lost says nothing at all.
        quiet = self._lost | (self._ended if kind is channel.Interval else set())
        if any(not queue and number not in quiet for number, queue in queues.items()):
            return {}
        return {number: queue.popleft() for number, queue in queues.items() if queue}

    def _joined(self, parts: dict[int, Message]) -> Message:
        messages = list(parts.values())
        match messages[0]:
            case channel.Ready() as first:
                connect_ns = [each for ready in _of(channel.Ready, messages) for each in ready.connect_ns]
                return channel.Ready(first.versions, first.loop, first.transport, first.pacer, connect_ns)
            case channel.Mark() as first:
                marks = _of(channel.Mark, messages)
                return channel.Mark(
                    first.phase,
                    max(each.at_ns for each in marks),
                    sum(each.cpu_ns for each in marks),
                    sum(each.involuntary_switches for each in marks),
                    sum(each.rss_bytes for each in marks),
                )
            case channel.Interval():
                return self._interval(parts)
            case _:
                return _finished(_of(channel.Finished, messages))

    def _interval(self, parts: dict[int, Message]) -> channel.Interval:
        for number, each in parts.items():
            assert isinstance(each, channel.Interval)
            self._totals[number] = (each.sent, each.acked, each.failed)
        intervals = _of(channel.Interval, parts.values())
        # Running totals: whoever has ended, or is lost, keeps what it had.
        sent, acked, failed = (sum(column) for column in zip(*self._totals.values(), strict=True))
        return channel.Interval(
            max(each.at_ns for each in intervals),
            max(each.length_ns for each in intervals),
            *(sent, acked, failed),
            sum(each.in_flight for each in intervals),
            [block for each in intervals for block in each.samples],
        )


_T = TypeVar("_T")


def _of(kind: type[_T], messages: Iterable[object]) -> list[_T]:
    return [each for each in messages if isinstance(each, kind)]


def _finished(parts: Sequence[channel.Finished]) -> channel.Finished:
    stats: Counter[str] = Counter()
    for part in parts:
        stats.update(part.stats)
    return channel.Finished(
        [_phase(reports) for reports in zip(*(part.phases for part in parts), strict=True)],
        dict(stats),
        any(part.stopped for part in parts),
        sorted(cut for part in parts for cut in part.cuts_ns),
    )


def _phase(reports: Sequence[channel.PhaseReport]) -> channel.PhaseReport:
    kinds = sorted({kind for report in reports for kind in report.kinds})
    return channel.PhaseReport(
        duration_ns=max(report.duration_ns for report in reports),
        in_time=sum(report.in_time for report in reports),
        late_busy=sum(report.late_busy for report in reports),
        inflight_max=sum(report.inflight_max for report in reports),
        late_answers=sum(report.late_answers for report in reports),
        accepted=sum(report.accepted for report in reports),
        filled=sum(report.filled for report in reports),
        missing=sum(report.missing for report in reports),
        kinds={kind: _counted([r.kinds[kind] for r in reports if kind in r.kinds]) for kind in kinds},
    )


def _counted(parts: Sequence[channel.Counted]) -> channel.Counted:
    errors: Counter[str] = Counter()
    drops: Counter[str] = Counter()
    for part in parts:
        errors.update(part.errors)
        drops.update(part.drops)
    return channel.Counted(
        planned=sum(part.planned for part in parts),
        sent=sum(part.sent for part in parts),
        dropped=sum(part.dropped for part in parts),
        acked=sum(part.acked for part in parts),
        failed=sum(part.failed for part in parts),
        unfinished=sum(part.unfinished for part in parts),
        errors=dict(errors),
        drops=dict(drops),
    )
