import random
import statistics
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.errors import UsageError
from nadows.pacing import (
    IP_QUERY_LIMITS,
    WALLET_EXECUTE_LIMITS,
    Arrivals,
    Backoff,
    Phase,
    Schedule,
    Window,
    WindowLimit,
    retry_after_ns,
)

MS = 1_000_000
SECOND = 1000 * MS


class Highest(random.Random):
    """Draws the largest number each time, so that a test sees the bound of the jitter."""

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        assert (stop, step) == (None, 1)
        return start - 1


# --- Backoff


def test_backoff_bounds() -> None:
    """The first retry is at once; the bound then doubles from 250 ms to the cap of 10 s and stays there."""
    backoff = Backoff(Highest())

    delays = [backoff.next() for _ in range(9)]

    assert [delay * MS for delay in (0, 250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000)] == delays
    assert 9 == backoff.retries


def test_backoff_jitter_is_full() -> None:
    """Delays spread over the whole range from nothing to the bound."""
    rng = random.Random(7)
    delays = []
    for _ in range(2000):
        backoff = Backoff(rng, base_ns=1000, cap_ns=1000)
        backoff.next()
        delays.append(backoff.next())

    assert 0 <= min(delays) < 20
    assert 980 < max(delays) <= 1000
    assert 480 < statistics.mean(delays) < 520


def test_backoff_reset() -> None:
    """After a success the next failure is retried at once again."""
    backoff = Backoff(Highest())
    delays = [backoff.next() for _ in range(5)]

    backoff.reset()

    assert delays == [backoff.next() for _ in range(5)]


def test_backoff_keeps_what_the_venue_asks_for() -> None:
    """A stated wait is kept from the first retry on, and beyond the cap."""
    backoff = Backoff(Highest())

    assert 3 * SECOND == backoff.next(retry_after_ns=3 * SECOND)
    assert 60 * SECOND == backoff.next(retry_after_ns=60 * SECOND)
    assert 500 * MS == backoff.next(retry_after_ns=1)


def test_backoff_after_days() -> None:
    """Thousands of failures neither overflow nor slow down."""
    backoff = Backoff(Highest(), base_ns=1, cap_ns=10 * SECOND)

    assert 10 * SECOND == [backoff.next() for _ in range(100_000)][-1]


@pytest.mark.parametrize(("base_ns", "cap_ns"), [(0, 1), (-1, 1), (2, 1)])
def test_backoff_refused(base_ns: int, cap_ns: int) -> None:
    """A base must be positive and under the cap."""
    with pytest.raises(UsageError, match="base_ns <= cap_ns"):
        Backoff(random.Random(1), base_ns=base_ns, cap_ns=cap_ns)


# --- WindowLimit


def test_limits_of_the_venue() -> None:
    """The windows are the documented ones."""
    assert (Window(100, 10 * SECOND), Window(600, 60 * SECOND)) == WALLET_EXECUTE_LIMITS
    assert (Window(400, 10 * SECOND), Window(2400, 60 * SECOND)) == IP_QUERY_LIMITS


@pytest.mark.parametrize(
    ("spends", "wait_ns"),
    [
        # weight and instant of each; the wait is the answer to the last
        ([(10, 0)], 0),  # all at once is allowed
        ([(10, 0), (1, 0)], 100),  # full until the window has passed
        ([(10, 0), (1, 99)], 1),
        ([(10, 0), (1, 100)], 0),  # an instant later by the span is outside
        ([(4, 0), (6, 50), (4, 60)], 40),  # the oldest spend is enough
        ([(4, 0), (6, 50), (5, 60)], 90),  # it is not; wait for the next
        ([(4, 0), (6, 50), (0, 60)], 0),  # nothing needs no room
        ([(10, 0), (10, 100), (5, 200)], 100),  # the longer window is full: 20 within 300
        ([(10, 0), (10, 100), (5, 299)], 1),
        ([(10, 0), (10, 100), (5, 300)], 0),
        ([(10, 0), (5, 100), (5, 100), (1, 100)], 200),  # both are full; the longer wait counts
    ],
)
def test_window_limit(spends: list[tuple[int, int]], wait_ns: int) -> None:
    """Weight is spent while both windows have room; otherwise the wait says when they will."""
    limit = WindowLimit([Window(10, 100), Window(20, 300)])

    waits = [limit.try_spend(weight, now_ns) for weight, now_ns in spends]

    assert [0] * (len(spends) - 1) + [wait_ns] == waits


@given(
    windows=st.lists(st.builds(Window, st.integers(5, 20), st.integers(1, 60)), min_size=1, max_size=3),
    requests=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=60),
)
def test_no_window_is_ever_exceeded(windows: list[Window], requests: list[tuple[int, int]]) -> None:
    """However requests arrive, no window of time holds more than its weight, and the stated wait suffices."""
    limit = WindowLimit(windows)
    now_ns, spent = 0, list[tuple[int, int]]()
    for pause_ns, weight in requests:
        now_ns += pause_ns
        wait_ns = limit.try_spend(weight, now_ns)
        if wait_ns:
            assert limit.try_spend(weight, now_ns + wait_ns - 1)
            now_ns += wait_ns
            assert limit.try_spend(weight, now_ns) == 0
        spent.append((now_ns, weight))

    for window in windows:
        for end_ns, _ in spent:
            inside = [weight for at_ns, weight in spent if end_ns - window.span_ns < at_ns <= end_ns]
            assert sum(inside) <= window.weight


@pytest.mark.parametrize("weight", [-1, 11])
def test_weight_refused(weight: int) -> None:
    """A weight that never fits is a mistake, not a wait without end."""
    with pytest.raises(UsageError, match="between 0 and 10"):
        WindowLimit([Window(20, 100), Window(10, 10)]).try_spend(weight, 0)


@pytest.mark.parametrize("windows", [[], [Window(0, 1)], [Window(1, 0)]])
def test_windows_refused(windows: list[Window]) -> None:
    """A limit without room or length would let nothing or everything through."""
    with pytest.raises(UsageError, match="positive weight and span"):
        WindowLimit(windows)


# --- Schedule


def dues(schedule: Schedule) -> list[int]:
    return [schedule.due(index) for index in range(len(schedule))]


@pytest.mark.parametrize(
    ("rate", "duration_ns", "expected"),
    [
        (1, SECOND, [0]),
        (1, SECOND + 1, [0, SECOND]),  # a request on the very end does not belong
        (2, SECOND, [0, 500 * MS]),
        (3, SECOND, [0, 333_333_333, 666_666_666]),  # rounded down, each by itself
        (Fraction(1, 2), 5 * SECOND, [0, 2 * SECOND, 4 * SECOND]),
        (Fraction(3, 7), 5 * SECOND, [0, 2_333_333_333, 4_666_666_666]),
        (10**9, 3, [0, 1, 2]),
        (2 * 10**9, 2, [0, 0, 1, 1]),  # faster than the clock counts
        (1000, 1, [0]),
    ],
)
def test_constant(rate: int | Fraction, duration_ns: int, expected: list[int]) -> None:
    """A constant rate is i / rate, rounded down to the nanosecond."""
    assert expected == dues(Schedule.constant(rate, duration_ns))


@pytest.mark.parametrize("rate", [1, 3, 7, 1000, 1001, 16_000, Fraction(1, 3), Fraction(22, 7)])
def test_constant_does_not_drift(rate: int | Fraction) -> None:
    """The last request of a day is due when arithmetic says, to the nanosecond."""
    schedule = Schedule.constant(rate, 86_400 * SECOND)
    last = len(schedule) - 1

    assert -(-86_400 * Fraction(rate) // 1) == len(schedule)
    assert last * SECOND // Fraction(rate) == schedule.due(last)


@pytest.mark.parametrize(
    ("rate", "to", "seconds", "expected_ms"),
    [
        # N(t) = r0 t + (r1 - r0) t^2 / 2T
        (0, 4, 2, [0, 1000, 1414, 1732]),  # N = t^2: square roots of whole numbers
        (4, 0, 2, [0, 267, 585, 1000]),  # N = 4t - t^2: 2 - sqrt(4 - i)
        (2, 6, 1, [0, 366, 618, 822]),  # N = 2t + 2t^2: (sqrt(1 + 2i) - 1) / 2
        (2, 2, 2, [0, 500, 1000, 1500]),  # no ramp at all
        (Fraction(1, 2), Fraction(3, 2), 4, [0, 1464, 2472, 3291]),  # N = t/2 + t^2/8: sqrt(4 + 8i) - 2
    ],
)
def test_ramp(rate: int, to: int, seconds: int, expected_ms: list[int]) -> None:
    """A ramp is the closed form inverted."""
    assert expected_ms == [due // MS for due in dues(Schedule.ramp(rate, to, seconds * SECOND))]


def test_ramp_rounds_down_where_the_square_root_does() -> None:
    """The root of 4e18 + 2e9 is just over 2e9 + 0.49; dividing by its floor alone would give 2e9 + 1."""
    assert [0, 2 * SECOND] == dues(Schedule.ramp(0, 1, 2 * SECOND + 1))


def test_steps_join_without_losing_or_doubling() -> None:
    """Each step begins where the last one's requests end, also when a step holds a broken number of them."""
    schedule = Schedule.steps([Fraction(3, 2), 4], SECOND)

    # 1.5 requests in the first second: the third is due half a request into the second one.
    assert [0, 666_666_666, 1125 * MS, 1375 * MS, 1625 * MS, 1875 * MS] == dues(schedule)


def test_pause_holds_nothing() -> None:
    """In a phase of rate 0 nothing is due, wherever it lies, and not at its first instant either."""
    schedule = Schedule([Phase(SECOND, rate) for rate in (0, 2, 0, 0, 1, 0)])

    assert [SECOND, 1500 * MS, 4 * SECOND] == dues(schedule)
    assert 6 * SECOND == schedule.duration_ns


@pytest.mark.parametrize(
    ("duration_ns", "expected"),
    [(-1, 0), (0, 0), (1, 1), (500 * MS, 1), (500 * MS + 1, 2), (SECOND, 2), (9 * SECOND, 4)],
)
def test_count(duration_ns: int, expected: int) -> None:
    """A request counts from just after its instant."""
    assert expected == Schedule.constant(2, 2 * SECOND).count(duration_ns)


def test_burst_is_evenly_spaced_groups() -> None:
    """A burst has its size at one instant and the mean rate; the last one may be cut short by the end."""
    schedule = Schedule.constant(4, 2 * SECOND, Arrivals(burst=3))

    assert [0, 0, 0, 750 * MS, 750 * MS, 750 * MS, 1500 * MS, 1500 * MS] == dues(schedule)


def test_poisson_repeats_itself() -> None:
    """One seed has one schedule, another seed another."""
    first, again, other = (
        dues(Schedule.constant(100, SECOND, Arrivals(rng=random.Random(seed)))) for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


@pytest.mark.parametrize("burst", [1, 10])
def test_poisson_has_exponential_gaps(burst: int) -> None:
    """Mean and spread of the gaps between bursts are those of a Poisson process of the mean rate."""
    schedule = Schedule.constant(1000, 100 * SECOND, Arrivals(burst=burst, rng=random.Random(5)))

    instants = dues(schedule)[::burst]

    gaps = [later - earlier for earlier, later in pairwise(instants)]
    mean_ns = burst * MS
    assert statistics.mean(gaps) == pytest.approx(mean_ns, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(mean_ns, rel=0.05)
    assert len(schedule) == pytest.approx(100_000, rel=0.05)
    assert len(schedule) % burst == 0


def test_poisson_follows_the_ramp() -> None:
    """Random arrivals keep the rate of their phase: a ramp from 0 has a quarter of them in its first half."""
    schedule = Schedule.ramp(0, 2000, 20 * SECOND, Arrivals(rng=random.Random(5)))

    assert schedule.count(10 * SECOND) / len(schedule) == pytest.approx(0.25, rel=0.05)


def test_poisson_may_draw_nothing() -> None:
    """A short Poisson schedule can be empty; that is chance and not a mistake."""
    schedule = Schedule.constant(1, 1, Arrivals(rng=random.Random(1)))

    assert 0 == len(schedule) == schedule.count(SECOND)


RATES = st.one_of(st.integers(0, 2000), st.fractions(0, 50, max_denominator=30))
PHASES = st.lists(
    st.builds(Phase, st.integers(1, 3 * SECOND), RATES, st.none() | RATES), min_size=1, max_size=4
).filter(lambda phases: any(phase.rate or phase.end_rate for phase in phases))


@given(phases=PHASES, burst=st.integers(1, 5), seed=st.none() | st.integers(0, 99), data=st.data())
def test_due_inverts_the_area(
    phases: Sequence[Phase], burst: int, seed: int | None, data: st.DataObject
) -> None:
    """Request i is due at the last nanosecond with at most m(i) under the rate, in order, before the end."""
    arrivals = Arrivals(burst, None if seed is None else random.Random(seed))
    schedule = Schedule(phases, arrivals)
    if not len(schedule):
        return
    index = data.draw(st.integers(0, len(schedule) - 1))

    due = schedule.due(index)

    assert 0 <= due < schedule.duration_ns
    assert index == 0 or schedule.due(index - 1) <= due
    assert schedule.count(due) <= index < schedule.count(due + 1)
    if seed is None:
        mark = index // burst * burst
        assert _area(phases, due) <= mark < _area(phases, due + 1)
        assert -(-_area(phases, schedule.duration_ns) // 1) == len(schedule)


def _area(phases: Sequence[Phase], until_ns: int) -> Fraction:
    """Integrate the rate from the beginning, in exact fractions."""
    area = Fraction(0)
    for phase in phases:
        t = min(until_ns, phase.duration_ns)
        slope = Fraction(phase.end_rate - phase.rate) / phase.duration_ns
        area += (phase.rate * t + slope * t * t / 2) / SECOND
        until_ns -= t
    return area


@pytest.mark.parametrize("index", [-1, 2])
def test_index_refused(index: int) -> None:
    """Only requests of the schedule have an instant."""
    with pytest.raises(UsageError, match=f"requests 0 to 1, got {index}"):
        Schedule.constant(2, SECOND).due(index)


@pytest.mark.parametrize("phases", [[], [Phase(SECOND, 0)], [Phase(SECOND, 0), Phase(SECOND, 0, 0)]])
def test_schedule_without_requests_refused(phases: list[Phase]) -> None:
    """A load test that sends nothing is a mistake."""
    with pytest.raises(UsageError, match="holds no request"):
        Schedule(phases)


@pytest.mark.parametrize(
    ("duration_ns", "rate", "to", "words"),
    [
        (0, 1, None, "at least 1 ns"),
        (-1, 1, None, "at least 1 ns"),
        (1, -1, None, "must not be negative"),
        (1, 1, -1, "must not be negative"),
    ],
)
def test_phase_refused(duration_ns: int, rate: int, to: int | None, words: str) -> None:
    """A phase has a length, and its rate is not under 0."""
    with pytest.raises(UsageError, match=words):
        Phase(duration_ns, rate, to)


def test_burst_refused() -> None:
    """A burst has at least one request."""
    with pytest.raises(UsageError, match="at least 1 request"):
        Arrivals(burst=0)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", 0),
        ("0", 0),
        ("3", 3 * 10**9),
        ("99999", 99_999 * 10**9),
        ("100000", 0),
        ("-1", 0),
        ("\u0663", 0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0),
    ],
)
def test_retry_after_is_read_as_seconds(header: str, expected: int) -> None:
    """Anything but a reasonable number of seconds is taken for nothing."""
    assert expected == retry_after_ns(header)
