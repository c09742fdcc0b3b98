"""The venue's clock, estimated."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nadows.clock import VenueClock

SECOND = 10**9
WALL = 1_800_000_000 * SECOND


def test_without_a_reading_the_local_clock_counts() -> None:
    """There is nothing better."""
    clock = VenueClock()

    assert WALL // 10**6 == clock.now_ms(5, WALL)
    assert 0 == clock.skew_ns(5, WALL)


@given(
    st.integers(-(10**12), 10**12),
    st.integers(0, SECOND),
    st.integers(0, SECOND),
    st.integers(0, 60 * SECOND),
)
def test_estimate_is_within_its_error(skew_ns: int, there_ns: int, back_ns: int, later_ns: int) -> None:
    """However the round trip was shared between the ways, the estimate is off by no more than it says."""
    clock = VenueClock()
    received = there_ns + back_ns
    venue_ms = (WALL + skew_ns + there_ns) // 10**6
    clock.read(venue_ms, round_trip_ns=received, received_ns=received)
    now = received + later_ns

    assert abs(clock.now_ms(now, WALL + now) * 10**6 - (WALL + skew_ns + now)) <= clock.error_ns(now) + 10**6
    assert abs(clock.skew_ns(now, WALL + now) - skew_ns) <= clock.error_ns(now)


def test_best_reading_is_kept_until_it_has_aged() -> None:
    """A slow round trip does not spoil a good reading; after an hour it is the better of the two."""
    clock = VenueClock()
    clock.read(1_000, round_trip_ns=2_000_000, received_ns=0)
    clock.read(2_500, round_trip_ns=400_000_000, received_ns=SECOND)
    assert 2_001 == clock.now_ms(SECOND, 0)
    assert 2 == clock.readings

    clock.read(3_600_500, round_trip_ns=400_000_000, received_ns=3_600 * SECOND)
    assert 3_600_700 == clock.now_ms(3_600 * SECOND, 0)


def test_local_clock_may_be_set() -> None:
    """A jump of this machine's clock moves the skew and not the venue's time."""
    clock = VenueClock()
    clock.read(WALL // 10**6, round_trip_ns=0, received_ns=0)

    assert WALL // 10**6 + 1_000 == clock.now_ms(SECOND, WALL + SECOND) == clock.now_ms(SECOND, 0)
    assert -3_600 * SECOND == clock.skew_ns(SECOND, WALL + SECOND + 3_600 * SECOND)


def test_asking_now_and_then() -> None:
    """At once, and then every five minutes."""
    clock = VenueClock()

    assert [True, False, True, False] == [clock.ask(at * SECOND) for at in (0, 299, 300, 301)]
