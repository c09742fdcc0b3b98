"""Durations and rates, in and out."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.bench.quantities import parse_duration, parse_rate, show_duration, show_ns
from nadows.errors import UsageError


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("30s", 30_000_000_000),
        ("250ms", 250_000_000),
        (" 1.5m ", 90_000_000_000),
        ("1h", 3_600_000_000_000),
        ("7us", 7_000),
        ("9ns", 9),
        ("0s", 0),
    ],
)
def test_duration_is_read_exactly(text: str, duration_ns: int) -> None:
    """A number with a unit is so many nanoseconds."""
    assert duration_ns == parse_duration(text)


@pytest.mark.parametrize("text", ["", "30", "s", "-1s", "1e3s", "30 parsecs", "1_0s", "٣s", "200h"])
def test_nonsense_is_no_duration(text: str) -> None:
    """Whatever is not a number with a unit, or too long, is refused with an example."""
    with pytest.raises(UsageError, match="--duration"):
        parse_duration(text, "--duration")


@given(st.integers(0, 7 * 24 * 3_600_000_000_000))
def test_shown_duration_is_read_back(duration_ns: int) -> None:
    """Showing a duration loses nothing."""
    assert duration_ns == parse_duration(show_duration(duration_ns))


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        ("1000", 1000),
        (1e3, 1000),
        ("0.5", Fraction(1, 2)),
        ("2k", 2000),
        ("1M", 10**6),
        (7, 7),
        ("1e3", 1000),
    ],
)
def test_rate_is_read_exactly(value: str | float, rate: Fraction) -> None:
    """Rates are numbers in the notations that people and TOML use."""
    assert rate == parse_rate(value)


@pytest.mark.parametrize("value", [0, "0", -5, "-1", "1001k", "fast", "", "1e9", "nan", float("inf"), True])
def test_nonsense_is_no_rate(value: str | float) -> None:
    """Nothing, less, far too much and words are refused with an example."""
    with pytest.raises(UsageError, match=r"--rps .* such as 1000"):
        parse_rate(value, "--rps")


@pytest.mark.parametrize(
    ("value_ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.00 us"),
        (12_340, "12.3 us"),
        (412_300, "412 us"),
        (999_700, "1.00 ms"),
        (99_960_000, "100 ms"),
        (9_996_000, "10.0 ms"),
        (1_520_000, "1.52 ms"),
        (61_000_000_000, "61.0 s"),
    ],
)
def test_time_is_shown_in_three_digits(value_ns: int, text: str) -> None:
    """A time is shown in the unit that leaves one to three digits before the point."""
    assert text == show_ns(value_ns)
