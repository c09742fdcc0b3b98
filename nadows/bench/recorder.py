"""What the generator notes of each request: a few appends in the hot path, and nothing else.

Samples are kept as plain integers and handed over once a second as they are; histograms, percentiles and
everything that takes time is the parent's work. No clock is read here: every instant is passed in.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from nadows.bench.outcome import FOLLOW_UP, Clock, Counts, Crossing, Kind

__all__ = ["TIMEOUT", "PhaseTally", "Recorder", "Samples"]

TIMEOUT: Final = "timeout"
"""Name under which requests are counted that were given up."""


class Samples(NamedTuple):
    """Some samples of one clock, ns each."""

    phase: int
    kind: Kind
    clock: Clock
    values: bytes
    """Signed 64-bit integers in the machine's order."""


@dataclass(slots=True)
class _Track:
    """One kind of request in one phase."""

    counts: Counts = field(default_factory=Counts)
    response: list[int] = field(default_factory=list)
    service: list[int] = field(default_factory=list)
    lag: list[int] = field(default_factory=list)
    event: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)

    def take(self) -> list[tuple[Clock, bytes]]:
        """Hand over the samples and forget them."""
        lists: list[tuple[Clock, list[int]]] = [
            ("response", self.response),
            ("service", self.service),
            ("lag", self.lag),
            ("event", self.event),
            ("errors", self.errors),
        ]
        taken: list[tuple[Clock, bytes]] = [
            (clock, array("q", each).tobytes()) for clock, each in lists if each
        ]
        for _, each in lists:
            each.clear()
        return taken


@dataclass(slots=True)
class PhaseTally:
    """Counts of one phase."""

    end_ns: int
    """When it ends, on the monotonic clock."""
    in_time: int = 0
    late_busy: int = 0
    inflight_max: int = 0
    late_answers: int = 0
    crossing: Crossing = field(default_factory=Crossing)
    tracks: dict[Kind, _Track] = field(default_factory=dict)

    def track(self, kind: Kind) -> _Track:
        """Return what is noted of one kind."""
        found = self.tracks.get(kind)
        if found is None:
            found = self.tracks[kind] = _Track()
        return found


class _Flight(NamedTuple):
    tally: PhaseTally
    track: _Track
    due_ns: int
    sent_ns: int
    digest: str | None


@dataclass(slots=True)
class _Cross:
    tally: PhaseTally
    track: _Track
    due_ns: int
    accepted: bool = False
    filled: bool = False


class Recorder:
    """Follows every request from due to its end.

    Args:
        ends_ns: When each phase ends, on the clock of all other instants.
    """

    def __init__(self, ends_ns: Sequence[int]) -> None:
        self.phases = tuple(PhaseTally(end_ns) for end_ns in ends_ns)
        self._flights: dict[int, _Flight] = {}
        self._crosses: dict[str, _Cross] = {}

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer."""
        return len(self._flights)

    @property
    def awaited_fills(self) -> int:
        """Orders whose fill may still come."""
        return len(self._crosses)

    def sent(
        self, key: int, phase: int, kind: Kind, due_ns: int, sent_ns: int, digest: str | None = None
    ) -> None:
        """Note that a request is being sent.

        Args:
            key: Its own number; below 0 for what the schedule did not ask for.
            phase: That it belongs to.
            kind: What it does.
            due_ns: When it should have been sent.
            sent_ns: When the generator turned to it.
            digest: Of an order that must fill.
        """
        tally = self.phases[phase]
        track = tally.track(kind)
        track.counts.sent += 1
        track.lag.append(sent_ns - due_ns)
        self._flights[key] = _Flight(tally, track, due_ns, sent_ns, digest)
        tally.inflight_max = max(tally.inflight_max, len(self._flights))
        if kind != FOLLOW_UP and sent_ns <= tally.end_ns:
            tally.in_time += 1
        if digest is not None:
            self._crosses[digest] = _Cross(tally, track, due_ns)

    def late_by_own_fault(self, phase: int) -> None:
        """Note that a request was late because the generator was busy, not because it had no CPU."""
        self.phases[phase].late_busy += 1

    def dropped(self, phase: int, kind: Kind, reason: str, count: int = 1) -> None:
        """Note requests that were due and will not be sent."""
        counts = self.phases[phase].track(kind).counts
        counts.dropped += count
        counts.drops[reason] += count

    def answered(self, key: int, now_ns: int, error: str | None = None) -> bool:
        """Note the answer to a request.

        Args:
            key: Of the request.
            now_ns: When the answer reached the caller.
            error: Why it failed; ``None`` for success.

        Returns:
            Whether it had been waited for: a request that was given up stays given up.
        """
        flight = self._flights.pop(key, None)
        if flight is None:
            return False
        self._landed(flight, now_ns)
        if error is None:
            flight.track.counts.acked += 1
            if flight.digest is not None:
                self._accepted(flight.digest)
        else:
            self._failed(flight, now_ns, error)
        return True

    def late(self, phase: int) -> None:
        """Note an answer to a request that had been given up."""
        self.phases[phase].late_answers += 1

    def filled(self, digest: str, now_ns: int) -> None:
        """Note the first fill of an order; further ones and other orders' are ignored."""
        cross = self._crosses.get(digest)
        if cross is None or cross.filled:
            return
        cross.filled = True
        cross.track.event.append(now_ns - cross.due_ns)
        if cross.accepted:
            cross.tally.crossing.filled += 1
            del self._crosses[digest]

    def give_up(self, now_ns: int, timeout_ns: int) -> int:
        """Count what has waited too long as failed, at its age; return how many of the schedule these are."""
        overdue = []
        # Requests are in the order of sending, so the first that is young enough ends the search.
        for key, flight in self._flights.items():
            if now_ns - flight.sent_ns < timeout_ns:
                break
            overdue.append(key)
        for key in overdue:
            self.answered(key, now_ns, TIMEOUT)
        # What follows from the schedule has keys below 0.
        return sum(key >= 0 for key in overdue)

    def finish(self, now_ns: int) -> None:
        """Close the books: without answer is unfinished, without fill missing; both at their age."""
        for flight in self._flights.values():
            self._landed(flight, now_ns)
            flight.track.counts.unfinished += 1
        for cross in self._crosses.values():
            if cross.accepted:
                cross.tally.crossing.missing += 1
                cross.track.event.append(now_ns - cross.due_ns)
        self._flights.clear()
        self._crosses.clear()

    def take(self) -> list[Samples]:
        """Hand over the samples since the last time."""
        return [
            Samples(number, kind, clock, values)
            for number, tally in enumerate(self.phases)
            for kind, track in tally.tracks.items()
            for clock, values in track.take()
        ]

    def totals(self) -> tuple[int, int, int]:
        """Return how many scheduled requests were sent, acked, and failed so far, in all phases."""
        counts = [
            track.counts for tally in self.phases for kind, track in tally.tracks.items() if kind != FOLLOW_UP
        ]
        return (
            sum(each.sent for each in counts),
            sum(each.acked for each in counts),
            sum(each.failed for each in counts),
        )

    def errors(self) -> Counter[str]:
        """Return all failures so far by name."""
        total: Counter[str] = Counter()
        for tally in self.phases:
            for track in tally.tracks.values():
                total.update(track.counts.errors)
        return total

    # -- inside -------------------------------------------------------------------------------

    def _landed(self, flight: _Flight, now_ns: int) -> None:
        flight.track.response.append(now_ns - flight.due_ns)
        flight.track.service.append(now_ns - flight.sent_ns)

    def _failed(self, flight: _Flight, now_ns: int, error: str) -> None:
        counts = flight.track.counts
        counts.failed += 1
        counts.errors[error] += 1
        flight.track.errors.append(now_ns - flight.due_ns)
        if flight.digest is not None:
            self._crosses.pop(flight.digest, None)

    def _accepted(self, digest: str) -> None:
        cross = self._crosses[digest]
        cross.accepted = True
        cross.tally.crossing.accepted += 1
        if cross.filled:
            cross.tally.crossing.filled += 1
            del self._crosses[digest]
